//! One send: claims of one mailbox through one session, settled each.

use std::sync::Arc;

use futures_util::future::join_all;
use sendas_envelope::{Envelope, Mailbox};
use sendas_spool::{Claim, SpoolError};
use sendas_submit::{Attempt, Lease, Message, MessageError, Outcome, Submission, verdict};
use tokio_util::sync::CancellationToken;

use super::ending::Ending;
use super::load::LoadError;
use super::{Delivery, Ways, load};
use crate::limits::{BATCH_OCTETS_MAX, LEASE};
use crate::log;
use crate::memo::Memo;
use crate::schedule::{Backoff, Grant, Way, split};

/// One send.
pub(super) struct Batch {
    pub(super) delivery: Arc<Delivery>,
    pub(super) ways: Ways,
    pub(super) mailbox: Mailbox,
    pub(super) principal: usize,
    pub(super) way: Way,
    pub(super) grant: Grant,
    pub(super) stop: CancellationToken,
}

/// A claim on its way.
pub(super) struct Parcel {
    pub(super) claim: Claim,
    pub(super) memo: Memo,
    message: Message,
    /// Envelopes, each with the places of its recipients in the claim.
    parts: Vec<(Envelope, Vec<usize>)>,
    /// Outcomes by place in the claim; none for what was not sent.
    pub(super) outcomes: Vec<Option<Outcome>>,
}

impl Batch {
    pub(super) async fn run(mut self) {
        Box::pin(self.send()).await;
        let delivery = Arc::clone(&self.delivery);
        let is_noteworthy = {
            let mut schedule = delivery.schedule();
            schedule.ended(&self.mailbox, &self.way, self.grant);
            schedule.is_noteworthy(&self.mailbox, &self.way)
        };
        delivery.freed.notify_one();
        if is_noteworthy {
            delivery.remember().await;
        }
    }

    /// Claims and sends; whatever happens, no claim is left behind.
    async fn send(&mut self) {
        let now = self.delivery.clock.now().wall;
        let limit = self.grant.messages as usize;
        let spool = &self.delivery.spool;
        let mut claims = match spool.claim(&self.mailbox, limit, LEASE, now).await {
            Ok(claims) => claims.into_iter(),
            Err(error) => return log::spool_trouble(&error),
        };
        // Small messages leave together, a large one by itself.
        let mut room = (self.grant.messages, self.grant.recipients);
        let mut together: Vec<Parcel> = Vec::new();
        let mut octets = 0;
        while !self.stop.is_cancelled()
            && let Some(claim) = claims.next()
        {
            let Some(parcel) = self.load(claim, &mut room).await else {
                continue;
            };
            if octets + parcel.message.octets() > BATCH_OCTETS_MAX && !together.is_empty() {
                octets = 0;
                if !self.dispatch(std::mem::take(&mut together)).await {
                    self.give_back(vec![parcel.claim]).await;
                    break;
                }
            }
            octets += parcel.message.octets();
            together.push(parcel);
        }
        if !together.is_empty() {
            self.dispatch(together).await;
        }
        self.give_back(claims.collect()).await;
    }

    /// Loads a claim and cuts it into envelopes; what finds no room, or cannot be loaded, goes
    /// back.
    async fn load(&self, claim: Claim, room: &mut (u32, u32)) -> Option<Parcel> {
        let now = self.delivery.clock.now().wall;
        let loaded = match self.delivery.spool.body(claim.id, now).await {
            Ok(body) => load::message(body, claim.envelope.body).await,
            // It has been set aside for a person; the claim is over.
            Err(SpoolError::Damaged { id, what }) => {
                log::damaged(id, &what);
                return None;
            }
            Err(error) => Err(error.into()),
        };
        let message = match loaded {
            Ok(message) => message,
            // No later attempt would find it otherwise: it waits for a person.
            Err(LoadError::Message(error @ (MessageError::LineEnd(_) | MessageError::Empty))) => {
                log::unsendable(claim.id, &error);
                self.end(&claim, Ending::unsendable(&claim, &error)).await;
                return None;
            }
            Err(error) => {
                log::not_loaded(claim.id, &error);
                let until = self
                    .delivery
                    .schedule()
                    .retry_at(Backoff::default(), 3, now);
                self.end(&claim, Ending::back_until(&claim, until, "storage"))
                    .await;
                return None;
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
            self.give_back(vec![claim]).await;
            return None;
        }
        let outcomes = vec![None; recipients.len()];
        Some(Parcel {
            memo: Memo::parse(&claim.memo),
            claim,
            message,
            parts,
            outcomes,
        })
    }

    /// Opens or reuses a session, marks, sends and settles; false when there is no session.
    async fn dispatch(&mut self, parcels: Vec<Parcel>) -> bool {
        let claims =
            |parcels: Vec<Parcel>| parcels.into_iter().map(|parcel| parcel.claim).collect();
        let Some(pool) = self.ways.pools.get(self.principal) else {
            self.give_back(claims(parcels)).await;
            return false;
        };
        let mut lease = match pool.lease(&self.mailbox).await {
            Ok(lease) => lease,
            Err(error) => {
                let failure = verdict::of_opening(&Arc::new(error));
                self.put_off(claims(parcels), &failure).await;
                return false;
            }
        };
        if !lease.is_reused() {
            self.delivery.schedule().logged_in(&self.mailbox, &self.way);
        }
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
        join_all(settled).await;
        true
    }

    /// Notes durably that the messages are about to leave. A claim that is over stays here; one
    /// that could not be marked goes back.
    async fn mark(&self, parcels: Vec<Parcel>) -> Vec<Parcel> {
        let now = self.delivery.clock.now().wall;
        let marks = parcels.iter().map(|parcel| {
            let places = parcel.parts.iter().flat_map(|(_, places)| places);
            let numbers = places.map(|at| parcel.claim.numbers[*at]).collect();
            self.delivery.spool.mark_dot(&parcel.claim, numbers, now)
        });
        let results = join_all(marks).await;
        let (mut marked, mut unmarked) = (Vec::with_capacity(parcels.len()), Vec::new());
        for (parcel, result) in parcels.into_iter().zip(results) {
            match result {
                Ok(()) => marked.push(parcel),
                Err(error) => {
                    log::not_marked(parcel.claim.id, &error);
                    if !matches!(error, SpoolError::Stale(_)) {
                        unmarked.push(parcel.claim);
                    }
                }
            }
        }
        self.give_back(unmarked).await;
        marked
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

    async fn prolong(&self, parcels: &[Parcel]) {
        for parcel in parcels {
            self.keeper().prolong(&parcel.claim).await;
        }
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
