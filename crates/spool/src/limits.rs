//! Every bound of the spool, with its unit, its reason and what happens there.

use std::time::Duration;

/// Octets of a body up to which it travels through the group commit, in memory.
///
/// A larger one is streamed to a segment file of its own. 256 KiB keeps a batch of
/// ordinary mail in one write and bounds what a single submission can occupy.
pub const SMALL_BODY_OCTETS_MAX: usize = 256 * 1024;

/// Octets of all bodies staged in memory at one time, over all submitters.
///
/// Beyond it every further body goes to a file of its own, so that ten thousand
/// submitters cannot hold ten thousand buffers.
pub const STAGED_OCTETS_MAX: usize = 32 * 1024 * 1024;

/// Octets after which a shared segment is closed and another begun.
///
/// A segment is removed when its last message is settled: a small one is freed sooner,
/// a large one costs fewer directory syncs.
pub const SEGMENT_OCTETS_MAX: u64 = 32 * 1024 * 1024;

/// A closed segment is compacted when less than one in so many of its octets is needed.
pub const COMPACT_BELOW: i64 = 4;

/// Octets of a segment below which compacting it is not worth a write.
pub const COMPACT_OCTETS_MIN: i64 = 1024 * 1024;

/// Messages moved by one compaction.
pub const COMPACT_MESSAGES_MAX: i64 = 2000;

/// Octets of one body; a longer one is refused while it is staged.
///
/// Exchange Online takes at most 150 MB; the rest is room for other services.
pub const BODY_OCTETS_MAX: u64 = 1 << 30;

/// Submissions and other changes that share one commit.
pub const BATCH_JOBS_MAX: usize = 256;

/// Octets of bodies that share one write; a batch is cut there.
pub const BATCH_OCTETS_MAX: usize = 8 * 1024 * 1024;

/// Changes that may wait for the writer; further submitters wait to be queued.
pub const JOBS_WAITING_MAX: usize = 1024;

/// Octets read or written at a time when a large body is streamed.
pub const CHUNK_OCTETS: usize = 256 * 1024;

/// Messages touched by one commit of a change that goes by filter; the rest follows in further ones.
pub const BULK_MESSAGES_MAX: usize = 500;

/// Messages on one page of a listing.
pub const PAGE_MESSAGES_MAX: usize = 1000;

/// Messages handed out by one claim.
pub const CLAIM_MESSAGES_MAX: usize = 256;

/// Attempts kept in a message's history; the oldest but the first go.
pub const ATTEMPTS_KEPT_MAX: u32 = 100;

/// Events kept in a message's history; the oldest go.
pub const EVENTS_KEPT_MAX: u32 = 100;

/// Octets of a reply, a reason's text or another remark as it is kept; the rest is cut.
pub const REMARK_OCTETS_MAX: usize = 4096;

/// Octets of a reason word (`token`, `mailbox-full`); it is a counter's key.
pub const REASON_OCTETS_MAX: usize = 64;

/// Octets of a note or of a message's memo.
pub const NOTE_OCTETS_MAX: usize = 64 * 1024;

/// How long it is known that somebody has retried a mailbox's messages: whoever delivers looks
/// far more often.
pub const RETRIED_KEPT: Duration = Duration::from_hours(1);

/// Octets of a de-duplication key.
pub const KEY_OCTETS_MAX: usize = 256;

/// Octets of one header line of an export; a longer one is not ours.
pub const EXPORT_LINE_OCTETS_MAX: usize = 16 * 1024 * 1024;

/// Pages of the write-ahead log after which it is folded into the index file.
pub const WAL_PAGES_MAX: i32 = 2000;

/// Milliseconds a change waits for another process that writes to the same spool.
pub const BUSY_WAIT_MS: u64 = 10_000;

/// Milliseconds the integrity check may take before the spool opens; it is finished later on demand.
pub const START_CHECK_MS: u64 = 1000;

/// Damaged messages an integrity check names; all are set aside.
pub const FINDINGS_MAX: usize = 1000;

/// Kibibytes of index pages the writer keeps in memory.
pub const WRITER_CACHE_KIB: i64 = 16 * 1024;

/// Kibibytes of index pages each reader keeps in memory.
pub const READER_CACHE_KIB: i64 = 4 * 1024;

/// Readers kept open for the next question.
pub const READERS_KEPT_MAX: usize = 4;

const _: () = assert!(SMALL_BODY_OCTETS_MAX < BATCH_OCTETS_MAX);
const _: () = assert!(BATCH_OCTETS_MAX as u64 <= SEGMENT_OCTETS_MAX);
const _: () = assert!(BULK_MESSAGES_MAX <= PAGE_MESSAGES_MAX);
