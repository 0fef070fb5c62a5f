//! Delivery: looks for what is due, asks the schedule, sends, settles.
//!
//! One loop decides; each send is a task of its own, so that a slow mailbox delays none other.

mod aged;
mod batch;
mod ending;
mod load;
mod notes;
mod notify;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sendas_entra::{Clock, Moment};
use sendas_envelope::Mailbox;
use sendas_spool::{
    Change, Filter, MailboxDue, MessageId, Spool, SpoolError, State, Verdict, View,
};
use sendas_submit::Pool;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::Counters;
use crate::limits::{BATCH_MESSAGES_MAX, CLOCK_STEP_BACK, QUIT_DEADLINE, SWEEP_EVERY};
use crate::log;
use crate::policy::Policy;
use crate::schedule::{Answer, Schedule, Way};

use aged::Ages;
pub(crate) use settle::Terms;

/// What delivery needs, shared by its tasks.
pub(crate) struct Delivery {
    pub(crate) spool: Spool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) hostname: Arc<str>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ways: watch::Receiver<Ways>,
    pub(crate) schedule: Mutex<Schedule>,
    /// One writes notes at a time, so that what is noted last is what is newest.
    pub(crate) noting: tokio::sync::Mutex<()>,
    /// Claims that ended and could not be stored yet.
    pub(crate) unsettled: Unsettled,
    /// Mailboxes that were given notices although they cannot send.
    pub(crate) stranded: Mutex<HashSet<Mailbox>>,
    /// Both clocks when they were last compared.
    pub(crate) clocks: Mutex<Moment>,
    /// A send has ended: there may be room for another.
    pub(crate) freed: Notify,
}

/// Counts claims whose end could not be stored yet.
#[derive(Debug, Default)]
pub(crate) struct Unsettled(AtomicU32);

/// One of them, until dropped.
struct Stuck<'a>(&'a AtomicU32);

/// What may change while the relay runs.
#[derive(Clone)]
pub(crate) struct Ways {
    pub(crate) policy: Arc<Policy>,
    /// One pool for each principal, in the order of the settings.
    pub(crate) pools: Arc<[Pool]>,
    /// What each principal's mailboxes share, in the same order.
    pub(crate) roads: Arc<[Way]>,
    pub(crate) terms: Terms,
    pub(crate) history: Duration,
}

/// The shortest time between two looks at the queue: many commits are one look.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// After a look the loop rests for so many times what the look took: a look grows with the mailboxes
/// that wait, and must not become what the relay does all day.
const REST_FACTOR: u32 = 4;

/// The longest such rest.
const REST_MAX: Duration = Duration::from_millis(250);

/// The longest time between two looks: whatever else goes wrong, the queue moves.
const LOOK_LATEST: Duration = Duration::from_secs(30);

/// Messages of one send.
#[expect(clippy::cast_possible_truncation, reason = "it is a small constant")]
const BATCH_MAX: u32 = BATCH_MESSAGES_MAX as u32;

/// Rests, unless the timer is coarser than the rest.
async fn pause(rest: Duration) {
    if rest >= Duration::from_millis(1) {
        tokio::time::sleep(rest).await;
    }
}

