//! The one clock: the machine's time plus what the control has advanced.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

/// Tells the sandbox's time, which may run ahead of the machine's.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_ms: AtomicI64,
    moved: Notify,
}

impl Clock {
    /// The sandbox's time.
    pub(crate) fn now(&self) -> Timestamp {
        let ahead = jiff::SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed));
        Timestamp::now()
            .checked_add(ahead)
            .unwrap_or(Timestamp::MAX)
    }

    /// Moves the sandbox's time forward and answers the new time.
    pub(crate) fn advance(&self, by: Duration) -> Timestamp {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let moved = self
            .ahead_ms
            .load(Ordering::Relaxed)
            .saturating_add(by_ms)
            .min(crate::limits::CLOCK_AHEAD_MS_MAX);
        self.ahead_ms.store(moved, Ordering::Relaxed);
        self.moved.notify_waiters();
        self.now()
    }

    /// Waits until `by` has passed on this clock, which may be moved meanwhile.
    pub(crate) async fn sleep(&self, by: Duration) {
        let until = self.now().checked_add(by).unwrap_or(Timestamp::MAX);
        loop {
            let moved = self.moved.notified();
            let left = until.duration_since(self.now());
            if !left.is_positive() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.unsigned_abs()) => {}
                () = moved => {}
            }
        }
    }

    /// How far the sandbox's time is ahead of the machine's.
    pub(crate) fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::Relaxed).unsigned_abs())
    }
}
