//! `kill -9` under load: whatever a child process acknowledged is there afterwards.
//!
//! The child accepts with several submitters and delivers beside them, and writes a line for each
//! acknowledgement. The parent kills it at a random moment (some children during their recovery),
//! opens the spool and holds it against the lines. The rounds share one spool.
//!
//! - `cargo test -p sendas-spool --test kill`: 25 rounds; `SENDAS_KILL_ROUNDS=1000` for more.
//! - `SENDAS_KILL_CALLS=1 cargo test -p sendas-spool --test kill`: kills a child with a short load
//!   at every single system call that touches a file, and then fails every sync of a file, the
//!   index's own included (needs `strace`).
//!
//! A killed process loses nothing that the system's page cache holds: power cuts are the matter of
//! the simulated disk, see `tests/spool/faults.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test program prints and may fail"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use sendas_envelope::{Address, Envelope, Mailbox};
use sendas_spool::{
    CheckDepth, Filter, MessageId, Options, Outcome, Settlement, Spool, State, Submission, Verdict,
};

const LEASE: Duration = Duration::from_mins(10);
const SUBMITTERS: u64 = 8;

/// What the child's lines say.
#[derive(Default)]
struct Lines {
    /// Acknowledged messages with the number their body is made of.
    accepted: BTreeMap<MessageId, u64>,
    /// Messages whose settling was acknowledged.
    settled: BTreeSet<MessageId>,
    /// Messages that a worker began to deliver.
    claimed: BTreeSet<MessageId>,
}

fn main() -> ExitCode {
    if let Ok(folder) = std::env::var("SENDAS_KILL_CHILD") {
        let short = std::env::var_os("SENDAS_KILL_SHORT").is_some();
        child(Path::new(&folder), short);
        return ExitCode::SUCCESS;
    }
    // As every test program answers when it is asked for its tests.
    if std::env::args().any(|a| a == "--list") {
        if !std::env::args().any(|a| a == "--ignored") {
            println!("kill: test");
        }
        return ExitCode::SUCCESS;
    }
    if std::env::var_os("SENDAS_KILL_CALLS").is_some() {
        every_call();
    } else {
        let rounds = std::env::var("SENDAS_KILL_ROUNDS").map_or(25, |n| n.parse().unwrap());
        random_moments(rounds);
    }
    ExitCode::SUCCESS
}

/// Kills children at random moments.
fn random_moments(rounds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = Lines::default();
    let mut moments = Moments(0x5eed);
    for round in 0..rounds {
        // Every fourth dies early: while it opens and recovers what the one before left.
        let most = if round % 4 == 3 { 25 } else { 250 };
        let mut child = start(
            Command::new(std::env::current_exe().unwrap()),
            folder.path(),
        );
        let reader = read_lines(&mut child);
        std::thread::sleep(Duration::from_millis(moments.below(most)));
        child.kill().unwrap();
        child.wait().unwrap();
        lines.extend(reader.join().unwrap());
        verify(folder.path(), &mut lines, &format!("round {round}"));
    }
    println!("{rounds} kills, nothing acknowledged was lost");
}

/// Kills a child at every file call, and fails every sync: while it opens, and while it works.
///
/// strace counts the calls of each thread by itself. The opening is one thread's work; for the
/// rest it is attached when the spool is open, so that the writer's first call is number one.
fn every_call() {
    let calls = "openat,write,pwrite64,fdatasync,fsync,ftruncate,unlink,flock,fcntl,mkdir";
    let bodies = "openat,pwrite64,fdatasync,fsync,ftruncate,unlink,fcntl";
    let syncs = "fdatasync,fsync";
    for (open, fate, set) in [
        (false, "signal=SIGKILL", calls),
        (false, "error=EIO", syncs),
        (true, "signal=SIGKILL", bodies),
        (true, "error=EIO", syncs),
    ] {
        let when = if open { "working" } else { "opening" };
        let mut count = 0;
        loop {
            count += 1;
            let what = format!("{fate} at call {count} while {when}");
            let folder = tempfile::tempdir().unwrap();
            let inject = format!("inject={set}:{fate}:when={count}");
            let mut lines = Lines::default();
            let ended = if open {
                run_attached(folder.path(), &mut lines, set, &inject)
            } else {
                run_from_start(folder.path(), &mut lines, set, &inject)
            };
            let whole = ended && lines.accepted.len() == 4 && lines.settled.len() == 2;
            verify(folder.path(), &mut lines, &what);
            if whole {
                break;
            }
        }
        // An error that nobody noticed would have let the first load through.
        assert!(count > 5, "{fate} while {when}: only {count} calls");
        println!("{fate} while {when}: {count} calls, nothing acknowledged was lost");
    }
}

