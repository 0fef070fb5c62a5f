//! How claims end: what they brought is judged and kept, whatever the disk says meanwhile.

use futures_util::future::join_all;
use jiff::Timestamp;
use sendas_envelope::Mailbox;
use sendas_exchange::Scope;
use sendas_spool::{Claim, Outcome as Kept, Settlement, SpoolError};
use sendas_submit::{Failure, MessageError, Origin, Outcome};

use super::batch::{Batch, Parcel};
use super::settle::{Case, Given, Judged, cause};
use super::{Delivery, Ways};
use crate::dsn::Fate;
use crate::limits::{LEASE, SETTLE_RETRY_FIRST, SETTLE_RETRY_LONGEST};
use crate::log;
use crate::memo::Memo;
use crate::schedule::{Cause, Lesson};

/// What a claim comes to, as often as it takes to store it.
#[derive(Default)]
pub(super) struct Ending {
    outcomes: Vec<(u32, Kept)>,
    /// Those who are told, in the same commit.
    fates: Vec<Fate>,
    memo: Option<Memo>,
    /// It never reached the service: no attempt is counted.
    uncounted: bool,
}

impl Ending {
    /// Nothing was tried.
    fn back() -> Self {
        Self {
            uncounted: true,
            ..Self::default()
        }
    }

    /// Nothing was tried, and nothing is until then.
    pub(super) fn back_until(claim: &Claim, until: Timestamp, reason: &str) -> Self {
        let back = Settlement::give_back(claim, Some((until, reason.to_owned())));
        Self {
            outcomes: back.outcomes,
            ..Self::back()
        }
    }

    /// What is stored cannot be sent as it is: a person has to look.
    pub(super) fn unsendable(claim: &Claim, error: &MessageError) -> Self {
        let held = |&number| {
            let held = Kept::Held {
                reason: "unsendable".to_owned(),
                status: None,
                reply: error.to_string(),
            };
            (number, held)
        };
        Self {
            outcomes: claim.numbers.iter().map(held).collect(),
            ..Self::back()
        }
    }

    /// Gives up what is not the outcome itself; false when there is nothing to give up.
    fn lighten(&mut self) -> bool {
        let had_more = !self.fates.is_empty() || self.memo.is_some();
        self.fates.clear();
        self.memo = None;
        had_more
    }
}

/// Ends the claims of one mailbox.
#[derive(Clone, Copy)]
pub(super) struct Keeper<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) ways: &'a Ways,
    pub(super) mailbox: &'a Mailbox,
    pub(super) principal: Option<usize>,
}

impl Batch {
    pub(super) async fn settle(&self, parcel: Parcel, offers_dsn: bool) {
        let Parcel {
            claim,
            memo,
            outcomes,
            ..
        } = parcel;
        let now = self.delivery.clock.now().wall;
        let judged = {
            let mut schedule = self.delivery.schedule();
            let gates: Vec<Option<Timestamp>> = outcomes
                .iter()
                .map(|outcome| {
                    let failure = match outcome.as_ref()? {
                        Outcome::Accepted(_) => {
                            schedule.succeeded(&self.mailbox, &self.way);
                            return None;
                        }
                        other => other.failure()?,
                    };
                    let cause = cause(failure);
                    let lesson = lesson(failure, &cause);
                    schedule.failed(&self.mailbox, &self.way, lesson, now)
                })
                .collect();
            let given = claim.recipients().zip(&outcomes).zip(gates);
            let given = given.filter_map(|(((number, recipient), outcome), gate)| {
                Some(Given {
                    number,
                    recipient,
                    outcome: outcome.as_ref()?,
                    gate,
                })
            });
            self.keeper()
                .case(&claim, &memo, now, offers_dsn)
                .judge(given, &mut schedule)
        };
        self.keeper().keep(&claim, judged).await;
    }

    /// No session: what is concerned waits, and its messages with it.
    pub(super) async fn put_off(&self, claims: Vec<Claim>, failure: &Failure) {
        let now = self.delivery.clock.now().wall;
        let cause = cause(failure);
        let gate =
            self.delivery
                .schedule()
                .failed(&self.mailbox, &self.way, lesson(failure, &cause), now);
        log::no_session(&self.mailbox, failure, gate);
        let keeper = self.keeper();
        let put_off = claims.iter().map(|claim| async {
            let memo = Memo::parse(&claim.memo);
            let judged = keeper.case(claim, &memo, now, true).judge_unsent(&cause);
            keeper.keep(claim, judged).await;
        });
        join_all(put_off).await;
    }

