//! What a place of installed things holds.

use std::path::Path;

use anyhow::{Context, Result};

/// Whether what a place holds is what is wanted.
pub(super) fn is_stamped(place: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(place.join("installed")).is_ok_and(|stamp| stamp == wanted)
}

/// Notes what a place holds, once it is whole.
pub(super) fn stamp(place: &Path, wanted: &str) -> Result<()> {
    Ok(std::fs::write(place.join("installed"), wanted)?)
}

/// Removes a place; what is gone is no error.
pub(super) fn remove(place: &Path) -> Result<()> {
    match std::fs::remove_dir_all(place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", place.display()))
        }
        _ => Ok(()),
    }
}
