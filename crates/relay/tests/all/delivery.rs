//! From a client's socket through the spool to the sandbox.

use std::time::Duration;

use sendas_config::{RewriteFrom, Uncertain};
use sendas_sandbox::{Effect, Fault, Filter as Seen, Step};
use sendas_spool::State;

use crate::stage::Stage;

fn reply(code: u16, text: &str) -> Effect {
    let text = text.to_owned();
    Effect::Reply { code, text }
}

#[tokio::test]
async fn a_message_arrives_octet_for_octet() {
    let stage = Stage::set().await;
    let own = stage.own.clone();
    let body = "..dots\r\n. \r\n\r\nGr\u{fc}\u{df}e\t \r\n";
    let stuffed = body.replace("\r\n. ", "\r\n.. ");
    let message = format!(
        "Bcc: hidden@example.org\r\nDate: d\r\nMessage-ID: <m@x>\r\nFrom: <{own}>\r\nX:  odd \r\n\r\n.{stuffed}"
    );
    let reply = stage
        .send(&["a@example.org", "b@example.org"], &message)
        .await;
    assert!(reply.starts_with("250 2.0.0 Kept as "), "{reply}");
    let seen = stage
        .sandbox
        .wait(&Seen::default(), 1, Duration::from_secs(20))
        .await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].recipients.len(), 2);
    assert_eq!(seen[0].reverse_path, own);
    let raw = stage.sandbox.raw(seen[0].id).unwrap().unwrap();
    let raw = String::from_utf8(raw.to_vec()).unwrap();
    let at = raw.find(
        "Received: from client.test ([127.0.0.1])\r\n\tby relay.test (sendas) with ESMTP id ",
    );
    assert!(at.is_some(), "{raw}");
    let expected =
        format!("Date: d\r\nMessage-ID: <m@x>\r\nFrom: <{own}>\r\nX:  odd \r\n\r\n{body}");
    assert!(raw.ends_with(&expected), "{raw}");
    let settled = stage.settled(1).await;
    assert_eq!(settled[0].attempts.len(), 1);
    assert_eq!(stage.view.counts().delivered, 2);
    stage.stop().await;
}

#[tokio::test]
async fn many_messages_all_arrive_once() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    client.say("EHLO client.test").await;
    for n in 0..60 {
        let own = &stage.own;
        let text = format!("From: <{own}>\r\nSubject: {n}\r\n\r\nbody {n}\r\n");
        let lines = format!(
            "MAIL FROM:<{own}>\r\nRCPT TO:<x@example.org>\r\nBDAT {} LAST\r\n{text}",
            text.len()
        );
        client.write(lines.as_bytes()).await;
    }
    for _ in 0..60 {
        for expected in ["250 2.1.0", "250 2.1.5", "250 2.0.0"] {
            let reply = client.reply().await;
            assert!(reply.starts_with(expected), "{reply}");
        }
    }
    stage.settled(60).await;
    let mut subjects: Vec<u32> = stage
        .sandbox
        .messages(&Seen::default())
        .iter()
        .map(|message| message.subject.parse().unwrap())
        .collect();
    subjects.sort_unstable();
    assert!(subjects.into_iter().eq(0..60));
    stage.stop().await;
}

#[tokio::test]
async fn a_large_message_streams_through() {
    let stage = Stage::set().await;
    let own = stage.own.clone();
    let body = "0123456789abcdef0123456789abcdef\r\n".repeat(100_000);
    let message = format!("Date: d\r\nFrom: <{own}>\r\n\r\n{body}");
    let reply = stage.send(&["a@example.org"], &message).await;
    assert!(reply.starts_with("250"), "{reply}");
    stage.settled(1).await;
    let seen = stage.sandbox.messages(&Seen::default());
    let raw = stage.sandbox.raw(seen[0].id).unwrap().unwrap();
    assert!(raw.ends_with(body.as_bytes()) && seen.len() == 1);
    stage.stop().await;
}

