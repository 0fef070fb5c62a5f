//! `sendas relay` as a process: its sockets, signals, limits and disks.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod support;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sendas_sandbox::Filter as Seen;
use sendas_spool::{Filter, State};
use support::relay::{Relay, Shop, now, tcp};

/// Runs what blocks beside the sandbox.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn text(shop: &Shop, subject: &str) -> Vec<u8> {
    format!("From: <{}>\r\nSubject: {subject}\r\n\r\nbody\r\n", shop.own).into_bytes()
}

/// Sends one message through the socket for programs of this machine; gives the last reply.
fn send(shop: &Shop, relay: &mut Relay, subject: &str) -> String {
    let mut client = shop.connect(relay).unwrap().hello().unwrap();
    client
        .send(&shop.own, "x@example.org", &text(shop, subject))
        .unwrap()
}

async fn arrived(shop: &Shop, count: usize) -> Vec<String> {
    let all = Seen::default();
    let seen = shop.sandbox.wait(&all, count, Duration::from_mins(1));
    seen.await.into_iter().map(|m| m.subject).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sendmail_hands_over_through_the_socket_which_goes_with_the_relay() {
    let shop = Shop::open().await;
    // What a killed relay leaves behind is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(shop.socket()).unwrap());
    let relay = shop.ready();
    let long = "word ".repeat(400);
    let message = format!(
        "From: {}\nTo: x@example.org\nSubject: by sendmail\n\n{long}\n.dot\nlast",
        shop.own
    );
    let sent = shop
        .home
        .sendas(["sendmail", "-t", "-i", "-v"])
        .env("SENDAS_CONFIG", shop.home.path().join("relay.toml"))
        .stdin(message)
        .run()
        .await;
    assert_eq!(sent.status.code(), Some(0), "{}", sent.err());
    assert!(
        sent.err().contains("<<< 250 2.0.0 Kept as "),
        "{}",
        sent.err()
    );
    assert_eq!(arrived(&shop, 1).await, ["by sendmail"]);
    let raw = shop.sandbox.raw(1).unwrap().unwrap();
    let raw = String::from_utf8(raw.to_vec()).unwrap();
    let (header, body) = raw.split_once("\r\n\r\n").unwrap();
    assert!(
        header.contains("by relay.test (sendas) with ESMTP id "),
        "{header}"
    );
    assert!(body.ends_with("\r\n.dot\r\nlast\r\n"), "{body}");
    assert!(raw.lines().all(|line| line.len() <= 998));
    assert_eq!(body.replace("\r\n", ""), format!("{long}.dotlast"));
    let socket = shop.socket();
    assert!(socket.exists());
    let ended = blocking(|| relay.stop()).await;
    assert!(ended.success() && !socket.exists());
    shop.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_configuration_stays_outside_and_a_mended_one_comes_in() {
    let shop = Shop::open().await;
    let mut relay = shop.ready();
    assert!(send(&shop, &mut relay, "one").starts_with("250"));
    let good = shop.configuration("recipients_max = 2", "");
    for (broken, complaint) in [
        (
            good.replace("recipients_max = 2", "recipients_max = \"x\""),
            "is not valid",
        ),
        (good.replace("127.0.0.1/32", "0.0.0.0/0"), "an open relay"),
        (
            good.replace("recipients_max", "recipient_max"),
            "did you mean `recipients_max`?",
        ),
        (
            good.replace("senders = [\"*\"]", "senders = [\"a@elsewhere.example\"]"),
            "covered by no principal",
        ),
        ("[relay\n".to_owned(), "syntax"),
    ] {
        shop.home.write("relay.toml", &broken);
        let before = relay.told().matches("the old one stays").count();
        relay.signal("HUP");
        let told = relay.says("the old one stays", before + 1);
        assert!(
            told.contains(complaint) || complaint == "syntax",
            "{complaint}: {told}"
        );
        assert!(send(&shop, &mut relay, "still").starts_with("250"));
    }
    shop.home.write("relay.toml", &good);
    relay.signal("HUP");
    relay.says("the configuration was read again", 1);
    let mut client = shop.connect(&mut relay).unwrap().hello().unwrap();
    client.say(&format!("MAIL FROM:<{}>", shop.own)).unwrap();
    let replies: Vec<String> = (0..3)
        .map(|_| client.say("RCPT TO:<x@example.org>").unwrap()[..3].to_owned())
        .collect();
    assert_eq!(replies, ["250", "250", "452"]);
    // A changed file is found without a signal too.
    shop.configure("recipients_max = 1", "");
    relay.says("the configuration was read again", 2);
    assert!(blocking(|| relay.stop()).await.success());
    shop.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_manager_hands_over_sockets_and_hears_how_it_goes() {
    let shop = Shop::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    shop.configure(
        &format!("listen = [{{ address = \"{address}\", tls = \"none\" }}]"),
        "",
    );
    let notify = shop.home.path().join("notify.sock");
    let manager = UnixDatagram::bind(&notify).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    let hear = |wanted: &str| {
        let mut all = String::new();
        while !all.contains(wanted) {
            let mut octets = [0; 4096];
            let count = manager.recv(&mut octets).unwrap();
            all.push_str(&String::from_utf8_lossy(&octets[..count]));
            all.push('\n');
        }
        all
    };
    // The socket comes as the third descriptor; the shell only puts it there.
    let mut command = Command::new("/bin/sh");
    command
        .args([
            "-c",
            "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"",
            "sh",
        ])
        .args(shop.words())
        .env("NOTIFY_SOCKET", &notify)
        .stdin(Stdio::from(OwnedFd::from(listener)));
    let relay = shop.start_command(command);
    hear("READY=1");
    let mut client = tcp(address).unwrap().hello().unwrap();
    let reply = client.send(&shop.own, "x@example.org", &text(&shop, "activated"));
    assert!(reply.unwrap().starts_with("250"));
    assert_eq!(arrived(&shop, 1).await, ["activated"]);
    assert_eq!(relay.addresses(1), [address]);
    relay.signal("HUP");
    let told = hear("READY=1");
    assert!(told.contains("RELOADING=1\nMONOTONIC_USEC="), "{told}");
    let status = hear("STATUS=");
    assert!(status.contains(" queued"), "{status}");
    relay.signal("TERM");
    hear("STOPPING=1");
    drop(client);
    assert!(blocking(|| relay.ended()).await.success());
    shop.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_nothing_and_repeats_nothing() {
    const ROUNDS: u64 = 5;
    let shop = Shop::open().await;
    let mailboxes = shop.add_mailboxes(16);
    let (next, promised) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    tokio::task::block_in_place(|| {
        for round in 1..=ROUNDS {
            let relay = shop.ready();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        // Until the relay says goodbye, or is gone.
                        let submit = || -> std::io::Result<()> {
                            let stream = std::os::unix::net::UnixStream::connect(shop.socket())?;
                            let mut client = support::relay::Client::greeted(stream)?.hello()?;
                            loop {
                                let n = next.fetch_add(1, Ordering::Relaxed);
                                let at = usize::try_from(n).unwrap() % mailboxes.len();
                                let text = format!("Subject: {n}\r\n\r\n{n}\r\n");
                                let from = &mailboxes[at];
                                let end = client.send(from, "x@example.org", text.as_bytes())?;
                                if !end.starts_with("250 ") {
                                    assert!(end.contains("421 "), "{end}");
                                    return Ok(());
                                }
                                promised.lock().unwrap().push(n);
                            }
                        };
                        drop(submit());
                    });
                }
                while promised.lock().unwrap().len() < usize::try_from(round * 40).unwrap() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let ended = relay.stop();
                assert!(ended.success(), "{ended}");
            });
        }
    });
    let relay = shop.ready();
    let spool = shop.open_spool();
    let started = now();
    loop {
        let open = Filter::open();
        let (left, _) = spool.read(move |view| view.count(&open)).await.unwrap();
        if left == 0 {
            break;
        }
        assert!(
            started.elapsed() < Duration::from_mins(3),
            "{left} are left"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(blocking(|| relay.stop()).await.success());
    let mut copies: BTreeMap<u64, u32> = BTreeMap::new();
    for message in shop.sandbox.messages(&Seen::default()) {
        *copies.entry(message.subject.parse().unwrap()).or_default() += 1;
    }
    for n in promised.lock().unwrap().iter() {
        assert_eq!(copies.get(n), Some(&1), "message {n}");
    }
    assert!(copies.values().all(|count| *count == 1));
    spool.close().await;
    shop.sandbox.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_on_files_is_a_full_disk_and_no_death() {
    let shop = Shop::open().await;
    let mut relay = shop.start_by(&["prlimit", "--fsize=2097152:unlimited"]);
    let large = "0123456789abcdef0123456789abcdef\r\n".repeat(100_000);
    let large = [text(&shop, "large"), large.into_bytes()].concat();
    for n in 0..3 {
        let mut client = shop.connect(&mut relay).unwrap().hello().unwrap();
        let reply = client.send(&shop.own, "x@example.org", &large).unwrap();
        assert!(reply.starts_with("452 4.3.1 "), "{reply}");
        assert!(send(&shop, &mut relay, &format!("small {n}")).starts_with("250"));
    }
    let lifted = Command::new("prlimit")
        .args(["--fsize=unlimited", "--pid", &relay.id().to_string()])
        .status();
    assert!(lifted.unwrap().success());
    let mut client = shop.connect(&mut relay).unwrap().hello().unwrap();
    let reply = client.send(&shop.own, "x@example.org", &large).unwrap();
    assert!(reply.starts_with("250 "), "{reply}");
    let mut all = arrived(&shop, 4).await;
    all.sort();
    assert_eq!(all, ["large", "small 0", "small 1", "small 2"]);
    drop(client);
    assert!(blocking(|| relay.stop()).await.success());
    shop.sandbox.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_descriptors_nothing_is_lost_and_it_goes_on() {
    const FEW: usize = 48;
    let shop = Shop::open().await;
    let relay = shop.start_by(&["prlimit", &format!("--nofile={FEW}:{FEW}")]);
    let address = relay.addresses(1)[0];
    relay.says("fewer open files are allowed than", 1);
    let mut promised = Vec::new();
    for round in 0..3 {
        // As many connections as it takes, and more that the system keeps waiting.
        let mut open = Vec::new();
        for _ in 0..FEW {
            let stream = std::net::TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            match support::relay::Client::greeted(stream) {
                Ok(client) => open.push(client.hello().unwrap()),
                Err(_) => break,
            }
        }
        assert!(
            open.len() > 4 && open.len() < FEW,
            "{} connections",
            open.len()
        );
        for (n, client) in open.iter_mut().enumerate().take(6) {
            let subject = format!("{round}/{n}");
            let reply = client.send(&shop.own, "x@example.org", &text(&shop, &subject));
            match reply {
                Ok(reply) if reply.starts_with("250 ") => promised.push(subject),
                Ok(reply) => assert!(reply.contains("4.3."), "{reply}"),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
    }
    relay.says("a connection could not be accepted", 1);
    // Everybody has left: it serves as before.
    let mut client = tcp(address).unwrap().hello().unwrap();
    let reply = client.send(&shop.own, "x@example.org", &text(&shop, "after"));
    assert!(reply.unwrap().starts_with("250 "));
    promised.push("after".to_owned());
    let spool = shop.open_spool();
    let started = now();
    loop {
        let all = shop.sandbox.messages(&Seen::default());
        let missing = promised
            .iter()
            .find(|subject| all.iter().all(|m| m.subject != **subject));
        let Some(missing) = missing else {
            break;
        };
        assert!(
            started.elapsed() < Duration::from_mins(1),
            "{missing}: {}",
            relay.told()
        );
        // What was put off for want of a descriptor need not wait its minute.
        let now = shop.sandbox.now();
        let waiting = Filter::state(State::Waiting);
        let retry = spool.change(&waiting, &sendas_spool::Change::Retry, now);
        retry.await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    spool.close().await;
    drop(client);
    assert!(blocking(|| relay.stop()).await.success());
    shop.sandbox.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_fails_ends_the_process() {
    let shop = Shop::open().await;
    let mut ends = 0;
    // The first syncs belong to the opening; then they belong to messages.
    for call in 1..=8 {
        let inject = format!("inject=fdatasync,fsync:error=EIO:when={call}+");
        let mut relay = shop.start_by(&[
            "strace",
            "-D",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fdatasync,fsync",
            "-e",
            &inject,
        ]);
        let replies: Vec<String> = match shop.connect(&mut relay) {
            None => Vec::new(),
            Some(client) => {
                let mut client = client.hello().unwrap();
                (0..12)
                    .map_while(|n| {
                        let text = text(&shop, &format!("{call}/{n}"));
                        client.send(&shop.own, "x@example.org", &text).ok()
                    })
                    .collect()
            }
        };
        // Promises come first, and none behind the failure.
        let kept = replies
            .iter()
            .take_while(|reply| reply.starts_with("250 "))
            .count();
        let behind = &replies[kept..];
        assert!(
            behind.iter().all(|reply| reply.contains("421 4.3.0 ")),
            "{replies:?}"
        );
        let status = blocking(|| relay.ended()).await;
        assert_eq!(status.code(), Some(1), "call {call}: {replies:?}");
        ends += 1;
    }
    let relay = shop.ready();
    let told = relay.told();
    assert!(told.contains("the spool has failed"), "{told}");
    assert!(
        told.contains("nothing that was acknowledged is lost"),
        "{told}"
    );
    assert_eq!(ends, 8);
    assert!(blocking(|| relay.stop()).await.success());
    shop.sandbox.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_takes_nothing_is_named() {
    let shop = Shop::open().await;
    // Not even root makes files there.
    let text = shop.configuration("", "");
    let text = text.replace(
        &format!("sqlite://{}", shop.spool().display()),
        "sqlite:///proc/self/spool.db",
    );
    shop.home.write("relay.toml", &text);
    let relay = shop.start();
    let log = shop.home.path().join("relay.log");
    let status = blocking(|| relay.ended()).await;
    let told = std::fs::read_to_string(log).unwrap();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(
        told.contains("the spool /proc/self/spool.db was not opened"),
        "{told}"
    );
    // A database on another machine is for a later version: said by every command.
    let text = shop.configuration("", "").replace(
        &format!("sqlite://{}", shop.spool().display()),
        "postgres://sendas@db/sendas",
    );
    shop.home.write("relay.toml", &text);
    for words in [
        &["relay"][..],
        &["relay", "--check"],
        &["config", "check"],
        &["queue", "list"],
    ] {
        let refused = shop
            .home
            .sendas(["--config", "relay.toml"].iter().chain(words))
            .run()
            .await;
        assert_eq!(refused.status.code(), Some(2), "{words:?}");
        let told = refused.err();
        assert!(
            told.contains("`relay.spool` names a PostgreSQL database"),
            "{told}"
        );
        assert!(told.contains("sqlite:///var/lib/sendas/spool.db"), "{told}");
    }
    shop.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_stranger_reaches_the_log_raw() {
    let shop = Shop::open().await;
    let hash = sendas_relay::hash_password("sesame").unwrap();
    shop.configure("", &format!(
        "\n[[relay.client]]\nname = \"erp\"\nnetworks = [\"127.0.0.1/32\"]\nlogin = \"erp\"\npassword_hash = \"{hash}\"\nplaintext_auth = \"allowed\"\nsenders = [\"*\"]\n"
    ));
    let relay = shop.start();
    let address = relay.addresses(1)[0];
    let mut client = tcp(address).unwrap().hello().unwrap();
    for line in [
        &b"HELO \x1b[2Jx\r\n"[..],
        b"MAIL FROM:<\x1b[31m@contoso.test>\r\n",
        b"XYZ \x1b]0;title\x07\r\n",
        // User names in base64: with an escape and line ends, and with a mark that turns text round.
        b"AUTH PLAIN ABtbMkoNCjIwMjYgSU5GTyBmb3JnZWTigK4Ad3Jvbmc=\r\n",
        b"AUTH PLAIN AGV24oCuaWwAd3Jvbmc=\r\n",
    ] {
        client.write(line).unwrap();
        let reply = client.reply().unwrap();
        assert!(reply.starts_with('5') && reply.bytes().all(|o| o >= 32 || b"\r\n".contains(&o)));
    }
    let subject = "../../../etc/passwd'; DROP TABLE messages; --\u{1b}[2J\u{202e}";
    let id = "<../../spool.db@x>";
    let text = format!(
        "From: <{}>\r\nMessage-ID: {id}\r\nSubject: {subject}\r\n\r\nbody\r\n",
        shop.own
    );
    let reply = client
        .send(&shop.own, "x@example.org", text.as_bytes())
        .unwrap();
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(arrived(&shop, 1).await.len(), 1);
    let told = relay.says("delivered", 1);
    let is_plain = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
    assert!(told.chars().all(is_plain), "{}", told.escape_debug());
    assert!(told.contains("login refused"), "{told}");
    assert!(!told.contains("\n2026 INFO forged"), "{told}");
    let listed = shop
        .home
        .sendas([
            "--config",
            "relay.toml",
            "queue",
            "list",
            "--state",
            "settled",
        ])
        .run()
        .await
        .success();
    assert!(
        listed.out().chars().all(is_plain),
        "{}",
        listed.out().escape_debug()
    );
    drop(client);
    assert!(blocking(|| relay.stop()).await.success());
    shop.sandbox.stop().await;
}

#[tokio::test]
async fn the_guides_configuration_makes_a_relay() {
    let home = support::Home::new();
    let guide = sendas_testkit::tools::checkout().join("docs/guide/relay.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, rest) = guide.split_once("```toml\n").unwrap();
    let (toml, _) = rest.split_once("```").unwrap();
    let certificate = "{ certificate = \"/etc/sendas/contoso.pem\" }";
    assert!(toml.contains(certificate));
    home.write(
        "relay.toml",
        &toml.replace(certificate, "{ managed_identity = {} }"),
    );
    let checked = home.sendas(["--config", "relay.toml", "config", "check"]);
    drop(checked.run().await.success());
}
