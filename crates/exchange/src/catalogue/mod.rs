//! The reply catalogue: one row for each family of replies, as data.
//!
//! The order is the order of matching: within a table the more specific row stands first. What
//! a row claims carries a mark and the source it is known from; words and judgement are ours.

use std::time::Duration;

use sendas_smtp::client::Stage;

use crate::entry::Entry;
use crate::meaning::{PROBE_EVERY, PROBE_SLOWLY_EVERY, Persistence};

mod access;
mod blocked;
mod content;
mod quota;
mod recipient;
mod service;

/// The tables in the order of matching, with the heading they have in the book.
pub const TABLES: &[(&str, &[Entry])] = &[
    ("Getting in", access::ENTRIES),
    ("Sender and content", content::ENTRIES),
    ("Quota and pace", quota::ENTRIES),
    ("Blocked", blocked::ENTRIES),
    ("Recipients", recipient::ENTRIES),
    ("The service's health", service::ENTRIES),
];

/// Every row in the order of matching.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    TABLES.iter().flat_map(|(_, entries)| entries.iter())
}

/// The row with this id.
pub fn find(id: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.id == id)
}

const AUTH: &[Stage] = &[Stage::Auth];
const AUTH_AND_MAIL: &[Stage] = &[Stage::Auth, Stage::Mail];
const MAIL: &[Stage] = &[Stage::Mail];
const RCPT: &[Stage] = &[Stage::Rcpt];
const RCPT_AND_MESSAGE: &[Stage] = &[Stage::Rcpt, Stage::Body, Stage::End];
/// DATA refused, or the reply to the whole message.
const MESSAGE: &[Stage] = &[Stage::Body, Stage::End];
const TRANSACTION: &[Stage] = &[Stage::Mail, Stage::Rcpt, Stage::Body, Stage::End];
const SESSION: &[Stage] = &[
    Stage::Greeting,
    Stage::Ehlo,
    Stage::StartTls,
    Stage::SecureEhlo,
    Stage::Auth,
    Stage::Mail,
    Stage::Rcpt,
    Stage::Body,
    Stage::End,
];

/// A passing failure.
const fn retry_after(first_retry: Duration) -> Persistence {
    Persistence::Temporary { first_retry }
}

/// A failure that stays until somebody changes a setting; an attempt every so often finds out.
const fn administrator() -> Persistence {
    Persistence::NeedsAdministrator {
        probe_every: PROBE_EVERY,
    }
}

/// The same where each attempt may make things worse, or nobody can act within the hour.
const fn administrator_slowly() -> Persistence {
    Persistence::NeedsAdministrator {
        probe_every: PROBE_SLOWLY_EVERY,
    }
}
