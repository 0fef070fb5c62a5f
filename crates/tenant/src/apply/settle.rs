//! Writes in a service whose servers learn of each other's writes late.

use std::time::Duration;

use super::Setup;
use crate::limits::REPLICATION_S_MAX;
use crate::timer::Backoff;
use crate::trouble::CallError;

/// How often a write that surely did not act is done again.
const WRITES_MAX: u32 = 3;

impl Setup {
    /// Does a write that makes something new.
    ///
    /// A refusal because something is not seen yet did not act: the write is done again after a
    /// pause. When the answer was lost, the thing is looked for until it shows or until it would
    /// surely have shown; only then is the write done again. "Exists already" is success, once the
    /// thing shows.
    pub(super) async fn make<T>(
        &self,
        what: &str,
        mut write: impl AsyncFnMut() -> Result<T, CallError>,
        mut look: impl AsyncFnMut() -> Result<Option<T>, CallError>,
    ) -> Result<T, CallError> {
        let mut early = self.window();
        let mut writes = 0;
        loop {
            writes += 1;
            let error = match write().await {
                Ok(made) => return Ok(made),
                Err(error) => error,
            };
            if error.is_early() {
                let Some(pause) = early.pause() else {
                    return Err(error);
                };
                self.pause(what.to_owned(), pause).await;
                writes -= 1;
                continue;
            }
            if !error.exists() && !error.may_have_acted() {
                return Err(error);
            }
            if let Some(found) = self.await_sight(what, self.window(), &mut look).await? {
                return Ok(found);
            }
            if error.exists() || writes >= WRITES_MAX {
                return Err(error);
            }
        }
    }

    /// Does a write that may be done again at will.
    pub(super) async fn set(
        &self,
        what: &str,
        mut write: impl AsyncFnMut() -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let mut backoff = self.window();
        loop {
            let error = match write().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if error.exists() {
                return Ok(());
            }
            let pause = backoff
                .pause()
                .filter(|_| error.is_early() || error.may_have_acted());
            let Some(pause) = pause else {
                return Err(error);
            };
            self.pause(what.to_owned(), pause).await;
        }
    }

    /// Looks with growing pauses until the thing shows; none when it has not within the pauses.
    pub(super) async fn await_sight<T>(
        &self,
        what: &str,
        mut backoff: Backoff,
        mut look: impl AsyncFnMut() -> Result<Option<T>, CallError>,
    ) -> Result<Option<T>, CallError> {
        loop {
            if let Some(found) = look().await? {
                return Ok(Some(found));
            }
            let Some(pause) = backoff.pause() else {
                return Ok(None);
            };
            self.pause(what.to_owned(), pause).await;
        }
    }

    /// Pauses that add up to the time after which every server has learned of a write.
    #[expect(
        clippy::unused_self,
        reason = "asked for beside `window_since`, in the same words"
    )]
    pub(super) fn window(&self) -> Backoff {
        Backoff::new(Duration::from_secs(REPLICATION_S_MAX))
    }

    /// What is left of that time for something begun then.
    pub(super) fn window_since(&self, begun: jiff::Timestamp) -> Backoff {
        let age = self.timer.now().duration_since(begun);
        let age = Duration::try_from(age).unwrap_or_default();
        Backoff::new(Duration::from_secs(REPLICATION_S_MAX).saturating_sub(age))
    }
}
