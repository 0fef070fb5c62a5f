//! A service that breaks on session tickets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use sendas_entra::SmtpEndpoint;
use sendas_smtp::ClientName;
use sendas_submit::{Connector, SubmitError};
use sendas_tls::{Authority, TlsPolicy, Trust};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What the service breaks on.
#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    OnTickets,
    OnEverythingAfterTheFirst,
}

#[derive(Default)]
struct Seen {
    connections: AtomicU32,
    with_ticket: AtomicU32,
    secured: AtomicU32,
}

fn identity() -> (Arc<ServerConfig>, TlsPolicy) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&own, &issuer);
    let config = ServerConfig::builder_with_provider(sendas_tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.unwrap().der().clone()],
            PrivateKeyDer::try_from(own.serialize_der()).unwrap(),
        )
        .unwrap();
    let authority = Authority::from_pem(pem.as_bytes()).unwrap();
    (
        Arc::new(config),
        TlsPolicy::new(Trust::Only(vec![authority])),
    )
}

/// A line at a time, until the client leaves or TLS begins.
async fn greet<IO: AsyncRead + AsyncWrite + Unpin>(io: IO) -> Option<IO> {
    let mut io = BufReader::new(io);
    let mut line = String::new();
    while io.read_line(&mut line).await.ok()? > 0 {
        let (reply, is_tls) = match line.trim() {
            "STARTTLS" => ("220 go\r\n", true),
            "QUIT" => return None,
            _ => ("250-x\r\n250 STARTTLS\r\n", false),
        };
        io.write_all(reply.as_bytes()).await.ok()?;
        if is_tls {
            return Some(io.into_inner());
        }
        line.clear();
    }
    None
}

/// Looks at a `ClientHello` without taking it: does it bring a ticket (`pre_shared_key`)?
async fn brings_ticket(stream: &TcpStream) -> bool {
    let mut hello = vec![0; 16 * 1024];
    loop {
        let octets = stream.peek(&mut hello).await.unwrap();
        let record = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
        if octets >= 5 + record && octets > 5 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let number = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    // Record and handshake headers, version, random; then what has lengths of its own.
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    at += 2 + number(at);
    at += 1 + usize::from(hello[at]);
    let end = at + 2 + number(at);
    at += 2;
    while at < end {
        if number(at) == 41 {
            return true;
        }
        at += 4 + number(at + 2);
    }
    false
}

async fn serve(listener: TcpListener, config: Arc<ServerConfig>, breaks: Breaks, seen: Arc<Seen>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let n = seen.connections.fetch_add(1, Ordering::Relaxed);
        stream.write_all(b"220 service\r\n").await.unwrap();
        let Some(stream) = greet(stream).await else {
            continue;
        };
        let has_ticket = brings_ticket(&stream).await;
        seen.with_ticket
            .fetch_add(u32::from(has_ticket), Ordering::Relaxed);
        let is_broken = match breaks {
            Breaks::OnTickets => has_ticket,
            Breaks::OnEverythingAfterTheFirst => n > 0,
        };
        if is_broken {
            continue;
        }
        let stream = TlsAcceptor::from(Arc::clone(&config)).accept(stream).await;
        seen.secured.fetch_add(1, Ordering::Relaxed);
        drop(greet(stream.unwrap()).await);
    }
}

async fn connector(breaks: Breaks) -> (Connector, Arc<Seen>) {
    let (config, policy) = identity();
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let endpoint = SmtpEndpoint {
        host: "localhost".to_owned(),
        port: listener.local_addr().unwrap().port(),
    };
    let seen = Arc::new(Seen::default());
    tokio::spawn(serve(listener, config, breaks, Arc::clone(&seen)));
    let name = ClientName::new("client.example").unwrap();
    (Connector::new(&endpoint, name, policy), seen)
}

#[tokio::test]
async fn a_service_that_breaks_on_a_ticket_is_tried_once_without() {
    let (connector, seen) = connector(Breaks::OnTickets).await;
    for _ in 0..3 {
        connector.open().await.unwrap().quit().await;
    }
    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    assert_eq!(count(&seen.secured), 3);
    assert!(count(&seen.with_ticket) > 0, "no ticket was ever brought");
    assert_eq!(count(&seen.connections), 3 + count(&seen.with_ticket));
}

#[tokio::test]
async fn a_service_that_is_broken_is_tried_once_more_and_no_more() {
    let (connector, seen) = connector(Breaks::OnEverythingAfterTheFirst).await;
    connector.open().await.unwrap().quit().await;
    let error = connector.open().await.err().unwrap();
    assert!(matches!(error, SubmitError::Tls { .. }), "{error}");
    assert_eq!(seen.connections.load(Ordering::Relaxed), 3);
}