fn run_from_start(folder: &Path, lines: &mut Lines, set: &str, inject: &str) -> bool {
    let mut strace = strace(set, inject);
    strace
        .arg(std::env::current_exe().unwrap())
        .env("SENDAS_KILL_SHORT", "1");
    let mut child = start(strace, folder);
    let reader = read_lines(&mut child);
    let ended = child.wait().unwrap();
    lines.extend(reader.join().unwrap());
    ended.success()
}

fn run_attached(folder: &Path, lines: &mut Lines, set: &str, inject: &str) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .env("SENDAS_KILL_SHORT", "1")
        .env("SENDAS_KILL_WAIT", "1")
        .stdin(Stdio::piped());
    let mut child = start(command, folder);
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(out.next().unwrap().unwrap(), "ready");
    let mut strace = strace(set, inject)
        .args(["-p", &child.id().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !is_traced(child.id()) {
        assert!(strace.try_wait().unwrap().is_none(), "strace cannot attach");
        std::thread::yield_now();
    }
    let go = child.stdin.take().unwrap().write_all(b"go\n");
    go.unwrap();
    lines.extend(out.map_while(Result::ok).collect());
    let ended = child.wait().unwrap();
    strace.wait().unwrap();
    ended.success()
}

fn strace(set: &str, inject: &str) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={set}"))
        .args(["-e", inject]);
    strace
}

/// Whether every thread of the process has a tracer.
fn is_traced(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status
            .lines()
            .any(|l| l.starts_with("TracerPid:") && !l.ends_with("\t0"))
    })
}

fn start(mut command: Command, folder: &Path) -> Child {
    command
        .env("SENDAS_KILL_CHILD", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn read_lines(child: &mut Child) -> std::thread::JoinHandle<Vec<String>> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The last line may be torn by the kill: it was no acknowledgement then.
    std::thread::spawn(move || lines.map_while(Result::ok).collect())
}

impl Lines {
    fn extend(&mut self, lines: Vec<String>) {
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let id = |word: &str| word.parse::<MessageId>().unwrap();
            match words[..] {
                ["accepted", name, number, "."] => {
                    let before = self.accepted.insert(id(name), number.parse().unwrap());
                    assert_eq!(before, None, "{name} was given twice");
                }
                ["claimed", name, "."] => _ = self.claimed.insert(id(name)),
                ["settled", name, "."] => _ = self.settled.insert(id(name)),
                _ => {}
            }
        }
    }
}

/// Opens what the child left and holds it against its lines; gives suspects free.
fn verify(folder: &Path, lines: &mut Lines, what: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let spool = open(folder);
        assert_eq!(spool.recovery().missing, [] as [&str; 0], "{what}");
        assert_eq!(spool.recovery().unknown, [] as [&str; 0], "{what}");
        let report = spool.check(CheckDepth::Bodies, now()).await.unwrap();
        assert_eq!(report.findings, [] as [&str; 0], "{what}");
        for (&id, &number) in &lines.accepted {
            let found = spool.read(move |view| view.message(id)).await;
            let state = found
                .unwrap_or_else(|e| panic!("{what}: {e}"))
                .summary
                .state;
            match state {
                State::Settled => assert!(lines.claimed.contains(&id), "{what}: {id}"),
                State::Waiting | State::Suspect => {
                    assert!(
                        !lines.settled.contains(&id),
                        "{what}: {id} is {state} again"
                    );
                    assert_eq!(body(&spool, id).await, pattern(number), "{what}: {id}");
                }
                other => panic!("{what}: {id} is {other}"),
            }
            if state == State::Suspect {
                spool.judge(id, Verdict::Resend, now()).await.unwrap();
            }
        }
        // Not acknowledged and there all the same is allowed, once for each submitter.
        let open = Filter::open();
        let (stored, _) = spool.read(move |view| view.count(&open)).await.unwrap();
        let settled: BTreeSet<_> = spool
            .read(|view| {
                let mut all = BTreeSet::new();
                let mut after = None;
                loop {
                    let page = view.ids(&Filter::state(State::Settled), after, 1000)?;
                    let Some(last) = page.last() else {
                        return Ok(all);
                    };
                    after = Some(*last);
                    all.extend(page);
                }
            })
            .await
            .unwrap();
        let owed = lines
            .accepted
            .keys()
            .filter(|id| !settled.contains(id))
            .count() as u64;
        assert!(stored >= owed, "{what}");
        // What is delivered is forgotten here and there.
        lines.accepted.retain(|id, _| !settled.contains(id));
        lines.settled.clear();
        while spool.sweep(Duration::ZERO, now()).await.unwrap().more {}
        spool.close().await;
    });
}

