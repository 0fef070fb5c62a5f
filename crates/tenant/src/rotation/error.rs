//! Why a rotation stopped. Whatever stopped it, the credential that the configuration names works
//! as well as it did before.

use std::path::PathBuf;

use super::host::HostError;
use crate::key::KeyError;
use crate::state::StateError;
use crate::store::StoreError;
use crate::trouble::CallError;

/// Why a rotation stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The journal is another principal's.
    #[error("{} is the journal of the principal with the client id {kept}, not of {wanted}", path.display())]
    OtherPrincipal {
        /// Whose it is.
        kept: String,
        /// Whose it should be.
        wanted: String,
        /// The journal.
        path: PathBuf,
    },
    /// Nobody may look at the application.
    #[error("there is no application with the client id {client_id} in the tenant that was asked")]
    NoApplication {
        /// The client id.
        client_id: String,
    },
    /// The application may not do this for itself.
    #[error("the application may not do this for itself")]
    NeedsAdministrator(#[source] CallError),
    /// Without an administrator nobody knows which key it is.
    #[error(
        "the new certificate is registered, but without an administrator its id in Entra cannot be read"
    )]
    UnknownKey,
    /// The credential in use gets no token for Microsoft Graph.
    #[error("the present credential gets no token for Microsoft Graph: {words}")]
    NoOwnToken {
        /// The service's words.
        words: String,
    },
    /// Exchange refuses the mailbox with the credential in use.
    #[error(
        "Exchange refuses the login as {mailbox} with the present credential too, so that no new one could be proven: {words}"
    )]
    PresentRefused {
        /// The mailbox.
        mailbox: String,
        /// The service's words.
        words: String,
    },
    /// The service was not reached before anything was begun.
    #[error("the present credential could not be tried: {words}")]
    PresentUntried {
        /// What went wrong.
        words: String,
    },
    /// Entra does not take the new credential, or not yet.
    #[error("the new credential is registered and kept, but gets no token yet: {words}")]
    NotEffective {
        /// The service's words.
        words: String,
    },
    /// Exchange refuses the new credential's token.
    #[error("the new credential gets tokens, but Exchange refuses the login as {mailbox}: {words}")]
    LoginRefused {
        /// The mailbox.
        mailbox: String,
        /// The service's words.
        words: String,
    },
    /// The service does not show a change that it accepted.
    #[error("Microsoft Graph accepted the change and does not show it yet")]
    NotShown,
    /// There is no way back.
    #[error("the configuration names the new credential already")]
    NoWayBack,
    /// There is nothing to go back from.
    #[error("no rotation is under way")]
    NothingBegun,
    /// A request failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The journal could not be kept.
    #[error(transparent)]
    Journal(#[from] StateError),
    /// The credential could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No certificate could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The configuration could not be read or written, or the credential not loaded.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl RotationError {
    /// The request that failed, if one did.
    pub fn call(&self) -> Option<&CallError> {
        match self {
            Self::Call(error) | Self::NeedsAdministrator(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the same command may go on later without anybody acting.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::NotEffective { .. } | Self::NotShown | Self::PresentUntried { .. } => true,
            Self::Call(error) => {
                error.may_have_acted()
                    || error.trouble() == Some(crate::trouble::Trouble::Throttled)
            }
            _ => false,
        }
    }
}
