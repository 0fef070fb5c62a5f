//! Moving octets: reads with deadlines, writes, shakes hands, stores.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use sendas_config::ListenTls;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::conversation::{Conversation, Health, Patience, Peer, Step};
use crate::context::Context;
use crate::limits::{
    BODY_DEADLINE, BODY_RATE_MIN, BODY_READ_OCTETS, COMMAND_DEADLINE, COMMAND_READ_OCTETS,
    HANDSHAKE_DEADLINE, IDLE_DEADLINE, RATE_GRACE, STRESS_DEADLINE, WRITE_DEADLINE,
};
use crate::log;
use crate::policy::{Client, Policy, verify_nobody};
use crate::reception::Reception;

/// One accepted connection.
pub(crate) struct Seat {
    /// Who is at the other end.
    pub(crate) peer: Peer,
    /// The policy of its whole life.
    pub(crate) policy: Arc<Policy>,
    /// The certificate of its whole life; none on a relay without TLS.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With QUIT or a refusal of ours.
    Closed,
    /// The client went away.
    Gone,
    /// The client was too slow.
    TooSlow,
    /// The handshake failed.
    Handshake,
    /// A TLS handshake where plaintext is spoken.
    ClientHello,
    /// The client talked before the greeting.
    EarlyTalker,
}

/// Runs a session to its end. Not to be dropped half-way while a message is being stored: its
/// fate would be unknown to the client.
pub(crate) async fn serve<IO>(context: Arc<Context>, io: IO, seat: Seat) -> Ended
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = Stream::Plain(io);
    if seat.peer.tls == ListenTls::Implicit
        && let Err(ended) = stream.shake_hands(seat.tls.as_ref()).await
    {
        return ended;
    }
    let conversation = Conversation::new(
        Arc::clone(&seat.policy),
        Arc::clone(&context.hostname),
        seat.peer,
        context.health(),
    );
    let mut talk = Talk {
        context,
        stream,
        conversation,
        seat,
        reception: None,
        body_since: None,
        body_octets: 0,
        command_since: None,
        is_first_read: true,
    };
    let ended = talk.run().await.unwrap_or_else(|ended| ended);
    talk.stream.close().await;
    ended
}

struct Talk<IO> {
    context: Arc<Context>,
    stream: Stream<IO>,
    conversation: Conversation,
    seat: Seat,
    /// The message that is arriving.
    reception: Option<Reception>,
    body_since: Option<Instant>,
    body_octets: u64,
    /// When the command that is arriving began.
    command_since: Option<Instant>,
    is_first_read: bool,
}

