//! The personalities at the shell: by name, into the spool, to a relay, to the service.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use bytes::BytesMut;
use sendas_sandbox::{Filter, Options, Preset, Sandbox};
use sendas_smtp::data::LineEndings;
use sendas_smtp::server::{Event, Session};
use sendas_smtp::{Reply, ReplyReader};
use sendas_testkit::process::{Finished, Program};
use serde_json::Value;
use support::Home;

/// A home with a spool to be, and the binary under other names.
struct Machine {
    home: Home,
}

impl Machine {
    fn new() -> Self {
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
        for name in ["sendmail", "mailq", "newaliases", "hoststat"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sendas"), home.path().join(name))
                .unwrap();
        }
        Self { home }
    }

    fn program(&self, name: &str) -> Program {
        Program::new(self.home.path().join(name))
            .clean_env()
            .env("HOME", self.home.path())
            .env("SENDAS_CONFIG", self.home.path().join("sendas.toml"))
            .env("NO_COLOR", "1")
            .folder(self.home.path())
    }

    async fn run(&self, line: &[&str], stdin: &str) -> Finished {
        self.program(line[0])
            .args(&line[1..])
            .stdin(stdin)
            .run()
            .await
    }

    /// Every message of the spool: its line of the list, and its body.
    async fn spooled(&self) -> Vec<(Value, String)> {
        let sendas = |words: &[&str]| {
            self.home
                .sendas(words)
                .env("SENDAS_CONFIG", self.home.path().join("sendas.toml"))
        };
        let listed = sendas(&["queue", "list", "--json"]).run().await.success();
        let mut all = Vec::new();
        for line in listed.out().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let id = line["queue_id"].as_str().unwrap().to_owned();
            let body = sendas(&["queue", "show", &id, "--body"])
                .run()
                .await
                .success();
            all.push((line, String::from_utf8(body.stdout).unwrap()));
        }
        all
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("spool.db.sock")
    }
}

const MESSAGE: &str = "From: a@contoso.com\nTo: x@example.com\nBcc: h@example.com\nDate: d\n\
    Message-ID: <1@contoso.com>\nSubject:  odd\tspace \n\nä\n.\n..\n.x\nFrom here\nno end";

/// What must arrive, the line about where it came in aside.
const ARRIVED: &str = "From: a@contoso.com\r\nTo: x@example.com\r\nDate: d\r\n\
    Message-ID: <1@contoso.com>\r\nSubject:  odd\tspace \r\n\r\nä\r\n.\r\n..\r\n.x\r\nFrom here\r\nno end\r\n";

