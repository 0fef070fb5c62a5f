//! Who is told what: mailboxes that cannot send, replies that are not final, strangers.

use std::time::Duration;

use sendas_config::RewriteFrom;
use sendas_sandbox::{Effect, Fault, Filter as Seen, Step};
use sendas_spool::{Message, State};
use serde_json::json;

use crate::stage::Stage;

fn notice(all: &[Message]) -> &Message {
    all.iter()
        .find(|message| message.summary.sender.is_empty())
        .unwrap()
}

fn reply(code: u16, text: &str) -> Effect {
    let text = text.to_owned();
    Effect::Reply { code, text }
}

async fn octets(stage: &Stage, message: &Message) -> String {
    let now = stage.sandbox.now();
    let spool = stage.view.spool();
    let mut body = spool.body(message.summary.id, now).await.unwrap();
    let mut out = Vec::new();
    while let Some(piece) = body.piece().await.unwrap() {
        out.extend_from_slice(&piece);
    }
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn an_owner_is_told_through_its_own_mailbox_when_the_senders_cannot_send() {
    let mut owner = String::new();
    let stage = Stage::with(|relay| {
        let own = relay.clients[0].senders[0].to_string();
        owner = own.replace("noreply@", "alerts@");
        assert_ne!(owner, own);
        relay.retry_for = Duration::ZERO;
        relay.clients[0].owner = Some(owner.clone());
    })
    .await;
    let own = stage.own.clone();
    let off = json!({ "exchange": { "mailboxes": { own.as_str(): { "smtp_client_authentication_disabled": true } } } });
    stage.sandbox.patch(&off).unwrap();
    stage
        .send(
            &["a@example.org"],
            &format!("From: <{own}>\r\nSubject: lost\r\n\r\nx\r\n"),
        )
        .await;
    let all = stage.settled(2).await;
    assert_eq!(notice(&all).summary.mailbox, owner);
    let seen = stage.sandbox.messages(&Seen::default());
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].recipients[0].address, owner);
    let raw = stage.sandbox.raw(seen[0].id).unwrap().unwrap();
    let raw = String::from_utf8(raw.to_vec()).unwrap();
    for piece in [
        format!("From: Mail relay <{owner}>\r\n"),
        "SmtpClientAuthentication is disabled for the Mailbox".to_owned(),
        "Status: 5.7.139\r\n".to_owned(),
        "Subject: lost\r\n".to_owned(),
    ] {
        assert!(
            raw.replace("\r\n\t", " ").contains(&piece),
            "{piece}\n{raw}"
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_late_message_is_told_with_a_temporary_status_whatever_the_reply() {
    let stage = Stage::with(|relay| relay.delay_notice_after = Duration::ZERO).await;
    stage.fault(Fault::always(
        Step::Auth,
        reply(535, "5.7.3 Authentication unsuccessful"),
    ));
    let own = stage.own.clone();
    let message = format!("From: <{own}>\r\nSubject: late\r\n\r\nx\r\n");
    stage
        .send(
            &["a@example.org NOTIFY=DELAY", "b@example.org NOTIFY=NEVER"],
            &message,
        )
        .await;
    let all = stage.until(2, |m| !m.summary.deliveries.is_empty()).await;
    let text = octets(&stage, notice(&all)).await;
    for piece in [
        "Subject: Delayed mail\r\n",
        "Action: delayed\r\nStatus: 4.7.3\r\n",
        "Diagnostic-Code: smtp; 535 5.7.3 ",
        "Will-Retry-Until: ",
    ] {
        assert!(text.contains(piece), "{piece}\n{text}");
    }
    assert!(!text.contains("b@example.org"), "{text}");
    stage.stop().await;
}

#[tokio::test]
async fn strangers_and_notices_are_told_nothing() {
    // A device whose sender is replaced, without an owner; and a notice that fails itself.
    let stage =
        Stage::with(|relay| relay.clients[0].rewrite_from = RewriteFrom::IfNotAllowed).await;
    let no = "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup";
    stage.fault(Fault::always(Step::Rcpt, reply(550, no)));
    for sender in ["victim@elsewhere.example", ""] {
        let mut client = stage.client().await;
        client.open(sender, &["a@example.org"]).await;
        client.say("DATA").await;
        client
            .write(b"From: victim@elsewhere.example\r\n\r\nx\r\n")
            .await;
        assert!(client.say(".").await.starts_with("250"));
    }
    let own = stage.own.clone();
    stage
        .send(&["a@example.org"], &format!("From: <{own}>\r\n\r\nx\r\n"))
        .await;
    // The third alone has a notice, which fails as well and has none.
    let all = stage.settled(4).await;
    let is_refused = |message: &Message| message.summary.state == State::Settled;
    assert!(all.iter().all(is_refused));
    assert_eq!(all.len(), 4);
    let notices = all.iter().filter(|m| m.summary.origin.client == "notice");
    let told: Vec<&str> = notices
        .map(|m| m.summary.deliveries[0].recipient.path.as_str())
        .collect();
    assert_eq!(told, [own.as_str()]);
    assert!(stage.sandbox.messages(&Seen::default()).is_empty());
    stage.stop().await;
}
