//! A message on its way in: its header completed, its body untouched, octet for octet.
//!
//! Pure: pieces go in, pieces come out. Only the header is ever held in memory, and at most
//! [`HEADER_OCTETS_MAX`] octets of it.

mod author;
mod header;
mod lines;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use memchr::memmem;
use sendas_config::{LineEndings, LongLines};
use sendas_envelope::limits::HEADER_OCTETS_MAX;
use sendas_smtp::Reply;

use crate::limits::LINE_OCTETS_MAX;
use crate::policy::{Client, Refusal, Sender};

pub use lines::{LineTooLong, Lines, fold, is_overlong};

/// What the header of a submission is judged and completed with.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The message's name in the spool, for Received and Message-ID.
    pub id: String,
    /// When it began to arrive.
    pub now: Timestamp,
    /// The relay's own name.
    pub hostname: Arc<str>,
    /// Who hands it in.
    pub client: Arc<Client>,
    /// What MAIL decided.
    pub sender: Sender,
    /// What the client calls itself.
    pub greeting: String,
    /// Where it comes from, as Received shows it.
    pub peer: String,
    /// The protocol's word in Received: `ESMTPSA`.
    pub protocol: &'static str,
    /// The body came as BINARYMIME: its octets are nobody's lines.
    pub is_binary: bool,
}

/// What became known of a message that has arrived whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Whether any octet is above 127.
    pub is_eight_bit: bool,
    /// The Message-ID field.
    pub message_id: String,
    /// The Subject field, as it was written.
    pub subject: String,
}

/// Why a message is not taken. Nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntakeError {
    /// The header is longer than anybody reads.
    HeaderTooLong,
    /// That line of the header, counted from 1, is no field.
    NotAField(usize),
    /// That line of the header ends without CRLF, or holds a NUL.
    LineEnd(usize),
    /// A line is longer than a mail may have.
    LineTooLong,
    /// Too many Received fields, or too many of this relay's own.
    Loop,
    /// A From, Sender or Resent-From that cannot be read, or more than one From.
    Author,
    /// From, Sender or Resent-From names an address that the client may not use.
    NotAllowed,
    /// A message without an octet.
    Empty,
}

/// One message being received.
#[derive(Debug)]
pub struct Intake {
    facts: Facts,
    /// The header as far as it has come; empty once it is out.
    header: BytesMut,
    lines: Lines,
    searched: usize,
    has_first_line: bool,
    in_body: bool,
    octets: u64,
    tail: [u8; 2],
    arrived: Arrived,
}

impl Intake {
    /// A message of which nothing has arrived.
    pub fn new(facts: Facts) -> Self {
        Self {
            lines: Lines::new(facts.client.long_lines),
            facts,
            header: BytesMut::new(),
            searched: 0,
            has_first_line: false,
            in_body: false,
            octets: 0,
            tail: *b"\r\n",
            arrived: Arrived::default(),
        }
    }

    /// Takes the next octets; `out` gets what is to be stored.
    ///
    /// # Errors
    /// [`IntakeError`]; the rest of the message is not looked at.
    pub fn push(&mut self, piece: Bytes, out: &mut Vec<Bytes>) -> Result<(), IntakeError> {
        let Some(last) = piece.len().checked_sub(1) else {
            return Ok(());
        };
        self.octets += piece.len() as u64;
        self.tail = [
            if last > 0 {
                piece[last - 1]
            } else {
                self.tail[1]
            },
            piece[last],
        ];
        self.arrived.is_eight_bit |= !piece.is_ascii();
        if self.in_body {
            return self.body(piece, out);
        }
        self.header.extend_from_slice(&piece);
        match self.header_end() {
            Some(end) => self.enter_body(end, out),
            None if self.header.len() > HEADER_OCTETS_MAX => Err(IntakeError::HeaderTooLong),
            None => Ok(()),
        }
    }

