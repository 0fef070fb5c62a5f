//! Takes a message in: lines that end in LF or CRLF become lines that end in CRLF, and nothing
//! else changes. A bare CR and a NUL are refused (RFC 5321 §2.3.8, RFC 5322 §2.3).
//!
//! The header is read first, since it says where the message goes; the body follows it into the
//! finished message piece by piece, so that memory does not grow with it.

use std::io::Read;

use sendas_envelope::limits::HEADER_OCTETS_MAX;
use sendas_submit::{Message, MessageWriter};

use super::MessageError;

/// Octets read at once.
const PIECE_OCTETS: usize = 32 * 1024;

/// A message of which the header has been read.
#[derive(Debug)]
pub(crate) struct Incoming<R> {
    from: R,
    lines: Lines,
    octets_max: u64,
    /// The header, its empty line, and what came with it of the body; CRLF line ends.
    start: Vec<u8>,
    at_end: bool,
}

/// A message as it goes on the wire.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) message: Message,
    /// Whether any octet is above 127.
    pub(crate) eight_bit: bool,
}

impl<R: Read> Incoming<R> {
    /// Reads until the header is whole.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn begin(from: R, octets_max: u64) -> Result<Self, MessageError> {
        let mut incoming = Self {
            from,
            lines: Lines::default(),
            octets_max,
            start: Vec::new(),
            at_end: false,
        };
        let mut piece = vec![0; PIECE_OCTETS];
        let mut out = Vec::new();
        while !incoming.header_is_whole() && incoming.start.len() <= HEADER_OCTETS_MAX {
            if !incoming.next(&mut piece, &mut out)? {
                break;
            }
            incoming.start.extend_from_slice(&out);
        }
        if incoming.start.is_empty() {
            return Err(MessageError::Empty);
        }
        Ok(incoming)
    }

    /// The header, and perhaps some of the body behind it.
    pub(crate) fn start(&self) -> &[u8] {
        &self.start
    }

    /// Reads the body behind a header that replaces the one that came; `body_start` is where in
    /// [`start`](Self::start) the body begins.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn finish(mut self, head: &[u8], body_start: usize) -> Result<Whole, MessageError> {
        let mut writer = MessageWriter::new();
        let mut octets = head.len() as u64;
        let mut add = |octets_more: &[u8]| {
            octets += octets_more.len() as u64;
            if octets > self.octets_max {
                return Err(MessageError::TooLarge(self.octets_max));
            }
            writer.write(octets_more).map_err(MessageError::from)
        };
        add(head)?;
        let start = std::mem::take(&mut self.start);
        add(&start[body_start..])?;
        drop(start);
        if !self.at_end {
            let mut piece = vec![0; PIECE_OCTETS];
            let mut out = Vec::new();
            while step(&mut self.from, &mut self.lines, &mut piece, &mut out)? {
                add(&out)?;
            }
        }
        Ok(Whole {
            message: writer.finish()?,
            eight_bit: self.lines.eight_bit,
        })
    }

    fn next(&mut self, piece: &mut [u8], out: &mut Vec<u8>) -> Result<bool, MessageError> {
        let more = step(&mut self.from, &mut self.lines, piece, out)?;
        self.at_end = !more;
        Ok(more)
    }

    fn header_is_whole(&self) -> bool {
        self.start.starts_with(b"\r\n") || memchr::memmem::find(&self.start, b"\r\n\r\n").is_some()
    }
}

/// Reads one piece and puts its lines into `out`; false at the end.
fn step(
    from: &mut impl Read,
    lines: &mut Lines,
    piece: &mut [u8],
    out: &mut Vec<u8>,
) -> Result<bool, MessageError> {
    out.clear();
    loop {
        match from.read(piece) {
            Ok(0) => return lines.finish().map(|()| false),
            Ok(octets) => return lines.push(&piece[..octets], out).map(|()| true),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(MessageError::Io {
                    what: "the message was not read".to_owned(),
                    source,
                });
            }
        }
    }
}

/// Turns line ends into CRLF, in pieces of any size.
#[derive(Debug, Default)]
struct Lines {
    /// A CR came last, and what follows it is not known yet.
    cr: bool,
    /// Lines that have ended.
    ended: u64,
    eight_bit: bool,
}

impl Lines {
    fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), MessageError> {
        self.eight_bit = self.eight_bit || !piece.is_ascii();
        if self.cr {
            let [b'\n', rest @ ..] = piece else {
                return Err(self.bare_cr());
            };
            self.end_line(out);
            self.cr = false;
            piece = rest;
        }
        while let Some(at) = memchr::memchr3(b'\r', b'\n', 0, piece) {
            out.extend_from_slice(&piece[..at]);
            let rest = &piece[at + 1..];
            piece = match (piece[at], rest.split_first()) {
                (0, _) => return Err(MessageError::Nul(self.ended + 1)),
                (b'\r', Some((b'\n', rest))) => {
                    self.end_line(out);
                    rest
                }
                (b'\r', Some(_)) => return Err(self.bare_cr()),
                (b'\r', None) => {
                    self.cr = true;
                    rest
                }
                _ => {
                    self.end_line(out);
                    rest
                }
            };
        }
        out.extend_from_slice(piece);
        Ok(())
    }

    fn finish(&self) -> Result<(), MessageError> {
        if self.cr { Err(self.bare_cr()) } else { Ok(()) }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.ended += 1;
    }

    fn bare_cr(&self) -> MessageError {
        MessageError::BareCr(self.ended + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out its octets in pieces of a given size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let octets = self.0.len().min(self.1).min(buffer.len());
            buffer[..octets].copy_from_slice(&self.0[..octets]);
            self.0 = &self.0[octets..];
            Ok(octets)
        }
    }

    fn read(text: &str, size: usize, octets_max: u64) -> Result<Whole, MessageError> {
        let incoming = Incoming::begin(Pieces(text.as_bytes(), size), octets_max)?;
        let head = incoming.start().to_vec();
        incoming.finish(&head, head.len())
    }

    #[test]
    fn line_ends_become_crlf_in_any_division() {
        for (text, expected) in [
            ("a\nb\n", "a\r\nb\r\n"),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\nb\r\n\n\r\nc", "a\r\nb\r\n\r\n\r\nc\r\n"),
            ("\n", "\r\n"),
            (".\n..\n", ".\r\n..\r\n"),
            (
                "a: b\n\nlong body\nmore",
                "a: b\r\n\r\nlong body\r\nmore\r\n",
            ),
        ] {
            for size in 1..=text.len() {
                let whole = read(text, size, 1000).unwrap();
                assert_eq!(
                    whole.message.start(1000).unwrap(),
                    expected,
                    "{text:?} by {size}"
                );
                assert!(!whole.eight_bit);
            }
        }
        assert!(read("ä\n", 9, 1000).unwrap().eight_bit);
    }

    #[test]
    fn what_is_refused() {
        for (text, expected) in [
            ("", "there is no message: the input was empty"),
            ("a\nb\rc\n", "line 2 of the message holds a bare CR"),
            ("a\r", "line 1 of the message holds a bare CR"),
            ("a\r\r\n", "line 1 of the message holds a bare CR"),
            ("a\n\0\n", "line 2 of the message holds a NUL"),
            (
                "0123456789\n",
                "the message is larger than 10 octets (send.message_size_max)",
            ),
        ] {
            for size in 1..=text.len().max(1) {
                let error = read(text, size, 10).unwrap_err();
                assert_eq!(error.to_string(), expected, "{text:?} by {size}");
            }
        }
    }
}
