//! The journal: every request and command with its time and outcome, secrets cut.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::limits;

/// Which interface an entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// The authority.
    Entra,
    /// SMTP submission.
    Smtp,
    /// Microsoft Graph.
    Graph,
    /// The Exchange admin interface.
    ExchangeAdmin,
    /// The control interface, when it changes something.
    Control,
}

/// One line of the journal.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Entry {
    /// Number, growing by one.
    pub id: u64,
    /// The sandbox's time.
    pub at: Timestamp,
    /// The interface.
    pub channel: Channel,
    /// Number of the connection; 0 for the control.
    pub connection: u64,
    /// The request or command, secrets cut.
    pub asked: String,
    /// The answer: status or reply.
    pub answered: String,
    /// Why, when the answer does not say: the real cause behind a bare `535`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The fault that struck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<u64>,
}

/// The last entries, in order.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    written: u64,
    entries: VecDeque<Entry>,
}

impl Journal {
    /// Writes an entry; its number is given here.
    pub(crate) fn write(&self, mut entry: Entry) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.written += 1;
        entry.id = pages.written;
        if pages.entries.len() == limits::JOURNAL_ENTRIES_MAX {
            pages.entries.pop_front();
        }
        pages.entries.push_back(entry);
    }

    /// Entries after number `since`, oldest first, at most `count`.
    pub(crate) fn read(&self, since: u64, channel: Option<Channel>, count: usize) -> Vec<Entry> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages
            .entries
            .iter()
            .filter(|entry| entry.id > since && channel.is_none_or(|c| c == entry.channel))
            .take(count)
            .cloned()
            .collect()
    }
}
