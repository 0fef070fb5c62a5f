//! DATA framing (RFC 5321 §4.5.2): dots are stuffed, and only `CRLF . CRLF` ends the message.

use bytes::{Bytes, BytesMut};

use crate::limits::BODY_PIECE_OCTETS_MAX;

/// Stuffs dots on the way out, piece by piece.
///
/// The body must have CRLF line ends only; see [`LineCheck`]. The state is what the last octets
/// were, so that a dot is seen as the first of its line wherever the pieces are cut.
#[derive(Clone, Copy, Debug)]
pub struct DotWriter {
    tail: Tail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    LineStart,
    Inside,
    Cr,
}

impl Default for DotWriter {
    fn default() -> Self {
        Self {
            tail: Tail::LineStart,
        }
    }
}

impl DotWriter {
    /// Appends the stuffed form of a piece.
    pub fn write(&mut self, piece: &[u8], out: &mut BytesMut) {
        out.reserve(piece.len() + 2);
        let mut from = 0;
        if self.tail == Tail::LineStart && piece.first() == Some(&b'.') {
            out.extend_from_slice(b".");
        }
        // Only a dot can need stuffing, and dots are rarer than line ends.
        for dot in memchr::memchr_iter(b'.', piece) {
            let starts_line = match dot {
                0 => false,
                1 => self.tail == Tail::Cr && piece[0] == b'\n',
                _ => piece[dot - 2..dot] == *b"\r\n",
            };
            if starts_line {
                out.extend_from_slice(&piece[from..dot]);
                out.extend_from_slice(b".");
                from = dot;
            }
        }
        out.extend_from_slice(&piece[from..]);
        self.tail = match piece {
            [] => self.tail,
            [b'\n'] if self.tail == Tail::Cr => Tail::LineStart,
            [.., b'\r', b'\n'] => Tail::LineStart,
            [.., b'\r'] => Tail::Cr,
            _ => Tail::Inside,
        };
    }

    /// Appends the end of the message, completing a last line without CRLF first.
    pub fn finish(self, out: &mut BytesMut) {
        out.extend_from_slice(match self.tail {
            Tail::LineStart => b".\r\n",
            Tail::Inside | Tail::Cr => b"\r\n.\r\n",
        });
    }
}

/// What a reader does with a CR or LF that is not part of a CRLF, and with NUL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEndings {
    /// It is an error: peers disagree on what it means, and smuggling lives on that.
    #[default]
    Strict,
    /// A bare CR or LF becomes CRLF; NUL is still an error. The end of the message is still
    /// only `CRLF . CRLF` as sent.
    Normalize,
    /// Octets are handed on as they are.
    Keep,
}

/// Why a body is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message holds a bare CR, bare LF or NUL")]
pub struct BareLineEnd;

/// Unstuffs dots on the way in and finds the end.
#[derive(Clone, Copy, Debug)]
pub struct DotReader {
    line_start: bool,
    endings: LineEndings,
}

/// What [`DotReader::next`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Octets of the body.
    Body(Bytes),
    /// The end; the octets after it are the next command's.
    End,
}

impl DotReader {
    /// A reader at the first octet after the `354`.
    pub const fn new(endings: LineEndings) -> Self {
        Self {
            line_start: true,
            endings,
        }
    }

