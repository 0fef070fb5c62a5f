//! Refused logins by address and by user name: pure, the steady time handed in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::limits::{LOGIN_DELAY_MAX, LOGIN_DELAY_MIN, LOGIN_MEMORY, LOGIN_MEMORY_ENTRIES_MAX};

/// Slows down whoever guesses passwords.
///
/// Every refusal doubles the delay of the next one from the same address, and of the next one
/// for the same user name, known or not. A right password clears the address only: who knows
/// one must not reopen the way to another.
#[derive(Debug, Default)]
pub struct Guard {
    entries: HashMap<Key, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    User(String),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    refusals: u32,
    last: Duration,
}

impl Guard {
    /// How long the answer to a login is to be kept back.
    pub fn delay(&self, peer: IpAddr, user: &str, now: Duration) -> Duration {
        let of = |key: &Key| {
            self.entries
                .get(key)
                .filter(|entry| entry.is_remembered(now))
                .map_or(0, |entry| entry.refusals)
        };
        let refusals = of(&address(peer)).max(of(&Key::User(user.to_owned())));
        match refusals.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => LOGIN_DELAY_MIN
                .saturating_mul(1 << doublings.min(16))
                .min(LOGIN_DELAY_MAX),
        }
    }

    /// A login was refused.
    pub fn refused(&mut self, peer: IpAddr, user: &str, now: Duration) {
        if self.entries.len() + 2 > LOGIN_MEMORY_ENTRIES_MAX {
            self.forget(now);
        }
        for key in [address(peer), Key::User(user.to_owned())] {
            let entry = self.entries.entry(key).or_insert(Entry {
                refusals: 0,
                last: now,
            });
            if !entry.is_remembered(now) {
                entry.refusals = 0;
            }
            entry.refusals = entry.refusals.saturating_add(1);
            entry.last = now;
        }
    }

    /// A login was right.
    pub fn accepted(&mut self, peer: IpAddr) {
        self.entries.remove(&address(peer));
    }

    /// Forgets what is old; when that is not enough, the older half.
    fn forget(&mut self, now: Duration) {
        self.entries.retain(|_, entry| entry.is_remembered(now));
        if self.entries.len() + 2 > LOGIN_MEMORY_ENTRIES_MAX {
            let mut times: Vec<Duration> = self.entries.values().map(|entry| entry.last).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            self.entries.retain(|_, entry| entry.last > median);
        }
    }
}

impl Entry {
    fn is_remembered(&self, now: Duration) -> bool {
        now.saturating_sub(self.last) < LOGIN_MEMORY
    }
}

/// IPv6 hosts own a /64; counting single addresses would count nothing.
fn address(peer: IpAddr) -> Key {
    Key::Address(match peer.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() >> 64 << 64).into()),
        four @ IpAddr::V4(_) => four,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_are_forgotten() {
        let (mut guard, now) = (Guard::default(), Duration::from_secs(1000));
        let (one, two): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!(guard.delay(one, "u", now), Duration::ZERO);
        for expected in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            guard.refused(one, "u", now);
            assert_eq!(guard.delay(one, "x", now), Duration::from_millis(expected));
        }
        assert_eq!(guard.delay(two, "u", now), LOGIN_DELAY_MAX, "by user too");
        assert_eq!(guard.delay(two, "x", now), Duration::ZERO);
        guard.accepted(one);
        assert_eq!(guard.delay(one, "x", now), Duration::ZERO);
        assert_eq!(guard.delay(one, "u", now + LOGIN_MEMORY), Duration::ZERO);
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut guard = Guard::default();
        for n in 0..60_000u32 {
            let peer = IpAddr::V4(n.to_be_bytes().into());
            guard.refused(peer, &format!("u{n}"), Duration::from_millis(n.into()));
            assert!(guard.entries.len() <= LOGIN_MEMORY_ENTRIES_MAX);
        }
    }

    #[test]
    fn neighbours_in_ipv6_are_one() {
        let mut guard = Guard::default();
        guard.refused("2001:db8::1".parse().unwrap(), "u", Duration::ZERO);
        let other = "2001:db8::2".parse().unwrap();
        assert!(guard.delay(other, "x", Duration::ZERO) > Duration::ZERO);
    }
}
