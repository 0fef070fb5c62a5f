//! What callers hand in: submissions, claims' results, decisions.

use jiff::Timestamp;
use sendas_envelope::{Envelope, Mailbox, Recipient, Status};

use crate::id::MessageId;
use crate::message::Origin;

/// A message to be accepted; its body is staged apart, see [`crate::Staging`].
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The id it shall have, from [`crate::Spool::next_id`]; a fresh one when `None`.
    pub id: Option<MessageId>,
    /// Paths and options.
    pub envelope: Envelope,
    /// The mailbox it is delivered through.
    pub mailbox: Mailbox,
    /// Who handed it in.
    pub origin: Origin,
    /// The first attempt; at once when `None`.
    pub due: Option<Timestamp>,
    /// Holds it from the start, for this reason.
    pub hold: Option<String>,
    /// The submitter's de-duplication key: a second submission with it is answered with the first's id.
    pub key: Option<String>,
    /// The Subject field, for lists.
    pub subject: String,
    /// The Message-ID field, for lists.
    pub message_id: String,
    /// What the relay keeps with the message; opaque here.
    pub memo: String,
}

/// The answer to an accepted submission: from here on the message survives the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The message's name.
    pub id: MessageId,
    /// Whether an earlier submission with the same key stands for this one; nothing was stored.
    pub duplicate: bool,
}

/// A message in the hands of one worker until the lease ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The message's name.
    pub id: MessageId,
    /// Counts the claims on the message; a change under an older number is refused.
    pub fence: u64,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// When others may take the message, unless the lease is extended.
    pub lease_until: Timestamp,
    /// Paths and options; of the recipients those that are due.
    pub envelope: Envelope,
    /// The places of `envelope`'s recipients in the whole envelope, in the same order.
    pub numbers: Vec<u32>,
    /// The mailbox it is delivered through.
    pub mailbox: Mailbox,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Octets of the body.
    pub octets: u64,
    /// Who handed it in.
    pub origin: Origin,
    /// The Message-ID field as it was noted on acceptance.
    pub message_id: String,
    /// What the relay keeps with the message.
    pub memo: String,
}

impl Claim {
    /// The due recipients with their places in the whole envelope.
    pub fn recipients(&self) -> impl Iterator<Item = (u32, &Recipient)> {
        self.numbers.iter().copied().zip(self.envelope.recipients())
    }
}

/// What an attempt brought for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service took responsibility.
    Accepted {
        /// Its status.
        status: Option<Status>,
        /// Its reply.
        reply: String,
    },
    /// Another attempt is worth it.
    Deferred {
        /// When.
        until: Timestamp,
        /// Why, as a word for lists and counters.
        reason: String,
        /// The status, where there was one.
        status: Option<Status>,
        /// The reply, or what stands for it.
        reply: String,
    },
    /// It will not be delivered.
    Refused {
        /// Why, as a word for lists and counters.
        reason: String,
        /// The status.
        status: Option<Status>,
        /// The reply, or what stands for it.
        reply: String,
    },
    /// It waits for a person.
    Held {
        /// Why, as a word for lists and counters.
        reason: String,
        /// The status, where there was one.
        status: Option<Status>,
        /// The reply, or what stands for it.
        reply: String,
    },
    /// The connection was lost after the final dot: the message becomes suspect.
    Uncertain {
        /// What was seen last.
        reply: String,
    },
}

/// The result of a claim.
///
/// Recipients of the claim that are not mentioned go back to waiting as they were.
#[derive(Debug, Default)]
pub struct Settlement {
    /// The outcomes by the recipient's place in the whole envelope.
    pub outcomes: Vec<(u32, Outcome)>,
    /// The way the attempt took, for the history.
    pub route: String,
    /// Replaces the message's memo.
    pub memo: Option<String>,
    /// Submissions stored in the same commit: the notices that these outcomes call for.
    pub notices: Vec<(Submission, crate::stage::Staged)>,
    /// Takes the attempt back: it is not counted and leaves no trace in the history.
    ///
    /// For a claim that never reached the service: no token, no connection, shutdown.
    pub uncounted: bool,
}

/// What became of a settled claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Where the message stands now.
    pub state: crate::message::State,
    /// The ids of the notices, in order.
    pub notices: Vec<MessageId>,
}

/// What to do with a suspect message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again at once: a duplicate is possible, a loss is not.
    Resend,
    /// Hold it for a person: a loss of time is possible, a duplicate is not.
    Hold,
}
