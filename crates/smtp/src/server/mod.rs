//! The server's side of one session: octets in, events out, replies back.
//!
//! The session knows framing and order: what a line is, where a body ends, which command may
//! follow which. What to answer is the host's: every [`Event`] that needs an answer is answered
//! with [`Session::reply`], and the class of that reply moves the session on. The relay and the
//! sandbox host it with quite different answers.
//!
//! Pipelined commands are handed out one by one; their replies gather in one output buffer that
//! the shell writes when no further event is at hand (RFC 2920 §3.2).

mod event;
mod session;
mod transaction;

pub use event::{Event, Violation};
pub use session::Session;
