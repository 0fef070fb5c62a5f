//! What the personality answers: the codes of `sysexits.h`, which callers of sendmail know.

use std::fmt;
use std::process::ExitCode;

use crate::exit::Exit;
use crate::report::{Failure, Kind};

/// One code of `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sysexit {
    /// 0: it is done, or will be without the caller.
    Ok = 0,
    /// 64: the call cannot be understood.
    Usage = 64,
    /// 65: the message cannot be sent as it is.
    Data = 65,
    /// 67: an addressee that nobody takes mail for.
    NoUser = 67,
    /// 69: refused for good.
    Unavailable = 69,
    /// 73: the spool cannot be written.
    CannotCreate = 73,
    /// 74: reading or writing failed.
    Io = 74,
    /// 75: not now; the same call may succeed later.
    Temporary = 75,
    /// 77: the principal may not do this.
    NoPermission = 77,
    /// 78: the configuration is wrong.
    Configuration = 78,
}

/// Why a message was not taken: a code for the caller, a line for whoever reads its log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(super) struct Trouble {
    pub(super) code: Sysexit,
    pub(super) text: String,
}

impl Trouble {
    pub(super) fn new(code: Sysexit, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    pub(super) fn data(text: impl fmt::Display) -> Self {
        Self::new(Sysexit::Data, text.to_string())
    }

    /// A failure of another command, in one line.
    pub(super) fn of(failure: &Failure) -> Self {
        let mut text = failure.what.clone();
        if let Some(quote) = &failure.quote {
            text.push_str(": ");
            text.push_str(&quote.text);
        }
        if let Some(cause) = failure.causes.first() {
            text.push_str(": ");
            text.push_str(&cause.cause);
            if let Some(fix) = &cause.fix {
                text.push_str("; ");
                text.push_str(fix);
            }
        }
        Self::new(Sysexit::of(failure), text)
    }
}

impl Sysexit {
    /// The code for a failure of another command.
    pub(super) const fn of(failure: &Failure) -> Self {
        match (failure.kind, failure.exit) {
            (_, Exit::Temporary) => Self::Temporary,
            (Kind::Configuration, _) => Self::Configuration,
            (Kind::Usage, _) => Self::Usage,
            (Kind::Message, _) => Self::Data,
            (Kind::Identity, _) | (_, Exit::Authentication) => Self::NoPermission,
            (Kind::Machine, _) => Self::Io,
            (Kind::Service | Kind::Network, _) => Self::Unavailable,
        }
    }
}

impl From<Sysexit> for ExitCode {
    fn from(code: Sysexit) -> Self {
        Self::from(code as u8)
    }
}
