//! The listener the browser comes back to: loopback addresses, a random port, one answer.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::callback::{self, Callback, NOTHING_HERE, page};
use crate::limits::{CALLBACK_OCTETS_MAX, CALLBACK_S_MAX, CALLBACK_STRANGERS_MAX};

/// How often another port is tried when the same one is taken on the other loopback address.
const PORTS_MAX: u32 = 8;

/// Both loopback addresses on one port: `localhost` may mean either, and nobody else may sit on the
/// other one.
pub(super) struct Listener {
    four: TcpListener,
    six: Option<TcpListener>,
    port: u16,
}

/// What the browser brought.
pub(super) enum Brought {
    Code(Zeroizing<String>),
    Refused(String),
    /// Too many requests that were no answer.
    Strangers,
}

impl Listener {
    pub(super) async fn open() -> io::Result<Self> {
        let mut taken = None;
        for _ in 0..PORTS_MAX {
            let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let port = four.local_addr()?.port();
            match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
                Ok(six) => {
                    return Ok(Self {
                        four,
                        six: Some(six),
                        port,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken = Some(error),
                // A machine without IPv6.
                Err(_) => {
                    return Ok(Self {
                        four,
                        six: None,
                        port,
                    });
                }
            }
        }
        Err(taken.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Hears callers until one brings the answer to this state. Dropping it closes the port.
    pub(super) async fn wait(&self, state: &str) -> io::Result<Brought> {
        let hosts = [
            format!("localhost:{}", self.port),
            format!("127.0.0.1:{}", self.port),
            format!("[::1]:{}", self.port),
        ];
        for _ in 0..CALLBACK_STRANGERS_MAX {
            let stream = self.accept().await?;
            let said = timeout(
                Duration::from_secs(CALLBACK_S_MAX),
                hear(stream, &hosts, state),
            );
            match said.await {
                Ok(Ok(Callback::Code(code))) => return Ok(Brought::Code(code)),
                Ok(Ok(Callback::Refused(words))) => return Ok(Brought::Refused(words)),
                // A slow or broken caller is a stranger.
                Ok(Ok(Callback::Stranger) | Err(_)) | Err(_) => {}
            }
        }
        Ok(Brought::Strangers)
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        let Some(six) = &self.six else {
            return Ok(self.four.accept().await?.0);
        };
        tokio::select! {
            accepted = self.four.accept() => Ok(accepted?.0),
            accepted = six.accept() => Ok(accepted?.0),
        }
    }
}

async fn hear(mut stream: TcpStream, hosts: &[String], state: &str) -> io::Result<Callback> {
    let mut head = Zeroizing::new(vec![0; CALLBACK_OCTETS_MAX]);
    let mut filled = 0;
    while !head[..filled].windows(4).any(|four| four == b"\r\n\r\n") {
        let read = stream.read(&mut head[filled..]).await?;
        if read == 0 {
            return Ok(Callback::Stranger);
        }
        filled += read;
    }
    let said = callback::read(&head[..filled], hosts, state);
    let answer = match &said {
        Callback::Code(_) => page(
            "Signed in",
            "You can close this window and go back to sendas.",
        ),
        Callback::Refused(_) => page(
            "Not signed in",
            "Microsoft refused; sendas shows the reason. You can close this window.",
        ),
        Callback::Stranger => NOTHING_HERE.to_owned(),
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(said)
}
