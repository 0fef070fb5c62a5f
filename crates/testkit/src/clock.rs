//! Time that moves only when a test says so.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Runs `work` on a runtime of one thread whose time stands still and jumps to the next timer when
/// every task waits; returns what it gave and how much of that time passed.
///
/// Not for work that waits on sockets or processes: their answers come in real time, and the paused
/// clock would jump past every deadline meanwhile.
///
/// # Panics
/// When the runtime cannot be built.
pub fn paused<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread needs nothing from the machine");
    runtime.block_on(async {
        let began = tokio::time::Instant::now();
        let result = work.await;
        (result, began.elapsed())
    })
}

/// A wall clock in whole seconds since 1970 that a test sets and advances; clones share it.
#[derive(Debug, Clone)]
pub struct WallClock {
    unix_s: Arc<AtomicU64>,
}

impl WallClock {
    /// A clock that shows `unix_s` seconds since 1970.
    pub fn at(unix_s: u64) -> Self {
        Self {
            unix_s: Arc::new(AtomicU64::new(unix_s)),
        }
    }

    /// What the clock shows, in seconds since 1970.
    pub fn unix_s(&self) -> u64 {
        self.unix_s.load(Ordering::SeqCst)
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.unix_s.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

/// Waits for `condition` to hold, looking again each time another task has run; gives up after
/// `limit` of real time and says so by `false`.
pub async fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    tokio::time::timeout(limit, async {
        let mut pause = tokio::time::interval(Duration::from_millis(2));
        while !condition() {
            pause.tick().await;
        }
    })
    .await
    .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_days_pass_at_once() {
        let day = Duration::from_hours(24);
        let (answer, passed) = paused(async {
            tokio::time::sleep(5 * day).await;
            42
        });
        assert_eq!((answer, passed), (42, 5 * day));
    }

    #[test]
    fn a_wall_clock_is_shared_by_its_clones() {
        let clock = WallClock::at(1_700_000_000);
        let other = clock.clone();
        clock.advance(Duration::from_mins(1));
        assert_eq!(other.unix_s(), 1_700_000_060);
    }

    #[tokio::test]
    async fn eventually_sees_the_change_or_gives_up() {
        let clock = WallClock::at(0);
        let other = clock.clone();
        let task = tokio::spawn(async move { other.advance(Duration::from_secs(1)) });
        assert!(eventually(Duration::from_secs(5), || clock.unix_s() == 1).await);
        task.await.unwrap();
        assert!(!eventually(Duration::from_millis(10), || clock.unix_s() == 2).await);
    }
}