#[tokio::test]
async fn a_refused_recipient_is_told_and_a_notice_never_answered() {
    let stage = Stage::set().await;
    let own = stage.own.clone();
    let no = "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup";
    stage.fault(Fault::once(Step::Rcpt, reply(550, no)));
    let message = format!("Date: d\r\nFrom: <{own}>\r\nSubject: lost\r\n\r\nbody\r\n");
    stage.send(&["a@example.org"], &message).await;
    let all = stage.settled(2).await;
    let notice = all.iter().find(|m| m.summary.sender.is_empty()).unwrap();
    let [told] = notice.summary.deliveries.as_slice() else {
        panic!("{notice:?}");
    };
    assert_eq!(told.recipient.path.as_str(), own);
    let seen = stage.sandbox.messages(&Seen::default());
    assert_eq!(seen.len(), 1, "the notice alone");
    let raw = stage.sandbox.raw(seen[0].id).unwrap().unwrap();
    let raw = String::from_utf8(raw.to_vec()).unwrap();
    for piece in [
        "Action: failed\r\n",
        "Status: 5.1.10\r\n",
        "rfc822;a@example.org\r\n",
        "Subject: lost\r\n",
    ] {
        assert!(raw.contains(piece), "{raw}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_devices_failure_goes_to_its_owner() {
    let stage = Stage::with(|relay| {
        relay.clients[0].rewrite_from = RewriteFrom::IfNotAllowed;
        relay.clients[0].owner = Some("it@example.org".to_owned());
    })
    .await;
    stage.fault(Fault::once(Step::Rcpt, reply(550, "5.1.1 no")));
    let mut client = stage.client().await;
    client.open("hp@copier.local", &["a@example.org"]).await;
    client.say("DATA").await;
    client.write(b"From: hp@copier.local\r\n\r\nscan\r\n").await;
    assert!(client.say(".").await.starts_with("250"));
    let all = stage.settled(2).await;
    let notice = all.iter().find(|m| m.summary.sender.is_empty()).unwrap();
    assert_eq!(
        notice.summary.deliveries[0].recipient.path.as_str(),
        "it@example.org"
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_refused_login_holds_the_mailbox_and_not_the_message() {
    let stage = Stage::set().await;
    let no = "5.7.3 Authentication unsuccessful";
    stage.fault(Fault::always(Step::Auth, reply(535, no)));
    let own = stage.own.clone();
    let message = format!("Date: d\r\nFrom: <{own}>\r\n\r\nbody\r\n");
    stage.send(&["a@example.org"], &message).await;
    let all = stage
        .until(1, |m| {
            m.summary.state == State::Waiting && !m.summary.reason.is_empty()
        })
        .await;
    assert!(
        all[0].summary.reason.starts_with("S-"),
        "{}",
        all[0].summary.reason
    );
    assert_eq!(all[0].summary.attempts, 0, "no attempt is counted");
    let lanes = stage.view.lanes().await.unwrap();
    let waiting = lanes[0].waiting.as_ref().unwrap();
    assert_eq!(waiting.cause.reason, all[0].summary.reason);
    stage.stop().await;
}

#[tokio::test]
async fn a_reload_tries_what_waits_for_a_login() {
    let stage = Stage::set().await;
    let no = "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.";
    stage.fault(Fault::once(Step::Auth, reply(535, no)));
    let own = stage.own.clone();
    let message = format!("Date: d\r\nFrom: <{own}>\r\n\r\nbody\r\n");
    stage.send(&["a@example.org"], &message).await;
    let all = stage
        .until(1, |m| {
            m.summary.state == State::Waiting && !m.summary.reason.is_empty()
        })
        .await;
    assert_eq!(all[0].summary.deliveries[0].reply, format!("535 {no}"));
    stage.control.reload(stage.changed(|_| {})).unwrap();
    stage.settled(1).await;
    assert_eq!(stage.sandbox.messages(&Seen::default()).len(), 1);
    stage.stop().await;
}

#[tokio::test]
async fn who_retries_a_message_tries_its_way() {
    let stage = Stage::set().await;
    let no = "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.";
    stage.fault(Fault::once(Step::Auth, reply(535, no)));
    let own = stage.own.clone();
    let message = format!("Date: d\r\nFrom: <{own}>\r\n\r\nbody\r\n");
    stage.send(&["a@example.org"], &message).await;
    stage
        .until(1, |m| {
            m.summary.state == State::Waiting && !m.summary.reason.is_empty()
        })
        .await;
    // Programs beside the relay read why.
    let spool = stage.view.spool().clone();
    let gate = async {
        loop {
            let gates = spool.read(sendas_relay::Gates::read).await.unwrap();
            if let Some((_, held)) = gates.of(&own, Some("sandbox")) {
                return held.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    let held = tokio::time::timeout(Duration::from_secs(20), gate)
        .await
        .unwrap();
    assert_eq!(held.cause.text, format!("535 {no}"));
    let now = held.since + Duration::from_secs(1);
    let all = sendas_spool::Filter::open();
    let retry = sendas_spool::Change::Retry;
    assert_eq!(spool.change(&all, &retry, now).await.unwrap(), 1);
    stage.settled(1).await;
    stage.stop().await;
}

#[tokio::test]
async fn a_deferral_is_a_date_and_a_restart_keeps_the_queue() {
    let stage = Stage::set().await;
    let later = "4.7.0 Temporary server error. Please try again later. PRX2";
    stage.fault(Fault::once(Step::Rcpt, reply(451, later)));
    let own = stage.own.clone();
    let message = format!("Date: d\r\nFrom: <{own}>\r\n\r\nbody\r\n");
    stage.send(&["a@example.org"], &message).await;
    let all = stage
        .until(1, |m| {
            m.summary.state == State::Waiting && m.attempts.len() == 1
        })
        .await;
    let reply = &all[0].summary.deliveries[0].reply;
    assert!(reply.contains("451 4.7.0"), "{reply}");
    assert!(all[0].summary.due.unwrap() > stage.sandbox.now());
    let spool = stage.stop().await;
    let options = sendas_spool::Options::new(spool.path().join("spool.db"));
    let opened = tokio::task::spawn_blocking(move || {
        sendas_spool::Spool::open(&options, "2026-11-23T05:00:00Z".parse().unwrap())
    });
    let opened = opened.await.unwrap().unwrap();
    let left = opened.read(sendas_spool::View::counts).await.unwrap();
    assert_eq!(left.iter().map(|count| count.messages).sum::<u64>(), 1);
}

#[tokio::test]
async fn an_end_that_nobody_saw_is_resent_or_held() {
    for (uncertain, state) in [
        (Uncertain::Resend, State::Waiting),
        (Uncertain::Hold, State::Held),
    ] {
        let stage = Stage::with(|relay| relay.uncertain = uncertain).await;
        stage.fault(Fault::once(Step::End, Effect::AcceptThenClose));
        let own = stage.own.clone();
        let message = format!("Date: d\r\nFrom: <{own}>\r\n\r\nbody\r\n");
        stage.send(&["a@example.org"], &message).await;
        let all = stage
            .until(1, |m| {
                !m.attempts.is_empty() && m.summary.state != State::Claimed
            })
            .await;
        assert_eq!(all[0].summary.state, state, "{uncertain:?}");
        assert_eq!(stage.sandbox.messages(&Seen::default()).len(), 1);
        stage.stop().await;
    }
}

#[tokio::test]
async fn a_message_whose_time_is_over_fails() {
    let stage = Stage::with(|relay| relay.retry_for = Duration::ZERO).await;
    stage.fault(Fault::once(Step::Rcpt, reply(451, "4.3.2 later")));
    let own = stage.own.clone();
    let message = format!("Date: d\r\nFrom: <{own}>\r\n\r\nbody\r\n");
    stage.send(&["a@example.org"], &message).await;
    // The notice may have to wait for the service.
    let all = stage
        .until(2, |m| {
            m.summary.state == State::Settled || m.summary.sender.is_empty()
        })
        .await;
    let failed = all.iter().find(|m| !m.summary.sender.is_empty()).unwrap();
    let status = failed.summary.deliveries[0].status.unwrap();
    assert_eq!(status.to_string(), "5.3.2");
    stage.stop().await;
}

#[tokio::test]
async fn what_cannot_be_sent_as_it_is_waits_for_a_person() {
    let stage = Stage::set().await;
    let from: sendas_envelope::Address = stage.own.parse().unwrap();
    let to: sendas_envelope::Address = "x@example.org".parse().unwrap();
    // As an import from elsewhere could bring it.
    let spool = stage.view.spool();
    for body in [
        &b"Subject: s\n\nbare\n"[..],
        b"Subject: s\r\n\r\nx\0y\r\n",
        b"",
    ] {
        let staged = spool.stage_whole(body).await.unwrap();
        let envelope = sendas_envelope::Envelope::new(from.clone(), vec![to.clone().into()]);
        let mailbox = stage.own.parse().unwrap();
        let submission = sendas_spool::Submission::new(envelope.unwrap(), mailbox);
        let now = stage.sandbox.now();
        spool.accept(submission, staged, now).await.unwrap();
    }
    let all = stage.until(3, |m| m.summary.state == State::Held).await;
    assert!(all.iter().all(|m| m.summary.reason == "unsendable"));
    assert!(all.iter().all(|m| m.summary.due.is_none()));
    assert!(stage.sandbox.messages(&Seen::default()).is_empty());
    stage.stop().await;
}
