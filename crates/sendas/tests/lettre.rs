//! lettre's messages through our transport.

#![cfg(feature = "lettre")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lettre::{AsyncTransport as _, Message};
use sendas::{Client, Credential, LettreError, LettreTransport};
use sendas_sandbox::{Filter, Options, Sandbox};

#[tokio::test]
async fn a_message_of_lettre_arrives_byte_for_byte() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let details = sandbox.details();
    let application = details.client.unwrap();
    let client = Client::builder()
        .tenant(details.tenant.id.to_string())
        .client_id(application.id.to_string())
        .credential(Credential::secret_bytes(application.secret.into_bytes()).unwrap())
        .cloud_file(sandbox.folder().join("cloud.toml"))
        .build()
        .unwrap();
    let mailer = LettreTransport::new(client);
    let message = |from: &str| {
        Message::builder()
            .from(from.parse().unwrap())
            .to("Some One <someone@example.com>".parse().unwrap())
            .bcc("hidden@example.com".parse().unwrap())
            .subject("Gr\u{fc}\u{df}e")
            .body("One line.\r\n.dot\r\nEnd".to_owned())
            .unwrap()
    };
    let sent = message(&details.mailboxes[0]);
    let octets = sent.formatted();
    let receipts = mailer.send(sent).await.unwrap();
    assert_eq!(receipts.len(), 2);
    let arrived = sandbox.messages(&Filter::default());
    let mut wanted = octets;
    if !wanted.ends_with(b"\r\n") {
        wanted.extend_from_slice(b"\r\n");
    }
    assert_eq!(sandbox.raw(arrived[0].id).unwrap().unwrap(), wanted);
    assert_eq!(arrived[0].recipients.len(), 2);

    let error = mailer
        .send(message(&details.mailbox_outside))
        .await
        .unwrap_err();
    assert!(matches!(error, LettreError::Send(_)), "{error:?}");
    assert!(error.to_string().contains("535 5.7.139"), "{error}");
}
