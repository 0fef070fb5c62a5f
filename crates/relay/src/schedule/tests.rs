//! Simulated days: lanes, lessons, gates, five days of deferrals from a seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use jiff::SignedDuration;
use sendas_envelope::{ForwardPath, Recipient};
use sendas_exchange::explain;
use sendas_smtp::Reply;
use sendas_smtp::client::Stage;

use super::*;

fn start() -> Timestamp {
    "2026-11-23T05:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn mailbox(n: usize) -> Mailbox {
    format!("m{n}@contoso.com").parse().unwrap()
}

fn go(schedule: &mut Schedule, n: usize, now: Timestamp) -> Grant {
    match schedule.ask(&mailbox(n), 0, 30, now) {
        Answer::Go(grant) => grant,
        other => panic!("{other:?}"),
    }
}

/// One message's grant.
fn one(schedule: &mut Schedule, n: usize, now: Timestamp) -> Option<Grant> {
    match schedule.ask(&mailbox(n), 0, 1, now) {
        Answer::Go(grant) => Some(grant),
        _ => None,
    }
}

fn fail(
    schedule: &mut Schedule,
    n: usize,
    stage: Stage,
    reply: &str,
    now: Timestamp,
) -> Option<Timestamp> {
    let (code, text) = reply.split_at(3);
    let explanation = explain(stage, &Reply::new(code.parse().unwrap(), text.trim()));
    let lesson = Lesson {
        scope: explanation.scope,
        explanation: Some(&explanation),
    };
    schedule.failed(&mailbox(n), 0, lesson, now)
}

#[test]
fn three_at_once_thirty_a_minute_ten_thousand_a_day() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let mut grants: Vec<Grant> = [16, 16, 16]
        .iter()
        .filter_map(
            |wanted| match schedule.ask(&mailbox(1), 0, *wanted, start()) {
                Answer::Go(grant) => Some(grant),
                _ => None,
            },
        )
        .collect();
    let sizes: Vec<u32> = grants.iter().map(|grant| grant.messages).collect();
    assert_eq!(sizes, [16, 14], "thirty in all");
    assert_eq!(schedule.ask(&mailbox(1), 0, 30, start()), Answer::Busy);
    for grant in &mut grants {
        while grant.messages > 0 {
            schedule.sending(&mailbox(1), grant, 300, start());
        }
        schedule.ended(&mailbox(1), 0, *grant);
    }
    let Answer::Later(until) = schedule.ask(&mailbox(1), 0, 30, after(1)) else {
        panic!("the minute is full");
    };
    assert!(until > after(60) && until < after(62));
    let mut last = go(&mut schedule, 1, until);
    assert_eq!(last.recipients, 1000);
    schedule.sending(&mailbox(1), &mut last, 1000, until);
    schedule.ended(&mailbox(1), 0, last);
    let Answer::Later(until) = schedule.ask(&mailbox(1), 0, 30, after(3600)) else {
        panic!("the day is full");
    };
    assert!(until >= after(86_400) && until < after(87_000), "{until}");
    // A restart does not forget the day.
    let note = schedule.note(&mailbox(1), after(3600)).unwrap();
    let mut second = Schedule::new(Pace::default(), 1);
    second.take_up(&mailbox(1), &note);
    assert_eq!(
        second.ask(&mailbox(1), 0, 30, after(3600)),
        Answer::Later(until)
    );
}

#[test]
fn lessons_about_the_pace() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let first = one(&mut schedule, 1, start()).unwrap();
    let second = one(&mut schedule, 1, start()).unwrap();
    let full = "432 4.3.2 Concurrent connections limit exceeded.";
    let until = fail(&mut schedule, 1, Stage::End, full, start()).unwrap();
    assert_eq!(until, after(10));
    schedule.ended(&mailbox(1), 0, first);
    let third = one(&mut schedule, 1, after(10)).unwrap();
    assert!(one(&mut schedule, 1, after(10)).is_none(), "two, not three");
    assert!(one(&mut schedule, 2, after(10)).is_some());
    schedule.ended(&mailbox(1), 0, second);
    schedule.ended(&mailbox(1), 0, third);
    let again = (0..4).filter(|_| one(&mut schedule, 1, after(3700)).is_some());
    assert_eq!(again.count(), 3, "after an hour");
}

