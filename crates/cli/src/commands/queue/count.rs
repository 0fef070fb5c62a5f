//! `queue count`: how many messages, apart by what was asked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ValueEnum;
use sendas_spool::limits::PAGE_MESSAGES_MAX;
use sendas_spool::{Filter, Spool, SpoolError, State, View};
use serde_json::{Value, json};

use super::{Count, postfix, refused, unwritten};
use crate::exit::Exit;
use crate::report::Outcome;
use crate::{clock, output};

/// What messages are counted apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Where they stand.
    State,
    /// The mailbox they are delivered through.
    Mailbox,
    /// Why they wait, are held or have failed.
    Reason,
    /// The domain of the reverse-path.
    SenderDomain,
}

/// What is counted where nothing else was chosen: all but the history.
const OPEN: [State; 6] = [
    State::Waiting,
    State::Claimed,
    State::Suspect,
    State::Held,
    State::Removed,
    State::Damaged,
];

/// Messages and their octets by key.
type Table = BTreeMap<Vec<String>, (u64, u64)>;

pub(super) async fn run(spool: &Spool, count: &Count) -> Outcome {
    let filter = count.selection.filter(spool, &OPEN, clock::now()).await?;
    let by = count.by.clone();
    let is_plain = {
        let selection = &count.selection;
        let mut without_states = selection.clone();
        without_states.state.clear();
        without_states.is_empty() && !by.contains(&By::SenderDomain)
    };
    let table = spool
        .read(move |view| {
            if is_plain {
                from_counters(view, &filter, &by)
            } else {
                from_messages(view, &filter, &by)
            }
        })
        .await
        .map_err(|error| refused("the queue was not counted", &error))?;
    tell(count, &table)
}

/// The same without a spool.
pub(super) fn tell_empty(count: &Count) -> Outcome {
    tell(count, &Table::new())
}

/// The spool keeps these counters up to date: a million messages cost nothing.
fn from_counters(view: &View, filter: &Filter, by: &[By]) -> Result<Table, SpoolError> {
    let mut table = Table::new();
    for row in view.counts()? {
        if row.messages == 0 || !filter.states.contains(&row.state) {
            continue;
        }
        let key = by
            .iter()
            .map(|by| match by {
                By::State => row.state.to_string(),
                By::Mailbox => row.mailbox.clone(),
                By::Reason | By::SenderDomain => row.reason.clone(),
            })
            .collect();
        add(&mut table, key, row.messages, row.octets);
    }
    Ok(table)
}

fn from_messages(view: &View, filter: &Filter, by: &[By]) -> Result<Table, SpoolError> {
    let mut table = Table::new();
    let mut after = None;
    loop {
        let page = view.list(filter, after, PAGE_MESSAGES_MAX)?;
        let Some(last) = page.last() else {
            return Ok(table);
        };
        after = Some(last.id);
        for summary in page {
            let domain = summary
                .sender
                .rsplit_once('@')
                .map_or("", |(_, domain)| domain);
            let key = by
                .iter()
                .map(|by| match by {
                    By::State => summary.state.to_string(),
                    By::Mailbox => summary.mailbox.clone(),
                    By::Reason => summary.reason.clone(),
                    By::SenderDomain => domain.to_lowercase(),
                })
                .collect();
            add(&mut table, key, 1, summary.octets);
        }
    }
}

fn add(table: &mut Table, key: Vec<String>, messages: u64, octets: u64) {
    let sum = table.entry(key).or_default();
    sum.0 += messages;
    sum.1 += octets;
}

fn tell(count: &Count, table: &Table) -> Outcome {
    let (messages, octets) = table
        .values()
        .fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
    if count.json {
        let rows: Vec<Value> = table
            .iter()
            .map(|(key, (messages, octets))| {
                let mut row = json!({ "messages": messages, "octets": octets });
                if let Some(members) = row.as_object_mut() {
                    for (by, value) in count.by.iter().zip(key) {
                        members.insert(by.word().to_owned(), value.clone().into());
                    }
                }
                row
            })
            .collect();
        output::json(&json!({ "messages": messages, "octets": octets, "counts": rows }))
            .map_err(unwritten)?;
        return Ok(Exit::Done);
    }
    let mut out = String::new();
    for (key, (messages, octets)) in table {
        _ = write!(out, "{messages:>9} {octets:>13}");
        for value in key {
            let value = if value.is_empty() { "-" } else { value };
            _ = write!(out, "  {:<20}", postfix::cut(value, 60));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    _ = writeln!(out, "{messages:>9} {octets:>13}  in all");
    output::data(&out).map_err(unwritten)?;
    Ok(Exit::Done)
}

impl By {
    const fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Mailbox => "mailbox",
            Self::Reason => "reason",
            Self::SenderDomain => "sender_domain",
        }
    }
}
