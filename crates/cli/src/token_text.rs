//! A token at hand: read from a file or standard input, never from an argument.

use std::io::Read as _;
use std::path::Path;

use crate::report::Failure;

/// Longest token that is read, in octets; the AUTH command takes 12,288 (RFC 4954 §4).
const TOKEN_OCTETS_MAX: u64 = 64 * 1024;

/// Reads a token from a file, or from standard input for `-`; line ends around it are dropped.
///
/// # Errors
/// When it cannot be read, is too long, or is not text.
pub(crate) fn read(path: &Path) -> Result<String, Box<Failure>> {
    let (place, text) = if path == Path::new("-") {
        ("standard input".to_owned(), from(std::io::stdin().lock()))
    } else {
        let text = std::fs::File::open(path).and_then(from);
        (path.display().to_string(), text)
    };
    let text = text.map_err(|error| {
        Box::new(Failure::machine(
            format!("no token was read from {place}"),
            &error,
        ))
    })?;
    Ok(text)
}

fn from(reader: impl std::io::Read) -> std::io::Result<String> {
    let mut text = String::new();
    reader
        .take(TOKEN_OCTETS_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > TOKEN_OCTETS_MAX {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "longer than any token",
        ));
    }
    Ok(text.trim_matches(['\r', '\n', ' ']).to_owned())
}
