//! Reads files that hold secrets: whole, bounded, from one open descriptor.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::CredentialError;

/// Who may be able to read the file besides its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Nobody: group and world bits are refused.
    OwnerOnly,
    /// Nobody outside the group. systemd grants the service user its credentials through an access
    /// list, which shows as group bits.
    NotWorld,
    /// Anybody: the file holds no long-lived secret, or only public parts.
    Anybody,
}

/// Reads the file, if it is no larger than `limit` octets and not open to others than `readers`.
///
/// The rights are those of the opened file, so that a swapped link cannot pass. Systems without
/// Unix rights have no such check.
pub(crate) fn read(
    path: &Path,
    limit: u64,
    readers: Readers,
) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let unreadable = |source| CredentialError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    check_rights(&file, path, readers)?;
    // One allocation of the full size: growing would leave copies behind that are not wiped.
    let capacity = usize::try_from(limit + 1).unwrap_or(usize::MAX);
    let mut octets = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(limit + 1)
        .read_to_end(&mut octets)
        .map_err(unreadable)?;
    if octets.len() as u64 > limit {
        return Err(CredentialError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(octets)
}

#[cfg(unix)]
fn check_rights(file: &File, path: &Path, readers: Readers) -> Result<(), CredentialError> {
    use std::os::unix::fs::PermissionsExt as _;

    let others = match readers {
        Readers::OwnerOnly => 0o077,
        Readers::NotWorld => 0o007,
        Readers::Anybody => return Ok(()),
    };
    let metadata = file
        .metadata()
        .map_err(|source| CredentialError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & others != 0 {
        return Err(CredentialError::Unprotected {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_rights(_: &File, _: &Path, _: Readers) -> Result<(), CredentialError> {
    Ok(())
}
