//! Growing waits with jitter, from a seed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::limits::{RETRY_FIRST, RETRY_LONGEST};

/// Chance that can be replayed (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

/// How waits grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait; each further one is twice as long.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: RETRY_FIRST,
            longest: RETRY_LONGEST,
        }
    }
}

impl Backoff {
    /// Waits that begin with `first` and are never shorter than it.
    pub fn from(first: Duration) -> Self {
        Self {
            first,
            longest: RETRY_LONGEST.max(first),
        }
    }

    /// The time of the next attempt after the `attempt`th, counted from 1: the wait, and up to a
    /// fifth more, so that what failed together does not come back together.
    pub fn at(self, attempt: u32, now: Timestamp, chance: &mut Chance) -> Timestamp {
        let doublings = attempt.saturating_sub(1).min(20);
        let wait = self.first.saturating_mul(1 << doublings).min(self.longest);
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 8);
        later(
            now,
            Duration::from_millis(millis + chance.below(millis / 5 + 1)),
        )
    }
}

impl Chance {
    /// The sequence that belongs to a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is above zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A time after another; the far future instead of an overflow.
pub(super) fn later(now: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait)
        .ok()
        .and_then(|wait| now.checked_add(wait).ok())
        .unwrap_or(Timestamp::MAX)
}
