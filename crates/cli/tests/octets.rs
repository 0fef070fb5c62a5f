//! What `send` hands over arrives octet for octet, whatever its line ends, size and framing.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod support;

use std::time::Duration;

use sendas_sandbox::journal::Channel;
use sendas_sandbox::{Effect, Fault, Filter, Message, Options, Preset, Running, Sandbox, Step};
use serde_json::json;

use support::Home;

const FROM: &str = "noreply@contoso.onmicrosoft.com";

async fn sandbox() -> Running {
    let options = Options {
        tenant: Preset::Rbac,
        ..Options::default()
    };
    Sandbox::start(options).await.unwrap()
}

/// Sends a message and answers what arrived.
async fn send(sandbox: &Running, arguments: &[&str], stdin: Vec<u8>) -> (Message, Vec<u8>) {
    let home = Home::new();
    let config = sandbox.folder().join("sendas.toml");
    let finished = home
        .sendas(["send", "-f", FROM].iter().chain(arguments))
        .env("SENDAS_CONFIG", config)
        .stdin(stdin)
        .run()
        .await
        .success();
    assert!(
        finished.out().starts_with("accepted "),
        "{}",
        finished.out()
    );
    let since = sandbox.messages(&Filter::default()).len() - 1;
    let found = sandbox
        .wait(&Filter::default(), since + 1, Duration::from_secs(10))
        .await;
    let message = found.into_iter().next_back().unwrap();
    let raw = sandbox.raw(message.id).unwrap().unwrap();
    (message, raw.to_vec())
}

/// A whole header, and a body with everything that framing could stumble over.
fn sample() -> String {
    let body = [
        ".",
        "..",
        ".x",
        "",
        "BDAT 1 LAST",
        "DATA",
        "From nobody",
        "  \t",
        "ä ö € 漢",
        "=2E",
        "QUIT",
        &"x".repeat(998),
        "",
    ];
    format!(
        "From: {FROM}\r\nTo: a@example.com\r\nSubject: =?utf-8?q?a?=\r\n folded\r\nDate: Thu, 11 Jul 2024 11:46:42 +0000\r\n\
         Message-ID: <1@contoso.onmicrosoft.com>\r\nX-Odd:no space\r\nBCC-Not: kept\r\n\r\n{}\r\n.\r\n",
        body.join("\r\n")
    )
}

#[tokio::test]
async fn crlf_and_lf_arrive_as_the_same_octets() {
    let sandbox = sandbox().await;
    let text = sample();
    for stdin in [text.clone(), text.replace("\r\n", "\n")] {
        let (message, raw) = send(&sandbox, &["a@example.com"], stdin.into_bytes()).await;
        assert_eq!(String::from_utf8(raw).unwrap(), text);
        assert_eq!(
            (message.transfer.as_str(), message.reverse_path.as_str()),
            ("BDAT", FROM)
        );
    }
}

#[tokio::test]
async fn without_chunking_data_carries_the_same_octets() {
    let sandbox = sandbox().await;
    let without = json!({ "behaviour": { "ehlo_without": ["CHUNKING", "PIPELINING"] } });
    sandbox.patch(&without).unwrap();
    let (message, raw) = send(&sandbox, &["a@example.com"], sample().into_bytes()).await;
    assert_eq!(String::from_utf8(raw).unwrap(), sample());
    assert_eq!(message.transfer, "DATA");
}

#[tokio::test]
async fn chunking_that_is_offered_and_refused_is_given_up() {
    let sandbox = sandbox().await;
    let text = "5.3.3 Unrecognized command 'BDAT'".to_owned();
    sandbox
        .fault(Fault::once(Step::Body, Effect::Reply { code: 500, text }))
        .unwrap();
    let (message, raw) = send(&sandbox, &["a@example.com"], sample().into_bytes()).await;
    assert_eq!(String::from_utf8(raw).unwrap(), sample());
    assert_eq!(message.transfer, "DATA");
    assert_eq!(sandbox.messages(&Filter::default()).len(), 1);
}

#[tokio::test]
async fn a_large_message_goes_through_a_file() {
    let sandbox = sandbox().await;
    let mut text = sample();
    while text.len() < 6 << 20 {
        text.push_str("a line of a body that is larger than what is kept in memory, with an ä\r\n");
    }
    for chunking in [true, false] {
        if !chunking {
            sandbox
                .patch(&json!({ "behaviour": { "ehlo_without": ["CHUNKING"] } }))
                .unwrap();
        }
        let stdin = text.replace("\r\n", "\n").into_bytes();
        let (_, raw) = send(&sandbox, &["a@example.com"], stdin).await;
        assert!(
            raw == text.as_bytes(),
            "{} octets of {} arrived",
            raw.len(),
            text.len()
        );
    }
}

