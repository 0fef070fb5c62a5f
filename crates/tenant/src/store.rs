//! Where secrets go: a file of their owner's, or a systemd credential.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// Keeps secrets. What was put is on disk when the call returns; nothing is ever overwritten that
/// was not put by the same place.
pub trait SecretStore: Send + Sync {
    /// Where a secret of this file name would be kept.
    fn place(&self, name: &str) -> Place;

    /// Keeps it there, replacing what was there.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is there, or what was there before.
    fn put(&self, place: &Place, octets: &[u8]) -> Result<(), StoreError>;

    /// Whether something is kept there.
    fn has(&self, place: &Place) -> bool {
        place.path().exists()
    }

    /// Removes it; what is gone is no error.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove(&self, place: &Place) -> Result<(), StoreError> {
        match fs::remove_file(place.path()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::NotWritten {
                    path: place.path().to_owned(),
                    source,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Where a secret is kept. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A file that only its owner can read.
    File(PathBuf),
    /// A systemd credential, encrypted for this machine.
    Systemd {
        /// Its name, for `LoadCredentialEncrypted=`.
        name: String,
        /// The encrypted file.
        path: PathBuf,
    },
}

/// Why a secret could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file could not be written.
    #[error("cannot write {}", path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `systemd-creds` could not be run.
    #[error("cannot run systemd-creds, which makes encrypted credentials (systemd 250 or later)")]
    NoSystemd(#[source] io::Error),
    /// `systemd-creds` failed.
    #[error("systemd-creds failed: {words}")]
    Systemd {
        /// What it said.
        words: String,
    },
}

/// Files in a folder, readable by their owner only.
#[derive(Clone, Debug)]
pub struct FileStore {
    folder: PathBuf,
    like: Option<PathBuf>,
}

impl FileStore {
    /// Files go into this folder, which is made when it is missing.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            like: None,
        }
    }

    /// Gives new files the owner and group of this file, if it exists: what an administrator makes
    /// stays readable for the service that uses it. Where the system does not let us, nothing is
    /// kept.
    #[must_use]
    pub fn owned_like(mut self, path: impl Into<PathBuf>) -> Self {
        self.like = Some(path.into());
        self
    }
}

impl SecretStore for FileStore {
    fn place(&self, name: &str) -> Place {
        Place::File(self.folder.join(name))
    }

    fn put(&self, place: &Place, octets: &[u8]) -> Result<(), StoreError> {
        write_private(place.path(), octets, self.like.as_deref()).map_err(|source| {
            StoreError::NotWritten {
                path: place.path().to_owned(),
                source,
            }
        })
    }
}

/// Encrypted credentials of this machine's systemd.
#[derive(Clone, Debug)]
pub struct SystemdStore {
    folder: PathBuf,
}

impl SystemdStore {
    /// Where systemd looks for encrypted credentials by itself.
    pub const FOLDER: &'static str = "/etc/credstore.encrypted";

    /// Encrypted files go into this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }
}

impl SecretStore for SystemdStore {
    fn place(&self, name: &str) -> Place {
        Place::Systemd {
            name: name.to_owned(),
            path: self.folder.join(name),
        }
    }

    /// The text goes to `systemd-creds` through a pipe, never through an argument or a plain file.
    fn put(&self, place: &Place, octets: &[u8]) -> Result<(), StoreError> {
        let name = match place {
            Place::Systemd { name, .. } => name.as_str(),
            Place::File(path) => path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default(),
        };
        let mut child = Command::new("systemd-creds")
            .args(["encrypt", &format!("--name={name}"), "-", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(StoreError::NoSystemd)?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(octets).map_err(StoreError::NoSystemd)?;
        }
        let output = child.wait_with_output().map_err(StoreError::NoSystemd)?;
        if !output.status.success() {
            return Err(StoreError::Systemd {
                words: crate::wire::words(&String::from_utf8_lossy(&output.stderr)),
            });
        }
        write_private(place.path(), &output.stdout, None).map_err(|source| StoreError::NotWritten {
            path: place.path().to_owned(),
            source,
        })
    }
}

impl Place {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Systemd { path, .. } => path,
        }
    }
}

/// Shows the place, as an operator would name it.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Systemd { name, path } => {
                write!(f, "systemd credential {name} ({})", path.display())
            }
        }
    }
}

/// Writes a file whole or not at all: a new file beside it, closed to others from its first octet,
/// synced, renamed over it, and the folder synced. It gets the owner of `like`.
pub(crate) fn write_private(path: &Path, octets: &[u8], like: Option<&Path>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    make_folder(folder)?;
    // The builder's files are open to nobody but their owner, and never follow a link.
    let mut file = tempfile::Builder::new()
        .prefix(".sendas-")
        .tempfile_in(folder)?;
    file.write_all(octets)?;
    if let Some(like) = like {
        take_owner(file.as_file(), like)?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Gives a file the owner and group of another, unless it has them already.
#[cfg(unix)]
fn take_owner(file: &File, like: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let Ok(wanted) = fs::metadata(like) else {
        return Ok(());
    };
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (wanted.uid(), wanted.gid()) {
        return Ok(());
    }
    fchown(file, Some(wanted.uid()), Some(wanted.gid()))
}

#[cfg(not(unix))]
fn take_owner(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes a folder that only its owner may enter; one that is there stays as it is.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_whole_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().join("deep/er"));
        let place = store.place("key.pem");
        assert!(!store.has(&place));
        store.put(&place, b"one").unwrap();
        store.put(&place, b"two").unwrap();
        assert_eq!(fs::read(place.path()).unwrap(), b"two");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(place.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let above = place.path().parent().unwrap();
            assert_eq!(
                fs::metadata(above).unwrap().permissions().mode() & 0o777,
                0o700
            );
        }
        assert_eq!(
            fs::read_dir(place.path().parent().unwrap())
                .unwrap()
                .count(),
            1
        );
        store.remove(&place).unwrap();
        store.remove(&place).unwrap();
        assert!(!store.has(&place));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        write_private(&link, b"secret", None).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
        assert_eq!(fs::read(&link).unwrap(), b"secret");
    }
}
