//! The session: framing, order, and whose reply is due.

use bytes::BytesMut;

use crate::chunk::ChunkReader;
use crate::command::Command;
use crate::data::{DotReader, LineCheck, LineEndings, Piece};
use crate::limits::{AUTH_OCTETS_MAX, COMMAND_OCTETS_ACCEPTED};
use crate::line::{Line, LineReader};
use crate::reply::Reply;
use crate::sasl::Response;

use super::event::{Event, Violation};
use super::transaction::{Chunks, Transaction};

/// One session from the greeting to its end.
#[derive(Debug)]
pub struct Session {
    input: BytesMut,
    output: BytesMut,
    lines: LineReader,
    endings: LineEndings,
    secure: bool,
    hello: Hello,
    authenticated: bool,
    transaction: Option<Transaction>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hello {
    Missing,
    Helo,
    Ehlo,
}

/// What the next octets are.
#[derive(Debug)]
enum Phase {
    /// A command line.
    Command,
    /// A SASL response line.
    Response,
    /// Body up to its dot.
    Data(DotReader),
    /// Body up to its count.
    Chunk {
        reader: ChunkReader,
        last: bool,
        bare: bool,
    },
    /// A chunk nobody wants; its count must still pass.
    Discard {
        reader: ChunkReader,
        violation: Violation,
    },
    /// A reply is due for the event handed out.
    Reply(Due),
    /// `220` to STARTTLS is out; octets belong to TLS.
    Handshake,
    /// Nothing more will be read.
    Closed,
}

/// What the reply that is due decides.
#[derive(Debug)]
enum Due {
    Hello(Hello),
    StartTls,
    Auth,
    Mail { smtputf8: bool, binary: bool },
    Rcpt,
    Data,
    ChunkEnd,
    MessageEnd,
    Reset,
    Nothing,
    Close,
}

impl Session {
    /// A session before its greeting. `secure` when TLS came first (RFC 8314).
    pub fn new(endings: LineEndings, secure: bool) -> Self {
        Self {
            input: BytesMut::with_capacity(8 * 1024),
            output: BytesMut::with_capacity(1024),
            lines: LineReader::default(),
            endings,
            secure,
            hello: Hello::Missing,
            authenticated: false,
            transaction: None,
            phase: Phase::Reply(Due::Nothing),
        }
    }

    /// Where the shell appends what it has read.
    pub const fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// What the shell has to write, and then clear.
    pub const fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// How line ends of bodies are taken from here on.
    pub const fn set_line_endings(&mut self, endings: LineEndings) {
        self.endings = endings;
    }

    /// Whether TLS is on.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether the client has said EHLO, not HELO.
    pub fn is_extended(&self) -> bool {
        self.hello == Hello::Ehlo
    }

    /// Whether an AUTH has been answered positively.
    pub const fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Whether MAIL has been accepted and its message has not ended.
    pub const fn is_in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Recipients accepted in the open transaction.
    pub fn recipients(&self) -> usize {
        self.transaction.as_ref().map_or(0, |open| open.recipients)
    }

    /// Whether octets of a body are expected.
    pub const fn is_in_body(&self) -> bool {
        matches!(
            self.phase,
            Phase::Data(_) | Phase::Chunk { .. } | Phase::Discard { .. }
        )
    }

    /// Whether the shell should shake hands now.
    pub const fn wants_handshake(&self) -> bool {
        matches!(self.phase, Phase::Handshake)
    }

    /// Whether the session is over once the output is written.
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// TLS is on. Everything the client said before is forgotten (RFC 3207 §4.2).
    pub fn secured(&mut self) {
        self.input.clear();
        self.lines = LineReader::default();
        self.secure = true;
        self.hello = Hello::Missing;
        self.authenticated = false;
        self.transaction = None;
        self.phase = Phase::Command;
    }

    /// Answers the event that is waiting; before the first event, the greeting.
    ///
    /// `221` and `421` end the session.
    ///
    /// # Panics
    /// When no reply is due: every event is answered once.
    pub fn reply(&mut self, reply: &Reply) {
        let due = match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Reply(due) => due,
            other => panic!("no reply is due in {other:?}"),
        };
        reply.write(&mut self.output);
        if matches!(reply.code(), 221 | 421) {
            self.phase = Phase::Closed;
            return;
        }
        self.settle(&due, reply);
    }

