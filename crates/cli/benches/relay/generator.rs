//! A client that hands in messages as fast as they are taken: each transaction is one write and
//! one answer, so that the generator is not what is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::kernel;

/// What is handed in.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) sessions: usize,
    pub(crate) octets: usize,
    /// Senders, one for each session in turn.
    pub(crate) senders: Arc<[String]>,
    /// Messages in all.
    pub(crate) messages: u64,
    /// A pause between two messages of one session.
    pub(crate) pause: Duration,
}

/// What came of it.
pub(crate) struct Taken {
    pub(crate) messages: u64,
    pub(crate) seconds: f64,
    /// From the message's write to its last reply, shortest first.
    pub(crate) waits: Vec<Duration>,
}

impl Taken {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(crate) fn rate(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    /// The wait that so many in a hundred do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let at = (self.waits.len() * percent).div_ceil(100).max(1) - 1;
        self.waits.get(at).copied().unwrap_or_default()
    }
}

impl Load {
    /// Hands everything in, from a thread of its own with its own runtime.
    pub(crate) fn run(&self) -> Taken {
        let load = self.clone();
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(load.hand_in())
        });
        thread.join().expect("the generator ends")
    }

    pub(crate) async fn hand_in(self) -> Taken {
        let mut sessions = Vec::with_capacity(self.sessions);
        for number in 0..self.sessions {
            let sender = &self.senders[number % self.senders.len()];
            sessions.push((
                Session::open(self.address).await,
                transaction(sender, self.octets),
            ));
        }
        let left = Arc::new(AtomicU64::new(self.messages));
        let begin = kernel::moment();
        let mut tasks = JoinSet::new();
        for (mut session, text) in sessions {
            let (left, pause) = (Arc::clone(&left), self.pause);
            tasks.spawn(async move {
                let mut waits = Vec::new();
                while take_one(&left) {
                    let begin = kernel::moment();
                    session.transact(&text).await;
                    waits.push(begin.elapsed());
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                }
                waits
            });
        }
        let mut waits: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
        let seconds = begin.elapsed().as_secs_f64();
        waits.sort_unstable();
        Taken {
            messages: waits.len() as u64,
            seconds,
            waits,
        }
    }
}

fn take_one(left: &AtomicU64) -> bool {
    let one_less = |n: u64| n.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
        .is_ok()
}

/// A client's session after EHLO.
pub(crate) struct Session {
    io: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Session {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let io = TcpStream::connect(address).await.expect("it listens");
        io.set_nodelay(true).expect("a socket takes its options");
        let mut session = Self {
            io: BufReader::with_capacity(1024, io),
            line: Vec::new(),
        };
        session.reply().await;
        session
            .io
            .write_all(b"EHLO client.test\r\n")
            .await
            .expect("it reads");
        session.reply().await;
        session
    }

    /// One message: the envelope and the body in one write, three replies.
    pub(crate) async fn transact(&mut self, text: &[u8]) {
        self.io.write_all(text).await.expect("it reads");
        for _ in 0..3 {
            self.reply().await;
        }
    }

    /// Reads a reply, which must be positive.
    pub(crate) async fn reply(&mut self) {
        loop {
            self.line.clear();
            let read = self.io.read_until(b'\n', &mut self.line).await;
            let text = String::from_utf8_lossy(&self.line);
            assert!(
                read.is_ok_and(|n| n > 3) && text.starts_with('2'),
                "refused: {text}"
            );
            if self.line[3] != b'-' {
                return;
            }
        }
    }
}

/// MAIL, RCPT and BDAT with a message of so many octets.
pub(crate) fn transaction(sender: &str, octets: usize) -> Vec<u8> {
    let body = message(sender, octets);
    let mut text = format!(
        "MAIL FROM:<{sender}>\r\nRCPT TO:<someone@example.org>\r\nBDAT {} LAST\r\n",
        body.len()
    )
    .into_bytes();
    text.extend_from_slice(&body);
    text
}

/// A message of so many octets.
pub(crate) fn message(sender: &str, octets: usize) -> Vec<u8> {
    let mut text = format!(
        "From: <{sender}>\r\nTo: <someone@example.org>\r\nSubject: measured\r\n\
         Date: Mon, 23 Nov 2026 04:05:06 +0000\r\nMessage-ID: <measured@bench.example>\r\n\r\n"
    )
    .into_bytes();
    let line = b"sixty-two octets of text, and its line end, as often as needed\r\n";
    while text.len() + line.len() < octets {
        text.extend_from_slice(line);
    }
    while text.len() + 2 < octets {
        text.push(b'x');
    }
    text.extend_from_slice(b"\r\n");
    text
}
