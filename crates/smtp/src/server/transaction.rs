//! What is open between MAIL and the end of its message.

use crate::command::Command;
use crate::data::LineCheck;

use super::event::Violation;

/// What is open between MAIL and the end of its message.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) smtputf8: bool,
    /// BODY=BINARYMIME: only BDAT, and any octet.
    pub(super) binary: bool,
    pub(super) recipients: usize,
    pub(super) chunks: Chunks,
    pub(super) check: LineCheck,
}

/// What has become of the chunks so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    None,
    Accepted,
    Refused,
}

impl Transaction {
    /// What makes a command wrong while this is open.
    pub(super) fn out_of_order(&self, command: &Command) -> Option<Violation> {
        match command {
            Command::Auth { .. } => Some(Violation::AuthNotNow),
            Command::Mail(_) => Some(Violation::NestedMail),
            Command::Rcpt(_) | Command::Data if self.chunks != Chunks::None => {
                Some(Violation::DataAfterChunk)
            }
            Command::Data if self.binary => Some(Violation::DataAfterChunk),
            Command::Data | Command::Bdat { .. } if self.recipients == 0 => {
                Some(Violation::RecipientMissing)
            }
            Command::Bdat { .. } if self.chunks == Chunks::Refused => {
                Some(Violation::ChunkAfterFailure)
            }
            _ => None,
        }
    }
}
