//! How fast the sandbox starts and takes mail: a client's figures must not be the sandbox's.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use sendas_sandbox::{Options, Preset, Running, Sandbox, Scenario};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const MESSAGES: usize = 20_000;
const MESSAGE_OCTETS: usize = 2_048;

#[expect(
    clippy::disallowed_methods,
    reason = "a bench measures the machine's time"
)]
fn timed() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the machine runs threads");
    runtime.block_on(async {
        for preset in [Preset::Fresh, Preset::Rbac] {
            let begin = timed();
            let sandbox = Sandbox::start(options(preset)).await.expect("it starts");
            println!("start, {preset:?}: {:?}", begin.elapsed());
            sandbox.stop().await;
        }
        for connections in [1, 8, 32] {
            let sandbox = Sandbox::start(options(Preset::Rbac))
                .await
                .expect("it starts");
            let took = flood(&sandbox, connections).await;
            #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
            let rate = MESSAGES as f64 / took.as_secs_f64();
            println!("{connections} connections: {rate:.0} messages of 2 KiB a second");
            sandbox.stop().await;
        }
    });
}

fn options(tenant: Preset) -> Options {
    let scenario = Scenario::parse(r#"{"tenant":{"behaviour":{"limits":"off"}}}"#);
    Options {
        tenant,
        scenario: Some(scenario.expect("a scenario")),
        ..Options::default()
    }
}

async fn flood(sandbox: &Running, connections: usize) -> Duration {
    let response = response(sandbox).await;
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(login(sandbox, &response).await);
    }
    let mut flight = b"MAIL FROM:<noreply@contoso.onmicrosoft.com>\r\n\
        RCPT TO:<someone@example.com>\r\n"
        .to_vec();
    let mut message = b"From: noreply@contoso.onmicrosoft.com\r\nSubject: bench\r\n\r\n".to_vec();
    while message.len() < MESSAGE_OCTETS {
        message.extend_from_slice(b"0123456789 0123456789 0123456789\r\n");
    }
    flight.extend_from_slice(format!("BDAT {} LAST\r\n", message.len()).as_bytes());
    flight.extend_from_slice(&message);
    let flight: Arc<[u8]> = flight.into();

    let begin = timed();
    let mut tasks = Vec::new();
    for mut stream in streams {
        let flight = Arc::clone(&flight);
        tasks.push(tokio::spawn(async move {
            for _ in 0..MESSAGES / connections {
                stream
                    .get_mut()
                    .write_all(&flight)
                    .await
                    .expect("it takes the flight");
                for _ in 0..3 {
                    assert!(line(&mut stream).await.starts_with("250 "));
                }
            }
        }));
    }
    for task in tasks {
        task.await.expect("every flight is taken");
    }
    begin.elapsed()
}

type Stream = BufReader<TlsStream<TcpStream>>;

async fn login(sandbox: &Running, response: &str) -> Stream {
    let tcp = TcpStream::connect(sandbox.smtp())
        .await
        .expect("it listens");
    tcp.set_nodelay(true).expect("a TCP socket");
    let mut plain = BufReader::new(tcp);
    let mut heard = String::new();
    plain.read_line(&mut heard).await.expect("a greeting");
    plain
        .get_mut()
        .write_all(b"EHLO b\r\n")
        .await
        .expect("it listens");
    while !heard.starts_with("250 ") {
        heard.clear();
        plain.read_line(&mut heard).await.expect("capabilities");
    }
    plain
        .get_mut()
        .write_all(b"STARTTLS\r\n")
        .await
        .expect("it listens");
    plain.read_line(&mut heard).await.expect("220");
    let connector = TlsConnector::from(Arc::new(tls(sandbox)));
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = connector
        .connect(name, plain.into_inner())
        .await
        .expect("TLS");
    let mut stream = BufReader::new(stream);
    let hello = format!("EHLO b\r\nAUTH XOAUTH2 {response}\r\n");
    stream
        .get_mut()
        .write_all(hello.as_bytes())
        .await
        .expect("it listens");
    while !line(&mut stream).await.starts_with("235 ") {}
    stream
}

async fn line(stream: &mut Stream) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("a reply");
    line
}

fn tls(sandbox: &Running) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).expect("a certificate");
    roots.add(ca).expect("a certificate");
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn response(sandbox: &Running) -> String {
    let details = sandbox.details();
    let client = details.client.expect("a client");
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls(sandbox))
        .https_only()
        .enable_http1()
        .build();
    let https: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", &client.id.to_string())
        .append_pair("client_secret", &client.secret)
        .append_pair("grant_type", "client_credentials")
        .append_pair("scope", "https://outlook.office365.com/.default")
        .finish();
    let url = format!(
        "{}/{}/oauth2/v2.0/token",
        details.authority, details.tenant.id
    );
    let request = Request::post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(body))
        .expect("a request");
    let answer = https.request(request).await.expect("an answer").into_body();
    let answer = answer.collect().await.expect("a body").to_bytes();
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    let token = answer["access_token"].as_str().expect("a token");
    let mailbox = &details.mailboxes[0];
    STANDARD.encode(format!("user={mailbox}\x01auth=Bearer {token}\x01\x01"))
}
