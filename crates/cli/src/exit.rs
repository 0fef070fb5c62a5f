//! What the process answers to the shell.

use std::process::ExitCode;

/// The exit codes of every command but the sendmail personality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done.
    Done,
    /// 1: failed for good.
    Failed,
    /// 2: wrong usage or configuration; nothing was tried.
    Usage,
    /// 3: done, with warnings (`doctor`).
    Warnings,
    /// 4: the principal could not prove itself, or may not do this.
    Authentication,
    /// 75: failed for now; the same call may succeed later (`EX_TEMPFAIL`).
    Temporary,
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Warnings => 3,
            Self::Authentication => 4,
            Self::Temporary => 75,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
