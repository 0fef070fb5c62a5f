//! The HTTP client against servers that misbehave, and proxies (reliability D11, O5).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use sendas_entra::{Environment, HttpError, Proxy, Request, Response};
use support::{Answer, ProxyServer, Server, TestCloud, answer, json, trusted};

fn get(host: &str, port: u16) -> Request {
    Request {
        method: Method::GET,
        url: format!("https://{host}:{port}/path?CANARY-SECRET=1"),
        headers: HeaderMap::new(),
        body: Bytes::new(),
    }
}

async fn call(server: &Server) -> Result<Response, HttpError> {
    let cloud = TestCloud::new("localhost", server.port);
    cloud
        .http(Proxy::none())
        .call(get("localhost", server.port))
        .await
}

fn proxy(pairs: &[(&str, &str)]) -> Proxy {
    let environment: Environment = pairs.iter().copied().collect();
    Proxy::from_environment(&environment).unwrap()
}

#[tokio::test]
async fn any_status_is_an_answer() {
    for (status, code) in [("200 OK", 200), ("404 Not Found", 404), ("503 Busy", 503)] {
        let server = Server::tls(vec![json(status, r#"{"a":1}"#)]).await;
        let response = call(&server).await.unwrap();
        assert_eq!(response.status, code);
        assert_eq!(&response.body[..], br#"{"a":1}"#);
        assert_eq!(response.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn redirects_are_named_and_not_followed() {
    let elsewhere = Server::plain(Vec::new()).await;
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
        "304 Not Modified",
    ] {
        let location = format!(
            "location: http://127.0.0.1:{}/token?secret=CANARY-SECRET\r\n",
            elsewhere.port
        );
        let server = Server::tls(vec![answer(status, &location, "")]).await;
        let error = call(&server).await.unwrap_err();
        assert!(matches!(&error, HttpError::Redirect { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains(&format!("http://127.0.0.1:{}/token", elsewhere.port)),
            "{text}"
        );
        assert!(!text.contains("CANARY-SECRET") && !error.is_temporary());
    }
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn compressed_answers_are_refused_unread() {
    let server = Server::tls(vec![answer("200 OK", "content-encoding: gzip\r\n", "bomb")]).await;
    let error = call(&server).await.unwrap_err();
    assert!(matches!(&error, HttpError::Encoded { encoding, .. } if encoding == "gzip"));
}

#[tokio::test]
async fn ten_announced_gigabytes_are_not_read() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n";
    let server = Server::tls(vec![Answer::Endless(head.to_vec())]).await;
    let error = call(&server).await.unwrap_err();
    assert!(
        matches!(
            error,
            HttpError::TooLarge {
                limit: 1_048_576,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_endless_body_is_cut_at_one_mebibyte() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let server = Server::tls(vec![Answer::Endless(head.to_vec())]).await;
    let error = call(&server).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { .. }), "{error:?}");
    assert!(server.written() < 32 * 1024 * 1024, "{}", server.written());
}

#[tokio::test]
async fn a_head_without_end_breaks() {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    for number in 0..4000 {
        head.extend_from_slice(format!("x-{number}: {}\r\n", "y".repeat(64)).as_bytes());
    }
    let server = Server::tls(vec![Answer::Stall(head)]).await;
    let error = call(&server).await.unwrap_err();
    assert!(matches!(error, HttpError::Broken { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_meets_the_deadline() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    let server = Server::tls(vec![Answer::Stall(head.to_vec())]).await;
    let start = tokio::time::Instant::now();
    let error = call(&server).await.unwrap_err();
    assert!(
        matches!(error, HttpError::Deadline { seconds: 30, .. }),
        "{error:?}"
    );
    assert!(error.is_temporary());
    let passed = start.elapsed();
    assert!((30..31).contains(&passed.as_secs()), "{passed:?}");
    assert!(passed >= Duration::from_secs(30));
}

#[tokio::test]
async fn a_connection_closed_without_answer_is_temporary() {
    let server = Server::tls(vec![
        Answer::Close,
        Answer::Octets(b"no HTTP at all\r\n\r\n".to_vec()),
    ])
    .await;
    for _ in 0..2 {
        let error = call(&server).await.unwrap_err();
        assert!(matches!(error, HttpError::Broken { .. }), "{error:?}");
        assert!(error.is_temporary());
    }
}

#[tokio::test]
async fn foreign_certificates_are_not_trusted() {
    let server = Server::tls(vec![json("200 OK", "{}")]).await;
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let foreign = params
        .self_signed(&rcgen::KeyPair::generate().unwrap())
        .unwrap()
        .pem();
    let cloud = TestCloud::trusting(&foreign, "localhost", server.port);
    let error = cloud
        .http(Proxy::none())
        .call(get("localhost", server.port))
        .await
        .unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
    assert!(!error.is_temporary());

    let named = TestCloud::new("127.0.0.1", server.port);
    let error = named
        .http(Proxy::none())
        .call(get("127.0.0.1", server.port))
        .await
        .unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
    assert!(server.received().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn nobody_listening_is_temporary_and_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let cloud = TestCloud::new("localhost", port);
    let error = cloud
        .http(Proxy::none())
        .call(get("localhost", port))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, HttpError::Connect { host, .. } if *host == format!("localhost:{port}"))
    );
    assert!(error.is_temporary());
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.to_lowercase().contains("refused"), "{cause}");
}

#[tokio::test]
async fn other_urls_are_refused() {
    let cloud = TestCloud::new("localhost", 1);
    let http = cloud.http(Proxy::none());
    for url in [
        "http://localhost:1/",
        "ftp://localhost/",
        "/path",
        "",
        "https://",
        "https://user@localhost/",
        "https://user:CANARY-SECRET@localhost/",
    ] {
        let request = Request {
            url: url.to_owned(),
            ..get("localhost", 1)
        };
        let error = http.call(request).await.unwrap_err();
        assert!(matches!(error, HttpError::Url { .. }), "{url}: {error:?}");
        assert!(!error.to_string().contains("CANARY-SECRET"));
    }
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_with_its_password() {
    for (scheme, tls) in [("http", false), ("https", true)] {
        let server = Server::tls(vec![json("200 OK", "{}")]).await;
        // base64 of "user:p@ss"
        let through = ProxyServer::start(server.port, Some("dXNlcjpwQHNz"), tls).await;
        let url = format!("{scheme}://user:p%40ss@localhost:{}", through.port);
        let cloud = TestCloud::new("login.example.test", 4433);
        let http = cloud.http(proxy(&[("HTTPS_PROXY", &url)]));
        http.call(get("login.example.test", 4433)).await.unwrap();
        let heads = through.heads();
        assert_eq!(heads.len(), 1);
        assert!(
            heads[0].starts_with("CONNECT login.example.test:4433 HTTP/1.1\r\n"),
            "{}",
            heads[0]
        );
        assert_eq!(server.received().len(), 1);
        assert_eq!(server.received()[0].header("proxy-authorization"), None);
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_the_password() {
    let server = Server::tls(Vec::new()).await;
    let through = ProxyServer::start(server.port, Some("dXNlcjpwQHNz"), false).await;
    let url = format!("http://user:CANARY-SECRET@localhost:{}", through.port);
    let cloud = TestCloud::new("login.example.test", 4433);
    let http = cloud.http(proxy(&[("https_proxy", &url)]));
    let error = http
        .call(get("login.example.test", 4433))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, HttpError::Proxy { .. }), "{error:?}");
    assert!(
        text.contains(&format!("localhost:{}", through.port)),
        "{text}"
    );
    assert!(text.contains("authorization required"), "{text}");
    assert!(!format!("{text}{error:?}{http:?}").contains("CANARY-SECRET"));
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn hosts_of_no_proxy_and_this_machine_are_reached_directly() {
    let server = Server::tls(vec![json("200 OK", "{}")]).await;
    let through = ProxyServer::start(server.port, None, false).await;
    let url = format!("http://localhost:{}", through.port);
    let cloud = TestCloud::new("localhost", server.port);
    let http = cloud.http(proxy(&[("HTTPS_PROXY", &url)]));
    http.call(get("localhost", server.port)).await.unwrap();

    let settings = [
        ("HTTPS_PROXY", url.as_str()),
        ("NO_PROXY", "example.invalid"),
    ];
    let http = cloud.http(proxy(&settings));
    let error = http
        .call(get("login.example.invalid", 4433))
        .await
        .unwrap_err();
    assert!(matches!(error, HttpError::Connect { .. }), "{error:?}");
    assert!(through.heads().is_empty());
}

#[tokio::test]
async fn requests_and_answers_cannot_be_printed() {
    let server = Server::tls(vec![json("200 OK", "CANARY-SECRET")]).await;
    let mut request = get("localhost", server.port);
    request
        .headers
        .insert("authorization", "Bearer CANARY-SECRET".parse().unwrap());
    request.body = Bytes::from_static(b"CANARY-SECRET");
    let shown = format!("{request:?}");
    let cloud = TestCloud::new("localhost", server.port);
    let response = cloud.http(Proxy::none()).call(request).await.unwrap();
    assert!(!format!("{shown}{response:?}").contains("CANARY-SECRET"));
    assert!(trusted().ca_pem.starts_with("-----BEGIN"));
}
