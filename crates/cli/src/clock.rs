//! The clock of the command.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

/// Measures from the moment it is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The time as it is.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A time as the Date field writes it (RFC 5322 §3.3), in UTC.
pub(crate) fn date_field(time: Timestamp) -> String {
    rfc2822::to_string(&time.to_zoned(TimeZone::UTC))
        .expect("a time of this machine has a year of four digits")
}

/// A duration in milliseconds with one decimal.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// A duration in milliseconds with three decimals, as a number.
pub(crate) fn ms_number(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// A time without its fraction of a second.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let time: Timestamp = "2024-07-11T11:46:42Z".parse().unwrap();
        assert_eq!(date_field(time), "Thu, 11 Jul 2024 11:46:42 +0000");
        assert_eq!(ms(Duration::from_micros(1250)), "1.2 ms");
    }
}
