//! A disk in memory for tests: fails at a chosen call, forgets, reorders and tears what was not synced.
//!
//! It promises what [`Disk`] asks of an implementer and not a bit more. After a failed sync the
//! unsynced octets are gone for good although later reads still show them and later syncs
//! succeed, as Linux does it (ATC '20, fsync failures).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile, DiskLock};

/// Octets that reach the medium together or not at all.
const SECTOR_OCTETS: usize = 512;

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The call with this number, from 1, fails.
    Once {
        /// Which call.
        call: u64,
        /// With what.
        error: io::ErrorKind,
    },
    /// That call and all after it fail.
    From {
        /// The first of them.
        call: u64,
        /// With what.
        error: io::ErrorKind,
    },
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// What is called at the moment of a chosen call.
type Hook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    calls: u64,
    room: Option<u64>,
    trouble: Option<Trouble>,
    hook: Option<(u64, Hook)>,
    failed_syncs: u64,
    nodes: Vec<Node>,
    /// Names as programs see them.
    names: BTreeMap<PathBuf, usize>,
    /// Names as the medium has them.
    durable: BTreeMap<PathBuf, usize>,
    locks: BTreeSet<PathBuf>,
}

#[derive(Clone, Default)]
struct Node {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<(usize, Vec<u8>)>,
}

struct SimFile {
    disk: SimDisk,
    node: usize,
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl SimDisk {
    /// An empty disk without trouble.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what goes wrong from here on.
    pub fn set_trouble(&self, trouble: Option<Trouble>) {
        self.lock_state().trouble = trouble;
    }

    /// Sets how much room is told; what is written does not count against it.
    pub fn set_room(&self, octets: Option<u64>) {
        self.lock_state().room = octets;
    }

    /// Calls the closure in the middle of a call, before it has any effect.
    pub fn at_call(&self, call: u64, hook: impl FnOnce() + Send + 'static) {
        self.lock_state().hook = Some((call, Box::new(hook)));
    }

    /// Calls so far, failed ones included.
    pub fn calls(&self) -> u64 {
        self.lock_state().calls
    }

    /// Syncs that failed so far.
    pub fn failed_syncs(&self) -> u64 {
        self.lock_state().failed_syncs
    }

    /// A disk as a power cut at this moment could leave it; the seed decides what of the
    /// unsynced is there, in which order it arrived, and where it is torn.
    #[must_use]
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let state = self.lock_state();
        let mut chance = Chance(seed);
        let mut cut = State::default();
        let paths: BTreeSet<&PathBuf> = state.names.keys().chain(state.durable.keys()).collect();
        for path in paths {
            let (seen, durable) = (state.names.get(path), state.durable.get(path));
            let survivor = if seen == durable || chance.one_in(2) {
                durable
            } else {
                seen
            };
            if let Some(&node) = survivor {
                let octets = state.nodes[node].after_power_cut(&mut chance);
                cut.nodes.push(Node {
                    seen: octets.clone(),
                    durable: octets,
                    pending: Vec::new(),
                });
                let node = cut.nodes.len() - 1;
                cut.names.insert(path.clone(), node);
                cut.durable.insert(path.clone(), node);
            }
        }
        Self {
            state: Arc::new(Mutex::new(cut)),
        }
    }

    /// The same contents, those of one folder under another.
    #[must_use]
    pub fn moved(&self, from: &Path, to: &Path) -> Self {
        let state = self.lock_state();
        let rename = |names: &BTreeMap<PathBuf, usize>| {
            names
                .iter()
                .map(|(path, &node)| match path.strip_prefix(from) {
                    Ok(rest) => (to.join(rest), node),
                    Err(_) => (path.clone(), node),
                })
                .collect()
        };
        let moved = State {
            nodes: state.nodes.clone(),
            names: rename(&state.names),
            durable: rename(&state.durable),
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(moved)),
        }
    }

    /// Flips one bit of a file on the medium and in sight; `false` where there is none.
    pub fn flip(&self, path: &Path, bit: usize) -> bool {
        let mut state = self.lock_state();
        let Some(&node) = state.names.get(path) else {
            return false;
        };
        let node = &mut state.nodes[node];
        for octets in [&mut node.seen, &mut node.durable] {
            let Some(octet) = octets.get_mut(bit / 8) else {
                return false;
            };
            *octet ^= 1 << (bit % 8);
        }
        true
    }

    /// The paths of all files, with their lengths.
    pub fn files(&self) -> Vec<(PathBuf, usize)> {
        let state = self.lock_state();
        let length =
            |(path, &node): (&PathBuf, &usize)| (path.clone(), state.nodes[node].seen.len());
        state.names.iter().map(length).collect()
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; fails it if that is its fate.
    fn call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock_state();
        state.calls += 1;
        let now = state.calls;
        if let Some((_, hook)) = state.hook.take_if(|(call, _)| *call == now) {
            drop(state);
            hook();
            state = self.lock_state();
        }
        match state.trouble {
            Some(Trouble::Once { call, error }) if call == now => Err(error.into()),
            Some(Trouble::From { call, error }) if call <= now => Err(error.into()),
            _ => Ok(state),
        }
    }
}

