//! Values of one mail transaction: address, path, recipient, status, receipt.
//!
//! A value exists only if it parsed: whoever holds an [`Address`] may write it on the wire
//! without another look. This crate knows no protocol, socket, clock or service.

pub mod address;
pub mod dsn;
pub mod envelope;
pub mod header;
pub mod limits;
pub mod list;
pub mod path;
pub mod receipt;
pub mod status;

pub use address::{Address, AddressError, Mailbox};
pub use dsn::{EnvelopeId, Notify, OriginalRecipient, ParameterError, Return};
pub use envelope::{Body, Envelope, EnvelopeError, Recipient};
pub use path::{ForwardPath, ReversePath};
pub use receipt::{Receipt, ReceiptOutcome};
pub use status::{Class, Status, StatusError};
