//! What the handle, the writer and the readers of one open spool share.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::disk::{Disk, DiskFile};
use crate::error::{Fault, SpoolError};
use crate::id::IdSource;

/// The end of a segment's file name.
pub(crate) const SEGMENT_SUFFIX: &str = ".seg";
/// The end of a seat's lock file name.
pub(crate) const SEAT_SUFFIX: &str = ".seat";
/// The lock that a process holds while it opens the spool.
pub(crate) const DOOR: &str = "door.lock";

/// One open spool.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    /// The folder of the bodies.
    pub(crate) folder: PathBuf,
    /// The index's file.
    pub(crate) index: PathBuf,
    /// This process's name in the spool.
    pub(crate) seat: String,
    pub(crate) ids: IdSource,
    /// Octets of bodies staged in memory.
    pub(crate) staged: AtomicUsize,
    /// While above zero no segment file is removed.
    pub(crate) pins: AtomicUsize,
    next_segment: AtomicU64,
    fault: OnceLock<Arc<Fault>>,
    failed: watch::Sender<bool>,
    changes: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        index: PathBuf,
        seat: String,
        ids: IdSource,
    ) -> Self {
        Self {
            disk,
            folder,
            index,
            seat,
            ids,
            staged: AtomicUsize::new(0),
            pins: AtomicUsize::new(0),
            next_segment: AtomicU64::new(1),
            fault: OnceLock::new(),
            failed: watch::Sender::new(false),
            changes: watch::Sender::new(0),
        }
    }

    /// Creates a segment file and makes its name durable.
    ///
    /// A failing folder sync ends the store.
    pub(crate) fn create_segment(&self) -> Result<(String, Arc<dyn DiskFile>), SpoolError> {
        let number = self.next_segment.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number:08}{SEGMENT_SUFFIX}", self.seat);
        let file = self
            .disk
            .create(&self.folder.join(&name))
            .map_err(SpoolError::from_disk)?;
        self.disk
            .sync_folder(&self.folder)
            .map_err(|e| self.sync_failed("the folder of the bodies", e))?;
        Ok((name, file))
    }

    /// Removes a segment file nobody needs; a failure leaves it for the next start.
    pub(crate) fn remove_segment(&self, name: &str) {
        if let Err(error) = self.disk.remove(&self.folder.join(name)) {
            tracing::warn!(name, %error, "a segment that is no longer needed stays on the disk");
        }
    }

    /// Ends the store after a failed sync.
    pub(crate) fn sync_failed(&self, what: &str, source: io::Error) -> SpoolError {
        self.fail(Fault::Sync {
            what: what.to_owned(),
            source,
        })
    }

    /// Ends the store; the first reason stays.
    pub(crate) fn fail(&self, fault: Fault) -> SpoolError {
        let fault = self.fault.get_or_init(|| {
            tracing::error!(error = %fault, "the spool has failed and takes no more work");
            Arc::new(fault)
        });
        self.failed.send_replace(true);
        SpoolError::Failed(Arc::clone(fault))
    }

    /// Refuses once the store has failed.
    pub(crate) fn alive(&self) -> Result<(), SpoolError> {
        match self.fault.get() {
            None => Ok(()),
            Some(fault) => Err(SpoolError::Failed(Arc::clone(fault))),
        }
    }

    /// Tells whoever watches that there may be work.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    pub(crate) fn watch_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn watch_failed(&self) -> watch::Receiver<bool> {
        self.failed.subscribe()
    }
}
