//! Why a set-up stopped, what exists then, and how to go on or back.

use std::path::PathBuf;

use crate::key::KeyError;
use crate::state::StateError;
use crate::store::StoreError;
use crate::trouble::CallError;

/// Why a set-up stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The sign-in belongs to another tenant.
    #[error("the administrator signed in to the tenant {found}, not to {wanted}")]
    WrongTenant {
        /// The tenant that was named.
        wanted: String,
        /// The tenant of the sign-in.
        found: String,
    },
    /// The state file belongs to another set-up.
    #[error(
        "the state file belongs to another set-up: {what} is {kept} there and {wanted} here; name another file with --state"
    )]
    OtherState {
        /// What differs.
        what: &'static str,
        /// What the file holds.
        kept: String,
        /// What is wanted.
        wanted: String,
    },
    /// There is no state.
    #[error("there is no state file {}: nothing was made by this program here, or it was made with another --state", path.display())]
    NoState {
        /// The file.
        path: PathBuf,
    },
    /// The plan cannot be done as the tenant stands; nothing was changed.
    #[error("nothing was changed: {}", blocks.join("; "))]
    Blocked {
        /// Why.
        blocks: Vec<String>,
    },
    /// A step failed.
    #[error("could not {title}")]
    Step {
        /// What it was to do.
        title: String,
        /// What was done before it, in this run.
        done: Vec<String>,
        /// The state file, from which the same command goes on, and undo goes back.
        state: PathBuf,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// Everything was accepted, but does not show yet.
    #[error("everything was accepted, but the tenant does not show it yet: {}; run the same command again in a few minutes", missing.join("; "))]
    NotShown {
        /// What is missing.
        missing: Vec<String>,
    },
    /// Something could not be undone.
    #[error("could not undo {title}")]
    Undo {
        /// What.
        title: String,
        /// What is left.
        left: Vec<String>,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// A request failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The state could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// A secret could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No certificate could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl SetupError {
    /// The request that failed, if one did.
    pub fn call(&self) -> Option<&CallError> {
        match self {
            Self::Call(error) => Some(error),
            Self::Step { source, .. } | Self::Undo { source, .. } => source.call(),
            _ => None,
        }
    }
}
