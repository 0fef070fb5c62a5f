//! The writer: one thread that makes whatever has queued durable in one go.
//!
//! For each batch: append the bodies, sync them (a large batch changes the index meanwhile and
//! waits for the sync), commit the index, which syncs its log, answer. A sync that fails ends the store:
//! no second call is believed (what it should have written may be gone).

use std::io;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, mpsc as thread_mpsc};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::disk::DiskFile;
use crate::error::{Fault, SpoolError, Trouble, index_trouble};
use crate::job::{self, Job};
use crate::limits::{BATCH_JOBS_MAX, BATCH_OCTETS_MAX, WAL_PAGES_MAX};
use crate::segment::{Appended, Segments};
use crate::shared::Shared;
use crate::work::Work;

/// How long the writer pauses at a time for the rest of a batch.
const GATHER_PAUSE: Duration = Duration::from_micros(30);
/// The longest it waits in all; it is never more than half of what the last batch took.
const GATHER_MAX: Duration = Duration::from_millis(5);

/// Jobs from which on the index is changed while another thread syncs the bodies; for fewer the
/// hand-over takes longer than it saves.
const OVERLAP_JOBS_MIN: usize = 24;

/// What reaches the writer.
pub(crate) enum Order {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    index: Connection,
    segments: Segments,
    syncer: Syncer,
    /// Whether the present batch's bodies are with the syncer.
    syncing: bool,
    wal_pages: Arc<AtomicI32>,
    /// Jobs of the last batch: that many are worth a moment's wait.
    expected: usize,
    /// How long the last batch took.
    took: Duration,
    /// Segment files out of the index that are still pinned by a backup.
    freed: Vec<String>,
}

/// A thread that syncs bodies while the writer changes the index.
struct Syncer {
    orders: thread_mpsc::Sender<Arc<dyn DiskFile>>,
    results: thread_mpsc::Receiver<io::Result<()>>,
}

/// How a batch ended that did not commit.
enum Failure {
    /// All is as it was before; the error goes to everybody in the batch.
    Undone(SpoolError),
    /// The store has ended.
    Fatal(SpoolError),
}

impl Writer {
    /// # Errors
    /// When the syncing thread cannot be started.
    pub(crate) fn new(shared: Arc<Shared>, mut index: Connection) -> io::Result<Self> {
        let wal_pages = Arc::new(AtomicI32::new(0));
        let pages = Arc::clone(&wal_pages);
        let hook = move |_: &mut rusqlite::hooks::Wal, n: i32| {
            pages.store(n, Ordering::Relaxed);
            Ok(())
        };
        if let Err(error) = index.wal_hook(Some(hook)) {
            return Err(io::Error::other(error));
        }
        Ok(Self {
            shared,
            index,
            segments: Segments::default(),
            syncer: Syncer::start()?,
            syncing: false,
            wal_pages,
            expected: 0,
            took: Duration::ZERO,
            freed: Vec::new(),
        })
    }

