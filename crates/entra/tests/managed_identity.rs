//! Managed identities: the endpoints of each kind of machine, played on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use sendas_entra::{
    Audience, Cloud, Environment, Generation, HttpClient, IdentityHost, IdentityName,
    ManagedIdentity, Principal, Proxy, Requester, Token, TokenError, TokenErrorKind,
};
use support::{Answer, ProxyServer, Server, SetClock, answer, json};

async fn ask(identity: ManagedIdentity, proxy: Proxy) -> Result<Token, TokenError> {
    let cloud = Cloud::global();
    let http = HttpClient::new(cloud.tls_policy().unwrap(), proxy);
    let principal = Principal::managed(cloud, identity);
    Requester::new(principal, Audience::Exchange, http, SetClock::new())
        .request(Generation(1))
        .await
}

fn detect(pairs: &[(&str, &str)]) -> ManagedIdentity {
    let environment: Environment = pairs.iter().copied().collect();
    ManagedIdentity::detect(&environment, IdentityName::System).unwrap()
}

fn imds(server: &Server) -> ManagedIdentity {
    detect(&[(
        "IMDS_ENDPOINT",
        &format!("http://127.0.0.1:{}", server.port),
    )])
}

/// As a virtual machine answers: every number is text.
const IMDS_ANSWER: &str = r#"{"access_token":"eyJ.eyJ.vm","client_id":"11111111-2222-3333-4444-555555555555","expires_in":"86399","expires_on":"1770086399","ext_expires_in":"86399","not_before":"1769999700","resource":"https://outlook.office365.com","token_type":"Bearer"}"#;

#[tokio::test]
async fn a_virtual_machine_answers_with_numbers_as_text() {
    let server = Server::plain(vec![json("200 OK", IMDS_ANSWER)]).await;
    let token = ask(imds(&server), Proxy::none()).await.unwrap();
    assert_eq!(token.expose(), "eyJ.eyJ.vm");
    assert_eq!(token.expires_at().as_second(), 1_770_086_399);
    assert_eq!(
        token.refresh_at().as_second(),
        1_770_043_199,
        "half of a long life"
    );
    let received = &server.received()[0];
    assert!(received.head.starts_with(
        "GET /metadata/identity/oauth2/token?api-version=2018-02-01\
         &resource=https%3A%2F%2Foutlook.office365.com HTTP/1.1\r\n"
    ));
    assert_eq!(received.header("metadata"), Some("true"));
}

#[tokio::test]
async fn no_proxy_ever_sees_the_request() {
    let server = Server::plain(vec![json("200 OK", IMDS_ANSWER)]).await;
    let through = ProxyServer::start(server.port, None, false).await;
    let url = format!("http://localhost:{}", through.port);
    let environment: Environment = [
        ("HTTPS_PROXY", url.as_str()),
        ("ALL_PROXY", &url),
        ("HTTP_PROXY", &url),
    ]
    .into_iter()
    .collect();
    ask(
        imds(&server),
        Proxy::from_environment(&environment).unwrap(),
    )
    .await
    .unwrap();
    assert!(through.heads().is_empty());
}

#[tokio::test]
async fn app_service_wants_its_header_and_says_only_when_the_token_ends() {
    let body = r#"{"access_token":"eyJ.eyJ.app","expires_on":"1770003600","resource":"https://outlook.office365.com","token_type":"Bearer"}"#;
    let server = Server::plain(vec![json("200 OK", body)]).await;
    let endpoint = format!("http://127.0.0.1:{}/msi/token", server.port);
    let identity = detect(&[
        ("IDENTITY_ENDPOINT", &endpoint),
        ("IDENTITY_HEADER", "header-1"),
    ]);
    let token = ask(identity, Proxy::none()).await.unwrap();
    assert_eq!(token.expires_at().as_second(), 1_770_003_600);
    let received = &server.received()[0];
    assert!(
        received
            .head
            .starts_with("GET /msi/token?api-version=2019-08-01&resource=")
    );
    assert_eq!(received.header("x-identity-header"), Some("header-1"));
}

