//! Bodies on their way in: piece by piece, in memory while small, in a file of their own beyond.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::disk::DiskFile;
use crate::error::SpoolError;
use crate::limits::{BODY_OCTETS_MAX, CHUNK_OCTETS, SMALL_BODY_OCTETS_MAX, STAGED_OCTETS_MAX};
use crate::record::{self, Digest, Digester, HEAD_OCTETS};
use crate::shared::Shared;

/// Octets buffered per submitter once the memory for all of them is spent.
const NARROW_OCTETS: usize = 16 * 1024;

const _: () = assert!(CHUNK_OCTETS == SMALL_BODY_OCTETS_MAX);

/// A body that is being received.
///
/// Memory stays below [`CHUNK_OCTETS`], however long the body is. Dropping it forgets the body.
pub struct Staging {
    stage: Option<Stage>,
}

/// A complete body that no message owns yet.
///
/// A large one is already synced. Dropping it forgets the body.
pub struct Staged {
    shared: Arc<Shared>,
    octets: u64,
    digest: Digest,
    body: StagedBody,
    /// Set when a message owns the file; then it is not removed on drop.
    kept: Arc<AtomicBool>,
}

enum StagedBody {
    Memory(Vec<u8>),
    File(String),
}

/// The blocking half: no runtime in here.
pub(crate) struct Stage {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    reserved: usize,
    narrow: bool,
    octets: u64,
    spill: Option<Spill>,
}

struct Spill {
    name: String,
    file: Arc<dyn DiskFile>,
    digester: Digester,
    at: u64,
}

impl Staging {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            stage: Some(Stage::new(shared)),
        }
    }

    /// Takes the next piece.
    ///
    /// Not to be dropped half-way: after that only dropping the staging is left.
    ///
    /// # Errors
    /// [`SpoolError::Full`] or [`SpoolError::Disk`] when a large body cannot be written,
    /// [`SpoolError::Limit`] past [`BODY_OCTETS_MAX`].
    pub async fn write(&mut self, mut piece: &[u8]) -> Result<(), SpoolError> {
        loop {
            let stage = self.stage.as_mut().ok_or(SpoolError::Closed)?;
            let taken = stage.take(piece)?;
            piece = &piece[taken..];
            if piece.is_empty() {
                return Ok(());
            }
            let mut stage = self.stage.take().ok_or(SpoolError::Closed)?;
            let (stage, result) = tokio::task::spawn_blocking(move || {
                let result = stage.flush();
                (stage, result)
            })
            .await
            .map_err(|_| SpoolError::Closed)?;
            result?;
            self.stage = Some(stage);
        }
    }

    /// Octets received so far.
    pub fn octets(&self) -> u64 {
        self.stage.as_ref().map_or(0, |s| s.octets)
    }

    /// Ends the body; a large one is synced.
    ///
    /// # Errors
    /// As [`Staging::write`]; [`SpoolError::Failed`] when a sync fails.
    pub async fn finish(mut self) -> Result<Staged, SpoolError> {
        let stage = self.stage.take().ok_or(SpoolError::Closed)?;
        if stage.spill.is_none() {
            return stage.finish();
        }
        tokio::task::spawn_blocking(move || stage.finish())
            .await
            .map_err(|_| SpoolError::Closed)?
    }
}

