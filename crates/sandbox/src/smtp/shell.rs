//! Moving octets: accepts connections, shakes hands, lets faults strike, writes the journal.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use rustls::{ProtocolVersion, ServerConfig};
use sendas_smtp::Reply;
use sendas_smtp::data::LineEndings;
use sendas_smtp::server::{Event, Session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::reply::{self, Said};
use super::session::{Answer, Conversation, shown};
use crate::faults::{Effect, Fault, Step};
use crate::journal::Channel;
use crate::limits;
use crate::line::{Line, Resetter};
use crate::world::{Outcome, World};

/// Octets read at once: a body in large pieces, commands in small ones.
const BODY_READ_OCTETS: usize = 64 * 1024;
const COMMAND_READ_OCTETS: usize = 8 * 1024;

/// Accepts connections until the sandbox stops.
pub(crate) async fn serve(world: Arc<World>, listener: TcpListener, tls: Arc<ServerConfig>) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let accepted = tokio::select! {
            () = world.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // A connection that died in the queue is the client's business.
        let Ok((tcp, peer)) = accepted else { continue };
        let line = Line::new(tcp);
        let connection = world.connection();
        let conversation = Conversation::new(Arc::clone(&world), peer.ip(), connection);
        let talk = Talk {
            world: Arc::clone(&world),
            resetter: line.resetter(),
            stream: Stream::Plain(line),
            session: Session::new(LineEndings::Keep, false),
            conversation,
            connection,
            instead: None,
        };
        let (acceptor, stop) = (acceptor.clone(), world.stop.clone());
        world.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                // How a connection ends is told by the journal.
                ended = talk.run(acceptor) => drop(ended),
            }
        });
    }
}

enum Stream {
    Plain(Line),
    Tls(Box<TlsStream<Line>>),
    /// Between the two.
    Gone,
}

impl Stream {
    async fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(line) => line.read_buf(into).await,
            Self::Tls(tls) => tls.read_buf(into).await,
            Self::Gone => Ok(0),
        }
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(line) => line.write_all(octets).await,
            Self::Tls(tls) => {
                tls.write_all(octets).await?;
                tls.flush().await
            }
            Self::Gone => Ok(()),
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(line) => line.shutdown().await,
            Self::Tls(tls) => tls.shutdown().await,
            Self::Gone => Ok(()),
        }
    }
}

struct Talk {
    world: Arc<World>,
    resetter: Resetter,
    stream: Stream,
    session: Session,
    conversation: Conversation,
    connection: u64,
    /// A fault's reply that is due at the end of the body.
    instead: Option<(Reply, u64)>,
}

/// What a fault leaves to do.
enum After {
    /// The right answer.
    Right,
    /// This reply instead.
    Instead(Reply),
    /// The right answer is worked out and not given; the connection closes.
    Silent,
    /// Nothing: the connection is over.
    Over,
}

impl Talk {
    async fn run(mut self, acceptor: TlsAcceptor) -> io::Result<()> {
        if !self.greet().await? {
            return Ok(());
        }
        loop {
            if !self.events().await? {
                return Ok(());
            }
            self.flush().await?;
            if self.session.is_closed() {
                return self.stream.shutdown().await;
            }
            if self.session.wants_handshake() {
                if !self.shake_hands(&acceptor).await? {
                    return Ok(());
                }
                continue;
            }
            let octets = if self.session.is_in_body() {
                BODY_READ_OCTETS
            } else {
                COMMAND_READ_OCTETS
            };
            self.session.input().reserve(octets);
            let idle = Duration::from_secs(limits::SMTP_IDLE_S);
            let read = self.stream.read(self.session.input());
            match tokio::time::timeout(idle, read).await {
                Ok(Ok(0)) => return Ok(()),
                Ok(read) => {
                    read?;
                }
                Err(_) => {
                    let farewell = self.conversation.written(&reply::IDLE.said());
                    let mut octets = BytesMut::new();
                    farewell.write(&mut octets);
                    self.stream.write(&octets).await?;
                    return self.stream.shutdown().await;
                }
            }
        }
    }

    // Answers false when the connection is over.
    async fn greet(&mut self) -> io::Result<bool> {
        for step in [Step::Connect, Step::Greeting] {
            let fault = self.world.faults.strike(step, || None, &self.world.chance);
            let struck = fault.as_ref().map(|fault| fault.id);
            match self.strike(fault).await? {
                After::Right => {}
                After::Instead(reply) => {
                    self.note("(connect)", &reply, None, struck);
                    self.session.reply(&reply);
                    return Ok(true);
                }
                After::Silent | After::Over => return Ok(false),
            }
        }
        let greeting = self.conversation.greeting();
        let reply = self.conversation.written(&greeting);
        self.note("(connect)", &reply, None, None);
        self.session.reply(&reply);
        Ok(true)
    }

