//! Seeded chance: ids, secrets and session numbers repeat when the seed does.
//!
//! Never used for keys: the certificate and token-signing keys come from the crypto provider.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::canary::SECRET_MARK;

/// A `SplitMix64` sequence behind a lock.
#[derive(Debug)]
pub(crate) struct Chance {
    state: Mutex<u64>,
}

impl Chance {
    /// Starts the sequence of `seed`.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self {
            state: Mutex::new(seed),
        }
    }

    /// Starts a sequence nobody can foresee.
    pub(crate) fn unforeseen() -> Self {
        let mut octets = [0; 8];
        aws_lc_rs::rand::fill(&mut octets).expect("the system's random source answers");
        Self::seeded(u64::from_le_bytes(octets))
    }

    /// The next 64 bits.
    pub(crate) fn next(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A random GUID (version 4).
    pub(crate) fn guid(&self) -> Uuid {
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&self.next().to_be_bytes());
        octets[8..].copy_from_slice(&self.next().to_be_bytes());
        uuid::Builder::from_random_bytes(octets).into_uuid()
    }

    /// `octets` random octets as unpadded base64url.
    pub(crate) fn text(&self, octets: usize) -> String {
        let raw: Vec<u8> = std::iter::repeat_with(|| self.next().to_le_bytes())
            .flatten()
            .take(octets)
            .collect();
        URL_SAFE_NO_PAD.encode(raw)
    }

    /// A secret shaped as Entra writes them, 40 characters with `8Q~` after the third, and marked.
    pub(crate) fn secret(&self) -> String {
        let text = self.text(30).replace('-', ".");
        format!("{}8Q~{SECRET_MARK}.{}", &text[..3], &text[3..23])
    }

    /// A password or token of the sandbox itself, marked.
    pub(crate) fn password(&self) -> String {
        format!("{SECRET_MARK}.{}", self.text(24))
    }

    /// Whether an event of probability `percent` in 100 happens.
    pub(crate) fn happens(&self, percent: u8) -> bool {
        self.next() % 100 < u64::from(percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (a, b) = (Chance::seeded(7), Chance::seeded(7));
        assert_eq!(a.guid(), b.guid());
        assert_eq!(a.secret(), b.secret());
        assert_ne!(Chance::seeded(8).guid(), Chance::seeded(7).guid());
    }

    #[test]
    fn a_secret_has_forty_characters() {
        assert_eq!(Chance::seeded(1).secret().len(), 40);
    }
}
