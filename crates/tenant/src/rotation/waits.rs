//! The clock of a rotation, and who hears of waiting.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::apply::{Event, Progress};
use crate::timer::Timer;

/// The clock, and who hears of waiting.
pub(super) struct Waits {
    pub(super) timer: Arc<dyn Timer>,
    pub(super) progress: Arc<dyn Progress>,
}

impl Waits {
    pub(super) fn now(&self) -> Timestamp {
        self.timer.now()
    }

    /// Waits, and says for what.
    pub(super) async fn pause(&self, what: &str, pause: Duration) {
        self.progress.tell(&Event::Waiting {
            what: what.to_owned(),
            pause,
        });
        self.timer.wait(pause).await;
    }
}
