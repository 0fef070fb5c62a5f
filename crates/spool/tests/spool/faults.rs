//! A disk that fails at every call, and power cuts at every call.
//!
//! Bodies and locks lie on the simulated disk. The index is SQLite's own files on the real disk:
//! at the moment of the cut they are copied, and the log's last commit, unless it was answered, is
//! cut off or garbled at random, as unsynced octets at a log's end can be. What SQLite itself does
//! between two of our calls is covered by the kill rounds, see `tests/kill.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sendas_spool::sim::{SimDisk, Trouble};
use sendas_spool::{
    CheckDepth, Filter, MessageId, Options, Outcome, Settlement, Spool, SpoolError, State,
};
use tempfile::TempDir;

use crate::support::{LEASE, at, body, mailbox, submission};

/// What callers were promised, by id: the body while it is owed.
#[derive(Clone, Default)]
struct Promises {
    accepted: BTreeMap<MessageId, Vec<u8>>,
    settled: Vec<MessageId>,
    /// Octets of the index's log when the last promise was given.
    log_octets: u64,
}

type Shared = Arc<Mutex<Promises>>;

/// How many crash states are looked at per call; `SENDAS_SIM_SEEDS` asks for more.
fn seeds() -> u64 {
    std::env::var("SENDAS_SIM_SEEDS").map_or(4, |n| n.parse().unwrap())
}

fn pattern(n: u8, octets: usize) -> Vec<u8> {
    (0..octets)
        .map(|i| n.wrapping_add(u8::try_from(i % 251).unwrap()))
        .collect()
}

fn log_of(index: &Path) -> PathBuf {
    index.with_extension("db-wal")
}

fn log_octets(index: &Path) -> u64 {
    fs::metadata(log_of(index)).map_or(0, |m| m.len())
}

/// Accepts, delivers and closes; goes on after every error, as a relay would.
///
/// Says whether an acceptance succeeded after the store had failed.
async fn work(options: &Options, promises: &Shared) -> Result<(), String> {
    let Ok(spool) = Spool::open(options, at(0)) else {
        return Ok(());
    };
    let mut failed = false;
    for n in 0..6u8 {
        let octets = if n == 3 {
            400_000
        } else {
            700 * (usize::from(n) + 1)
        };
        let wanted = pattern(n, octets);
        let Ok(staged) = spool.stage_whole(&wanted).await else {
            continue;
        };
        match spool.accept(submission(&["a@x.org"]), staged, at(1)).await {
            Ok(accepted) => {
                if failed {
                    return Err(format!("{} was accepted by a failed store", accepted.id));
                }
                let mut promises = promises.lock().unwrap();
                promises.accepted.insert(accepted.id, wanted);
                promises.log_octets = log_octets(options.index());
            }
            Err(SpoolError::Failed(_)) => failed = true,
            Err(SpoolError::Full(_) | SpoolError::Disk(_)) => {}
            Err(other) => return Err(other.to_string()),
        }
        if n == 2 || n == 5 {
            deliver(&spool, options, promises).await;
        }
    }
    spool.close().await;
    Ok(())
}

async fn deliver(spool: &Spool, options: &Options, promises: &Shared) {
    let Ok(claims) = spool.claim(&mailbox(), 1, LEASE, at(2)).await else {
        return;
    };
    for claim in claims {
        let accepted = Outcome::Accepted {
            status: None,
            reply: "250 OK".to_owned(),
        };
        let settlement = Settlement {
            outcomes: vec![(0, accepted)],
            ..Settlement::default()
        };
        if spool.settle(&claim, settlement, at(3)).await.is_ok() {
            let mut promises = promises.lock().unwrap();
            promises.settled.push(claim.id);
            promises.log_octets = log_octets(options.index());
        }
    }
}

