//! What became of one attempt, recipient by recipient.

use std::fmt;
use std::sync::Arc;

use sendas_envelope::{Class, Envelope, Receipt, ReceiptOutcome, Status};
use sendas_exchange::{Explanation, Scope};
use sendas_smtp::Reply;
use sendas_smtp::client::{Framing, Stage, Unsupported};

use crate::error::SubmitError;
use crate::link::LinkError;

/// One try to hand one message to the service.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// One outcome for each recipient, in the envelope's order.
    pub outcomes: Vec<Outcome>,
    /// How the body travelled.
    pub framing: Framing,
    /// BDAT was not understood although it was offered; the next attempt uses DATA.
    pub is_chunking_refused: bool,
}

/// The fate of one recipient.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The service has taken the message for this recipient, with these words.
    Accepted(Reply),
    /// Another attempt may succeed.
    Deferred(Failure),
    /// No attempt in this form will.
    Refused(Failure),
    /// The service may have the message: the connection was lost between its last octet and the
    /// reply. Another attempt may make a duplicate (RFC 1047).
    Uncertain(Failure),
}

/// A failure as one value: how far it reaches, its status, and where it came from.
#[derive(Clone)]
pub struct Failure {
    /// What else it concerns: this recipient, message, mailbox, principal, tenant, or everybody.
    pub scope: Scope,
    /// Its status: the service's own where it gave one.
    pub status: Status,
    /// Where it came from.
    pub origin: Origin,
    /// What the reply means, where there is a reply.
    pub explanation: Option<Box<Explanation>>,
}

/// Where a failure came from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Origin {
    /// The service said so.
    Reply {
        /// In answer to what.
        stage: Stage,
        /// Its words.
        reply: Reply,
    },
    /// The connection broke.
    Link(Arc<LinkError>),
    /// No session could be opened.
    Opening(Arc<SubmitError>),
    /// The service lacks what the envelope needs; nothing was sent.
    Unsupported(Unsupported),
}

impl Attempt {
    /// The same outcome for every recipient of an envelope.
    pub(crate) fn all(envelope: &Envelope, outcome: &Outcome) -> Self {
        Self {
            outcomes: vec![outcome.clone(); envelope.recipients().len()],
            framing: Framing::Chunk,
            is_chunking_refused: false,
        }
    }

    /// Whether the service has taken the message for every recipient.
    pub fn is_accepted(&self) -> bool {
        self.outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Accepted(_)))
    }

    /// The outcomes as receipts, with the addresses of the envelope they belong to.
    pub fn receipts(&self, envelope: &Envelope) -> Vec<Receipt> {
        let receipt = |(recipient, outcome): (&sendas_envelope::Recipient, &Outcome)| Receipt {
            recipient: recipient.path.clone(),
            outcome: outcome.kind(),
            status: outcome.status(),
            reply: match outcome {
                Outcome::Accepted(reply) => reply.to_string(),
                Outcome::Deferred(f) | Outcome::Refused(f) | Outcome::Uncertain(f) => {
                    f.origin.to_string()
                }
            },
        };
        envelope
            .recipients()
            .iter()
            .zip(&self.outcomes)
            .map(receipt)
            .collect()
    }
}

impl Outcome {
    /// Which of the four it is.
    pub const fn kind(&self) -> ReceiptOutcome {
        match self {
            Self::Accepted(_) => ReceiptOutcome::Accepted,
            Self::Deferred(_) => ReceiptOutcome::Deferred,
            Self::Refused(_) => ReceiptOutcome::Refused,
            Self::Uncertain(_) => ReceiptOutcome::Uncertain,
        }
    }

    /// Its status.
    pub fn status(&self) -> Status {
        match self {
            Self::Accepted(reply) => reply.status_or_implied(),
            Self::Deferred(f) | Self::Refused(f) | Self::Uncertain(f) => f.status,
        }
    }

    /// The failure, unless it is accepted.
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Accepted(_) => None,
            Self::Deferred(f) | Self::Refused(f) | Self::Uncertain(f) => Some(f),
        }
    }
}

impl Failure {
    /// The service's own words, where it spoke.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.origin {
            Origin::Reply { reply, .. } => Some(reply),
            Origin::Opening(error) => error.reply(),
            Origin::Link(_) | Origin::Unsupported(_) => None,
        }
    }

    /// Where in the dialogue it happened.
    pub fn stage(&self) -> Stage {
        match &self.origin {
            Origin::Reply { stage, .. } => *stage,
            Origin::Link(error) => error.stage,
            Origin::Opening(error) => error.stage(),
            Origin::Unsupported(_) => Stage::Mail,
        }
    }

    pub(crate) const fn local(scope: Scope, class: Class, subject: u16, origin: Origin) -> Self {
        Self {
            scope,
            status: Status::new(class, subject, 0),
            origin,
            explanation: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("scope", &self.scope)
            .field("status", &self.status)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply { reply, .. } => reply.fmt(f),
            Self::Link(error) => error.fmt(f),
            Self::Opening(error) => error.fmt(f),
            Self::Unsupported(error) => error.fmt(f),
        }
    }
}
