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

const MS: Duration = Duration::from_millis(1);

fn start() -> Timestamp {
    "2026-11-23T05:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn mailbox(n: usize) -> Mailbox {
    format!("m{n}@contoso.com").parse().unwrap()
}

fn way() -> Way {
    way_of("contoso", "smtp.office365.com:587")
}

fn way_of(principal: &str, service: &str) -> Way {
    Way {
        principal: principal.into(),
        service: service.into(),
    }
}

fn go(schedule: &mut Schedule, n: usize, now: Timestamp) -> Grant {
    match schedule.ask(&mailbox(n), &way(), 30, now) {
        Answer::Go(grant) => grant,
        other => panic!("{other:?}"),
    }
}

/// One message's grant.
fn one(schedule: &mut Schedule, n: usize, now: Timestamp) -> Option<Grant> {
    match schedule.ask(&mailbox(n), &way(), 1, now) {
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
    let cause = Cause {
        reason: explanation.id.to_owned(),
        status: Reply::new(code.parse().unwrap(), text.trim()).status_or_implied(),
        text: reply.to_owned(),
        is_reply: true,
    };
    let lesson = Lesson {
        scope: explanation.scope,
        explanation: Some(&explanation),
        cause: &cause,
        is_opening: stage <= Stage::Auth,
    };
    schedule.failed(&mailbox(n), &way(), lesson, now)
}

fn no_token() -> Cause {
    Cause {
        reason: "token".to_owned(),
        status: Status::new(Class::Temporary, 7, 0),
        text: "no token".to_owned(),
        is_reply: false,
    }
}

fn of_token(cause: &Cause) -> Lesson<'_> {
    Lesson {
        scope: Scope::Principal,
        explanation: None,
        cause,
        is_opening: true,
    }
}

#[test]
fn three_at_once_thirty_a_minute_ten_thousand_a_day() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let mut grants: Vec<Grant> = [16, 16, 16]
        .iter()
        .filter_map(
            |wanted| match schedule.ask(&mailbox(1), &way(), *wanted, start()) {
                Answer::Go(grant) => Some(grant),
                _ => None,
            },
        )
        .collect();
    let sizes: Vec<u32> = grants.iter().map(|grant| grant.messages).collect();
    assert_eq!(sizes, [16, 14], "thirty in all");
    assert_eq!(schedule.ask(&mailbox(1), &way(), 30, start()), Answer::Busy);
    for grant in &mut grants {
        while grant.messages > 0 {
            schedule.sending(&mailbox(1), grant, 300, start());
        }
        schedule.ended(&mailbox(1), &way(), *grant);
    }
    let Answer::Later(until) = schedule.ask(&mailbox(1), &way(), 30, after(1)) else {
        panic!("the minute is full");
    };
    assert!(until > after(60) && until < after(62));
    let mut last = go(&mut schedule, 1, until);
    assert_eq!(last.recipients, 1000);
    schedule.sending(&mailbox(1), &mut last, 1000, until);
    schedule.ended(&mailbox(1), &way(), last);
    let Answer::Later(until) = schedule.ask(&mailbox(1), &way(), 30, after(3600)) else {
        panic!("the day is full");
    };
    assert!(until >= after(86_400) && until < after(87_000), "{until}");
    // A restart does not forget the day.
    let mut second = restarted(&mut schedule, after(3600));
    assert_eq!(
        second.ask(&mailbox(1), &way(), 30, after(3600)),
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
    schedule.ended(&mailbox(1), &way(), first);
    let third = one(&mut schedule, 1, after(10)).unwrap();
    assert!(one(&mut schedule, 1, after(10)).is_none(), "two, not three");
    assert!(one(&mut schedule, 2, after(10)).is_some());
    schedule.ended(&mailbox(1), &way(), second);
    schedule.ended(&mailbox(1), &way(), third);
    let again = (0..4).filter(|_| one(&mut schedule, 1, after(3700)).is_some());
    assert_eq!(again.count(), 3, "after an hour");
}

