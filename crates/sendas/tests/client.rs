//! The client against the sandbox: what arrives, and what each failure says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use sendas::{
    Address, BuildError, Client, ClientBuilder, Credential, Envelope, Message, ReceiptOutcome,
    ReversePath, Scope, SendError, StaticTokenSource, TokenErrorKind, TokenSource,
};
use sendas_sandbox::{Effect, Fault, Filter, Options, Preset, Running, Sandbox, Step};

async fn start(tenant: Preset) -> (Running, ClientBuilder) {
    let sandbox = Sandbox::start(Options {
        tenant,
        ..Options::default()
    })
    .await
    .unwrap();
    let builder = builder(&sandbox);
    (sandbox, builder)
}

fn builder(sandbox: &Running) -> ClientBuilder {
    let details = sandbox.details();
    let application = details.client.unwrap();
    Client::builder()
        .tenant(details.tenant.id.to_string())
        .client_id(application.id.to_string())
        .credential(Credential::secret_bytes(application.secret.into_bytes()).unwrap())
        .cloud_file(sandbox.folder().join("cloud.toml"))
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn envelope(sender: &str, recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|text| address(text).into()).collect();
    Envelope::new(address(sender), recipients).unwrap()
}

fn message(sender: &str) -> String {
    format!("From: {sender}\r\nTo: a@example.com\r\nSubject: Test\r\n\r\n.dot\r\n..dots\r\nend\r\n")
}

#[tokio::test]
async fn each_recipient_gets_a_receipt_and_the_octets_arrive() {
    for preset in [Preset::Rbac, Preset::Classic] {
        let (sandbox, builder) = start(preset).await;
        let client = builder.build().unwrap();
        let sender = sandbox.details().mailboxes[0].clone();
        let recipients = ["a@example.com", "b@example.com"];
        let sent = message(&sender);
        let receipts = client
            .send(&envelope(&sender, &recipients), sent.as_str())
            .await
            .unwrap();
        assert_eq!(receipts.len(), 2);
        for (receipt, recipient) in receipts.iter().zip(recipients) {
            assert_eq!(receipt.recipient.as_str(), recipient);
            assert_eq!(receipt.outcome, ReceiptOutcome::Accepted);
            assert!(receipt.reply.starts_with("250 "), "{}", receipt.reply);
        }
        let arrived = sandbox.messages(&Filter::default());
        assert_eq!(arrived.len(), 1);
        assert_eq!(arrived[0].mailbox, sender);
        let octets = sandbox.raw(arrived[0].id).unwrap().unwrap();
        assert_eq!(std::str::from_utf8(&octets).unwrap(), sent);
    }
}

#[tokio::test]
async fn text_gets_wire_line_ends_and_octets_must_have_them() {
    let (sandbox, builder) = start(Preset::Rbac).await;
    let client = builder.build().unwrap();
    let sender = sandbox.details().mailboxes[0].clone();
    let envelope = envelope(&sender, &["a@example.com"]);
    let text = message(&sender).replace("\r\n", "\n");
    client.send(&envelope, text.clone()).await.unwrap();
    client.send(&envelope, text.as_str()).await.unwrap();
    client
        .send(&envelope, message(&sender).into_bytes())
        .await
        .unwrap();
    client
        .send(&envelope, &Message::new(message(&sender)).unwrap())
        .await
        .unwrap();
    let error = client.send(&envelope, text.into_bytes()).await.unwrap_err();
    assert!(matches!(error, SendError::Message(_)), "{error:?}");
    assert!(!error.is_temporary());
    assert_eq!(error.status().to_string(), "5.6.0");
    assert_eq!(sandbox.messages(&Filter::default()).len(), 4);
}

#[tokio::test]
async fn a_mailbox_without_rights_is_named_with_the_services_words() {
    let (sandbox, builder) = start(Preset::Rbac).await;
    let client = builder.build().unwrap();
    let unknown = "nobody@contoso.onmicrosoft.com";
    let envelope = envelope(unknown, &["a@example.com"]);
    let error = client.send(&envelope, message(unknown)).await.unwrap_err();
    assert!(matches!(error, SendError::NoSession { .. }), "{error:?}");
    assert_eq!(error.status().to_string(), "5.7.3");
    assert_eq!(error.scope(), Scope::Mailbox);
    let words = error.service_words().unwrap();
    assert!(
        words.starts_with("535 5.7.3 Authentication unsuccessful"),
        "{words}"
    );
    assert!(error.to_string().contains("535 5.7.3"), "{error}");
    assert!(error.receipts().is_empty() && !error.is_temporary());
    assert_eq!(error.explanation().unwrap().id, "S-AUTH-REFUSED");
    assert!(sandbox.messages(&Filter::default()).is_empty());
}