#[test]
fn an_envelope_that_the_day_has_no_room_for_waits() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let mut grant = go(&mut schedule, 1, start());
    schedule.sending(&mailbox(1), &mut grant, 9_900, start());
    schedule.ended(&mailbox(1), 0, grant);
    let grant = go(&mut schedule, 1, after(1));
    assert_eq!(grant.recipients, 100);
    schedule.starved(&mailbox(1), after(1));
    schedule.ended(&mailbox(1), 0, grant);
    assert!(
        matches!(schedule.ask(&mailbox(1), 0, 1, after(2)), Answer::Later(at) if at > after(86_000))
    );
}

#[test]
fn one_mailboxes_trouble_is_its_own() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let grant = one(&mut schedule, 1, start()).unwrap();
    let off = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.";
    let until = fail(&mut schedule, 1, Stage::Auth, off, start()).unwrap();
    schedule.ended(&mailbox(1), 0, grant);
    assert!(until > after(60));
    assert!(one(&mut schedule, 1, after(60)).is_none());
    assert!(!one(&mut schedule, 2, after(60)).unwrap().is_probe);
    let waiting = schedule.waiting(&mailbox(1), 0, after(60)).unwrap();
    assert_eq!((waiting.scope, waiting.until), (Scope::Mailbox, until));
    assert!(waiting.reason.starts_with("S-"), "{waiting:?}");
    // One message tries the way; the others wait for it.
    let probe = go(&mut schedule, 1, until);
    assert!(probe.is_probe && probe.messages == 1);
    assert!(one(&mut schedule, 1, until).is_none());
    schedule.succeeded(&mailbox(1), 0);
    schedule.ended(&mailbox(1), 0, probe);
    assert!(!one(&mut schedule, 1, until).unwrap().is_probe);
}

#[test]
fn a_principal_without_a_token_sends_one_probe_for_all() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let grants: Vec<Grant> = (0..10)
        .map(|n| one(&mut schedule, n, start()).unwrap())
        .collect();
    let lesson = Lesson {
        scope: Scope::Principal,
        explanation: None,
    };
    let mut until = start();
    for (n, grant) in grants.into_iter().enumerate() {
        until = schedule.failed(&mailbox(n), 0, lesson, start()).unwrap();
        schedule.ended(&mailbox(n), 0, grant);
    }
    assert!(until < after(15), "one cause counts once: {until}");
    let probes = (0..10).filter(|n| one(&mut schedule, *n, until).is_some());
    assert_eq!(probes.count(), 1);
    let other = schedule.ask(&mailbox(3), 1, 1, until);
    assert!(matches!(other, Answer::Go(_)), "another principal");
}

#[test]
fn envelopes_are_split_by_domain_and_size() {
    let recipients = |domains: &[(&str, usize)]| -> Vec<Recipient> {
        let of = |(domain, count): &(&str, usize)| {
            (0..*count)
                .map(|n| Recipient::new(ForwardPath::parse(&format!("r{n}@{domain}")).unwrap()))
                .collect::<Vec<_>>()
        };
        domains.iter().flat_map(of).collect()
    };
    for (domains, expected) in [
        (&[("a.example", 1)][..], &[1][..]),
        (&[("a.example", 200)], &[200]),
        (&[("a.example", 201)], &[200, 1]),
        (&[("A.example", 150), ("a.EXAMPLE", 150)], &[200, 100]),
        (&[("a.example", 450), ("b.example", 10)], &[210, 200, 50]),
        (
            &[("a.example", 200), ("b.example", 200), ("c.example", 200)],
            &[500, 100],
        ),
    ] {
        let all = recipients(domains);
        let parts = split(&all);
        let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
        assert_eq!(sizes, expected, "{domains:?}");
        let mut places: Vec<usize> = parts.concat();
        places.sort_unstable();
        assert!(places.into_iter().eq(0..all.len()));
    }
}

