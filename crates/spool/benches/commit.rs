//! What durable acceptance costs, as a ratio to what the disk allows in the same run.
//!
//! `cargo bench -p sendas-spool --bench commit -- [accept] [deliver] [stream] [million[=N]]`;
//! without words: all but `million`. Everything lies in a fresh folder under the system's place
//! for temporary files; set `TMPDIR` to measure another disk.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a bench measures time, prints and may fail"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sendas_envelope::{Address, Envelope, Mailbox};
use sendas_spool::{Claim, Options, Outcome, Settlement, Spool, Submission, View};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

const RUN: Duration = Duration::from_secs(3);

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|w| !w.starts_with("--"))
        .collect();
    let wanted = |word: &str| words.is_empty() || words.iter().any(|w| w == word);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    if wanted("accept") {
        for octets in [2048, 10240] {
            for submitters in [10, 50] {
                runtime.block_on(accept_rate(octets, submitters));
            }
        }
    }
    if wanted("deliver") {
        runtime.block_on(delivery_rate());
    }
    if wanted("stream") {
        runtime.block_on(stream());
    }
    for word in &words {
        if let Some(rest) = word.strip_prefix("million") {
            let count = rest
                .strip_prefix('=')
                .map_or(1_000_000, |n| n.parse().unwrap());
            runtime.block_on(million(count));
        }
    }
}

/// Short rounds of each in turn, so that a busy machine is unfair to all alike; the medians.
async fn accept_rate(octets: usize, submitters: usize) {
    const ROUNDS: u32 = 9;
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(
        &Options::new(folder.path().join("spool.db")),
        Timestamp::now(),
    )
    .unwrap();
    let mut plain = File::create(folder.path().join("plain")).unwrap();
    let group = Group::start(&folder.path().join("group"));
    // The index's log grows once and is written over from then on: that is how a relay lives.
    spool_rate(&spool, octets, submitters, RUN).await;
    let (mut raw, mut grouped, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let round = RUN / ROUNDS;
        raw.push(raw_rate(&mut plain, octets, submitters, round));
        grouped.push(group.rate(octets, submitters, round).await);
        ours.push(spool_rate(&spool, octets, submitters, round).await);
    }
    let (raw, grouped, ours) = (median(raw), median(grouped), median(ours));
    println!(
        "accept {octets:>6} octets {submitters:>3} submitters: one thread appending {raw:>6.0}/s, \
         group commit of the same submitters {grouped:>6.0}/s, spool {ours:>6.0}/s: {:.0} % and {:.0} %",
        100.0 * ours / raw,
        100.0 * ours / grouped
    );
}