impl State {
    fn node_at(&self, path: &Path) -> io::Result<usize> {
        let node = self.names.get(path).copied();
        node.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Node {
    fn write(octets: &mut Vec<u8>, at: usize, piece: &[u8]) {
        let end = at + piece.len();
        if octets.len() < end {
            octets.resize(end, 0);
        }
        octets[at..end].copy_from_slice(piece);
    }

    fn after_power_cut(&self, chance: &mut Chance) -> Vec<u8> {
        let mut octets = self.durable.clone();
        let mut pending: Vec<_> = self.pending.iter().collect();
        // Writes reach the medium in any order, and each in sectors of its own fate.
        while !pending.is_empty() {
            let (at, piece) = pending.swap_remove(chance.below(pending.len()));
            if chance.one_in(3) {
                continue;
            }
            let torn = chance.one_in(2);
            for (n, sector) in piece.chunks(SECTOR_OCTETS).enumerate() {
                if !torn || chance.one_in(2) {
                    Self::write(&mut octets, at + n * SECTOR_OCTETS, sector);
                }
            }
        }
        octets
    }
}

impl Disk for SimDisk {
    fn make_folder(&self, _path: &Path) -> io::Result<()> {
        self.call().map(drop)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.call()?;
        let inside = |path: &&PathBuf| path.parent() == Some(folder);
        let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
        Ok(state.names.keys().filter(inside).filter_map(name).collect())
    }

    fn room(&self, _folder: &Path) -> io::Result<Option<u64>> {
        Ok(self.lock_state().room)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.call()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.nodes.push(Node::default());
        let node = state.nodes.len() - 1;
        state.names.insert(path.to_owned(), node);
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            node,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let node = self.call()?.node_at(path)?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            node,
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        state.node_at(path)?;
        state.names.remove(path);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.call().inspect_err(|_| {
            self.lock_state().failed_syncs += 1;
        })?;
        let inside = |path: &Path| path.parent() == Some(folder);
        let mut durable = state.durable.clone();
        durable.retain(|path, _| !inside(path));
        for (path, &node) in state.names.iter().filter(|(path, _)| inside(path)) {
            durable.insert(path.clone(), node);
        }
        state.durable = durable;
        Ok(())
    }

    fn lock(&self, path: &Path, _wait: bool) -> io::Result<Option<Box<dyn DiskLock>>> {
        let mut state = self.call()?;
        if !state.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        if !state.names.contains_key(path) {
            state.nodes.push(Node::default());
            let node = state.nodes.len() - 1;
            state.names.insert(path.to_owned(), node);
        }
        Ok(Some(Box::new(SimLock {
            disk: self.clone(),
            path: path.to_owned(),
        })))
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        let at = usize::try_from(at).expect("a test's file fits into memory");
        // A failing write may have written a part: the first half of it.
        let (mut state, octets, failed) = match self.disk.call() {
            Ok(state) => (state, octets, None),
            Err(error) => (
                self.disk.lock_state(),
                &octets[..octets.len() / 2],
                Some(error),
            ),
        };
        let node = &mut state.nodes[self.node];
        Node::write(&mut node.seen, at, octets);
        node.pending.push((at, octets.to_vec()));
        failed.map_or(Ok(()), Err)
    }

    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        let at = usize::try_from(at).expect("a test's file fits into memory");
        let state = self.disk.call()?;
        let seen = state.nodes[self.node].seen.get(at..at + octets.len());
        octets.copy_from_slice(seen.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        match self.disk.call() {
            Ok(mut state) => {
                let node = &mut state.nodes[self.node];
                for (at, piece) in std::mem::take(&mut node.pending) {
                    Node::write(&mut node.durable, at, &piece);
                }
                Ok(())
            }
            Err(error) => {
                // The pages count as clean from here on: no later sync writes them.
                let mut state = self.disk.lock_state();
                state.failed_syncs += 1;
                state.nodes[self.node].pending.clear();
                Err(error)
            }
        }
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.call()?.nodes[self.node].seen.len() as u64)
    }
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.lock_state().locks.remove(&self.path);
    }
}

/// A stream of decisions from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).expect("a count fits");
        let drawn = (crate::id::step(&mut self.0) >> 11) % n;
        usize::try_from(drawn).expect("it is below a count")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> &'static Path {
        Path::new("/f/a")
    }

    #[test]
    fn unsynced_octets_and_names_may_be_lost() {
        let disk = SimDisk::new();
        let file = disk.create(path()).unwrap();
        file.write_at(&[1; 2000], 0).unwrap();
        let outcomes: BTreeSet<_> = (0..64).map(|s| disk.after_power_cut(s).files()).collect();
        assert!(outcomes.contains(&vec![]));
        assert!(outcomes.len() > 3, "{outcomes:?}");
        file.sync().unwrap();
        disk.sync_folder(Path::new("/f")).unwrap();
        for seed in 0..64 {
            let kept = disk.after_power_cut(seed).open(path()).unwrap();
            let mut octets = [0; 2000];
            kept.read_at(&mut octets, 0).unwrap();
            assert_eq!(octets, [1; 2000]);
        }
    }

    #[test]
    fn a_failed_sync_loses_what_a_second_one_seems_to_save() {
        let disk = SimDisk::new();
        let file = disk.create(path()).unwrap();
        disk.sync_folder(Path::new("/f")).unwrap();
        file.write_at(b"lost", 0).unwrap();
        disk.set_trouble(Some(Trouble::Once {
            call: disk.calls() + 1,
            error: io::ErrorKind::Other,
        }));
        assert!(file.sync().is_err());
        assert!(file.sync().is_ok());
        for seed in 0..16 {
            let after = disk.after_power_cut(seed);
            assert_eq!(after.files(), [(path().to_owned(), 0)]);
        }
    }
}
