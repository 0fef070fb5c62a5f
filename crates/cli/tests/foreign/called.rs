//! Programs that call `sendmail` while the relay runs: the personality hands over through the
//! relay's socket, and what arrives at the service is what the program wrote.

use crate::relay::{RECIPIENT, Stage, without_received};

/// The next message's Received fields, and the rest of it.
async fn next(stage: &mut Stage) -> (String, String) {
    let (message, octets) = stage.arrived(1).await.remove(0);
    assert_eq!(message.reverse_path, stage.mailbox());
    let (received, rest) = without_received(&octets);
    (received, String::from_utf8(rest.to_vec()).unwrap())
}

#[tokio::test]
async fn mail_of_php() {
    let mut stage = Stage::set().await;
    let mailbox = stage.mailbox();
    let path = format!("{} -t -i", stage.home.path().join("sendmail").display());
    let script = format!(
        "mail('{RECIPIENT}', '=?utf-8?Q?S=C3=BCbject?=', file_get_contents('php://stdin'), \
         \"From: {mailbox}\\r\\nDate: Mon, 23 Nov 2026 04:05:06 +0000\\r\\n\
         Message-ID: <php@foreign.example>\\r\\nX-Odd:  two\\tspaces\", '-f{mailbox}') or exit(1);"
    );
    let text = "first\n.\n..x\nFrom here\nä € 漢\n\nlast\n";
    drop(
        stage
            .foreign("php")
            .args(["-n", "-d", &format!("sendmail_path={path}"), "-r", &script])
            .stdin(text)
            .run()
            .await
            .success(),
    );
    let (_, rest) = next(&mut stage).await;
    let header = format!(
        "To: {RECIPIENT}\nSubject: =?utf-8?Q?S=C3=BCbject?=\nFrom: {mailbox}\n\
         Date: Mon, 23 Nov 2026 04:05:06 +0000\nMessage-ID: <php@foreign.example>\n\
         X-Odd:  two\tspaces\n\n"
    );
    // PHP ends the text with a line end of its own.
    assert_eq!(rest, format!("{header}{text}\n").replace('\n', "\r\n"));
    stage.strike().await;
}

/// What Debian's cron writes and how it calls sendmail, as `cargo xtask interop` sees it done by
/// the daemon itself. It gives no sender and no address, only the name of the job's owner.
#[tokio::test]
async fn cron() {
    let mut stage = Stage::set().await;
    let mailbox = stage.mailbox();
    let domain = mailbox.split_once('@').unwrap().1.to_owned();
    let fields = "Subject: Cron <root@host> echo hello\n\
        MIME-Version: 1.0\n\
        Content-Type: text/plain; charset=UTF-8\n\
        Content-Transfer-Encoding: 8bit\n\
        X-Cron-Env: <SHELL=/bin/sh>\n\
        X-Cron-Env: <HOME=/root>\n\
        X-Cron-Env: <PATH=/usr/bin:/bin>\n\
        X-Cron-Env: <LOGNAME=root>\n";
    let text = "hello\n.\n..\nä\n";
    drop(
        stage
            .home
            .sendas([
                "sendmail",
                "-FCronDaemon",
                "-i",
                "-B8BITMIME",
                "-oem",
                "root",
            ])
            .env("SENDAS_CONFIG", stage.home.path().join("sendas.toml"))
            .stdin(format!(
                "From: root (Cron Daemon)\nTo: root\n{fields}\n{text}"
            ))
            .run()
            .await
            .success(),
    );
    let (_, rest) = next(&mut stage).await;
    let (header, body) = rest.split_once("\r\n\r\n").unwrap();
    let crlf = |text: &str| text.replace('\n', "\r\n");
    assert_eq!(body, crlf(text));
    // The job's owner has no mailbox: the machine's own takes its place, and the old author is told.
    let kept = header
        .split_inclusive("\r\n")
        .filter(|line| !line.starts_with("Date: ") && !line.starts_with("Message-ID: "));
    let from = format!("From: Cron Daemon <{mailbox}>\nX-Original-From: root (Cron Daemon)\n");
    let to = format!("To: root@{domain}\n");
    assert_eq!(kept.collect::<String>(), crlf(&(from + &to + fields)));
    stage.strike().await;
}