/// Appends batches of one message per submitter, each with one sync: the disk's limit.
fn raw_rate(file: &mut File, octets: usize, submitters: usize, run: Duration) -> f64 {
    let batch = vec![b'x'; octets * submitters];
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < run {
        file.write_all(&batch).unwrap();
        file.sync_data().unwrap();
        count += submitters;
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

/// A group commit that does nothing but append and sync: whatever has queued, in one go.
struct Group {
    orders: mpsc::Sender<(Vec<u8>, oneshot::Sender<()>)>,
}

impl Group {
    fn start(path: &Path) -> Self {
        let mut file = File::create(path).unwrap();
        let (orders, mut queue) = mpsc::channel::<(Vec<u8>, oneshot::Sender<()>)>(1024);
        std::thread::spawn(move || {
            let (mut batch, mut octets) = (Vec::new(), Vec::new());
            while queue.blocking_recv_many(&mut batch, 256) > 0 {
                octets.clear();
                for (body, _) in &batch {
                    octets.extend_from_slice(body);
                }
                file.write_all(&octets).unwrap();
                file.sync_data().unwrap();
                for (_, done) in batch.drain(..) {
                    done.send(()).unwrap();
                }
            }
        });
        Self { orders }
    }

    async fn rate(&self, octets: usize, submitters: usize, run: Duration) -> f64 {
        let orders = self.orders.clone();
        let body = vec![b'x'; octets];
        rate(submitters, run, move |_| {
            let (orders, body) = (orders.clone(), body.clone());
            async move {
                let (done, wait) = oneshot::channel();
                orders.send((body, done)).await.unwrap();
                wait.await.unwrap();
            }
        })
        .await
    }
}

async fn spool_rate(spool: &Spool, octets: usize, submitters: usize, run: Duration) -> f64 {
    let body = Arc::new(vec![b'x'; octets]);
    let spool = spool.clone();
    rate(submitters, run, move |n| {
        let (spool, body) = (spool.clone(), Arc::clone(&body));
        async move {
            let staged = spool.stage_whole(&body).await.unwrap();
            spool
                .accept(submission(n), staged, Timestamp::now())
                .await
                .unwrap();
        }
    })
    .await
}

/// How often per second so many tasks get something done.
async fn rate<F, W>(submitters: usize, run: Duration, act: F) -> f64
where
    F: Fn(usize) -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    let begin = Instant::now();
    for n in 0..submitters {
        let (act, stop, count) = (act.clone(), Arc::clone(&stop), Arc::clone(&count));
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                act(n).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tokio::time::sleep(run).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    count.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Claim, mark the dot, settle: three connections, one message each at a time.
async fn delivery_rate() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(
        &Options::new(folder.path().join("spool.db")),
        Timestamp::now(),
    )
    .unwrap();
    spool_rate(&spool, 10240, 50, RUN).await;
    let begin = Instant::now();
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for n in 0..3 {
        let (spool, count) = (spool.clone(), Arc::clone(&count));
        tasks.spawn(async move {
            let lease = Duration::from_mins(1);
            while begin.elapsed() < RUN {
                let claims = spool
                    .claim(&mailbox(n), 32, lease, Timestamp::now())
                    .await
                    .unwrap();
                if claims.is_empty() {
                    break;
                }
                // The last message is settled in the commit that marks the next one's dot.
                let mut last = None;
                for claim in claims {
                    let body = spool.body(claim.id, Timestamp::now()).await.unwrap();
                    assert_eq!(body.octets(), 10240);
                    let now = Timestamp::now();
                    let mark = spool.mark_dot(&claim, vec![0], now);
                    let (marked, ()) = tokio::join!(mark, settle(&spool, last.take()));
                    marked.unwrap();
                    last = Some(claim);
                    count.fetch_add(1, Ordering::Relaxed);
                }
                settle(&spool, last).await;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let rate = count.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    println!("deliver 10240 octets, 3 connections one message at a time: {rate:.0}/s");
}

async fn settle(spool: &Spool, claim: Option<Claim>) {
    let Some(claim) = claim else { return };
    let accepted = Outcome::Accepted {
        status: None,
        reply: "250 2.0.0 OK".to_owned(),
    };
    let settlement = Settlement {
        outcomes: vec![(0, accepted)],
        ..Settlement::default()
    };
    spool
        .settle(&claim, settlement, Timestamp::now())
        .await
        .unwrap();
}

/// One message of 150 MiB in pieces of 64 KiB, in and out.
async fn stream() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(
        &Options::new(folder.path().join("spool.db")),
        Timestamp::now(),
    )
    .unwrap();
    let staged = spool.stage_whole(b"warm").await.unwrap();
    spool
        .accept(submission(0), staged, Timestamp::now())
        .await
        .unwrap();
    let piece = vec![b'x'; 64 * 1024];
    let before = memory_kib("VmHWM");
    let begin = Instant::now();
    let mut staging = spool.stage().unwrap();
    for _ in 0..150 * 16 {
        staging.write(&piece).await.unwrap();
    }
    let staged = staging.finish().await.unwrap();
    let id = spool
        .accept(submission(0), staged, Timestamp::now())
        .await
        .unwrap()
        .id;
    let accepted = begin.elapsed();
    let mut body = spool.body(id, Timestamp::now()).await.unwrap();
    while body.piece().await.unwrap().is_some() {}
    println!(
        "stream 150 MiB: accepted in {:.2} s, read in {:.2} s, memory +{} KiB",
        accepted.as_secs_f64(),
        begin.elapsed().as_secs_f64() - accepted.as_secs_f64(),
        memory_kib("VmHWM").saturating_sub(before)
    );
}

/// The accept rate before and behind a long queue, the start, the memory.
async fn million(count: u64) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(folder.path().join("spool.db"));
    let spool = Spool::open(&options, Timestamp::now()).unwrap();
    let empty = spool_rate(&spool, 10240, 50, RUN).await;
    let begin = Instant::now();
    let mut have = queued(&spool).await;
    while have < count {
        spool_rate(&spool, 300, 500, RUN).await;
        have = queued(&spool).await;
    }
    println!(
        "queued {have} messages in {:.0} s",
        begin.elapsed().as_secs_f64()
    );
    let again = Options::new(folder.path().join("empty.db"));
    let fresh = Spool::open(&again, Timestamp::now()).unwrap();
    let (mut full, mut beside) = (0.0, 0.0);
    for _ in 0..3 {
        beside += spool_rate(&fresh, 10240, 50, RUN).await / 3.0;
        full += spool_rate(&spool, 10240, 50, RUN).await / 3.0;
    }
    fresh.close().await;
    println!(
        "accept 10240 octets 50 submitters: first {empty:.0}/s; empty spool {beside:.0}/s, behind {have} {full:.0}/s, {:.0} %",
        100.0 * full / beside
    );
    spool.close().await;
    drop((spool, fresh));
    let begin = Instant::now();
    let spool = Spool::open(&options, Timestamp::now()).unwrap();
    println!(
        "start with {have} queued: {:.2} s",
        begin.elapsed().as_secs_f64()
    );
    let begin = Instant::now();
    let due = spool.read(View::mailboxes_due).await.unwrap();
    println!(
        "due per mailbox ({}): {:.1} ms",
        due.len(),
        begin.elapsed().as_secs_f64() * 1e3
    );
    let begin = Instant::now();
    let lease = Duration::from_mins(1);
    let claims = spool
        .claim(&mailbox(0), 100, lease, Timestamp::now())
        .await
        .unwrap();
    println!(
        "claim of {}: {:.1} ms",
        claims.len(),
        begin.elapsed().as_secs_f64() * 1e3
    );
    println!(
        "memory: now {} KiB, most {} KiB",
        memory_kib("VmRSS"),
        memory_kib("VmHWM")
    );
}

async fn queued(spool: &Spool) -> u64 {
    let counts = spool.read(View::counts).await.unwrap();
    counts.iter().map(|c| c.messages).sum()
}

fn submission(n: usize) -> Submission {
    let from: Address = "printer@contoso.com".parse().unwrap();
    let to: Address = format!("user{n}@example.org").parse().unwrap();
    let envelope = Envelope::new(from, vec![to.into()]).unwrap();
    let mut submission = Submission::new(envelope, mailbox(n));
    "hp-floor-2".clone_into(&mut submission.origin.client);
    "10.1.2.3".clone_into(&mut submission.origin.peer);
    "Scan of 2026-11-23".clone_into(&mut submission.subject);
    submission
}

/// Three mailboxes share the submitters.
fn mailbox(n: usize) -> Mailbox {
    format!("noreply{}@contoso.com", n % 3).parse().unwrap()
}

/// A line of the process's status; 0 where the system has none.
fn memory_kib(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|l| {
            l.strip_prefix(line)?
                .split_whitespace()
                .nth(1)?
                .parse()
                .ok()
        })
        .unwrap_or(0)
}
