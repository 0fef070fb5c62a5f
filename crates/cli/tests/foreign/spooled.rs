//! Programs that call sendmail, with the personality in its place and no relay running: what they
//! hand over lies in the spool octet for octet.

use sendas_testkit::process::Program;
use sendas_testkit::tools;
use serde_json::Value;

use crate::support::Home;

/// A home with a spool to be, and the binary as `sendmail`.
fn home() -> Home {
    let home = Home::new();
    let spool = home.path().join("spool.db");
    home.write(
        "sendas.toml",
        &format!(
            r#"
[[principal]]
name = "contoso"
tenant = "contoso.onmicrosoft.com"
client_id = "11111111-2222-3333-4444-555555555555"
credential = {{ secret = {{ env = "UNUSED" }} }}
mailboxes = ["noreply@contoso.com", "a@contoso.com"]

[relay]
spool = "sqlite://{}"
"#,
            spool.display()
        ),
    );
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sendas"), home.path().join("sendmail")).unwrap();
    home
}

fn foreign(home: &Home, name: &str) -> Program {
    Program::new(tools::program(name))
        .clean_env()
        .env("HOME", home.path())
        .env("SENDAS_CONFIG", home.path().join("sendas.toml"))
        .env("LC_ALL", "C.UTF-8")
        .folder(home.path())
}

/// Reverse-path, recipients, and the message without the line about where it came in; of fields
/// that differ from run to run only the name is left.
async fn spooled(home: &Home) -> (String, String, String) {
    let sendas = |words: &[&str]| {
        home.sendas(words)
            .env("SENDAS_CONFIG", home.path().join("sendas.toml"))
    };
    let listed = sendas(&["queue", "list", "--json"])
        .run()
        .await
        .success()
        .out();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let line: Value = serde_json::from_str(&listed).unwrap();
    let id = line["queue_id"].as_str().unwrap();
    let to: Vec<&str> = line["recipients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|recipient| recipient["address"].as_str().unwrap())
        .collect();
    let body = sendas(&["queue", "show", id, "--body"])
        .run()
        .await
        .success();
    let body = String::from_utf8(body.stdout).unwrap();
    let (received, rest) = body.split_once("\r\n\t").unwrap();
    assert!(received.starts_with("Received: by contoso.com (sendas) id "));
    let message = rest.split_once("\r\n").unwrap().1;
    let (header, text) = message.split_once("\r\n\r\n").unwrap();
    let header: Vec<String> = header
        .split("\r\n")
        .map(|line| match line.split_once(": ") {
            Some((name @ ("Date" | "Message-ID" | "Message-Id" | "User-Agent"), _)) => {
                format!("{name}: …")
            }
            _ => line.to_owned(),
        })
        .collect();
    (
        line["reverse_path"].as_str().unwrap().to_owned(),
        to.join(" "),
        format!("{}\r\n\r\n{text}", header.join("\r\n")),
    )
}

const TEXT: &str = "first\n.\n..x\nFrom here\nä € 漢\n\nlast\n";

#[tokio::test]
async fn mail_of_php() {
    let home = home();
    let script = "mail('x@example.com, Y <y@example.com>', '=?utf-8?Q?S=C3=BCbject?=', \
        file_get_contents('php://stdin'), \
        \"From: a@contoso.com\\r\\nBcc: h@example.com\\r\\nX-Odd:  two\\tspaces\", \
        '-fa@contoso.com') or exit(1);";
    let path = format!("{} -t -i", home.path().join("sendmail").display());
    drop(
        foreign(&home, "php")
            .args(["-n", "-d", &format!("sendmail_path={path}"), "-r", script])
            .stdin(TEXT)
            .run()
            .await
            .success(),
    );
    let (from, to, message) = spooled(&home).await;
    assert_eq!(from, "a@contoso.com");
    assert_eq!(to, "x@example.com y@example.com h@example.com");
    let header = "To: x@example.com, Y <y@example.com>\nSubject: =?utf-8?Q?S=C3=BCbject?=\n\
        From: a@contoso.com\nX-Odd:  two\tspaces\nDate: …\nMessage-ID: …\n\n";
    // PHP ends the text with a line end of its own.
    assert_eq!(message, format!("{header}{TEXT}\n").replace('\n', "\r\n"));
}

#[tokio::test]
async fn mail_of_php_without_a_sender() {
    let home = home();
    let path = format!("{} -t -i", home.path().join("sendmail").display());
    let script = "mail('x@example.com', 's', 'b') or exit(1);";
    drop(
        foreign(&home, "php")
            .args(["-n", "-d", &format!("sendmail_path={path}"), "-r", script])
            .run()
            .await
            .success(),
    );
    let (from, to, message) = spooled(&home).await;
    assert_eq!((&*from, &*to), ("noreply@contoso.com", "x@example.com"));
    assert!(message.contains("<noreply@contoso.com>\r\n"), "{message}");
}

#[tokio::test]
async fn s_nail() {
    let home = home();
    let mta = format!("mta={}", home.path().join("sendmail").display());
    drop(
        foreign(&home, "s-nail")
            .args([
                "-n",
                "-S",
                "v15-compat",
                "-S",
                &mta,
                "-S",
                "sendwait",
                "-S",
                "ttycharset=utf-8",
            ])
            .args([
                "-r",
                "a@contoso.com",
                "-s",
                "Report",
                "-c",
                "y@example.com",
                "-b",
                "h@example.com",
            ])
            .args(["x@example.com"])
            .stdin(TEXT)
            .run()
            .await
            .success(),
    );
    let (from, to, message) = spooled(&home).await;
    assert_eq!(from, "a@contoso.com");
    assert_eq!(to, "x@example.com y@example.com h@example.com");
    assert!(message.contains("\r\nSubject: Report\r\n"), "{message}");
    assert!(!message.contains("h@example.com"), "{message}");
    // It guards the lone dot itself.
    assert!(message.contains("\r\n=2E\r\n..x\r\n"), "{message}");
}

#[tokio::test]
async fn mutt() {
    let home = home();
    let sendmail = home.path().join("sendmail");
    home.write(
        "muttrc",
        &format!(
            "set sendmail=\"{} -oem -oi\"\nset use_envelope_from=yes\nset envelope_from_address=a@contoso.com\n\
             set from=a@contoso.com\nset realname=Tester\nset copy=no\nset charset=utf-8\nset sendmail_wait=0\n",
            sendmail.display()
        ),
    );
    drop(
        foreign(&home, "mutt")
            .args([
                "-n",
                "-F",
                "muttrc",
                "-s",
                "Report",
                "-b",
                "h@example.com",
                "--",
                "x@example.com",
            ])
            .stdin(TEXT)
            .run()
            .await
            .success(),
    );
    let (from, to, message) = spooled(&home).await;
    assert_eq!(from, "a@contoso.com");
    assert_eq!(to, "x@example.com h@example.com");
    assert!(
        message.contains("\r\nFrom: Tester <a@contoso.com>\r\n"),
        "{message}"
    );
    assert!(
        message.ends_with("\r\n\r\nfirst\r\n.\r\n..x\r\nFrom here\r\nä € 漢\r\n\r\nlast\r\n"),
        "{message}"
    );
}
