//! A million messages in the queue: the start, the memory, and the accept rate beside an empty one.
//!
//! The queue is made by the spool itself, which takes some minutes; with `SENDAS_BENCH_QUEUE` it is
//! kept in that folder for the next run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sendas_envelope::{Address, Envelope, Mailbox};
use sendas_spool::{Options, Spool, Submission, View};
use tokio::task::JoinSet;

use crate::accept::{median, spread};
use crate::generator::{Load, message};
use crate::idle::mib;
use crate::kernel;
use crate::stage::{Relay, Settings, folder};

const QUEUED: u64 = 1_000_000;
/// Mailboxes that share the queue.
const MAILBOXES: u64 = 1_000;
const OCTETS: usize = 300;
const ROUNDS: usize = 7;
const MESSAGES: u32 = 4_000;
/// Messages under way together while the queue is made.
const TASKS: u64 = 500;

pub(crate) fn run() {
    println!("million: a long queue, {}", kernel::machine());
    let fresh = folder();
    let kept = std::env::var_os("SENDAS_BENCH_QUEUE").map(PathBuf::from);
    let place = kept.as_deref().unwrap_or(fresh.path());
    fill(place);
    let mut full = Relay::start(&Settings {
        spool: Some(place),
        ..Settings::alone()
    });
    println!(
        "  start until it listens: {:.2} s, memory then {:.1} MiB",
        full.started_in.as_secs_f64(),
        mib(full.memory_kib())
    );
    let mut empty = Relay::start(&Settings::alone());
    let load = |relay: &Relay, messages: u32| Load {
        address: relay.address,
        sessions: 50,
        octets: 10_240,
        senders: Arc::new(["printer@contoso.com".to_owned()]),
        messages: messages.into(),
        pause: Duration::ZERO,
    };
    let (mut behind, mut beside) = (Vec::new(), Vec::new());
    let mut cpu = Vec::new();
    for relay in [&empty, &full] {
        load(relay, MESSAGES).run();
    }
    for _ in 0..ROUNDS {
        beside.push(load(&empty, MESSAGES).run().rate());
        let before = full.cpu();
        behind.push(load(&full, MESSAGES).run().rate());
        cpu.push(full.cpu().saturating_sub(before).as_secs_f64() * 1e3 / f64::from(MESSAGES));
    }
    println!(
        "  10,240 octets, 50 sessions: empty {:.0}/s{}, behind a million {:.0}/s{}: {:.0} %, \
         processor time {:.3} s per 1,000",
        median(&beside),
        spread(&beside),
        median(&behind),
        spread(&behind),
        100.0 * median(&behind) / median(&beside),
        median(&cpu),
    );
    println!(
        "  memory: now {:.1} MiB, most {:.1} MiB",
        mib(full.memory_kib()),
        mib(kernel::memory_kib(full.pid(), "VmHWM:"))
    );
    empty.stop();
    full.stop();
}

/// Queues messages until there are enough.
fn fill(place: &Path) {
    std::fs::create_dir_all(place).expect("a folder of our own");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let options = Options::new(place.join("spool.db"));
        let spool = Spool::open(&options, Timestamp::now()).expect("it opens");
        let counts = spool.read(View::counts).await.expect("it counts");
        let have: u64 = counts.iter().map(|count| count.messages).sum();
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let spool = spool.clone();
            tasks.spawn(async move {
                for number in (have..QUEUED).filter(|n| n % TASKS == task) {
                    queue(&spool, number).await;
                }
            });
        }
        tasks.join_all().await;
        spool.close().await;
    });
}

async fn queue(spool: &Spool, number: u64) {
    let mailbox = format!("noreply{}@contoso.com", number % MAILBOXES);
    let from: Address = mailbox.parse().expect("an address");
    let to: Address = format!("user{number}@example.org")
        .parse()
        .expect("an address");
    let envelope = Envelope::new(from, vec![to.into()]).expect("an envelope");
    let through: Mailbox = mailbox.parse().expect("an address");
    let body = message(&mailbox, OCTETS);
    let staged = spool.stage_whole(&body).await.expect("the disk has room");
    let submission = Submission::new(envelope, through);
    spool
        .accept(submission, staged, Timestamp::now())
        .await
        .expect("it is kept");
}