    /// Works until it is told to close or nobody can give orders any more.
    pub(crate) fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut queue = Vec::with_capacity(BATCH_JOBS_MAX);
        let mut closing = None;
        while closing.is_none() && orders.blocking_recv_many(&mut queue, BATCH_JOBS_MAX) > 0 {
            self.gather(&mut queue, &mut orders);
            let begin = clock::moment();
            let mut jobs = Vec::with_capacity(queue.len());
            let mut octets = 0;
            for order in queue.drain(..) {
                match order {
                    Order::Job(job) => {
                        octets += batch_octets(&*job);
                        jobs.push(job);
                        if octets >= BATCH_OCTETS_MAX {
                            self.batch(std::mem::take(&mut jobs));
                            octets = 0;
                        }
                    }
                    Order::Close(done) => closing = Some(done),
                }
            }
            if !jobs.is_empty() {
                self.batch(jobs);
            }
            self.took = begin.elapsed();
        }
        self.close();
        // Whoever asked may have given up waiting.
        closing.map(|done| done.send(()));
    }

    /// Waits a moment for those who were in the last batches and are about to come again.
    ///
    /// Without it the first of them would be committed alone, and all others behind it. A lonely
    /// submitter never waits.
    fn gather(&mut self, queue: &mut Vec<Order>, orders: &mut mpsc::Receiver<Order>) {
        let expected = self.expected.min(BATCH_JOBS_MAX);
        let patience = (self.took / 2).min(GATHER_MAX);
        let begin = clock::moment();
        loop {
            while queue.len() < BATCH_JOBS_MAX
                && let Ok(order) = orders.try_recv()
            {
                queue.push(order);
            }
            if queue.len() >= expected || begin.elapsed() >= patience {
                break;
            }
            std::thread::sleep(GATHER_PAUSE);
        }
        self.expected = queue.len().max(expected * 3 / 4);
    }

    fn batch(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if let Err(error) = self.shared.alive() {
            for job in jobs {
                job.reply(Err(error.clone()));
            }
            return;
        }
        jobs.retain(|job| !job.is_abandoned());
        // A disk that takes no bodies still takes what needs none.
        let appended = match self.append(&jobs) {
            Ok(appended) => appended,
            Err(error) => {
                let (with, without): (Vec<_>, Vec<_>) =
                    jobs.into_iter().partition(|job| has_memory(&**job));
                for job in with {
                    job.reply(Err(error.clone()));
                }
                jobs = without;
                None
            }
        };
        if let Err(error) = self.shared.alive() {
            for job in jobs {
                job.reply(Err(error.clone()));
            }
            return;
        }
        if jobs.is_empty() {
            return;
        }
        let verdict = match self.commit(&mut jobs, appended.as_ref()) {
            Ok(()) => Ok(()),
            Err(Failure::Undone(error) | Failure::Fatal(error)) => Err(error),
        };
        let committed = verdict.is_ok();
        for job in jobs {
            job.reply(verdict.clone());
        }
        if committed {
            self.shared.changed();
            self.remove_freed();
            if self.wal_pages.load(Ordering::Relaxed) > WAL_PAGES_MAX {
                self.checkpoint();
            }
        }
    }

    fn append(&mut self, jobs: &[Box<dyn Job>]) -> Result<Option<Appended>, SpoolError> {
        let bodies: Vec<_> = jobs
            .iter()
            .flat_map(|job| job.bodies())
            .filter(|body| body.memory().is_some())
            .collect();
        if bodies.is_empty() {
            return Ok(None);
        }
        let appended = self.segments.append(&self.shared, &bodies)?;
        if jobs.len() < OVERLAP_JOBS_MIN {
            let synced = appended.file.sync();
            synced.map_err(|error| self.shared.sync_failed(&appended.name, error))?;
            self.syncing = false;
        } else {
            if self.syncer.orders.send(Arc::clone(&appended.file)).is_err() {
                return Err(self.shared.fail(Fault::Writer));
            }
            self.syncing = true;
        }
        Ok(Some(appended))
    }

    /// Commits the batch, or takes all of it back.
    fn commit(
        &mut self,
        jobs: &mut [Box<dyn Job>],
        appended: Option<&Appended>,
    ) -> Result<(), Failure> {
        let changed = self.change(jobs, appended);
        // Whatever the index says, the sync's word is waited for: its failure is the end.
        if let (Some(appended), true) = (appended, std::mem::take(&mut self.syncing)) {
            match self.syncer.results.recv() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let fatal = self.shared.sync_failed(&appended.name, error);
                    self.roll_back();
                    return Err(Failure::Fatal(fatal));
                }
                Err(_) => {
                    self.roll_back();
                    return Err(Failure::Fatal(self.shared.fail(Fault::Writer)));
                }
            }
        }
        let committed = changed.and_then(|(row, freed, roll)| {
            self.index.execute_batch("COMMIT")?;
            Ok((row, freed, roll))
        });
        match committed {
            Ok((row, freed, roll)) => {
                self.segments.committed(row);
                self.freed.extend(freed);
                if roll {
                    self.segments.roll();
                }
                Ok(())
            }
            Err(error) => {
                let failure = self.sort(error);
                self.roll_back();
                Err(failure)
            }
        }
    }

    /// Runs the jobs inside a transaction that stays open.
    fn change(
        &mut self,
        jobs: &mut [Box<dyn Job>],
        appended: Option<&Appended>,
    ) -> rusqlite::Result<(Option<i64>, Vec<String>, bool)> {
        self.index.execute_batch("BEGIN IMMEDIATE")?;
        let row = match appended {
            Some(_) => Some(self.segments.register(&self.index, &self.shared)?),
            None => None,
        };
        self.segments.close_rolled(&self.index)?;
        let mut work = Work::new(&self.index, &self.shared);
        let mut body = 0;
        for job in jobs {
            let mut placed = Vec::with_capacity(job.bodies().len());
            for staged in job.bodies() {
                let place = match (appended, row, staged.memory()) {
                    (Some(appended), Some(row), Some(_)) => {
                        body += 1;
                        Some(appended.place(row, body - 1))
                    }
                    _ => None,
                };
                placed.push(job::placed(staged, place));
            }
            job.run(&mut work, placed)?;
        }
        let mut freed = work.finish()?;
        for &segment in self.segments.closing() {
            freed.extend(work.free_segment(segment)?);
        }
        let roll = work.roll && self.is_idle()?;
        Ok((row, freed, roll))
    }

    /// Whether nobody needs the current segment.
    fn is_idle(&self) -> rusqlite::Result<bool> {
        match self.segments.current_row() {
            None => Ok(false),
            Some(row) => self
                .index
                .prepare_cached("SELECT live = 0 FROM segments WHERE id = ?1")?
                .query_row([row], |r| r.get(0)),
        }
    }

    fn roll_back(&self) {
        if !self.index.is_autocommit()
            && let Err(error) = self.index.execute_batch("ROLLBACK")
        {
            self.shared.fail(Fault::Index(error));
        }
    }

    fn sort(&self, error: rusqlite::Error) -> Failure {
        match index_trouble(&error) {
            Trouble::Full => Failure::Undone(SpoolError::Full(Arc::new(error))),
            Trouble::Busy => Failure::Undone(SpoolError::Busy),
            Trouble::Other => Failure::Undone(SpoolError::Index(Arc::new(error))),
            Trouble::Fatal => Failure::Fatal(self.shared.fail(Fault::Index(error))),
        }
    }

    fn remove_freed(&mut self) {
        if self.shared.pins.load(Ordering::SeqCst) == 0 {
            for name in self.freed.drain(..) {
                self.shared.remove_segment(&name);
            }
        }
    }

    /// Folds the log into the index file; an error is the end, since a sync may be behind it.
    fn checkpoint(&self) {
        let folded = self
            .index
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        match folded {
            Ok(()) => {}
            Err(error) if index_trouble(&error) == Trouble::Busy => {}
            // No room for the index's growth: the log keeps everything, and takes no more.
            Err(error) if index_trouble(&error) == Trouble::Full => {
                tracing::warn!(%error, "no room to fold the spool's log into its index");
            }
            Err(error) => {
                self.shared.fail(Fault::Index(error));
            }
        }
    }

    fn close(&mut self) {
        if self.shared.alive().is_err() {
            return;
        }
        self.segments.roll();
        if let Err(error) = self.leave() {
            tracing::warn!(%error, "the spool was not tidied; the next start does it");
            self.roll_back();
        }
        if let Some(name) = self.segments.unused() {
            self.shared.remove_segment(name);
        }
        self.remove_freed();
        self.checkpoint();
    }

    /// Closes the last segment and gives the seat up, unless something still refers to it.
    fn leave(&mut self) -> rusqlite::Result<()> {
        self.index.execute_batch("BEGIN IMMEDIATE")?;
        self.segments.close_rolled(&self.index)?;
        let work = Work::new(&self.index, &self.shared);
        for &segment in self.segments.closing() {
            self.freed.extend(work.free_segment(segment)?);
        }
        self.index.execute_batch("COMMIT")
    }
}

impl Syncer {
    fn start() -> io::Result<Self> {
        let (orders, files) = thread_mpsc::channel::<Arc<dyn DiskFile>>();
        let (tell, results) = thread_mpsc::channel();
        std::thread::Builder::new()
            .name("spool-sync".to_owned())
            .spawn(move || {
                // Ends when the writer drops its side.
                while let Ok(file) = files.recv() {
                    if tell.send(file.sync()).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self { orders, results })
    }
}

fn has_memory(job: &dyn Job) -> bool {
    job.bodies().iter().any(|body| body.memory().is_some())
}

fn batch_octets(job: &dyn Job) -> usize {
    job.bodies()
        .iter()
        .filter_map(|body| body.memory())
        .map(<[u8]>::len)
        .sum()
}