/// Five days of a service that defers everything, replayed: each attempt's time.
fn five_days(seed: u64) -> Vec<Timestamp> {
    let mut schedule = Schedule::new(Pace::default(), seed);
    let mut now = start();
    let mut attempts = Vec::new();
    while now < after(5 * 86_400) {
        match schedule.ask(&mailbox(1), 0, 30, now) {
            Answer::Go(mut grant) => {
                schedule.sending(&mailbox(1), &mut grant, 1, now);
                attempts.push(now);
                let count = u32::try_from(attempts.len()).unwrap();
                schedule.ended(&mailbox(1), 0, grant);
                now = schedule.retry_at(Backoff::default(), count, now);
            }
            Answer::Later(until) => now = until,
            Answer::Busy => panic!("nothing is under way"),
        }
    }
    attempts
}

#[test]
fn five_days_of_deferrals_replay_from_a_seed() {
    let attempts = five_days(7);
    assert_eq!(attempts, five_days(7));
    assert_ne!(attempts, five_days(8));
    assert!((50..75).contains(&attempts.len()), "{}", attempts.len());
    let waits: Vec<SignedDuration> = attempts
        .windows(2)
        .map(|w| w[1].duration_since(w[0]))
        .collect();
    assert!(waits[0] >= SignedDuration::from_mins(1) && waits[0] <= SignedDuration::from_secs(72));
    assert!(
        waits
            .iter()
            .all(|wait| *wait <= SignedDuration::from_mins(144))
    );
    assert!(
        waits[8..]
            .iter()
            .all(|wait| *wait >= SignedDuration::from_hours(2))
    );
}

/// Simulates many mailboxes against the limits; gives the time until all is sent.
fn simulate(mailboxes: usize, messages: u32, send: Duration) -> Duration {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let mut left: HashMap<usize, u32> = (0..mailboxes).map(|n| (n, messages)).collect();
    // Events: a mailbox asks, or a send of it ends.
    let mut events: BinaryHeap<Reverse<(Timestamp, usize, bool)>> = (0..mailboxes)
        .map(|n| Reverse((start(), n, false)))
        .collect();
    let mut log: HashMap<usize, Vec<Timestamp>> = HashMap::new();
    let mut grants: HashMap<usize, Vec<Grant>> = HashMap::new();
    let mut last = start();
    while let Some(Reverse((now, n, is_end))) = events.pop() {
        if is_end {
            schedule.succeeded(&mailbox(n), 0);
            let grant = grants.get_mut(&n).and_then(Vec::pop).unwrap();
            schedule.ended(&mailbox(n), 0, grant);
            last = last.max(now);
        }
        while left[&n] > 0 {
            match schedule.ask(&mailbox(n), 0, 1, now) {
                Answer::Go(mut grant) => {
                    schedule.sending(&mailbox(n), &mut grant, 1, now);
                    grants.entry(n).or_default().push(grant);
                    log.entry(n).or_default().push(now);
                    *left.get_mut(&n).unwrap() -= 1;
                    events.push(Reverse((later(now, send), n, true)));
                }
                Answer::Later(until) => {
                    events.push(Reverse((until, n, false)));
                    break;
                }
                Answer::Busy => break,
            }
        }
    }
    for times in log.values() {
        for (at, time) in times.iter().enumerate() {
            let within = times[at..]
                .iter()
                .take_while(|t| t.duration_since(*time) < SignedDuration::from_mins(1));
            assert!(within.count() <= 30, "more than 30 a minute");
        }
    }
    Duration::try_from(last.duration_since(start())).unwrap()
}

use super::backoff::later;

#[test]
fn a_thousand_mailboxes_take_what_the_limits_allow() {
    // Ten messages at two seconds each, three at a time: four rounds.
    let taken = simulate(1000, 10, Duration::from_secs(2));
    assert!(taken <= Duration::from_secs(8).mul_f64(1.05), "{taken:?}");
    // A hundred: thirty, a minute, thirty, a minute, thirty, a minute, ten.
    let taken = simulate(100, 100, Duration::from_millis(100));
    let allowed = Duration::from_mins(3) + Duration::from_millis(400);
    assert!(taken <= allowed.mul_f64(1.05), "{taken:?}");
}
