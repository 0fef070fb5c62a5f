//! What the spool tells about a message: states, deliveries, attempts, events.

use std::fmt;

use jiff::Timestamp;
use sendas_envelope::{Body, EnvelopeId, Recipient, Return, Status};

use crate::id::MessageId;

/// Makes an enum of words as they stand in the index, in logs and in JSON.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All of them, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value of a word, exactly as [`Self::as_str`] writes it.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// Where a message stands, as its recipients together say.
    State {
        /// At least one recipient waits for its next attempt.
        Waiting = "waiting",
        /// A worker has it under a lease.
        Claimed = "claimed",
        /// The final dot went out and no reply was seen: somebody must judge before anything else.
        Suspect = "suspect",
        /// Every open recipient is held.
        Held = "held",
        /// Removed by a person; can be restored until the undo window ends.
        Removed = "removed",
        /// Every recipient has its outcome; the body is gone.
        Settled = "settled",
        /// A checksum does not match: set aside for a person, never sent.
        Damaged = "damaged",
    }
}

words! {
    /// Where one recipient stands.
    RecipientState {
        /// For its first or next attempt.
        Waiting = "waiting",
        /// The final dot went out and no reply was seen.
        Suspect = "suspect",
        /// Until it is released.
        Held = "held",
        /// The service took it.
        Accepted = "accepted",
        /// It will not be delivered; the reply says why.
        Refused = "refused",
        /// A person took it out of the queue.
        Removed = "removed",
    }
}

words! {
    /// What happened to a message apart from its attempts.
    EventKind {
        /// Set aside by a person or by policy.
        Held = "held",
        /// Let go again.
        Released = "released",
        /// Its next attempt was moved to now.
        Retried = "retried",
        /// Taken out of the queue.
        Removed = "removed",
        /// Put back within the undo window.
        Restored = "restored",
        /// An attempt ended without a word: the process died or the lease ran out.
        Interrupted = "interrupted",
        /// The final dot may have gone out in an attempt that ended without a word.
        Suspected = "suspected",
        /// A suspect message was given free for another attempt, which may duplicate it.
        Resent = "resent",
        /// A checksum did not match.
        Damaged = "damaged",
        /// It is delivered through another mailbox from here on.
        Moved = "moved",
        /// It came from an export.
        Imported = "imported",
    }
}

/// Who handed a submission in, for logs, lists and filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's name in the configuration.
    pub client: String,
    /// Its network address.
    pub peer: String,
    /// The login it used; empty without one.
    pub login: String,
    /// What it said after EHLO or HELO.
    pub greeting: String,
    /// The protocol's word for Received: `ESMTPSA`, `local`.
    pub protocol: String,
}

/// One message as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Its name.
    pub id: MessageId,
    /// Where it stands.
    pub state: State,
    /// The mailbox it is delivered through, in lower case.
    pub mailbox: String,
    /// The next attempt, the lease's end, the automatic release or the end of the undo window,
    /// by state; `None` where nothing will happen by itself.
    pub due: Option<Timestamp>,
    /// Why it waits, is held or has failed: the relay's word; empty before the first attempt.
    pub reason: String,
    /// Where failure notices go; empty for the null reverse-path.
    pub sender: String,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Octets of the body.
    pub octets: u64,
    /// Attempts so far, the running one included.
    pub attempts: u32,
    /// Who handed it in.
    pub origin: Origin,
    /// The Subject field, for lists only.
    pub subject: String,
    /// The Message-ID field, for lists only.
    pub message_id: String,
    /// What the body holds.
    pub body: Body,
    /// How much a failure notice returns.
    pub ret: Option<Return>,
    /// The sender's name for the transaction.
    pub envelope_id: Option<EnvelopeId>,
    /// What the relay keeps with the message; opaque here.
    pub memo: String,
    /// Every recipient that can be read, in the order of the envelope.
    pub deliveries: Vec<Delivery>,
    /// What is wrong with the record, where it does not match its checksums.
    pub damage: Option<String>,
}

/// One recipient and its fate so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its place in the envelope, from 0.
    pub number: u32,
    /// Path and DSN options.
    pub recipient: Recipient,
    /// Where it stands.
    pub state: RecipientState,
    /// Its next attempt or automatic release, where one is set.
    pub due: Option<Timestamp>,
    /// Why, in the relay's word.
    pub reason: String,
    /// When the final dot was about to go out in the running or interrupted attempt.
    pub dot_at: Option<Timestamp>,
    /// When the state changed last.
    pub changed_at: Timestamp,
    /// The last status.
    pub status: Option<Status>,
    /// The last reply, code included; empty before the first.
    pub reply: String,
}

/// One message with all that happened to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What the list shows.
    pub summary: Summary,
    /// Its attempts that have ended, oldest first.
    pub attempts: Vec<Attempt>,
    /// What else happened, oldest first.
    pub events: Vec<Event>,
}

/// One try to hand the message to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When the claim began.
    pub started_at: Timestamp,
    /// When it was settled.
    pub ended_at: Timestamp,
    /// The way it took: endpoint, connection, protocol; the relay's words.
    pub route: String,
    /// The recipients' outcomes.
    pub replies: Vec<AttemptReply>,
}

/// What one attempt brought for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptReply {
    /// The recipient's place in the envelope.
    pub number: u32,
    /// `accepted`, `deferred`, `refused`, `held` or `uncertain`.
    pub outcome: String,
    /// Why, in the relay's word.
    pub reason: String,
    /// The status, where there was one.
    pub status: Option<Status>,
    /// The reply, code included.
    pub reply: String,
}

/// Something that happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Details: a reason, a name.
    pub text: String,
}

/// One step of a message's life, see [`Message::timeline`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// It was accepted.
    Accepted,
    /// An attempt ended.
    Attempted(&'a Attempt),
    /// Something else.
    Happened(&'a Event),
}

impl Message {
    /// All that happened, in order of time.
    pub fn timeline(&self) -> Vec<(Timestamp, Step<'_>)> {
        let mut steps = vec![(self.summary.accepted_at, Step::Accepted)];
        steps.extend(
            self.attempts
                .iter()
                .map(|a| (a.ended_at, Step::Attempted(a))),
        );
        steps.extend(self.events.iter().map(|e| (e.at, Step::Happened(e))));
        steps.sort_by_key(|(at, _)| *at);
        steps
    }
}
