//! Large messages, by BDAT and by DATA, arrive byte for byte without being held in memory.

use std::io::Write as _;

use sendas_sandbox::Filter;
use sendas_sandbox::faults::{Effect, Fault, Step};
use sendas_submit::{Message, MessageWriter, PoolLimits};
use serde_json::json;

use crate::stage::Stage;

/// A message of some 5 MiB with dots where they hurt, in a file without a name.
fn large(from: &str) -> Message {
    let mut writer = MessageWriter::new();
    writer
        .write(format!("From: {from}\nSubject: large\n\n").as_bytes())
        .unwrap();
    for n in 0..70_000 {
        writer
            .write(
                format!(".{n}\n..\n.\nthe quick brown fox jumps over the lazy dog {n}\n")
                    .as_bytes(),
            )
            .unwrap();
    }
    let message = writer.finish().unwrap();
    assert!(message.as_memory().is_none());
    message
}

async fn arrives(stage: &Stage) {
    let message = large(stage.mailbox.as_str());
    let pool = stage.pool(PoolLimits::default());
    let attempt = pool
        .submit(&stage.mailbox, &stage.envelope(1), &message)
        .await
        .unwrap();
    assert!(attempt.is_accepted(), "{attempt:?}");
    let arrived = stage.sandbox.messages(&Filter::default());
    let raw = stage.sandbox.raw(arrived[0].id).unwrap().unwrap();
    assert_eq!(raw.len() as u64, message.octets());
    assert_eq!(raw, message.start(usize::MAX).unwrap());
}

#[tokio::test]
async fn by_bdat() {
    arrives(&Stage::start().await).await;
}

#[tokio::test]
async fn by_data() {
    let stage = Stage::start().await;
    stage
        .sandbox
        .patch(&json!({"behaviour": {"ehlo_without": ["CHUNKING"]}}))
        .unwrap();
    arrives(&stage).await;
}

#[tokio::test]
async fn a_refusal_in_the_middle_ends_the_session_not_the_message() {
    let stage = Stage::start().await;
    let busy = Effect::Reply {
        code: 452,
        text: "4.3.1 Insufficient system resources (TSTE)".to_owned(),
    };
    stage.sandbox.fault(Fault::once(Step::Body, busy)).unwrap();
    let message = large(stage.mailbox.as_str());
    let pool = stage.pool(PoolLimits::default());
    let attempt = pool
        .submit(&stage.mailbox, &stage.envelope(1), &message)
        .await
        .unwrap();
    assert_eq!(
        attempt.outcomes[0].kind(),
        sendas_envelope::ReceiptOutcome::Deferred,
        "{attempt:?}"
    );
    let attempt = pool
        .submit(&stage.mailbox, &stage.envelope(1), &message)
        .await
        .unwrap();
    assert!(attempt.is_accepted(), "{attempt:?}");
}

#[tokio::test]
async fn a_file_that_shrinks_under_way_is_no_message() {
    let stage = Stage::start().await;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(format!("From: {}\r\n\r\n", stage.mailbox).as_bytes())
        .unwrap();
    file.write_all(&b"0123456789012345678901234567890123456789\r\n".repeat(60_000))
        .unwrap();
    let message = Message::from_file(file.try_clone().unwrap()).unwrap();
    file.set_len(1000).unwrap();
    let pool = stage.pool(PoolLimits::default());
    let attempt = pool
        .submit(&stage.mailbox, &stage.envelope(1), &message)
        .await
        .unwrap();
    assert_eq!(
        attempt.outcomes[0].kind(),
        sendas_envelope::ReceiptOutcome::Deferred,
        "{attempt:?}"
    );
    assert_eq!(stage.arrived(), 0);
}
