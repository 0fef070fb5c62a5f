//! Messages a minute of each client: pure, the steady time handed in.

use std::collections::HashMap;
use std::time::Duration;

/// Counts messages against each client's rate.
///
/// The rate is a bucket that fills evenly and holds one minute's messages, so that a client may
/// send its minute's share at once and no more than twice of it in any minute.
#[derive(Debug, Default)]
pub struct Meter {
    buckets: HashMap<String, Bucket>,
}

/// When the bucket will be full again: one value says all (GCRA).
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: Duration,
}

const MINUTE: Duration = Duration::from_mins(1);

impl Meter {
    /// Takes one message off a client's share; false when there is none left.
    pub fn take(&mut self, client: &str, per_minute: u32, now: Duration) -> bool {
        let cost = MINUTE / per_minute.max(1);
        let bucket = match self.buckets.get_mut(client) {
            Some(bucket) => bucket,
            None => self
                .buckets
                .entry(client.to_owned())
                .or_insert(Bucket { full_at: now }),
        };
        let full_at = bucket.full_at.max(now) + cost;
        // A minute's worth is what fits; the smallest rounding is forgiven.
        if full_at > now + MINUTE + Duration::from_millis(1) {
            return false;
        }
        bucket.full_at = full_at;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_share_and_then_evenly() {
        let mut meter = Meter::default();
        let at = Duration::from_secs;
        let taken = (0..40).filter(|_| meter.take("a", 30, at(5))).count();
        assert_eq!(taken, 30);
        assert!(meter.take("b", 30, at(5)), "clients do not share");
        assert!(!meter.take("a", 30, at(6)));
        assert!(meter.take("a", 30, at(7)));
        assert!(!meter.take("a", 30, at(7)));
        let taken = (0..40).filter(|_| meter.take("a", 30, at(200))).count();
        assert_eq!(taken, 30);
    }
}
