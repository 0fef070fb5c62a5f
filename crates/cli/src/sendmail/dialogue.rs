//! `-bs`: a whole SMTP dialogue on standard input and output, as frameworks hold it.
//!
//! With a running relay the octets go to it and back. Without one this is the server: the same
//! sessions as the relay's, each message given away before its reply.

use std::io::{self, Read, Write};

use bytes::BytesMut;
use sendas_envelope::{Body, Envelope, Recipient};
use sendas_smtp::data::LineEndings;
use sendas_smtp::server::{Event, Session, Violation};
use sendas_smtp::{MailCommand, Reply};
use sendas_submit::MessageWriter;

use super::compose::{self, Parcel};
use super::options::Call;
use super::outgoing::Exits;
use super::senders::Senders;
use super::sysexits::{Sysexit, Trouble};

/// Octets read at once.
const PIECE_OCTETS: usize = 16 * 1024;

/// Recipients of one message.
const RECIPIENTS_MAX: usize = 500;

/// Holds one dialogue to its end.
///
/// # Errors
/// When the caller's pipes break.
pub(super) fn hold(
    mut from: impl Read,
    mut to: impl Write,
    exits: &Exits<'_>,
    senders: &Senders<'_>,
) -> io::Result<Sysexit> {
    let mut talk = Talk {
        exits,
        senders,
        octets_max: exits.settings.send.message_size_octets_max,
        mail: None,
        recipients: Vec::new(),
        body: None,
    };
    let mut session = Session::new(LineEndings::Normalize, false);
    session.reply(&Reply::new(220, "localhost ESMTP sendas"));
    let mut piece = vec![0; PIECE_OCTETS];
    loop {
        while let Some(event) = session.next_event() {
            if let Some(reply) = talk.answer(event) {
                session.reply(&reply);
            }
        }
        let output: &mut BytesMut = session.output();
        to.write_all(output)?;
        to.flush()?;
        output.clear();
        if session.is_closed() {
            return Ok(Sysexit::Ok);
        }
        match from.read(&mut piece) {
            // Some callers just close their end.
            Ok(0) => return Ok(Sysexit::Ok),
            Ok(octets) => session.input().extend_from_slice(&piece[..octets]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Carries octets between the caller and a relay until either has ended.
#[cfg(unix)]
pub(super) fn tunnel(stream: std::os::unix::net::UnixStream) -> io::Result<Sysexit> {
    let mut there = stream.try_clone()?;
    let mut back = stream;
    // It ends with the process: a caller that keeps its end open must not keep us.
    std::thread::spawn(move || {
        let copied = io::copy(&mut io::stdin().lock(), &mut there);
        drop(there.shutdown(std::net::Shutdown::Write));
        copied
    });
    let mut out = io::stdout().lock();
    let mut piece = [0; PIECE_OCTETS];
    let mut last = LastReply::default();
    loop {
        match back.read(&mut piece) {
            Ok(0) => return Ok(last.exit()),
            Ok(octets) => {
                last.feed(&piece[..octets]);
                out.write_all(&piece[..octets])?;
                out.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The same where there are no such sockets: nothing ever connects.
#[cfg(not(unix))]
pub(super) fn tunnel(_: std::net::TcpStream) -> io::Result<Sysexit> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The first digit of the last line that went by.
#[cfg(unix)]
#[derive(Default)]
struct LastReply {
    digit: u8,
    is_inside: bool,
}

#[cfg(unix)]
impl LastReply {
    fn feed(&mut self, octets: &[u8]) {
        for &octet in octets {
            if !self.is_inside && octet != b'\n' {
                self.digit = octet;
            }
            self.is_inside = octet != b'\n';
        }
    }

    /// A dialogue that ends with a refusal has not ended as the caller meant it to.
    fn exit(&self) -> Sysexit {
        if matches!(self.digit, b'4' | b'5') {
            Sysexit::Temporary
        } else {
            Sysexit::Ok
        }
    }
}

struct Talk<'a> {
    exits: &'a Exits<'a>,
    senders: &'a Senders<'a>,
    octets_max: u64,
    mail: Option<MailCommand>,
    recipients: Vec<Recipient>,
    /// The message as far as it has come, or the reply it will get.
    body: Option<Result<Received, Reply>>,
}

struct Received {
    writer: MessageWriter,
    octets: u64,
}

impl Talk<'_> {
    /// The reply to an event; none where none is due.
    fn answer(&mut self, event: Event) -> Option<Reply> {
        Some(match event {
            Event::Hello { extended: true, .. } => {
                self.reset();
                Reply::new(
                    250,
                    format!(
                        "localhost\nPIPELINING\nSIZE {}\n8BITMIME\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES\nCHUNKING",
                        self.octets_max
                    ),
                )
            }
            Event::Hello { .. } => {
                self.reset();
                Reply::new(250, "localhost")
            }
            Event::StartTls => Reply::new(502, "5.5.1 Nobody listens between two processes"),
            Event::Auth { .. } | Event::AuthResponse(_) | Event::AuthCancelled => {
                Reply::new(503, "5.5.1 Nobody needs to log in here")
            }
            Event::Mail(mail) => self.mail(mail),
            Event::Rcpt(rcpt) => self.rcpt(rcpt.recipient),
            Event::Data => {
                self.begin();
                Reply::new(354, "End with a line that holds one dot")
            }
            Event::Chunk { .. } => {
                if self.body.is_none() {
                    self.begin();
                }
                return None;
            }
            Event::Body(octets) => {
                self.take(&octets);
                return None;
            }
            Event::ChunkEnd => match &self.body {
                Some(Err(reply)) => reply.clone(),
                _ => Reply::new(250, "2.0.0 Go on"),
            },
            Event::MessageEnd => self.end(),
            Event::Reset => {
                self.reset();
                Reply::new(250, "2.0.0 Forgotten")
            }
            Event::Noop => Reply::new(250, "2.0.0 Fine"),
            Event::Help => Reply::new(214, "2.0.0 EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT"),
            Event::Verify(_) => Reply::new(252, "2.1.5 Send it and see"),
            Event::Quit => Reply::new(221, "2.0.0 Bye"),
            Event::Violation(violation) => violated(&violation),
        })
    }

    fn mail(&mut self, mail: MailCommand) -> Reply {
        if mail.body == Some(Body::Binary) {
            return Reply::new(501, "5.6.3 BINARYMIME is not offered");
        }
        if mail
            .size_octets
            .is_some_and(|octets| octets > self.octets_max)
        {
            return Reply::new(
                552,
                format!("5.3.4 No more than {} octets", self.octets_max),
            );
        }
        let sender = mail
            .reverse_path
            .address()
            .or_else(|| self.senders.fallback());
        if !sender.is_some_and(|sender| self.senders.covers(sender)) {
            return Reply::new(
                550,
                format!("5.7.1 No principal sends for {}", mail.reverse_path),
            );
        }
        self.reset();
        self.mail = Some(mail);
        Reply::new(250, "2.1.0 Fine")
    }

    fn rcpt(&mut self, recipient: Recipient) -> Reply {
        if recipient.path.address().is_none() {
            return Reply::new(550, "5.1.1 Nobody here is postmaster; give a domain");
        }
        if self.recipients.len() >= RECIPIENTS_MAX {
            return Reply::new(
                452,
                format!("4.5.3 No more than {RECIPIENTS_MAX} recipients"),
            );
        }
        self.recipients.push(recipient);
        Reply::new(250, "2.1.5 Fine")
    }

    fn begin(&mut self) {
        self.body = Some(Ok(Received {
            writer: MessageWriter::new(),
            octets: 0,
        }));
    }

    fn take(&mut self, octets: &[u8]) {
        let Some(Ok(received)) = &mut self.body else {
            return;
        };
        received.octets += octets.len() as u64;
        let trouble = if received.octets > self.octets_max {
            Some(Reply::new(
                552,
                format!("5.3.4 No more than {} octets", self.octets_max),
            ))
        } else {
            let written = received.writer.write(octets);
            written.err().map(|error| reply_to(&Trouble::data(error)))
        };
        if let Some(reply) = trouble {
            self.body = Some(Err(reply));
        }
    }

    /// The message is whole: it is given away before its reply.
    fn end(&mut self) -> Reply {
        let (mail, recipients, body) = (
            self.mail.take(),
            std::mem::take(&mut self.recipients),
            self.body.take(),
        );
        let (Some(mail), Some(body)) = (mail, body) else {
            return Reply::new(451, "4.3.0 The message was not kept");
        };
        match body.and_then(|received| self.give_away(mail, recipients, received)) {
            Ok(reply) | Err(reply) => reply,
        }
    }

    fn give_away(
        &self,
        mail: MailCommand,
        recipients: Vec<Recipient>,
        received: Received,
    ) -> Result<Reply, Reply> {
        let told = |trouble: Trouble| reply_to(&trouble);
        let whole = received.writer.finish();
        let whole = whole.map_err(|error| told(Trouble::data(error)))?;
        let mut envelope = Envelope::new(mail.reverse_path, recipients)
            .map_err(|error| told(Trouble::data(error)))?;
        envelope.utf8_header = mail.smtputf8;
        envelope.ret = mail.ret;
        envelope.envelope_id = mail.envelope_id;
        let call = Call {
            sender: Some(envelope.reverse_path.as_str().to_owned()),
            dots_are_text: true,
            ..Call::default()
        };
        let reader = compose::Reader::new(&whole);
        let outgoing = compose::parcel(
            &Parcel {
                call: &call,
                user: self.exits.user,
                senders: self.senders,
                octets_max: self.octets_max,
                envelope: Some(envelope),
            },
            reader,
        )
        .map_err(told)?
        .outgoing;
        self.exits
            .hand_on(outgoing)
            .map(|text| Reply::new(250, text.replace(['\r', '\0'], " ")))
            .map_err(told)
    }

    fn reset(&mut self) {
        self.mail = None;
        self.recipients.clear();
        self.body = None;
    }
}

/// A code of `sysexits.h` as a reply.
fn reply_to(trouble: &Trouble) -> Reply {
    let (code, status) = match trouble.code {
        Sysexit::Data => (554, "5.6.0"),
        Sysexit::NoUser => (550, "5.1.1"),
        Sysexit::Unavailable | Sysexit::Usage => (554, "5.0.0"),
        Sysexit::NoPermission => (550, "5.7.1"),
        _ => (451, "4.3.0"),
    };
    let text = trouble.text.replace(['\r', '\n', '\0'], " ");
    Reply::new(code, format!("{status} {text}"))
}

fn violated(violation: &Violation) -> Reply {
    match violation {
        Violation::Command(error) => Reply::new(
            500,
            format!("5.5.2 {error}").replace(['\r', '\0', '\n'], " "),
        ),
        Violation::LineTooLong => Reply::new(500, "5.5.2 The line is too long"),
        Violation::BareLineEnd => Reply::new(500, "5.5.2 A bare CR, bare LF or NUL in a command"),
        Violation::BareLineEndInBody { .. } => Reply::new(554, "5.6.0 A NUL in the message"),
        Violation::PlaintextAfterStartTls => Reply::new(554, "5.5.1 Octets behind STARTTLS"),
        Violation::RecipientMissing => Reply::new(554, "5.5.1 No recipient"),
        _ => Reply::new(503, "5.5.1 Not now"),
    }
}
