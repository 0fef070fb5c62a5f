//! Why a message was not taken, as a value.

use std::fmt;
use std::sync::Arc;

use sendas_entra::TokenError;
use sendas_envelope::{Class, Envelope, Receipt, Status};
use sendas_exchange::meaning::Persistence;
use sendas_exchange::{Explanation, Scope};
use sendas_submit::{Attempt, Failure, MessageError, Outcome, SubmitError, verdict};

/// Why a message was not taken for all of its recipients.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The octets are no message; nothing was sent.
    Message(MessageError),
    /// The reverse-path is empty, and no mailbox was set to log in as; nothing was sent.
    NoMailbox,
    /// There is no session: no token, no connection, or the service refused the login. Nothing was
    /// sent.
    NoSession {
        /// What it means.
        failure: Box<Failure>,
        /// What happened.
        source: Arc<SubmitError>,
    },
    /// The service did not take the message for one recipient or more.
    NotAccepted {
        /// What became of each recipient.
        attempt: Box<Attempt>,
        /// The same as receipts, in the envelope's order.
        receipts: Vec<Receipt>,
    },
}

impl SendError {
    /// How far it reaches: whether other recipients, messages or mailboxes would fare the same.
    pub fn scope(&self) -> Scope {
        self.failure()
            .map_or(Scope::Message, |failure| failure.scope)
    }

    /// The enhanced status of the first failure, the service's own where it gave one.
    pub fn status(&self) -> Status {
        match self {
            // RFC 3463: 5.6.0 is a problem with the message's form.
            Self::Message(_) => Status::new(Class::Permanent, 6, 0),
            // 5.1.7: the sender's address is missing or malformed.
            Self::NoMailbox => Status::new(Class::Permanent, 1, 7),
            _ => self
                .failure()
                .map_or(Status::new(Class::Temporary, 0, 0), |failure| {
                    failure.status
                }),
        }
    }

    /// The service's own words, where it spoke: the reply of SMTP, or the answer of Entra.
    pub fn service_words(&self) -> Option<String> {
        self.failure()
            .and_then(Failure::reply)
            .map(ToString::to_string)
            .or_else(|| self.token_error()?.refusal().map(ToString::to_string))
    }

    /// What the first failure's reply means: likely cause and fix.
    pub fn explanation(&self) -> Option<&Explanation> {
        self.failure()
            .and_then(|failure| failure.explanation.as_deref())
    }

    /// Why there was no token, if that is the trouble.
    pub fn token_error(&self) -> Option<&TokenError> {
        match self {
            Self::NoSession { source, .. } => match &**source {
                SubmitError::Token(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the same message may be accepted later, without anybody acting.
    ///
    /// Not for [`is_uncertain`](Self::is_uncertain) errors: there another attempt may make a
    /// duplicate, and only the caller knows which is worse.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Message(_) | Self::NoMailbox => false,
            Self::NoSession { failure, .. } => match (self.token_error(), &failure.explanation) {
                (Some(error), _) => error.is_temporary(),
                (None, Some(explanation)) => {
                    matches!(explanation.persistence, Persistence::Temporary { .. })
                }
                (None, None) => failure.status.is_temporary(),
            },
            Self::NotAccepted { attempt, .. } => attempt
                .outcomes
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Accepted(_) | Outcome::Deferred(_))),
        }
    }

    /// Whether the service may have taken the message all the same: the connection was lost between
    /// the last octet and the reply (RFC 1047).
    pub fn is_uncertain(&self) -> bool {
        self.outcomes()
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Uncertain(_)))
    }

    /// One receipt per recipient, where the message got as far; those accepted among them.
    pub fn receipts(&self) -> &[Receipt] {
        match self {
            Self::NotAccepted { receipts, .. } => receipts,
            _ => &[],
        }
    }

    /// The first failure.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::NoSession { failure, .. } => Some(failure),
            Self::NotAccepted { attempt, .. } => attempt.outcomes.iter().find_map(Outcome::failure),
            Self::Message(_) | Self::NoMailbox => None,
        }
    }

    pub(crate) fn no_session(error: SubmitError) -> Self {
        let source = Arc::new(error);
        Self::NoSession {
            failure: Box::new(verdict::of_opening(&source)),
            source,
        }
    }

    pub(crate) fn not_accepted(attempt: Attempt, envelope: &Envelope) -> Self {
        let receipts = attempt.receipts(envelope);
        Self::NotAccepted {
            attempt: Box::new(attempt),
            receipts,
        }
    }

    fn outcomes(&self) -> &[Outcome] {
        match self {
            Self::NotAccepted { attempt, .. } => &attempt.outcomes,
            _ => &[],
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(error) => write!(f, "nothing was sent: {error}"),
            Self::NoMailbox => f.write_str(
                "nothing was sent: the reverse-path is empty, and no mailbox was set to log in as",
            ),
            Self::NoSession { source, .. } => match &**source {
                SubmitError::Token(error) => write!(f, "nothing was sent: {}", error.full_text()),
                error => write!(f, "nothing was sent: {error}"),
            },
            Self::NotAccepted { receipts, .. } => {
                let mut failed = receipts.iter().filter(|receipt| !receipt.is_accepted());
                let Some(first) = failed.next() else {
                    return f.write_str("not accepted");
                };
                write!(f, "not accepted for {}: {}", first.recipient, first.reply)?;
                match failed.count() {
                    0 => Ok(()),
                    more => write!(f, " (and for {more} more of {} recipients)", receipts.len()),
                }
            }
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Message(error) => Some(error),
            Self::NoSession { source, .. } => Some(&**source),
            Self::NoMailbox | Self::NotAccepted { .. } => None,
        }
    }
}

impl From<MessageError> for SendError {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}