#[tokio::test]
async fn without_a_relay_the_message_is_in_the_spool_before_it_ends() {
    let machine = Machine::new();
    let sent = machine
        .run(&["sendmail", "-t", "-i", "-fa@contoso.com"], MESSAGE)
        .await;
    assert_eq!(
        (sent.status.code(), &*sent.out(), &*sent.err()),
        (Some(0), "", "")
    );
    let spooled = machine.spooled().await;
    let [(line, body)] = &spooled[..] else {
        panic!("{} messages", spooled.len());
    };
    assert_eq!(line["reverse_path"], "a@contoso.com");
    assert_eq!(line["mailbox"], "a@contoso.com");
    let to: Vec<&str> = line["recipients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|recipient| recipient["address"].as_str().unwrap())
        .collect();
    assert_eq!(to, ["x@example.com", "h@example.com"]);
    let received = body.find("\r\nFrom: ").unwrap() + 2;
    assert!(
        body.starts_with("Received: by contoso.com (sendas) id "),
        "{body}"
    );
    assert_eq!(&body[received..], ARRIVED);
}

#[tokio::test]
async fn lines_of_any_length_are_cut_on_their_way_into_the_spool() {
    let machine = Machine::new();
    let (long, subject) = ("word ".repeat(1_000), "long ".repeat(300));
    let message = format!(
        "From: a@contoso.com\nSubject: {subject}x\n\n{long}\n{}\n",
        "y".repeat(3_000)
    );
    let sent = machine
        .run(&["sendmail", "-i", "x@example.com"], &message)
        .await;
    assert_eq!((sent.status.code(), &*sent.err()), (Some(0), ""));
    let spooled = machine.spooled().await;
    let body = &spooled[0].1;
    assert!(body.split("\r\n").all(|line| line.len() <= 998), "{body}");
    let bare = body.replace("\r\n", "");
    assert!(bare.contains(&format!("Subject: {subject}x")), "{body}");
    assert!(
        bare.ends_with(&format!("{long}{}", "y".repeat(3_000))),
        "{body}"
    );
    let header = format!("From: a@contoso.com\nX: {}\n\nx\n", "y".repeat(3_000));
    let refused = machine
        .run(&["sendmail", "-i", "x@example.com"], &header)
        .await;
    assert_eq!(refused.status.code(), Some(65), "{}", refused.err());
}

#[tokio::test]
async fn other_names_and_modes() {
    let machine = Machine::new();
    let empty = machine.run(&["mailq"], "").await.success();
    assert_eq!(empty.out(), "Mail queue is empty\n");
    drop(
        machine
            .run(&["sendmail", "root"], "hello\n")
            .await
            .success(),
    );
    for line in [&["mailq"][..], &["sendmail", "-bp"], &["mailq", "-v"]] {
        let listed = machine.run(line, "").await.success().out();
        assert!(listed.starts_with("----Queue ID----- "), "{listed}");
        assert!(listed.ends_with("-- 0 Kbytes in 1 Request.\n"), "{listed}");
        assert!(listed.contains(" root@contoso.com\n"), "{listed}");
    }
    for line in [
        &["newaliases"][..],
        &["sendmail", "-bi"],
        &["sendmail", "-I"],
        &["sendmail", "-q"],
        &["sendmail", "-qRroot"],
        &["sendmail", "-q30m"],
    ] {
        assert_eq!(machine.run(line, "").await.success().out(), "", "{line:?}");
    }
    let daemon = machine.run(&["sendmail", "-bd", "-q30m"], "").await;
    assert_eq!(daemon.status.code(), Some(69));
    assert!(
        daemon.err().contains("run `sendas relay`"),
        "{}",
        daemon.err()
    );
    let verified = machine
        .run(&["sendmail", "-bv", "root", "x@example.com"], "")
        .await;
    assert_eq!(
        verified.success().out(),
        "root@contoso.com... deliverable, sent as noreply@contoso.com\n\
         x@example.com... deliverable, sent as noreply@contoso.com\n"
    );
    let help = machine.run(&["hoststat"], "").await;
    assert_eq!(help.status.code(), Some(64));
    assert!(help.err().contains("Usage: sendmail"), "{}", help.err());
    let help = machine.run(&["sendmail", "--help"], "").await.success();
    assert!(help.out().contains("-bs"), "{}", help.out());
    // Options that name files open none.
    let traps = [
        "-X",
        "trap.log",
        "-Ctrap.cf",
        "-OQueueDirectory=trap.d",
        "-oQtrap.d",
    ];
    drop(
        machine
            .program("sendmail")
            .args(traps)
            .args(["-f", "-Xtrap.log", "root"])
            .stdin("x\n")
            .run()
            .await
            .success(),
    );
    for entry in std::fs::read_dir(machine.home.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains("trap"), "{name}");
    }
}

#[tokio::test]
async fn codes_of_sysexits_and_nothing_else() {
    let machine = Machine::new();
    for (line, stdin, code) in [
        (&["sendmail"][..], "x\n", 64),
        (&["sendmail", "-bz", "x"], "x\n", 64),
        (&["sendmail", "x\r\nBcc: y"], "x\n", 64),
        (&["sendmail", "-t"], "Subject: x\n\n", 65),
        (&["sendmail", "a b"], "x\n", 67),
        (&["sendmail", "-qIzzzz"], "", 0),
    ] {
        let run = machine.run(line, stdin).await;
        assert_eq!(run.status.code(), Some(code), "{line:?}: {}", run.err());
    }
    let unknown = machine
        .run(&["sendmail", "-Z", "-Z", "root"], "x\n")
        .await
        .success();
    assert_eq!(unknown.err().matches("unknown option -Z").count(), 1);
    machine.home.write("sendas.toml", "[relay]\nspol = 1\n");
    let wrong = machine.run(&["sendmail", "root"], "x\n").await;
    assert_eq!(wrong.status.code(), Some(78), "{}", wrong.err());
    let nobody = Home::new();
    let unconfigured = nobody.sendas(["sendmail", "root"]).stdin("x\n").run().await;
    assert_eq!(
        unconfigured.status.code(),
        Some(78),
        "{}",
        unconfigured.err()
    );
    // A folder where the spool cannot be.
    let machine = Machine::new();
    std::fs::write(
        machine.home.path().join("spool.db"),
        "no database, certainly not",
    )
    .unwrap();
    let spoiled = machine.run(&["sendmail", "root"], "x\n").await;
    assert!(
        matches!(spoiled.status.code(), Some(73 | 75 | 78)),
        "{}",
        spoiled.err()
    );
}

