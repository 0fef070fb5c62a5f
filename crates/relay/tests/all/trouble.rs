//! A disk in trouble while messages are on their way out.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sendas_sandbox::{Effect, Fault, Filter as Seen, Step};
use sendas_spool::{Disk, DiskFile, DiskLock, RealDisk, State};

use crate::stage::Stage;

/// A disk that takes some writes, then is full for some, then has room again.
struct Tight {
    good: AtomicU32,
    full: Arc<AtomicU32>,
}

struct TightFile {
    file: Arc<dyn DiskFile>,
    disk: Arc<Tight>,
}

struct TightDisk(Arc<Tight>);

impl TightDisk {
    fn new(good: u32, full: u32) -> (Arc<Self>, Arc<AtomicU32>) {
        let full = Arc::new(AtomicU32::new(full));
        let tight = Tight {
            good: AtomicU32::new(good),
            full: Arc::clone(&full),
        };
        (Arc::new(Self(Arc::new(tight))), full)
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let disk = Arc::clone(&self.0);
        Arc::new(TightFile { file, disk })
    }
}

fn take(count: &AtomicU32) -> bool {
    let less = |n: u32| n.checked_sub(1);
    count
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        .is_ok()
}

impl Disk for TightDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        RealDisk.make_folder(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealDisk.names(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(RealDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(RealDisk.open(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_folder(folder)
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn DiskLock>>> {
        RealDisk.lock(path, wait)
    }
}

impl DiskFile for TightFile {
    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        if !take(&self.disk.good) && take(&self.disk.full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_at(octets, at)
    }

    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_at(octets, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

fn no() -> Effect {
    Effect::Reply {
        code: 550,
        text: "5.1.1 no".to_owned(),
    }
}

#[tokio::test]
async fn an_outcome_waits_for_a_full_disk_and_is_not_sent_again() {
    let (disk, full) = TightDisk::new(1, 4);
    let stage = Stage::on(disk, |_| {}).await;
    // One recipient is taken, the other is not: there is a notice to store.
    stage.fault(Fault::once(Step::Rcpt, no()));
    let own = stage.own.clone();
    let message = format!("Date: d\r\nFrom: <{own}>\r\nSubject: once\r\n\r\nbody\r\n");
    stage
        .send(&["a@example.org", "b@example.org"], &message)
        .await;
    let all = stage.settled(2).await;
    assert_eq!(full.load(Ordering::SeqCst), 0, "the disk was full");
    let first = all.iter().find(|m| !m.summary.sender.is_empty()).unwrap();
    assert_eq!(first.attempts.len(), 1);
    let seen = stage.sandbox.messages(&Seen::default());
    let copies = seen.iter().filter(|m| m.subject == "once").count();
    assert_eq!((copies, seen.len()), (1, 2), "the message and its notice");
    stage.stop().await;
}

#[tokio::test]
async fn a_clean_stop_waits_for_an_outcome_that_the_disk_has_no_room_for() {
    let (disk, full) = TightDisk::new(1, 4);
    let stage = Stage::on(disk, |_| {}).await;
    stage.fault(Fault::once(Step::Rcpt, no()));
    let own = stage.own.clone();
    let message = format!("Date: d\r\nFrom: <{own}>\r\n\r\nbody\r\n");
    stage
        .send(&["a@example.org", "b@example.org"], &message)
        .await;
    let seen = stage
        .sandbox
        .wait(&Seen::default(), 1, Duration::from_secs(20))
        .await;
    assert_eq!(seen.len(), 1);
    let folder = stage.stop().await;
    assert_eq!(full.load(Ordering::SeqCst), 0, "the disk was full");
    let options = sendas_spool::Options::new(folder.path().join("spool.db"));
    let opened = tokio::task::spawn_blocking(move || {
        sendas_spool::Spool::open(&options, "2026-11-23T05:00:00Z".parse().unwrap())
    });
    let opened = opened.await.unwrap().unwrap();
    let left = opened.read(sendas_spool::View::counts).await.unwrap();
    let settled = left.iter().filter(|count| count.state == State::Settled);
    assert_eq!(settled.map(|count| count.messages).sum::<u64>(), 1);
}
