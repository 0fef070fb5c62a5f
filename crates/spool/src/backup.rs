//! Online backup: a second spool, complete and consistent, while the first goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, OpenFlags};

use crate::disk::{DiskFile, prepare_index};
use crate::error::SpoolError;
use crate::limits::CHUNK_OCTETS;
use crate::open::Options;
use crate::shared::Shared;
use crate::spool::{Spool, blocking};

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Files with bodies.
    pub segments: u64,
    /// Octets of these files.
    pub octets: u64,
}

/// Keeps segment files from being removed.
struct Pin<'a>(&'a Shared);

impl Spool {
    /// Copies the spool as it stands now to another place, where it can be opened as a spool.
    ///
    /// The index is copied in one read transaction, the bodies after it: they are never changed
    /// once they are in the index, and none of this process's is removed meanwhile. The copy is
    /// synced. Claims in it are ended when it is opened.
    ///
    /// # Errors
    /// [`SpoolError::Disk`], [`SpoolError::Full`] or [`SpoolError::Index`] when something cannot
    /// be written or exists already: the copy is not complete then and must be removed.
    pub async fn backup(&self, to: &Options) -> Result<BackupReport, SpoolError> {
        let (spool, to) = (self.clone(), to.clone());
        blocking(move || {
            let shared = spool.shared();
            let pin = Pin::new(shared);
            let report = copy(shared, &to);
            drop(pin);
            report
        })
        .await
    }
}

impl<'a> Pin<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.pins.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::SeqCst);
    }
}

fn copy(shared: &Shared, to: &Options) -> Result<BackupReport, SpoolError> {
    let medium = to.disk_ref();
    let folder = to.bodies();
    let io = SpoolError::from_disk;
    medium.make_folder(&folder).map_err(io)?;
    let from = Connection::open_with_flags(
        &shared.index,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    from.pragma_update(None, "wal_autocheckpoint", 0)?;
    let target = to.index().to_str().ok_or_else(|| {
        io(std::io::Error::new(
            std::io::ErrorKind::InvalidFilename,
            "the index's name is not UTF-8",
        ))
    })?;
    prepare_index(to.index()).map_err(io)?;
    from.execute("VACUUM INTO ?1", [target])?;
    let copied = Connection::open_with_flags(to.index(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = copied.prepare("SELECT name, octets FROM segments WHERE live > 0")?;
    let mut rows = statement.query([])?;
    let mut report = BackupReport::default();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let file = shared.disk.open(&shared.folder.join(&name)).map_err(io)?;
        report.octets += copy_file(&file, &*medium.create(&folder.join(&name)).map_err(io)?)?;
        report.segments += 1;
    }
    // A backup is no store yet: a sync that fails here spoils the copy only.
    medium.sync_folder(&folder).map_err(io)?;
    medium.open(to.index()).and_then(|f| f.sync()).map_err(io)?;
    let parent = to.index().parent().filter(|p| !p.as_os_str().is_empty());
    medium
        .sync_folder(parent.unwrap_or(Path::new(".")))
        .map_err(io)?;
    Ok(report)
}

fn copy_file(from: &Arc<dyn DiskFile>, to: &dyn DiskFile) -> Result<u64, SpoolError> {
    let io = SpoolError::from_disk;
    let length = from.length().map_err(io)?;
    let mut piece = vec![0; CHUNK_OCTETS];
    let mut at = 0;
    while at < length {
        let octets = usize::try_from(length - at).map_or(CHUNK_OCTETS, |n| n.min(CHUNK_OCTETS));
        from.read_at(&mut piece[..octets], at).map_err(io)?;
        to.write_at(&piece[..octets], at).map_err(io)?;
        at += octets as u64;
    }
    to.sync().map_err(io)?;
    Ok(length)
}
