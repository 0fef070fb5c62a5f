//! A token of a foreign issuer, kept in a file that somebody else renews.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::CredentialError;
use crate::file::{self, Readers};
use crate::limits::FEDERATED_TOKEN_OCTETS_MAX;

/// The file of a workload identity federation (`AZURE_FEDERATED_TOKEN_FILE`).
///
/// Read again for each request, because the platform rotates it. Its rights are not checked:
/// Kubernetes projects it readable to all of the container, and it lives for minutes only.
#[derive(Clone, Debug)]
pub struct FederatedFile {
    path: PathBuf,
}

impl FederatedFile {
    /// Names the file; it is not read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the token of this moment. Blocks for one small file.
    ///
    /// # Errors
    /// [`CredentialError`] when the file cannot be read or holds no token.
    pub fn read(&self) -> Result<Zeroizing<String>, CredentialError> {
        let octets = file::read(&self.path, FEDERATED_TOKEN_OCTETS_MAX, Readers::Anybody)?;
        let token = octets.trim_ascii();
        if !is_token(token) {
            return Err(CredentialError::NotToken {
                path: self.path.clone(),
            });
        }
        let text = std::str::from_utf8(token).map_err(|_| CredentialError::NotToken {
            path: self.path.clone(),
        })?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// Three parts of base64url, joined by dots (RFC 7515, compact form).
fn is_token(text: &[u8]) -> bool {
    text.split(|&octet| octet == b'.').count() == 3
        && text.split(|&octet| octet == b'.').all(|part| {
            !part.is_empty()
                && part
                    .iter()
                    .all(|&o| o.is_ascii_alphanumeric() || matches!(o, b'-' | b'_'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let file = FederatedFile::new(&path);
        assert!(matches!(
            file.read(),
            Err(CredentialError::Unreadable { .. })
        ));
        for token in ["aaa.bbb.ccc", "ddd.eee.f-_"] {
            std::fs::write(&path, format!("{token}\n")).unwrap();
            assert_eq!(file.read().unwrap().as_str(), token);
        }
        for bad in [
            "",
            "aaa",
            "aaa.bbb",
            "a.b.c.d",
            "a..c",
            "a.b.c d",
            "a.b.\u{e9}",
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(
                matches!(file.read(), Err(CredentialError::NotToken { .. })),
                "{bad:?}"
            );
        }
    }
}
