//! The server's side of one session: octets in, events out, replies back.
//!
//! The session knows framing and order: what a line is, where a body ends, which command may
//! follow which. What to answer is the host's: every [`Event`] that needs an answer is answered
//! with [`Session::reply`], and the class of that reply moves the session on. The relay and the
//! sandbox host it with quite different answers.
//!
//! Pipelined commands are handed out one by one; their replies gather in one output buffer that
//! the shell writes when no further event is at hand (RFC 2920 §3.2).

use bytes::{Bytes, BytesMut};

use crate::chunk::ChunkReader;
use crate::command::{ClientName, Command, CommandError};
use crate::data::{DotReader, LineCheck, LineEndings, Piece};
use crate::limits::{AUTH_OCTETS_MAX, COMMAND_OCTETS_ACCEPTED};
use crate::line::{Line, LineReader};
use crate::parameter::{MailCommand, RcptCommand};
use crate::reply::Reply;
use crate::sasl::Response;

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

/// What the client has done. Variants marked *reply due* wait for [`Session::reply`].
#[derive(Debug)]
pub enum Event {
    /// EHLO or HELO; reply due. A positive reply ends any open transaction.
    Hello {
        /// EHLO, not HELO.
        extended: bool,
        /// What the client calls itself.
        name: ClientName,
    },
    /// STARTTLS with nothing behind it; reply due. After `220` the shell writes the output,
    /// shakes hands and calls [`Session::secured`].
    StartTls,
    /// AUTH; reply due: `235`, `334` for a challenge, or a refusal.
    Auth {
        /// The mechanism in upper case.
        mechanism: String,
        /// The initial response.
        initial: Option<Response>,
    },
    /// The line after a `334`; reply due, as for [`Event::Auth`].
    AuthResponse(Response),
    /// `*` instead of a response (RFC 4954 §4); reply due.
    AuthCancelled,
    /// MAIL; reply due. A positive one opens the transaction.
    Mail(MailCommand),
    /// RCPT inside a transaction; reply due. A positive one counts the recipient.
    Rcpt(RcptCommand),
    /// DATA with at least one recipient; reply due: `354` or a refusal.
    Data,
    /// A chunk begins; no reply. Its octets follow as [`Event::Body`].
    Chunk {
        /// Its size.
        octets: u64,
        /// Whether the message ends with it.
        last: bool,
    },
    /// Octets of the body, dots unstuffed; no reply.
    Body(Bytes),
    /// A chunk that is not the last has arrived whole; reply due. A negative one fails the
    /// transaction: the client must RSET (RFC 3030 §2).
    ChunkEnd,
    /// The message has arrived whole; reply due. Whatever it is, the transaction is over.
    MessageEnd,
    /// RSET; reply due.
    Reset,
    /// NOOP; reply due.
    Noop,
    /// HELP; reply due.
    Help,
    /// VRFY or EXPN; reply due.
    Verify(String),
    /// QUIT; reply due, then the session is over.
    Quit,
    /// Something out of order or out of shape; reply due. [`Violation::is_fatal`] ends the
    /// session after the reply.
    Violation(Violation),
}

/// What is wrong with what the client has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The line is no command.
    Command(CommandError),
    /// The line is longer than a command or a response may be.
    LineTooLong,
    /// A command line with a bare CR, a bare LF or a NUL. Fatal: peers disagree on where such a
    /// line ends.
    BareLineEnd,
    /// A body with a bare CR, bare LF or NUL under [`LineEndings::Strict`]. Fatal in DATA, where
    /// the end of the message is then unknown; in BDAT only the transaction has failed.
    BareLineEndInBody {
        /// Whether it came by DATA.
        data: bool,
    },
    /// Plaintext behind STARTTLS: someone injects commands (CVE-2011-0411). Fatal.
    PlaintextAfterStartTls,
    /// STARTTLS inside TLS.
    AlreadySecure,
    /// A command that needs EHLO or HELO first.
    HelloMissing,
    /// AUTH after a successful AUTH, or inside a transaction (RFC 4954 §4).
    AuthNotNow,
    /// MAIL inside a transaction.
    NestedMail,
    /// RCPT, DATA or BDAT without MAIL.
    MailMissing,
    /// DATA or BDAT without an accepted recipient.
    RecipientMissing,
    /// RCPT or DATA between chunks, or DATA for a body that only BDAT may carry (RFC 3030).
    DataAfterChunk,
    /// Another chunk after one has failed.
    ChunkAfterFailure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hello {
    Missing,
    Helo,
    Ehlo,
}

/// What is open between MAIL and the end of its message.
#[derive(Debug)]
struct Transaction {
    smtputf8: bool,
    /// BODY=BINARYMIME: only BDAT, and any octet.
    binary: bool,
    recipients: usize,
    chunks: Chunks,
    check: LineCheck,
}

/// What has become of the chunks so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunks {
    None,
    Accepted,
    Refused,
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

impl Violation {
    /// Whether the session must end with the reply.
    pub const fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::BareLineEnd
                | Self::BareLineEndInBody { data: true }
                | Self::PlaintextAfterStartTls
        )
    }
}

