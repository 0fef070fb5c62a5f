//! Programs that send: curl, msmtp, Python's smtplib, nodemailer. What arrives is what was given,
//! octet for octet.

use std::time::Duration;

use sendas_sandbox::Filter;
use sendas_testkit::process::Program;
use sendas_testkit::tools;
use serde_json::{Value, json};

use crate::stage::Stage;

const RECIPIENT: &str = "someone@example.com";

/// A message that every carelessness changes: leading dots, a lone dot, blanks at line ends, empty
/// lines at both ends of the body, octets above 127, a line of 998 octets, no newline after headers
/// but CR LF.
fn message(mailbox: &str, program: &str) -> Vec<u8> {
    let mut text = format!(
        "From: Sandbox [test] <{mailbox}>\r\n\
         To: someone@example.com\r\n\
         Subject: sent by {program},\r\n with a folded line\r\n\
         Date: Mon, 23 Nov 2026 04:05:06 +0000\r\n\
         Message-ID: <{program}@foreign.example>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\
         \r\n\
         \r\n\
         .\r\n\
         ..two dots\r\n\
         .one dot\r\n\
         blanks at the end  \t\r\n\
         Grüße, 日本語, =20 =\r\n"
    )
    .into_bytes();
    text.extend(std::iter::repeat_n(b'x', 998));
    text.extend(b"\r\n.\r\n\r\n");
    text
}

impl Stage {
    /// The first mailbox the client may send as.
    fn mailbox(&self) -> &str {
        &self.details.mailboxes[0]
    }

    /// A token, by curl.
    async fn token(&self) -> String {
        let answer = self
            .token_request(&self.client.secret)
            .stdout_is_secret()
            .run()
            .await;
        let answer: Value = serde_json::from_str(&answer.success().out()).unwrap();
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// The octets of the one message that has arrived.
    async fn arrived(&self) -> Vec<u8> {
        let limit = Duration::from_secs(20);
        let messages = self.sandbox.wait(&Filter::default(), 1, limit).await;
        assert_eq!(messages.len(), 1, "{messages:?}");
        self.sandbox
            .raw(messages[0].id)
            .unwrap()
            .expect("a message has its octets")
            .to_vec()
    }
}

/// Writes the message to a file and tells where everything is.
async fn ask(stage: &Stage, program: &str) -> (Vec<u8>, Value) {
    let octets = message(stage.mailbox(), program);
    let file = stage.folder.write("message.eml", &octets);
    let ask = json!({
        "host": "localhost",
        "port": stage.details.smtp.port,
        "ca": stage.ca(),
        "mailbox": stage.mailbox(),
        "token": stage.token().await,
        "recipients": [RECIPIENT],
        "message": file,
    });
    (octets, ask)
}

async fn check_arrival(stage: &Stage, sent: &[u8]) {
    let arrived = stage.arrived().await;
    assert_eq!(
        arrived.escape_ascii().to_string(),
        sent.escape_ascii().to_string()
    );
}

#[tokio::test]
async fn curl() {
    let stage = Stage::set().await;
    let (sent, ask) = ask(&stage, "curl").await;
    // The token must not stand among the arguments of a process: it goes in a file.
    let token = ask["token"].as_str().unwrap();
    let config = format!(
        "url = \"smtp://localhost:{}/client.example\"\n\
         ssl-reqd\n\
         login-options = \"AUTH=XOAUTH2\"\n\
         user = \"{}:\"\n\
         oauth2-bearer = \"{token}\"\n\
         mail-from = \"{}\"\n\
         mail-rcpt = \"{RECIPIENT}\"\n",
        stage.details.smtp.port,
        stage.mailbox(),
        stage.mailbox(),
    );
    let config = stage.folder.write("send.curl", config);
    let program = stage
        .curl()
        .arg("--config")
        .arg(config)
        .arg("--upload-file");
    let program = program.arg(stage.folder.join("message.eml"));
    let answer = program.run().await.success();
    assert_eq!(answer.out(), "");
    check_arrival(&stage, &sent).await;
    stage.strike().await;
}

#[tokio::test]
async fn msmtp() {
    let stage = Stage::set().await;
    let (sent, ask) = ask(&stage, "msmtp").await;
    stage.folder.write("token", ask["token"].as_str().unwrap());
    let config = format!(
        "account sandbox\n\
         host localhost\n\
         port {}\n\
         domain client.example\n\
         tls on\n\
         tls_starttls on\n\
         tls_trust_file {}\n\
         auth xoauth2\n\
         user {}\n\
         passwordeval cat {}\n\
         from {}\n",
        stage.details.smtp.port,
        stage.ca(),
        stage.mailbox(),
        stage.folder.join("token").display(),
        stage.mailbox(),
    );
    let config = stage.folder.write("msmtprc", config);
    private(&config);
    let program = Program::new(tools::program("msmtp"))
        .clean_env()
        .arg("--file")
        .arg(config);
    let program = program
        .args(["--account", "sandbox", "--", RECIPIENT])
        .stdin(sent.clone());
    let answer = program.run().await.success();
    assert_eq!(answer.out(), "");
    check_arrival(&stage, &sent).await;
    stage.strike().await;
}

/// msmtp refuses a file that others may read.
fn private(file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn smtplib_of_python() {
    let stage = Stage::set().await;
    let (sent, ask) = ask(&stage, "smtplib").await;
    let answer = stage.python("smtplib_send.py", &ask).run().await.success();
    assert_eq!(answer.out(), "sent\n");
    check_arrival(&stage, &sent).await;
    stage.strike().await;
}

#[tokio::test]
async fn nodemailer() {
    let stage = Stage::set().await;
    let (sent, ask) = ask(&stage, "nodemailer").await;
    let answer = stage
        .node("nodemailer_send.cjs", &ask)
        .run()
        .await
        .success();
    let answer: Value = serde_json::from_str(&answer.out()).unwrap();
    assert_eq!(answer["accepted"], json!([RECIPIENT]));
    let response = answer["response"].as_str().unwrap();
    assert!(
        response.starts_with("250 2.0.0 OK <nodemailer@foreign.example> [Hostname="),
        "{response}"
    );
    check_arrival(&stage, &sent).await;
    stage.strike().await;
}

#[tokio::test]
async fn smtplib_with_a_token_of_a_mailbox_outside() {
    let stage = Stage::set().await;
    let (_, mut ask) = ask(&stage, "smtplib").await;
    ask["mailbox"] = json!("nobody@contoso.onmicrosoft.com");
    let answer = stage.python("smtplib_send.py", &ask).run().await;
    assert!(!answer.status.success());
    let text = answer.err();
    assert!(
        text.contains("SMTPAuthenticationError: (535, b'5.7.3 Authentication unsuccessful ["),
        "{text}"
    );
    stage.strike().await;
}
