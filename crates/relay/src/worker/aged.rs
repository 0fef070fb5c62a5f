//! Messages that grow old while nothing is tried for them: behind a closed gate only the message
//! of a probe is looked at, and without a principal none. Their time runs all the same.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use sendas_envelope::{Class, Mailbox, Status};
use sendas_spool::{Claim, MessageId, SpoolError, View};
use tokio_util::sync::CancellationToken;

use super::ending::Keeper;
use super::{Delivery, Ways};
use crate::limits::{AGED_MESSAGES_MAX, LEASE};
use crate::memo::Memo;
use crate::schedule::{Cause, PACE};

/// How far the messages of each mailbox that is held back have been looked through for delays:
/// each is told once.
#[derive(Debug, Default)]
pub(super) struct Ages(HashMap<Mailbox, MessageId>);

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    /// Those who asked for it hear that it is late.
    Late,
    /// Its time is over.
    Over,
}

impl Delivery {
    /// Fails what was tried for long enough, and tells of what is late, wherever something else
    /// than the message's own date holds it back.
    pub(super) async fn judge_aged(
        &self,
        ages: &mut Ages,
        stop: &CancellationToken,
    ) -> Result<(), SpoolError> {
        let waiting = self.spool.read(View::mailboxes_due).await?;
        let ways = self.ways.borrow().clone();
        let before = std::mem::take(&mut ages.0);
        for entry in waiting {
            let Ok(mailbox) = entry.mailbox.parse::<Mailbox>() else {
                continue;
            };
            let Some(cause) = self.held_by(&ways, &mailbox) else {
                continue;
            };
            let keeper = Keeper {
                delivery: self,
                ways: &ways,
                mailbox: &mailbox,
                principal: ways.policy.principal_of(&mailbox),
            };
            // What waits for its turn alone has an attempt to come, whatever its age.
            if cause.reason != PACE {
                keeper.judge(Age::Over, &cause, None, stop).await?;
            }
            let told = before.get(&mailbox).copied();
            let told = keeper.judge(Age::Late, &cause, told, stop).await?;
            if let Some(told) = told {
                ages.0.insert(mailbox, told);
            }
        }
        Ok(())
    }

    /// What keeps a mailbox from sending at all.
    fn held_by(&self, ways: &Ways, mailbox: &Mailbox) -> Option<Cause> {
        let Some((_, way)) = ways.way_of(mailbox) else {
            return Some(Cause {
                reason: "no-principal".to_owned(),
                // X.3.5: the system is configured wrongly.
                status: Status::new(Class::Temporary, 3, 5),
                text: format!("no principal of the configuration sends for {mailbox}"),
                is_reply: false,
            });
        };
        let now = self.clock.now().wall;
        let waiting = self.schedule().waiting(mailbox, way, now)?;
        Some(waiting.cause)
    }
}

impl Keeper<'_> {
    /// Judges the messages of that age behind an id; gives the last one.
    async fn judge(
        self,
        age: Age,
        cause: &Cause,
        mut after: Option<MessageId>,
        stop: &CancellationToken,
    ) -> Result<Option<MessageId>, SpoolError> {
        let terms = self.ways.terms;
        let limit = match age {
            Age::Late => terms.delay_notice_after,
            Age::Over => terms.retry_for,
        };
        let key = self.mailbox.address().key();
        while !stop.is_cancelled() {
            let now = self.delivery.clock.now().wall;
            let (key, last) = (key.clone(), after);
            let ids = self
                .delivery
                .spool
                .read(move |view| {
                    let with_options = age == Age::Late;
                    view.aged(
                        &key,
                        sooner(now, limit),
                        with_options,
                        last,
                        AGED_MESSAGES_MAX,
                    )
                })
                .await?;
            let Some(last) = ids.last() else {
                break;
            };
            after = Some(*last);
            let judged = ids.into_iter().map(|id| self.judge_one(id, age, cause));
            for result in join_all(judged).await {
                result?;
            }
        }
        Ok(after)
    }

    async fn judge_one(self, id: MessageId, age: Age, cause: &Cause) -> Result<(), SpoolError> {
        let now = self.delivery.clock.now().wall;
        let claim = match self.delivery.spool.claim_id(id, false, LEASE, now).await {
            Ok(claim) => claim,
            // Somebody else has it by now, or it is gone.
            Err(
                SpoolError::State { .. } | SpoolError::NotFound(_) | SpoolError::Damaged { .. },
            ) => return Ok(()),
            Err(error) => return Err(error),
        };
        if claim.mailbox == *self.mailbox {
            self.judge_claim(&claim, age, cause, now).await;
        } else {
            self.give_back(vec![claim]).await;
        }
        Ok(())
    }

    async fn judge_claim(self, claim: &Claim, age: Age, cause: &Cause, now: Timestamp) {
        let memo = Memo::parse(&claim.memo);
        let judged = self.case(claim, &memo, now, true).judge_unsent(cause);
        let means_something = match age {
            Age::Late => !judged.fates.is_empty(),
            Age::Over => !judged.is_unsent,
        };
        if means_something {
            self.keep(claim, judged).await;
        } else {
            self.give_back(vec![claim.clone()]).await;
        }
    }
}