#[tokio::test]
async fn one_bad_mailbox_does_not_spoil_the_token_of_the_others() {
    let (sandbox, builder) = start(Preset::Rbac).await;
    let client = builder.build().unwrap();
    let details = sandbox.details();
    let (good, bad) = (details.mailboxes[0].clone(), details.mailbox_outside);
    client
        .send(&envelope(&good, &["a@example.com"]), message(&good))
        .await
        .unwrap();
    for _ in 0..4 {
        client
            .send(&envelope(&bad, &["a@example.com"]), message(&bad))
            .await
            .unwrap_err();
    }
    let before = client.token_source().token().await.unwrap();
    assert_eq!(
        before.generation(),
        sendas::Generation(1),
        "one token served them all"
    );
}

#[tokio::test]
async fn a_wrong_secret_says_which_code_and_what_to_do() {
    let (sandbox, builder) = start(Preset::Rbac).await;
    let wrong = Credential::secret_bytes(b"canary".to_vec()).unwrap();
    let client = builder.credential(wrong).build().unwrap();
    let sender = sandbox.details().mailboxes[0].clone();
    let error = client
        .send(&envelope(&sender, &["a@example.com"]), message(&sender))
        .await
        .unwrap_err();
    let token_error = error.token_error().unwrap();
    assert_eq!(token_error.kind(), TokenErrorKind::Credential);
    assert_eq!(token_error.entry().unwrap().code, 7_000_215);
    assert_eq!(error.scope(), Scope::Principal);
    assert!(error.service_words().unwrap().contains("AADSTS7000215"));
    assert!(!error.is_temporary());
    assert!(!format!("{error} {error:?} {client:?}").contains("canary"));
}

#[tokio::test]
async fn a_refused_recipient_fails_the_send_and_keeps_the_other_receipts() {
    let (sandbox, builder) = start(Preset::Rbac).await;
    let client = builder.build().unwrap();
    let sender = sandbox.details().mailboxes[0].clone();
    let effect = Effect::Reply {
        code: 550,
        text: "5.1.10 RESOLVER.ADR.RecipientNotFound".into(),
    };
    sandbox.fault(Fault::once(Step::Rcpt, effect)).unwrap();
    let envelope = envelope(&sender, &["gone@example.com", "b@example.com"]);
    let error = client.send(&envelope, message(&sender)).await.unwrap_err();
    assert!(matches!(error, SendError::NotAccepted { .. }), "{error:?}");
    let outcomes: Vec<_> = error
        .receipts()
        .iter()
        .map(|receipt| receipt.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [ReceiptOutcome::Refused, ReceiptOutcome::Accepted]
    );
    assert_eq!(error.scope(), Scope::Recipient);
    assert_eq!(error.status().to_string(), "5.1.10");
    assert!(error.to_string().contains("gone@example.com"), "{error}");
    assert!(!error.is_temporary() && !error.is_uncertain());
    assert_eq!(sandbox.messages(&Filter::default()).len(), 1);
}

#[tokio::test]
async fn a_connection_lost_after_the_last_octet_is_uncertain() {
    let (sandbox, builder) = start(Preset::Rbac).await;
    let client = builder.build().unwrap();
    let sender = sandbox.details().mailboxes[0].clone();
    sandbox
        .fault(Fault::once(Step::End, Effect::AcceptThenClose))
        .unwrap();
    let envelope = envelope(&sender, &["a@example.com"]);
    let error = client.send(&envelope, message(&sender)).await.unwrap_err();
    assert!(error.is_uncertain(), "{error:?}");
    assert!(!error.is_temporary());
    assert_eq!(
        sandbox.messages(&Filter::default()).len(),
        1,
        "it was taken all the same"
    );
}