    /// The next piece, or `None` until more octets have arrived. Without a copy, but for a line
    /// end that is normalized.
    ///
    /// # Errors
    /// [`BareLineEnd`] as [`LineEndings`] says; where the message ends is then unknown, so the
    /// connection must be closed.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, BareLineEnd> {
        if self.line_start && input.first() == Some(&b'.') {
            match &input[1..] {
                [] | [b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] => {
                    drop(input.split_to(3));
                    return Ok(Some(Piece::End));
                }
                // Any other line that begins with a dot loses it (RFC 5321 §4.5.2).
                _ => {
                    drop(input.split_to(1));
                    self.line_start = false;
                }
            }
        }
        self.body(input)
    }

    /// Hands on octets up to a dot at the start of a line, or an octet that needs a decision.
    fn body(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, BareLineEnd> {
        let limit = input.len().min(BODY_PIECE_OCTETS_MAX);
        let mut at = 0;
        while at < limit {
            let Some(n) = memchr::memchr3(b'\r', b'\n', 0, &input[at..limit]) else {
                at = limit;
                self.line_start = false;
                break;
            };
            let odd = at + n;
            match (input[odd], input.get(odd + 1)) {
                (b'\r', Some(b'\n')) => {
                    at = odd + 2;
                    self.line_start = true;
                    if input.get(at) == Some(&b'.') {
                        break;
                    }
                }
                // A CR at the end waits for what follows it.
                (b'\r', None) => {
                    if odd > at {
                        self.line_start = false;
                    }
                    at = odd;
                    break;
                }
                _ => match self.endings {
                    LineEndings::Strict => return Err(BareLineEnd),
                    LineEndings::Keep => {
                        at = odd + 1;
                        self.line_start = false;
                    }
                    LineEndings::Normalize if input[odd] == 0 => return Err(BareLineEnd),
                    LineEndings::Normalize => {
                        if odd > 0 {
                            at = odd;
                            self.line_start = false;
                            break;
                        }
                        drop(input.split_to(1));
                        // A line, but not one whose dot could end the message.
                        self.line_start = false;
                        return Ok(Some(Piece::Body(Bytes::from_static(b"\r\n"))));
                    }
                },
            }
        }
        Ok((at > 0).then(|| Piece::Body(input.split_to(at).freeze())))
    }
}

/// Checks that a stream has no bare CR, bare LF or NUL, piece by piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCheck {
    after_cr: bool,
}

