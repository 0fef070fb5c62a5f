//! Accepting connections: caps, PROXY headers, certificates, and a task for each session.

mod identity;
mod proxy;
mod seats;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use sendas_config::{IpNetwork, ListenTls};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::Context;
use crate::limits::PROXY_HEADER_DEADLINE;
use crate::log;
use crate::policy::Policy;
use crate::session::{self, Peer, Seat};

pub use identity::{CertificateFiles, Identity, IdentityError};
pub(crate) use seats::Seats;

/// A socket that is listened on.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// When TLS begins on it.
    pub tls: ListenTls,
}

/// What may change while the relay runs; each connection keeps what it began with.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) policy: Arc<Policy>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) proxies: Arc<[IpNetwork]>,
}

/// Accepts until told to stop. Sessions run in tasks of the tracker.
pub(crate) async fn accept(
    listener: Listener,
    context: Arc<Context>,
    terms: watch::Receiver<Terms>,
    stop: CancellationToken,
    sessions: TaskTracker,
) {
    let Listener { socket, tls } = listener;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // No descriptors, most often: a pause lets sessions end and give theirs back.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (context, terms) = (Arc::clone(&context), terms.borrow().clone());
        sessions.spawn(async move { sit_down(context, terms, stream, peer, tls).await });
    }
}

/// Accepts on the socket in the file system until told to stop.
#[cfg(unix)]
pub(crate) async fn accept_local(
    socket: tokio::net::UnixListener,
    context: Arc<Context>,
    terms: watch::Receiver<Terms>,
    stop: CancellationToken,
    sessions: TaskTracker,
) {
    let address = IpAddr::from([127, 0, 0, 1]);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Some(place) = context.seats.take(address) else {
            context.counters.connected(false);
            continue;
        };
        context.counters.connected(true);
        let seat = Seat {
            peer: Peer {
                address,
                tls: ListenTls::None,
                is_local: true,
            },
            policy: Arc::clone(&terms.borrow().policy),
            tls: None,
        };
        let context = Arc::clone(&context);
        sessions.spawn(async move {
            let ended = Box::pin(session::serve(context, stream, seat)).await;
            log::disconnected(address, ended);
            drop(place);
        });
    }
}

/// One connection from its first octet to its last.
async fn sit_down(
    context: Arc<Context>,
    terms: Terms,
    mut stream: TcpStream,
    peer: SocketAddr,
    tls: ListenTls,
) {
    // Replies are small and waited for; a socket that refuses the option works without it.
    drop(stream.set_nodelay(true));
    let neighbour = peer.ip().to_canonical();
    let mut address = neighbour;
    if terms
        .proxies
        .iter()
        .any(|network| network.contains(neighbour))
    {
        // The header names the client; without one nobody is known, and nothing is taken.
        match timeout(PROXY_HEADER_DEADLINE, proxy::read(&mut stream)).await {
            Ok(Ok(Some(told))) => address = told.to_canonical(),
            // The balancer's own health check.
            Ok(Ok(None)) => {}
            Ok(Err(_)) | Err(_) => return log::turned_away(neighbour, "no PROXY header"),
        }
    }
    let Some(_place) = context.seats.take(address) else {
        context.counters.connected(false);
        return turn_away(stream, address, tls).await;
    };
    context.counters.connected(true);
    log::connected(address);
    if has_spoken(&stream) {
        // The runtime has not looked at the socket yet; the session is to find what is there.
        drop(stream.readable().await);
    }
    let seat = Seat {
        peer: Peer {
            address,
            tls,
            is_local: false,
        },
        policy: terms.policy,
        tls: terms.tls,
    };
    let ended = Box::pin(session::serve(context, stream, seat)).await;
    log::disconnected(address, ended);
}

/// Whether octets have come before the greeting, without waiting for any.
fn has_spoken(stream: &TcpStream) -> bool {
    let mut first = [std::mem::MaybeUninit::uninit()];
    let peeked = socket2::SockRef::from(stream).peek(&mut first);
    peeked.is_ok_and(|octets| octets > 0)
}

/// Too many connections. Inside TLS there is no cheap way to say so.
async fn turn_away(mut stream: TcpStream, address: IpAddr, tls: ListenTls) {
    log::turned_away(address, "too many connections");
    if tls != ListenTls::Implicit {
        let reply = b"421 4.7.0 Too many connections; come again later\r\n";
        drop(timeout(Duration::from_secs(1), stream.write_all(reply)).await);
    }
}
