//! The client's side: from the greeting to a finished transaction.
//!
//! [`opening`] has one type for each state up to an authenticated session, so that a command
//! cannot be written where it does not belong; [`transaction`] writes one message's commands as
//! early as the server's offers allow and matches the replies to them; [`report`] is what the
//! service said to it.

pub mod opening;
pub mod report;
pub mod transaction;

pub use opening::{
    AuthStep, ExpectAuth, ExpectEhlo, ExpectGreeting, ExpectSecureEhlo, ExpectStartTls, Handshake,
    OpeningError, Problem, Secured, Stage,
};
pub use report::{Framing, Report};
pub use transaction::{Action, Order, Transaction, Unsupported};
