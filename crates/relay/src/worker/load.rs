//! A stored body as a message that can be sent.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use sendas_envelope::Body as Holds;
use sendas_envelope::limits::HEADER_OCTETS_MAX;
use sendas_spool::{Body, LargeBody, SpoolError};
use sendas_submit::{Message, MessageError, Source};

/// Why a stored body cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The spool does not give it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// It is no message.
    #[error(transparent)]
    Message(MessageError),
    /// It could not be read.
    #[error("a stored body: {0}")]
    File(#[from] io::Error),
}

/// A large body, read from its segment as it is sent.
struct Stored(LargeBody);

impl Source for Stored {
    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_at(octets, at)
    }
}

/// Loads a body: a small one into memory; a large one stays where it lies and streams from there.
/// Its checksum has been compared before the first octet is used.
pub(crate) async fn message(body: Body, holds: Holds) -> Result<Message, LoadError> {
    if let Some(octets) = body.small() {
        let octets: Bytes = octets.clone();
        return Ok(match holds {
            Holds::Binary => Message::binary(octets)?,
            _ => Message::new(octets)?,
        });
    }
    let large = body.large().ok_or(SpoolError::Closed)?;
    let octets = large.octets();
    let source = Arc::new(Stored(large));
    let loaded = tokio::task::spawn_blocking(move || match holds {
        Holds::Binary => Message::binary_source(source, octets),
        _ => Message::from_source(source, octets),
    });
    Ok(loaded.await.map_err(io::Error::other)??)
}

impl From<MessageError> for LoadError {
    fn from(error: MessageError) -> Self {
        match error {
            // The disk's matter: the message may be sound.
            MessageError::File(error) => Self::File(error),
            other => Self::Message(other),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use sendas_envelope::{Address, Envelope};
    use sendas_spool::{Options, Spool, Submission};

    #[tokio::test]
    async fn a_large_body_streams_from_its_segment() {
        let folder = tempfile::tempdir().unwrap();
        let now = "2026-11-23T05:00:00Z".parse().unwrap();
        let options = Options::new(folder.path().join("spool.db"));
        let spool = Spool::open(&options, now).unwrap();
        let octets = b"0123456789abcdef0123456789abcdef\r\n".repeat(50_000);
        let staged = spool.stage_whole(&octets).await.unwrap();
        let to: Address = "a@example.org".parse().unwrap();
        let from: Address = "m@contoso.com".parse().unwrap();
        let envelope = Envelope::new(from.clone(), vec![to.into()]).unwrap();
        let submission = Submission::new(envelope, from.into());
        let id = spool.accept(submission, staged, now).await.unwrap().id;
        let read = |message: &Message| -> io::Result<Vec<u8>> {
            let mut all = Vec::new();
            while (all.len() as u64) < message.octets() {
                all.extend_from_slice(&message.block(all.len() as u64)?);
            }
            Ok(all)
        };
        let body = spool.body(id, now).await.unwrap();
        let stored = message(body, Holds::EightBit).await.unwrap();
        assert!(stored.as_memory().is_none());
        assert!(read(&stored).unwrap() == octets);
        assert!(read(&stored).unwrap() == octets, "as often as it is wanted");
        // What the disk gives is compared again: a damaged end is never sent.
        let segment = std::fs::read_dir(options.bodies())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.metadata().is_ok_and(|m| m.len() > octets.len() as u64))
            .unwrap();
        let mut damaged = std::fs::read(&segment).unwrap();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        std::fs::write(&segment, damaged).unwrap();
        let error = read(&stored).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let body = spool.body(id, now).await;
        assert!(matches!(body, Err(SpoolError::Damaged { .. })));
    }
}
