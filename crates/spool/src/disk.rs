//! The only file calls for bodies, behind a seam that tests can fail, tear and forget.
//!
//! The index is SQLite's own file and does not pass here; see [`crate`] for what is tested how.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// File calls the spool needs for bodies and locks.
///
/// An implementer owes: a write that returned may still be lost until `sync` of that file has
/// returned; a name may be lost until `sync_folder` has. A lie here costs acknowledged mail.
pub trait Disk: Send + Sync + 'static {
    /// Makes the folder and its parents unless they exist; private to the owner.
    ///
    /// # Errors
    /// As the operating system reports them; so for every call here.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// The names of the files in a folder, in no order.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Creates a file that must not exist yet, for writing and reading.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file for reading and syncing.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As the operating system reports them. A failure is never tried again.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Octets that may still be written where a folder lies; `None` where nobody knows.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn room(&self, folder: &Path) -> io::Result<Option<u64>> {
        _ = folder;
        Ok(None)
    }
    /// Locks a file against other processes, creating it when missing; `None` when another holds it.
    ///
    /// The lock ends when the value is dropped or the process dies.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn DiskLock>>>;
}

/// An open file of a [`Disk`].
pub trait DiskFile: Send + Sync {
    /// Writes all octets at a place.
    ///
    /// # Errors
    /// As the operating system reports them; part of the octets may have been written.
    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()>;
    /// Fills the buffer from a place.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before, else as the operating system reports them.
    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()>;
    /// Makes the written octets and the file's length durable.
    ///
    /// # Errors
    /// As the operating system reports them. A failure is never tried again.
    fn sync(&self) -> io::Result<()>;
    /// The length in octets.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn length(&self) -> io::Result<u64>;
}

/// A held lock; dropping it lets go.
pub trait DiskLock: Send + Sync {}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile(File);

struct RealLock(#[expect(dead_code, reason = "held open for its lock")] File);

impl Disk for RealDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let is_new = !path.exists();
        builder.create(path)?;
        if is_new {
            adopt(&File::open(path)?, path)?;
        }
        Ok(())
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = private().create_new(true).read(true).open(path)?;
        adopt(&file, path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        // Windows syncs only what may be written.
        let file = private().read(true).open(path).or_else(|error| {
            if error.kind() == io::ErrorKind::PermissionDenied {
                File::open(path)
            } else {
                Err(error)
            }
        })?;
        Ok(Arc::new(RealFile(file)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    #[cfg(unix)]
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    /// Windows has no handle on a folder that could be flushed: NTFS journals names itself.
    #[cfg(not(unix))]
    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    #[cfg(unix)]
    fn room(&self, folder: &Path) -> io::Result<Option<u64>> {
        let system = rustix::fs::statvfs(folder)?;
        // What is kept for root is not ours, whoever we are.
        Ok(Some(system.f_bavail.saturating_mul(system.f_frsize)))
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn DiskLock>>> {
        let file = private().create(true).truncate(false).open(path)?;
        adopt(&file, path)?;
        if wait {
            file.lock()?;
        } else {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
        Ok(Some(Box::new(RealLock(file))))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes sure that the index's file is there, empty, before the database opens it: so it has the
/// right owner and nobody else may read it. Its log and shared memory follow it.
pub(crate) fn prepare_index(path: &Path) -> io::Result<()> {
    match private().create_new(true).open(path) {
        Ok(file) => adopt(&file, path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives a new file the owner of its folder: what root makes beside a relay that has a user of
/// its own must not be closed to that relay.
#[cfg(unix)]
fn adopt(file: &File, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    let (wanted, own) = (fs::metadata(folder)?, file.metadata()?);
    if wanted.uid() == own.uid() {
        return Ok(());
    }
    match fchown(file, Some(wanted.uid()), Some(wanted.gid())) {
        // Only root gives files away; a group may share a spool without that.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
fn adopt(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}

impl DiskFile for RealFile {
    #[cfg(unix)]
    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, octets, at)
    }

    #[cfg(windows)]
    fn write_at(&self, mut octets: &[u8], mut at: u64) -> io::Result<()> {
        use std::os::windows::fs::FileExt as _;
        while !octets.is_empty() {
            let written = self.0.seek_write(octets, at)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            octets = &octets[written..];
            at += written as u64;
        }
        Ok(())
    }

    #[cfg(unix)]
    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, octets, at)
    }

    #[cfg(windows)]
    fn read_at(&self, mut octets: &mut [u8], mut at: u64) -> io::Result<()> {
        use std::os::windows::fs::FileExt as _;
        while !octets.is_empty() {
            let read = self.0.seek_read(octets, at)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            octets = &mut octets[read..];
            at += read as u64;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

impl DiskLock for RealLock {}
