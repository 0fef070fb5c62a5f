//! A certificate as credential, from registration to mail, against the sandbox.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use sendas::{Address, Client, Credential, Envelope, SendError};
use sendas_sandbox::{Options, Running, Sandbox};
use serde_json::json;

const KEY_ID: &str = "99999999-0000-4000-8000-000000000001";

struct Stage {
    sandbox: Running,
    client: Client,
    envelope: Envelope,
    der: Vec<u8>,
}

impl Stage {
    async fn start() -> Self {
        let sandbox = Sandbox::start(Options::default()).await.unwrap();
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let pem = sandbox.folder().join("client.pem");
        std::fs::write(
            &pem,
            format!("{}{}", certificate.pem(), key.serialize_pem()),
        )
        .unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&pem, mode).unwrap();
        }
        let details = sandbox.details();
        let client = Client::builder()
            .tenant(details.tenant.domain)
            .client_id(details.client.unwrap().id.to_string())
            .credential(Credential::certificate_file(&pem).unwrap())
            .cloud_file(sandbox.folder().join("cloud.toml"))
            .build()
            .unwrap();
        let sender: Address = details.mailboxes[0].parse().unwrap();
        let recipient: Address = "a@example.com".parse().unwrap();
        let envelope = Envelope::new(sender, vec![recipient.into()]).unwrap();
        Self {
            sandbox,
            client,
            envelope,
            der: certificate.der().to_vec(),
        }
    }

    fn register(&self) {
        let application = self
            .sandbox
            .details()
            .client
            .unwrap()
            .application_object_id
            .to_string();
        let certificate =
            json!({"der": STANDARD.encode(&self.der), "ends": "2040-01-01T00:00:00Z"});
        let change =
            json!({"applications": {application: {"certificates": {KEY_ID: certificate}}}});
        self.sandbox.patch(&change).unwrap();
    }

    async fn send(&self) -> Result<(), SendError> {
        let message = format!(
            "From: {}\nSubject: x\n\ny\n",
            self.envelope.reverse_path.as_str()
        );
        self.client.send(&self.envelope, message).await.map(drop)
    }
}

#[tokio::test]
async fn a_registered_certificate_sends_mail() {
    let stage = Stage::start().await;
    stage.register();
    stage.send().await.unwrap();
}

#[tokio::test]
async fn an_unknown_certificate_is_named_and_may_be_too_young() {
    let stage = Stage::start().await;
    let error = stage.send().await.unwrap_err();
    let token_error = error.token_error().unwrap();
    assert_eq!(token_error.entry().unwrap().code, 700_027, "{error}");
    assert!(token_error.may_be_too_young());
    assert!(!error.is_temporary());
}

#[tokio::test]
async fn a_wrong_clock_is_named() {
    let stage = Stage::start().await;
    stage.register();
    stage.sandbox.advance(Duration::from_hours(1));
    let error = stage.send().await.unwrap_err();
    assert_eq!(
        error.token_error().unwrap().entry().unwrap().code,
        700_024,
        "{error}"
    );
}