#[tokio::test]
async fn machine_learning_wants_its_secret() {
    let body = r#"{"access_token":"eyJ.eyJ.ml","expires_on":1770003600}"#;
    let server = Server::plain(vec![json("200 OK", body)]).await;
    let endpoint = format!("http://localhost:{}/MSI/auth", server.port);
    let identity = detect(&[("MSI_ENDPOINT", &endpoint), ("MSI_SECRET", "secret-1")]);
    ask(identity, Proxy::none()).await.unwrap();
    let received = &server.received()[0];
    assert!(
        received
            .head
            .starts_with("GET /MSI/auth?api-version=2017-09-01&resource=")
    );
    assert_eq!(received.header("secret"), Some("secret-1"));
}

fn arc(server: &Server, keys: &Path) -> ManagedIdentity {
    let endpoint = format!(
        "http://localhost:{}/metadata/identity/oauth2/token",
        server.port
    );
    ManagedIdentity::new(
        IdentityHost::Arc {
            endpoint,
            keys: keys.to_owned(),
        },
        IdentityName::System,
    )
}

fn challenge(path: &Path) -> Answer {
    let header = format!("www-authenticate: Basic realm={}\r\n", path.display());
    answer("401 Unauthorized", &header, "")
}

#[tokio::test]
async fn arc_is_answered_with_the_content_of_its_key_file() {
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("one.key");
    std::fs::write(&file, "c2VjcmV0\n").unwrap();
    let server = Server::plain(vec![challenge(&file), json("200 OK", IMDS_ANSWER)]).await;
    let token = ask(arc(&server, keys.path()), Proxy::none()).await.unwrap();
    assert_eq!(token.expose(), "eyJ.eyJ.vm");
    let received = server.received();
    assert!(received[0].head.contains("api-version=2020-06-01"));
    assert_eq!(received[0].header("metadata"), Some("true"));
    assert_eq!(received[0].header("authorization"), None);
    assert_eq!(received[1].header("authorization"), Some("Basic c2VjcmV0"));
}

#[tokio::test]
async fn arc_gets_no_other_file() {
    let keys = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let canary = outside.path().join("canary.key");
    std::fs::write(&canary, "canary").unwrap();
    let large = keys.path().join("large.key");
    std::fs::write(&large, "x".repeat(4097)).unwrap();
    let sneaking = keys
        .path()
        .join("..")
        .join(outside.path().file_name().unwrap())
        .join("canary.key");
    for path in [&canary, &large, &sneaking, &keys.path().join("absent.key")] {
        let server = Server::plain(vec![challenge(path), json("200 OK", IMDS_ANSWER)]).await;
        let error = ask(arc(&server, keys.path()), Proxy::none())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Credential, "{error:?}");
        assert_eq!(
            server.received().len(),
            1,
            "nothing was sent after the challenge"
        );
    }
}

#[tokio::test]
async fn refusals_are_quoted_and_updates_are_temporary() {
    for (status, body, temporary) in [
        (
            "400 Bad Request",
            r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
            false,
        ),
        ("404 Not Found", "{}", true),
        ("410 Gone", "{}", true),
        ("429 Too Many Requests", "{}", true),
        ("500 Internal Server Error", "{}", true),
        (
            "401 Unauthorized",
            r#"{"error":"unauthorized_client"}"#,
            false,
        ),
        ("302 Found", "", false),
        ("200 OK", "<html>", false),
    ] {
        let server = Server::plain(vec![json(status, body)]).await;
        let error = ask(imds(&server), Proxy::none()).await.unwrap_err();
        assert_eq!(error.is_temporary(), temporary, "{status}: {error:?}");
        assert_eq!(error.kind(), TokenErrorKind::Credential);
    }
}
