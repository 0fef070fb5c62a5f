//! Bounds of the queue commands, with their reasons.

use std::time::Duration;

/// How long a removed message is kept, so that the removal can be undone.
pub(super) const UNDO_WINDOW: Duration = Duration::from_mins(10);

/// Messages up to which a question is answered with `y`; beyond it with their number.
pub(super) const EASY_QUESTION_MAX: u64 = 20;

/// How long giving up one message may take before others may have it again.
pub(super) const BOUNCE_LEASE: Duration = Duration::from_mins(1);

/// Octets of a header that are shown or returned in a notice; the rest is cut.
pub(super) const HEADER_SHOWN_OCTETS_MAX: usize = 64 * 1024;

/// Messages of a flush beyond which its price is told.
pub(super) const FLUSH_WARN_MIN: u64 = 100;
