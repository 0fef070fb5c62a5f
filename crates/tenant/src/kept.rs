//! A file of this program's own, whole on disk after each write and locked for one run at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::STATE_OCTETS_MAX;
use crate::store::{make_folder, write_private};

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another run holds it.
    #[error("another run holds the state file {}", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read the state file {}", path.display())]
    NotRead {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the state file {}", path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no state file.
    #[error("{} is no state file of this command: {reason}", path.display())]
    NotState {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A file that one run holds.
#[derive(Debug)]
pub(crate) struct LockedFile {
    path: PathBuf,
    lock: Option<Lock>,
}

/// The file beside it that keeps others out.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
}

impl LockedFile {
    /// Opens the file, which need not exist; a file beside it (`.lock`) keeps others out until this
    /// value is dropped.
    pub(crate) fn open(path: PathBuf) -> Result<Self, StateError> {
        let beside = {
            let mut name = path.clone().into_os_string();
            name.push(".lock");
            PathBuf::from(name)
        };
        let not_written = |source| StateError::NotWritten {
            path: beside.clone(),
            source,
        };
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            // Keys may lie beside the state: the folder is its owner's from the beginning.
            make_folder(folder).map_err(not_written)?;
        }
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&beside)
                .map_err(not_written)?;
            match file.try_lock() {
                // A run that ended in between took the file away: another one is needed.
                Ok(()) if !is_at(&file, &beside) => {}
                Ok(()) => {
                    let lock = Some(Lock { path: beside, file });
                    return Ok(Self { path, lock });
                }
                Err(fs::TryLockError::WouldBlock) => return Err(StateError::Busy { path }),
                Err(fs::TryLockError::Error(source)) => return Err(not_written(source)),
            }
        }
    }

    /// The file for reading only: it keeps nobody out, and leaves nothing behind.
    pub(crate) fn reading(path: PathBuf) -> Self {
        Self { path, lock: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it; none when there is no file.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Result<Option<T>, StateError> {
        let not_read = |source| StateError::NotRead {
            path: self.path.clone(),
            source,
        };
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(not_read)?,
        };
        let mut octets = Vec::new();
        file.take(STATE_OCTETS_MAX + 1)
            .read_to_end(&mut octets)
            .map_err(not_read)?;
        if octets.len() as u64 > STATE_OCTETS_MAX {
            return Err(self.not_state("it is too large".into()));
        }
        serde_json::from_slice(&octets)
            .map(Some)
            .map_err(|error| self.not_state(error.to_string()))
    }

    /// Refuses a form of another version.
    pub(crate) fn check_version(&self, found: u32, known: u32) -> Result<(), StateError> {
        if found == known {
            return Ok(());
        }
        Err(self.not_state(format!(
            "its version is {found}, and this program knows {known}"
        )))
    }

    /// Writes it whole: on disk when the call returns.
    pub(crate) fn save(&self, value: &impl Serialize) -> Result<(), StateError> {
        let octets = serde_json::to_vec_pretty(value).expect("a state is plain data");
        write_private(&self.path, &octets, None).map_err(|source| StateError::NotWritten {
            path: self.path.clone(),
            source,
        })
    }

    /// Removes the file; what is gone is no error.
    pub(crate) fn remove(&self) -> Result<(), StateError> {
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StateError::NotWritten {
                    path: self.path.clone(),
                    source,
                })
            }
            _ => Ok(()),
        }
    }

    fn not_state(&self, reason: String) -> StateError {
        StateError::NotState {
            path: self.path.clone(),
            reason,
        }
    }
}

/// Takes the lock's file away when there is nothing that it would guard.
impl Drop for LockedFile {
    fn drop(&mut self) {
        if let Some(lock) = &self.lock
            && !self.path.exists()
        {
            // It is still held: whoever opened it meanwhile finds that it is gone.
            drop(fs::remove_file(&lock.path));
            drop(lock.file.unlock());
        }
    }
}

/// Whether an open file is still the one of this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() == named.ino() && open.dev() == named.dev(),
        _ => false,
    }
}

/// Whether an open file is still the one of this name: an open one cannot be replaced here.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}
