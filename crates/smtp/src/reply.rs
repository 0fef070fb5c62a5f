//! Replies: code, enhanced status and lines (RFC 5321 §4.2, RFC 2034).

use std::fmt;

use bytes::{BufMut, BytesMut};
use sendas_envelope::{Class, Status};

use crate::limits::{REPLY_LINE_OCTETS_MAX, REPLY_LINES_MAX, REPLY_OCTETS_MAX};
use crate::line::{Line, LineReader};

/// One reply with all its lines.
///
/// Shape: a code of three digits from 200 to 599, then one line or more. Lines keep their
/// enhanced status as written; [`Reply::status`] has the first line's in parsed form.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    status: Option<Status>,
    /// The lines without code, joined by LF.
    text: Box<str>,
}

/// Why the service's octets are no reply. The connection is of no further use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// A line does not begin with three digits from 200 to 599.
    #[error("the service sent “{0}”, which is no SMTP reply")]
    Malformed(String),
    /// The lines of one reply have different codes.
    #[error("one reply has lines with the codes {first} and {second}")]
    MixedCodes {
        /// The first line's.
        first: u16,
        /// The other.
        second: u16,
    },
    /// Longer than the client reads.
    #[error(
        "a reply is longer than {REPLY_LINE_OCTETS_MAX} octets a line or {REPLY_OCTETS_MAX} in all"
    )]
    TooLong,
    /// More lines than the client reads.
    #[error("a reply has more than {REPLY_LINES_MAX} lines")]
    TooManyLines,
    /// A bare CR, a bare LF or a NUL inside a line.
    #[error("a reply line holds a bare CR, bare LF or NUL")]
    BareLineEnd,
}

impl Reply {
    /// A reply from its parts; lines are separated by LF in `text`.
    ///
    /// # Panics
    /// When the code is not within 200 and 599, or the text holds CR or NUL: a reply is written
    /// by the program, never by a peer.
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        let text: String = text.into();
        assert!(
            (200..=599).contains(&code),
            "a reply code has three digits from 200 to 599"
        );
        assert!(
            !text.contains(['\r', '\0']),
            "a reply's text holds neither CR nor NUL"
        );
        Self::from_parts(code, text)
    }

    fn from_parts(code: u16, text: String) -> Self {
        let first = text.split([' ', '\n']).next().unwrap_or_default();
        // RFC 2034 §4: the class repeats the code's first digit; anything else is plain text.
        let status = first
            .parse::<Status>()
            .ok()
            .filter(|s| u16::from(s.class.digit()) == code / 100);
        Self {
            code,
            status,
            text: text.into(),
        }
    }

    /// The code.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status of the first line, where it has one.
    pub const fn status(&self) -> Option<Status> {
        self.status
    }

    /// The enhanced status, or the one that the code alone implies: `X.0.0`.
    pub fn status_or_implied(&self) -> Status {
        self.status.unwrap_or_else(|| {
            let class = match self.code / 100 {
                2 | 3 => Class::Success,
                4 => Class::Temporary,
                _ => Class::Permanent,
            };
            Status::new(class, 0, 0)
        })
    }

    /// The lines without code.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// The lines without code, joined by LF.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// 2xx.
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3xx: the peer waits for more.
    pub const fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4xx.
    pub const fn is_temporary(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx.
    pub const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Writes the wire form.
    pub fn write(&self, out: &mut BytesMut) {
        // `new` and the reader let nothing but three digits through.
        let digits = [self.code / 100, self.code / 10 % 10, self.code % 10]
            .map(|digit| b"0123456789"[usize::from(digit)]);
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            out.put_slice(&digits);
            out.put_u8(if lines.peek().is_some() { b'-' } else { b' ' });
            out.put_slice(line.as_bytes());
            out.put_slice(b"\r\n");
        }
    }
}

/// The reply as one line, control characters escaped: safe for logs and terminals.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        for line in self.lines().filter(|line| !line.is_empty()) {
            f.write_str(" ")?;
            write_escaped(f, line)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({self})")
    }
}

/// Writes text with every control and direction mark escaped.
pub(crate) fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write as _;
    for c in text.chars() {
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if hidden {
            write!(f, "{}", c.escape_default())?;
        } else {
            f.write_char(c)?;
        }
    }
    Ok(())
}

/// Reads replies from a growing buffer.
#[derive(Debug, Default)]
pub struct ReplyReader {
    line: LineReader,
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    code: u16,
    text: String,
    lines: usize,
}