#[tokio::test]
async fn a_passing_trouble_is_temporary() {
    let (sandbox, builder) = start(Preset::Rbac).await;
    let client = builder.build().unwrap();
    let sender = sandbox.details().mailboxes[0].clone();
    let effect = Effect::Reply {
        code: 432,
        text: "4.3.2 Concurrent connections limit exceeded".into(),
    };
    sandbox.fault(Fault::once(Step::Mail, effect)).unwrap();
    let envelope = envelope(&sender, &["a@example.com"]);
    let error = client.send(&envelope, message(&sender)).await.unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    client.send(&envelope, message(&sender)).await.unwrap();
}

#[tokio::test]
async fn the_mailbox_is_the_sender_unless_told() {
    let (sandbox, builder) = start(Preset::Rbac).await;
    let mailbox = sandbox.details().mailboxes[0].clone();
    let alias = address("alias@contoso.onmicrosoft.com");
    let client = builder
        .mailbox_of(&alias, address(&mailbox).into())
        .build()
        .unwrap();
    let of = |reverse: ReversePath| {
        let envelope = Envelope::new(reverse, vec![address("a@example.com").into()]).unwrap();
        client
            .mailbox_for(&envelope)
            .map(|mailbox| mailbox.as_str().to_owned())
    };
    assert_eq!(of(alias.clone().into()), Some(mailbox.clone()));
    assert_eq!(
        of(address("other@contoso.com").into()).as_deref(),
        Some("other@contoso.com")
    );
    assert_eq!(of(ReversePath::Null), None);
    let notice = Envelope::new(ReversePath::Null, vec![address("a@example.com").into()]).unwrap();
    let error = client.send(&notice, message(&mailbox)).await.unwrap_err();
    assert!(matches!(error, SendError::NoMailbox));
    assert_eq!(error.scope(), Scope::Message);
}

#[tokio::test]
async fn a_given_token_serves_without_a_credential() {
    let (sandbox, builder) = start(Preset::Rbac).await;
    let token = builder
        .build()
        .unwrap()
        .token_source()
        .token()
        .await
        .unwrap();
    let given = StaticTokenSource::new(token.expose().to_owned()).unwrap();
    let client = Client::builder()
        .cloud_file(sandbox.folder().join("cloud.toml"))
        .token_source(Arc::new(given) as Arc<dyn TokenSource>)
        .build()
        .unwrap();
    let sender = sandbox.details().mailboxes[0].clone();
    client
        .send(&envelope(&sender, &["a@example.com"]), message(&sender))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_switch_of_the_mailbox_is_explained() {
    let (sandbox, builder) = start(Preset::Rbac).await;
    let client = builder.build().unwrap();
    let outside = sandbox.details().mailbox_outside;
    let envelope = envelope(&outside, &["a@example.com"]);
    let error = client.send(&envelope, message(&outside)).await.unwrap_err();
    assert_eq!(error.status().to_string(), "5.7.139");
    let words = error.service_words().unwrap();
    assert!(
        words.contains("SmtpClientAuthentication is disabled"),
        "{words}"
    );
    assert!(
        error
            .explanation()
            .unwrap()
            .id
            .starts_with("S-SMTP-AUTH-OFF")
    );
}

#[test]
fn a_client_without_its_settings_says_what_is_missing() {
    let secret = || Credential::secret_bytes(b"s".to_vec()).unwrap();
    let missing = |builder: ClientBuilder| match builder.build() {
        Err(BuildError::Missing { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(Client::builder()), "credential");
    assert_eq!(missing(Client::builder().credential(secret())), "tenant");
    assert_eq!(
        missing(Client::builder().credential(secret()).tenant("contoso.com")),
        "client id"
    );
    let named = || Client::builder().credential(secret()).tenant("contoso.com");
    assert!(matches!(
        named().client_id("x").build(),
        Err(BuildError::Id(_))
    ));
    let id = "11111111-2222-3333-4444-555555555555";
    assert!(named().client_id(id).build().is_ok());
    assert!(matches!(
        named().client_id(id).tenant("common").build(),
        Err(BuildError::Id(_))
    ));
    assert!(matches!(
        named().client_id(id).name("a b").build(),
        Err(BuildError::Name { .. })
    ));
    assert!(matches!(
        named().client_id(id).cloud_file("/nonexistent").build(),
        Err(BuildError::Cloud(_))
    ));
}
