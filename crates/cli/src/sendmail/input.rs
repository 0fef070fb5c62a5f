//! The message on standard input: up to its end, or up to a line with nothing but a dot.

use std::io::{self, Read};

/// Reads until the end of the input, or of the message when a lone dot ends it.
///
/// An input without an octet becomes one empty line: there are callers who send such messages.
pub(super) struct Input<R> {
    from: R,
    dot_ends: bool,
    line: Line,
    /// Read and looked at, not handed out yet.
    ready: Vec<u8>,
    at: usize,
    is_empty: bool,
    is_over: bool,
}

/// Where in a line the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Start,
    Dot,
    DotCr,
    Inside,
}

/// Octets read at once.
const PIECE_OCTETS: usize = 64 * 1024;

impl<R: Read> Input<R> {
    pub(super) const fn new(from: R, dot_ends: bool) -> Self {
        Self {
            from,
            dot_ends,
            line: Line::Start,
            ready: Vec::new(),
            at: 0,
            is_empty: true,
            is_over: false,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = vec![0; PIECE_OCTETS];
        self.ready.clear();
        self.at = 0;
        let octets = loop {
            match self.from.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if octets == 0 {
            self.is_over = true;
            match std::mem::replace(&mut self.line, Line::Start) {
                // The last line may lack its end.
                Line::Dot | Line::DotCr => {}
                _ if self.is_empty => self.ready.push(b'\n'),
                _ => {}
            }
            return Ok(());
        }
        self.is_empty = false;
        let piece = &piece[..octets];
        if self.dot_ends {
            self.look(piece);
        } else {
            self.ready.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Hands on what is known to be text; holds back a dot whose line has not ended.
    fn look(&mut self, mut piece: &[u8]) {
        while let Some((&first, rest)) = piece.split_first() {
            let held: &[u8] = match self.line {
                Line::Inside => {
                    let end = memchr::memchr(b'\n', piece).map_or(piece.len(), |at| at + 1);
                    self.ready.extend_from_slice(&piece[..end]);
                    if piece[end - 1] == b'\n' {
                        self.line = Line::Start;
                    }
                    piece = &piece[end..];
                    continue;
                }
                Line::Start if first == b'.' => {
                    self.line = Line::Dot;
                    piece = rest;
                    continue;
                }
                Line::Start => b"",
                Line::Dot | Line::DotCr if first == b'\n' => {
                    self.is_over = true;
                    return;
                }
                Line::Dot if first == b'\r' => {
                    self.line = Line::DotCr;
                    piece = rest;
                    continue;
                }
                Line::Dot => b".",
                Line::DotCr => b".\r",
            };
            self.ready.extend_from_slice(held);
            self.line = Line::Inside;
        }
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.ready.len() {
            if self.is_over {
                return Ok(0);
            }
            self.fill()?;
        }
        let octets = out.len().min(self.ready.len() - self.at);
        out[..octets].copy_from_slice(&self.ready[self.at..self.at + octets]);
        self.at += octets;
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out its octets in pieces of a given size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let octets = self.0.len().min(self.1).min(buffer.len());
            buffer[..octets].copy_from_slice(&self.0[..octets]);
            self.0 = &self.0[octets..];
            Ok(octets)
        }
    }

    #[test]
    fn a_lone_dot_ends_the_message_unless_told_otherwise() {
        for (text, with_dots, without) in [
            ("a\n.\nb\n", "a\n", "a\n.\nb\n"),
            ("a\r\n.\r\nb\r\n", "a\r\n", "a\r\n.\r\nb\r\n"),
            (".\nb\n", "", ".\nb\n"),
            ("a\n.", "a\n", "a\n."),
            ("a\n..\n.b\n", "a\n..\n.b\n", "a\n..\n.b\n"),
            ("a\n.\rb\n", "a\n.\rb\n", "a\n.\rb\n"),
            ("a.\n\n", "a.\n\n", "a.\n\n"),
            ("", "\n", "\n"),
            ("no end", "no end", "no end"),
        ] {
            for size in 1..=text.len().max(1) {
                for (dot_ends, expected) in [(true, with_dots), (false, without)] {
                    let mut read = String::new();
                    Input::new(Pieces(text.as_bytes(), size), dot_ends)
                        .read_to_string(&mut read)
                        .unwrap();
                    assert_eq!(read, expected, "{text:?} by {size}, {dot_ends}");
                }
            }
        }
    }
}
