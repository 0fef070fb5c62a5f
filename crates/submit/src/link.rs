//! One connection: flights out, replies in, each with its deadline.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use sendas_smtp::client::Stage;
use sendas_smtp::{Reply, ReplyError, ReplyReader};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Duration, Instant, timeout_at};

use crate::limits::{Deadlines, UNREAD_OCTETS_MAX};
use crate::stream::Stream;
use crate::trace::{Trace, TraceEvent, lines};

/// The connection is of no further use.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct LinkError {
    /// What was under way.
    pub stage: Stage,
    /// Why.
    #[source]
    pub cause: LinkCause,
}

/// Why a connection is of no further use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkCause {
    /// The service closed it.
    #[error("the service closed the connection")]
    Closed,
    /// The operating system or TLS reports an error.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The service did not answer in time.
    #[error("the service did not answer within {0} s")]
    TimedOut(u64),
    /// What came is no SMTP.
    #[error("{0}")]
    Reply(#[from] ReplyError),
    /// A reply to nothing.
    #[error("the service sent a reply that nothing asked for: {0}")]
    Unasked(Reply),
    /// More octets than any service sends unasked.
    #[error("the service sends without end")]
    Flood,
    /// The message could not be read while it was being sent.
    #[error("the message could not be read: {0}")]
    Message(io::Error),
}

/// A connection and what has been read of it.
pub(crate) struct Link {
    stream: Stream,
    input: BytesMut,
    replies: ReplyReader,
    /// Commands gathered for the next flight.
    pub(crate) out: BytesMut,
    pub(crate) deadlines: Deadlines,
    pub(crate) trace: Arc<dyn Trace>,
}

impl Link {
    pub(crate) fn new(stream: Stream, deadlines: Deadlines, trace: Arc<dyn Trace>) -> Self {
        Self {
            stream,
            input: BytesMut::with_capacity(4096),
            replies: ReplyReader::default(),
            out: BytesMut::with_capacity(4096),
            deadlines,
            trace,
        }
    }

    /// Octets that were read and belong to no reply yet.
    pub(crate) fn unread(&self) -> usize {
        self.input.len()
    }

    /// Takes the stream out for its handshake.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Writes the gathered commands and waits for one reply to `stage`.
    pub(crate) async fn exchange(&mut self, stage: Stage) -> Result<Reply, LinkError> {
        self.send(stage).await?;
        self.reply(stage).await
    }

    /// Writes the gathered commands.
    pub(crate) async fn send(&mut self, stage: Stage) -> Result<(), LinkError> {
        if self.out.is_empty() {
            return Ok(());
        }
        let flight = self.out.split();
        let result = self.write(&flight, stage).await;
        // The buffer held an AUTH response perhaps: it is not left behind.
        self.out = flight;
        zeroize::Zeroize::zeroize(&mut self.out[..]);
        self.out.clear();
        result
    }

    /// Shows the gathered commands to the watcher, as they will be written. Bodies are gathered
    /// behind their commands, so this is called before them.
    pub(crate) fn show(&self, stage: Stage, from: usize) {
        for line in lines(&self.out[from..]) {
            let stage = stage_of(&line).unwrap_or(stage);
            self.trace.observe(TraceEvent::Sent { stage, line: &line });
        }
    }

    /// Writes octets of a body from where they lie.
    pub(crate) async fn send_block(&mut self, block: &[u8]) -> Result<(), LinkError> {
        self.send(Stage::Body).await?;
        self.write(block, Stage::Body).await
    }

