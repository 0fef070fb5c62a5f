//! Reaching a host: every address gets a chance, none may hold up the others (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep_until};

use crate::limits::{ADDRESSES_MAX, CONNECTION_ATTEMPT_DELAY};
use crate::trace::{Trace, TraceEvent};

/// Why no address of a host could be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name has no address, or the look-up failed.
    #[error("the name {host} could not be resolved")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// Every address refused, or was not reached.
    #[error(
        "none of the {addresses} addresses of {host} could be reached on port {port}; the last error: {source}"
    )]
    Unreachable {
        /// The name.
        host: String,
        /// The port.
        port: u16,
        /// How many were tried.
        addresses: usize,
        /// The last failure.
        source: io::Error,
    },
    /// Nothing answered in time.
    #[error("{host} port {port} did not answer within {seconds} s")]
    TimedOut {
        /// The name.
        host: String,
        /// The port.
        port: u16,
        /// The deadline.
        seconds: u64,
    },
}

/// Connects to the first address that answers, within the deadline.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    deadline: Duration,
    trace: &Arc<dyn Trace>,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    match tokio::time::timeout(deadline, race(host, port, trace)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut {
            host: host.to_owned(),
            port,
            seconds: deadline.as_secs(),
        }),
    }
}

async fn race(
    host: &str,
    port: u16,
    trace: &Arc<dyn Trace>,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let resolve = |source| ConnectError::Resolve {
        host: host.to_owned(),
        source,
    };
    let found = tokio::net::lookup_host((host, port))
        .await
        .map_err(resolve)?;
    let addresses = interleave(found.collect());
    if addresses.is_empty() {
        return Err(resolve(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        )));
    }
    let mut waiting = addresses.iter().copied();
    let mut running = FuturesUnordered::new();
    let mut last_error = None;
    let mut next_at = Instant::now();
    loop {
        tokio::select! {
            Some((address, result)) = running.next() => match result {
                Ok(stream) => return Ok((stream, address)),
                Err(error) => {
                    last_error = Some(error);
                    // A refusal is an answer: the next address need not wait.
                    next_at = Instant::now();
                }
            },
            () = sleep_until(next_at), if waiting.len() > 0 => {
                if let Some(address) = waiting.next() {
                    trace.observe(TraceEvent::Connecting(address));
                    running.push(async move { (address, open(address).await) });
                    next_at = Instant::now() + CONNECTION_ATTEMPT_DELAY;
                }
            }
            else => break,
        }
    }
    Err(ConnectError::Unreachable {
        host: host.to_owned(),
        port,
        addresses: addresses.len(),
        source: last_error.unwrap_or_else(|| io::ErrorKind::NotConnected.into()),
    })
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Every write is a whole flight; waiting for more would only delay it.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Families in turn, beginning with the resolver's first choice (RFC 8305 §4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return Vec::new();
    };
    let first_is_v6 = first.is_ipv6();
    let (preferred, other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut out = Vec::new();
    loop {
        let pair = [preferred.next(), other.next()];
        if pair == [None, None] {
            out.truncate(ADDRESSES_MAX);
            return out;
        }
        out.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::NoTrace;

    #[test]
    fn families_take_turns() {
        let parse = |texts: &[&str]| {
            texts
                .iter()
                .map(|t| t.parse().unwrap())
                .collect::<Vec<SocketAddr>>()
        };
        let given = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]);
        assert_eq!(
            interleave(given),
            parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"])
        );
        assert!(interleave(vec![]).is_empty());
    }

    #[tokio::test]
    async fn a_refusal_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let trace: Arc<dyn Trace> = Arc::new(NoTrace);
        let error = connect("127.0.0.1", port, Duration::from_secs(5), &trace)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ConnectError::Unreachable { addresses: 1, .. }),
            "{error}"
        );
    }
}
