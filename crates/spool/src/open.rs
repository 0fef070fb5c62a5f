//! Opening: folder, lock, index, check, recovery, threads.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::check;
use crate::disk::{Disk, DiskLock, RealDisk, prepare_index};
use crate::error::{Fault, OpenError};
use crate::id::IdSource;
use crate::limits::{JOBS_WAITING_MAX, START_CHECK_MS};
use crate::recover::{self, Recovery, trouble};
use crate::schema::{self, MIGRATIONS, Migration};
use crate::shared::{DOOR, SEAT_SUFFIX, Shared};
use crate::wal;
use crate::writer::{Order, Writer};

/// Where the spool lies and what it stands on.
#[derive(Clone)]
pub struct Options {
    index: PathBuf,
    disk: Arc<dyn Disk>,
    pub(crate) migrations: &'static [Migration],
}

/// What opening leaves behind for the handle.
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) recovery: Recovery,
}

impl Options {
    /// The spool whose index is this file; bodies lie in a folder beside it, `NAME.bodies`.
    pub fn new(index: impl Into<PathBuf>) -> Self {
        Self {
            index: index.into(),
            disk: Arc::new(RealDisk),
            migrations: MIGRATIONS,
        }
    }

    /// Bodies and locks through this disk.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    pub(crate) fn disk_ref(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The index's file.
    pub fn index(&self) -> &Path {
        &self.index
    }

    /// The folder of the bodies.
    pub fn bodies(&self) -> PathBuf {
        let mut name = self.index.clone().into_os_string();
        name.push(".bodies");
        name.into()
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// Opens the spool; blocks, up to a few seconds with a long queue.
pub(crate) fn open(options: &Options, now: Timestamp) -> Result<Opened, OpenError> {
    let medium = &*options.disk;
    let folder = options.bodies();
    let parent = match options.index.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    medium
        .make_folder(&folder)
        .map_err(trouble(&folder, "create"))?;
    // Two processes that start at once do not recover each other's beginnings.
    let door_path = folder.join(DOOR);
    let door = medium
        .lock(&door_path, true)
        .map_err(trouble(&door_path, "lock"))?;
    inspect_log(medium, options, &folder)?;
    prepare_index(&options.index).map_err(trouble(&options.index, "create"))?;
    let mut index = schema::open_writer(&options.index, options.migrations, now)?;
    medium
        .sync_folder(parent)
        .map_err(trouble(parent, "sync"))?;
    let (complete, findings) =
        check::check_pages(&mut index, Some(Duration::from_millis(START_CHECK_MS)))?;
    if let Some(first) = findings.first() {
        return Err(OpenError::Corrupt(first.clone()));
    }
    if !complete {
        tracing::info!("the index is large: its check was not finished at the start");
    }
    let (seat, seat_lock) = take_seat(medium, &folder)?;
    index.execute(
        "INSERT INTO seats (seat, opened_at) VALUES (?1, ?2)",
        (&seat, now.as_millisecond()),
    )?;
    let last_id: i64 = index.query_row(
        "SELECT max((SELECT value FROM marks WHERE name = 'last_id'), \
         coalesce((SELECT max(id) FROM messages), 0))",
        [],
        |r| r.get(0),
    )?;
    let shared = Arc::new(Shared::new(
        Arc::clone(&options.disk),
        folder,
        options.index.clone(),
        seat,
        IdSource::new(last_id, u64::from_le_bytes(random())),
    ));
    let recovery = recover::recover(&index, &shared, now)?;
    drop(door);
    let orders = start_writer(&shared, index, seat_lock)?;
    Ok(Opened {
        shared,
        orders,
        recovery,
    })
}

/// Refuses a log that would be cut off in its middle; not while others write to it.
fn inspect_log(disk: &dyn Disk, options: &Options, folder: &Path) -> Result<(), OpenError> {
    let mut path = options.index.clone().into_os_string();
    path.push("-wal");
    let path = PathBuf::from(path);
    for name in disk.names(folder).map_err(trouble(folder, "list"))? {
        if name.ends_with(SEAT_SUFFIX) {
            let seat = folder.join(name);
            let lock = disk.lock(&seat, false).map_err(trouble(&seat, "lock"))?;
            if lock.is_none() {
                return Ok(());
            }
        }
    }
    let octets = match std::fs::read(&path) {
        Ok(octets) => octets,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(trouble(&path, "read")(error)),
    };
    let log = wal::inspect(&octets);
    if log.is_damaged() {
        return Err(OpenError::LogDamaged {
            path,
            commits: log.behind,
        });
    }
    if log.behind > 0 {
        tracing::warn!("the last commit of the index's log was torn; nobody was promised it");
    }
    Ok(())
}

fn start_writer(
    shared: &Arc<Shared>,
    index: Connection,
    seat_lock: Box<dyn DiskLock>,
) -> Result<mpsc::Sender<Order>, OpenError> {
    let writer = Writer::new(Arc::clone(shared), index).map_err(OpenError::Thread)?;
    let (orders, queue) = mpsc::channel(JOBS_WAITING_MAX);
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("spool-writer".to_owned())
        .spawn(move || {
            let watch = Watch(Arc::clone(&shared));
            writer.run(queue);
            if watch.0.alive().is_ok() {
                shared.remove_segment(&format!("{}{SEAT_SUFFIX}", shared.seat));
            }
            drop(seat_lock);
        })
        .map_err(OpenError::Thread)?;
    Ok(orders)
}

/// Ends the store when the writer's thread unwinds: nobody would answer any more.
struct Watch(Arc<Shared>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Fault::Writer);
        }
    }
}

fn take_seat(disk: &dyn Disk, folder: &Path) -> Result<(String, Box<dyn DiskLock>), OpenError> {
    loop {
        let seat = format!("{:016x}", u64::from_le_bytes(random()));
        let path = folder.join(format!("{seat}{SEAT_SUFFIX}"));
        if let Some(lock) = disk.lock(&path, false).map_err(trouble(&path, "lock"))? {
            return Ok((seat, lock));
        }
    }
}

fn random() -> [u8; 8] {
    let mut octets = [0; 8];
    rand::fill(&mut octets).expect("the system gives random numbers");
    octets
}