    /// The message has arrived whole.
    ///
    /// # Errors
    /// As [`Intake::push`].
    pub fn finish(mut self, out: &mut Vec<Bytes>) -> Result<Arrived, IntakeError> {
        if self.octets == 0 {
            return Err(IntakeError::Empty);
        }
        if !self.in_body {
            // No empty line: all of it is header, or all of it is body.
            let end = self.header.len();
            self.enter_body(end, out)?;
        }
        let mut lines = Lines::new(self.facts.client.long_lines);
        std::mem::swap(&mut lines, &mut self.lines);
        lines.finish(out)?;
        // A chunk may end anywhere; on the wire a text ends with its line (RFC 5321 §4.1.1.4).
        if !self.facts.is_binary && self.tail != *b"\r\n" {
            out.push(Bytes::from_static(b"\r\n"));
        }
        Ok(self.arrived)
    }

    /// Octets of the body; binary ones are nobody's lines.
    fn body(&mut self, piece: Bytes, out: &mut Vec<Bytes>) -> Result<(), IntakeError> {
        if self.facts.is_binary {
            out.push(piece);
            return Ok(());
        }
        Ok(self.lines.push(piece, out)?)
    }

    /// Where the body begins, once that is known.
    fn header_end(&mut self) -> Option<usize> {
        if self.header.starts_with(b"\r\n") {
            return Some(0);
        }
        if self.is_headless() {
            return Some(0);
        }
        let from = self.searched.saturating_sub(3);
        let found = memmem::find(&self.header[from..], b"\r\n\r\n");
        self.searched = self.header.len();
        found.map(|at| from + at + 2)
    }

    /// Whether the first line is whole and no field, and the client is known to send such.
    fn is_headless(&mut self) -> bool {
        if self.has_first_line || self.facts.client.line_endings != LineEndings::Normalize {
            return false;
        }
        let Some(end) = memmem::find(&self.header, b"\r\n") else {
            return false;
        };
        self.has_first_line = true;
        !header::is_field(&self.header[..end])
    }

    /// The header is whole: everything before `end` is it.
    fn enter_body(&mut self, end: usize, out: &mut Vec<Bytes>) -> Result<(), IntakeError> {
        let mut whole = std::mem::take(&mut self.header);
        let body = whole.split_off(end);
        let whole = self.without_long_lines(whole.freeze())?;
        let edited = header::edit(&whole, &self.facts)?;
        self.arrived.message_id = edited.message_id;
        self.arrived.subject = edited.subject;
        out.push(edited.octets);
        if !body.starts_with(b"\r\n") {
            out.push(Bytes::from_static(b"\r\n"));
        }
        self.in_body = true;
        if body.is_empty() {
            return Ok(());
        }
        self.body(body.freeze(), out)
    }

    /// The header as it may go on: none of its lines is too long.
    fn without_long_lines(&self, header: Bytes) -> Result<Bytes, IntakeError> {
        if !is_overlong(&header) {
            return Ok(header);
        }
        match self.facts.client.long_lines {
            LongLines::Refuse => Err(IntakeError::LineTooLong),
            LongLines::Wrap => fold(&header)
                .map(Bytes::from)
                .ok_or(IntakeError::LineTooLong),
        }
    }
}

impl From<LineTooLong> for IntakeError {
    fn from(_: LineTooLong) -> Self {
        Self::LineTooLong
    }
}

impl IntakeError {
    /// The reply for the client.
    pub fn reply(self) -> Reply {
        match self {
            Self::HeaderTooLong => Reply::new(
                554,
                format!("5.6.0 The header is longer than {HEADER_OCTETS_MAX} octets"),
            ),
            Self::NotAField(line) => Reply::new(
                554,
                format!("5.6.0 Line {line} of the header is not a field"),
            ),
            Self::LineEnd(line) => Reply::new(
                554,
                format!("5.6.0 Line {line} of the header holds a bare CR, bare LF or NUL"),
            ),
            Self::LineTooLong => Reply::new(
                554,
                format!(
                    "5.6.0 A line is longer than {LINE_OCTETS_MAX} octets; see `long_lines` in the relay's settings"
                ),
            ),
            Self::Loop => Reply::new(554, "5.4.6 The message is looping"),
            Self::Author => Reply::new(
                554,
                "5.6.0 From, Sender or Resent-From cannot be read, or stands there twice",
            ),
            Self::NotAllowed => Refusal::FromNotAllowed.reply(),
            Self::Empty => Reply::new(554, "5.6.0 The message is empty"),
        }
    }
}
