//! BDAT framing (RFC 3030): a size announced, then exactly that many octets.

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::BODY_PIECE_OCTETS_MAX;

/// Writes `BDAT octets` or `BDAT octets LAST`; the octets follow as they are.
pub fn write_command(octets: u64, last: bool, out: &mut BytesMut) {
    out.put_slice(b"BDAT ");
    out.put_slice(octets.to_string().as_bytes());
    out.put_slice(if last {
        b" LAST\r\n".as_slice()
    } else {
        b"\r\n"
    });
}

/// Counts the octets of one chunk out of a growing buffer.
#[derive(Clone, Copy, Debug)]
pub struct ChunkReader {
    left: u64,
}

impl ChunkReader {
    /// A chunk of that many octets.
    pub const fn new(octets: u64) -> Self {
        Self { left: octets }
    }

    /// Whether every octet has been handed on.
    pub const fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Hands on what has arrived of it, without a copy; `None` when nothing has.
    pub fn next(&mut self, input: &mut BytesMut) -> Option<Bytes> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let take = wanted.min(input.len()).min(BODY_PIECE_OCTETS_MAX);
        if take == 0 {
            return None;
        }
        self.left -= take as u64;
        Some(input.split_to(take).freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_takes_an_octet_too_many() {
        let mut input = BytesMut::from(&b"12345NOOP\r\n"[..]);
        let mut chunk = ChunkReader::new(5);
        assert_eq!(chunk.next(&mut input).unwrap(), "12345");
        assert!(chunk.is_done() && chunk.next(&mut input).is_none());
        assert_eq!(&input[..], b"NOOP\r\n");
    }

    proptest::proptest! {
        #[test]
        fn any_cut_gives_the_same_octets(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), cut in 0usize..200) {
            let cut = cut.min(body.len());
            let mut chunk = ChunkReader::new(body.len() as u64);
            let (mut input, mut out) = (BytesMut::new(), Vec::new());
            for piece in [&body[..cut], &body[cut..]] {
                input.extend_from_slice(piece);
                while let Some(octets) = chunk.next(&mut input) {
                    out.extend_from_slice(&octets);
                }
            }
            proptest::prop_assert!(chunk.is_done());
            proptest::prop_assert_eq!(out, body);
        }
    }
}