#[test]
fn an_envelope_that_the_day_has_no_room_for_waits() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let mut grant = go(&mut schedule, 1, start());
    schedule.sending(&mailbox(1), &mut grant, 9_900, start());
    schedule.ended(&mailbox(1), &way(), grant);
    let grant = go(&mut schedule, 1, after(1));
    assert_eq!(grant.recipients, 100);
    schedule.starved(&mailbox(1), after(1));
    schedule.ended(&mailbox(1), &way(), grant);
    assert!(
        matches!(schedule.ask(&mailbox(1), &way(), 1, after(2)), Answer::Later(at) if at > after(86_000))
    );
}

#[test]
fn one_mailboxes_trouble_is_its_own() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let grant = one(&mut schedule, 1, start()).unwrap();
    let off = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.";
    let until = fail(&mut schedule, 1, Stage::Auth, off, start()).unwrap();
    schedule.ended(&mailbox(1), &way(), grant);
    assert!(until > after(60));
    assert!(one(&mut schedule, 1, after(60)).is_none());
    assert!(!one(&mut schedule, 2, after(60)).unwrap().is_probe);
    let waiting = schedule.waiting(&mailbox(1), &way(), after(60)).unwrap();
    assert_eq!((waiting.scope, waiting.until), (Scope::Mailbox, until));
    assert!(waiting.cause.reason.starts_with("S-"), "{waiting:?}");
    assert_eq!(waiting.cause.text, off);
    // One message tries the way; the others wait for it.
    let probe = go(&mut schedule, 1, until);
    assert!(probe.is_probe && probe.messages == 1);
    assert!(one(&mut schedule, 1, until).is_none());
    schedule.succeeded(&mailbox(1), &way());
    schedule.ended(&mailbox(1), &way(), probe);
    assert!(!one(&mut schedule, 1, until).unwrap().is_probe);
}

#[test]
fn a_principal_without_a_token_sends_one_probe_for_all() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let grants: Vec<Grant> = (0..10)
        .map(|n| one(&mut schedule, n, start()).unwrap())
        .collect();
    let cause = no_token();
    let lesson = of_token(&cause);
    let mut until = start();
    for (n, grant) in grants.into_iter().enumerate() {
        until = schedule
            .failed(&mailbox(n), &way(), lesson, start())
            .unwrap();
        schedule.ended(&mailbox(n), &way(), grant);
    }
    assert!(until < after(15), "one cause counts once: {until}");
    let probes = (0..10).filter(|n| one(&mut schedule, *n, until).is_some());
    assert_eq!(probes.count(), 1);
    let other = way_of("fabrikam", "smtp.office365.com:587");
    let other = schedule.ask(&mailbox(3), &other, 1, until);
    assert!(matches!(other, Answer::Go(_)), "another principal");
}

#[test]
fn each_service_has_a_gate_of_its_own_and_names_outlive_a_reload() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let china = way_of("china", "smtp.partner.outlook.cn:587");
    let cause = no_token();
    for (n, way, scope) in [(1, &china, Scope::Service), (2, &way(), Scope::Principal)] {
        let Answer::Go(grant) = schedule.ask(&mailbox(n), way, 1, start()) else {
            panic!("nothing is closed yet");
        };
        let lesson = Lesson {
            scope,
            ..of_token(&cause)
        };
        assert!(schedule.failed(&mailbox(n), way, lesson, start()).is_some());
        schedule.ended(&mailbox(n), way, grant);
    }
    let mut is_open =
        |way: Way| matches!(schedule.ask(&mailbox(3), &way, 1, after(1)), Answer::Go(_));
    assert!(!is_open(china) && !is_open(way()));
    assert!(
        is_open(way_of("fabrikam", "smtp.office365.com:587")),
        "another principal at the service that was reached"
    );
}