/// Opens what a crash left and holds it against the promises.
async fn verify(options: &Options, promises: &Promises, what: &str) {
    let spool = Spool::open(options, at(100)).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(spool.recovery().missing, [] as [&str; 0], "{what}");
    let report = spool.check(CheckDepth::Bodies, at(100)).await.unwrap();
    assert_eq!(report.findings, [] as [&str; 0], "{what}");
    for (&id, wanted) in &promises.accepted {
        let message = spool.read(move |view| view.message(id)).await;
        let message = message.unwrap_or_else(|e| panic!("{what}: {e}"));
        if promises.settled.contains(&id) {
            assert_eq!(message.summary.state, State::Settled, "{what}");
        } else if message.summary.state != State::Settled {
            assert_eq!(&body(&spool, id).await, wanted, "{what}");
        }
    }
    // The store takes work again.
    let staged = spool.stage_whole(b"again").await.unwrap();
    let again = spool
        .accept(submission(&["a@x.org"]), staged, at(101))
        .await;
    assert!(again.is_ok(), "{what}: {again:?}");
    let open = spool
        .read(|view| view.ids(&Filter::open(), None, 99))
        .await
        .unwrap();
    assert!(open.len() <= 7, "{what}");
    spool.close().await;
}

/// Where the last commit of a log begins: all before it was synced before it began.
fn last_commit(log: &[u8]) -> usize {
    const HEAD: usize = 32;
    const FRAME: usize = 24 + 4096;
    let mut commits = vec![HEAD.min(log.len()); 2];
    for (n, frame) in log[commits[0]..].chunks_exact(FRAME).enumerate() {
        if frame[4..8] != [0; 4] {
            commits.push(HEAD + (n + 1) * FRAME);
        }
    }
    commits[commits.len() - 2]
}

/// Copies the index; what its log holds beyond the promises is kept, cut or garbled.
fn copy_index(from: &Path, to: &Path, promises: &Promises, seed: u64) {
    fs::copy(from, to).unwrap();
    let Ok(mut log) = fs::read(log_of(from)) else {
        return;
    };
    let promised = usize::try_from(promises.log_octets).unwrap();
    let kept = promised.max(last_commit(&log)).min(log.len());
    let loose = log.len() - kept;
    let drawn = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8;
    let part = usize::try_from(drawn).unwrap_or(0) % (loose + 1);
    match seed % 3 {
        0 => {}
        1 => log.truncate(kept + part),
        _ => {
            // Sectors that did not reach the medium.
            for (n, sector) in log[kept..].chunks_mut(512).enumerate() {
                if (drawn.rotate_left(u32::try_from(n % 64).unwrap())) & 1 == 0 {
                    sector.fill(0);
                }
            }
        }
    }
    fs::write(log_of(to), log).unwrap();
}

fn options(folder: &TempDir, disk: &SimDisk) -> Options {
    Options::new(folder.path().join("spool.db")).disk(Arc::new(disk.clone()))
}

/// Runs with a trouble; the crash states afterwards keep every promise. Says how many calls.
async fn round(trouble: Trouble, what: &str) -> u64 {
    let folder = TempDir::new().unwrap();
    let disk = SimDisk::new();
    disk.set_trouble(Some(trouble));
    let promises = Shared::default();
    let options_ = options(&folder, &disk);
    if let Err(lie) = work(&options_, &promises).await {
        panic!("{what}: {lie}");
    }
    let promises = promises.lock().unwrap().clone();
    for seed in 0..seeds() {
        let home = TempDir::new().unwrap();
        if options_.index().exists() {
            fs::copy(options_.index(), home.path().join("spool.db")).unwrap();
        }
        if log_of(options_.index()).exists() {
            fs::copy(log_of(options_.index()), home.path().join("spool.db-wal")).unwrap();
        }
        let cut = disk.after_power_cut(seed);
        let after = Moved::new(&options_, &home, &cut);
        verify(&after.options, &promises, &format!("{what}, seed {seed}")).await;
    }
    disk.calls()
}

/// The same disk contents under the folder of the copied index.
struct Moved {
    options: Options,
}

