//! Lines that are longer than a mail may have (RFC 5322 §2.1.1): refused, or cut.

use bytes::{Bytes, BytesMut};
use sendas_config::LongLines;

use crate::limits::{LINE_CUT_OCTETS, LINE_OCTETS_MAX};

/// A line with more than [`LINE_OCTETS_MAX`] octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong;

/// A body's lines, piece by piece.
///
/// Cut lines get a CRLF behind their last space, or where they would become too long, never
/// inside a character of UTF-8. Lines that are short enough are handed on as they came.
#[derive(Clone, Debug)]
pub struct Lines {
    rule: LongLines,
    /// Octets since the last LF, those in `held` included.
    column: usize,
    /// The end of a line that may have to be cut, until more of it is there.
    held: Bytes,
}

/// Octets that a line may have with its CRLF.
const WITH_END: usize = LINE_OCTETS_MAX + 2;

impl Lines {
    /// A body of which nothing has come.
    pub const fn new(rule: LongLines) -> Self {
        Self {
            rule,
            column: 0,
            held: Bytes::new(),
        }
    }

    /// Takes the next octets; `out` gets what is to be stored.
    ///
    /// # Errors
    /// [`LineTooLong`] where long lines are refused.
    pub fn push(&mut self, piece: Bytes, out: &mut Vec<Bytes>) -> Result<(), LineTooLong> {
        let mut rest = self.with_held(piece);
        while !rest.is_empty() {
            let Some(end) = self.line_end(&rest) else {
                // The line goes on behind what is there.
                let reach = self.column + rest.len();
                if reach < WITH_END {
                    self.column = reach;
                    self.hold(rest, out);
                    return Ok(());
                }
                if self.rule == LongLines::Refuse {
                    return Err(LineTooLong);
                }
                let at = cut(&rest, LINE_CUT_OCTETS.saturating_sub(self.column));
                out.push(rest.split_to(at));
                out.push(Bytes::from_static(b"\r\n"));
                self.column = 0;
                continue;
            };
            out.push(rest.split_to(end));
            self.column = 0;
        }
        Ok(())
    }

    /// The body has come whole.
    ///
    /// # Errors
    /// As [`Lines::push`].
    pub fn finish(self, out: &mut Vec<Bytes>) -> Result<(), LineTooLong> {
        if self.column > LINE_OCTETS_MAX && self.rule == LongLines::Refuse {
            return Err(LineTooLong);
        }
        let mut rest = self.held;
        let before = self.column - rest.len();
        if self.column > LINE_OCTETS_MAX && !rest.is_empty() {
            out.push(rest.split_to(cut(&rest, LINE_CUT_OCTETS.saturating_sub(before))));
            out.push(Bytes::from_static(b"\r\n"));
        }
        if !rest.is_empty() {
            out.push(rest);
        }
        Ok(())
    }

    fn with_held(&mut self, piece: Bytes) -> Bytes {
        if self.held.is_empty() {
            return piece;
        }
        let held = std::mem::take(&mut self.held);
        self.column -= held.len();
        let mut both = BytesMut::with_capacity(held.len() + piece.len());
        both.extend_from_slice(&held);
        both.extend_from_slice(&piece);
        both.freeze()
    }

    /// Behind the last LF that no overlong line comes before; none when the first line has no LF
    /// within its limit.
    fn line_end(&self, octets: &[u8]) -> Option<usize> {
        let mut end = 0;
        let mut room = WITH_END.saturating_sub(self.column);
        // Looked at from behind: one step for each window, however many lines it holds.
        while let Some(window) = octets.get(end..octets.len().min(end + room)) {
            let Some(last) = memchr::memrchr(b'\n', window) else {
                break;
            };
            end += last + 1;
            room = WITH_END;
        }
        (end > 0).then_some(end)
    }

    /// Hands on what surely stays as it is.
    fn hold(&mut self, mut rest: Bytes, out: &mut Vec<Bytes>) {
        let sure = match self.rule {
            LongLines::Refuse => rest.len(),
            // The last octets wait until it is known whether their line must be cut before them.
            LongLines::Wrap => LINE_CUT_OCTETS
                .saturating_sub(self.column - rest.len())
                .min(rest.len()),
        };
        if sure < rest.len() {
            self.held = rest.split_off(sure);
        }
        if !rest.is_empty() {
            out.push(rest);
        }
    }
}

/// Folds a header's overlong lines before a blank that is there; none when a line has none where
/// it is needed.
pub fn fold(header: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(header.len() + 64);
    for line in header.split_inclusive(|&octet| octet == b'\n') {
        let mut rest = line;
        while rest.len() > WITH_END {
            // A fold at the line's own first blank would leave an empty line.
            let at = rest[1..LINE_OCTETS_MAX]
                .iter()
                .rposition(|octet| matches!(octet, b' ' | b'\t'))?
                + 1;
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(b"\r\n");
            rest = &rest[at..];
        }
        out.extend_from_slice(rest);
    }
    Some(out)
}