impl Transaction {
    /// What makes a command wrong while this is open.
    fn out_of_order(&self, command: &Command) -> Option<Violation> {
        match command {
            Command::Auth { .. } => Some(Violation::AuthNotNow),
            Command::Mail(_) => Some(Violation::NestedMail),
            Command::Rcpt(_) | Command::Data if self.chunks != Chunks::None => {
                Some(Violation::DataAfterChunk)
            }
            Command::Data if self.binary => Some(Violation::DataAfterChunk),
            Command::Data | Command::Bdat { .. } if self.recipients == 0 => {
                Some(Violation::RecipientMissing)
            }
            Command::Bdat { .. } if self.chunks == Chunks::Refused => {
                Some(Violation::ChunkAfterFailure)
            }
            _ => None,
        }
    }
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
        let strict = self.endings == LineEndings::Strict && !open.binary;
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
mod tests {
    use super::*;

    /// Runs a session that accepts everything, and notes what happened.
    struct Host {
        session: Session,
        seen: Vec<String>,
    }

    impl Host {
        fn new(endings: LineEndings) -> Self {
            let mut session = Session::new(endings, false);
            session.reply(&Reply::new(220, "ready"));
            Self {
                session,
                seen: Vec::new(),
            }
        }

        fn feed(&mut self, octets: &[u8]) -> &mut Self {
            self.session.input().extend_from_slice(octets);
            while let Some(event) = self.session.next_event() {
                let code = match &event {
                    Event::Body(_) | Event::Chunk { .. } => None,
                    Event::Data => Some(354),
                    Event::Quit => Some(221),
                    Event::StartTls => Some(220),
                    Event::Auth { initial: None, .. } => Some(334),
                    Event::Auth { .. } | Event::AuthResponse(_) => Some(235),
                    Event::AuthCancelled => Some(501),
                    Event::Violation(_) => Some(503),
                    _ => Some(250),
                };
                self.seen.push(match event {
                    Event::Body(octets) => format!("body {:?}", String::from_utf8_lossy(&octets)),
                    Event::Violation(violation) => format!("{violation:?}"),
                    Event::Hello { name, .. } => format!("hello {name}"),
                    Event::Mail(mail) => format!("mail {}", mail.reverse_path),
                    Event::Rcpt(rcpt) => format!("rcpt {}", rcpt.recipient.path),
                    Event::Auth { mechanism, .. } => format!("auth {mechanism}"),
                    Event::AuthResponse(_) => "response".into(),
                    Event::Chunk { octets, last } => format!("chunk {octets} {last}"),
                    other => format!("{other:?}").to_lowercase(),
                });
                if let Some(code) = code {
                    self.session.reply(&Reply::new(code, "x"));
                }
            }
            self
        }
    }

    fn seen(octets: &[u8]) -> Vec<String> {
        Host::new(LineEndings::Strict).feed(octets).seen.clone()
    }

    const OPEN: &[u8] = b"EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n";

    fn opened(rest: &[u8]) -> Vec<String> {
        seen(&[OPEN, rest].concat()).split_off(3)
    }

    #[test]
    fn a_pipelined_message_by_data() {
        assert_eq!(
            opened(b"DATA\r\n..one\r\n.\r\nQUIT\r\n"),
            ["data", "body \".one\\r\\n\"", "messageend", "quit"]
        );
    }

    #[test]
    fn a_pipelined_message_by_chunks() {
        assert_eq!(
            opened(b"BDAT 4\r\na\r\nbBDAT 2 LAST\r\n\r\nMAIL FROM:<>\r\n"),
            [
                "chunk 4 false",
                "body \"a\\r\\nb\"",
                "chunkend",
                "chunk 2 true",
                "body \"\\r\\n\"",
                "messageend",
                "mail <>"
            ]
        );
        assert_eq!(opened(b"BDAT 0 LAST\r\n"), ["chunk 0 true", "messageend"]);
    }

    #[test]
    fn order_is_kept() {
        assert_eq!(seen(b"MAIL FROM:<a@b.c>\r\n"), ["HelloMissing"]);
        assert_eq!(
            seen(b"RCPT TO:<a@b.c>\r\nDATA\r\n"),
            ["MailMissing", "MailMissing"]
        );
        assert_eq!(opened(b"MAIL FROM:<>\r\n"), ["NestedMail"]);
        assert_eq!(opened(b"AUTH PLAIN\r\n"), ["AuthNotNow"]);
        assert_eq!(
            opened(b"BDAT 1\r\nxDATA\r\nRCPT TO:<a@b.c>\r\n")[3..],
            ["DataAfterChunk", "DataAfterChunk"]
        );
        assert_eq!(
            seen(b"EHLO c\r\nMAIL FROM:<>\r\nDATA\r\n")[2..],
            ["RecipientMissing"]
        );
        assert_eq!(opened(b"RSET\r\nDATA\r\n"), ["reset", "MailMissing"]);
        assert_eq!(opened(b"EHLO d\r\nDATA\r\n"), ["hello d", "MailMissing"]);
    }