    /// Waits for the next reply.
    pub(crate) async fn reply(&mut self, stage: Stage) -> Result<Reply, LinkError> {
        let patience = self.patience(stage);
        let deadline = Instant::now() + patience;
        loop {
            if let Some(reply) = self.try_reply(stage)? {
                return Ok(reply);
            }
            let read = poll_fn(|cx| self.poll_read(cx));
            match timeout_at(deadline, read).await {
                Ok(Ok(0)) => {
                    return Err(LinkError {
                        stage,
                        cause: LinkCause::Closed,
                    });
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(broken(stage, error)),
                Err(_) => {
                    return Err(LinkError {
                        stage,
                        cause: LinkCause::TimedOut(patience.as_secs()),
                    });
                }
            }
        }
    }

    /// A reply that has already arrived.
    pub(crate) fn try_reply(&mut self, stage: Stage) -> Result<Option<Reply>, LinkError> {
        let reply = self.replies.next(&mut self.input).map_err(|e| LinkError {
            stage,
            cause: e.into(),
        })?;
        if let Some(reply) = &reply {
            self.trace.observe(TraceEvent::Received { stage, reply });
        }
        Ok(reply)
    }

    /// Whether the peer has closed or spoken on an idle connection: either makes it useless.
    pub(crate) fn is_stale(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        !self.input.is_empty() || self.poll_read(&mut cx).is_ready()
    }

    /// Says QUIT and leaves without waiting for the answer: the service has had its chance to
    /// speak, and a round trip for a goodbye is one too many.
    pub(crate) async fn quit(mut self) {
        self.out.clear();
        self.out.extend_from_slice(b"QUIT\r\n");
        self.show(Stage::Quit, 0);
        let goodbye = async {
            if self.send(Stage::Quit).await.is_ok() {
                // TLS says that the end is meant; what the peer makes of it changes nothing.
                drop(poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await);
            }
        };
        drop(tokio::time::timeout(Duration::from_secs(1), goodbye).await);
    }

    fn patience(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Connect => self.deadlines.connect,
            Stage::Greeting => self.deadlines.greeting,
            Stage::Ehlo | Stage::StartTls | Stage::SecureEhlo | Stage::Auth | Stage::Quit => {
                self.deadlines.command
            }
            Stage::Tls => self.deadlines.handshake,
            Stage::Mail | Stage::Rcpt => self.deadlines.envelope,
            Stage::Body => self.deadlines.block,
            Stage::End => self.deadlines.end,
        }
    }

    /// Writes and flushes, taking in whatever the peer says meanwhile: neither side may wait for
    /// the other to read.
    async fn write(&mut self, octets: &[u8], stage: Stage) -> Result<(), LinkError> {
        let patience = self.deadlines.block;
        let write = async {
            let mut rest = octets;
            poll_fn(|cx| self.poll_write(&mut rest, cx)).await
        };
        match tokio::time::timeout(patience, write).await {
            Ok(result) => result.map_err(|cause| LinkError { stage, cause }),
            Err(_) => Err(LinkError {
                stage,
                cause: LinkCause::TimedOut(patience.as_secs()),
            }),
        }
    }

    fn poll_write(
        &mut self,
        rest: &mut &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkCause>> {
        loop {
            let written = if rest.is_empty() {
                Pin::new(&mut self.stream).poll_flush(cx).map_ok(|()| 0)
            } else {
                Pin::new(&mut self.stream).poll_write(cx, rest)
            };
            match written {
                Poll::Ready(Ok(_)) if rest.is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(LinkCause::Closed)),
                Poll::Ready(Ok(n)) => *rest = &rest[n..],
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    if self.input.len() > UNREAD_OCTETS_MAX {
                        return Poll::Ready(Err(LinkCause::Flood));
                    }
                    match ready!(self.poll_read(cx)) {
                        Ok(0) => return Poll::Ready(Err(LinkCause::Closed)),
                        Ok(_) => {}
                        Err(error) => return Poll::Ready(Err(error.into())),
                    }
                }
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut block = [0; 4096];
        let mut buf = ReadBuf::new(&mut block);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        self.input.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }
}

/// What a command of a transaction belongs to.
fn stage_of(line: &str) -> Option<Stage> {
    match line.get(..4)? {
        "MAIL" | "RSET" => Some(Stage::Mail),
        "RCPT" => Some(Stage::Rcpt),
        "DATA" | "BDAT" => Some(Stage::Body),
        _ => None,
    }
}

/// A peer that goes away without the formalities of TLS has closed the connection, no more.
fn broken(stage: Stage, error: io::Error) -> LinkError {
    let cause = match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => LinkCause::Closed,
        _ => LinkCause::Io(error),
    };
    LinkError { stage, cause }
}
