//! Checksums over the index's rows: a flipped bit in a page is seen before the row is believed.

use aws_lc_rs::digest;

/// Octets of a seal: the first half of a SHA-256.
pub(crate) const SEAL_OCTETS: usize = 16;

/// The checksum of one row.
pub(crate) type Seal = [u8; SEAL_OCTETS];

/// Collects a row's fields; each with its length, so that no two rows read the same.
pub(crate) struct Sealer {
    octets: Vec<u8>,
}

impl Sealer {
    /// Begins a seal for one kind of row.
    pub(crate) fn new(kind: &str) -> Self {
        let mut sealer = Self {
            octets: Vec::with_capacity(512),
        };
        sealer.text(kind);
        sealer
    }

    pub(crate) fn number(&mut self, value: i64) -> &mut Self {
        self.octets.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn maybe(&mut self, value: Option<i64>) -> &mut Self {
        self.octets.push(u8::from(value.is_some()));
        self.number(value.unwrap_or(0))
    }

    pub(crate) fn blob(&mut self, value: &[u8]) -> &mut Self {
        self.octets
            .extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.octets.extend_from_slice(value);
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.blob(value.as_bytes())
    }

    pub(crate) fn finish(&self) -> Seal {
        digest::digest(&digest::SHA256, &self.octets).as_ref()[..SEAL_OCTETS]
            .try_into()
            .expect("SHA-256 is longer than a seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_together() {
        let one = Sealer::new("k").text("ab").text("c").finish();
        let two = Sealer::new("k").text("a").text("bc").finish();
        assert_ne!(one, two);
        let none = Sealer::new("k").maybe(None).finish();
        let zero = Sealer::new("k").maybe(Some(0)).finish();
        assert_ne!(none, zero);
    }
}
