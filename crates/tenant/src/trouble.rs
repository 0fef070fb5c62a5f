//! Why a request to Graph or Exchange did not do what was asked.

use std::fmt;
use std::time::Duration;

use sendas_entra::HttpError;

/// Which service was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Microsoft Graph.
    Graph,
    /// The Exchange admin interface.
    Exchange,
}

/// What a refusal means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The object is not there (or not yet seen by the server that answered).
    NotFound,
    /// It is there already: what was asked for is done.
    Exists,
    /// It refers to an object that this server does not see yet.
    NotReplicated,
    /// The token is not accepted.
    Unauthorized,
    /// The administrator may not do this.
    Forbidden,
    /// The administrator holds no Exchange role with this cmdlet.
    RoleMissing,
    /// A policy of the tenant forbids it.
    Policy,
    /// The service asks to be left alone.
    Throttled,
    /// The service is in trouble; whether the request acted is not known.
    Temporary,
    /// Anything else.
    Other,
}

/// A refusal, with the service's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who refused.
    pub service: Service,
    /// What was asked: a request line or a cmdlet, without ids that are secret.
    pub asked: String,
    /// The HTTP status.
    pub status: u16,
    /// The error code, or the .NET exception.
    pub code: String,
    /// The service's own words, control characters replaced, cut.
    pub words: String,
    /// What Microsoft's support asks for first.
    pub request_id: Option<String>,
    /// What it means.
    pub trouble: Trouble,
    /// How long the service wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Why a request did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The service refused.
    #[error("{0}")]
    Refused(Box<Refused>),
    /// No answer: whether the request acted is not known.
    #[error("{service} gave no answer to {asked}")]
    NoAnswer {
        /// Who was asked.
        service: Service,
        /// What was asked.
        asked: String,
        /// What went wrong.
        #[source]
        source: HttpError,
    },
    /// An answer of another shape than documented.
    #[error("{service} answered {asked} with something that is not understood: {reason}")]
    NotUnderstood {
        /// Who was asked.
        service: Service,
        /// What was asked.
        asked: String,
        /// What is missing or wrong.
        reason: String,
    },
}

impl CallError {
    /// What a refusal means; none when there was no answer.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Refused(refused) => Some(refused.trouble),
            Self::NoAnswer { .. } | Self::NotUnderstood { .. } => None,
        }
    }

    /// Whether the request may have acted all the same, so that it must not be repeated before
    /// looking.
    pub fn may_have_acted(&self) -> bool {
        match self {
            Self::Refused(refused) => refused.trouble == Trouble::Temporary,
            Self::NoAnswer { source, .. } => {
                source.is_temporary() && !crate::wire::is_unsent(source)
            }
            Self::NotUnderstood { .. } => true,
        }
    }

    /// Whether the service has surely not acted yet, and waiting helps.
    pub(crate) fn is_early(&self) -> bool {
        matches!(
            self.trouble(),
            Some(Trouble::NotReplicated | Trouble::NotFound)
        )
    }

    /// Whether the administrator's sign-in is the cause.
    pub fn is_about_rights(&self) -> bool {
        matches!(
            self.trouble(),
            Some(Trouble::Unauthorized | Trouble::Forbidden | Trouble::RoleMissing)
        )
    }

    /// What to do about it, where that can be said.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match (self, self.trouble()?) {
            (_, Trouble::Unauthorized) => {
                "the administrator's token is not accepted: sign in again, and check that it belongs to this tenant and this service"
            }
            (Self::Refused(refused), Trouble::Forbidden) if refused.service == Service::Graph => {
                "the administrator needs Application.ReadWrite.All and, for the classic method, AppRoleAssignment.ReadWrite.All (role: Cloud Application Administrator or Global Administrator)"
            }
            (_, Trouble::Forbidden) => {
                "the administrator needs the directory role Exchange Administrator or Global Administrator"
            }
            (_, Trouble::RoleMissing) => {
                "the administrator needs the Exchange role group Organization Management (Role Management is not in Recipient Management)"
            }
            (_, Trouble::Policy) => {
                "an app management policy of the tenant forbids this: use --credential certificate, or ask for an exception"
            }
            (_, Trouble::Throttled | Trouble::Temporary) => {
                "the service is busy: run the same command again later, it goes on where it stopped"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} refused {}: HTTP {}",
            self.service, self.asked, self.status
        )?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.words.is_empty() {
            write!(f, ": {}", self.words)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Graph => "Microsoft Graph",
            Self::Exchange => "the Exchange admin interface",
        })
    }
}
