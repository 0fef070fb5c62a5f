//! Submits messages to Exchange Online over SMTP with XOAUTH2.
//!
//! The road of one message: a [`Connector`] reaches the host and opens TLS, a mailbox and its
//! token make a [`Session`] of it, the session submits messages and says what became of each
//! recipient. A [`Pool`] keeps authenticated sessions for reuse, by mailbox. The protocol itself
//! is `sendas-smtp`'s; what a reply means is `sendas-exchange`'s; [`verdict`] joins the two and
//! is the one place where a failure becomes an outcome with a scope.
//!
//! Must not know: the spool, the relay, configuration, tokens beyond [`sendas_entra::TokenSource`].

mod connect;
mod connector;
mod error;
mod limits;
mod link;
mod message;
mod outcome;
mod pool;
mod session;
mod stream;
mod trace;
pub mod verdict;

pub use connect::ConnectError;
pub use connector::{Connector, Opened};
pub use error::SubmitError;
pub use limits::{Deadlines, PoolLimits};
pub use link::{LinkCause, LinkError};
pub use message::{Message, MessageError, MessageWriter, Source};
pub use outcome::{Attempt, Failure, Origin, Outcome};
pub use pool::{Lease, Pool};
pub use session::{Session, Submission};
pub use stream::TlsDetails;
pub use trace::{Direction, NoTrace, Trace, TraceEvent};
