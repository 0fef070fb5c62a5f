//! Foreign issuers that publish their keys: the sandbox's own, and one that is a server of its own.

use std::sync::Arc;

use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use http::StatusCode;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sendas_sandbox::Preset;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::entra::start;
use crate::errors::{Signer, assert_with};

const SUBJECT: &str = "repo:contoso/mail:ref:refs/heads/main";
const CREDENTIAL: &str = "11111111-2222-3333-4444-555555555555";

/// A server with a certificate of its own.
struct Server {
    listener: TcpListener,
    tls: TlsAcceptor,
    name: String,
    certificate: String,
}

impl Server {
    async fn start() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self {
            listener,
            tls: TlsAcceptor::from(Arc::new(config)),
            name: format!("https://localhost:{port}"),
            certificate: certificate.pem(),
        }
    }

    /// Answers each request with the document at its path, until the test ends.
    fn publish(self, documents: Vec<(&'static str, Value)>) {
        tokio::spawn(async move {
            loop {
                let (tcp, _) = self.listener.accept().await.unwrap();
                // Who does not trust the certificate leaves in the handshake.
                let Ok(mut stream) = self.tls.accept(tcp).await else {
                    continue;
                };
                let (mut asked, mut piece) = (Vec::new(), [0; 1024]);
                while !asked.ends_with(b"\r\n\r\n") {
                    let read = stream.read(&mut piece).await.unwrap();
                    asked.extend_from_slice(&piece[..read]);
                }
                let asked = String::from_utf8(asked).unwrap();
                let path = asked.split(' ').nth(1).unwrap();
                let found = documents.iter().find(|(place, _)| *place == path);
                let (status, body) = match found {
                    Some((_, document)) => ("200 OK", document.to_string()),
                    None => ("404 Not Found", String::new()),
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
    }
}

const METADATA: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn an_issuer_of_its_own_publishes_its_keys() {
    let signer = Signer::new();
    let keys = json!({ "keys": [signer.jwk()] });
    let metadata = |server: &Server, issuer: &str, keys: &str| json!({ "issuer": issuer, "jwks_uri": format!("{}{keys}", server.name) });
    // What it publishes, whether it is trusted, and what the token endpoint says.
    for (case, trusted, status, words) in [
        ("good", true, 200, ""),
        ("good", false, 400, "certificate"),
        ("another's metadata", true, 400, "is the metadata of"),
        ("no key set", true, 400, "404"),
        ("another key", true, 400, "no key of the issuer verifies it"),
        ("nothing", true, 400, "404"),
        ("keys elsewhere", true, 400, "not on this machine"),
    ] {
        let (sandbox, https) = start(Preset::Classic).await;
        let server = Server::start().await;
        let own = server.name.clone();
        let certificate = server.certificate.clone();
        let documents = match case {
            "good" => vec![
                (METADATA, metadata(&server, &own, "/jwks")),
                ("/jwks", keys.clone()),
            ],
            "another's metadata" => {
                vec![(METADATA, metadata(&server, "https://else.example", "/jwks"))]
            }
            "no key set" => vec![(METADATA, metadata(&server, &own, "/jwks"))],
            "another key" => vec![
                (METADATA, metadata(&server, &own, "/jwks")),
                ("/jwks", json!({ "keys": [Signer::new().jwk()] })),
            ],
            "keys elsewhere" => vec![(
                METADATA,
                json!({ "issuer": own, "jwks_uri": "https://192.0.2.1/jwks" }),
            )],
            _ => Vec::new(),
        };
        server.publish(documents);
        let application = sandbox.details().client.unwrap().application_object_id;
        let issuers = if trusted {
            json!({ (&own): { "ca": certificate } })
        } else {
            json!({})
        };
        let credential = json!({ "name": "build", "issuer": own, "subject": SUBJECT });
        let patch = json!({
            "issuers": issuers,
            "applications": { (application.to_string()): { "federated": { (CREDENTIAL): credential } } },
        });
        sandbox.patch(&patch).unwrap();
        let now = sandbox.now().as_second();
        let claims = json!({
            "iss": own, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "exp": now + 600,
        });
        let header = json!({ "alg": "RS256", "kid": "k1" });
        let assertion = signer.sign(&RSA_PKCS1_SHA256, &header, &claims);
        let (found, code, _) = assert_with(&sandbox, &https, &assertion).await;
        assert_eq!(found, status, "{case}");
        if !words.is_empty() {
            assert_eq!(code, 50013, "{case}");
            let cause = sandbox.journal(0).into_iter().rev().find_map(|e| e.cause);
            let cause = cause.unwrap();
            assert!(cause.contains(words), "{case}: {cause}");
        }
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn the_sandbox_is_an_issuer_too() {
    let (sandbox, https) = start(Preset::Classic).await;
    let issuer = sandbox.details().issuer;
    let metadata = https.get(&format!("{issuer}{METADATA}")).await;
    assert_eq!(metadata.status, StatusCode::OK);
    assert_eq!(metadata.json()["issuer"], json!(issuer));
    let token = sandbox.issuer_token(SUBJECT);
    // Nobody trusts it yet.
    assert_eq!(assert_with(&sandbox, &https, &token).await.1, 700_211);
    let application = sandbox.details().client.unwrap().application_object_id;
    let credential = json!({ "name": "build", "issuer": issuer, "subject": SUBJECT });
    let patch = json!({
        "applications": { (application.to_string()): { "federated": { (CREDENTIAL): credential } } },
    });
    sandbox.patch(&patch).unwrap();
    assert_eq!(assert_with(&sandbox, &https, &token).await.0, 200);
    let other = sandbox.issuer_token("repo:contoso/mail:ref:refs/heads/else");
    assert_eq!(assert_with(&sandbox, &https, &other).await.1, 700_213);
    // Entra signs with another key than this issuer.
    sandbox.advance(std::time::Duration::from_hours(2));
    assert_eq!(assert_with(&sandbox, &https, &token).await.1, 700_024);
    sandbox.stop().await;
}
