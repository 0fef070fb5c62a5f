//! Sets up a tenant for sending: plan, apply, verify, undo.
//!
//! A [`Wish`] says what an administrator wants; [`Setup`] reads the tenant through Microsoft Graph
//! and the Exchange admin interface, [`Plan`] compares the two (pure), and `apply` takes the steps,
//! each recorded in a [`StateFile`] before its request is sent. [`Verification`] proves the result
//! through a trait that the sending program implements, `undo` takes it back. [`SignIn`] gets the
//! administrator's tokens; they stay in memory. [`credentials`] lists what proves an application and
//! until when; a [`rotation`] replaces it without a moment in which nothing works.
//!
//! Time, waiting, transport and the store of secrets are handed in. Must not know: the spool, the
//! relay, SMTP.

pub mod admin;
mod apply;
pub mod cmdlet;
pub mod credentials;
pub mod doctor;
pub mod exchange_admin;
pub mod graph;
mod kept;
pub mod key;
pub mod limits;
pub mod observed;
pub mod plan;
pub mod rotation;
pub mod sign_in;
pub mod state;
pub mod stop;
pub mod store;
pub mod timer;
pub mod trouble;
pub mod verify;
mod wire;
pub mod wish;

pub use admin::{AdminToken, AdminTokenError, AdminTokens};
pub use apply::{Applied, Event, Prepared, Progress, Setup, SetupError, Silent, UndoPlan, Undone};
pub use plan::Plan;
pub use sign_in::{SignIn, SignInError};
pub use state::{State, StateFile};
pub use store::{FileStore, Place, SecretStore, SystemdStore};
pub use timer::{SystemTimer, Timer};
pub use trouble::CallError;
pub use verify::{Trial, Verification};
pub use wire::Transport;
pub use wish::{CredentialWish, Federation, Method, Wish};