#[tokio::test]
async fn a_dialogue_on_standard_input_and_output() {
    let machine = Machine::new();
    let script = "EHLO web\r\nMAIL FROM:<stranger@y.example>\r\nMAIL FROM:<a@contoso.com> BODY=8BITMIME\r\n\
        RCPT TO:<x@example.com> NOTIFY=NEVER\r\nRCPT TO:<h@example.com>\r\nDATA\r\n\
        From: a@contoso.com\r\nTo: x@example.com\r\nBcc: h@example.com\r\nDate: d\r\n\
        Message-ID: <1@contoso.com>\r\nSubject:  odd\tspace \r\n\r\nä\r\n..\r\n...\r\n..x\r\nFrom here\r\nno end\r\n.\r\n\
        RSET\r\nVRFY x\r\nNOOP\r\nDATA\r\nAUTH PLAIN x\r\nQUIT\r\n";
    let held = machine.run(&["sendmail", "-bs"], script).await.success();
    let codes: Vec<String> = replies(held.out().as_bytes())
        .iter()
        .map(|reply| reply.code().to_string())
        .collect();
    assert_eq!(
        codes.join(" "),
        "220 250 550 250 250 250 354 250 250 252 250 503 503 221",
        "{}",
        held.out()
    );
    let spooled = machine.spooled().await;
    assert_eq!(spooled.len(), 1);
    let body = &spooled[0].1;
    assert_eq!(&body[body.find("\r\nFrom: ").unwrap() + 2..], ARRIVED);
}

fn replies(octets: &[u8]) -> Vec<Reply> {
    let (mut reader, mut input) = (ReplyReader::default(), BytesMut::from(octets));
    let mut all = Vec::new();
    while let Some(reply) = reader.next(&mut input).unwrap() {
        all.push(reply);
    }
    all
}

/// A relay behind the socket: takes everything but one recipient; tells what it got.
fn relay(machine: &Machine, offers: &'static str) -> mpsc::Receiver<(String, Vec<String>, String)> {
    let listener = UnixListener::bind(machine.socket()).unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let tell = tell.clone();
            std::thread::spawn(move || serve(stream.unwrap(), offers, &tell));
        }
    });
    told
}

fn serve(mut stream: UnixStream, offers: &str, tell: &mpsc::Sender<(String, Vec<String>, String)>) {
    let mut session = Session::new(LineEndings::Strict, false);
    session.reply(&Reply::new(220, "relay"));
    let (mut from, mut to, mut body) = (String::new(), Vec::new(), Vec::new());
    loop {
        while let Some(event) = session.next_event() {
            let reply = match event {
                Event::Hello { .. } => Reply::new(250, offers),
                Event::Mail(mail) => {
                    mail.reverse_path.as_str().clone_into(&mut from);
                    Reply::new(250, "2.1.0 Ok")
                }
                Event::Rcpt(rcpt) if rcpt.recipient.path.as_str().starts_with("refused@") => {
                    Reply::new(550, "5.7.1 Not to them")
                }
                Event::Rcpt(rcpt) => {
                    to.push(rcpt.recipient.path.as_str().to_owned());
                    Reply::new(250, "2.1.5 Ok")
                }
                Event::Data => Reply::new(354, "Go on"),
                Event::Body(octets) => {
                    body.extend_from_slice(&octets);
                    continue;
                }
                Event::Chunk { .. } => continue,
                Event::MessageEnd => {
                    let text = String::from_utf8(std::mem::take(&mut body)).unwrap();
                    // The test may have seen enough.
                    drop(tell.send((from.clone(), std::mem::take(&mut to), text)));
                    Reply::new(250, "2.0.0 Kept as 6tk")
                }
                Event::Quit => Reply::new(221, "2.0.0 Bye"),
                _ => Reply::new(250, "2.0.0 Ok"),
            };
            session.reply(&reply);
        }
        let output = session.output();
        if stream.write_all(output).is_err() {
            return;
        }
        output.clear();
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(octets) => session.input().extend_from_slice(&piece[..octets]),
        }
    }
}