    pub(super) async fn end(&self, claim: &Claim, ending: Ending) {
        self.keeper().end(claim, ending).await;
    }

    pub(super) async fn give_back(&self, claims: Vec<Claim>) {
        self.keeper().give_back(claims).await;
    }

    pub(super) fn keeper(&self) -> Keeper<'_> {
        Keeper {
            delivery: &self.delivery,
            ways: &self.ways,
            mailbox: &self.mailbox,
            principal: Some(self.principal),
        }
    }
}

impl Keeper<'_> {
    /// Claims that were not tried.
    pub(super) async fn give_back(&self, claims: Vec<Claim>) {
        join_all(claims.iter().map(|claim| self.end(claim, Ending::back()))).await;
    }

    /// Ends a claim. What it brought is known here alone, and a message that went out would go
    /// out again without it: while the disk is full or busy it is tried until it is stored.
    /// That somebody else has the message by now is no error: the fence says so.
    pub(super) async fn end(&self, claim: &Claim, mut ending: Ending) {
        let mut wait = SETTLE_RETRY_FIRST;
        let mut unsettled = None;
        loop {
            let error = match self.try_end(claim, &ending).await {
                Ok(()) | Err(SpoolError::Stale(_)) => return,
                Err(error) => error,
            };
            if error.is_temporary() {
                log::not_settled(claim.id, &error, wait);
                unsettled.get_or_insert_with(|| self.delivery.unsettled.enter());
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(SETTLE_RETRY_LONGEST);
                self.prolong(claim).await;
            } else {
                log::spool_trouble(&error);
                if !ending.lighten() {
                    return;
                }
            }
        }
    }

    pub(super) async fn prolong(&self, claim: &Claim) {
        let now = self.delivery.clock.now().wall;
        // A claim that is over is found out when it is settled.
        drop(self.delivery.spool.extend(claim, LEASE, now).await);
    }

    /// Stores what was judged, with the notices it calls for, in one commit.
    pub(super) async fn keep(&self, claim: &Claim, judged: Judged) {
        let (mut delivered, mut deferred, mut failed) = (0, 0, 0);
        for (_, outcome) in &judged.outcomes {
            match outcome {
                Kept::Accepted { .. } => delivered += 1,
                Kept::Refused { .. } => failed += 1,
                _ => deferred += 1,
            }
            if !judged.is_unsent {
                log::attempted(claim, outcome);
            }
        }
        self.delivery
            .counters
            .settled(delivered, deferred, failed, 0);
        let ending = Ending {
            outcomes: judged.outcomes,
            fates: judged.fates,
            memo: judged.memo,
            uncounted: judged.is_unsent,
        };
        self.end(claim, ending).await;
    }

    async fn try_end(&self, claim: &Claim, ending: &Ending) -> Result<(), SpoolError> {
        let notices = if ending.fates.is_empty() {
            Vec::new()
        } else {
            let memo = Memo::parse(&claim.memo);
            let fates = ending.fates.clone();
            self.delivery
                .notices(self.ways, self.principal, claim, &memo, fates)
                .await?
        };
        let told = notices.len() as u64;
        let settlement = Settlement {
            outcomes: ending.outcomes.clone(),
            route: self.route(),
            memo: ending.memo.as_ref().map(Memo::to_text),
            notices,
            uncounted: ending.uncounted,
        };
        let now = self.delivery.clock.now().wall;
        self.delivery.spool.settle(claim, settlement, now).await?;
        self.delivery.counters.settled(0, 0, 0, told);
        Ok(())
    }

    pub(super) fn case<'c>(
        &self,
        claim: &'c Claim,
        memo: &'c Memo,
        now: Timestamp,
        offers_dsn: bool,
    ) -> Case<'c> {
        Case {
            claim,
            memo,
            terms: self.ways.terms,
            now,
            offers_dsn,
        }
    }

    fn route(&self) -> String {
        let pool = self.principal.and_then(|at| self.ways.pools.get(at));
        let host = pool.map_or("nowhere", |pool| pool.connector().host());
        format!("{host} as {}", self.mailbox)
    }
}

fn lesson<'a>(failure: &'a Failure, cause: &'a Cause) -> Lesson<'a> {
    // A connection that broke in the middle of a message says nothing about the others.
    let is_link = matches!(failure.origin, Origin::Link(_));
    Lesson {
        scope: if is_link {
            Scope::Message
        } else {
            failure.scope
        },
        explanation: failure.explanation.as_deref(),
        cause,
        is_opening: matches!(failure.origin, Origin::Opening(_)),
    }
}
