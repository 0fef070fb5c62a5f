//! A disk that fails at each of its calls, seen from the client's side: whatever was answered
//! `250` is there afterwards, every other answer is a temporary one, and after a failed sync
//! nothing is taken any more.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use sendas_config::ListenTls;
use sendas_entra::SystemClock;
use sendas_spool::sim::{SimDisk, Trouble};
use sendas_spool::{CheckDepth, Filter, Options, Spool};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio_util::sync::CancellationToken;

use super::{Peer, Seat, serve};
use crate::context::{Context, Counters};
use crate::listener::Seats;
use crate::policy::Policy;
use crate::policy::test_settings::{client, principal, relay};

/// Messages of a run; the third has a file of its own, the others share one.
const MESSAGES: u8 = 5;

fn now() -> jiff::Timestamp {
    "2026-11-23T05:06:07Z".parse().unwrap()
}

fn body(n: u8) -> Vec<u8> {
    let lines = if n == 2 { 6_000 } else { 10 * usize::from(n) };
    let line = format!("line of message {n}, and what follows it until the end of it\r\n");
    format!("Subject: {n}\r\n\r\n{}", line.repeat(lines)).into_bytes()
}

fn context(spool: Spool) -> (Arc<Context>, Arc<Policy>) {
    let mut settings = relay(vec![client("c", &["10.0.0.1"], &["a@contoso.com"])]);
    settings.message_size_octets_max = 1 << 20;
    let policy = Policy::new(&settings, &[principal(&["*"])]).unwrap();
    let context = Context::new(
        spool,
        Arc::new(SystemClock::new()),
        "relay.test".into(),
        Arc::new(Seats::new(10, 10)),
        Arc::new(Counters::default()),
        CancellationToken::new(),
    );
    (Arc::new(context), Arc::new(policy))
}

/// One session with one message; gives every reply.
async fn submit(context: &Arc<Context>, policy: &Arc<Policy>, n: u8) -> Vec<String> {
    let seat = Seat {
        peer: Peer {
            address: "10.0.0.1".parse().unwrap(),
            tls: ListenTls::None,
            is_local: false,
        },
        policy: Arc::clone(policy),
        tls: None,
    };
    let (near, far) = tokio::io::duplex(64 * 1024);
    let served = Box::pin(serve(Arc::clone(context), near, seat));
    let (_, replies) = tokio::join!(served, talk(far, n));
    replies
}

async fn talk(io: DuplexStream, n: u8) -> Vec<String> {
    let mut io = BufReader::new(io);
    let mut replies = Vec::new();
    let text = body(n);
    let mut last = format!("BDAT {} LAST\r\n", text.len()).into_bytes();
    last.extend_from_slice(&text);
    for say in [
        &b""[..],
        b"EHLO c\r\n",
        b"MAIL FROM:<a@contoso.com>\r\n",
        b"RCPT TO:<x@example.org>\r\n",
        &last,
        b"QUIT\r\n",
    ] {
        if io.write_all(say).await.is_err() {
            break;
        }
        loop {
            let mut line = String::new();
            if io.read_line(&mut line).await.unwrap_or(0) == 0 {
                return replies;
            }
            let is_last = line.as_bytes()[3] == b' ';
            if is_last {
                replies.push(line);
                break;
            }
        }
        if replies.last().is_some_and(|reply| !reply.starts_with('2')) {
            break;
        }
    }
    replies
}

/// What a run promised.
#[derive(Default)]
struct Run {
    kept: BTreeMap<u8, Vec<u8>>,
    calls: u64,
}