#[test]
fn a_gate_is_tried_every_five_minutes_and_when_somebody_asks() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let cause = no_token();
    let mut now = start();
    let mut waits = Vec::new();
    for _ in 0..12 {
        let grant = one(&mut schedule, 1, now).unwrap();
        let until = schedule.failed(&mailbox(1), &way(), of_token(&cause), now);
        schedule.ended(&mailbox(1), &way(), grant);
        waits.push(until.unwrap().duration_since(now));
        now = until.unwrap();
    }
    let longest = SignedDuration::try_from(crate::limits::GATE_LONGEST).unwrap();
    assert!(
        waits.iter().all(|wait| *wait <= longest * 6 / 5),
        "{waits:?}"
    );
    assert!(waits[11] >= longest, "{waits:?}");
    // The probe that somebody asks for, and nothing else.
    let grant = one(&mut schedule, 1, now).unwrap();
    schedule.failed(&mailbox(1), &way(), of_token(&cause), now);
    schedule.ended(&mailbox(1), &way(), grant);
    assert!(one(&mut schedule, 1, now).is_none());
    schedule.hurry(&mailbox(1), &way(), now, now);
    assert!(one(&mut schedule, 1, now).is_none(), "tried after that");
    schedule.hurry(&mailbox(1), &way(), later(now, MS), now);
    assert!(one(&mut schedule, 1, now).unwrap().is_probe);
    assert!(one(&mut schedule, 2, now).is_none());
    // Another configuration: everybody goes.
    schedule.open_all();
    assert!(!schedule.is_any_closed());
    assert!(!one(&mut schedule, 2, now).unwrap().is_probe);
}

/// A schedule that knows what was noted, as a restart leaves it.
fn restarted(schedule: &mut Schedule, now: Timestamp) -> Schedule {
    let mut second = Schedule::new(Pace::default(), 1);
    for (mailbox, note) in schedule.notes(now).paces {
        second.take_up(&mailbox, &note);
    }
    second
}

#[test]
fn a_restart_keeps_the_minute() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let mut grant = go(&mut schedule, 1, start());
    for _ in 0..30 {
        schedule.sending(&mailbox(1), &mut grant, 1, start());
    }
    let mut second = restarted(&mut schedule, after(20));
    let answer = second.ask(&mailbox(1), &way(), 1, after(20));
    assert!(
        matches!(answer, Answer::Later(at) if at > after(60) && at < after(62)),
        "{answer:?}"
    );
    assert!(one(&mut second, 1, after(62)).is_some());
}

#[test]
fn only_what_has_changed_is_noted_and_what_is_over_forgotten() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    for n in 0..100 {
        let mut grant = one(&mut schedule, n, start()).unwrap();
        schedule.sending(&mailbox(n), &mut grant, 1, start());
        schedule.ended(&mailbox(n), &way(), grant);
    }
    assert_eq!(schedule.notes(after(30)).paces.len(), 100);
    assert_eq!(schedule.notes(after(60)), Notes::default());
    let mut grant = one(&mut schedule, 7, after(90)).unwrap();
    schedule.sending(&mailbox(7), &mut grant, 1, after(90));
    schedule.ended(&mailbox(7), &way(), grant);
    let notes = schedule.notes(after(120));
    assert_eq!(notes.paces.len(), 1);
    schedule.notes_lost(&notes);
    assert_eq!(schedule.notes(after(150)), notes);
    // Two days later nothing of it is left, in the notes nor here.
    let notes = schedule.notes(after(2 * 86_400));
    assert_eq!(notes.paces.len(), 100);
    assert!(notes.paces.iter().all(|(_, note)| note.is_empty()));
    assert_eq!(schedule.lanes.len(), 0);
}

#[test]
fn gates_are_noted_when_they_close_and_open() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let grant = one(&mut schedule, 1, start()).unwrap();
    let cause = no_token();
    let until = schedule
        .failed(&mailbox(1), &way(), of_token(&cause), start())
        .unwrap();
    schedule.ended(&mailbox(1), &way(), grant);
    assert!(schedule.is_noteworthy(&mailbox(1), &way()));
    let held = Held {
        cause,
        since: start(),
        until,
    };
    let name: Arc<str> = "contoso".into();
    let closed = [(Scope::Principal, Arc::clone(&name), Some(held))];
    assert_eq!(schedule.notes(after(1)).gates, closed);
    assert!(!schedule.is_noteworthy(&mailbox(1), &way()));
    schedule.succeeded(&mailbox(1), &way());
    assert_eq!(
        schedule.notes(after(1)).gates,
        [(Scope::Principal, name, None)]
    );
}

