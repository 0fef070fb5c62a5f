//! SMTP without I/O, both sides.
//!
//! Octets go in, octets and events come out; time, sockets and TLS belong to the caller. The
//! client, the relay's listener and the sandbox stand on the same framing, and none of them on
//! another's judgement: this crate decides what an octet sequence *is*, never what to answer.
//!
//! Client side: [`client`] walks from the greeting to a finished transaction. Server side:
//! [`server`] turns octets into events that the host answers with replies.

pub mod capability;
pub mod chunk;
pub mod client;
pub mod command;
pub mod data;
pub mod error;
pub mod limits;
pub mod line;
pub mod parameter;
pub mod reply;
pub mod sasl;
pub mod server;

pub use capability::Capabilities;
pub use command::{ClientName, Command};
pub use error::CommandError;
pub use parameter::{MailCommand, RcptCommand};
pub use reply::{Reply, ReplyError, ReplyReader};
