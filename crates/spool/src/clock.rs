//! The one look at a clock: how long a batch took. Dates are handed in by the callers.

use std::time::Instant;

/// This moment, to measure from.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place; it measures durations and dates nothing"
)]
pub(crate) fn moment() -> Instant {
    Instant::now()
}
