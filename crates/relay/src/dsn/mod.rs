//! Notices about a message's fate (RFC 3461, 3464): who is told, and what they read. Pure.

mod compose;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use sendas_envelope::{Address, Notify, Recipient, ReversePath, Status};

use crate::memo::Memo;

pub use compose::{Facts, Original, compose};

/// What happened to a recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It will not be delivered.
    Failed,
    /// It is late.
    Delayed,
    /// It went on to a system that tells nobody about success.
    Relayed,
}

/// One recipient's fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Who it was for, with the DSN options it came with.
    pub recipient: Recipient,
    /// What happened.
    pub action: Action,
    /// Why.
    pub status: Status,
    /// The service's reply and nothing else, or our words; one line.
    pub reply: String,
    /// Whether the words are a reply of the service.
    pub is_from_service: bool,
    /// Until when a late one is tried, or one whose time is over was.
    pub until: Option<Timestamp>,
}

impl Action {
    /// The word in the notice.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
        }
    }

    /// Whether the sender wants to be told (RFC 3461 §4.1). Who says nothing hears of failures.
    pub fn is_wanted(self, notify: Option<Notify>) -> bool {
        let notify = notify.unwrap_or(Notify::FAILURE);
        match self {
            Self::Failed => notify.failure(),
            Self::Delayed => notify.delay(),
            Self::Relayed => notify.success(),
        }
    }
}

/// Who is told about a message: the client's owner where it has one, else the sender that was
/// let in as itself. Nobody for a notice, and nobody for a sender that was replaced: its mailbox
/// may be a stranger's.
pub(crate) fn addressee(reverse_path: &ReversePath, memo: &Memo) -> Option<Address> {
    let sender = reverse_path.address()?;
    match &memo.owner {
        Some(owner) => Some(owner.clone()),
        None if memo.is_rewritten => None,
        None => Some(sender.clone()),
    }
}