impl<IO> Talk<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    async fn run(&mut self) -> Result<Ended, Ended> {
        self.listen_before_greeting().await?;
        loop {
            let patience = self.context.seats.patience();
            self.conversation
                .set_condition(self.context.health(), patience);
            match self.conversation.step() {
                Step::Read => {
                    self.flush().await?;
                    self.read(patience).await?;
                }
                Step::Check {
                    user,
                    password,
                    client,
                } => {
                    self.flush().await?;
                    let is_right = self.check(&user, password, client.clone()).await;
                    let client = client.filter(|_| is_right);
                    self.conversation.checked(&user, client);
                }
                Step::Meter { client, per_minute } => {
                    let has_room = self.context.take(&client.name, per_minute);
                    self.conversation.metered(has_room);
                }
                Step::Begin(submitted) => {
                    let peer = self.seat.peer.address;
                    self.reception = Some(Reception::begin(&self.context, *submitted, peer));
                }
                Step::Octets(octets) => {
                    if let Some(reception) = &mut self.reception {
                        reception.take(octets).await;
                    }
                }
                Step::End => {
                    let reception = self.reception.take();
                    let reply = match reception {
                        Some(reception) => reception.end(&self.context).await,
                        None => Reception::lost(),
                    };
                    self.conversation.stored(&reply);
                }
                Step::Abandon => self.reception = None,
                Step::Handshake => {
                    self.flush().await?;
                    self.stream.shake_hands(self.seat.tls.as_ref()).await?;
                    self.conversation.secured();
                }
                Step::Close => {
                    self.flush().await?;
                    return Ok(Ended::Closed);
                }
            }
        }
    }

    /// Octets that are there before the greeting come from a program that does not listen.
    async fn listen_before_greeting(&mut self) -> Result<(), Ended> {
        if self.seat.peer.is_local {
            return Ok(());
        }
        let input = self.conversation.input();
        input.reserve(COMMAND_READ_OCTETS);
        match timeout(Duration::ZERO, self.stream.read_buf(input)).await {
            Err(_) => return Ok(()),
            Ok(Ok(0) | Err(_)) => return Err(Ended::Gone),
            Ok(Ok(_)) => {}
        }
        self.look_for_client_hello()?;
        self.conversation.output().clear();
        self.conversation
            .output()
            .extend_from_slice(b"554 5.5.1 Wait for the greeting\r\n");
        self.flush().await?;
        Err(Ended::EarlyTalker)
    }

    /// TLS record type 22, version 3.x: a client that was told the wrong port or the wrong mode.
    fn look_for_client_hello(&mut self) -> Result<(), Ended> {
        if std::mem::take(&mut self.is_first_read)
            && matches!(self.stream, Stream::Plain(_))
            && self.conversation.input().starts_with(&[0x16, 0x03])
        {
            return Err(Ended::ClientHello);
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        let output = self.conversation.output();
        if output.is_empty() {
            return Ok(());
        }
        let written = timeout(WRITE_DEADLINE, async {
            self.stream.write_all(output).await?;
            self.stream.flush().await
        });
        match written.await {
            Err(_) => return Err(Ended::TooSlow),
            Ok(Err(_)) => return Err(Ended::Gone),
            Ok(Ok(())) => {}
        }
        self.conversation.output().clear();
        Ok(())
    }

    async fn read(&mut self, patience: Patience) -> Result<(), Ended> {
        let is_in_body = self.conversation.is_in_body();
        let deadline = self.deadline(patience, is_in_body);
        let mut may_dismiss = !is_in_body;
        loop {
            let has_begun = !self.conversation.input().is_empty();
            let drain = self.context.drain.clone();
            let input = self.conversation.input();
            input.reserve(if is_in_body {
                BODY_READ_OCTETS
            } else {
                COMMAND_READ_OCTETS
            });
            let read = tokio::select! {
                // Dropping a read loses nothing.
                read = timeout_at(deadline, self.stream.read_buf(input)) => read,
                () = drain.cancelled(), if !has_begun && may_dismiss => {
                    if self.conversation.dismiss("4.3.2 The relay is about to end") {
                        return Ok(());
                    }
                    may_dismiss = false;
                    continue;
                }
            };
            let octets = match read {
                Err(_) => {
                    self.conversation.dismiss("4.4.2 Too slow");
                    _ = self.flush().await;
                    return Err(Ended::TooSlow);
                }
                Ok(Ok(0) | Err(_)) => return Err(Ended::Gone),
                Ok(Ok(octets)) => octets,
            };
            self.look_for_client_hello()?;
            if is_in_body {
                self.body_octets += octets as u64;
                return self.check_rate();
            }
            return Ok(());
        }
    }

    /// Until when the next octet must come: a command has its time as a whole, a body by pieces.
    fn deadline(&mut self, patience: Patience, is_in_body: bool) -> Instant {
        let now = Instant::now();
        let is_idle = self.conversation.input().is_empty();
        if is_in_body {
            self.body_since.get_or_insert(now);
            self.command_since = None;
        } else {
            (self.body_since, self.body_octets) = (None, 0);
            if is_idle {
                self.command_since = None;
            } else {
                self.command_since.get_or_insert(now);
            }
        }
        let wait = match patience {
            Patience::Stressed => STRESS_DEADLINE,
            Patience::Normal if is_in_body => BODY_DEADLINE,
            Patience::Normal if is_idle => IDLE_DEADLINE,
            Patience::Normal => COMMAND_DEADLINE,
        };
        self.command_since.unwrap_or(now) + wait
    }

    fn check_rate(&self) -> Result<(), Ended> {
        let passed = self
            .body_since
            .map_or(Duration::ZERO, |since| since.elapsed());
        if passed > RATE_GRACE && self.body_octets < BODY_RATE_MIN * passed.as_secs() {
            return Err(Ended::TooSlow);
        }
        Ok(())
    }

    /// Compares a password, and keeps the answer back as long as the guard says.
    async fn check(
        &self,
        user: &str,
        password: zeroize::Zeroizing<String>,
        client: Option<Arc<Client>>,
    ) -> bool {
        let peer: IpAddr = self.seat.peer.address;
        let delay = self.context.login_delay(peer, user);
        tokio::time::sleep(delay).await;
        let Ok(_permit) = self.context.checks.acquire().await else {
            return false;
        };
        let compared = tokio::task::spawn_blocking(move || match client.as_deref() {
            Some(client) => client.password().is_some_and(|hash| hash.verify(&password)),
            None => verify_nobody(&password),
        });
        let is_right = compared.await.unwrap_or(false);
        self.context.login_ended(peer, user, is_right);
        log::login(peer, user, is_right);
        is_right
    }
}

/// A client's connection, plain or inside TLS.
enum Stream<IO> {
    Plain(IO),
    Tls(Box<TlsStream<IO>>),
    /// Lost in a handshake.
    Lost,
}

impl<IO> Stream<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    async fn shake_hands(&mut self, tls: Option<&Arc<ServerConfig>>) -> Result<(), Ended> {
        let (Self::Plain(io), Some(tls)) = (std::mem::replace(self, Self::Lost), tls) else {
            return Err(Ended::Handshake);
        };
        let acceptor = TlsAcceptor::from(Arc::clone(tls));
        match timeout(HANDSHAKE_DEADLINE, acceptor.accept(io)).await {
            Ok(Ok(stream)) => {
                *self = Self::Tls(Box::new(stream));
                Ok(())
            }
            Ok(Err(_)) => Err(Ended::Handshake),
            Err(_) => Err(Ended::TooSlow),
        }
    }

    /// Ends the connection as the client expects it, if it still listens.
    async fn close(&mut self) {
        drop(timeout(Duration::from_secs(1), self.shutdown()).await);
    }
}

fn lost() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
            Self::Lost => Poll::Ready(Err(lost())),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_write(cx, buf),
            Self::Lost => Poll::Ready(Err(lost())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
            Self::Lost => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
            Self::Lost => Poll::Ready(Ok(())),
        }
    }
}

/// Health as the conversation is told: the store's, and whether the relay ends.
impl Context {
    pub(crate) fn health(&self) -> Health {
        if self.drain.is_cancelled() {
            Health::Draining
        } else if self.spool.alive().is_err() {
            Health::Failed
        } else if self.is_short_of_room() {
            Health::Full
        } else {
            Health::Ready
        }
    }
}
