//! Durable acceptance: the relay beside a bare append with a sync, and beside Postfix.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::generator::{Load, Taken};
use crate::kernel;
use crate::postfix::{self, Postfix};
use crate::stage::{Relay, Settings, folder};

/// Rounds of each in turn, and as many more of the relay beside the bare append: a disk's mood
/// changes within seconds, so their ratio is taken round by round.
const ROUNDS: usize = 5;
const PAIRS: usize = 15;
/// How long a round shall last.
const ROUND_S: f64 = 1.0;
const PAIR_S: f64 = 0.4;

const SENDER: &str = "printer@contoso.com";

/// One way to hand messages in, and what it brought.
#[derive(Default)]
struct Series {
    rates: Vec<f64>,
    /// Processor time of a thousand messages, in seconds.
    cpu: Vec<f64>,
    /// The wait that 99 of 100 messages do not exceed, in milliseconds.
    p99: Vec<f64>,
}

pub(crate) fn run() {
    println!("accept: durable, {}", kernel::machine());
    let mut relay = Relay::start(&Settings::alone());
    // Another build beside this one: what a change has brought, on the same disk in the same minute.
    let mut other = std::env::var_os("SENDAS_BENCH_OTHER").map(|binary| {
        Relay::start(&Settings {
            binary: Some(binary.into()),
            ..Settings::alone()
        })
    });
    let rival = match postfix::missing() {
        None => Some(Postfix::start()),
        Some(why) => {
            println!("  without Postfix: {why}");
            None
        }
    };
    let scratch = folder();
    let mut plain = File::create(scratch.path().join("plain")).expect("a file of our own");
    // The first messages make files and find their way: a relay lives longer than that.
    for relay in [Some(&relay), other.as_ref()].into_iter().flatten() {
        load(relay, 50, 10_240, 5_000).run();
    }
    if let Some(rival) = &rival {
        postfix::smtp_source(rival.port, SENDER, 2048, 10, 500);
    }
    for octets in [2_048, 10_240] {
        for sessions in [10, 50] {
            let relays = (&relay, other.as_ref());
            compare(relays, rival.as_ref(), &mut plain, sessions, octets);
        }
    }
    relay.stop();
    if let Some(other) = &mut other {
        other.stop();
    }
}

fn load(relay: &Relay, sessions: usize, octets: usize, messages: u64) -> Load {
    Load {
        address: relay.address,
        sessions,
        octets,
        senders: Arc::new([SENDER.to_owned()]),
        messages,
        pause: Duration::ZERO,
    }
}

fn compare(
    (relay, other): (&Relay, Option<&Relay>),
    rival: Option<&Postfix>,
    plain: &mut File,
    sessions: usize,
    octets: usize,
) {
    println!("  {octets} octets, {sessions} sessions");
    let (mut raw, mut ratios, mut ours) = (Vec::new(), Vec::new(), Series::default());
    let (mut theirs, mut gains) = (Series::default(), Vec::new());
    let mut many = 1_000;
    for _ in 0..PAIRS {
        let before = raw_rate(plain, octets, sessions);
        let rate = ours.measure(|| relay.cpu(), || load(relay, sessions, octets, many).run());
        let limit = f64::midpoint(before, raw_rate(plain, octets, sessions));
        many = messages_in(PAIR_S, rate);
        ratios.push(100.0 * rate / limit);
        raw.push(limit);
        if let Some(other) = other {
            let run = || load(other, sessions, octets, many).run();
            gains.push(100.0 * rate / theirs.measure(|| other.cpu(), run));
        }
    }
    println!(
        "    bare append, a sync for each {sessions}: {:.0}/s{}",
        median(&raw),
        spread(&raw)
    );
    ours.tell("relay");
    println!(
        "    relay to bare append, round by round: {:.0} %{}",
        median(&ratios),
        spread(&ratios)
    );
    if other.is_some() {
        theirs.tell("the other build");
        println!(
            "    relay to the other build, round by round: {:.0} %{}",
            median(&gains),
            spread(&gains)
        );
    }
    if let Some(rival) = rival {
        compare_with(relay, rival, sessions, octets);
    }
}

fn compare_with(relay: &Relay, rival: &Postfix, sessions: usize, octets: usize) {
    let (mut ours, mut ours_waiting) = (Series::default(), Series::default());
    let (mut theirs, mut theirs_waiting) = (Series::default(), Series::default());
    let (mut many, mut few) = (2_000, 300);
    let source = |port, messages| postfix::smtp_source(port, SENDER, octets, sessions, messages);
    for _ in 0..ROUNDS {
        let rate = ours.measure(|| relay.cpu(), || load(relay, sessions, octets, many).run());
        many = messages_in(ROUND_S, rate);
        ours_waiting.measure(|| relay.cpu(), || source(relay.address.port(), many / 2));
        let mut same = load(relay, sessions, octets, few);
        same.address.set_port(rival.port);
        let rate = theirs.measure(|| rival.cpu(), || same.run());
        theirs_waiting.measure(|| rival.cpu(), || source(rival.port, few));
        few = messages_in(ROUND_S, rate);
        rival.empty();
    }
    ours.tell("relay, pipelined");
    ours_waiting.tell("relay, smtp-source");
    theirs.tell("Postfix, pipelined");
    theirs_waiting.tell("Postfix, smtp-source");
    println!(
        "    relay to Postfix: {:.1} times pipelined, {:.1} times by smtp-source; \
         processor time 1/{:.1} and 1/{:.1}",
        median(&ours.rates) / median(&theirs.rates),
        median(&ours_waiting.rates) / median(&theirs_waiting.rates),
        median(&theirs.cpu) / median(&ours.cpu),
        median(&theirs_waiting.cpu) / median(&ours_waiting.cpu),
    );
}

impl Series {
    /// Runs a round; gives its rate.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn measure(&mut self, cpu: impl Fn() -> Duration, round: impl FnOnce() -> Taken) -> f64 {
        let before = cpu();
        let taken = round();
        let spent = cpu().saturating_sub(before);
        self.rates.push(taken.rate());
        self.cpu
            .push(spent.as_secs_f64() * 1e3 / taken.messages as f64);
        self.p99.push(taken.percentile(99).as_secs_f64() * 1e3);
        taken.rate()
    }

    fn tell(&self, who: &str) {
        let p99 = match median(&self.p99) {
            0.0 => String::new(),
            p99 => format!(", p99 {p99:.1} ms"),
        };
        println!(
            "    {who}: {:.0}/s{}, processor time {:.3} s per 1,000{p99}",
            median(&self.rates),
            spread(&self.rates),
            median(&self.cpu),
        );
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some thousand messages"
)]
fn messages_in(seconds: f64, rate: f64) -> u64 {
    (rate * seconds).max(200.0) as u64
}

/// Appends batches of one message for each session, each batch with one sync.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn raw_rate(file: &mut File, octets: usize, sessions: usize) -> f64 {
    let batch = vec![b'x'; octets * sessions];
    let (begin, mut count) = (kernel::moment(), 0);
    while begin.elapsed().as_secs_f64() < PAIR_S / 2.0 {
        file.write_all(&batch).expect("the disk has room");
        file.sync_data().expect("the disk syncs");
        count += sessions;
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The lowest and the highest round.
pub(crate) fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    format!(" ({low:.0} – {high:.0})")
}
