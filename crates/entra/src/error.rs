//! Why there is no token.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use crate::aadsts::{Aadsts, Area};
use crate::answer::Refusal;
use crate::{CredentialError, HttpError, ManagedIdentityError};

/// Why there is no token. Cheap to clone: everybody who waited for the same request gets it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The service refused; the text holds its own words.
    #[error("no token: {0}")]
    Refused(Arc<Refusal>),
    /// The service could not be reached, or did not answer as HTTP wants.
    #[error("no token: the token endpoint gave no answer")]
    Http(#[source] Arc<HttpError>),
    /// The answer is no token answer.
    #[error("no token: {host} sent an answer that is not understood: {reason}")]
    NotUnderstood {
        /// Who sent it.
        host: String,
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// The credential cannot be used; nothing has been sent.
    #[error("no token: the credential cannot be used")]
    Credential(#[source] Arc<CredentialError>),
    /// The managed identity cannot be used.
    #[error("no token: the managed identity cannot be used")]
    ManagedIdentity(#[source] Arc<ManagedIdentityError>),
    /// An earlier request failed and its pause has not passed; nothing has been sent.
    #[error("no new token is asked for during the next {} s, because the last request failed: {cause}", seconds(*wait))]
    CoolingDown {
        /// How long still.
        wait: Duration,
        /// Why the earlier request failed.
        #[source]
        cause: Arc<Self>,
    },
    /// The service refused several fresh tokens; new ones would fare no better.
    #[error("the service refused {count} fresh tokens in a row; no new one is asked for during the next {} s", seconds(*wait))]
    RefusedRepeatedly {
        /// How many.
        count: u32,
        /// How long still.
        wait: Duration,
    },
    /// The token endpoint keeps handing out the token the service has refused.
    #[error("the token endpoint handed out the same token again that the service has refused")]
    SameTokenAgain,
    /// The one given token was refused, and there is no credential to get another.
    #[error("the given token was refused by the service, and it cannot be renewed")]
    GivenTokenRefused,
    /// The given text cannot be a token.
    #[error("the given text is no token: a token is visible ASCII without spaces")]
    NotToken,
    /// The request ended without an answer, because its runtime was shut down.
    #[error("the token request was interrupted")]
    Interrupted,
}

/// Where the trouble lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// Secret, certificate, assertion, federated token, managed identity.
    Credential,
    /// Client id, registration, consent, policy.
    Application,
    /// Tenant or cloud.
    Tenant,
    /// The resource or form of the request.
    Request,
    /// Too many requests.
    Throttled,
    /// Microsoft's side.
    Service,
    /// The way to Microsoft: name, route, proxy, TLS.
    Network,
    /// The mailbox's service refuses the tokens; Entra issues them.
    Token,
    /// This process is ending.
    Local,
}

impl TokenError {
    /// Where the trouble lies.
    pub fn kind(&self) -> TokenErrorKind {
        match self {
            Self::Refused(refusal) => kind_of(refusal),
            Self::Http(_) => TokenErrorKind::Network,
            Self::NotUnderstood { .. } => TokenErrorKind::Service,
            Self::Credential(_) | Self::ManagedIdentity(_) => TokenErrorKind::Credential,
            Self::CoolingDown { cause, .. } => cause.kind(),
            Self::RefusedRepeatedly { .. }
            | Self::SameTokenAgain
            | Self::GivenTokenRefused
            | Self::NotToken => TokenErrorKind::Token,
            Self::Interrupted => TokenErrorKind::Local,
        }
    }

    /// Whether asking again later helps without anybody acting.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_temporary(),
            Self::Http(error) => error.is_temporary(),
            Self::ManagedIdentity(error) => error.is_temporary(),
            Self::CoolingDown { cause, .. } => cause.is_temporary(),
            Self::SameTokenAgain | Self::Interrupted | Self::RefusedRepeatedly { .. } => true,
            Self::NotUnderstood { .. }
            | Self::Credential(_)
            | Self::GivenTokenRefused
            | Self::NotToken => false,
        }
    }

    /// Whether a credential or object made minutes ago explains it.
    pub fn may_be_too_young(&self) -> bool {
        self.refusal().is_some_and(Refusal::may_be_too_young)
    }

    /// The refusal with status, codes, trace id and the service's own words, if the service spoke.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::CoolingDown { cause, .. } => cause.refusal(),
            Self::ManagedIdentity(error) => error.refusal(),
            _ => None,
        }
    }

    /// What the catalogue knows of the AADSTS code.
    pub fn entry(&self) -> Option<&'static Aadsts> {
        self.refusal().and_then(Refusal::entry)
    }

    /// How long to wait before asking again, as far as it is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CoolingDown { wait, .. } | Self::RefusedRepeatedly { wait, .. } => Some(*wait),
            _ => self.refusal().and_then(|refusal| refusal.retry_after),
        }
    }

    /// The whole chain of causes in one line, for a log.
    pub fn full_text(&self) -> String {
        let mut text = self.to_string();
        let mut source = Error::source(self);
        while let Some(cause) = source {
            let line = cause.to_string();
            if !text.contains(&line) {
                text.push_str(": ");
                text.push_str(&line);
            }
            source = cause.source();
        }
        text
    }
}

fn kind_of(refusal: &Refusal) -> TokenErrorKind {
    if refusal.status == 429 {
        return TokenErrorKind::Throttled;
    }
    match refusal.entry().map(|entry| entry.area) {
        Some(Area::Credential) => TokenErrorKind::Credential,
        Some(Area::Application | Area::Policy) => TokenErrorKind::Application,
        Some(Area::Tenant) => TokenErrorKind::Tenant,
        Some(Area::Scope | Area::Request) => TokenErrorKind::Request,
        Some(Area::Service) => TokenErrorKind::Throttled,
        None => match refusal.error.as_str() {
            _ if refusal.is_temporary() => TokenErrorKind::Service,
            "invalid_client" | "invalid_grant" => TokenErrorKind::Credential,
            "unauthorized_client" | "access_denied" | "interaction_required" => {
                TokenErrorKind::Application
            }
            _ => TokenErrorKind::Request,
        },
    }
}

/// Whole seconds, rounded up.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
