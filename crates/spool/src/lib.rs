//! The durable store of accepted submissions.
//!
//! Owns: messages from the moment they are accepted until every recipient has its outcome, and
//! their history for as long as the caller keeps it. Must not know: SMTP, the network, when to
//! try again, what a reply means.
//!
//! An index (SQLite, write-ahead log, a sync per commit) holds envelopes and states; bodies lie
//! beside it in append-only segment files, synced before the index commits. One writer makes
//! whatever has queued durable at once; readers do not wait for it.
//!
//! Only [`Disk`] touches files with bodies; `sim::SimDisk` (feature `sim`) stands in for it and
//! fails, tears and forgets. SQLite's own files are tested as real files: copied and cut at the
//! moment of a simulated power cut, and under `kill -9` and failing syncs at every system call.
//! `docs/reference/spool.md` says what that covers and what it does not.

pub mod limits;

mod accept;
mod backup;
mod body;
mod check;
mod claim;
mod clock;
mod compact;
mod disk;
mod error;
mod fate;
mod filter;
mod form;
mod id;
mod job;
mod manage;
mod message;
mod open;
mod port;
mod read;
mod record;
mod recover;
mod rows;
mod schema;
mod seal;
mod segment;
mod settle;
mod shared;
#[cfg(feature = "sim")]
pub mod sim;
mod spool;
mod stage;
mod submission;
mod sweep;
mod wal;
mod work;
mod writer;

pub use backup::BackupReport;
pub use body::{Body, LargeBody};
pub use check::{CheckDepth, CheckReport};
pub use compact::Compacted;
pub use disk::{Disk, DiskFile, DiskLock, RealDisk};
pub use error::{Fault, OpenError, SpoolError};
pub use filter::Filter;
pub use id::{IdError, IdPrefix, MessageId};
pub use manage::Change;
pub use message::{
    Attempt, AttemptReply, Delivery, Event, EventKind, Message, Origin, RecipientState, State,
    Step, Summary,
};
pub use open::Options;
pub use port::PortReport;
pub use read::{Count, MailboxDue, View};
pub use recover::Recovery;
pub use spool::Spool;
pub use stage::{Staged, Staging};
pub use submission::{Accepted, Claim, Outcome, Settled, Settlement, Submission, Verdict};
pub use sweep::Swept;