    /// Moves on as the reply's class says.
    fn settle(&mut self, due: &Due, reply: &Reply) {
        let positive = reply.is_positive();
        match *due {
            Due::Hello(hello) if positive => {
                self.hello = hello;
                self.transaction = None;
            }
            Due::StartTls if positive => self.phase = Phase::Handshake,
            Due::Auth if positive => self.authenticated = true,
            Due::Auth if reply.is_intermediate() => self.phase = Phase::Response,
            Due::Mail { smtputf8, binary } if positive => {
                let (chunks, check) = (Chunks::None, LineCheck::default());
                self.transaction = Some(Transaction {
                    smtputf8,
                    binary,
                    recipients: 0,
                    chunks,
                    check,
                });
            }
            Due::Rcpt if positive => {
                if let Some(open) = &mut self.transaction {
                    open.recipients += 1;
                }
            }
            Due::Data if reply.is_intermediate() => {
                self.phase = Phase::Data(DotReader::new(self.endings));
            }
            Due::ChunkEnd => {
                if let Some(open) = &mut self.transaction {
                    open.chunks = if positive {
                        Chunks::Accepted
                    } else {
                        Chunks::Refused
                    };
                }
            }
            Due::MessageEnd | Due::Reset => self.transaction = None,
            Due::Close => self.phase = Phase::Closed,
            Due::Hello(_)
            | Due::StartTls
            | Due::Auth
            | Due::Mail { .. }
            | Due::Rcpt
            | Due::Data
            | Due::Nothing => {}
        }
    }

    /// The next event, or `None` until more octets have arrived, a reply has been given, or the
    /// handshake is done.
    pub fn next_event(&mut self) -> Option<Event> {
        match &mut self.phase {
            Phase::Reply(_) | Phase::Handshake | Phase::Closed => None,
            Phase::Command => self.command_line(),
            Phase::Response => self.response_line(),
            Phase::Data(reader) => match reader.next(&mut self.input) {
                Ok(None) => None,
                Ok(Some(Piece::Body(octets))) => Some(Event::Body(octets)),
                Ok(Some(Piece::End)) => self.ask(Due::MessageEnd, Event::MessageEnd),
                Err(_) => self.refuse(Violation::BareLineEndInBody { data: true }),
            },
            Phase::Chunk { .. } => self.chunk_octets(),
            Phase::Discard { reader, violation } => {
                while reader.next(&mut self.input).is_some() {}
                if !reader.is_done() {
                    return None;
                }
                let violation = violation.clone();
                self.refuse(violation)
            }
        }
    }

    fn command_line(&mut self) -> Option<Event> {
        // AUTH with an initial response is longer than any other command.
        let octets_max = if starts_with_auth(&self.input) {
            AUTH_OCTETS_MAX
        } else {
            COMMAND_OCTETS_ACCEPTED
        };
        let line = match self.lines.next(&mut self.input, octets_max)? {
            Line::Whole(line) => line,
            Line::TooLong => return self.refuse(Violation::LineTooLong),
            Line::BareLineEnd => return self.refuse(Violation::BareLineEnd),
        };
        let smtputf8 = self.transaction.as_ref().is_some_and(|open| open.smtputf8);
        match Command::parse(&line, smtputf8) {
            Ok(command) => self.command(command),
            Err(error) => self.refuse(Violation::Command(error)),
        }
    }

