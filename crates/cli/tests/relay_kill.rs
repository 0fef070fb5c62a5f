//! `kill -9` on a relay that delivers: nothing that it acknowledged is lost, and a message arrives
//! twice only where its final dot was out.
//!
//! One sandbox and one spool serve all rounds. Some relays die at a random moment under load, some
//! while they put in order what the one before left, some at each single system call between the
//! final dot and the `250`, some at each call of a recovery. 1,000 rounds in sum;
//! `SENDAS_KILL_ROUNDS` asks for another number. Needs `strace`.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sendas_sandbox::Filter as Seen;
use sendas_spool::limits::EVENTS_KEPT_MAX;
use sendas_spool::{Change, EventKind, Filter, State};
use support::relay::{Relay, Shop, now};

/// How long the rest may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);

/// Clients at a time.
const CLIENTS: u64 = 4;

/// Messages of each client in a round.
const MESSAGES: u64 = 6;

/// The shop, and what was promised in it.
struct Ledger {
    shop: Shop,
    /// Senders in turn: the relay paces each by itself.
    mailboxes: Vec<String>,
    next: AtomicU64,
    promised: Mutex<BTreeSet<u64>>,
    moments: Mutex<u64>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_a_kill() {
    let rounds = std::env::var("SENDAS_KILL_ROUNDS").map_or(1000, |n| n.parse().unwrap());
    let shop = Shop::open().await;
    // What the killed relays left must not wait for the pace of a mailbox.
    shop.configure("mailbox_messages_per_minute = 1000000", "");
    let mailboxes = shop.add_mailboxes(32 + rounds * CLIENTS * MESSAGES / 5_000);
    let ledger = Ledger {
        shop,
        mailboxes,
        next: AtomicU64::new(1),
        promised: Mutex::default(),
        moments: Mutex::new(0x5eed),
    };
    let started = now();
    let ledger = tokio::task::spawn_blocking(move || {
        let mut done = 0;
        for set in [
            "trace=%file,%desc",
            "trace=%network,read,write,writev",
            "trace=all",
        ] {
            done += ledger.kill_between_dot_and_reply(set);
        }
        done += ledger.kill_at_each_call_of_a_recovery();
        while done < rounds {
            ledger.kill_under_load(done % 4 == 3);
            done += 1;
        }
        ledger
    })
    .await
    .unwrap();
    let passed = started.elapsed();
    let (told, copies) = ledger.settle_up().await;
    let promised = ledger.promised.lock().unwrap().len();
    println!(
        "{rounds} kills in {passed:.1?}: {promised} acknowledged, {told} suspected, {copies} arrived twice"
    );
}

impl Ledger {
    /// A relay under load dies at a random moment: while it works, or soon after its start.
    fn kill_under_load(&self, is_early: bool) {
        let mut relay = self.shop.start();
        if is_early {
            std::thread::sleep(Duration::from_micros(self.below(40_000)));
            return relay.kill();
        }
        drop(self.shop.connect(&mut relay).expect("the relay starts"));
        // After so many replies, and a moment that deliveries may begin in.
        let (enough, moment) = (self.below(CLIENTS * MESSAGES), self.below(15_000));
        let replies = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| scope.spawn(|| self.submit(&replies)))
                .collect();
            while replies.load(Ordering::Relaxed) < enough
                && !clients
                    .iter()
                    .all(std::thread::ScopedJoinHandle::is_finished)
            {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros(moment));
            relay.kill();
        });
    }

    /// One client's messages, as many as the relay lives to take.
    fn submit(&self, replies: &AtomicU64) {
        let relay_may_be_gone = || -> io::Result<()> {
            let stream = std::os::unix::net::UnixStream::connect(self.shop.socket())?;
            let mut client = support::relay::Client::greeted(stream)?.hello()?;
            for _ in 0..MESSAGES {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let reply = client.send(self.sender(number), "x@example.org", &message(number))?;
                // A relay that is killed says nothing; none of these messages is sent away.
                assert!(reply.starts_with("250 "), "message {number}: {reply}");
                self.promised.lock().unwrap().insert(number);
                replies.fetch_add(1, Ordering::Relaxed);
            }
            // Stay, as honest clients do.
            client.reply().map(drop)
        };
        drop(relay_may_be_gone());
    }

    /// A relay dies at the first, second, … call of this set after the final dot, until the reply
    /// comes before the death. Says how many died.
    fn kill_between_dot_and_reply(&self, set: &str) -> u64 {
        let mut count = 0;
        loop {
            count += 1;
            let mut relay = self.shop.start();
            let mut client = self.shop.connect(&mut relay).unwrap().hello().unwrap();
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let own = self.sender(number);
            client
                .write(format!("MAIL FROM:<{own}>\r\nRCPT TO:<x@example.org>\r\n").as_bytes())
                .unwrap();
            let both = [client.reply().unwrap(), client.reply().unwrap()];
            assert!(
                both.iter().all(|reply| reply.starts_with("250")),
                "{both:?}"
            );
            assert!(client.say("DATA").unwrap().starts_with("354"));
            client.write(&stuffed(&message(number))).unwrap();
            let strace = attach(&mut relay, set, &format!("signal=SIGKILL:when={count}"));
            let reply = client.write(b".\r\n").and_then(|()| client.reply());
            let is_promised = match reply {
                Ok(reply) => {
                    assert!(reply.starts_with("250 "), "{reply}");
                    self.promised.lock().unwrap().insert(number);
                    true
                }
                Err(_) => false,
            };
            relay.kill();
            reap(strace);
            if is_promised {
                break;
            }
        }
        assert!(count > 2, "{set}: only {count} calls");
        count
    }

    /// A relay that finds another's remains dies at the first, second, … call that changes a file.
    fn kill_at_each_call_of_a_recovery(&self) -> u64 {
        let set = "pwrite64,fdatasync,fsync,ftruncate,unlink,unlinkat,mkdir";
        let mut count = 0;
        loop {
            count += 1;
            self.kill_under_load(false);
            // With -D the process that is started is the relay itself, and strace its child.
            let mut relay = self.shop.start_by(&[
                "strace",
                "-D",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={set}"),
                "-e",
                &format!("inject={set}:signal=SIGKILL:when={count}"),
            ]);
            let is_up = self.shop.connect(&mut relay).is_some();
            relay.kill();
            if is_up {
                break;
            }
        }
        assert!(count > 4, "only {count} calls");
        count * 2
    }

    /// Lets a relay deliver the rest, and holds the sandbox and the spool against the promises.
    /// Says how many messages were suspected, and how many arrived more than once.
    async fn settle_up(&self) -> (usize, usize) {
        let relay = self.shop.ready();
        let spool = self.shop.open_spool();
        let started = now();
        loop {
            let open = Filter::open();
            let (left, _) = spool.read(move |view| view.count(&open)).await.unwrap();
            if left == 0 {
                break;
            }
            if started.elapsed() > PATIENCE {
                let open = Filter::open();
                let stuck = spool.read(move |view| {
                    let ids = view.ids(&open, None, 3)?;
                    ids.into_iter()
                        .map(|id| view.message(id))
                        .collect::<Result<Vec<_>, _>>()
                });
                panic!("{left} are stuck: {:#?}\n{}", stuck.await, relay.told());
            }
            // What was deferred because a relay died in the middle need not wait its minute.
            let now = self.shop.sandbox.now();
            let waiting = Filter::state(State::Waiting);
            spool.change(&waiting, &Change::Retry, now).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let ended = tokio::task::spawn_blocking(|| relay.stop()).await.unwrap();
        assert!(ended.success(), "{ended}");
        let mut copies: BTreeMap<u64, usize> = BTreeMap::new();
        for arrived in self.shop.sandbox.messages(&Seen::default()) {
            let number: u64 = arrived.subject.parse().unwrap();
            *copies.entry(number).or_default() += 1;
            let raw = self.shop.sandbox.raw(arrived.id).unwrap().unwrap();
            let wanted = message(number);
            // The relay writes its Received line, Date and Message-ID before the rest.
            assert!(raw.ends_with(&wanted), "message {number} was changed");
        }
        for number in self.promised.lock().unwrap().iter() {
            assert!(copies.contains_key(number), "message {number} is lost");
        }
        let suspected = self.suspected(&spool).await;
        for (number, copies) in &copies {
            let most = 1 + suspected.get(number).copied().unwrap_or(0);
            assert!(
                *copies <= most,
                "message {number}: {copies} copies, {most} allowed"
            );
        }
        spool.close().await;
        let twice = copies.values().filter(|copies| **copies > 1).count();
        (suspected.len(), twice)
    }

    /// How often the spool could not know whether a message had left, by its number.
    async fn suspected(&self, spool: &sendas_spool::Spool) -> HashMap<u64, usize> {
        let all = spool
            .read(|view| {
                let (mut all, mut after) = (Vec::new(), None);
                loop {
                    let ids = view.ids(&Filter::default(), after, usize::MAX)?;
                    let Some(last) = ids.last() else {
                        return Ok(all);
                    };
                    after = Some(*last);
                    for id in ids {
                        all.push(view.message(id)?);
                    }
                }
            })
            .await
            .unwrap();
        all.iter()
            .map(|message| {
                let times = |kind| message.events.iter().filter(|e| e.kind == kind).count();
                let number = message.summary.subject.parse().unwrap();
                let suspected = times(EventKind::Suspected);
                let forgotten = message.events.len() >= EVENTS_KEPT_MAX as usize;
                // A message that many relays died with has forgotten its first events; each copy
                // still has an attempt of its own.
                let attempts = message.summary.attempts as usize;
                (number, if forgotten { attempts } else { suspected })
            })
            .filter(|(_, times)| *times > 0)
            .collect()
    }

    fn sender(&self, number: u64) -> &str {
        let at = number % self.mailboxes.len() as u64;
        &self.mailboxes[usize::try_from(at).unwrap()]
    }

    /// A number below `most`; every run draws the same ones.
    fn below(&self, most: u64) -> u64 {
        let mut state = self.moments.lock().unwrap();
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (*state >> 33) % most
    }
}

