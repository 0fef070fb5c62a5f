//! The time, handed in.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// One reading of both clocks.
///
/// The wall clock says what claims and certificates mean; the steady clock measures waiting, so
/// that a clock that is set back does not stretch a cool-down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// UTC, as good as the machine knows it.
    pub wall: Timestamp,
    /// Time since some fixed start of this process; never goes back.
    pub steady: Duration,
}

/// Tells the time. Implementers must never let [`Moment::steady`] go back.
pub trait Clock: Send + Sync {
    /// Both clocks, read together.
    fn now(&self) -> Moment;
}

/// The clocks of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock(());

impl SystemClock {
    /// The clocks of the machine; all values of this type agree.
    pub fn new() -> Self {
        Self(())
    }
}

/// Where the steady clock of this process begins.
static START: OnceLock<Instant> = OnceLock::new();

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Moment {
        let start = *START.get_or_init(Instant::now);
        Moment {
            wall: Timestamp::now(),
            steady: start.elapsed(),
        }
    }
}
