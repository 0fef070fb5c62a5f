//! What can go wrong, sorted by who must act.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::id::MessageId;
use crate::message::State;

/// Why a verb of the spool did not do its work.
///
/// Nothing of the change has been kept, except where [`SpoolError::Failed`] stands: then it is
/// unknown, and the caller must treat it as not done.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// No room on the disk, or no quota. Worth another try later; a listener answers `452`.
    #[error("the spool's disk is full")]
    Full(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// Another process writes to the spool and does not finish. Worth another try later.
    #[error("another process keeps the spool busy")]
    Busy,
    /// A disk call failed, without consequences for what is stored. Worth another try later.
    #[error("the spool's disk reports an error")]
    Disk(#[source] Arc<io::Error>),
    /// A sync or the index failed: the store refuses all further work until it is opened anew.
    #[error("the spool has failed and takes no more work: {0}")]
    Failed(#[source] Arc<Fault>),
    /// The spool has been closed.
    #[error("the spool is closed")]
    Closed,
    /// No message has this id.
    #[error("no message {0} in the spool")]
    NotFound(MessageId),
    /// No message's id begins so.
    #[error("no message in the spool begins with “{0}”")]
    NoMatch(String),
    /// More than one message's id begins so.
    #[error("“{0}” is the beginning of more than one message's id")]
    Ambiguous(String),
    /// The claim has ended: its lease ran out and the message was given away or changed.
    #[error("the claim on {0} has ended")]
    Stale(MessageId),
    /// The message's record or body does not match its checksum; it has been set aside.
    #[error("message {id} is damaged and has been set aside: {what}")]
    Damaged {
        /// Which one.
        id: MessageId,
        /// What does not match.
        what: String,
    },
    /// The message's state does not allow the change.
    #[error("message {id} is {state}: it cannot be {verb}")]
    State {
        /// Which one.
        id: MessageId,
        /// Its state.
        state: State,
        /// What was wanted, as a participle.
        verb: &'static str,
    },
    /// A value passes a bound of [`crate::limits`].
    #[error("{what} passes the limit of {max}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// The body is no longer kept: every recipient has its outcome.
    #[error("the body of {0} is no longer kept")]
    BodyGone(MessageId),
    /// The index answered a question with an error.
    #[error("the spool's index reports an error")]
    Index(#[source] Arc<rusqlite::Error>),
    /// An import does not have the form of an export.
    #[error("the import is not readable after {messages} messages: {what}")]
    Import {
        /// Messages imported before.
        messages: u64,
        /// What is wrong.
        what: String,
    },
}

/// The failure after which a store refuses all work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A sync failed: what it should have made durable may be lost, whatever a second call says.
    #[error("{what} could not be synced")]
    Sync {
        /// The file or folder.
        what: String,
        /// The system's words.
        source: io::Error,
    },
    /// The index failed where it must not: reading, writing or committing.
    #[error("the index failed")]
    Index(#[from] rusqlite::Error),
    /// The writer ended without being asked.
    #[error("the writer has ended")]
    Writer,
}

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A file or folder could not be made, read, locked or synced.
    #[error("{path}: {what}", path = path.display())]
    Disk {
        /// Which one.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: io::Error,
    },
    /// The index cannot be opened or read.
    #[error("the spool's index cannot be opened")]
    Index(#[from] rusqlite::Error),
    /// The file is an SQLite database, but not a spool.
    #[error("{path} is a database, but not a spool of this program", path = .0.display())]
    NotASpool(PathBuf),
    /// A program more than one version newer has written it.
    #[error(
        "the spool has version {found}; this program knows {known} and can come back from {known} + 1 only"
    )]
    TooNew {
        /// The spool's version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// The index would not promise durability.
    #[error("the index does not keep {pragma} at {wanted}: it says {found}")]
    NotDurable {
        /// The setting.
        pragma: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// The integrity check found damage in the index.
    #[error("the spool's index is damaged: {0}")]
    Corrupt(String),
    /// The index's log is damaged in its middle: opening it would cut off what lies behind.
    #[error(
        "{path} is damaged: {commits} commits behind the damage would be lost; restore a backup, or \
         move the file away to go on without whatever it holds",
        path = path.display()
    )]
    LogDamaged {
        /// The log.
        path: PathBuf,
        /// Commits behind the damage.
        commits: u64,
    },
    /// The writer's thread could not be started.
    #[error("the spool's writer cannot be started")]
    Thread(#[source] io::Error),
}

impl SpoolError {
    /// Whether the same call may succeed later without anybody's help.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Busy | Self::Disk(_))
    }

    /// Sorts an error of a file call that is not a sync.
    pub(crate) fn from_disk(error: io::Error) -> Self {
        if is_full(&error) {
            Self::Full(Arc::new(error))
        } else {
            Self::Disk(Arc::new(error))
        }
    }

    /// Sorts an error of a question to the index.
    pub(crate) fn from_index(error: rusqlite::Error) -> Self {
        match index_trouble(&error) {
            Trouble::Full => Self::Full(Arc::new(error)),
            Trouble::Busy => Self::Busy,
            Trouble::Fatal | Trouble::Other => Self::Index(Arc::new(error)),
        }
    }
}

impl From<rusqlite::Error> for SpoolError {
    fn from(error: rusqlite::Error) -> Self {
        Self::from_index(error)
    }
}

/// What an error of the index means for a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Full,
    Busy,
    Fatal,
    Other,
}

/// Sorts an error of the index.
///
/// An I/O error, wherever SQLite met it, is fatal: a sync may be behind it, and the state of the
/// write-ahead log is unknown. A full disk is told by SQLite before anything is committed.
pub(crate) fn index_trouble(error: &rusqlite::Error) -> Trouble {
    use rusqlite::ErrorCode as C;
    match error.sqlite_error_code() {
        Some(C::DiskFull) => Trouble::Full,
        Some(C::DatabaseBusy | C::DatabaseLocked) => Trouble::Busy,
        Some(
            C::SystemIoFailure
            | C::DatabaseCorrupt
            | C::NotADatabase
            | C::CannotOpen
            | C::ReadOnly
            | C::PermissionDenied
            | C::FileLockingProtocolFailed,
        ) => Trouble::Fatal,
        _ => Trouble::Other,
    }
}

/// Whether the system says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
