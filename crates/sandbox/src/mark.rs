//! Where a behaviour comes from.

use serde::Serialize;
use utoipa::ToSchema;

/// How sure we are that the service behaves so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// A page of Microsoft's says so.
    Documented,
    /// Seen in a transcript, a recorded answer, a log or a report.
    Observed,
    /// Nobody has written it down; the likeliest reading.
    Assumed,
}

impl Mark {
    /// The mark as a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Observed => "observed",
            Self::Assumed => "assumed",
        }
    }
}

/// One behaviour of the sandbox and where it comes from.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MarkedBehaviour {
    /// The interface: Entra, SMTP, state, ….
    pub area: &'static str,
    /// When.
    pub when: String,
    /// What the sandbox does.
    pub does: String,
    /// How sure we are that the service does so.
    pub mark: Mark,
}
