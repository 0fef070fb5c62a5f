//! Notices about a message's fate (RFC 3461, 3464): who is told, and what they read. Pure.

mod compose;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use sendas_envelope::{
    Address, Body, Envelope, Mailbox, Notify, Recipient, Return, ReversePath, Status,
};
use sendas_spool::{Claim, MessageId, Origin, Submission};

use crate::limits::RETURNED_OCTETS_MAX;
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

/// A notice as it goes into the spool.
#[derive(Clone, Debug)]
pub struct Notice {
    /// From the null reverse-path to whoever is told; nobody is told about the notice itself.
    pub submission: Submission,
    /// The message.
    pub octets: Vec<u8>,
}

impl Notice {
    /// Writes a notice about recipients that share one action; `id` is its own name, and `mailbox`
    /// sends it.
    ///
    /// # Panics
    /// Never: the null reverse-path and one recipient always make an envelope.
    pub fn new(
        facts: &Facts,
        id: MessageId,
        mailbox: Mailbox,
        fates: &[Fate],
        original: Original<'_>,
    ) -> Self {
        let octets = compose(facts, fates, original);
        let mut recipient = Recipient::from(facts.to.clone());
        recipient.notify = Some(Notify::Never);
        let mut envelope = Envelope::new(ReversePath::Null, vec![recipient])
            .expect("one recipient makes an envelope");
        envelope.body = if octets.is_ascii() {
            Body::SevenBit
        } else {
            Body::EightBit
        };
        let mut submission = Submission::new(envelope, mailbox);
        submission.id = Some(id);
        submission.subject = format!("notice about {}", facts.queue_id);
        submission.message_id = format!("<{}@{}>", facts.id, facts.hostname);
        submission.origin = Origin {
            client: "notice".to_owned(),
            protocol: "notice".to_owned(),
            ..Origin::default()
        };
        Self { submission, octets }
    }
}

/// Who is told about a claim's message; see there for who never is.
pub fn addressee_of(claim: &Claim) -> Option<Address> {
    addressee(&claim.envelope.reverse_path, &Memo::parse(&claim.memo))
}

/// Octets of a message that a notice with this action may return whole; the header alone when it
/// is longer (RFC 3461 §4.3). Binary octets are never returned: not every system takes them.
pub fn returned_octets_max(action: Action, envelope: &Envelope) -> u64 {
    let is_whole = action == Action::Failed && envelope.ret == Some(Return::Full);
    if is_whole && envelope.body != Body::Binary {
        RETURNED_OCTETS_MAX
    } else {
        0
    }
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
