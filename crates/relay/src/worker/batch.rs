//! One send: claims of one mailbox through one session, settled each.

use std::sync::Arc;

use futures_util::future::join_all;
use sendas_envelope::{Envelope, Mailbox};
use sendas_exchange::Scope;
use sendas_spool::{Claim, Outcome as Kept, Settlement, SpoolError};
use sendas_submit::{Attempt, Failure, Lease, Message, Outcome, Submission, verdict};
use tokio_util::sync::CancellationToken;

use super::settle::{Case, Judged, reason};
use super::{Delivery, Ways, load};
use crate::limits::{BATCH_OCTETS_MAX, LEASE};
use crate::log;
use crate::memo::Memo;
use crate::schedule::{Backoff, Grant, Lesson, split};

/// One send.
pub(super) struct Batch {
    pub(super) delivery: Arc<Delivery>,
    pub(super) ways: Ways,
    pub(super) mailbox: Mailbox,
    pub(super) principal: usize,
    pub(super) grant: Grant,
    pub(super) stop: CancellationToken,
}

/// A claim on its way.
struct Parcel {
    claim: Claim,
    memo: Memo,
    message: Message,
    /// Envelopes, each with the places of its recipients in the claim.
    parts: Vec<(Envelope, Vec<usize>)>,
    /// Outcomes by place in the claim; none for what was not sent.
    outcomes: Vec<Option<Outcome>>,
}

impl Batch {
    pub(super) async fn run(mut self) {
        if let Err(error) = Box::pin(self.send()).await {
            log::spool_trouble(&error);
        }
        let delivery = Arc::clone(&self.delivery);
        delivery
            .schedule()
            .ended(&self.mailbox, self.principal, self.grant);
        delivery.freed.notify_one();
    }

    async fn send(&mut self) -> Result<(), SpoolError> {
        let now = self.delivery.clock.now().wall;
        let limit = self.grant.messages as usize;
        let spool = &self.delivery.spool;
        let mut claims = spool
            .claim(&self.mailbox, limit, LEASE, now)
            .await?
            .into_iter();
        // Small messages leave together, a large one by itself.
        let mut room = (self.grant.messages, self.grant.recipients);
        let mut together: Vec<Parcel> = Vec::new();
        let mut octets = 0;
        while !self.stop.is_cancelled()
            && let Some(claim) = claims.next()
        {
            let Some(parcel) = self.load(claim, &mut room).await? else {
                continue;
            };
            if octets + parcel.message.octets() > BATCH_OCTETS_MAX && !together.is_empty() {
                octets = 0;
                if !self.dispatch(std::mem::take(&mut together)).await? {
                    self.give_back(vec![parcel.claim]).await?;
                    break;
                }
            }
            octets += parcel.message.octets();
            together.push(parcel);
        }
        if !together.is_empty() {
            self.dispatch(together).await?;
        }
        self.give_back(claims.collect()).await
    }

    /// Loads a claim and cuts it into envelopes; what finds no room, or cannot be loaded, goes
    /// back.
    async fn load(
        &self,
        claim: Claim,
        room: &mut (u32, u32),
    ) -> Result<Option<Parcel>, SpoolError> {
        let now = self.delivery.clock.now().wall;
        let loaded = match self.delivery.spool.body(claim.id, now).await {
            Ok(body) => load::message(body, claim.envelope.body).await,
            // It has been set aside for a person; the claim is over.
            Err(SpoolError::Damaged { id, what }) => {
                log::damaged(id, &what);
                return Ok(None);
            }
            Err(error) => Err(error.into()),
        };
        let message = match loaded {
            Ok(message) => message,
            Err(error) => {
                log::not_loaded(claim.id, &error);
                let until = self
                    .delivery
                    .schedule()
                    .retry_at(Backoff::default(), 3, now);
                let back = Settlement::give_back(&claim, Some((until, "storage".to_owned())));
                return self.end(&claim, back).await.map(|()| None);
            }
        };
        let recipients = claim.envelope.recipients();
        let mut parts = Vec::new();
        for places in split(recipients) {
            let count = u32::try_from(places.len()).unwrap_or(u32::MAX);
            if room.0 == 0 || count > room.1 {
                break;
            }
            let own = places.iter().map(|at| recipients[*at].clone()).collect();
            let Ok(envelope) = claim.envelope.with_recipients(own) else {
                continue;
            };
            *room = (room.0 - 1, room.1 - count);
            parts.push((envelope, places));
        }
        if parts.is_empty() {
            if room.0 == self.grant.messages {
                self.delivery.schedule().starved(&self.mailbox, now);
            }
            return self.give_back(vec![claim]).await.map(|()| None);
        }
        let outcomes = vec![None; recipients.len()];
        Ok(Some(Parcel {
            memo: Memo::parse(&claim.memo),
            claim,
            message,
            parts,
            outcomes,
        }))
    }