/// A time before another; the distant past instead of an overflow.
fn sooner(now: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait)
        .ok()
        .and_then(|wait| now.checked_sub(wait).ok())
        .unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use sendas_entra::{Clock, Moment};
    use sendas_envelope::{Envelope, ForwardPath, Notify, Recipient, ReversePath};
    use sendas_spool::{Filter, Message, Options, RecipientState, Spool, State, Submission};
    use tokio::sync::{Notify as Bell, watch};

    use super::*;
    use crate::context::Counters;
    use crate::policy::{Policy, test_settings};
    use crate::schedule::{Answer, Lesson, Pace, Schedule, Way};
    use crate::worker::{Terms, Unsettled};
    use sendas_exchange::Scope;

    struct SetClock(Mutex<Timestamp>);

    impl Clock for SetClock {
        fn now(&self) -> Moment {
            Moment {
                wall: *self.0.lock().unwrap(),
                steady: Duration::ZERO,
            }
        }
    }

    struct Stage {
        delivery: Delivery,
        clock: Arc<SetClock>,
        ages: Ages,
        _ways: watch::Sender<Ways>,
        _folder: tempfile::TempDir,
    }

    fn start() -> Timestamp {
        "2026-11-23T05:00:00Z".parse().unwrap()
    }

    fn way() -> Way {
        Way {
            principal: "p".into(),
            service: "smtp.example:587".into(),
        }
    }

    impl Stage {
        /// One principal for everybody at contoso.com.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let options = Options::new(folder.path().join("spool.db"));
            let spool = Spool::open(&options, start()).unwrap();
            let clients = vec![test_settings::client(
                "c",
                &["10.0.0.1"],
                &["m@contoso.com"],
            )];
            let principals = [test_settings::principal(&["*@contoso.com"])];
            let policy = Policy::new(&test_settings::relay(clients), &principals).unwrap();
            let ways = Ways {
                policy: Arc::new(policy),
                pools: Arc::new([]),
                roads: Arc::new([way()]),
                terms: Terms {
                    retry_for: Duration::from_hours(120),
                    delay_notice_after: Duration::from_hours(4),
                    uncertain: sendas_config::Uncertain::Resend,
                },
                history: Duration::from_hours(24),
            };
            let (sender, ways) = watch::channel(ways);
            let clock = Arc::new(SetClock(Mutex::new(start())));
            let delivery = Delivery {
                spool,
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                hostname: "relay.test".into(),
                counters: Arc::new(Counters::default()),
                ways,
                schedule: Mutex::new(Schedule::new(Pace::default(), 1)),
                noting: tokio::sync::Mutex::default(),
                unsettled: Unsettled::default(),
                stranded: Mutex::default(),
                clocks: Mutex::new(clock.now()),
                freed: Bell::new(),
            };
            Self {
                delivery,
                clock,
                ages: Ages::default(),
                _ways: sender,
                _folder: folder,
            }
        }

        async fn accept(&self, mailbox: &str, notify: Option<Notify>) -> MessageId {
            let mut to = Recipient::new(ForwardPath::parse("a@example.org").unwrap());
            to.notify = notify;
            let from = ReversePath::parse("m@contoso.com").unwrap();
            let envelope = Envelope::new(from, vec![to]).unwrap();
            let spool = &self.delivery.spool;
            let body = b"Subject: s\r\n\r\nbody\r\n";
            let body = spool.stage_whole(body).await.unwrap();
            let submission = Submission::new(envelope, mailbox.parse().unwrap());
            let now = self.delivery.clock.now().wall;
            spool.accept(submission, body, now).await.unwrap().id
        }

        /// A probe of the mailbox has failed.
        fn close(&self, mailbox: &str, scope: Scope, text: &str) {
            let mailbox: Mailbox = mailbox.parse().unwrap();
            let now = self.delivery.clock.now().wall;
            let mut schedule = self.delivery.schedule();
            let Answer::Go(grant) = schedule.ask(&mailbox, &way(), 1, now) else {
                panic!("it may be tried");
            };
            let cause = Cause {
                reason: "S-AUTH-REFUSED".to_owned(),
                status: Status::new(Class::Permanent, 7, 3),
                text: text.to_owned(),
                is_reply: true,
            };
            let lesson = Lesson {
                scope,
                explanation: None,
                cause: &cause,
                is_opening: true,
            };
            schedule.failed(&mailbox, &way(), lesson, now).unwrap();
            schedule.ended(&mailbox, &way(), grant);
        }

        async fn judge_at(&mut self, hours: i64) -> Vec<Message> {
            *self.clock.0.lock().unwrap() = start() + SignedDuration::from_hours(hours);
            let stop = CancellationToken::new();
            self.delivery
                .judge_aged(&mut self.ages, &stop)
                .await
                .unwrap();
            self.all().await
        }

        async fn all(&self) -> Vec<Message> {
            self.delivery
                .spool
                .read(|view| {
                    let ids = view.ids(&Filter::default(), None, 1000)?;
                    ids.into_iter().map(|id| view.message(id)).collect()
                })
                .await
                .unwrap()
        }
    }

    const NO: &str = "535 5.7.3 Authentication unsuccessful";

    #[tokio::test]
    async fn every_message_behind_a_gate_ends_with_its_time() {
        let mut stage = Stage::new();
        let mut ids = Vec::new();
        for n in 0..100 {
            let mailbox = if n % 2 == 0 { "m" } else { "n" };
            ids.push(stage.accept(&format!("{mailbox}@contoso.com"), None).await);
        }
        let strange = stage.accept("x@fabrikam.com", None).await;
        stage.close("m@contoso.com", Scope::Principal, NO);
        let all = stage.judge_at(119).await;
        assert!(all.iter().all(|m| m.summary.state == State::Waiting));
        stage.delivery.schedule().open_all();
        let all = stage.judge_at(121).await;
        let waiting = all.iter().filter(|m| m.summary.state == State::Waiting);
        // The mailbox that no principal covers has ended, and its notice waits.
        assert_eq!(waiting.count(), 101, "an attempt is still to come");
        stage.close("m@contoso.com", Scope::Principal, NO);
        let all = stage.judge_at(121).await;
        for message in &all {
            let delivery = &message.summary.deliveries[0];
            if message.summary.sender.is_empty() {
                continue;
            }
            assert_eq!(delivery.state, RecipientState::Refused);
            if message.summary.id == strange {
                assert_eq!(message.summary.reason, "no-principal");
            } else {
                assert_eq!(delivery.reply, NO);
                assert_eq!(delivery.status.unwrap().to_string(), "5.7.3");
            }
        }
        let notices = all.iter().filter(|m| m.summary.sender.is_empty());
        assert_eq!(notices.count(), 101);
        assert!(ids.len() == 100);
    }

    #[tokio::test]
    async fn those_who_asked_hear_once_of_a_delay() {
        let mut stage = Stage::new();
        stage.accept("m@contoso.com", None).await;
        let delay = "FAILURE,DELAY".parse().unwrap();
        stage.accept("m@contoso.com", Some(delay)).await;
        stage.close("m@contoso.com", Scope::Mailbox, NO);
        assert_eq!(stage.judge_at(3).await.len(), 2);
        for hours in [5, 6, 7] {
            let all = stage.judge_at(hours).await;
            assert_eq!(all.len(), 3, "one notice");
            assert!(all.iter().all(|m| m.summary.state == State::Waiting));
        }
        // A restart does not tell it again.
        stage.ages = Ages::default();
        assert_eq!(stage.judge_at(8).await.len(), 3);
    }

    #[tokio::test]
    async fn a_notice_goes_through_a_mailbox_that_can_send() {
        let mut stage = Stage::new();
        stage.accept("n@contoso.com", None).await;
        stage.close("n@contoso.com", Scope::Mailbox, NO);
        // The client's own mailbox is open: it tells what the other cannot.
        let all = stage.judge_at(121).await;
        let notice = all.iter().find(|m| m.summary.sender.is_empty()).unwrap();
        assert_eq!(notice.summary.mailbox, "m@contoso.com");
        assert_eq!(stage.delivery.stranded(), 0);
        // With the whole principal shut there is nobody left, and that is told.
        stage.accept("n@contoso.com", None).await;
        *stage.clock.0.lock().unwrap() = start() + SignedDuration::from_hours(300);
        stage.delivery.schedule().open_all();
        stage.close("n@contoso.com", Scope::Principal, NO);
        let all = stage.judge_at(300).await;
        let last = all.last().unwrap();
        assert!(last.summary.sender.is_empty());
        assert_eq!(last.summary.mailbox, "n@contoso.com");
        assert_eq!(stage.delivery.stranded(), 1);
        stage.delivery.schedule().open_all();
        assert_eq!(stage.delivery.stranded(), 0);
    }
}
