//! A proxy that counts round trips.
//!
//! It passes octets between a client and a server and remembers who spoke: a flight is what one
//! side says until the other one does. It looks at nothing else, so it counts through TLS. Each octet
//! waits for the chosen delay, so that flights which cross on their way are not taken for answers to
//! each other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Who spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The side that connected to the proxy.
    Client,
    /// The side the proxy connected to.
    Server,
}

/// What one side said before the other spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    /// Who said it.
    pub speaker: Speaker,
    /// How much, in octets.
    pub octets: usize,
}

/// A proxy on loopback; it stops when the value goes away.
#[derive(Debug)]
pub struct CountingProxy {
    address: SocketAddr,
    connections: Connections,
    /// Aborts the proxy's tasks when dropped.
    _tasks: JoinSet<()>,
}

type Connections = Arc<Mutex<Vec<Vec<Flight>>>>;

impl CountingProxy {
    /// Listens on a free port of 127.0.0.1 and passes each connection on to `target`; every octet
    /// takes `delay` to cross, in each direction.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start(target: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let connections = Connections::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, delay, Arc::clone(&connections)));
        Self {
            address,
            connections,
            _tasks: tasks,
        }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections have been opened so far.
    pub fn connections(&self) -> usize {
        lock(&self.connections).len()
    }

    /// The flights of one connection so far, the first connection being 0.
    pub fn flights(&self, connection: usize) -> Vec<Flight> {
        lock(&self.connections)
            .get(connection)
            .cloned()
            .unwrap_or_default()
    }

    /// The round trips of one connection so far: one for opening it, and one for each flight of the
    /// server, since each was either the greeting or an answer the client waited for.
    pub fn round_trips(&self, connection: usize) -> usize {
        let flights = self.flights(connection);
        1 + flights
            .iter()
            .filter(|flight| flight.speaker == Speaker::Server)
            .count()
    }
}

fn lock(connections: &Connections) -> std::sync::MutexGuard<'_, Vec<Vec<Flight>>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    delay: Duration,
    connections: Connections,
) {
    let mut passes = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(target).await else {
            continue;
        };
        let quick = client.set_nodelay(true).and(server.set_nodelay(true));
        if quick.is_err() {
            continue;
        }
        let number = {
            let mut all = lock(&connections);
            all.push(Vec::new());
            all.len() - 1
        };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        for (from, to, speaker) in [
            (from_client, to_server, Speaker::Client),
            (from_server, to_client, Speaker::Server),
        ] {
            let connections = Arc::clone(&connections);
            passes.spawn(pass(from, to, delay, move |octets| {
                let mut all = lock(&connections);
                match all[number].last_mut() {
                    Some(flight) if flight.speaker == speaker => flight.octets += octets,
                    _ => all[number].push(Flight { speaker, octets }),
                }
            }));
        }
    }
}

/// Passes octets one way, each `delay` after it came; the end of the stream as well.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    mut count: impl FnMut(usize),
) {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async {
        let mut part = vec![0u8; 64 * 1024];
        while let Ok(octets @ 1..) = from.read(&mut part).await {
            count(octets);
            let due = Instant::now() + delay;
            if sender.send((due, part[..octets].to_vec())).is_err() {
                break;
            }
        }
        drop(sender);
    };
    let write = async {
        while let Some((due, part)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&part).await.is_err() {
                return;
            }
        }
        // The reading side has ended: so does what was written; a peer that is gone is no fault.
        drop(to);
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn server(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut part = [0u8; 64];
        while let Ok(octets @ 1..) = stream.read(&mut part).await {
            stream.write_all(&part[..octets]).await.unwrap();
        }
    }

    async fn ask(stream: &mut TcpStream, question: &[u8], answer: usize) {
        stream.write_all(question).await.unwrap();
        let mut part = vec![0u8; answer];
        stream.read_exact(&mut part).await.unwrap();
    }

    #[tokio::test]
    async fn counts_the_flights_of_each_side() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        let server = tokio::spawn(server(listener));
        let proxy = CountingProxy::start(target, Duration::from_millis(20)).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        ask(&mut client, b"", 5).await;
        assert_eq!(proxy.round_trips(0), 2, "the connection and the greeting");
        ask(&mut client, b"one", 3).await;
        // Two questions without waiting are one round trip.
        client.write_all(b"two").await.unwrap();
        ask(&mut client, b"three", 8).await;
        let said: Vec<_> = proxy
            .flights(0)
            .iter()
            .map(|flight| (flight.speaker, flight.octets))
            .collect();
        assert_eq!(
            said,
            [
                (Speaker::Server, 5),
                (Speaker::Client, 3),
                (Speaker::Server, 3),
                (Speaker::Client, 8),
                (Speaker::Server, 8),
            ]
        );
        assert_eq!(proxy.round_trips(0), 4);
        assert_eq!(proxy.connections(), 1);
        assert_eq!(proxy.round_trips(7), 1);
        drop(client);
        server.await.unwrap();
    }
}
