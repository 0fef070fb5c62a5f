//! Clocks that jump.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::SignedDuration;
use sendas_entra::Moment;
use sendas_envelope::{Address, Envelope};
use sendas_spool::{Options, Submission};

use super::*;
use crate::policy::test_settings::{client, principal, relay};
use crate::schedule::{Cause, Lesson, Pace, Way};

/// A clock that is set by hand.
#[derive(Default)]
struct Jumping {
    steady_s: AtomicI64,
    wall_s: AtomicI64,
}

impl Clock for Jumping {
    fn now(&self) -> Moment {
        let start: Timestamp = "2026-11-23T05:06:07Z".parse().unwrap();
        let passed = self.steady_s.load(Ordering::Relaxed);
        Moment {
            wall: start + SignedDuration::from_secs(self.wall_s.load(Ordering::Relaxed)),
            steady: Duration::from_secs(passed.unsigned_abs()),
        }
    }
}

impl Jumping {
    fn advance(&self, wall_s: i64, steady_s: i64) {
        self.wall_s.fetch_add(wall_s, Ordering::Relaxed);
        self.steady_s.fetch_add(steady_s, Ordering::Relaxed);
    }
}

fn way() -> Way {
    Way {
        principal: "p".into(),
        service: "service:587".into(),
    }
}

fn delivery(spool: Spool, clock: &Arc<Jumping>) -> Delivery {
    let settings = relay(vec![client("c", &["10.0.0.1"], &["a@contoso.com"])]);
    let policy = Policy::new(&settings, &[principal(&["*"])]).unwrap();
    let ways = Ways {
        policy: Arc::new(policy),
        pools: Arc::new([]),
        roads: Arc::new([way()]),
        terms: Terms {
            retry_for: settings.retry_for,
            delay_notice_after: settings.delay_notice_after,
            uncertain: settings.uncertain,
        },
        history: settings.history,
    };
    let now = clock.now();
    Delivery {
        spool,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        hostname: "relay.test".into(),
        counters: Arc::default(),
        ways: watch::channel(ways).1,
        schedule: Mutex::new(Schedule::new(Pace::default(), 1)),
        noting: tokio::sync::Mutex::default(),
        unsettled: Unsettled::default(),
        stranded: Mutex::default(),
        clocks: Mutex::new(now),
        freed: Notify::new(),
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nothing_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Jumping::default());
    let options = Options::new(folder.path().join("spool.db"));
    let spool = Spool::open(&options, clock.now().wall).unwrap();
    let delivery = delivery(spool.clone(), &clock);
    let mailbox: Mailbox = "a@contoso.com".parse().unwrap();
    let from: Address = "a@contoso.com".parse().unwrap();
    let to: Address = "x@example.org".parse().unwrap();
    let later = clock.now().wall + SignedDuration::from_hours(1);
    let mut submission = Submission::new(
        Envelope::new(from, vec![to.into()]).unwrap(),
        mailbox.clone(),
    );
    submission.due = Some(later);
    let staged = spool.stage_whole(b"x\r\n").await.unwrap();
    let accepted = spool
        .accept(submission, staged, clock.now().wall)
        .await
        .unwrap();
    let due = async || {
        let message = spool.read(move |view| view.message(accepted.id)).await;
        message.unwrap().summary.due.unwrap()
    };
    // The mailbox has used its minute, and its gate is closed.
    let fill = |delivery: &Delivery| {
        let now = clock.now().wall;
        let mut schedule = delivery.schedule();
        let Answer::Go(mut grant) = schedule.ask(&mailbox, &way(), 100, now) else {
            panic!("the mailbox may send");
        };
        while grant.messages > 0 {
            schedule.sending(&mailbox, &mut grant, 1, now);
        }
        schedule.ended(&mailbox, &way(), grant);
        let cause = Cause {
            reason: "other".to_owned(),
            status: sendas_envelope::Status::new(sendas_envelope::Class::Temporary, 0, 0),
            text: "closed".to_owned(),
            is_reply: false,
        };
        let lesson = Lesson {
            scope: sendas_exchange::Scope::Mailbox,
            explanation: None,
            cause: &cause,
            is_opening: true,
        };
        schedule.failed(&mailbox, &way(), lesson, now).unwrap();
    };
    fill(&delivery);
    // Time that passes on both clocks, a small step, and a step forward change nothing.
    for (wall_s, steady_s) in [(30, 30), (-30, 5), (90, 1)] {
        clock.advance(wall_s, steady_s);
        delivery.compare_clocks().await.unwrap();
        assert_eq!(due().await, later);
    }
    let year = 365 * 24 * 3600;
    clock.advance(-year, 30);
    delivery.compare_clocks().await.unwrap();
    let now = clock.now().wall;
    assert!(due().await <= now, "it is tried now, not in a year");
    // A minute later it may send again, however far away the old dates are.
    clock.advance(61, 61);
    let answer = delivery
        .schedule()
        .ask(&mailbox, &way(), 1, clock.now().wall);
    assert!(matches!(answer, Answer::Go(_)), "{answer:?}");
}

#[tokio::test]
async fn far_dates_are_no_trouble() {
    // 2038, a leap day, the end of summer time, and the far end of what a date can be.
    for start in [
        "2038-01-19T03:14:07Z",
        "2028-02-29T23:59:59Z",
        "2026-10-25T00:59:59Z",
        "9998-12-31T23:59:59Z",
    ] {
        let clock = Arc::new(Jumping::default());
        let start: Timestamp = start.parse().unwrap();
        clock.advance(start.as_second() - clock.now().wall.as_second(), 0);
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(folder.path().join("spool.db"));
        let spool = Spool::open(&options, clock.now().wall).unwrap();
        let delivery = delivery(spool, &clock);
        for _ in 0..3 {
            let stop = CancellationToken::new();
            delivery
                .tidy_once(&mut Ages::default(), &stop)
                .await
                .unwrap();
            clock.advance(3_600, 3_600);
        }
        let mailbox: Mailbox = "a@contoso.com".parse().unwrap();
        let answer = delivery
            .schedule()
            .ask(&mailbox, &way(), 1, clock.now().wall);
        assert!(matches!(answer, Answer::Go(_)), "{start}: {answer:?}");
    }
}
