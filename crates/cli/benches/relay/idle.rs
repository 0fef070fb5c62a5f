//! What a session costs that says nothing: ten thousand at once, plain and inside TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sendas_tls::{Authority, TlsPolicy, Trust};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::kernel;
use crate::stage::{Relay, Settings, folder};

const SESSIONS: usize = 10_000;

/// Handshakes under way at once.
const AT_ONCE: usize = 64;

/// Sessions from one source address.
const PER_ADDRESS: usize = 2_000;

pub(crate) fn run() {
    println!(
        "idle: {SESSIONS} sessions after EHLO, {}",
        kernel::machine()
    );
    let most = kernel::descriptors_max();
    let sessions = SESSIONS.min(
        usize::try_from(most)
            .unwrap_or(SESSIONS)
            .saturating_sub(100),
    );
    if sessions < SESSIONS {
        println!("  only {sessions}: the system gives a process {most} descriptors");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut relay = Relay::start(&Settings::alone());
        tokio::time::sleep(Duration::from_secs(2)).await;
        println!(
            "  a relay that has done nothing: {:.1} MiB",
            mib(relay.memory_kib())
        );
        measure("plain", &relay, sessions, None).await;
        relay.stop();

        let (files, connector) = certificate();
        let more = format!(
            "certificate = \"{0}\"\nkey = \"{1}\"",
            files.path().join("chain.pem").display(),
            files.path().join("key.pem").display()
        );
        let mut relay = Relay::start(&Settings {
            tls: "implicit",
            more: &more,
            ..Settings::alone()
        });
        measure("TLS", &relay, sessions, Some(connector)).await;
        relay.stop();
    });
}

async fn measure(what: &str, relay: &Relay, sessions: usize, tls: Option<TlsConnector>) {
    // The first ones make what all share.
    let first = open_all(relay.address, 50, tls.clone()).await;
    let before = relay.memory_kib();
    let begin = kernel::moment();
    let open = open_all(relay.address, sessions, tls).await;
    let seconds = begin.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = relay.memory_kib();
    println!(
        "  {what}: {:.1} KiB each ({:.1} MiB in all, before {:.1} MiB), opened in {seconds:.1} s",
        per_session(after.saturating_sub(before), sessions),
        mib(after),
        mib(before),
    );
    drop((first, open));
}

/// Anything that is held open.
trait Held: Send {}
impl<T: AsyncRead + AsyncWrite + Send> Held for T {}

async fn open_all(
    address: SocketAddr,
    sessions: usize,
    tls: Option<TlsConnector>,
) -> Vec<Box<dyn Held>> {
    let mut open: Vec<Box<dyn Held>> = Vec::with_capacity(sessions);
    let mut tasks = JoinSet::new();
    for number in 0..sessions {
        if tasks.len() >= AT_ONCE {
            open.extend(tasks.join_next().await.map(|held| held.expect("it opens")));
        }
        let tls = tls.clone();
        tasks.spawn(async move { open_one(address, number, tls).await });
    }
    open.extend(tasks.join_all().await);
    open
}

async fn open_one(address: SocketAddr, number: usize, tls: Option<TlsConnector>) -> Box<dyn Held> {
    let socket = TcpSocket::new_v4().expect("a descriptor");
    let host = u8::try_from(2 + number / PER_ADDRESS).expect("some addresses");
    let source = SocketAddr::from(([127, 0, 1, host], 0));
    socket.bind(source).expect("loopback is a whole network");
    let stream: TcpStream = socket.connect(address).await.expect("it listens");
    match tls {
        None => Box::new(greet(stream).await),
        Some(tls) => {
            let name = ServerName::try_from("localhost").expect("a name");
            let stream = tls.connect(name, stream).await.expect("it shakes hands");
            Box::new(greet(stream).await)
        }
    }
}

/// Reads the greeting, says EHLO, reads the answer.
async fn greet<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) -> IO {
    let mut buffer = [0; 1024];
    assert!(io.read(&mut buffer).await.is_ok_and(|n| n > 0), "it greets");
    io.write_all(b"EHLO client.test\r\n")
        .await
        .expect("it reads");
    io.flush().await.expect("it reads");
    assert!(
        io.read(&mut buffer).await.is_ok_and(|n| n > 0),
        "it answers"
    );
    io
}

/// A certificate in files, and a client that trusts it.
fn certificate() -> (tempfile::TempDir, TlsConnector) {
    let files = folder();
    let ca_key = KeyPair::generate().expect("keys can be made");
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).expect("it signs itself").pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().expect("keys can be made");
    let leaf = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &issuer).expect("it signs");
    let write = |name: &str, text: String| {
        std::fs::write(files.path().join(name), text).expect("a file of our own");
    };
    write("chain.pem", leaf.pem());
    write("key.pem", key.serialize_pem());
    let authority = Authority::from_pem(ca_pem.as_bytes()).expect("it was just made");
    let policy = TlsPolicy::new(Trust::Only(vec![authority]));
    let config = policy.client_config_without_resumption().expect("a CA");
    (files, TlsConnector::from(Arc::clone(&config)))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn per_session(kib: u64, sessions: usize) -> f64 {
    kib as f64 / sessions as f64
}
