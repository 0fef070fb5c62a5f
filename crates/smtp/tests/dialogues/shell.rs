//! A core on a socket: octets in, octets out, nothing decided here.

use std::sync::Arc;
use std::time::Duration;

use sendas_testkit::dialogue::{Dialogue, Machine, Side};
use sendas_testkit::socket::BoxedStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

/// An event of the file on its way to the core, or the core's answer to it.
type Event = (String, String);
type Answer = Result<(), String>;

/// Runs `dialogue` against a core behind a TCP connection. Events of the file reach the core beside
/// the connection; the handshake is one of them and moves no octets.
pub(crate) async fn check<M: Machine + Send + 'static>(
    dialogue: &Dialogue,
    under_test: Side,
    fresh: fn() -> M,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (events, inbox) = mpsc::unbounded_channel::<Event>();
    let (answers, outbox) = mpsc::unbounded_channel::<Answer>();
    let core = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        run(fresh(), stream, inbox, answers).await;
    });
    let outbox = Arc::new(Mutex::new(outbox));
    let stream: BoxedStream = Box::new(TcpStream::connect(address).await.unwrap());
    let checked = dialogue
        .check_socket(stream, under_test, |stream, word, arguments| {
            let sent = events.send((word.to_owned(), arguments.to_owned()));
            let outbox = Arc::clone(&outbox);
            Box::pin(async move {
                let gone = || "the core is gone".to_owned();
                sent.map_err(|_| gone())?;
                outbox.lock().await.recv().await.ok_or_else(gone)??;
                Ok(stream)
            })
        })
        .await;
    core.abort();
    checked.unwrap_or_else(|mismatch| panic!("{mismatch}"));
}

/// How long an event may wait for the octets that were sent before it.
const EVENT_S_MAX: u64 = 5;

async fn run(
    mut core: impl Machine,
    mut stream: TcpStream,
    mut inbox: mpsc::UnboundedReceiver<Event>,
    answers: mpsc::UnboundedSender<Answer>,
) {
    loop {
        write(&mut core, &mut stream).await;
        tokio::select! {
            event = inbox.recv() => {
                let Some((word, arguments)) = event else { return };
                let mut answer = core.event(&word, &arguments);
                // The event came beside the connection and may have overtaken what was sent
                // before it: it holds if it holds once that has arrived.
                while answer.is_err() {
                    let limit = Duration::from_secs(EVENT_S_MAX);
                    match tokio::time::timeout(limit, read(&mut core, &mut stream)).await {
                        Ok(true) => answer = core.event(&word, &arguments),
                        Ok(false) | Err(_) => break,
                    }
                }
                // What the core says to it is written first, as the answer lets the file go on.
                write(&mut core, &mut stream).await;
                if answers.send(answer).is_err() {
                    return;
                }
            }
            more = read(&mut core, &mut stream) => {
                if !more {
                    return;
                }
            }
        }
    }
}

/// Hands the core what has come; false at the end.
async fn read(core: &mut impl Machine, stream: &mut TcpStream) -> bool {
    let mut part = [0u8; 4096];
    match stream.read(&mut part).await {
        Ok(octets @ 1..) => {
            core.receive(&part[..octets]);
            true
        }
        _ => false,
    }
}

async fn write(core: &mut impl Machine, stream: &mut TcpStream) {
    stream.write_all(&core.transmit()).await.unwrap();
    if core.is_closed() {
        stream.shutdown().await.unwrap();
    }
}