impl Delivery {
    /// Runs until told to stop, then waits for the sends that are under way.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        if let Err(error) = self.recall().await {
            log::spool_trouble(&error);
        }
        let sends = TaskTracker::new();
        let tidy = sends.spawn(Arc::clone(&self).tidy(stop.clone()));
        let mut changes = self.spool.watch_changes();
        while !stop.is_cancelled() {
            let begin = self.clock.now().steady;
            let next = self.look(&sends, &stop).await;
            let took = self.clock.now().steady.saturating_sub(begin);
            let rest = took.saturating_mul(REST_FACTOR).min(REST_MAX);
            let wait = next
                .map_or(LOOK_LATEST, |at| {
                    Duration::try_from(at.duration_since(self.clock.now().wall))
                        .unwrap_or(Duration::ZERO)
                })
                .clamp(LOOK_EVERY, LOOK_LATEST);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                () = self.freed.notified() => pause(rest).await,
                // The sender lives in the spool: it outlives this loop.
                _ = changes.changed() => tokio::time::sleep(rest.max(LOOK_EVERY)).await,
            }
        }
        sends.close();
        drop(tidy);
        sends.wait().await;
        self.remember().await;
    }

    /// Starts every send that may start now; says when there may be another.
    async fn look(
        self: &Arc<Self>,
        sends: &TaskTracker,
        stop: &CancellationToken,
    ) -> Option<Timestamp> {
        let is_any_closed = self.schedule().is_any_closed();
        let ask = move |view: &View| {
            let retried = if is_any_closed {
                view.retried()?
            } else {
                Vec::new()
            };
            Ok((view.mailboxes_due()?, retried))
        };
        let (waiting, retried) = match self.spool.read(ask).await {
            Ok(answers) => answers,
            Err(error) => {
                log::spool_trouble(&error);
                return None;
            }
        };
        let ways = self.ways.borrow().clone();
        self.hurry(&ways, retried);
        let mut next: Option<Timestamp> = None;
        let mut sooner = |at: Timestamp| next = Some(next.map_or(at, |next| next.min(at)));
        for MailboxDue {
            mailbox,
            due,
            messages,
        } in waiting
        {
            let now = self.clock.now().wall;
            if due > now {
                sooner(due);
                // They come in order of their dates.
                break;
            }
            let Ok(mailbox) = mailbox.parse::<Mailbox>() else {
                continue;
            };
            let Some((principal, way)) = ways.way_of(&mailbox) else {
                log::no_principal(&mailbox, messages);
                continue;
            };
            // One send is started for each batch there is work for.
            let mut left = messages;
            while left > 0 {
                let wanted = u32::try_from(left).unwrap_or(u32::MAX).min(BATCH_MAX);
                let answer = self.schedule().ask(&mailbox, way, wanted, now);
                match answer {
                    Answer::Go(grant) => {
                        let batch = batch::Batch {
                            delivery: Arc::clone(self),
                            ways: ways.clone(),
                            mailbox: mailbox.clone(),
                            principal,
                            way: way.clone(),
                            grant,
                            stop: stop.clone(),
                        };
                        left = left.saturating_sub(u64::from(grant.messages));
                        sends.spawn(batch.run());
                    }
                    Answer::Later(until) => {
                        sooner(until);
                        break;
                    }
                    // It ends, and wakes this loop.
                    Answer::Busy => break,
                }
            }
        }
        next
    }

    /// Somebody has retried messages of these mailboxes.
    fn hurry(&self, ways: &Ways, retried: Vec<(String, Timestamp)>) {
        let now = self.clock.now().wall;
        for (mailbox, asked_at) in retried {
            if let Ok(mailbox) = mailbox.parse::<Mailbox>()
                && let Some((_, way)) = ways.way_of(&mailbox)
            {
                self.schedule().hurry(&mailbox, way, asked_at, now);
            }
        }
    }

    /// The configuration is another: what waits for a way to the service tries it.
    pub(crate) fn reloaded(&self) {
        self.schedule().open_all();
        self.freed.notify_one();
    }

    pub(crate) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        // A panic elsewhere leaves nothing half-done behind this lock.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what time asks for, as long as the relay runs.
    async fn tidy(self: Arc<Self>, stop: CancellationToken) {
        let mut ages = Ages::default();
        loop {
            if let Err(error) = self.tidy_once(&mut ages, &stop).await {
                log::spool_trouble(&error);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SWEEP_EVERY) => {}
            }
        }
    }

    async fn tidy_once(&self, ages: &mut Ages, stop: &CancellationToken) -> Result<(), SpoolError> {
        self.compare_clocks().await?;
        let (history, terms) = {
            let ways = self.ways.borrow();
            (ways.history, ways.terms)
        };
        // A claim whose outcome waits for the disk is nobody else's, however long that takes.
        while !self.unsettled.is_any() {
            let now = self.clock.now().wall;
            if !self.spool.sweep(history, now).await?.more {
                break;
            }
        }
        self.judge_suspects(terms).await?;
        self.judge_aged(ages, stop).await?;
        self.remember().await;
        let pools = Arc::clone(&self.ways.borrow().pools);
        for pool in pools.iter() {
            // What does not say goodbye in time is closed all the same.
            drop(timeout(QUIT_DEADLINE, pool.tidy()).await);
        }
        Ok(())
    }

    /// A wall clock that was set back leaves dates behind that nobody meant: they are given up.
    async fn compare_clocks(&self) -> Result<(), SpoolError> {
        let now = self.clock.now();
        let before = {
            // A panic elsewhere leaves nothing half-done behind this lock.
            let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *clocks, now)
        };
        let passed = now.steady.saturating_sub(before.steady);
        let expected = before.wall.saturating_add(passed).unwrap_or(before.wall);
        let back = Duration::try_from(expected.duration_since(now.wall)).unwrap_or(Duration::ZERO);
        if back < CLOCK_STEP_BACK {
            return Ok(());
        }
        self.schedule().clock_set_back(now.wall);
        let waiting = Filter::state(State::Waiting);
        let tried = self
            .spool
            .change(&waiting, &Change::Retry, now.wall)
            .await?;
        log::clock_set_back(back, tried);
        Ok(())
    }

    /// Messages whose last attempt ended without a word behind the final dot.
    async fn judge_suspects(&self, terms: Terms) -> Result<(), SpoolError> {
        let mut after = None;
        loop {
            let filter = Filter::state(State::Suspect);
            let ids = self
                .spool
                .read(move |view| view.ids(&filter, after, usize::MAX))
                .await?;
            let Some(last) = ids.last() else {
                return Ok(());
            };
            after = Some(*last);
            self.judge(ids, terms).await?;
        }
    }

    async fn judge(&self, ids: Vec<MessageId>, terms: Terms) -> Result<(), SpoolError> {
        for id in ids {
            let verdict = match terms.uncertain {
                sendas_config::Uncertain::Resend => Verdict::Resend,
                sendas_config::Uncertain::Hold => Verdict::Hold,
            };
            log::suspect(id, &verdict);
            let now = self.clock.now().wall;
            match self.spool.judge(id, verdict, now).await {
                // Somebody else has judged it.
                Ok(_) | Err(SpoolError::State { .. } | SpoolError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Ways {
    /// The principal that logs in as a mailbox, and what it shares.
    pub(crate) fn way_of(&self, mailbox: &Mailbox) -> Option<(usize, &Way)> {
        let principal = self.policy.principal_of(mailbox)?;
        Some((principal, self.roads.get(principal)?))
    }
}

impl Unsettled {
    fn enter(&self) -> Stuck<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Stuck(&self.0)
    }

    fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Stuck<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