impl Stage {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            buffer: Vec::new(),
            reserved: 0,
            narrow: false,
            octets: 0,
            spill: None,
        }
    }

    /// Takes all of the piece; blocks.
    pub(crate) fn write(&mut self, mut piece: &[u8]) -> Result<(), SpoolError> {
        loop {
            let taken = self.take(piece)?;
            piece = &piece[taken..];
            if piece.is_empty() {
                return Ok(());
            }
            self.flush()?;
        }
    }

    /// Buffers what fits and says how much; whatever is left wants a flush first.
    fn take(&mut self, piece: &[u8]) -> Result<usize, SpoolError> {
        if self.octets + piece.len() as u64 > BODY_OCTETS_MAX {
            return Err(SpoolError::Limit {
                what: "a body",
                max: BODY_OCTETS_MAX,
            });
        }
        let room = if self.narrow {
            NARROW_OCTETS
        } else {
            CHUNK_OCTETS
        };
        let taken = piece.len().min(room.saturating_sub(self.buffer.len()));
        if self.spill.is_none() && !self.reserve(taken) {
            self.narrow = true;
            return if self.buffer.is_empty() && piece.len() <= NARROW_OCTETS {
                self.keep(piece);
                Ok(piece.len())
            } else {
                Ok(0)
            };
        }
        self.keep(&piece[..taken]);
        Ok(taken)
    }

    fn keep(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
        self.octets += piece.len() as u64;
    }

    fn reserve(&mut self, octets: usize) -> bool {
        let before = self.shared.staged.fetch_add(octets, Ordering::Relaxed);
        let fits = before + octets <= STAGED_OCTETS_MAX;
        if fits {
            self.reserved += octets;
        } else {
            self.shared.staged.fetch_sub(octets, Ordering::Relaxed);
        }
        fits
    }

    fn unreserve(&mut self) {
        self.shared
            .staged
            .fetch_sub(std::mem::take(&mut self.reserved), Ordering::Relaxed);
    }

    /// Writes the buffer to the body's own file, which begins here at the latest; blocks.
    fn flush(&mut self) -> Result<(), SpoolError> {
        self.shared.alive()?;
        if self.spill.is_none() {
            let (name, file) = self.shared.create_segment()?;
            self.spill = Some(Spill {
                name,
                file,
                digester: Digester::new(),
                at: HEAD_OCTETS as u64,
            });
            self.unreserve();
        }
        let spill = self.spill.as_mut().expect("it has just begun");
        spill
            .file
            .write_at(&self.buffer, spill.at)
            .map_err(SpoolError::from_disk)?;
        spill.digester.update(&self.buffer);
        spill.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the body; blocks when it has a file.
    pub(crate) fn finish(mut self) -> Result<Staged, SpoolError> {
        if self.spill.is_none() {
            let staged = Staged {
                shared: Arc::clone(&self.shared),
                octets: self.octets,
                digest: record::digest(&self.buffer),
                body: StagedBody::Memory(std::mem::take(&mut self.buffer)),
                kept: Arc::new(AtomicBool::new(false)),
            };
            // From here on the staged body answers for the memory, and for all of it.
            let octets = staged.memory_octets();
            self.shared.staged.fetch_add(octets, Ordering::Relaxed);
            return Ok(staged);
        }
        self.flush()?;
        let spill = self.spill.take().expect("it is there");
        let staged = Staged {
            shared: Arc::clone(&self.shared),
            octets: self.octets,
            digest: spill.digester.finish(),
            body: StagedBody::File(spill.name.clone()),
            kept: Arc::new(AtomicBool::new(false)),
        };
        let head = record::head(staged.octets, &staged.digest);
        spill
            .file
            .write_at(&head, 0)
            .map_err(SpoolError::from_disk)?;
        spill
            .file
            .sync()
            .map_err(|e| self.shared.sync_failed(&spill.name, e))?;
        Ok(staged)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.unreserve();
        if let Some(spill) = &self.spill {
            self.shared.remove_segment(&spill.name);
        }
    }
}

impl Staged {
    /// Octets of the body.
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    pub(crate) const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The body, when it is small and goes through the group commit.
    pub(crate) fn memory(&self) -> Option<&[u8]> {
        match &self.body {
            StagedBody::Memory(octets) => Some(octets),
            StagedBody::File(_) => None,
        }
    }

    /// The file, when it has one of its own.
    pub(crate) fn file(&self) -> Option<&str> {
        match &self.body {
            StagedBody::Memory(_) => None,
            StagedBody::File(name) => Some(name),
        }
    }

    /// The switch that says whether a message owns the file.
    pub(crate) const fn kept(&self) -> &Arc<AtomicBool> {
        &self.kept
    }

    fn memory_octets(&self) -> usize {
        self.memory().map_or(0, <[u8]>::len)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.shared
            .staged
            .fetch_sub(self.memory_octets(), Ordering::Relaxed);
        if let StagedBody::File(name) = &self.body
            && !self.kept.load(Ordering::Relaxed)
        {
            self.shared.remove_segment(name);
        }
    }
}

impl std::fmt::Debug for Staged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staged")
            .field("octets", &self.octets)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Staging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staging")
            .field("octets", &self.octets())
            .finish_non_exhaustive()
    }
}