    /// Opens or reuses a session, marks, sends and settles; false when there is no session.
    async fn dispatch(&mut self, parcels: Vec<Parcel>) -> Result<bool, SpoolError> {
        let claims =
            |parcels: Vec<Parcel>| parcels.into_iter().map(|parcel| parcel.claim).collect();
        let Some(pool) = self.ways.pools.get(self.principal) else {
            self.give_back(claims(parcels)).await?;
            return Ok(false);
        };
        let mut lease = match pool.lease(&self.mailbox).await {
            Ok(lease) => lease,
            Err(error) => {
                let failure = verdict::of_opening(&Arc::new(error));
                self.put_off(claims(parcels), &failure).await?;
                return Ok(false);
            }
        };
        let mut parcels = self.mark(parcels).await;
        let offers_dsn = lease.session().capabilities().dsn;
        let attempts = self.submit(&parcels, &mut lease).await;
        drop(lease);
        let mut attempts = attempts.into_iter();
        for parcel in &mut parcels {
            for (_, places) in &parcel.parts {
                let Some(attempt) = attempts.next() else {
                    break;
                };
                for (place, outcome) in places.iter().zip(attempt.outcomes) {
                    parcel.outcomes[*place] = Some(outcome);
                }
            }
        }
        let settled = parcels
            .into_iter()
            .map(|parcel| self.settle(parcel, offers_dsn));
        for result in join_all(settled).await {
            result?;
        }
        Ok(true)
    }

    /// Notes durably that the messages are about to leave. A claim that is over stays here.
    async fn mark(&self, parcels: Vec<Parcel>) -> Vec<Parcel> {
        let now = self.delivery.clock.now().wall;
        let marks = parcels.iter().map(|parcel| {
            let places = parcel.parts.iter().flat_map(|(_, places)| places);
            let numbers = places.map(|at| parcel.claim.numbers[*at]).collect();
            self.delivery.spool.mark_dot(&parcel.claim, numbers, now)
        });
        let marked = join_all(marks).await;
        let both = parcels.into_iter().zip(marked);
        both.filter_map(|(parcel, marked)| match marked {
            Ok(()) => Some(parcel),
            Err(error) => {
                log::not_marked(parcel.claim.id, &error);
                None
            }
        })
        .collect()
    }

    /// One attempt for each envelope, the leases prolonged meanwhile.
    async fn submit(&mut self, parcels: &[Parcel], lease: &mut Lease) -> Vec<Attempt> {
        let submissions: Vec<Submission<'_>> = parcels
            .iter()
            .flat_map(|parcel| {
                let message = &parcel.message;
                parcel
                    .parts
                    .iter()
                    .map(move |(envelope, _)| Submission { envelope, message })
            })
            .collect();
        let now = self.delivery.clock.now().wall;
        {
            let mut schedule = self.delivery.schedule();
            for submission in &submissions {
                let count = submission.envelope.recipients().len();
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                schedule.sending(&self.mailbox, &mut self.grant, count, now);
            }
        }
        let sent = transmit(lease, &submissions);
        tokio::pin!(sent);
        loop {
            tokio::select! {
                attempts = &mut sent => return attempts,
                () = tokio::time::sleep(LEASE / 3) => self.prolong(parcels).await,
            }
        }
    }

    /// A claim that is over is found out when it is settled.
    async fn prolong(&self, parcels: &[Parcel]) {
        let now = self.delivery.clock.now().wall;
        for parcel in parcels {
            drop(self.delivery.spool.extend(&parcel.claim, LEASE, now).await);
        }
    }