/// A whole life of a store with this trouble.
async fn run(index: &Path, disk: &SimDisk, trouble: Trouble) -> Run {
    let name = format!("{trouble:?}");
    disk.set_trouble(Some(trouble));
    let mut run = Run::default();
    let options = Options::new(index).disk(Arc::new(disk.clone()));
    // A store that does not open is a relay that does not start.
    if let Ok(spool) = Spool::open(&options, now()) {
        let (context, policy) = context(spool.clone());
        let mut has_failed = false;
        for n in 0..MESSAGES {
            let replies = submit(&context, &policy, n).await;
            let end = replies.last().cloned().unwrap_or_default();
            if replies.len() == 6 {
                assert!(!has_failed, "{name}: message {n} taken by a failed store");
                assert!(
                    replies[4].starts_with("250 2.0.0 Kept"),
                    "{name}: {replies:?}"
                );
                run.kept.insert(n, body(n));
                continue;
            }
            let is_temporary = ["421 4.3.0 ", "451 4.3.0 ", "452 4.3.1 "]
                .iter()
                .any(|code| end.starts_with(code));
            assert!(is_temporary, "{name}: message {n}: {replies:?}");
            if spool.alive().is_err() {
                has_failed = true;
                assert!(end.starts_with("421 "), "{name}: {replies:?}");
            }
        }
        // Syncs alone are fatal, and all of them are.
        assert_eq!(disk.failed_syncs() > 0, has_failed, "{name}");
        drop(context);
        spool.close().await;
    }
    run.calls = disk.calls();
    run
}

/// What was promised is there after a power cut.
async fn verify(index: &Path, disk: &SimDisk, run: &Run, trouble: Trouble) {
    let cut = disk.after_power_cut(run.calls);
    let options = Options::new(index).disk(Arc::new(cut));
    let spool = Spool::open(&options, now()).unwrap_or_else(|e| panic!("{trouble:?}: {e}"));
    let report = spool.check(CheckDepth::Bodies, now()).await.unwrap();
    assert_eq!(report.findings, [] as [&str; 0], "{trouble:?}");
    let ids = spool.read(|view| view.ids(&Filter::default(), None, 100));
    let mut found = BTreeMap::new();
    for id in ids.await.unwrap() {
        let message = spool.read(move |view| view.message(id)).await.unwrap();
        let mut body = spool.body(id, now()).await.unwrap();
        let mut octets = Vec::new();
        while let Some(piece) = body.piece().await.unwrap() {
            octets.extend_from_slice(&piece);
        }
        found.insert(message.summary.subject.parse::<u8>().unwrap(), octets);
    }
    for (n, wanted) in &run.kept {
        let octets = found
            .get(n)
            .unwrap_or_else(|| panic!("{trouble:?}: {n} is lost"));
        assert!(octets.ends_with(wanted), "{trouble:?}: {n} was changed");
    }
    spool.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_failing_disk_call_makes_a_false_promise() {
    for error in [
        ErrorKind::Other,
        ErrorKind::StorageFull,
        ErrorKind::ReadOnlyFilesystem,
    ] {
        for is_sticky in [false, true] {
            let mut call = 1;
            let mut kept = 0;
            loop {
                let trouble = if is_sticky {
                    Trouble::From { call, error }
                } else {
                    Trouble::Once { call, error }
                };
                let folder = tempfile::tempdir().unwrap();
                let index = folder.path().join("spool.db");
                let disk = SimDisk::new();
                let run = run(&index, &disk, trouble).await;
                verify(&index, &disk, &run, trouble).await;
                kept += run.kept.len();
                if run.calls < call {
                    assert_eq!(run.kept.len(), usize::from(MESSAGES));
                    break;
                }
                call += 1;
            }
            assert!(call > 15 && kept > 15, "only {call} calls, {kept} kept");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_a_pause_for_clients() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SimDisk::new();
    let options = Options::new(folder.path().join("spool.db")).disk(Arc::new(disk.clone()));
    let spool = Spool::open(&options, now()).unwrap();
    let (context, policy) = context(spool);
    for n in 0..MESSAGES {
        disk.set_trouble(Some(Trouble::From {
            call: 0,
            error: ErrorKind::StorageFull,
        }));
        let replies = submit(&context, &policy, n).await;
        assert!(replies[4].starts_with("452 4.3.1 "), "{replies:?}");
        disk.set_trouble(None);
        let replies = submit(&context, &policy, n).await;
        assert!(replies[4].starts_with("250 2.0.0 "), "{replies:?}");
    }
}
