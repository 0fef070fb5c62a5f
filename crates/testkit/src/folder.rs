//! A fresh folder for one test, removed with it.

use std::path::{Path, PathBuf};

/// A folder that exists as long as the value does.
#[derive(Debug)]
pub struct Folder {
    inside: tempfile::TempDir,
}

impl Folder {
    /// Makes a fresh, empty folder.
    ///
    /// # Panics
    /// When the machine has no place for it.
    #[expect(
        clippy::new_without_default,
        reason = "making a folder is an act, not a default"
    )]
    pub fn new() -> Self {
        let inside = tempfile::Builder::new()
            .prefix("sendas-test-")
            .tempdir()
            .expect("the machine has room for a temporary folder");
        Self { inside }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        self.inside.path()
    }

    /// A path inside the folder; nothing is created.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file, with the folders above it, and returns its path.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write(&self, name: impl AsRef<Path>, octets: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a fresh folder takes folders");
        }
        std::fs::write(&path, octets).expect("a fresh folder takes files");
        path
    }

    /// Reads a file as text.
    ///
    /// # Panics
    /// When there is none, or it is not UTF-8.
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.join(name);
        std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_files_and_goes_away() {
        let folder = Folder::new();
        let path = folder.write("a/b.txt", "text");
        assert_eq!(folder.read("a/b.txt"), "text");
        drop(folder);
        assert!(!path.exists());
    }
}