    #[test]
    fn an_unwanted_chunk_is_swallowed_whole() {
        assert_eq!(
            seen(b"BDAT 11 LAST\r\nMAIL FROM\r\nNOOP\r\n"),
            ["MailMissing", "noop"]
        );
        assert_eq!(
            seen(b"BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n"),
            ["MailMissing", "noop"]
        );
    }

    #[test]
    fn plaintext_behind_starttls_ends_the_session() {
        let mut host = Host::new(LineEndings::Strict);
        host.feed(b"EHLO c\r\nSTARTTLS\r\nEHLO evil\r\n");
        assert_eq!(host.seen, ["hello c", "PlaintextAfterStartTls"]);
        assert!(host.session.is_closed());
    }

    #[test]
    fn tls_forgets_what_was_said_before() {
        let mut host = Host::new(LineEndings::Strict);
        host.feed(b"EHLO c\r\nSTARTTLS\r\n");
        assert!(host.session.wants_handshake());
        host.session.secured();
        host.feed(b"MAIL FROM:<>\r\nEHLO c\r\nSTARTTLS\r\n");
        assert_eq!(host.seen[2..], ["HelloMissing", "hello c", "AlreadySecure"]);
    }

    #[test]
    fn auth_in_one_step_and_two() {
        let mut host = Host::new(LineEndings::Strict);
        host.feed(b"EHLO c\r\nAUTH XOAUTH2 dGVzdA==\r\nAUTH XOAUTH2 x\r\n");
        assert_eq!(host.seen[1..], ["auth XOAUTH2", "AuthNotNow"]);
        let mut host = Host::new(LineEndings::Strict);
        host.feed(b"EHLO c\r\nAUTH LOGIN\r\ndGVzdA==\r\n");
        assert_eq!(host.seen[1..], ["auth LOGIN", "response"]);
        assert_eq!(
            seen(b"EHLO c\r\nAUTH LOGIN\r\n*\r\nNOOP\r\n")[2..],
            ["authcancelled", "noop"]
        );
    }

    #[test]
    fn a_long_auth_line_is_taken_and_another_is_not() {
        let token = "x".repeat(6000);
        assert_eq!(
            seen(format!("EHLO c\r\nAUTH XOAUTH2 {token}\r\n").as_bytes())[1..],
            ["auth XOAUTH2"]
        );
        assert_eq!(
            seen(format!("NOOP {token}\r\nNOOP\r\n").as_bytes()),
            ["LineTooLong", "noop"]
        );
    }

    #[test]
    fn bare_line_ends_are_fatal_where_the_end_is_in_doubt() {
        assert_eq!(
            opened(b"DATA\r\nx\n.\r\nNOOP\r\n"),
            ["data", "BareLineEndInBody { data: true }"]
        );
        assert_eq!(seen(b"NOOP\nNOOP\r\nNOOP\r\n"), ["BareLineEnd"]);
        assert_eq!(
            opened(b"BDAT 2 LAST\r\nx\nNOOP\r\n"),
            [
                "chunk 2 true",
                "body \"x\\n\"",
                "BareLineEndInBody { data: false }",
                "noop"
            ]
        );
    }

    #[test]
    fn a_binary_body_may_hold_anything_but_comes_by_bdat() {
        let start = b"EHLO c\r\nMAIL FROM:<a@b.c> BODY=BINARYMIME\r\nRCPT TO:<d@e.f>\r\n";
        let by = |rest: &[u8]| seen(&[start, rest].concat()).split_off(3);
        assert_eq!(by(b"DATA\r\n"), ["DataAfterChunk"]);
        assert_eq!(
            by(b"BDAT 2 LAST\r\n\0\n"),
            ["chunk 2 true", "body \"\\0\\n\"", "messageend"]
        );
    }

    proptest::proptest! {
        #[test]
        fn hostile_octets_never_panic_and_any_cut_is_alike(
            words in proptest::collection::vec(proptest::sample::select(vec![
                &b"EHLO c\r\n"[..], b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<d@e.f>\r\n", b"DATA\r\n", b"BDAT 7\r\n",
                b"BDAT 3 LAST\r\n", b".\r\n", b"x\r\n", b"\n", b"\r", b"\0", b"STARTTLS\r\n", b"AUTH LOGIN\r\n", b"*\r\n",
                b"RSET\r\n", b"\xff",
            ]), 0..12),
            cut in 0usize..120,
        ) {
            let octets = words.concat();
            let cut = cut.min(octets.len());
            // A cut right behind STARTTLS makes honest what would have been an injection.
            if octets.windows(8).any(|w| w == b"STARTTLS") {
                Host::new(LineEndings::Strict).feed(&octets);
            } else {
                let (mut whole, mut parts) = (Host::new(LineEndings::Strict), Host::new(LineEndings::Strict));
                whole.feed(&octets);
                parts.feed(&octets[..cut]).feed(&octets[cut..]);
                let flat = |host: &Host| host.seen.iter().filter(|e| !e.starts_with("body")).cloned().collect::<Vec<_>>();
                proptest::prop_assert_eq!(flat(&whole), flat(&parts));
                proptest::prop_assert_eq!(whole.session.output(), parts.session.output());
            }
        }
    }
}
