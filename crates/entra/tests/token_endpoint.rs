//! Token requests over sockets: what arrives at the endpoint, and what each answer becomes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, PKCS_RSA_SHA256, RsaKeySize};
use sendas_entra::{
    Audience, Certificate, Credential, EntraTokenSource, Generation, Proxy, Requester, TokenError,
    TokenErrorKind, TokenSource as _,
};
use support::{CLIENT, Server, SetClock, TOKEN_PATH, TestCloud, answer, grant, json, secret};

const INVALID_CLIENT: &str = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Trace ID: t Correlation ID: c Timestamp: 2026-08-13 21:24:29Z","error_codes":[7000215],"trace_id":"trace-1","correlation_id":"correlation-1"}"#;

fn requester(cloud: &TestCloud, credential: Credential) -> Requester {
    let principal = cloud.principal(credential);
    Requester::new(
        principal,
        Audience::Exchange,
        cloud.http(Proxy::none()),
        SetClock::new(),
    )
}

#[tokio::test]
async fn a_secret_buys_a_token() {
    let server = Server::tls(vec![grant("eyJ.eyJ.one")]).await;
    let cloud = TestCloud::new("localhost", server.port);
    let token = requester(&cloud, secret("s3~cret"))
        .request(Generation(4))
        .await
        .unwrap();
    assert_eq!(token.expose(), "eyJ.eyJ.one");
    assert_eq!(token.generation(), Generation(4));
    assert_eq!(token.expires_at().as_second(), 1_770_003_599);

    let received = &server.received()[0];
    assert!(
        received
            .head
            .starts_with(&format!("POST {TOKEN_PATH} HTTP/1.1\r\n"))
    );
    assert_eq!(
        received.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(received.header("accept"), Some("application/json"));
    assert_eq!(received.header("accept-encoding"), None);
    assert_eq!(received.header("client-request-id").map(str::len), Some(36));
    assert_eq!(received.form("client_id").as_deref(), Some(CLIENT));
    assert_eq!(received.form("client_secret").as_deref(), Some("s3~cret"));
    assert_eq!(
        received.form("grant_type").as_deref(),
        Some("client_credentials")
    );
    assert_eq!(
        received.form("scope").as_deref(),
        Some("https://outlook.office365.com/.default")
    );
}

#[tokio::test]
async fn graph_is_asked_for_by_its_own_resource() {
    let server = Server::tls(vec![grant("t")]).await;
    let cloud = TestCloud::new("localhost", server.port);
    let source = EntraTokenSource::with_audience(
        cloud.principal(secret("s")),
        Audience::Graph,
        cloud.http(Proxy::none()),
        SetClock::new(),
        1,
    );
    source.token().await.unwrap();
    let scope = format!("https://localhost:{}/.default", server.port);
    assert_eq!(server.received()[0].form("scope"), Some(scope));
}

#[tokio::test]
async fn a_certificate_signs_a_fresh_assertion_for_each_request() {
    let server = Server::tls(vec![grant("a"), grant("b")]).await;
    let cloud = TestCloud::new("localhost", server.port);
    let key = rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let pem = CertificateParams::new(Vec::new())
        .unwrap()
        .self_signed(&key)
        .unwrap()
        .pem();
    let pem = format!("{pem}{}", key.serialize_pem());
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    let requester = requester(&cloud, Credential::Certificate(certificate.clone()));
    let mut ids = Vec::new();
    for number in 0..2 {
        requester.request(Generation(number)).await.unwrap();
        let received = &server.received()[usize::try_from(number).unwrap()];
        assert_eq!(
            received.form("client_assertion_type").as_deref(),
            Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        );
        assert_eq!(received.form("client_secret"), None);
        let assertion = received.form("client_assertion").unwrap();
        let part = |index: usize| -> serde_json::Value {
            let text = assertion.split('.').nth(index).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
        };
        assert_eq!(part(0)["x5t#S256"], certificate.thumbprint_s256());
        assert_eq!(
            part(1)["aud"],
            format!("https://localhost:{}{TOKEN_PATH}", server.port)
        );
        ids.push(part(1)["jti"].as_str().unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_federated_token_file_is_read_for_each_request() {
    let server = Server::tls(vec![grant("a"), grant("b")]).await;
    let cloud = TestCloud::new("localhost", server.port);
    let path = cloud.path("federated");
    let requester = requester(&cloud, Credential::federated_file(&path));
    let missing = requester.request(Generation(0)).await.unwrap_err();
    assert_eq!(missing.kind(), TokenErrorKind::Credential);
    assert!(
        missing.full_text().contains("federated"),
        "{}",
        missing.full_text()
    );
    for (number, text) in ["aaa.bbb.ccc", "ddd.eee.fff"].into_iter().enumerate() {
        std::fs::write(&path, text).unwrap();
        requester.request(Generation(1)).await.unwrap();
        assert_eq!(
            server.received()[number]
                .form("client_assertion")
                .as_deref(),
            Some(text)
        );
    }
}

#[tokio::test]
async fn a_refusal_keeps_code_trace_and_the_services_own_words() {
    let server = Server::tls(vec![json("401 Unauthorized", INVALID_CLIENT)]).await;
    let cloud = TestCloud::new("localhost", server.port);
    let error = requester(&cloud, secret("CANARY-SECRET"))
        .request(Generation(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Credential);
    assert!(!error.is_temporary() && error.may_be_too_young());
    assert_eq!(error.entry().unwrap().code, 7_000_215);
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.status, 401);
    assert_eq!(refusal.trace_id.as_deref(), Some("trace-1"));
    assert_eq!(refusal.correlation_id.as_deref(), Some("correlation-1"));
    assert!(
        error
            .full_text()
            .contains("AADSTS7000215: Invalid client secret provided.")
    );
    assert!(!format!("{error:?}{}", error.full_text()).contains("CANARY-SECRET"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_send_one_request() {
    let server = Server::tls(vec![grant("one")]).await;
    let cloud = TestCloud::new("localhost", server.port);
    let source = EntraTokenSource::new(
        cloud.principal(secret("s")),
        cloud.http(Proxy::none()),
        SetClock::new(),
        1,
    );
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.token().await.unwrap().expose().to_owned() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "one");
    }
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn after_429_nobody_asks_before_retry_after_has_passed() {
    let throttled = answer("429 Too Many Requests", "retry-after: 70\r\n", "{}");
    let server = Server::tls(vec![throttled, grant("late")]).await;
    let cloud = TestCloud::new("localhost", server.port);
    let clock = SetClock::new();
    let source = EntraTokenSource::new(
        cloud.principal(secret("s")),
        cloud.http(Proxy::none()),
        Arc::clone(&clock) as Arc<dyn sendas_entra::Clock>,
        1,
    );
    let first = source.token().await.unwrap_err();
    assert_eq!(first.kind(), TokenErrorKind::Throttled);
    for second in (0..70).step_by(10) {
        clock.set(second);
        let error = source.token().await.unwrap_err();
        assert!(matches!(error, TokenError::CoolingDown { .. }), "{error}");
        assert!(error.is_temporary() && error.retry_after().is_some());
    }
    assert_eq!(server.received().len(), 1);
    clock.set(88);
    assert_eq!(source.token().await.unwrap().expose(), "late");
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_connection_serves_several_requests() {
    let server = Server::tls(vec![grant("a"), grant("b")]).await;
    let cloud = TestCloud::new("localhost", server.port);
    let requester = requester(&cloud, secret("s"));
    assert_eq!(
        requester.request(Generation(1)).await.unwrap().expose(),
        "a"
    );
    assert_eq!(
        requester.request(Generation(2)).await.unwrap().expose(),
        "b"
    );
}
