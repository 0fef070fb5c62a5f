//! Bodies on their way out: compared with their checksum before the first octet is given.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::disk::DiskFile;
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::limits::{CHUNK_OCTETS, SMALL_BODY_OCTETS_MAX};
use crate::read::BodyPlace;
use crate::record::{self, Digester, HEAD_OCTETS};

/// A body whose checksum matched when it was opened.
///
/// A small one is in memory. A large one is read again piece by piece and reckoned again on the
/// way: its last piece is given only if the whole still matches.
pub struct Body {
    id: MessageId,
    octets: u64,
    source: Source,
}

enum Source {
    Memory(Option<Bytes>),
    File(Option<Box<Run>>),
}

/// A large body in its segment, read again as often as it is wanted.
///
/// It can be read as long as the value lives, also when the message is settled meanwhile.
pub struct LargeBody {
    file: Arc<dyn DiskFile>,
    place: BodyPlace,
    /// How far it was read without a gap, and what of.
    run: Mutex<(u64, Digester)>,
}

/// A run through a large body.
struct Run {
    file: Arc<dyn DiskFile>,
    place: BodyPlace,
    read: u64,
    digester: Option<Digester>,
}

/// Why a body was not opened.
pub(crate) enum BodyTrouble {
    /// The disk says no.
    Disk(io::Error),
    /// What the disk gives is not what was stored.
    Damaged(String),
}

impl Body {
    /// Reads and compares; blocks for as long as that takes.
    pub(crate) fn open(
        id: MessageId,
        file: Arc<dyn DiskFile>,
        place: BodyPlace,
    ) -> Result<Self, BodyTrouble> {
        let octets = place.octets;
        let mut head = [0; HEAD_OCTETS];
        read(&*file, &mut head, place.at)?;
        if head != record::head(octets, &place.digest) {
            return Err(BodyTrouble::Damaged(
                "its body's head does not match the index".to_owned(),
            ));
        }
        let source = match usize::try_from(octets) {
            Ok(small) if small <= SMALL_BODY_OCTETS_MAX => {
                let mut body = vec![0; small];
                read(&*file, &mut body, place.at + HEAD_OCTETS as u64)?;
                if record::digest(&body) != place.digest {
                    return Err(mismatch());
                }
                Source::Memory(Some(body.into()))
            }
            _ => {
                let mut run = Run::new(file, place);
                while run.next()?.is_some() {}
                Source::File(Some(Box::new(Run::new(run.file, run.place))))
            }
        };
        Ok(Self { id, octets, source })
    }

    /// Octets of the body.
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// The next piece, at most [`CHUNK_OCTETS`]; `None` at the end.
    ///
    /// # Errors
    /// [`SpoolError::Damaged`] when the disk gives something else than on opening: what was
    /// handed on must not be completed. [`SpoolError::Disk`] when it cannot be read.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, SpoolError> {
        match &mut self.source {
            Source::Memory(body) => Ok(body.take().filter(|b| !b.is_empty())),
            Source::File(slot) => {
                let mut run = slot.take().ok_or(SpoolError::Closed)?;
                let (run, piece) = tokio::task::spawn_blocking(move || {
                    let piece = run.next();
                    (run, piece)
                })
                .await
                .map_err(|_| SpoolError::Closed)?;
                *slot = Some(run);
                piece.map_err(|trouble| trouble.into_error(self.id))
            }
        }
    }

    /// The next piece for callers without a runtime; blocks. As [`Body::piece`].
    pub(crate) fn piece_blocking(&mut self) -> Result<Option<Bytes>, SpoolError> {
        match &mut self.source {
            Source::Memory(body) => Ok(body.take().filter(|b| !b.is_empty())),
            Source::File(slot) => {
                let run = slot.as_mut().ok_or(SpoolError::Closed)?;
                run.next().map_err(|trouble| trouble.into_error(self.id))
            }
        }
    }

    /// A large body where it lies, to be read from any place; none for a small one.
    pub fn large(&self) -> Option<LargeBody> {
        let Source::File(Some(run)) = &self.source else {
            return None;
        };
        Some(LargeBody {
            file: Arc::clone(&run.file),
            place: run.place.clone(),
            run: Mutex::new((0, Digester::new())),
        })
    }

    /// The whole body, when it is small and no piece was taken yet.
    pub fn small(&self) -> Option<&Bytes> {
        match &self.source {
            Source::Memory(body) => body.as_ref(),
            Source::File(_) => None,
        }
    }
}

impl LargeBody {
    /// Octets of the body.
    pub const fn octets(&self) -> u64 {
        self.place.octets
    }

    /// Fills the buffer from a place in the body; blocks.
    ///
    /// Whoever reads from the first octet to the last without a gap is given the last only if the
    /// whole still matches its checksum.
    ///
    /// # Errors
    /// `InvalidData` when it does not match, `UnexpectedEof` past the end, else as the operating
    /// system reports them.
    pub fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        let end = at.saturating_add(octets.len() as u64);
        if end > self.place.octets {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let from = self.place.at + HEAD_OCTETS as u64 + at;
        self.file.read_at(octets, from)?;
        // A panic elsewhere leaves at worst a run that matches nothing.
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if at == 0 {
            *run = (0, Digester::new());
        }
        let (read, digester) = &mut *run;
        if *read != at {
            return Ok(());
        }
        digester.update(octets);
        *read = end;
        if end < self.place.octets {
            return Ok(());
        }
        let whole = std::mem::replace(digester, Digester::new());
        *read = 0;
        if whole.finish() == self.place.digest {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the stored body does not match its checksum",
            ))
        }
    }
}

impl Run {
    fn new(file: Arc<dyn DiskFile>, place: BodyPlace) -> Self {
        Self {
            file,
            place,
            read: 0,
            digester: Some(Digester::new()),
        }
    }

    fn next(&mut self) -> Result<Option<Bytes>, BodyTrouble> {
        let left = self.place.octets - self.read;
        if left == 0 {
            return Ok(None);
        }
        let octets = left.min(CHUNK_OCTETS as u64);
        let mut piece = vec![0; usize::try_from(octets).expect("a piece is small")];
        let at = self.place.at + HEAD_OCTETS as u64 + self.read;
        read(&*self.file, &mut piece, at)?;
        self.read += octets;
        let mut digester = self.digester.take().ok_or_else(mismatch)?;
        digester.update(&piece);
        if self.read < self.place.octets {
            self.digester = Some(digester);
        } else if digester.finish() != self.place.digest {
            return Err(mismatch());
        }
        Ok(Some(piece.into()))
    }
}

impl BodyTrouble {
    pub(crate) fn into_error(self, id: MessageId) -> SpoolError {
        match self {
            Self::Disk(error) => SpoolError::Disk(Arc::new(error)),
            Self::Damaged(what) => SpoolError::Damaged { id, what },
        }
    }
}

fn mismatch() -> BodyTrouble {
    BodyTrouble::Damaged("its body does not match its checksum".to_owned())
}

fn read(file: &dyn DiskFile, octets: &mut [u8], at: u64) -> Result<(), BodyTrouble> {
    file.read_at(octets, at).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            BodyTrouble::Damaged("its segment ends before its body".to_owned())
        } else {
            BodyTrouble::Disk(error)
        }
    })
}

impl std::fmt::Debug for LargeBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LargeBody")
            .field("octets", &self.place.octets)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("id", &self.id)
            .field("octets", &self.octets)
            .finish_non_exhaustive()
    }
}