    fn command(&mut self, command: Command) -> Option<Event> {
        if let Some(violation) = self.out_of_order(&command) {
            return match command {
                // The chunk is on its way whatever is answered (RFC 3030 §2).
                Command::Bdat { octets, .. } => {
                    self.phase = Phase::Discard {
                        reader: ChunkReader::new(octets),
                        violation,
                    };
                    self.next_event()
                }
                _ => self.refuse(violation),
            };
        }
        match command {
            Command::Ehlo(name) => self.ask(
                Due::Hello(Hello::Ehlo),
                Event::Hello {
                    extended: true,
                    name,
                },
            ),
            Command::Helo(name) => self.ask(
                Due::Hello(Hello::Helo),
                Event::Hello {
                    extended: false,
                    name,
                },
            ),
            Command::StartTls => self.ask(Due::StartTls, Event::StartTls),
            Command::Auth { mechanism, initial } => {
                self.ask(Due::Auth, Event::Auth { mechanism, initial })
            }
            Command::Mail(mail) => {
                let binary = mail.body == Some(sendas_envelope::Body::Binary);
                self.ask(
                    Due::Mail {
                        smtputf8: mail.smtputf8,
                        binary,
                    },
                    Event::Mail(mail),
                )
            }
            Command::Rcpt(rcpt) => self.ask(Due::Rcpt, Event::Rcpt(rcpt)),
            Command::Data => self.ask(Due::Data, Event::Data),
            Command::Bdat { octets, last } => {
                self.phase = Phase::Chunk {
                    reader: ChunkReader::new(octets),
                    last,
                    bare: false,
                };
                Some(Event::Chunk { octets, last })
            }
            Command::Rset => self.ask(Due::Reset, Event::Reset),
            Command::Noop => self.ask(Due::Nothing, Event::Noop),
            Command::Help => self.ask(Due::Nothing, Event::Help),
            Command::Vrfy(text) | Command::Expn(text) => {
                self.ask(Due::Nothing, Event::Verify(text))
            }
            Command::Quit => self.ask(Due::Close, Event::Quit),
        }
    }

    /// What makes a well-formed command wrong at this point.
    fn out_of_order(&self, command: &Command) -> Option<Violation> {
        let inside = match &self.transaction {
            None => self.outside_transaction(command),
            Some(open) => open.out_of_order(command),
        };
        inside.or(match command {
            Command::StartTls if self.secure => Some(Violation::AlreadySecure),
            Command::StartTls if !self.input.is_empty() => Some(Violation::PlaintextAfterStartTls),
            _ => None,
        })
    }

    fn outside_transaction(&self, command: &Command) -> Option<Violation> {
        match command {
            Command::StartTls | Command::Auth { .. } | Command::Mail(_)
                if self.hello == Hello::Missing =>
            {
                Some(Violation::HelloMissing)
            }
            Command::Auth { .. } if self.authenticated => Some(Violation::AuthNotNow),
            Command::Rcpt(_) | Command::Data | Command::Bdat { .. } => Some(Violation::MailMissing),
            _ => None,
        }
    }

    fn response_line(&mut self) -> Option<Event> {
        match self.lines.next(&mut self.input, AUTH_OCTETS_MAX)? {
            Line::TooLong => self.refuse(Violation::LineTooLong),
            Line::BareLineEnd => self.refuse(Violation::BareLineEnd),
            Line::Whole(line) if &line[..] == b"*" => self.ask(Due::Nothing, Event::AuthCancelled),
            Line::Whole(line) => {
                // What is not ASCII is not base64 either; the host will say so.
                let response = Response::from_wire(&String::from_utf8_lossy(&line));
                self.ask(Due::Auth, Event::AuthResponse(response))
            }
        }
    }

    fn chunk_octets(&mut self) -> Option<Event> {
        let (Phase::Chunk { reader, last, bare }, Some(open)) =
            (&mut self.phase, &mut self.transaction)
        else {
            return None;
        };
        // Chunks are never mended: whoever speaks BDAT writes CRLF.
        let strict = self.endings != LineEndings::Keep && !open.binary;
        if let Some(octets) = reader.next(&mut self.input) {
            *bare |= strict && open.check.check(&octets).is_err();
            return Some(Event::Body(octets));
        }
        if !reader.is_done() {
            return None;
        }
        let (last, bare) = (
            *last,
            *bare || (*last && strict && open.check.finish().is_err()),
        );
        if bare {
            let due = if last { Due::MessageEnd } else { Due::ChunkEnd };
            return self.ask(
                due,
                Event::Violation(Violation::BareLineEndInBody { data: false }),
            );
        }
        if last {
            self.ask(Due::MessageEnd, Event::MessageEnd)
        } else {
            self.ask(Due::ChunkEnd, Event::ChunkEnd)
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "every caller returns the event it asks with"
    )]
    fn ask(&mut self, due: Due, event: Event) -> Option<Event> {
        self.phase = Phase::Reply(due);
        Some(event)
    }

    fn refuse(&mut self, violation: Violation) -> Option<Event> {
        let due = if violation.is_fatal() {
            Due::Close
        } else {
            Due::Nothing
        };
        self.ask(due, Event::Violation(violation))
    }
}

fn starts_with_auth(input: &[u8]) -> bool {
    input
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"AUTH "))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
