//! A body as it lies in a segment: a head of 48 octets, then the body.
//!
//! Shape of the head: magic (8), length of the body (8, little endian), SHA-256 of the body (32).
//! Whoever reads compares the head with the index and the body with the head.

use aws_lc_rs::digest;

/// Octets of a head.
pub(crate) const HEAD_OCTETS: usize = 48;
/// Version 1 of the record's form.
const MAGIC: &[u8; 8] = b"sendas\0\x01";

/// SHA-256 of a body.
pub(crate) type Digest = [u8; 32];

/// Reckons the digest of a body that arrives in pieces.
pub(crate) struct Digester(digest::Context);

/// The head that belongs to a body.
pub(crate) fn head(octets: u64, digest: &Digest) -> [u8; HEAD_OCTETS] {
    let mut head = [0; HEAD_OCTETS];
    head[..8].copy_from_slice(MAGIC);
    head[8..16].copy_from_slice(&octets.to_le_bytes());
    head[16..].copy_from_slice(digest);
    head
}

impl Digester {
    pub(crate) fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub(crate) fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    pub(crate) fn finish(self) -> Digest {
        self.0
            .finish()
            .as_ref()
            .try_into()
            .expect("SHA-256 has 32 octets")
    }
}

/// SHA-256 of a whole body.
pub(crate) fn digest(body: &[u8]) -> Digest {
    let mut digester = Digester::new();
    digester.update(body);
    digester.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_changes_the_head_or_the_digest() {
        let body = b"Subject: x\r\n\r\nhello\r\n".to_vec();
        let good = digest(&body);
        let whole = head(body.len() as u64, &good);
        for bit in 0..HEAD_OCTETS * 8 {
            let mut bad = whole;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(bad, head(body.len() as u64, &good));
        }
        for bit in 0..body.len() * 8 {
            let mut bad = body.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(digest(&bad), good);
        }
    }
}
