//! Which messages: ids and conditions of the command line, as the spool's filter.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use sendas_spool::{Filter, MessageId, Spool, SpoolError, State, View};

use super::refused;
use crate::report::Failure;

/// Conditions; every one that is given must hold.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct Selection {
    /// Messages by id, or its first characters.
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
    /// In one of these states: waiting, claimed, suspect, held, removed, settled, damaged.
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state, help_heading = "Which messages")]
    pub(super) state: Vec<State>,
    /// From this reverse-path; `*` stands for any text, '' for notices.
    #[arg(long, value_name = "ADDRESS", help_heading = "Which messages")]
    pub(super) sender: Option<String>,
    /// To such a recipient; `*` stands for any text.
    #[arg(long, value_name = "ADDRESS", help_heading = "Which messages")]
    pub(super) recipient: Option<String>,
    /// Delivered through this mailbox; `*` stands for any text.
    #[arg(long, value_name = "ADDRESS", help_heading = "Which messages")]
    pub(super) mailbox: Option<String>,
    /// Handed in by this client of the relay; `*` stands for any text.
    #[arg(long, value_name = "NAME", help_heading = "Which messages")]
    pub(super) client: Option<String>,
    /// Waiting, held or failed for this reason, as `queue count --by reason` names it.
    #[arg(long, value_name = "WORD", help_heading = "Which messages")]
    pub(super) reason: Option<String>,
    /// Accepted longer ago than this: `30m`, `2h`, `5d`.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Which messages")]
    pub(super) older: Option<Duration>,
    /// Accepted within this time.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Which messages")]
    pub(super) newer: Option<Duration>,
}

impl Selection {
    /// Whether nothing was chosen.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
            && self.state.is_empty()
            && self.sender.is_none()
            && self.recipient.is_none()
            && self.mailbox.is_none()
            && self.client.is_none()
            && self.reason.is_none()
            && self.older.is_none()
            && self.newer.is_none()
    }

    /// The filter; ids are looked up, and `states` hold where neither ids nor states are given.
    ///
    /// # Errors
    /// When an id is that of no message, or of several.
    pub(super) async fn filter(
        &self,
        spool: &Spool,
        states: &[State],
        now: Timestamp,
    ) -> Result<Filter, Box<Failure>> {
        let texts = self.ids.clone();
        let ids = spool
            .read(move |view| find_all(view, &texts))
            .await
            .map_err(|error| refused("nothing was done", &error))?;
        let states = match (&self.state[..], &ids[..]) {
            ([], []) => states.to_vec(),
            (given, _) => given.to_vec(),
        };
        let ago = |age: Duration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
        Ok(Filter {
            ids,
            states,
            mailbox: self.mailbox.clone(),
            reason: self.reason.clone(),
            sender: self.sender.clone(),
            recipient: self.recipient.clone(),
            client: self.client.clone(),
            before: self.older.map(ago),
            since: self.newer.map(ago),
            ..Filter::default()
        })
    }
}

/// Looks every id up, each once.
fn find_all(view: &View, texts: &[String]) -> Result<Vec<MessageId>, SpoolError> {
    let mut ids = Vec::with_capacity(texts.len());
    for text in texts {
        let id = view.find(text)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// A duration of the command line.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    sendas_config::duration(text)
}

fn state(text: &str) -> Result<State, String> {
    State::from_word(text).ok_or_else(|| {
        let words: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
        format!("not a state; there are {}", words.join(", "))
    })
}
