//! Time and waiting, handed in.

use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use sendas_entra::{Clock as _, SystemClock};

use crate::limits::{REPLICATION_MS_FIRST, REPLICATION_MS_MAX};

/// Tells the time and waits. A test moves the service's clock instead of waiting.
pub trait Timer: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Ends after this long.
    fn wait(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The machine's clock, and tokio's timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemTimer;

impl Timer for SystemTimer {
    fn now(&self) -> Timestamp {
        SystemClock::new().now().wall
    }

    fn wait(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(time))
    }
}

/// The growing pauses between readings back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    spent: Duration,
    limit: Duration,
}

impl Backoff {
    /// Pauses that add up to no more than `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            next: Duration::from_millis(REPLICATION_MS_FIRST),
            spent: Duration::ZERO,
            limit,
        }
    }

    /// What is left of the limit after the pauses so far.
    pub(crate) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.spent)
    }

    /// The next pause; none when the limit is reached.
    pub(crate) fn pause(&mut self) -> Option<Duration> {
        let pause = self.next.min(self.limit.saturating_sub(self.spent));
        if pause.is_zero() {
            return None;
        }
        self.spent += pause;
        self.next = (self.next * 2).min(Duration::from_millis(REPLICATION_MS_MAX));
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_at_the_limit() {
        let mut backoff = Backoff::new(Duration::from_secs(40));
        let pauses: Vec<u64> = std::iter::from_fn(|| backoff.pause())
            .map(|pause| pause.as_secs())
            .collect();
        assert_eq!(pauses, [3, 6, 12, 19]);
    }
}