impl ReplyReader {
    /// The next whole reply, or `None` until its last line has arrived.
    ///
    /// # Errors
    /// [`ReplyError`]; the reader must not be used afterwards.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        while let Some(line) = self.line.next(input, REPLY_LINE_OCTETS_MAX) {
            let line = match line {
                Line::Whole(line) => line,
                Line::TooLong => return Err(ReplyError::TooLong),
                Line::BareLineEnd => return Err(ReplyError::BareLineEnd),
            };
            if let Some(reply) = self.add(&line)? {
                return Ok(Some(reply));
            }
        }
        if self.line.is_discarding() {
            Err(ReplyError::TooLong)
        } else {
            Ok(None)
        }
    }

    /// Whether part of a reply has been read.
    pub const fn is_inside_reply(&self) -> bool {
        self.partial.is_some()
    }

    fn add(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let malformed = || {
            let start = String::from_utf8_lossy(&line[..line.len().min(80)]);
            ReplyError::Malformed(start.escape_debug().to_string())
        };
        let (code, last, text) = split(line).ok_or_else(malformed)?;
        let text = String::from_utf8_lossy(text);
        let Some(partial) = &mut self.partial else {
            if last {
                return Ok(Some(Reply::from_parts(code, text.into_owned())));
            }
            self.partial = Some(Partial {
                code,
                text: text.into_owned(),
                lines: 1,
            });
            return Ok(None);
        };
        if partial.code != code {
            return Err(ReplyError::MixedCodes {
                first: partial.code,
                second: code,
            });
        }
        if partial.lines == REPLY_LINES_MAX {
            return Err(ReplyError::TooManyLines);
        }
        partial.lines += 1;
        partial.text.push('\n');
        partial.text.push_str(&text);
        if partial.text.len() > REPLY_OCTETS_MAX {
            return Err(ReplyError::TooLong);
        }
        if !last {
            return Ok(None);
        }
        Ok(self
            .partial
            .take()
            .map(|whole| Reply::from_parts(whole.code, whole.text)))
    }
}

/// Code, whether it is the last line, and the text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    let number = |d: u8| d.is_ascii_digit().then(|| u16::from(d - b'0'));
    let code = number(digits[0])? * 100 + number(digits[1])? * 10 + number(digits[2])?;
    if !(200..=599).contains(&code) {
        return None;
    }
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8]) -> Result<Vec<Reply>, ReplyError> {
        let (mut reader, mut buffer, mut out) =
            (ReplyReader::default(), BytesMut::from(octets), vec![]);
        while let Some(reply) = reader.next(&mut buffer)? {
            out.push(reply);
        }
        Ok(out)
    }

    #[test]
    fn reads_one_line_and_many() {
        let replies = read(
            b"250-one\r\n250-two\r\n250 three\r\n535 5.7.3 Authentication unsuccessful\r\n220\r\n",
        )
        .unwrap();
        assert_eq!(
            replies[0].lines().collect::<Vec<_>>(),
            ["one", "two", "three"]
        );
        assert_eq!(replies[1].status().unwrap().to_string(), "5.7.3");
        assert_eq!(
            replies[1].to_string(),
            "535 5.7.3 Authentication unsuccessful"
        );
        assert_eq!((replies[2].code(), replies[2].text()), (220, ""));
    }

    #[test]
    fn a_status_of_another_class_is_text() {
        assert_eq!(Reply::new(550, "4.2.0 odd").status(), None);
        assert_eq!(
            Reply::new(550, "odd").status_or_implied().to_string(),
            "5.0.0"
        );
    }

    #[test]
    fn refuses_what_is_no_reply() {
        for octets in [
            &b"hello\r\n"[..],
            b"25 ok\r\n",
            b"250_ok\r\n",
            b"150 early\r\n",
            b"650 late\r\n",
            b"250-a\r\n251 b\r\n",
            b"250 a\nb\r\n",
            b"250 \0\r\n",
            b"\r\n",
            b"HTTP/1.1 400 Bad Request\r\n",
        ] {
            assert!(
                read(octets).is_err(),
                "{:?}",
                String::from_utf8_lossy(octets)
            );
        }
        assert_eq!(read(&vec![b'2'; 5000]), Err(ReplyError::TooLong));
        assert_eq!(
            read(&b"250-x\r\n".repeat(200)),
            Err(ReplyError::TooManyLines)
        );
        assert!(read(b"250-not finished\r\n250").unwrap().is_empty());
    }

    #[test]
    fn control_characters_are_shown_escaped() {
        let reply = read(b"550 \x1b[2Jgone\r\n").unwrap().remove(0);
        assert_eq!(reply.to_string(), "550 \\u{1b}[2Jgone");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(code in 200u16..600, lines in proptest::collection::vec("[ -~]{0,60}", 1..6), cut in 0usize..200) {
            let reply = Reply::new(code, lines.join("\n"));
            let mut octets = BytesMut::new();
            reply.write(&mut octets);
            let cut = cut.min(octets.len());
            let (mut reader, mut buffer) = (ReplyReader::default(), BytesMut::from(&octets[..cut]));
            let early = reader.next(&mut buffer).unwrap();
            buffer.extend_from_slice(&octets[cut..]);
            let late = reader.next(&mut buffer).unwrap();
            proptest::prop_assert_eq!(early.or(late), Some(reply));
        }

        #[test]
        fn hostile_octets_never_panic(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            drop(read(&octets));
        }
    }
}
