//! Why an HTTP exchange gave no answer.

use std::error::Error;
use std::io;
use std::sync::Arc;

use sendas_tls::TlsError;

use crate::connector::TunnelRefused;

type Source = Arc<dyn Error + Send + Sync>;

/// Why an HTTP exchange gave no answer. Hosts are named, URLs and bodies are not.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The URL is not one this client talks to; nothing has been sent.
    #[error("the URL is refused: {reason}")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The TLS configuration could not be made; nothing has been sent.
    #[error("no connection is possible: {0}")]
    Trust(#[source] Arc<TlsError>),
    /// No connection: name, route, or nobody listens.
    #[error("cannot connect to {host}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the system said.
        #[source]
        source: Source,
    },
    /// The handshake failed; most often the certificate is not trusted or carries another name.
    #[error("{host} is not trusted: {source}")]
    Tls {
        /// Host and port.
        host: String,
        /// What the verifier said.
        #[source]
        source: Arc<rustls::Error>,
    },
    /// The proxy did not let the connection through.
    #[error("no way to {host}: {source}")]
    Proxy {
        /// Host and port of the target.
        host: String,
        /// Which proxy, and what it said.
        #[source]
        source: Source,
    },
    /// No whole answer in time.
    #[error("{host} gave no whole answer within {seconds} s")]
    Deadline {
        /// Host and port.
        host: String,
        /// The deadline.
        seconds: u64,
    },
    /// A redirect, which is never followed, because the request carries credentials.
    #[error("{host} answered {status}, a redirect to {to}; redirects are not followed")]
    Redirect {
        /// Host and port.
        host: String,
        /// The status.
        status: u16,
        /// Where to, without query; cut at 200 characters.
        to: String,
    },
    /// The answer is longer than any answer.
    #[error("{host} sent an answer longer than {limit} octets")]
    TooLarge {
        /// Host and port.
        host: String,
        /// The limit, in octets.
        limit: usize,
    },
    /// The answer is compressed, which nobody asked for.
    #[error("{host} sent an answer in the encoding {encoding:?}, which was not asked for")]
    Encoded {
        /// Host and port.
        host: String,
        /// The encoding.
        encoding: String,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("the exchange with {host} broke")]
    Broken {
        /// Host and port.
        host: String,
        /// What broke.
        #[source]
        source: Source,
    },
    /// The runtime was shut down.
    #[error("the exchange was interrupted")]
    Interrupted,
}

impl HttpError {
    /// Whether asking again later helps without anybody acting.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Proxy { .. }
            | Self::Deadline { .. }
            | Self::Broken { .. }
            | Self::Interrupted => true,
            Self::Url { .. }
            | Self::Trust(_)
            | Self::Tls { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::Encoded { .. } => false,
        }
    }

    /// Whether the connection was refused: the host is there, and nobody listens on the port.
    /// Nobody begins to within seconds.
    pub fn nobody_listens(&self) -> bool {
        match self {
            Self::Connect { source, .. } => source
                .downcast_ref::<Flat>()
                .is_some_and(|flat| flat.kind == Some(io::ErrorKind::ConnectionRefused)),
            _ => false,
        }
    }

    /// Sorts an error of the client by what a person must look at.
    pub(super) fn from_client(host: &str, error: hyper_util::client::legacy::Error) -> Self {
        let host = host.to_owned();
        if let Some(tls) = find::<rustls::Error>(&error) {
            return Self::Tls {
                host,
                source: Arc::new(tls.clone()),
            };
        }
        if find::<TunnelRefused>(&error).is_some() {
            return Self::Proxy {
                host,
                source: Arc::new(Flat::of(&error)),
            };
        }
        if error.is_connect() {
            return Self::Connect {
                host,
                source: Arc::new(Flat::of(&error)),
            };
        }
        Self::Broken {
            host,
            source: Arc::new(error),
        }
    }
}

/// The useful part of a client's error chain, as one line.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Flat {
    text: String,
    /// What the system called it.
    kind: Option<io::ErrorKind>,
}

impl Flat {
    /// Joins the causes below the client's own "client error".
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut lines: Vec<String> = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            let line = cause.to_string();
            match lines.last_mut() {
                // An outer text that already quotes its cause.
                Some(last) if last.contains(&line) => {}
                _ => lines.push(line),
            }
            next = cause.source();
        }
        Self {
            text: lines.join(": "),
            kind: find::<io::Error>(error).map(io::Error::kind),
        }
    }
}

/// The first cause of this type; `io::Error` hides its inner error from `source`.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<E>() {
            return Some(found);
        }
        next = match cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}
