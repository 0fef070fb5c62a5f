//! A stored body as a message that can be sent.

use std::io::Write as _;

use bytes::Bytes;
use sendas_envelope::Body as Holds;
use sendas_envelope::limits::HEADER_OCTETS_MAX;
use sendas_spool::{Body, SpoolError};
use sendas_submit::{Message, MessageError};

/// Why a stored body cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The spool does not give it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// It is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// There is no room for a temporary file.
    #[error("a temporary file: {0}")]
    File(#[from] std::io::Error),
}

/// Loads a body: a small one into memory, a large one into a file without a name, from where it
/// streams. Its checksum has been compared before the first octet is used.
pub(crate) async fn message(mut body: Body, holds: Holds) -> Result<Message, LoadError> {
    if let Some(octets) = body.small() {
        let octets: Bytes = octets.clone();
        return Ok(match holds {
            Holds::Binary => Message::binary(octets)?,
            _ => Message::new(octets)?,
        });
    }
    let mut file = tempfile::tempfile()?;
    while let Some(piece) = body.piece().await? {
        file = tokio::task::spawn_blocking(move || file.write_all(&piece).map(|()| file))
            .await
            .map_err(std::io::Error::other)??;
    }
    let loaded = tokio::task::spawn_blocking(move || match holds {
        Holds::Binary => Message::binary_file(file),
        _ => Message::from_file(file),
    });
    Ok(loaded.await.map_err(std::io::Error::other)??)
}

/// The start of a message: its header, or all of it when it is not longer than `octets_max`.
pub(crate) async fn start(body: &mut Body, octets_max: u64) -> Result<(Vec<u8>, bool), SpoolError> {
    let whole = body.octets() <= octets_max;
    let mut out = Vec::new();
    while let Some(piece) = body.piece().await? {
        out.extend_from_slice(&piece);
        if !whole && out.len() >= HEADER_OCTETS_MAX {
            break;
        }
    }
    Ok((out, whole))
}