#[tokio::test]
async fn a_running_relay_gets_it_through_its_socket() {
    for offers in [
        "relay\nPIPELINING\nCHUNKING\n8BITMIME\nDSN\nSIZE",
        "relay\n8BITMIME",
    ] {
        let machine = Machine::new();
        let told = relay(&machine, offers);
        let wait = Duration::from_secs(30);
        let sent = machine
            .run(&["sendmail", "-t", "-i", "-v", "-fa@contoso.com"], MESSAGE)
            .await;
        assert_eq!(sent.status.code(), Some(0), "{}", sent.err());
        assert!(
            sent.err().contains(">>> MAIL FROM:<a@contoso.com>"),
            "{}",
            sent.err()
        );
        assert!(
            sent.err().contains("<<< 250 2.0.0 Kept as 6tk"),
            "{}",
            sent.err()
        );
        let (from, to, body) = told.recv_timeout(wait).unwrap();
        assert_eq!(
            (&*from, to.join(" ")),
            ("a@contoso.com", "x@example.com h@example.com".to_owned())
        );
        assert_eq!(body, ARRIVED);
        assert!(!machine.home.path().join("spool.db").exists());

        let refused = machine
            .run(&["sendmail", "-i", "refused@example.com"], "x\n")
            .await;
        assert_eq!(refused.status.code(), Some(67), "{}", refused.err());
        let daemon = machine.run(&["sendmail", "-bd"], "").await.success();
        assert!(daemon.err().contains("running already"), "{}", daemon.err());
        // The dialogue is the relay's own.
        let script = "EHLO web\r\nMAIL FROM:<a@contoso.com>\r\nRCPT TO:<x@example.com>\r\nDATA\r\nA: b\r\n\r\nc\r\n.\r\nQUIT\r\n";
        let held = machine.run(&["sendmail", "-bs"], script).await.success();
        assert!(held.out().starts_with("220 relay\r\n"), "{}", held.out());
        assert!(held.out().ends_with("221 2.0.0 Bye\r\n"), "{}", held.out());
        let (_, _, body) = told.recv_timeout(wait).unwrap();
        assert_eq!(body, "A: b\r\n\r\nc\r\n");
    }
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_no_obstacle() {
    let machine = Machine::new();
    drop(UnixListener::bind(machine.socket()).unwrap());
    assert!(machine.socket().exists());
    drop(
        machine
            .run(&["sendmail", "-t", "-i"], MESSAGE)
            .await
            .success(),
    );
    assert_eq!(machine.spooled().await.len(), 1);
}

#[tokio::test]
async fn without_a_spool_the_service_gets_it_at_once() {
    let sandbox = Sandbox::start(Options {
        tenant: Preset::Rbac,
        ..Options::default()
    })
    .await
    .unwrap();
    let home = Home::new();
    let message = MESSAGE.replace("a@contoso.com", "noreply@contoso.onmicrosoft.com");
    let sent = home
        .sendas(["sendmail", "-t", "-i"])
        .env("SENDAS_CONFIG", sandbox.folder().join("sendas.toml"))
        .stdin(message)
        .run()
        .await;
    assert_eq!((sent.status.code(), &*sent.err()), (Some(0), ""));
    let found = sandbox
        .wait(&Filter::default(), 1, Duration::from_secs(10))
        .await;
    assert_eq!(found[0].reverse_path, "noreply@contoso.onmicrosoft.com");
    let raw = sandbox.raw(found[0].id).unwrap().unwrap().to_vec();
    assert_eq!(
        String::from_utf8(raw).unwrap(),
        ARRIVED.replace("a@contoso.com", "noreply@contoso.onmicrosoft.com")
    );
}
