//! Message ids: never reused, sortable by time, short enough to be typed.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Names one accepted submission for ever.
///
/// Shape: twelve characters of Crockford's base 32 in lower case; 40 bits of milliseconds
/// since 2026-01-01 (enough until 2060), then 20 bits that begin at random and count upwards.
/// The order of the text is the order of acceptance within one spool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(i64);

/// The beginning of a [`MessageId`], as people type it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdPrefix {
    first: i64,
    last: i64,
}

/// The text is not an id, nor the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a message id: 1 to 12 of the characters 0-9, a-z without i, l, o, u")]
pub struct IdError(String);

const CHARACTERS: u32 = 12;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const COUNT_BITS: u32 = 20;
/// 2026-01-01T00:00:00Z in milliseconds of the Unix epoch.
const EPOCH_MS: i64 = 1_767_225_600_000;
const LAST: i64 = (1 << 60) - 1;

impl MessageId {
    /// The id with this number.
    ///
    /// # Errors
    /// When the number is negative or has more than 60 bits.
    pub fn from_number(number: i64) -> Result<Self, IdError> {
        if (0..=LAST).contains(&number) {
            Ok(Self(number))
        } else {
            Err(IdError(number.to_string()))
        }
    }

    /// The smallest id that a message accepted at this time could have.
    pub(crate) fn first_at(time: Timestamp) -> Self {
        let ms = time.as_millisecond().saturating_sub(EPOCH_MS).max(0);
        Self(ms.saturating_mul(1 << COUNT_BITS).min(LAST))
    }

    /// The number as the index keeps it.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl IdPrefix {
    /// The smallest and the largest number that begin so.
    pub(crate) const fn range(self) -> (i64, i64) {
        (self.first, self.last)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; CHARACTERS as usize];
        let mut rest = self.0;
        for slot in text.iter_mut().rev() {
            *slot = ALPHABET[usize::try_from(rest & 31).expect("five bits fit")];
            rest >>= 5;
        }
        f.pad(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let prefix: IdPrefix = text.parse()?;
        if prefix.first == prefix.last {
            Ok(Self(prefix.first))
        } else {
            Err(IdError(text.to_owned()))
        }
    }
}

impl FromStr for IdPrefix {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refuse = || IdError(text.to_owned());
        let length = u32::try_from(text.len()).map_err(|_| refuse())?;
        if length == 0 || length > CHARACTERS {
            return Err(refuse());
        }
        let mut value: i64 = 0;
        for b in text.bytes() {
            let b = b.to_ascii_lowercase();
            let digit = ALPHABET.iter().position(|&a| a == b).ok_or_else(refuse)?;
            value = value << 5 | i64::try_from(digit).expect("a digit is below 32");
        }
        let open = 5 * (CHARACTERS - length);
        let first = value << open;
        Ok(Self {
            first,
            last: first | ((1 << open) - 1),
        })
    }
}

impl From<MessageId> for IdPrefix {
    fn from(id: MessageId) -> Self {
        Self {
            first: id.0,
            last: id.0,
        }
    }
}

/// Gives ids out, each larger than all before, also when the clock goes back.
#[derive(Debug)]
pub(crate) struct IdSource {
    state: Mutex<(i64, u64)>,
}

impl IdSource {
    /// Continues after `last`; `seed` decides where each millisecond begins.
    pub(crate) fn new(last: i64, seed: u64) -> Self {
        Self {
            state: Mutex::new((last, seed)),
        }
    }

    /// The next id.
    pub(crate) fn next(&self, now: Timestamp) -> MessageId {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, seed) = &mut *state;
        let ms = (now.as_millisecond() - EPOCH_MS).clamp(0, LAST >> COUNT_BITS);
        let start = ms << COUNT_BITS;
        let next = if start > *last {
            // The upper half of the count stays free for what follows within the millisecond.
            start | i64::try_from(step(seed) >> 45).expect("19 bits fit")
        } else {
            *last + 1
        };
        *last = next.min(LAST);
        MessageId(*last)
    }
}

/// One step of splitmix64.
pub(crate) fn step(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_both_ways_in_order() {
        let mut before = String::new();
        for number in [0, 1, 31, 32, 1 << 20, (1 << 54) + 12345, LAST] {
            let id = MessageId::from_number(number).unwrap();
            let text = id.to_string();
            assert_eq!(text.len(), 12);
            assert_eq!(text.parse::<MessageId>().unwrap(), id);
            assert_eq!(text.to_uppercase().parse::<MessageId>().unwrap(), id);
            assert!(before < text);
            before = text;
        }
        assert!(MessageId::from_number(-1).is_err());
        assert!(MessageId::from_number(LAST + 1).is_err());
        for text in ["", "0", "il", "0123456789abc", "00000000000u", "é"] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
    }

    #[test]
    fn prefixes_are_ranges() {
        let id: MessageId = "0123456789ab".parse().unwrap();
        for length in 1..=12 {
            let prefix: IdPrefix = "0123456789ab"[..length].parse().unwrap();
            let (first, last) = prefix.range();
            assert!((first..=last).contains(&id.number()));
        }
        assert_eq!(IdPrefix::from(id).range(), (id.number(), id.number()));
    }

    #[test]
    fn never_back_never_twice() {
        let source = IdSource::new(0, 7);
        let noon: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let past: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
        let mut last = source.next(noon);
        for now in [noon, noon, past, noon, past] {
            for _ in 0..1000 {
                let id = source.next(now);
                assert!(id > last);
                last = id;
            }
        }
        let later = source.next("2026-11-23T12:00:01Z".parse().unwrap());
        assert!(later.number() >> COUNT_BITS > last.number() >> COUNT_BITS);
        let again = IdSource::new(later.number(), 7);
        assert!(again.next(past) > later);
    }
}