/// A message of a few octets to 20 KiB, and every hundredth of 600 KiB.
fn message(number: u64) -> Vec<u8> {
    let lines = if number.is_multiple_of(100) {
        10_000
    } else {
        number * 7919 % 330
    };
    let mut out = format!("Subject: {number}\r\n\r\n").into_bytes();
    for line in 0..lines {
        let mixed = number
            .wrapping_mul(line + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        out.extend_from_slice(
            format!(".line {line} of {number} {mixed:016x} {mixed:016x}\r\n").as_bytes(),
        );
    }
    out
}

/// A message as DATA wants it, without its end.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(message.to_vec()).unwrap();
    text.replace("\r\n.", "\r\n..").into_bytes()
}

/// Lets strace interfere with a running relay from here on.
fn attach(relay: &mut Relay, set: &str, fate: &str) -> Child {
    let calls = set.trim_start_matches("trace=");
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", set, "-e"])
        .arg(format!("inject={calls}:{fate}"))
        .args(["-p", &relay.id().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is installed");
    let started = now();
    // It may die as soon as one of its threads is seen.
    while !is_traced(relay.id()) && !relay.has_ended() {
        let is_gone = strace.try_wait().unwrap().is_some();
        if is_gone && relay.has_ended() {
            break;
        }
        assert!(
            !is_gone && started.elapsed() < Duration::from_mins(1),
            "strace cannot attach: the test needs CAP_SYS_PTRACE, or kernel.yama.ptrace_scope = 0"
        );
        std::thread::yield_now();
    }
    strace
}

fn reap(mut strace: Child) {
    strace.wait().unwrap();
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
            .any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    })
}