#[test]
fn a_login_opens_what_a_login_closed() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let grant = one(&mut schedule, 1, start()).unwrap();
    let off = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.";
    let until = fail(&mut schedule, 1, Stage::Auth, off, start()).unwrap();
    schedule.ended(&mailbox(1), &way(), grant);
    let probe = one(&mut schedule, 1, until).unwrap();
    schedule.logged_in(&mailbox(1), &way());
    // The message itself is refused: that is no matter of the mailbox.
    let no = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found";
    assert_eq!(fail(&mut schedule, 1, Stage::Rcpt, no, until), None);
    schedule.ended(&mailbox(1), &way(), probe);
    assert!(!one(&mut schedule, 1, until).unwrap().is_probe);
    // What came after the login is not ended by one.
    let cause = no_token();
    let lesson = Lesson {
        scope: Scope::Mailbox,
        is_opening: false,
        ..of_token(&cause)
    };
    schedule.failed(&mailbox(1), &way(), lesson, until).unwrap();
    schedule.logged_in(&mailbox(1), &way());
    assert!(schedule.waiting(&mailbox(1), &way(), until).is_some());
}

#[test]
fn another_send_that_ends_ends_no_probe() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let first = one(&mut schedule, 1, start()).unwrap();
    let slow = one(&mut schedule, 2, start()).unwrap();
    let cause = no_token();
    let until = schedule
        .failed(&mailbox(1), &way(), of_token(&cause), start())
        .unwrap();
    schedule.ended(&mailbox(1), &way(), first);
    assert!(one(&mut schedule, 1, until).unwrap().is_probe);
    schedule.ended(&mailbox(2), &way(), slow);
    assert!(
        one(&mut schedule, 3, until).is_none(),
        "one probe at a time"
    );
}

#[test]
fn many_recipients_and_sends_bring_a_lesson_once() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let mut grants: Vec<Grant> = (0..2)
        .map(|_| one(&mut schedule, 1, start()).unwrap())
        .collect();
    let full = "432 4.3.2 Concurrent connections limit exceeded.";
    for _ in 0..50 {
        fail(&mut schedule, 1, Stage::End, full, start());
    }
    for grant in &mut grants {
        schedule.sending(&mailbox(1), grant, 1, start());
        schedule.ended(&mailbox(1), &way(), *grant);
    }
    let mut again: Vec<Grant> = (0..3)
        .filter_map(|_| one(&mut schedule, 1, after(62)))
        .collect();
    assert_eq!(again.len(), 2, "two at once, not one");
    let fast =
        "421 4.4.2 Message submission rate for this client has exceeded the configured limit";
    for _ in 0..50 {
        fail(&mut schedule, 1, Stage::End, fast, after(62));
    }
    for grant in again.drain(..) {
        schedule.ended(&mailbox(1), &way(), grant);
    }
    let grant = go(&mut schedule, 1, after(200));
    assert_eq!(grant.messages, 15, "half as many a minute, once");
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
        match schedule.ask(&mailbox(1), &way(), 30, now) {
            Answer::Go(mut grant) => {
                schedule.sending(&mailbox(1), &mut grant, 1, now);
                attempts.push(now);
                let count = u32::try_from(attempts.len()).unwrap();
                schedule.ended(&mailbox(1), &way(), grant);
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
            schedule.succeeded(&mailbox(n), &way());
            let grant = grants.get_mut(&n).and_then(Vec::pop).unwrap();
            schedule.ended(&mailbox(n), &way(), grant);
            last = last.max(now);
        }
        while left[&n] > 0 {
            match schedule.ask(&mailbox(n), &way(), 1, now) {
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
