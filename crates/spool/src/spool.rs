//! The handle: verbs for async callers, each made durable before it answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use sendas_envelope::Mailbox;
use tokio::sync::{mpsc, oneshot, watch};

use crate::accept::{self, Placed};
use crate::body::{Body, BodyTrouble};
use crate::claim;
use crate::error::{Fault, OpenError, SpoolError};
use crate::filter::Filter;
use crate::id::MessageId;
use crate::job::Task;
use crate::limits::{BULK_MESSAGES_MAX, CLAIM_MESSAGES_MAX, NOTE_OCTETS_MAX, READERS_KEPT_MAX};
use crate::manage::{self, Change};
use crate::message::State;
use crate::open::{self, Options};
use crate::read::{BodyPlace, View};
use crate::recover::Recovery;
use crate::schema;
use crate::settle;
use crate::shared::Shared;
use crate::stage::{Staged, Staging};
use crate::submission::{Accepted, Claim, Settled, Settlement, Submission, Verdict};
use crate::sweep::{self, Swept};
use crate::work::{JobResult, Work};
use crate::writer::Order;

/// An open spool.
///
/// Clones share it. Whatever a verb answers is on stable storage before it answers; a verb whose
/// future is dropped may or may not have happened. The process may share the spool with others.
/// When the last clone is dropped the writer ends by itself; [`Spool::close`] waits for that.
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    readers: Readers,
    recovery: Recovery,
}

/// Connections for questions, kept for the next one.
#[derive(Default)]
struct Readers(Mutex<Vec<Connection>>);