impl LineCheck {
    /// Looks at the next piece.
    ///
    /// # Errors
    /// [`BareLineEnd`] at the first octet that is not allowed.
    pub fn check(&mut self, piece: &[u8]) -> Result<(), BareLineEnd> {
        let mut rest = piece;
        if self.after_cr {
            match rest.split_first() {
                None => return Ok(()),
                Some((b'\n', tail)) => rest = tail,
                Some(_) => return Err(BareLineEnd),
            }
            self.after_cr = false;
        }
        while let Some(n) = memchr::memchr3(b'\r', b'\n', 0, rest) {
            match (rest[n], rest.get(n + 1)) {
                (b'\r', Some(b'\n')) => rest = &rest[n + 2..],
                (b'\r', None) => {
                    self.after_cr = true;
                    return Ok(());
                }
                _ => return Err(BareLineEnd),
            }
        }
        Ok(())
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// [`BareLineEnd`] when its last octet was a CR.
    pub const fn finish(self) -> Result<(), BareLineEnd> {
        if self.after_cr {
            Err(BareLineEnd)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuff(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut writer, mut out) = (DotWriter::default(), BytesMut::new());
        for piece in pieces {
            writer.write(piece, &mut out);
        }
        writer.finish(&mut out);
        out.to_vec()
    }

    /// Body, octets left over, and whether the end was found.
    fn unstuff(
        endings: LineEndings,
        pieces: &[&[u8]],
    ) -> Result<(Vec<u8>, Vec<u8>, bool), BareLineEnd> {
        let (mut reader, mut input, mut body) =
            (DotReader::new(endings), BytesMut::new(), Vec::new());
        let mut ended = false;
        for piece in pieces {
            input.extend_from_slice(piece);
            while !ended {
                match reader.next(&mut input)? {
                    Some(Piece::Body(octets)) => body.extend_from_slice(&octets),
                    Some(Piece::End) => ended = true,
                    None => break,
                }
            }
        }
        Ok((body, input.to_vec(), ended))
    }

    #[test]
    fn stuffs_dots_at_the_start_of_lines() {
        assert_eq!(
            stuff(&[b".a\r\n..\r\nb.c\r\n\r\n.\r\n"]),
            b"..a\r\n...\r\nb.c\r\n\r\n..\r\n.\r\n"
        );
        assert_eq!(stuff(&[b"a\r", b"\n", b".b"]), b"a\r\n..b\r\n.\r\n");
        assert_eq!(stuff(&[]), b".\r\n");
    }

    #[test]
    fn only_crlf_dot_crlf_ends() {
        for form in [
            &b"\n.\n"[..],
            b"\n.\r\n",
            b"\r\n.\n",
            b"\n.\r",
            b"\r.\r",
            b"\r.\n",
            b"\r.\r\n",
            b"\r\n.\r",
            b"\r\n.\r\r\n",
            b"\r\r\n.\r\r\n",
            b"\r\n\0.\r\n",
            b"\r\n.\0\r\n",
            b"\r\n.\x0b\r\n",
            b"\r\n. \r\n",
            b"\r\n.\t\r\n",
            b"\r\n .\r\n",
            b"\r\n..\r\n",
            b"\r\n...\r\n",
            b"\xc2\x85.\xc2\x85",
            b"\r\n\xef\xbc\x8e\r\n",
            b"\r\n.\x8d\x8a",
            b"\xc0\x8a.\xc0\x8a",
            b"\r\n.",
        ] {
            for endings in [
                LineEndings::Strict,
                LineEndings::Normalize,
                LineEndings::Keep,
            ] {
                let octets = [b"x", form, b"y"].concat();
                if let Ok((_, _, ended)) = unstuff(endings, &[&octets]) {
                    assert!(!ended, "{form:?} ended the message under {endings:?}");
                }
            }
        }
        let (body, rest, ended) = unstuff(LineEndings::Strict, &[b"x\r\n.\r\nNOOP\r\n"]).unwrap();
        assert!(ended);
        assert_eq!((&body[..], &rest[..]), (&b"x\r\n"[..], &b"NOOP\r\n"[..]));
    }

    #[test]
    fn the_first_line_may_be_the_end() {
        assert!(
            unstuff(LineEndings::Strict, &[b".", b"\r", b"\n"])
                .unwrap()
                .2
        );
    }

    #[test]
    fn normalizes_without_finding_an_end_that_was_not_sent() {
        let (body, _, ended) =
            unstuff(LineEndings::Normalize, &[b"a\nb\rc\n.\nd\r\n.\r\n"]).unwrap();
        assert!(ended);
        assert_eq!(body, b"a\r\nb\r\nc\r\n.\r\nd\r\n");
        assert!(unstuff(LineEndings::Normalize, &[b"a\0"]).is_err());
    }

    #[test]
    fn line_check_sees_across_pieces() {
        let check = |pieces: &[&[u8]]| {
            let mut check = LineCheck::default();
            pieces
                .iter()
                .try_for_each(|p| check.check(p))
                .and_then(|()| check.finish())
        };
        assert!(check(&[b"a\r", b"\nb\r\n"]).is_ok());
        for bad in [
            &[&b"a\r"[..], b"b"][..],
            &[b"a\n"],
            &[b"a\r"],
            &[b"\0"],
            &[b"a\r\r\n"],
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    fn body_octets() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
        use proptest::prelude::*;
        proptest::collection::vec(
            prop_oneof![
                Just(&b"\r\n"[..]),
                Just(&b"."[..]),
                Just(&b"a"[..]),
                Just(&b"\xff"[..])
            ],
            0..60,
        )
        .prop_map(|pieces| pieces.concat())
    }

    proptest::proptest! {
        #[test]
        fn any_cut_gives_the_same_octets(body in body_octets(), a in 0usize..80, b in 0usize..80) {
            let (a, b) = (a.min(body.len()), b.min(body.len()));
            let (a, b) = (a.min(b), a.max(b));
            let wire = stuff(&[&body]);
            proptest::prop_assert_eq!(&wire, &stuff(&[&body[..a], &body[a..b], &body[b..]]));
            let cut = a.min(wire.len());
            let (found, rest, ended) = unstuff(LineEndings::Strict, &[&wire[..cut], &wire[cut..]]).unwrap();
            proptest::prop_assert!(ended && rest.is_empty());
            let mut whole = body;
            if !(whole.is_empty() || whole.ends_with(b"\r\n")) {
                whole.extend_from_slice(b"\r\n");
            }
            proptest::prop_assert_eq!(found, whole);
        }

        #[test]
        fn hostile_octets_are_read_alike_in_any_pieces(
            octets in proptest::collection::vec(proptest::sample::select(b"a.\r\n\0".to_vec()), 0..40),
            cut in 0usize..40,
        ) {
            let cut = cut.min(octets.len());
            for endings in [LineEndings::Strict, LineEndings::Normalize, LineEndings::Keep] {
                let whole = unstuff(endings, &[&octets]);
                let parts = unstuff(endings, &[&octets[..cut], &octets[cut..]]);
                proptest::prop_assert_eq!(whole.as_ref().map(|w| (&w.0, w.2)).ok(), parts.as_ref().map(|p| (&p.0, p.2)).ok());
            }
        }
    }
}
