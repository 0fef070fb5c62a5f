//! A file of this program's own, whole on disk after each write and locked for one run at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::STATE_OCTETS_MAX;
use crate::state::StateError;
use crate::store::write_private;

/// A file that one run holds.
#[derive(Debug)]
pub(crate) struct LockedFile {
    path: PathBuf,
    _lock: File,
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
            fs::create_dir_all(folder).map_err(not_written)?;
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&beside)
            .map_err(not_written)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(StateError::Busy { path }),
            Err(fs::TryLockError::Error(source)) => Err(not_written(source)),
        }
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
