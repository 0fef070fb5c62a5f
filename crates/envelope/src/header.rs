//! Header scanner: finds fields in a message without changing an octet.
//!
//! The message is CRLF-terminated. Scanning yields ranges into the octets it was given, so that
//! a caller may drop, keep or insert whole fields and leave all others byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use crate::limits::HEADER_OCTETS_MAX;

/// The header block of a message, scanned.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    octets: &'a [u8],
    fields: Vec<Field>,
    body: usize,
}

/// One field: where its name and its value lie in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The whole field with every folded line and its final CRLF.
    pub range: Range<usize>,
    /// The name, without the colon.
    pub name: Range<usize>,
    /// The value after the colon, folds and all, without its final CRLF.
    pub value: Range<usize>,
}

/// Why a header block cannot be scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The block is longer than the scanner reads.
    #[error("the header is longer than {HEADER_OCTETS_MAX} octets")]
    TooLong,
    /// A line that is neither a field, nor folded, nor empty.
    #[error("line {0} of the header is not a field")]
    NotAField(usize),
    /// A line end that is not CRLF, or a NUL.
    #[error("line {0} of the header holds a bare CR, bare LF or NUL")]
    LineEnd(usize),
}

impl<'a> Header<'a> {
    /// Scans the header block at the start of a message.
    ///
    /// The block ends at the first empty line, or with the octets.
    ///
    /// # Errors
    /// [`HeaderError`] names the line, counted from 1.
    pub fn scan(octets: &'a [u8]) -> Result<Self, HeaderError> {
        let mut fields: Vec<Field> = Vec::with_capacity(16);
        let (mut at, mut number) = (0, 0);
        while at < octets.len() {
            number += 1;
            let line = line_end(octets, at, number)?;
            let text = at..line.content_end;
            if text.is_empty() {
                return Ok(Self {
                    octets,
                    fields,
                    body: line.next,
                });
            }
            if line.next > HEADER_OCTETS_MAX {
                return Err(HeaderError::TooLong);
            }
            if matches!(octets[at], b' ' | b'\t') {
                let field = fields.last_mut().ok_or(HeaderError::NotAField(number))?;
                field.range.end = line.next;
                field.value.end = line.content_end;
            } else {
                fields.push(field(octets, text, line.next).ok_or(HeaderError::NotAField(number))?);
            }
            at = line.next;
        }
        Ok(Self {
            octets,
            fields,
            body: octets.len(),
        })
    }

    /// The octets that were scanned.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// All fields in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Where the body begins: after the empty line.
    pub const fn body_start(&self) -> usize {
        self.body
    }

    /// A field's name.
    pub fn name(&self, field: &Field) -> &'a [u8] {
        &self.octets[field.name.clone()]
    }

    /// A field's value on one line, without the white space around it.
    pub fn value(&self, field: &Field) -> Cow<'a, str> {
        unfold(&self.octets[field.value.clone()])
    }

    /// The fields of that name, ASCII case aside, in order.
    pub fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Field> {
        self.fields
            .iter()
            .filter(move |f| self.name(f).eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The first value of that name on one line.
    pub fn first(&self, name: &str) -> Option<Cow<'a, str>> {
        self.named(name).next().map(|field| self.value(field))
    }
}

/// A value without its folds and the white space around it; octets that are not UTF-8 become
/// the replacement character.
pub fn unfold(value: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(value);
    if !text.contains("\r\n") {
        return match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches([' ', '\t'])),
            Cow::Owned(text) => Cow::Owned(text.trim_matches([' ', '\t']).to_owned()),
        };
    }
    Cow::Owned(
        text.replace("\r\n", "")
            .trim_matches([' ', '\t'])
            .to_owned(),
    )
}

struct Line {
    content_end: usize,
    next: usize,
}

/// The line that starts at `at`; the last one may lack its CRLF.
fn line_end(octets: &[u8], at: usize, number: usize) -> Result<Line, HeaderError> {
    let window = &octets[at..octets.len().min(at + HEADER_OCTETS_MAX + 2)];
    let (content_end, next) = match memmem::find(window, b"\r\n") {
        Some(n) => (at + n, at + n + 2),
        None if window.len() > HEADER_OCTETS_MAX => return Err(HeaderError::TooLong),
        None => (octets.len(), octets.len()),
    };
    let content = &octets[at..content_end];
    if memchr::memchr3(b'\r', b'\n', 0, content).is_some() {
        return Err(HeaderError::LineEnd(number));
    }
    Ok(Line { content_end, next })
}

fn field(octets: &[u8], line: Range<usize>, next: usize) -> Option<Field> {
    let colon = line.start + memchr::memchr(b':', &octets[line.clone()])?;
    // RFC 5322 §4.5 lets obsolete senders put white space before the colon.
    let mut name_end = colon;
    while name_end > line.start && matches!(octets[name_end - 1], b' ' | b'\t') {
        name_end -= 1;
    }
    let name = line.start..name_end;
    let printable = octets[name.clone()]
        .iter()
        .all(|b| (b'!'..=b'~').contains(b));
    (!name.is_empty() && printable).then_some(Field {
        range: line.start..next,
        name,
        value: colon + 1..line.end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"From: a@example.com\r\nSubject: one\r\n two\r\nTO : b@example.com\r\n\r\nbody: no field\r\n";

    #[test]
    fn finds_fields_folds_and_the_body() {
        let header = Header::scan(MESSAGE).unwrap();
        assert_eq!(header.fields().len(), 3);
        assert_eq!(header.first("subject").unwrap(), "one two");
        assert_eq!(header.first("to").unwrap(), "b@example.com");
        assert_eq!(&MESSAGE[header.body_start()..], b"body: no field\r\n");
    }

    #[test]
    fn the_ranges_cover_the_block_without_a_gap() {
        let header = Header::scan(MESSAGE).unwrap();
        let mut at = 0;
        for field in header.fields() {
            assert_eq!(field.range.start, at);
            at = field.range.end;
        }
        assert_eq!(at + 2, header.body_start());
    }

    #[test]
    fn bad_blocks_are_named_by_line() {
        for (message, expected) in [
            (&b" folded\r\n\r\n"[..], HeaderError::NotAField(1)),
            (b"A: b\r\nno colon here\r\n\r\n", HeaderError::NotAField(2)),
            (b"A: b\nC: d\r\n\r\n", HeaderError::LineEnd(1)),
            (b"A: b\r\nC: \0\r\n\r\n", HeaderError::LineEnd(2)),
            (b": b\r\n\r\n", HeaderError::NotAField(1)),
        ] {
            assert_eq!(Header::scan(message).unwrap_err(), expected);
        }
        let long = [b"A: ".as_slice(), &vec![b'x'; HEADER_OCTETS_MAX + 10]].concat();
        assert_eq!(Header::scan(&long).unwrap_err(), HeaderError::TooLong);
    }

    proptest::proptest! {
        #[test]
        fn any_octets_scan_or_are_refused(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            if let Ok(header) = Header::scan(&octets) {
                let mut at = 0;
                for field in header.fields() {
                    proptest::prop_assert_eq!(field.range.start, at);
                    at = field.range.end;
                }
            }
        }
    }
}
