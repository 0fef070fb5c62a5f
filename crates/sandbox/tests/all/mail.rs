//! The mail that arrived: octets, filters, long messages.

use std::time::Duration;

use sendas_sandbox::{Effect, Fault, Filter, Preset, Step};

use crate::entra::start;
use crate::rights::token;
use crate::talk::{auth, message};

#[tokio::test]
async fn messages_are_kept_octet_by_octet_by_data_and_bdat() {
    let (sandbox, _) = start(Preset::Rbac).await;
    let mailbox = sandbox.details().mailboxes[0].clone();
    let token = token(&sandbox, &[]).await;
    let (mut talk, _) = auth(&sandbox, &mailbox, &token).await;
    let mut mail = message(&mailbox, ".dots\r\n..\r\n.\r\n\r\n\t trailing \r\n");
    mail.extend_from_slice("grüße\r\n".as_bytes());
    mail.extend_from_slice(b"\xff\xfe raw octets");
    let reply = talk.send(&mailbox, &["a@example.com".into()], &mail).await;
    assert!(reply.starts_with("250"), "{reply}");

    mail.extend_from_slice(b"\r\n");
    talk.say("MAIL FROM:<> RET=HDRS ENVID=x BODY=8BITMIME")
        .await;
    talk.say("RCPT TO:<b@example.com> NOTIFY=NEVER ORCPT=rfc822;b@example.com")
        .await;
    talk.say("DATA").await;
    let stuffed: Vec<u8> = mail
        .split_inclusive(|octet| *octet == b'\n')
        .flat_map(|line| {
            let dot: &[u8] = if line.starts_with(b".") { b"." } else { b"" };
            [dot, line].concat()
        })
        .collect();
    talk.write(&stuffed).await;
    assert!(talk.say(".").await.starts_with("250"));

    let arrived = sandbox.messages(&Filter::default());
    assert_eq!(arrived.len(), 2);
    assert_eq!(sandbox.raw(arrived[1].id).unwrap().unwrap(), mail);
    assert_eq!(
        sandbox.raw(arrived[0].id).unwrap().unwrap(),
        mail[..mail.len() - 2]
    );
    assert_eq!(
        (arrived[0].transfer.as_str(), arrived[1].transfer.as_str()),
        ("BDAT", "DATA")
    );
    assert_eq!(arrived[1].reverse_path, "");
    assert_eq!(
        arrived[1].parameters,
        ["BODY=8BITMIME", "RET=HDRS", "ENVID=x"]
    );
    assert_eq!(
        arrived[1].recipients[0].parameters,
        ["NOTIFY=NEVER", "ORCPT=rfc822;b@example.com"]
    );
    assert_eq!(arrived[1].subject, "a test");
    assert_eq!(arrived[1].from, std::slice::from_ref(&mailbox));

    let found = |filter: Filter| sandbox.messages(&filter).len();
    assert_eq!(
        found(Filter {
            to: Some("B@example.com".into()),
            ..Filter::default()
        }),
        1
    );
    assert_eq!(
        found(Filter {
            mailbox: Some(mailbox),
            ..Filter::default()
        }),
        2
    );
    assert_eq!(
        found(Filter {
            subject: Some("TEST".into()),
            ..Filter::default()
        }),
        2
    );
    assert_eq!(
        found(Filter {
            since: Some(arrived[0].id),
            ..Filter::default()
        }),
        1
    );
    assert_eq!(sandbox.delete_messages(), 2);
    assert_eq!(found(Filter::default()), 0);
}

#[tokio::test]
async fn a_long_message_lies_in_a_file_and_goes_with_it() {
    let (sandbox, _) = start(Preset::Rbac).await;
    let mailbox = sandbox.details().mailboxes[0].clone();
    let token = token(&sandbox, &[]).await;
    let (mut talk, _) = auth(&sandbox, &mailbox, &token).await;
    let line = format!("{}\r\n", "x".repeat(998));
    let mail = message(&mailbox, &line.repeat(10_000));
    let reply = talk.send(&mailbox, &["a@example.com".into()], &mail).await;
    assert!(reply.starts_with("250"), "{reply}");
    let id = sandbox.messages(&Filter::default())[0].id;
    assert_eq!(sandbox.raw(id).unwrap().unwrap(), mail);
    let file = sandbox.folder().join("messages").join(format!("{id}.eml"));
    assert_eq!(std::fs::metadata(&file).unwrap().len(), mail.len() as u64);
    sandbox.delete_messages();
    assert!(!file.exists());
}

#[tokio::test]
async fn a_message_cut_off_by_a_fault_has_not_arrived() {
    let (sandbox, _) = start(Preset::Rbac).await;
    let mailbox = sandbox.details().mailboxes[0].clone();
    let token = token(&sandbox, &[]).await;
    for (at, effect, arrives) in [
        (Step::Body, Effect::Close, 0),
        (Step::End, Effect::Reset, 0),
        (Step::End, Effect::Close, 0),
        (Step::End, Effect::AcceptThenClose, 1),
    ] {
        let (mut talk, _) = auth(&sandbox, &mailbox, &token).await;
        sandbox.fault(Fault::once(at, effect.clone())).unwrap();
        talk.say(&format!("MAIL FROM:<{mailbox}>")).await;
        talk.say("RCPT TO:<a@example.com>").await;
        talk.say("DATA").await;
        talk.write(&message(&mailbox, "x\r\n.\r\n")).await;
        assert_eq!(talk.reply().await, "", "{at:?} {effect:?}");
        let found = sandbox
            .wait(&Filter::default(), arrives, Duration::from_secs(5))
            .await;
        assert_eq!(found.len(), arrives, "{at:?} {effect:?}");
    }
}

#[tokio::test]
async fn faults_before_the_first_command() {
    let (sandbox, _) = start(Preset::Rbac).await;
    let greeting = async || {
        let tcp = tokio::net::TcpStream::connect(sandbox.smtp())
            .await
            .unwrap();
        crate::talk::Talk::over(tcp).reply().await
    };
    let refusal = Effect::Reply {
        code: 421,
        text: "4.3.2 Service not available".into(),
    };
    sandbox.fault(Fault::once(Step::Connect, refusal)).unwrap();
    assert_eq!(greeting().await, "421 4.3.2 Service not available");
    for effect in [Effect::Close, Effect::Reset] {
        sandbox.fault(Fault::once(Step::Greeting, effect)).unwrap();
        assert_eq!(greeting().await, "");
    }
    sandbox
        .fault(Fault::once(Step::Greeting, Effect::Delay { ms: 5 }))
        .unwrap();
    assert!(greeting().await.starts_with("220 "));
}
