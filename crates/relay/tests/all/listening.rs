//! Sockets, TLS, logins, proxies, caps, reloads.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use sendas_config::IpNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stage::{Client, Stage, client, login};

async fn tls(
    stage: &Stage,
    stream: TcpStream,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let pem = std::fs::read(stage.folder.path().join("relay.pem")).unwrap();
    trusting(&pem, stream, alpn).await
}

async fn trusting(
    pem: &[u8],
    stream: TcpStream,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem).unwrap())
        .unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(sendas_tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

#[tokio::test]
async fn starttls_and_a_login() {
    let stage = Stage::with(|relay| {
        let mut own = client("own@contoso.test");
        own.senders.clone_from(&relay.clients[0].senders);
        own.name = "erp".to_owned();
        own.networks.clear();
        own.login = Some(login("erp", "sesame"));
        relay.clients = vec![own];
    })
    .await;
    let mut plain = Client::connect(stage.addresses[1]).await;
    let hello = plain.say("EHLO c").await;
    assert!(
        hello.contains("STARTTLS") && !hello.contains("AUTH"),
        "{hello}"
    );
    assert!(
        plain
            .say("AUTH PLAIN AGVycABzZXNhbWU=")
            .await
            .starts_with("538")
    );
    assert!(plain.say("STARTTLS").await.starts_with("220"));
    let stream = tls(&stage, plain.io.into_inner(), &[]).await.unwrap();
    let mut inside = Client {
        io: tokio::io::BufReader::new(stream),
        greeting: String::new(),
    };
    let hello = inside.say("EHLO c").await;
    assert!(
        hello.contains("AUTH PLAIN LOGIN") && !hello.contains("STARTTLS"),
        "{hello}"
    );
    let mail = format!("MAIL FROM:<{}>", stage.own);
    assert!(inside.say(&mail).await.starts_with("530"));
    assert!(
        inside
            .say("AUTH LOGIN ZXJw")
            .await
            .starts_with("334 UGFzc3dvcmQ6")
    );
    assert!(inside.say("d3Jvbmc=").await.starts_with("535"));
    assert!(
        inside
            .say("AUTH PLAIN AGVycABzZXNhbWU=")
            .await
            .starts_with("235")
    );
    assert!(inside.say(&mail).await.starts_with("250"));
    assert_eq!(stage.view.counts().refused_logins, 1);
    stage.stop().await;
}

#[tokio::test]
async fn tls_from_the_start_and_nobody_elses_protocol() {
    let stage = Stage::set().await;
    let stream = TcpStream::connect(stage.addresses[2]).await.unwrap();
    let mut inside = Client::over(tls(&stage, stream, &[]).await.unwrap()).await;
    assert!(inside.greeting.starts_with("220 relay.test ESMTP"));
    assert!(inside.say("QUIT").await.starts_with("221"));
    let stream = TcpStream::connect(stage.addresses[2]).await.unwrap();
    let refused = tls(&stage, stream, &[b"http/1.1", b"h2"]).await;
    assert!(refused.is_err(), "a browser is sent away in the handshake");
    stage.stop().await;
}

#[tokio::test]
async fn injected_plaintext_ends_the_session() {
    let stage = Stage::set().await;
    let mut client = Client::connect(stage.addresses[1]).await;
    client.say("EHLO c").await;
    client.write(b"STARTTLS\r\nEHLO evil\r\n").await;
    assert!(client.reply().await.starts_with("554"));
    assert_eq!(client.reply().await, "");
    stage.stop().await;
}

#[tokio::test]
async fn a_client_hello_and_an_early_talker_are_shown_the_door() {
    let stage = Stage::set().await;
    for first in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(stage.addresses[0]).await.unwrap();
        stream.write_all(first).await.unwrap();
        let mut all = Vec::new();
        drop(stream.read_to_end(&mut all).await);
        let text = String::from_utf8_lossy(&all);
        assert!(!text.contains("250") && !text.contains("GET"), "{text}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    let stage = Stage::with(|relay| relay.connections_per_address_max = 2).await;
    let one = stage.client().await;
    let two = stage.client().await;
    let three = stage.client().await;
    assert!(one.greeting.starts_with("220") && two.greeting.starts_with("220"));
    assert!(
        three.greeting.starts_with("421 4.7.0"),
        "{}",
        three.greeting
    );
    assert_eq!(stage.view.connections(), 2);
    drop((one, two));
    let again = async { while !stage.client().await.greeting.starts_with("220") {} };
    tokio::time::timeout(Duration::from_secs(5), again)
        .await
        .unwrap();
    stage.stop().await;
}

#[tokio::test]
async fn a_proxy_tells_who_it_is() {
    let stage = Stage::with(|relay| {
        relay.proxy_networks = vec![IpNetwork::parse("127.0.0.1").unwrap()];
        relay.clients[0].networks = vec![IpNetwork::parse("10.1.2.3").unwrap()];
    })
    .await;
    for (header, expected) in [
        ("PROXY TCP4 10.1.2.3 10.0.0.1 1000 25\r\n", "220"),
        ("PROXY TCP4 10.9.9.9 10.0.0.1 1000 25\r\n", "554"),
        ("PROXY UNKNOWN\r\n", "554"),
        ("EHLO c\r\nMAIL FROM:<a@b.c>\r\n", ""),
    ] {
        let mut stream = TcpStream::connect(stage.addresses[0]).await.unwrap();
        stream.write_all(header.as_bytes()).await.unwrap();
        let client = Client::over(stream).await;
        assert!(
            client.greeting.starts_with(expected),
            "{header} {}",
            client.greeting
        );
        assert!(!expected.is_empty() || client.greeting.is_empty());
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_bad_configuration_changes_nothing_and_a_good_one_everything() {
    let stage = Stage::set().await;
    let bad = stage
        .changed(|relay| relay.clients[0].networks = vec![IpNetwork::parse("0.0.0.0/0").unwrap()]);
    let error = stage.control.reload(bad).unwrap_err();
    assert!(error.to_string().contains("open relay"), "{error}");
    assert!(stage.client().await.greeting.starts_with("220"));
    let good = stage
        .changed(|relay| relay.clients[0].networks = vec![IpNetwork::parse("10.0.0.1").unwrap()]);
    let elsewhere = stage.changed(|relay| relay.listen.truncate(1));
    let error = stage.control.reload(elsewhere).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`relay.listen` changes with a restart only"
    );
    let mut old = stage.client().await;
    stage.control.reload(good).unwrap();
    assert!(stage.client().await.greeting.starts_with("554"));
    assert!(
        old.say("EHLO c").await.starts_with("250"),
        "a session keeps what it began with"
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_drain_says_goodbye_and_keeps_what_is_arriving() {
    let stage = Stage::set().await;
    let mut idle = stage.client().await;
    idle.say("EHLO c").await;
    let mut busy = stage.client().await;
    busy.open(&stage.own, &["a@example.org"]).await;
    assert!(busy.say("DATA").await.starts_with("354"));
    let stopping = tokio::spawn(stage.stop());
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    assert_eq!(idle.reply().await, "");
    busy.write(b"Subject: late\r\n\r\nx\r\n").await;
    assert!(busy.say(".").await.starts_with("250 2.0.0 Kept"));
    assert!(busy.reply().await.starts_with("421"));
    stopping.await.unwrap();
}

#[tokio::test]
async fn whoever_speaks_before_the_greeting_is_not_listened_to() {
    let stage = Stage::set().await;
    let mut talkers = 0;
    for _ in 0..20 {
        // Nothing else runs here between the two calls: the octets are there when it is accepted.
        let stream = std::net::TcpStream::connect(stage.addresses[0]).unwrap();
        (&stream).write_all(b"EHLO early\r\n").unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut all = String::new();
        let mut stream = TcpStream::from_std(stream).unwrap();
        stream.write_all(b"QUIT\r\n").await.ok();
        stream.read_to_string(&mut all).await.ok();
        if all.starts_with("554 5.5.1 ") {
            assert!(!all.contains("250"), "{all}");
            talkers += 1;
        }
    }
    assert_eq!(talkers, 20);
    stage.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.pem");
    let names = ["127.0.0.1".to_owned()];
    let now = "2026-11-23T05:06:07Z".parse().unwrap();
    let make = || {
        drop(std::fs::remove_file(&path));
        drop(sendas_relay::Identity::own(&path, &names, now).unwrap());
        std::fs::read(&path).unwrap()
    };
    let first = make();
    let stage = Stage::with(|relay| relay.certificate = Some(path.clone())).await;
    let connect = async |pem: &[u8]| {
        let stream = TcpStream::connect(stage.addresses[2]).await.unwrap();
        trusting(pem, stream, &[]).await
    };
    let mut old = Client::over(connect(&first).await.unwrap()).await;
    let second = make();
    stage.control.renew_certificate();
    assert!(
        connect(&first).await.is_err(),
        "the old one is not shown any more"
    );
    let mut new = Client::over(connect(&second).await.unwrap()).await;
    for broken in [&b"nothing"[..], &first[..first.len() / 2], b""] {
        std::fs::write(&path, broken).unwrap();
        stage.control.renew_certificate();
        assert!(connect(&second).await.is_ok(), "the last good one stays");
    }
    std::fs::remove_file(&path).unwrap();
    stage.control.renew_certificate();
    assert!(connect(&second).await.is_ok());
    // Sessions go on with what they began with.
    assert!(old.say("EHLO c").await.starts_with("250"));
    assert!(new.say("EHLO c").await.starts_with("250"));
    stage.stop().await;
}

#[tokio::test]
async fn too_many_recipients_are_refused_one_by_one() {
    let stage = Stage::with(|relay| relay.recipients_max = 3).await;
    let mut client = stage.client().await;
    client
        .open(
            &stage.own,
            &["a@example.org", "b@example.org", "c@example.org"],
        )
        .await;
    for _ in 0..3 {
        let reply = client.say("RCPT TO:<d@example.org>").await;
        assert!(reply.starts_with("452 4.5.3 "), "{reply}");
    }
    client.say("DATA").await;
    client.write(b"Subject: s\r\n\r\nx\r\n").await;
    assert!(client.say(".").await.starts_with("250"));
    let all = stage.settled(1).await;
    assert_eq!(all[0].summary.deliveries.len(), 3);
    stage.stop().await;
}

#[tokio::test]
async fn overlong_lines_are_refused_or_cut_and_never_passed_on() {
    for wrap in [false, true] {
        let stage = Stage::with(|relay| {
            if wrap {
                relay.clients[0].long_lines = sendas_config::LongLines::Wrap;
            }
        })
        .await;
        let line = "word ".repeat(1_000);
        let reply = stage
            .send(
                &["a@example.org"],
                &format!("Subject: s\r\n\r\n{line}\r\nlast\r\n"),
            )
            .await;
        if !wrap {
            assert!(
                reply.starts_with("554 5.6.0 A line is longer than 998 octets"),
                "{reply}"
            );
            stage.stop().await;
            continue;
        }
        assert!(reply.starts_with("250"), "{reply}");
        stage.settled(1).await;
        let seen = stage.sandbox.messages(&sendas_sandbox::Filter::default());
        let raw = stage.sandbox.raw(seen[0].id).unwrap().unwrap();
        let raw = String::from_utf8(raw.to_vec()).unwrap();
        assert!(raw.lines().all(|line| line.len() <= 998), "{raw}");
        let (_, body) = raw.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.replace("\r\n", ""), format!("{line}last"));
        stage.stop().await;
    }
}