    async fn settle(&self, parcel: Parcel, offers_dsn: bool) -> Result<(), SpoolError> {
        let Parcel {
            claim,
            memo,
            outcomes,
            ..
        } = parcel;
        let now = self.delivery.clock.now().wall;
        let judged = {
            let mut schedule = self.delivery.schedule();
            let mut gate = None;
            for outcome in outcomes.iter().flatten() {
                match outcome {
                    Outcome::Accepted(_) => schedule.succeeded(&self.mailbox, self.principal),
                    Outcome::Deferred(failure)
                    | Outcome::Refused(failure)
                    | Outcome::Uncertain(failure) => {
                        let lesson = lesson(failure);
                        let until = schedule.failed(&self.mailbox, self.principal, lesson, now);
                        gate = gate.max(until);
                    }
                }
            }
            let case = Case {
                claim: &claim,
                memo: &memo,
                terms: self.ways.terms,
                now,
                gate,
                offers_dsn,
            };
            let recipients = claim.recipients().zip(&outcomes);
            let given = recipients.filter_map(|((number, recipient), outcome)| {
                Some((number, recipient, outcome.as_ref()?))
            });
            case.judge(given, &mut schedule)
        };
        self.keep(&claim, &memo, judged).await
    }

    /// No session: what is concerned waits, and its messages with it.
    async fn put_off(&self, claims: Vec<Claim>, failure: &Failure) -> Result<(), SpoolError> {
        let now = self.delivery.clock.now().wall;
        let gate =
            self.delivery
                .schedule()
                .failed(&self.mailbox, self.principal, lesson(failure), now);
        log::no_session(&self.mailbox, failure, gate);
        for claim in claims {
            let memo = Memo::parse(&claim.memo);
            let case = Case {
                claim: &claim,
                memo: &memo,
                terms: self.ways.terms,
                now,
                gate,
                offers_dsn: true,
            };
            let judged = case.judge_opening(failure, &mut self.delivery.schedule());
            if let Some(judged) = judged {
                self.keep(&claim, &memo, judged).await?;
            } else {
                let until = gate.map(|until| (until, reason(failure)));
                self.end(&claim, Settlement::give_back(&claim, until))
                    .await?;
            }
        }
        Ok(())
    }

    /// Stores what was judged, with the notices it calls for, in one commit.
    async fn keep(&self, claim: &Claim, memo: &Memo, judged: Judged) -> Result<(), SpoolError> {
        let Judged {
            outcomes,
            fates,
            memo: changed,
        } = judged;
        let notices = if fates.is_empty() {
            Vec::new()
        } else {
            self.delivery
                .notices(&self.ways, self.principal, claim, memo, fates)
                .await?
        };
        let (mut delivered, mut deferred, mut failed) = (0, 0, 0);
        for (_, outcome) in &outcomes {
            match outcome {
                Kept::Accepted { .. } => delivered += 1,
                Kept::Refused { .. } => failed += 1,
                _ => deferred += 1,
            }
            log::attempted(claim, outcome);
        }
        let told = notices.len() as u64;
        self.delivery
            .counters
            .settled(delivered, deferred, failed, told);
        let settlement = Settlement {
            outcomes,
            route: self.route(),
            memo: changed.map(|memo| memo.to_text()),
            notices,
            uncounted: false,
        };
        self.end(claim, settlement).await
    }

    /// Ends a claim. That somebody else has the message by now is no error: the fence says so.
    async fn end(&self, claim: &Claim, settlement: Settlement) -> Result<(), SpoolError> {
        let now = self.delivery.clock.now().wall;
        match self.delivery.spool.settle(claim, settlement, now).await {
            Ok(_) | Err(SpoolError::Stale(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Claims that were not tried.
    async fn give_back(&self, claims: Vec<Claim>) -> Result<(), SpoolError> {
        for claim in claims {
            self.end(&claim, Settlement::give_back(&claim, None))
                .await?;
        }
        Ok(())
    }

    fn route(&self) -> String {
        let host = self
            .ways
            .pools
            .get(self.principal)
            .map_or("", |pool| pool.connector().host());
        format!("{host} as {}", self.mailbox)
    }
}

/// Sends everything; a service that turns out not to understand BDAT gets what it did not
/// understand again, by DATA.
async fn transmit(lease: &mut Lease, submissions: &[Submission<'_>]) -> Vec<Attempt> {
    let mut attempts = lease.session().send_all(submissions).await;
    for (attempt, submission) in attempts.iter_mut().zip(submissions) {
        if attempt.is_chunking_refused && lease.session().is_usable() {
            let Submission { envelope, message } = *submission;
            *attempt = lease.session().send(envelope, message).await;
        }
    }
    attempts
}

fn lesson(failure: &Failure) -> Lesson<'_> {
    // A connection that broke in the middle of a message says nothing about the others.
    let is_link = matches!(failure.origin, sendas_submit::Origin::Link(_));
    Lesson {
        scope: if is_link {
            Scope::Message
        } else {
            failure.scope
        },
        explanation: failure.explanation.as_deref(),
    }
}