    // Handles every event at hand. Answers false when the connection is over.
    async fn events(&mut self) -> io::Result<bool> {
        while let Some(event) = self.session.next_event() {
            let ends_body = matches!(event, Event::MessageEnd | Event::ChunkEnd);
            // A reply that already waits for the end of the body goes before a fault there.
            let step = self
                .conversation
                .step(&event)
                .filter(|_| !ends_body || self.instead.is_none());
            let fault = step.and_then(|step| {
                let whom = || self.conversation.whom(&event);
                self.world.faults.strike(step, whom, &self.world.chance)
            });
            let struck = fault.as_ref().map(|fault| fault.id);
            let after = self.strike(fault).await?;
            let asked = shown(&event);
            let due = asked.is_some();
            let reply = match after {
                After::Over => return Ok(false),
                After::Silent => {
                    drop(self.conversation.answer(event).await);
                    self.flush().await?;
                    return Ok(false);
                }
                After::Instead(reply) if !due => {
                    // The reply is due when the body has ended.
                    self.instead = Some((reply, struck.unwrap_or_default()));
                    drop(self.conversation.answer(event).await);
                    continue;
                }
                After::Instead(reply) => {
                    if reply.is_positive() || reply.is_intermediate() {
                        drop(self.conversation.answer(event).await);
                    } else if ends_body {
                        drop(self.conversation.answer(Event::Reset).await);
                    }
                    self.note(asked.as_deref().unwrap_or_default(), &reply, None, struck);
                    reply
                }
                After::Right => {
                    if ends_body && let Some((reply, struck)) = self.instead.take() {
                        drop(self.conversation.answer(Event::Reset).await);
                        self.note(
                            asked.as_deref().unwrap_or_default(),
                            &reply,
                            None,
                            Some(struck),
                        );
                        self.say(&reply).await?;
                        continue;
                    }
                    let (reply, cause) = match self.conversation.answer(event).await {
                        Answer::Nothing => continue,
                        Answer::Say(said) => {
                            let Said { cause, .. } = &said;
                            (self.conversation.written(&said), cause.clone())
                        }
                        Answer::Plain(reply) => (reply, None),
                    };
                    self.note(asked.as_deref().unwrap_or_default(), &reply, cause, struck);
                    reply
                }
            };
            self.say(&reply).await?;
        }
        Ok(true)
    }

    async fn say(&mut self, reply: &Reply) -> io::Result<()> {
        if reply.code() >= 400 {
            let tarpit_ms = self.world.view().0.behaviour().tarpit_ms;
            if tarpit_ms > 0 {
                self.flush().await?;
                tokio::time::sleep(Duration::from_millis(tarpit_ms)).await;
            }
        }
        self.session.reply(reply);
        if self.session.output().len() >= BODY_READ_OCTETS {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let output = self.session.output();
        if !output.is_empty() {
            let octets = output.split();
            self.stream.write(&octets).await?;
        }
        Ok(())
    }

    async fn shake_hands(&mut self, acceptor: &TlsAcceptor) -> io::Result<bool> {
        let fault = self
            .world
            .faults
            .strike(Step::Tls, || None, &self.world.chance);
        if !matches!(self.strike(fault).await?, After::Right) {
            return Ok(false);
        }
        let Stream::Plain(line) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Ok(false);
        };
        let tls = match acceptor.accept(line).await {
            Ok(tls) => tls,
            Err(error) => {
                let outcome = Outcome::from(format!("TLS failed: {error}"));
                self.world.note(
                    Channel::Smtp,
                    self.connection,
                    "(handshake)".into(),
                    outcome,
                );
                return Ok(false);
            }
        };
        let version = match tls.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS",
        };
        self.stream = Stream::Tls(Box::new(tls));
        self.session.secured();
        self.conversation.secured(version);
        Ok(true)
    }

    async fn strike(&mut self, fault: Option<Fault>) -> io::Result<After> {
        let Some(fault) = fault else {
            return Ok(After::Right);
        };
        let outcome = Outcome {
            answered: "(fault)".into(),
            cause: Some(format!("{:?}", fault.effect)),
            fault: Some(fault.id),
        };
        Ok(match fault.effect {
            Effect::Delay { ms } => {
                self.flush().await?;
                tokio::time::sleep(Duration::from_millis(ms)).await;
                After::Right
            }
            Effect::Reply { code, text } => After::Instead(Reply::new(code, text)),
            Effect::AcceptThenClose => After::Silent,
            effect => {
                let asked = format!("({:?})", fault.at).to_lowercase();
                self.world
                    .note(Channel::Smtp, self.connection, asked, outcome);
                self.break_off(effect).await?;
                After::Over
            }
        })
    }

    // Effects after which nothing more is said.
    async fn break_off(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Reset => self.resetter.reset(),
            Effect::Stall => self.world.stop.cancelled().await,
            Effect::Garbage => {
                self.flush().await?;
                self.stream
                    .write(b"\x16\x03 this is no reply \xff\r\n")
                    .await?;
                self.listen_out().await?;
            }
            Effect::Oversize { octets } => {
                self.flush().await?;
                let mut line = BytesMut::with_capacity(1002);
                line.put_slice(b"250-");
                line.put_bytes(b'x', 996);
                line.put_slice(b"\r\n");
                for _ in 0..octets.div_ceil(line.len() as u64) {
                    self.stream.write(&line).await?;
                }
                self.listen_out().await?;
            }
            _ => self.flush().await?,
        }
        Ok(())
    }

    // Reads until the client goes away.
    async fn listen_out(&mut self) -> io::Result<()> {
        let mut heard = BytesMut::with_capacity(COMMAND_READ_OCTETS);
        while self.stream.read(&mut heard).await? > 0 {
            heard.clear();
        }
        Ok(())
    }

    fn note(&self, asked: &str, reply: &Reply, cause: Option<String>, fault: Option<u64>) {
        let answered = format!(
            "{} {}",
            reply.code(),
            reply.lines().next().unwrap_or_default()
        );
        let outcome = Outcome {
            answered,
            cause,
            fault,
        };
        self.world
            .note(Channel::Smtp, self.connection, asked.to_owned(), outcome);
    }
}