impl Spool {
    /// Opens or creates the spool; migrates it, checks it and puts it in order after a crash.
    ///
    /// Blocks, up to a few seconds with a long queue: call it outside the runtime's threads.
    ///
    /// # Errors
    /// [`OpenError`], by who must act.
    pub fn open(options: &Options, now: Timestamp) -> Result<Self, OpenError> {
        let opened = open::open(options, now)?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared: opened.shared,
                orders: opened.orders,
                readers: Readers::default(),
                recovery: opened.recovery,
            }),
        })
    }

    /// What opening found and did.
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// An id for a submission to come, for its Received field.
    pub fn next_id(&self, now: Timestamp) -> MessageId {
        self.inner.shared.ids.next(now)
    }

    /// Octets that may still be written where the bodies lie; `None` where nobody knows. Blocks as
    /// long as the file system takes.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when the file system cannot be asked.
    pub fn room(&self) -> Result<Option<u64>, SpoolError> {
        let shared = &self.inner.shared;
        let asked = shared.disk.room(&shared.folder);
        asked.map_err(SpoolError::from_disk)
    }

    /// Begins to receive a body.
    ///
    /// # Errors
    /// [`SpoolError::Failed`] once the store has failed.
    pub fn stage(&self) -> Result<Staging, SpoolError> {
        self.inner.shared.alive()?;
        Ok(Staging::new(Arc::clone(&self.inner.shared)))
    }

    /// Receives a body that is in memory as a whole.
    ///
    /// # Errors
    /// As [`Staging::write`].
    pub async fn stage_whole(&self, body: &[u8]) -> Result<Staged, SpoolError> {
        let mut staging = self.stage()?;
        staging.write(body).await?;
        staging.finish().await
    }

    /// Takes responsibility for a message: when this answers, it survives the machine.
    ///
    /// # Errors
    /// Nothing is stored then, except that with [`SpoolError::Failed`] nobody knows.
    pub async fn accept(
        &self,
        submission: Submission,
        body: Staged,
        now: Timestamp,
    ) -> Result<Accepted, SpoolError> {
        submission.check()?;
        self.submit(vec![body], move |work, placed| {
            let placed = one(placed);
            accept::accept(work, &submission, placed, now)
        })
        .await
    }

    /// Takes up to `limit` due messages of a mailbox (at most [`CLAIM_MESSAGES_MAX`]).
    ///
    /// # Errors
    /// As for every change: [`SpoolError`].
    pub async fn claim(
        &self,
        mailbox: &Mailbox,
        limit: usize,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Claim>, SpoolError> {
        let mailbox = mailbox.clone();
        let limit = limit.min(CLAIM_MESSAGES_MAX);
        self.change_with(move |work| claim::claim_due(work, &mailbox, limit, lease, now))
            .await
    }

    /// Takes one message, due or not, all its waiting recipients together.
    ///
    /// `also_held` takes held recipients as well: for a bounce.
    ///
    /// # Errors
    /// [`SpoolError::State`] when it is claimed, suspect or settled.
    pub async fn claim_id(
        &self,
        id: MessageId,
        also_held: bool,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claim, SpoolError> {
        self.change_with(move |work| claim::claim_one(work, id, lease, now, also_held))
            .await
    }

    /// Prolongs a claim's lease from now.
    ///
    /// # Errors
    /// [`SpoolError::Stale`] when the claim has ended.
    pub async fn extend(
        &self,
        claim: &Claim,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Timestamp, SpoolError> {
        let claim = claim.clone();
        self.change_with(move |work| claim::extend(work, &claim, lease, now))
            .await
    }

    /// Notes durably that the final dot is about to go out for these recipients.
    ///
    /// To be awaited before the message's last octet is written. Should the process die before
    /// the claim is settled, the message becomes [`State::Suspect`] (RFC 1047).
    ///
    /// # Errors
    /// [`SpoolError::Stale`] when the claim has ended: the dot must not go out.
    pub async fn mark_dot(
        &self,
        claim: &Claim,
        numbers: Vec<u32>,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        let claim = claim.clone();
        self.change_with(move |work| claim::mark_dot(work, &claim, &numbers, now))
            .await
    }

    /// Ends a claim with what the attempt brought; notices are stored in the same commit.
    ///
    /// # Errors
    /// [`SpoolError::Stale`] when the claim has ended; nothing is stored then.
    pub async fn settle(
        &self,
        claim: &Claim,
        mut settlement: Settlement,
        now: Timestamp,
    ) -> Result<Settled, SpoolError> {
        settlement.check()?;
        let claim = claim.clone();
        let (submissions, bodies): (Vec<_>, Vec<_>) =
            std::mem::take(&mut settlement.notices).into_iter().unzip();
        self.submit(bodies, move |work, placed| {
            let notices = submissions.into_iter().zip(placed).collect();
            settle::settle(work, &claim, &settlement, notices, now)
        })
        .await
    }

    /// Decides about a suspect message.
    ///
    /// # Errors
    /// [`SpoolError::State`] when it is not suspect.
    pub async fn judge(
        &self,
        id: MessageId,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<State, SpoolError> {
        self.change_with(move |work| settle::judge(work, id, &verdict, now))
            .await
    }

    /// Changes all messages that the filter chooses; says how many it meant something for.
    ///
    /// Long lists are changed in several commits: others may see the middle.
    ///
    /// # Errors
    /// What was committed before stays.
    pub async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        now: Timestamp,
    ) -> Result<u64, SpoolError> {
        let mut count = 0;
        let mut after = None;
        loop {
            let filter = filter.clone();
            let ids = self
                .read(move |view| view.ids(&filter, after, BULK_MESSAGES_MAX))
                .await?;
            let Some(last) = ids.last() else {
                return Ok(count);
            };
            after = Some(*last);
            let change = change.clone();
            count += self
                .change_with(move |work| manage::apply_all(work, &ids, &change, now))
                .await?;
        }
    }

    /// Forgets a damaged message for good.
    ///
    /// # Errors
    /// [`SpoolError::State`] when it has not been set aside as damaged.
    pub async fn discard(&self, id: MessageId) -> Result<(), SpoolError> {
        self.change_with(move |work| manage::discard(work, id))
            .await
    }

    /// Does what time asks for: ends leases, holds and undo windows; forgets settled messages
    /// and de-duplication keys older than `keep`.
    ///
    /// # Errors
    /// As for every change.
    pub async fn sweep(&self, keep: Duration, now: Timestamp) -> Result<Swept, SpoolError> {
        self.change_with(move |work| sweep::sweep(work, keep, now))
            .await
    }

    /// Keeps a small value for the caller: pacing, learned limits, switches.
    ///
    /// `None` forgets it.
    ///
    /// # Errors
    /// [`SpoolError::Limit`] past [`NOTE_OCTETS_MAX`].
    pub async fn put_note(
        &self,
        key: &str,
        value: Option<Vec<u8>>,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        self.put_notes(vec![(key.to_owned(), value)], now).await
    }

    /// Keeps small values for the caller, all in one commit; `None` forgets one.
    ///
    /// # Errors
    /// [`SpoolError::Limit`] when one is past [`NOTE_OCTETS_MAX`]; none is kept then.
    pub async fn put_notes(
        &self,
        notes: Vec<(String, Option<Vec<u8>>)>,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        let octets = |(key, value): &(String, Option<Vec<u8>>)| {
            key.len() + value.as_ref().map_or(0, Vec::len)
        };
        if notes.iter().any(|note| octets(note) > NOTE_OCTETS_MAX) {
            return Err(SpoolError::Limit {
                what: "a note",
                max: NOTE_OCTETS_MAX as u64,
            });
        }
        self.change_with(move |work| {
            for (key, value) in &notes {
                match value {
                    Some(value) => work.put_note(key, value, now)?,
                    None => work.forget_note(key)?,
                }
            }
            Ok(())
        })
        .await
    }

    /// Asks questions; all answers within one call are one snapshot.
    ///
    /// # Errors
    /// The closure's, or [`SpoolError::Index`] when the index cannot be read.
    pub async fn read<T, F>(&self, ask: F) -> Result<T, SpoolError>
    where
        T: Send + 'static,
        F: FnOnce(&View) -> Result<T, SpoolError> + Send + 'static,
    {
        let spool = self.clone();
        blocking(move || spool.read_blocking(ask)).await
    }

    /// Opens a message's body, compared with its checksum.
    ///
    /// # Errors
    /// [`SpoolError::Damaged`] when it does not match: the message has been set aside.
    pub async fn body(&self, id: MessageId, now: Timestamp) -> Result<Body, SpoolError> {
        let spool = self.clone();
        match blocking(move || spool.open_body(id)).await {
            Err(SpoolError::Damaged { id, what }) => {
                let told = what.clone();
                self.change_with(move |work| Ok(work.set_aside(id, &told, now)?))
                    .await?;
                Err(SpoolError::Damaged { id, what })
            }
            other => other,
        }
    }

    /// Counts up with every commit of this process: wakes whoever looks for work.
    pub fn watch_changes(&self) -> watch::Receiver<u64> {
        self.inner.shared.watch_changes()
    }

    /// Returns when the store has failed, with the reason; else never.
    ///
    /// The process should stop then: a new start reads what is really on the disk.
    pub async fn failed(&self) -> SpoolError {
        let mut failed = self.inner.shared.watch_failed();
        // The sender lives as long as this handle: waiting cannot end otherwise.
        drop(failed.wait_for(|failed| *failed).await);
        match self.inner.shared.alive() {
            Err(error) => error,
            Ok(()) => SpoolError::Closed,
        }
    }

    /// Whether the store still takes work.
    ///
    /// # Errors
    /// [`SpoolError::Failed`] with the reason.
    pub fn alive(&self) -> Result<(), SpoolError> {
        self.inner.shared.alive()
    }

    /// Finishes what has queued, tidies and ends the writer. Later changes are refused.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.inner.orders.send(Order::Close(done)).await.is_ok() {
            // An error means that the writer has ended already.
            drop(closed.await);
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Hands a change without bodies to the writer and waits until it is durable.
    pub(crate) async fn change_with<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Work<'_>) -> JobResult<T> + Send + 'static,
    ) -> Result<T, SpoolError> {
        self.submit(Vec::new(), move |work, _| run(work)).await
    }

    /// Hands a change to the writer and waits until it is durable.
    pub(crate) async fn submit<T: Send + 'static>(
        &self,
        bodies: Vec<Staged>,
        run: impl FnOnce(&mut Work<'_>, Vec<Placed>) -> JobResult<T> + Send + 'static,
    ) -> Result<T, SpoolError> {
        self.inner.shared.alive()?;
        let (job, result) = Task::boxed(bodies, run);
        if self.inner.orders.send(Order::Job(job)).await.is_err() {
            return Err(SpoolError::Closed);
        }
        result.await.unwrap_or_else(|_| self.writer_gone())
    }

    /// As [`Spool::submit`] for callers without a runtime; blocks.
    pub(crate) fn submit_blocking<T: Send + 'static>(
        &self,
        bodies: Vec<Staged>,
        run: impl FnOnce(&mut Work<'_>, Vec<Placed>) -> JobResult<T> + Send + 'static,
    ) -> Result<T, SpoolError> {
        self.inner.shared.alive()?;
        let (job, result) = Task::boxed(bodies, run);
        if self.inner.orders.blocking_send(Order::Job(job)).is_err() {
            return Err(SpoolError::Closed);
        }
        result
            .blocking_recv()
            .unwrap_or_else(|_| self.writer_gone())
    }

    /// Runs a closure in one read transaction; blocks.
    pub(crate) fn read_blocking<T>(
        &self,
        ask: impl FnOnce(&View) -> Result<T, SpoolError>,
    ) -> Result<T, SpoolError> {
        let index = self.inner.readers.take(&self.inner.shared)?;
        index.execute_batch("BEGIN")?;
        let view = View::new(index);
        let answer = ask(&view);
        let index = view.into_index();
        index.execute_batch("COMMIT")?;
        self.inner.readers.give_back(index);
        answer
    }

    /// Opens a body, compared with its checksum; blocks.
    pub(crate) fn open_body(&self, id: MessageId) -> Result<Body, SpoolError> {
        let first = self.read_blocking(|view| view.body_place(id))?;
        match self.open_place(id, first.clone()) {
            // Settled or moved to another segment since the place was read?
            Err(SpoolError::Damaged { .. } | SpoolError::Disk(_)) => {
                let second = self.read_blocking(|view| view.body_place(id))?;
                self.open_place(id, second)
            }
            other => other,
        }
    }

    fn open_place(&self, id: MessageId, place: BodyPlace) -> Result<Body, SpoolError> {
        let shared = &self.inner.shared;
        let path = shared.folder.join(&place.segment);
        let file = shared.disk.open(&path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                BodyTrouble::Damaged("its segment is gone".to_owned()).into_error(id)
            } else {
                SpoolError::Disk(Arc::new(error))
            }
        })?;
        Body::open(id, file, place).map_err(|trouble| trouble.into_error(id))
    }

    fn writer_gone<T>(&self) -> Result<T, SpoolError> {
        match self.inner.shared.alive() {
            Err(error) => Err(error),
            Ok(()) => Err(SpoolError::Closed),
        }
    }
}

impl Readers {
    fn take(&self, shared: &Shared) -> Result<Connection, SpoolError> {
        let kept = self.lock().pop();
        match kept {
            Some(index) => Ok(index),
            None => schema::open_reader(&shared.index).map_err(|error| match error {
                OpenError::Index(error) => SpoolError::from_index(error),
                _ => shared.fail(Fault::Writer),
            }),
        }
    }

    fn give_back(&self, index: Connection) {
        let mut kept = self.lock();
        if kept.len() < READERS_KEPT_MAX {
            kept.push(index);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("index", &self.inner.shared.index)
            .finish_non_exhaustive()
    }
}

/// Runs a blocking closure beside the runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    tokio::task::spawn_blocking(run)
        .await
        .unwrap_or(Err(SpoolError::Closed))
}

/// The only body of a change that has one.
pub(crate) fn one(mut placed: Vec<Placed>) -> Placed {
    placed.pop().expect("the change came with one body")
}