/// The child's load: until it is killed, or a short one.
fn child(folder: &Path, short: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let spool = open(folder);
        let out = Arc::new(Mutex::new(std::io::stdout()));
        if short {
            if std::env::var_os("SENDAS_KILL_WAIT").is_some() {
                tell(&out, "ready");
                std::io::stdin().read_line(&mut String::new()).unwrap();
            }
            for number in [1, 2, 1000, 3] {
                accept(&spool, number, &out).await;
            }
            deliver(&spool, 2, &out).await;
            spool.close().await;
            return;
        }
        let next = Arc::new(AtomicU64::new(1));
        let mut tasks = Vec::new();
        for _ in 0..SUBMITTERS {
            let (spool, out, next) = (spool.clone(), Arc::clone(&out), Arc::clone(&next));
            tasks.push(tokio::spawn(async move {
                loop {
                    accept(&spool, next.fetch_add(1, Ordering::Relaxed), &out).await;
                }
            }));
        }
        loop {
            deliver(&spool, 5, &out).await;
            tokio::task::yield_now().await;
        }
    });
}

async fn accept(spool: &Spool, number: u64, out: &Mutex<std::io::Stdout>) {
    let from: Address = "printer@contoso.com".parse().unwrap();
    let to: Address = "user@example.org".parse().unwrap();
    let envelope = Envelope::new(from, vec![to.into()]).unwrap();
    // A store that has failed ends the child, as it would end a relay.
    let Ok(staged) = spool.stage_whole(&pattern(number)).await else {
        return;
    };
    let submission = Submission::new(envelope, mailbox());
    if let Ok(accepted) = spool.accept(submission, staged, now()).await {
        tell(out, &format!("accepted {} {number} .", accepted.id));
    }
}

async fn deliver(spool: &Spool, limit: usize, out: &Mutex<std::io::Stdout>) {
    let Ok(claims) = spool.claim(&mailbox(), limit, LEASE, now()).await else {
        return;
    };
    for claim in claims {
        tell(out, &format!("claimed {} .", claim.id));
        if spool.body(claim.id, now()).await.is_err() {
            return;
        }
        if spool.mark_dot(&claim, vec![0], now()).await.is_err() {
            return;
        }
        let accepted = Outcome::Accepted {
            status: None,
            reply: "250 OK".to_owned(),
        };
        let settlement = Settlement {
            outcomes: vec![(0, accepted)],
            ..Settlement::default()
        };
        if spool.settle(&claim, settlement, now()).await.is_ok() {
            tell(out, &format!("settled {} .", claim.id));
        }
    }
}

fn tell(out: &Mutex<std::io::Stdout>, line: &str) {
    let mut out = out.lock().unwrap();
    // One write per line, so that a kill tears none of them apart from the last.
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

async fn body(spool: &Spool, id: MessageId) -> Vec<u8> {
    let mut body = spool.body(id, now()).await.unwrap();
    let mut whole = Vec::new();
    while let Some(piece) = body.piece().await.unwrap() {
        whole.extend_from_slice(&piece);
    }
    whole
}

/// Bodies of a few octets to 20 KiB, and every thousandth of 600 KiB.
fn pattern(number: u64) -> Vec<u8> {
    let octets = if number.is_multiple_of(1000) {
        600 * 1024
    } else {
        number * 7919 % 20_480
    };
    (0..octets).map(|i| (number + i).to_le_bytes()[0]).collect()
}

fn open(folder: &Path) -> Spool {
    Spool::open(&Options::new(folder.join("spool.db")), now()).unwrap()
}

fn mailbox() -> Mailbox {
    "noreply@contoso.com".parse().unwrap()
}

fn now() -> Timestamp {
    Timestamp::now()
}

/// Random moments from a seed.
struct Moments(u64);

impl Moments {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % most
    }
}