#[tokio::test]
async fn what_is_missing_comes_and_bcc_goes() {
    let sandbox = sandbox().await;
    let stdin = "To: a@example.com\nBcc: b@example.com,\n c@example.com\nSubject: s\n\nBcc: body\n";
    let (message, raw) = send(&sandbox, &["-t"], stdin.into()).await;
    let raw = String::from_utf8(raw).unwrap();
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "Bcc: body\r\n");
    let names: Vec<&str> = head
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(names, ["To", "Subject", "From", "Date", "Message-ID"]);
    assert!(head.contains(&format!("From: {FROM}")), "{head}");
    let to: Vec<&str> = message
        .recipients
        .iter()
        .map(|to| to.address.as_str())
        .collect();
    assert_eq!(to, ["a@example.com", "b@example.com", "c@example.com"]);
}

#[tokio::test]
async fn a_composed_message_says_what_the_options_say() {
    let sandbox = sandbox().await;
    let home = Home::new();
    home.write("a ä.txt", "attached\n");
    let attachment = home.path().join("a ä.txt");
    let arguments = [
        "--from",
        "\"Contoso, Ltd\" <noreply@contoso.onmicrosoft.com>",
        "--to",
        "Böss <boss@example.com>",
        "--cc",
        "c@example.com",
        "--bcc",
        "b@example.com",
        "--subject",
        "Grüße",
        "--text",
        "-",
        "--html",
        "<p>ä</p>",
        "--attach",
        attachment.to_str().unwrap(),
        "--header",
        "X-Job: 7",
    ];
    let (message, raw) = send(&sandbox, &arguments, "Hällo\n.\nend\n".into()).await;
    assert_eq!(message.recipients.len(), 3);
    let parsed = mail_parser::MessageParser::default().parse(&raw).unwrap();
    assert_eq!(parsed.subject(), Some("Grüße"));
    assert_eq!(
        parsed.from().unwrap().first().unwrap().name(),
        Some("Contoso, Ltd")
    );
    assert_eq!(parsed.to().unwrap().first().unwrap().name(), Some("Böss"));
    assert!(parsed.bcc().is_none());
    assert_eq!(
        parsed.body_text(0).unwrap().replace("\r\n", "\n"),
        "Hällo\n.\nend\n"
    );
    assert_eq!(parsed.body_html(0).unwrap(), "<p>ä</p>");
    let attached = parsed.attachment(0).unwrap();
    assert_eq!(attached.contents(), b"attached\n");
    assert_eq!(
        mail_parser::MimeHeaders::attachment_name(attached),
        Some("a ä.txt")
    );
    assert_eq!(parsed.header_raw("X-Job").map(str::trim), Some("7"));
}

#[tokio::test]
async fn notices_are_asked_for_as_said() {
    let sandbox = sandbox().await;
    let arguments = [
        "--dsn",
        "success,delay",
        "--dsn-return",
        "hdrs",
        "--dsn-id",
        "a+b",
        "a@example.com",
    ];
    let (message, _) = send(&sandbox, &arguments, sample().into_bytes()).await;
    assert!(
        message.parameters.iter().any(|one| one == "RET=HDRS"),
        "{:?}",
        message.parameters
    );
    assert!(
        message.parameters.iter().any(|one| one == "ENVID=a+2Bb"),
        "{:?}",
        message.parameters
    );
    let parameters = &message.recipients[0].parameters;
    assert!(
        parameters.iter().any(|one| one == "NOTIFY=SUCCESS,DELAY"),
        "{parameters:?}"
    );
}

#[tokio::test]
async fn a_token_at_hand_needs_no_request() {
    let sandbox = sandbox().await;
    let home = Home::new();
    let config = sandbox.folder().join("sendas.toml");
    let token = home
        .sendas(["token", "get"])
        .env("SENDAS_CONFIG", &config)
        .stdout_is_secret()
        .run()
        .await
        .success();
    home.write("token", &token.out());
    let asked = |sandbox: &Running| {
        sandbox
            .journal(0)
            .iter()
            .filter(|entry| entry.channel == Channel::Entra)
            .count()
    };
    let before = asked(&sandbox);
    let file = home.path().join("token");
    let arguments = ["--token-file", file.to_str().unwrap(), "a@example.com"];
    send(&sandbox, &arguments, sample().into_bytes()).await;
    assert_eq!(asked(&sandbox), before);
}
