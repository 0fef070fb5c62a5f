//! Lines: cuts a stream at CRLF and nowhere else.

use bytes::{Bytes, BytesMut};

/// Cuts lines out of a growing buffer, remembering how far it has looked.
#[derive(Debug, Default)]
pub struct LineReader {
    searched: usize,
    /// A line over the limit is being thrown away.
    discarding: bool,
}

/// One line, or why it is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The octets before the CRLF.
    Whole(Bytes),
    /// It had more octets than allowed; none were kept.
    TooLong,
    /// It holds a bare CR, a bare LF or a NUL; none of it was kept.
    BareLineEnd,
}

impl LineReader {
    /// The next line, or `None` until its CRLF has arrived.
    ///
    /// `octets_max` counts the CRLF. A line that is too long is discarded as it arrives, so that
    /// the buffer never holds more than `octets_max` of it, and reported once it ends.
    pub fn next(&mut self, input: &mut BytesMut, octets_max: usize) -> Option<Line> {
        loop {
            let Some(n) = memchr::memchr(b'\n', &input[self.searched..]) else {
                self.searched = input.len();
                if input.len() > octets_max || self.discarding {
                    self.discard(input);
                }
                return None;
            };
            let end = self.searched + n;
            // Only CRLF ends a line; the LF stays part of it otherwise.
            if end == 0 || input[end - 1] != b'\r' {
                if end + 1 > octets_max {
                    self.discarding = true;
                }
                self.searched = end + 1;
                continue;
            }
            let mut line = input.split_to(end + 1);
            self.searched = 0;
            if std::mem::take(&mut self.discarding) || line.len() > octets_max {
                return Some(Line::TooLong);
            }
            line.truncate(line.len() - 2);
            if memchr::memchr3(b'\r', b'\n', 0, &line).is_some() {
                return Some(Line::BareLineEnd);
            }
            return Some(Line::Whole(line.freeze()));
        }
    }

    /// Whether the line that is arriving is already over the limit.
    pub const fn is_discarding(&self) -> bool {
        self.discarding
    }

    /// Throws away what has been searched, but a CR that may begin the line's end.
    fn discard(&mut self, input: &mut BytesMut) {
        self.discarding = true;
        let keep = usize::from(input.last() == Some(&b'\r'));
        let cut = input.len() - keep;
        drop(input.split_to(cut));
        self.searched = keep;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[&[u8]], max: usize) -> Vec<Line> {
        let (mut reader, mut buffer, mut out) = (LineReader::default(), BytesMut::new(), vec![]);
        for piece in input {
            buffer.extend_from_slice(piece);
            while let Some(line) = reader.next(&mut buffer, max) {
                out.push(line);
            }
            assert!(buffer.len() <= max + 1, "{} octets kept", buffer.len());
        }
        out
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn cuts_only_at_crlf() {
        assert_eq!(
            lines(&[b"NOOP\r\nQU", b"IT\r", b"\n"], 100),
            [whole("NOOP"), whole("QUIT")]
        );
        assert_eq!(lines(&[b"NOOP\nQUIT\r\n"], 100), [Line::BareLineEnd]);
        assert_eq!(lines(&[b"NO\rOP\r\n"], 100), [Line::BareLineEnd]);
        assert_eq!(
            lines(&[b"NO\0OP\r\n\r\n"], 100),
            [Line::BareLineEnd, whole("")]
        );
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let long = [b'x'; 50];
        assert_eq!(
            lines(&[&long, &long, b"\r", b"\nNOOP\r\n"], 20),
            [Line::TooLong, whole("NOOP")]
        );
        assert_eq!(lines(&[b"12345678\r\n"], 10), [whole("12345678")]);
        assert_eq!(lines(&[b"123456789\r\n"], 10), [Line::TooLong]);
        assert_eq!(
            lines(&[b"12345678901\n1234\n", b"\r\nNOOP\r\n"], 10),
            [Line::TooLong, whole("NOOP")]
        );
    }

    proptest::proptest! {
        #[test]
        fn the_cut_does_not_depend_on_the_pieces(
            octets in proptest::collection::vec(proptest::sample::select(b"ab\r\n\0".to_vec()), 0..60),
            cut in 0usize..60,
        ) {
            let cut = cut.min(octets.len());
            proptest::prop_assert_eq!(lines(&[&octets], 100), lines(&[&octets[..cut], &octets[cut..]], 100));
        }
    }
}
