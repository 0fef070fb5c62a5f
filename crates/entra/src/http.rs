//! The HTTP client: `https` only, no redirects, bounded in time and size.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, LOCATION};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sendas_tls::{TlsError, TlsPolicy, Trust};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::Proxy;
use crate::connector::{self, TlsConnector};
use crate::limits::{ANSWER_HEAD_OCTETS_MAX, ANSWER_OCTETS_MAX, EXCHANGE_S_MAX, IDLE_S_MAX};

mod error;

pub use error::HttpError;

/// One request. Its body is wiped on drop when it was made from an owner that wipes.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// An absolute URL.
    pub url: String,
    /// Headers; `host` and `content-length` are added.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

/// One answer, whole.
pub struct Response {
    /// The status; never a redirect.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most [`ANSWER_OCTETS_MAX`] octets.
    pub body: Bytes,
}

/// An HTTP client for Microsoft's services.
///
/// Follows no redirect, because the request carries credentials: a 3xx is an error. Asks for no
/// compression and accepts none. HTTP/1.1. Each exchange ends within [`EXCHANGE_S_MAX`] seconds.
/// Connections are kept and shared by all clones; the first call builds the TLS configuration.
#[derive(Clone)]
pub struct HttpClient {
    shared: Arc<Shared>,
}

struct Shared {
    tls: TlsPolicy,
    proxy: Proxy,
    public: OnceCell<Client<TlsConnector, Full<Bytes>>>,
    local: Client<HttpConnector, Full<Bytes>>,
}

impl HttpClient {
    /// Takes the trust and the proxy; opens and reads nothing yet.
    pub fn new(tls: TlsPolicy, proxy: Proxy) -> Self {
        let local = builder().build(connector::tcp());
        Self {
            shared: Arc::new(Shared {
                tls,
                proxy,
                public: OnceCell::new(),
                local,
            }),
        }
    }

    /// One exchange over `https`, through the proxy where one is set.
    ///
    /// # Errors
    /// [`HttpError`]; an answer of any status but a redirect is no error.
    pub async fn call(&self, request: Request) -> Result<Response, HttpError> {
        let uri = parse(&request.url)?;
        if uri.scheme_str() != Some("https") {
            return Err(HttpError::Url {
                reason: "only https is spoken",
            });
        }
        let client = self.shared.public.get_or_try_init(|| self.build()).await?;
        exchange(uri, |uri| client.request(assemble(request, uri))).await
    }

    /// One exchange over plain `http` with an endpoint of this machine, past any proxy: managed
    /// identities live on loopback and link-local addresses.
    pub(crate) async fn call_local(&self, request: Request) -> Result<Response, HttpError> {
        let uri = parse(&request.url)?;
        if uri.scheme_str() != Some("http") || !uri.host().is_some_and(is_local) {
            return Err(HttpError::Url {
                reason: "plain http is spoken on this machine only",
            });
        }
        exchange(uri, |uri| self.shared.local.request(assemble(request, uri))).await
    }

    /// The proxy settings.
    pub fn proxy(&self) -> &Proxy {
        &self.shared.proxy
    }

    async fn build(&self) -> Result<Client<TlsConnector, Full<Bytes>>, HttpError> {
        let policy = self.shared.tls.clone();
        let config = match policy.trust() {
            Trust::Only(_) => policy.client_config(),
            // Reading the system's roots takes milliseconds: not on a thread that serves others.
            Trust::System | Trust::SystemPlus(_) => {
                let built = tokio::task::spawn_blocking(move || policy.client_config()).await;
                built.map_err(|_| HttpError::Interrupted)?
            }
        };
        let config = config.map_err(|error: TlsError| HttpError::Trust(Arc::new(error)))?;
        Ok(builder().build(connector::tls(&config, self.shared.proxy.clone())))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("tls", &self.shared.tls)
            .field("proxy", &self.shared.proxy)
            .finish_non_exhaustive()
    }
}

/// Shows method and URL without its query; headers and body may hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        write!(f, "Request({} {url})", self.method)
    }
}

/// Shows status and length; the body may hold a token.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} octets)", self.status, self.body.len())
    }
}

/// A loopback or link-local address, or `localhost`.
pub(crate) fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    crate::proxy::is_loopback(bare)
        || bare
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_link_local())
        || bare
            .parse::<std::net::Ipv6Addr>()
            .is_ok_and(|a| a.is_unicast_link_local())
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(IDLE_S_MAX))
        .pool_max_idle_per_host(2)
        .http1_max_buf_size(ANSWER_HEAD_OCTETS_MAX);
    builder
}

fn parse(url: &str) -> Result<Uri, HttpError> {
    let uri: Uri = url.parse().map_err(|_| HttpError::Url {
        reason: "it cannot be parsed",
    })?;
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(HttpError::Url {
            reason: "it names a user before the host",
        });
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(HttpError::Url {
            reason: "it names no host",
        });
    }
    Ok(uri)
}

fn assemble(request: Request, uri: Uri) -> http::Request<Full<Bytes>> {
    let mut assembled = http::Request::new(Full::new(request.body));
    *assembled.method_mut() = request.method;
    *assembled.uri_mut() = uri;
    *assembled.headers_mut() = request.headers;
    assembled
}

/// Sends, and reads the whole answer, within the deadline.
async fn exchange<F, S>(uri: Uri, send: S) -> Result<Response, HttpError>
where
    S: FnOnce(Uri) -> F,
    F: Future<Output = Result<http::Response<Incoming>, hyper_util::client::legacy::Error>>,
{
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let whole = async {
        let answer = send(uri)
            .await
            .map_err(|error| HttpError::from_client(&host, error))?;
        receive(&host, answer).await
    };
    match timeout(Duration::from_secs(EXCHANGE_S_MAX), whole).await {
        Ok(done) => done,
        Err(_) => Err(HttpError::Deadline {
            host,
            seconds: EXCHANGE_S_MAX,
        }),
    }
}

async fn receive(host: &str, answer: http::Response<Incoming>) -> Result<Response, HttpError> {
    let (head, body) = answer.into_parts();
    let host = || host.to_owned();
    if head.status.is_redirection() {
        let to = head.headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let to = to.map(|to| to.split(['?', '#']).next().unwrap_or_default());
        return Err(HttpError::Redirect {
            host: host(),
            status: head.status.as_u16(),
            to: to.unwrap_or("nowhere").chars().take(200).collect(),
        });
    }
    if let Some(encoding) = head.headers.get(CONTENT_ENCODING)
        && encoding.as_bytes() != b"identity"
    {
        let encoding = String::from_utf8_lossy(encoding.as_bytes())
            .chars()
            .take(40)
            .collect();
        return Err(HttpError::Encoded {
            host: host(),
            encoding,
        });
    }
    let too_large = || HttpError::TooLarge {
        host: host(),
        limit: ANSWER_OCTETS_MAX,
    };
    let announced = head
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    if announced
        .and_then(|length| length.parse::<u64>().ok())
        .unwrap_or(0)
        > ANSWER_OCTETS_MAX as u64
    {
        return Err(too_large());
    }
    match Limited::new(body, ANSWER_OCTETS_MAX).collect().await {
        Ok(collected) => Ok(Response {
            status: head.status,
            headers: head.headers,
            body: collected.to_bytes(),
        }),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(HttpError::Broken {
            host: host(),
            source: Arc::from(error),
        }),
    }
}
