//! The message of `sendas send`: taken in, completed, or composed.
//!
//! The octets behind the header are never parsed and never rebuilt.

pub(crate) mod compose;
pub(crate) mod header;
pub(crate) mod intake;

/// Why a message cannot be sent as it is; nothing was cleaned and nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    /// Nothing came.
    #[error("there is no message: the input was empty")]
    Empty,
    /// A carriage return that ends no line.
    #[error("line {0} of the message holds a bare CR")]
    BareCr(u64),
    /// A NUL.
    #[error("line {0} of the message holds a NUL")]
    Nul(u64),
    /// Larger than allowed.
    #[error("the message is larger than {0} octets (send.message_size_max)")]
    TooLarge(u64),
    /// The header cannot be scanned.
    #[error("{0}")]
    Header(#[from] sendas_envelope::header::HeaderError),
    /// An address field cannot be read.
    #[error("the {field} field is not a list of addresses: {source}")]
    List {
        /// The field's name.
        field: String,
        /// What is wrong in it.
        source: sendas_envelope::list::ListError,
    },
    /// Text for a header that would end a line or a field.
    #[error("{0} holds CR, LF or NUL")]
    Control(String),
    /// A header name that is none.
    #[error("`{0}` is not the name of a header field")]
    FieldName(String),
    /// A field that has an option of its own.
    #[error("the {0} field has an option of its own")]
    FieldReserved(String),
    /// The message cannot be kept.
    #[error("{0}")]
    Kept(#[from] sendas_submit::MessageError),
    /// A file cannot be read.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}
