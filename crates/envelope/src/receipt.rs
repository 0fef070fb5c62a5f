//! What became of one recipient.

use crate::path::ForwardPath;
use crate::status::Status;

/// The fate of one recipient in one attempt, in the service's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whose fate it is.
    pub recipient: ForwardPath,
    /// What happened.
    pub outcome: ReceiptOutcome,
    /// The enhanced status; derived from the reply code where the service gave none.
    pub status: Status,
    /// The deciding reply as one text, code included.
    pub reply: String,
}

/// Accepted, worth another attempt, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiptOutcome {
    /// The service answered `250` to the whole message.
    Accepted,
    /// Another attempt may succeed.
    Deferred,
    /// No attempt in this form will.
    Refused,
    /// The connection was lost after the last octet and before the reply: the service may have
    /// the message, and another attempt may make a duplicate (RFC 1047).
    Uncertain,
}

impl Receipt {
    /// Whether the service has taken responsibility for this recipient.
    pub fn is_accepted(&self) -> bool {
        self.outcome == ReceiptOutcome::Accepted
    }
}
