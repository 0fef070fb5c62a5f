//! A file that is always whole: the old text or the new one, whatever happens in between.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Replaces a file, on disk when the call returns: a new file beside it, synced, renamed over it,
/// and the folder synced. Rights and owner of the old file stay; a link stays a link, and what it
/// points to is replaced.
///
/// # Errors
/// What the system says; then the file is as it was.
pub(crate) fn write(path: &Path, octets: &[u8]) -> io::Result<()> {
    let path = target(path);
    let folder = folder(&path);
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(octets)?;
    if let Ok(metadata) = fs::metadata(&path) {
        keep_owner(file.as_file(), &metadata)?;
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Whether [`write()`] could replace this file, as far as can be known without doing it.
///
/// # Errors
/// What the system says.
pub(crate) fn can_write(path: &Path) -> io::Result<()> {
    drop(tempfile::NamedTempFile::new_in(folder(&target(path)))?);
    Ok(())
}

/// The file itself, behind links.
fn target(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn keep_owner(file: &File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    fchown(file, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn rights_and_links_stay_and_nothing_is_left_beside() {
        use std::os::unix::fs::PermissionsExt as _;

        let home = tempfile::tempdir().unwrap();
        let (real, link) = (home.path().join("real/x.toml"), home.path().join("x.toml"));
        write(&real, b"one").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        can_write(&link).unwrap();
        write(&link, b"two").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let mode = fs::metadata(&real).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(fs::read_dir(home.path().join("real")).unwrap().count(), 1);
        assert!(can_write(&home.path().join("missing/x")).is_err());
    }
}