/// Whether a header holds an overlong line.
pub fn is_overlong(header: &[u8]) -> bool {
    let mut lines = header.split_inclusive(|&octet| octet == b'\n');
    header.len() > LINE_OCTETS_MAX && lines.any(|line| line.len() > WITH_END)
}

/// Where to cut at most `most` octets in: behind the last space, else between two characters.
fn cut(octets: &[u8], most: usize) -> usize {
    let most = most.min(octets.len());
    if let Some(space) = memchr::memrchr(b' ', &octets[..most]) {
        return space + 1;
    }
    let is_inside = |at: &usize| octets.get(*at).is_some_and(|octet| octet & 0xc0 == 0x80);
    // A character has four octets; what is no UTF-8 is cut anywhere.
    (most..=most + 3).find(|at| !is_inside(at)).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(rule: LongLines, body: &[u8], cut: usize) -> Result<Vec<u8>, LineTooLong> {
        let (mut lines, mut out) = (Lines::new(rule), Vec::new());
        for piece in body.chunks(cut.max(1)) {
            lines.push(Bytes::copy_from_slice(piece), &mut out)?;
        }
        lines.finish(&mut out)?;
        Ok(out.concat())
    }

    fn longest(octets: &[u8]) -> usize {
        let lines = octets.split(|&octet| octet == b'\n');
        lines
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line).len())
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn a_line_may_have_998_octets() {
        for (octets, is_taken) in [
            (0, true),
            (997, true),
            (998, true),
            (999, false),
            (5000, false),
        ] {
            for end in [&b"\r\n"[..], b""] {
                let body = [b"first\r\n", &vec![b'x'; octets][..], end].concat();
                for cut in [1, 7, 999, 1000, 1001, 10_000] {
                    let refused = through(LongLines::Refuse, &body, cut);
                    assert_eq!(refused.is_ok(), is_taken, "{octets} {cut}");
                    let wrapped = through(LongLines::Wrap, &body, cut).unwrap();
                    assert!(longest(&wrapped) <= LINE_OCTETS_MAX, "{octets} {cut}");
                    assert_eq!(wrapped == body, is_taken, "{octets} {cut}");
                }
            }
        }
    }

    #[test]
    fn lines_are_cut_behind_a_space_or_between_characters() {
        let words = "word ".repeat(400);
        let wrapped = through(LongLines::Wrap, words.as_bytes(), 10_000).unwrap();
        let text = String::from_utf8(wrapped).unwrap();
        assert!(text.lines().all(|line| line.ends_with("word ")));
        assert_eq!(text.replace("\r\n", ""), words);
        let umlauts = "ä€😀".repeat(500);
        for cut in [1, 2, 3, 990, 994, 995, 10_000] {
            let wrapped = through(LongLines::Wrap, umlauts.as_bytes(), cut).unwrap();
            assert!(longest(&wrapped) <= LINE_OCTETS_MAX);
            let text = String::from_utf8(wrapped).expect("no character is cut");
            assert_eq!(text.replace("\r\n", ""), umlauts);
        }
    }

    #[test]
    fn headers_fold_where_a_blank_is() {
        let field = format!("X: {}\r\nY: z\r\n", "word ".repeat(500));
        let folded = fold(field.as_bytes()).unwrap();
        assert!(is_overlong(field.as_bytes()) && !is_overlong(&folded));
        let text = String::from_utf8(folded).unwrap();
        assert_eq!(text.replace("\r\n ", " "), field);
        assert_eq!(
            fold(format!("X: {}\r\n", "x".repeat(2000)).as_bytes()),
            None
        );
        assert_eq!(fold(b"A: b\r\n").unwrap(), b"A: b\r\n");
    }

    proptest::proptest! {
        #[test]
        fn nothing_but_line_ends_is_added(
            lines in proptest::collection::vec((0usize..2500, proptest::bool::ANY), 0..6),
            cut in 1usize..3000,
        ) {
            let mut body = Vec::new();
            for (octets, has_spaces) in lines {
                let word: &[u8] = if has_spaces { b"abc " } else { b"abcd" };
                body.extend(word.iter().cycle().take(octets));
                body.extend_from_slice(b"\r\n");
            }
            let wrapped = through(LongLines::Wrap, &body, cut).unwrap();
            proptest::prop_assert!(longest(&wrapped) <= LINE_OCTETS_MAX);
            let bare = |octets: &[u8]| -> Vec<u8> {
                octets.iter().copied().filter(|o| !matches!(o, b'\r' | b'\n')).collect()
            };
            proptest::prop_assert_eq!(bare(&wrapped), bare(&body));
            let refused = through(LongLines::Refuse, &body, cut);
            proptest::prop_assert_eq!(refused.is_ok(), longest(&body) <= LINE_OCTETS_MAX);
            if let Ok(kept) = refused {
                proptest::prop_assert_eq!(&kept, &body);
                proptest::prop_assert_eq!(&wrapped, &body);
            }
        }
    }
}
