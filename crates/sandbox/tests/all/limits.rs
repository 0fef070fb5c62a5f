//! Limits of the service, over sockets.

use std::time::{Duration, Instant};

use sendas_sandbox::{Filter, Options, Preset, Running, Sandbox, TlsMax};
use serde_json::json;

use crate::entra::start;
use crate::https::tls;
use crate::rights::token;
use crate::talk::{Talk, auth, connect_with, message};

async fn logged_in(sandbox: &Running) -> (Talk, String) {
    let mailbox = sandbox.details().mailboxes[0].clone();
    let token = token(sandbox, &[]).await;
    let (talk, reply) = auth(sandbox, &mailbox, &token).await;
    assert!(reply.starts_with("235"), "{reply}");
    (talk, mailbox)
}

fn recipients(count: usize, domain: &str) -> Vec<String> {
    // At most 200 of one domain.
    (0..count)
        .map(|n| format!("r{n}@d{}.{domain}", n / 200))
        .collect()
}

#[tokio::test]
async fn the_fourth_send_at_once_is_refused_at_the_end_of_data() {
    let (sandbox, _) = start(Preset::Rbac).await;
    let mut talks = Vec::new();
    for _ in 0..4 {
        let (mut talk, mailbox) = logged_in(&sandbox).await;
        talk.say(&format!("MAIL FROM:<{mailbox}>")).await;
        talk.say("RCPT TO:<a@example.com>").await;
        assert!(talk.say("DATA").await.starts_with("354"));
        talks.push((talk, mailbox));
    }
    let mut replies = Vec::new();
    for (mut talk, mailbox) in talks {
        talk.write(&message(&mailbox, "")).await;
        replies.push(talk.say(".").await);
    }
    assert!(
        replies[..3]
            .iter()
            .all(|reply| reply.starts_with("250 2.0.0")),
        "{replies:?}"
    );
    assert!(
        replies[3].starts_with("432 4.3.2 Concurrent connections limit exceeded."),
        "{replies:?}"
    );
    assert_eq!(sandbox.messages(&Filter::default()).len(), 3);
}

#[tokio::test]
async fn ten_thousand_recipients_a_day() {
    let (sandbox, _) = start(Preset::Rbac).await;
    let (mut talk, mailbox) = logged_in(&sandbox).await;
    let to = recipients(500, "example.com");
    let mail = message(&mailbox, "x");
    for _ in 0..20 {
        let reply = talk.send(&mailbox, &to, &mail).await;
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    let reply = talk.send(&mailbox, &to[..1], &mail).await;
    assert!(
        reply.starts_with("554 5.2.0") && reply.contains("SubmissionQuotaExceeded"),
        "{reply}"
    );
    sandbox.advance(Duration::from_secs(86_401));
    let (mut talk, mailbox) = logged_in(&sandbox).await;
    assert!(
        talk.send(&mailbox, &to[..1], &mail)
            .await
            .starts_with("250")
    );
}

#[tokio::test]
async fn a_trial_tenant_reaches_five_thousand_external_recipients() {
    let (sandbox, _) = start(Preset::Rbac).await;
    sandbox.patch(&json!({"trial": true})).unwrap();
    let (mut talk, mailbox) = logged_in(&sandbox).await;
    let mail = message(&mailbox, "x");
    for _ in 0..10 {
        let reply = talk
            .send(&mailbox, &recipients(500, "example.com"), &mail)
            .await;
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    let reply = talk
        .send(&mailbox, &recipients(1, "example.com"), &mail)
        .await;
    assert!(reply.starts_with("550 5.7.233"), "{reply}");
    let inside = vec![mailbox.clone()];
    assert!(
        talk.send(&mailbox, &inside, &mail).await.starts_with("250"),
        "inside is free"
    );
}

#[tokio::test]
async fn past_thirty_messages_a_minute_the_reply_can_be_late_instead() {
    let (sandbox, _) = start(Preset::Rbac).await;
    sandbox
        .patch(&json!({"behaviour":{"message_rate":"delay"}}))
        .unwrap();
    let (mut talk, mailbox) = logged_in(&sandbox).await;
    let to = recipients(1, "example.com");
    let mail = message(&mailbox, "x");
    for _ in 0..30 {
        assert!(talk.send(&mailbox, &to, &mail).await.starts_with("250"));
    }
    let late = talk.send(&mailbox, &to, &mail);
    let moved = async {
        // The reply waits for the sandbox's clock.
        tokio::task::yield_now().await;
        while sandbox.messages(&Filter::default()).len() < 31 {
            sandbox.advance(Duration::from_secs(61));
            tokio::task::yield_now().await;
        }
    };
    let (reply, ()) = tokio::join!(late, moved);
    assert!(reply.starts_with("250"), "{reply}");
}

#[tokio::test]
async fn error_replies_wait_in_the_tarpit() {
    let (sandbox, _) = start(Preset::Rbac).await;
    sandbox
        .patch(&json!({"behaviour":{"tarpit_ms":300}}))
        .unwrap();
    let (mut talk, _) = logged_in(&sandbox).await;
    #[expect(
        clippy::disallowed_methods,
        reason = "the wait itself is what is tested"
    )]
    let begin = Instant::now();
    assert!(talk.say("NONSENSE").await.starts_with("500"));
    assert!(begin.elapsed() >= Duration::from_millis(300));
    sandbox.stop().await;
    let options = Options {
        tarpit: true,
        ..Options::default()
    };
    let slow = Sandbox::start(options).await.unwrap();
    assert_eq!(slow.tenant().behaviour.tarpit_ms, 5_000);
}

#[tokio::test]
async fn tls_1_2_and_1_3_and_the_newest_can_be_chosen() {
    for (newest, expected) in [(TlsMax::Tls13, "TLS 1.3"), (TlsMax::Tls12, "TLS 1.2")] {
        let options = Options {
            smtp_tls_max: newest,
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let (mut talk, mailbox) = logged_in(&sandbox).await;
        let to = recipients(1, "example.com");
        assert!(
            talk.send(&mailbox, &to, &message(&mailbox, "x"))
                .await
                .starts_with("250")
        );
        assert_eq!(sandbox.messages(&Filter::default())[0].tls, expected);
        drop(connect_with(&sandbox, tls(sandbox.ca_pem())).await);
    }
}
