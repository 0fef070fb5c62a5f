//! A scripted HTTP server on loopback, with and without TLS, and what the tests need around it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use sendas_entra::{
    ClientId, Clock, Cloud, Credential, HttpClient, Moment, Principal, Proxy, Tenant, Timestamp,
};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(crate) const TENANT: &str = "contoso.onmicrosoft.com";
pub(crate) const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const TOKEN_PATH: &str = "/contoso.onmicrosoft.com/oauth2/v2.0/token";

/// A CA, and one server certificate for the names the tests use.
pub(crate) struct Trusted {
    pub(crate) ca_pem: String,
    pub(crate) server: Arc<ServerConfig>,
}

pub(crate) fn trusted() -> &'static Trusted {
    static TRUSTED: OnceLock<Trusted> = OnceLock::new();
    TRUSTED.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "sendas test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2090, 1, 1);
        let key = KeyPair::generate().unwrap();
        let ca_pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let names = ["localhost", "login.example.test"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2089, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let server = ServerConfig::builder_with_provider(sendas_tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        Trusted {
            ca_pem,
            server: Arc::new(server),
        }
    })
}

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Sends these octets.
    Octets(Vec<u8>),
    /// Sends these octets, then nothing, and keeps the connection open.
    Stall(Vec<u8>),
    /// Sends this head, then zeros for as long as somebody reads.
    Endless(Vec<u8>),
    /// Closes without a word.
    Close,
}

pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Octets(
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
            .into_bytes(),
    )
}

pub(crate) fn json(status: &str, body: &str) -> Answer {
    answer(status, "content-type: application/json\r\n", body)
}

pub(crate) fn grant(text: &str) -> Answer {
    json(
        "200 OK",
        &format!(
            r#"{{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"{text}"}}"#
        ),
    )
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn form(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.body.as_bytes())
            .find_map(|(found, value)| (found == name).then(|| value.into_owned()))
    }
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    received: Mutex<Vec<Received>>,
    written: AtomicU64,
}

impl Server {
    /// Listens with TLS.
    pub(crate) async fn tls(answers: Vec<Answer>) -> Self {
        Self::start(
            answers,
            Some(TlsAcceptor::from(Arc::clone(&trusted().server))),
        )
        .await
    }

    /// Listens without TLS, as managed identity endpoints do.
    pub(crate) async fn plain(answers: Vec<Answer>) -> Self {
        Self::start(answers, None).await
    }

    async fn start(answers: Vec<Answer>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.into()),
            received: Mutex::default(),
            written: AtomicU64::new(0),
        });
        let server = Self { port, shared };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (accepting.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                server.serve(stream).await;
                            }
                        }
                        None => server.serve(stream).await,
                    }
                });
            }
        });
        server
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Octets of endless bodies written so far.
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::SeqCst)
    }

    pub(crate) fn push(&self, answer: Answer) {
        self.shared.answers.lock().unwrap().push_back(answer);
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) {
        while let Some(received) = receive(&mut stream).await {
            self.shared.received.lock().unwrap().push(received);
            let answer = self.shared.answers.lock().unwrap().pop_front();
            match answer.unwrap_or_else(|| json("500 No Answer Left", "{}")) {
                Answer::Octets(octets) => {
                    if stream.write_all(&octets).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
                Answer::Stall(octets) => {
                    drop(stream.write_all(&octets).await);
                    drop(stream.flush().await);
                    std::future::pending::<()>().await;
                }
                Answer::Endless(head) => {
                    drop(stream.write_all(&head).await);
                    let zeros = format!("1000\r\n{}\r\n", "0".repeat(4096));
                    while stream.write_all(zeros.as_bytes()).await.is_ok() {
                        self.shared.written.fetch_add(4096, Ordering::SeqCst);
                    }
                    return;
                }
                Answer::Close => return,
            }
        }
    }
}

async fn receive<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Received> {
    let mut octets = Vec::new();
    let head_end = loop {
        if let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut octets).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(octets[..head_end].to_vec()).unwrap();
    let mut received = Received {
        head,
        body: String::new(),
    };
    let length: usize = received
        .header("content-length")
        .map_or(0, |text| text.parse().unwrap());
    while octets.len() < head_end + length {
        if stream.read_buf(&mut octets).await.ok()? == 0 {
            return None;
        }
    }
    received.body = String::from_utf8(octets[head_end..head_end + length].to_vec()).unwrap();
    Some(received)
}

/// A CONNECT proxy that leads every tunnel to one port of this machine.
pub(crate) struct ProxyServer {
    pub(crate) port: u16,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
}

impl ProxyServer {
    /// `password` is the base64 text wanted in `Proxy-Authorization: Basic`.
    pub(crate) async fn start(target: u16, password: Option<&'static str>, tls: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    if tls {
                        let acceptor = TlsAcceptor::from(Arc::clone(&trusted().server));
                        if let Ok(stream) = acceptor.accept(stream).await {
                            tunnel(stream, target, password, &seen).await;
                        }
                    } else {
                        tunnel(stream, target, password, &seen).await;
                    }
                });
            }
        });
        Self { port, heads }
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    target: u16,
    password: Option<&str>,
    seen: &Mutex<Vec<String>>,
) {
    let Some(request) = receive(&mut stream).await else {
        return;
    };
    let given = request.header("proxy-authorization").map(str::to_owned);
    seen.lock().unwrap().push(request.head);
    if given != password.map(|password| format!("Basic {password}")) {
        drop(
            stream
                .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                .await,
        );
        return;
    }
    let mut far = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
    drop(
        stream
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .await,
    );
    drop(tokio::io::copy_bidirectional(&mut stream, &mut far).await);
}

/// A clock that a test sets, in seconds after its start.
pub(crate) struct SetClock(pub(crate) AtomicU64);

impl SetClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(0)))
    }

    pub(crate) fn set(&self, second: u64) {
        self.0.store(second, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Moment {
        let second = self.0.load(Ordering::SeqCst);
        Moment {
            wall: Timestamp::from_second(1_770_000_000 + second.cast_signed()).unwrap(),
            steady: Duration::from_secs(second),
        }
    }
}

/// A cloud whose every endpoint is this host and port, and a folder that holds its CA.
pub(crate) struct TestCloud {
    pub(crate) cloud: Cloud,
    folder: TempDir,
}

impl TestCloud {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self::trusting(&trusted().ca_pem, host, port)
    }

    pub(crate) fn trusting(ca_pem: &str, host: &str, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca_pem).unwrap();
        let text = format!(
            "authority = \"https://{host}:{port}\"\ngraph = \"https://{host}:{port}\"\n\
             exchange_admin = \"https://{host}:{port}\"\nresource = \"https://outlook.office365.com\"\n\
             smtp = {{ host = \"localhost\", port = 25 }}\nca = \"ca.pem\"\n"
        );
        Self {
            cloud: Cloud::from_toml(&text, folder.path()).unwrap(),
            folder,
        }
    }

    pub(crate) fn http(&self, proxy: Proxy) -> HttpClient {
        HttpClient::new(self.cloud.tls_policy().unwrap(), proxy)
    }

    pub(crate) fn principal(&self, credential: Credential) -> Principal {
        Principal::new(
            self.cloud.clone(),
            Tenant::parse(TENANT).unwrap(),
            ClientId::parse(CLIENT).unwrap(),
            credential,
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

pub(crate) fn secret(text: &str) -> Credential {
    Credential::secret_bytes(text.into()).unwrap()
}