impl Moved {
    fn new(from: &Options, home: &TempDir, disk: &SimDisk) -> Self {
        let index = home.path().join("spool.db");
        let bodies = Options::new(&index).bodies();
        Self {
            options: Options::new(&index).disk(Arc::new(disk.moved(&from.bodies(), &bodies))),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_fails_once_and_for_good() {
    for error in [ErrorKind::Other, ErrorKind::StorageFull] {
        for sticky in [false, true] {
            let mut call = 1;
            loop {
                let trouble = if sticky {
                    Trouble::From { call, error }
                } else {
                    Trouble::Once { call, error }
                };
                let calls = round(trouble, &format!("{trouble:?}")).await;
                if calls < call {
                    break;
                }
                call += 1;
            }
            assert!(call > 20, "only {call} calls");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_goes_at_every_call() {
    let mut call = 1;
    loop {
        let folder = TempDir::new().unwrap();
        let disk = SimDisk::new();
        let promises = Shared::default();
        let options_ = options(&folder, &disk);
        // At the cut: what was promised, the medium's state by seed, the index's files.
        let states = Arc::new(Mutex::new(Vec::new()));
        let (told, kept, index) = (
            Arc::clone(&promises),
            Arc::clone(&states),
            options_.index().to_owned(),
        );
        let medium = disk.clone();
        disk.at_call(call, move || {
            let promises = told.lock().unwrap().clone();
            for seed in 0..seeds() {
                let home = TempDir::new().unwrap();
                if index.exists() {
                    copy_index(&index, &home.path().join("spool.db"), &promises, seed);
                }
                let cut = medium.after_power_cut(seed);
                kept.lock().unwrap().push((home, cut, promises.clone()));
            }
        });
        work(&options_, &promises).await.unwrap();
        let states = std::mem::take(&mut *states.lock().unwrap());
        if states.is_empty() {
            break;
        }
        for (seed, (home, cut, promises)) in states.into_iter().enumerate() {
            let after = Moved::new(&options_, &home, &cut);
            let what = format!("cut at call {call}, seed {seed}");
            verify(&after.options, &promises, &what).await;
        }
        call += 1;
    }
    assert!(call > 20, "only {call} calls");
}

#[tokio::test]
async fn a_failed_sync_is_the_end_and_is_told() {
    let folder = TempDir::new().unwrap();
    let disk = SimDisk::new();
    let options_ = options(&folder, &disk);
    let spool = Spool::open(&options_, at(0)).unwrap();
    let staged = spool.stage_whole(b"x").await.unwrap();
    // create, sync of the folder, write, sync of the bodies
    disk.set_trouble(Some(Trouble::Once {
        call: disk.calls() + 4,
        error: ErrorKind::Other,
    }));
    let lost = spool.accept(submission(&["a@x.org"]), staged, at(1)).await;
    assert!(matches!(lost, Err(SpoolError::Failed(_))), "{lost:?}");
    assert_eq!(disk.failed_syncs(), 1);
    assert!(matches!(spool.failed().await, SpoolError::Failed(_)));
    assert!(matches!(spool.stage(), Err(SpoolError::Failed(_))));
    let calls = disk.calls();
    let sweep = spool.sweep(LEASE, at(2)).await;
    assert!(matches!(sweep, Err(SpoolError::Failed(_))));
    assert_eq!(
        disk.calls(),
        calls,
        "a failed store touches the disk no more"
    );
    let none = spool
        .read(|view| view.ids(&Filter::default(), None, 9))
        .await;
    assert_eq!(none.unwrap(), []);
}

#[tokio::test]
async fn a_full_disk_is_a_pause() {
    let folder = TempDir::new().unwrap();
    let disk = SimDisk::new();
    let options_ = options(&folder, &disk);
    let spool = Spool::open(&options_, at(0)).unwrap();
    for octets in [100, 400_000] {
        let wanted = pattern(7, octets);
        let first = spool.stage_whole(&wanted).await.unwrap();
        spool
            .accept(submission(&["a@x.org"]), first, at(1))
            .await
            .unwrap();
        disk.set_trouble(Some(Trouble::From {
            call: 0,
            error: ErrorKind::StorageFull,
        }));
        let full = match spool.stage_whole(&wanted).await {
            Ok(staged) => spool
                .accept(submission(&["a@x.org"]), staged, at(2))
                .await
                .map(|_| ()),
            Err(error) => Err(error),
        };
        disk.set_trouble(None);
        assert!(matches!(full, Err(SpoolError::Full(_))), "{full:?}");
        // Small ones fail without the disk being asked for a sync, and the next is taken.
        let staged = spool.stage_whole(&wanted).await.unwrap();
        let id = spool
            .accept(submission(&["a@x.org"]), staged, at(3))
            .await
            .unwrap()
            .id;
        assert_eq!(body(&spool, id).await, wanted);
    }
}
