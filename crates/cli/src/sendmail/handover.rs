//! Handing a message to a running relay: plain SMTP over the socket beside its spool.
//!
//! The file system says who may connect; nothing is encrypted and nobody logs in. The relay
//! answers as on any listener, so its policy holds for programs of this machine too.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sendas_envelope::Envelope;
use sendas_smtp::client::{Action, Framing, Order, Report, Transaction};
use sendas_smtp::data::DotWriter;
use sendas_smtp::{Capabilities, Reply, ReplyReader};
use sendas_submit::Message;

use super::sysexits::{Sysexit, Trouble};
use crate::output;

/// How long the relay may keep us waiting; it syncs a disk before it answers.
const PATIENCE: Duration = Duration::from_mins(5);

/// What we call ourselves: the relay sees a socket of its own machine.
const EHLO: &[u8] = b"EHLO localhost\r\n";

/// A connection to a relay of this machine.
pub(super) struct Door {
    stream: Stream,
    input: BytesMut,
    replies: ReplyReader,
    verbose: bool,
}

/// Why a message was not handed over.
pub(super) enum NotTaken {
    /// The relay has not seen it, and says nothing about it: another way may be tried.
    Unseen(String),
    /// It is decided.
    Decided(Trouble),
}

#[cfg(unix)]
type Stream = std::os::unix::net::UnixStream;

/// Where there are no such sockets there is no connection either.
#[cfg(not(unix))]
type Stream = std::net::TcpStream;

/// Connects to the relay that listens there; none when nobody does.
///
/// # Errors
/// When a socket is there and not for us: whoever may not use it may not write the spool either.
#[cfg(unix)]
pub(super) fn connect(socket: &Path) -> Result<Option<Stream>, Trouble> {
    let stream = match Stream::connect(socket) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Trouble::new(
                Sysexit::NoPermission,
                format!(
                    "the relay's socket {} is not open to this user: put the user into its group, \
                     or set `local_programs = \"everyone\"` in [relay]",
                    socket.display()
                ),
            ));
        }
        Err(_) => return Ok(None),
    };
    let limited = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    Ok(limited.is_ok().then_some(stream))
}

/// The same where there are no such sockets.
#[cfg(not(unix))]
pub(super) const fn connect(_: &Path) -> Result<Option<Stream>, Trouble> {
    Ok(None)
}

impl Door {
    pub(super) fn new(stream: Stream, verbose: bool) -> Self {
        Self {
            stream,
            input: BytesMut::with_capacity(4096),
            replies: ReplyReader::default(),
            verbose,
        }
    }

    /// Hands one message over; says what the relay answered.
    pub(super) fn hand_over(
        mut self,
        envelope: &Envelope,
        message: &Message,
    ) -> Result<String, NotTaken> {
        let unseen = |error: io::Error| NotTaken::Unseen(format!("the relay is gone: {error}"));
        let greeting = self.receive().map_err(unseen)?;
        if !greeting.is_positive() {
            return Err(NotTaken::Unseen(format!("the relay says {greeting}")));
        }
        self.send(EHLO).map_err(unseen)?;
        let hello = self.receive().map_err(unseen)?;
        if !hello.is_positive() {
            return Err(NotTaken::Unseen(format!("the relay says {hello}")));
        }
        let offered = Capabilities::from_reply(&hello);
        let mut transaction =
            Transaction::new(envelope, message.octets(), &offered, true, Order::Clean)
                .map_err(|error| NotTaken::Decided(Trouble::data(error)))?
                // One exit code for all: a caller that repeats must not send anything twice.
                .all_or_none();
        let walked = self.walk(&mut transaction, message);
        let report = transaction.into_report();
        if let Err(error) = walked {
            return Err(if report.is_uncertain() {
                NotTaken::Decided(Trouble::new(
                    Sysexit::Temporary,
                    format!("the relay was lost after the message ({error}); it may have it"),
                ))
            } else {
                NotTaken::Unseen(format!("the relay was lost: {error}"))
            });
        }
        // Whatever it answers now, the message has its fate.
        drop(self.send(b"QUIT\r\n"));
        judge(&report, envelope).map_err(NotTaken::Decided)
    }

    fn walk(&mut self, transaction: &mut Transaction<'_>, message: &Message) -> io::Result<()> {
        let mut out = BytesMut::new();
        loop {
            let action = transaction.next(&mut out);
            self.send(&out)?;
            out.clear();
            match action {
                Action::Done => return Ok(()),
                Action::SendBody => {
                    self.body(message, transaction.framing())?;
                    transaction.body_sent();
                }
                Action::Receive => {
                    let reply = self.receive()?;
                    if reply.code() == 421 {
                        transaction.closed(&reply);
                    } else if !transaction.reply(reply) {
                        return Err(io::Error::other("a reply that nobody asked for"));
                    }
                }
            }
        }
    }

    fn body(&mut self, message: &Message, framing: Framing) -> io::Result<()> {
        let mut dots = DotWriter::default();
        let mut out = BytesMut::new();
        let mut at = 0;
        loop {
            let block: Bytes = message.block(at)?;
            if block.is_empty() {
                break;
            }
            at += block.len() as u64;
            if framing == Framing::Chunk {
                self.stream.write_all(&block)?;
            } else {
                dots.write(&block, &mut out);
                self.stream.write_all(&out)?;
                out.clear();
            }
        }
        if framing == Framing::Data {
            dots.finish(&mut out);
            self.stream.write_all(&out)?;
        }
        self.stream.flush()
    }

    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.verbose {
            for line in String::from_utf8_lossy(octets).lines() {
                output::line(&format!(">>> {}", output::visible(line)));
            }
        }
        self.stream.write_all(octets)
    }

    fn receive(&mut self) -> io::Result<Reply> {
        loop {
            match self.replies.next(&mut self.input) {
                Ok(Some(reply)) => {
                    if self.verbose {
                        output::line(&format!("<<< {}", output::visible(&reply.to_string())));
                    }
                    return Ok(reply);
                }
                Ok(None) => {}
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(octets) => self.input.extend_from_slice(&piece[..octets]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The relay's word on a message that went through.
fn judge(report: &Report, envelope: &Envelope) -> Result<String, Trouble> {
    if let Some(mail) = report.mail.as_ref().filter(|reply| !reply.is_positive()) {
        return Err(refusal(Sysexit::Unavailable, "the sender", mail));
    }
    let refused = report
        .recipients
        .iter()
        .zip(envelope.recipients())
        .find_map(|(reply, recipient)| {
            let reply = reply.as_ref().filter(|reply| !reply.is_positive())?;
            Some(refusal(Sysexit::NoUser, recipient.path.as_str(), reply))
        });
    match &report.end {
        Some(end) if end.is_positive() => match refused {
            None => Ok(end.text().to_owned()),
            Some(trouble) => Err(trouble),
        },
        Some(end) => {
            Err(refused.unwrap_or_else(|| refusal(Sysexit::Unavailable, "the message", end)))
        }
        None => Err(refused.unwrap_or_else(|| {
            Trouble::new(
                Sysexit::Temporary,
                "the relay did not say what became of the message",
            )
        })),
    }
}

/// A refusal for now is one whatever was refused.
fn refusal(code: Sysexit, what: &str, reply: &Reply) -> Trouble {
    let code = if reply.is_temporary() {
        Sysexit::Temporary
    } else {
        code
    };
    Trouble::new(code, format!("the relay refuses {what}: {reply}"))
}
