//! A message's octets: CRLF line ends only, of known length, readable more than once.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sendas_smtp::data::{BareLineEnd, LineCheck};

use crate::limits::{BODY_BLOCK_OCTETS, MEMORY_OCTETS_MAX};

/// A message as it goes on the wire (RFC 5322), before any framing.
///
/// It holds CRLF line ends only, no NUL, and ends with CRLF, so that both framings carry it
/// unchanged and no server between here and the reader can disagree on where its lines end.
/// Clones share the octets. A message in a file or another source is read as it is sent and never
/// whole.
#[derive(Clone)]
pub struct Message {
    content: Content,
    octets: u64,
}

#[derive(Clone)]
enum Content {
    Memory(Bytes),
    Source(Arc<dyn Source>),
}

/// Octets that lie elsewhere and are read as they are sent.
///
/// An implementer owes: the octets do not change while a message is made of them, and a place
/// may be read more than once. Reading blocks.
pub trait Source: Send + Sync {
    /// Fills the buffer from a place.
    ///
    /// # Errors
    /// As the operating system reports them, or when the octets are not what they were.
    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()>;
}

impl Source for File {
    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        read_exact_at(self, octets, at)
    }
}

/// Why octets are no message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// A bare CR, bare LF or NUL.
    #[error("{0}; a message has CRLF line ends only")]
    LineEnd(#[from] BareLineEnd),
    /// Nothing at all.
    #[error("the message is empty")]
    Empty,
    /// The file could not be read or written.
    #[error("the message could not be kept: {0}")]
    File(#[from] io::Error),
}

impl Message {
    /// A message that is already in its wire form. A last line without CRLF gets one.
    ///
    /// # Errors
    /// [`MessageError::LineEnd`]: nothing is repaired here; see [`MessageWriter`] for that.
    pub fn new(octets: impl Into<Bytes>) -> Result<Self, MessageError> {
        let octets: Bytes = octets.into();
        let mut check = LineCheck::default();
        check.check(&octets)?;
        check.finish()?;
        if octets.is_empty() {
            return Err(MessageError::Empty);
        }
        if octets.ends_with(b"\r\n") {
            return Ok(Self {
                octets: octets.len() as u64,
                content: Content::Memory(octets),
            });
        }
        let mut whole = BytesMut::with_capacity(octets.len() + 2);
        whole.extend_from_slice(&octets);
        whole.extend_from_slice(b"\r\n");
        Ok(Self {
            octets: whole.len() as u64,
            content: Content::Memory(whole.freeze()),
        })
    }

    /// A message whose local line ends (LF, CRLF or CR) become CRLF.
    ///
    /// # Errors
    /// [`MessageError`] for NUL, or when there is nothing.
    pub fn from_text(octets: &[u8]) -> Result<Self, MessageError> {
        let mut writer = MessageWriter::new();
        writer.write(octets)?;
        writer.finish()
    }

    /// A message of any octets, for an envelope with `BODY=BINARYMIME` (RFC 3030): it travels by
    /// BDAT only, and nothing in it is a line.
    ///
    /// # Errors
    /// [`MessageError::Empty`].
    pub fn binary(octets: impl Into<Bytes>) -> Result<Self, MessageError> {
        let octets: Bytes = octets.into();
        if octets.is_empty() {
            return Err(MessageError::Empty);
        }
        Ok(Self {
            octets: octets.len() as u64,
            content: Content::Memory(octets),
        })
    }

    /// As [`Message::binary`], so many octets of a source.
    ///
    /// # Errors
    /// [`MessageError::Empty`].
    pub fn binary_source(source: Arc<dyn Source>, octets: u64) -> Result<Self, MessageError> {
        if octets == 0 {
            return Err(MessageError::Empty);
        }
        Ok(Self {
            content: Content::Source(source),
            octets,
        })
    }

    /// A message in an open file, from its start to its end, in wire form. The file must not
    /// change while the message lives.
    ///
    /// # Errors
    /// As [`Message::from_source`].
    pub fn from_file(file: File) -> Result<Self, MessageError> {
        let octets = file.metadata()?.len();
        Self::from_source(Arc::new(file), octets)
    }

    /// A message of so many octets of a source, in wire form; reads them all, and blocks for as
    /// long as that takes.
    ///
    /// # Errors
    /// [`MessageError::LineEnd`], also for a last line without CRLF, which a source does not get
    /// added.
    pub fn from_source(source: Arc<dyn Source>, octets: u64) -> Result<Self, MessageError> {
        let (mut check, mut at, mut tail) = (LineCheck::default(), 0, [0; 2]);
        let mut block = vec![0; BODY_BLOCK_OCTETS];
        while at < octets {
            let n = block_octets(octets - at);
            source.read_at(&mut block[..n], at)?;
            check.check(&block[..n])?;
            let last = n - 1;
            tail = [if n > 1 { block[last - 1] } else { tail[1] }, block[last]];
            at += n as u64;
        }
        check.finish()?;
        match tail {
            _ if octets == 0 => Err(MessageError::Empty),
            [b'\r', b'\n'] => Ok(Self {
                content: Content::Source(source),
                octets,
            }),
            _ => Err(BareLineEnd.into()),
        }
    }

    /// Its length.
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// The octets, where they are in memory.
    pub const fn as_memory(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Memory(octets) => Some(octets),
            Content::Source(_) => None,
        }
    }

    /// The first octets, as many as there are up to `octets_max`: the header of a large message.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn start(&self, octets_max: usize) -> io::Result<Bytes> {
        match &self.content {
            Content::Memory(octets) => Ok(octets.slice(..octets.len().min(octets_max))),
            Content::Source(source) => {
                let octets = usize::try_from(self.octets)
                    .unwrap_or(usize::MAX)
                    .min(octets_max);
                let mut start = vec![0; octets];
                source.read_at(&mut start, 0)?;
                Ok(start.into())
            }
        }
    }

    /// The octets from `at` on, a block of them at most; none at the end. Blocks while a file
    /// is read.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn block(&self, at: u64) -> io::Result<Bytes> {
        let octets = block_octets(self.octets.saturating_sub(at));
        match &self.content {
            Content::Memory(whole) => {
                let start = whole.len().min(usize::try_from(at).unwrap_or(usize::MAX));
                Ok(whole.slice(start..start + octets))
            }
            Content::Source(source) => {
                let mut block = vec![0; octets];
                source.read_at(&mut block, at)?;
                Ok(block.into())
            }
        }
    }

    /// Opens it for reading from the first octet. Readers do not disturb each other.
    pub(crate) fn open(&self) -> Blocks {
        match &self.content {
            Content::Memory(octets) => Blocks::Memory(octets.clone()),
            Content::Source(source) => Blocks::Source {
                source: Arc::clone(source),
                at: 0,
                left: self.octets,
            },
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message(<{} octets>)", self.octets)
    }
}

/// A message being read, block by block.
pub(crate) enum Blocks {
    Memory(Bytes),
    Source {
        source: Arc<dyn Source>,
        at: u64,
        left: u64,
    },
}

impl Blocks {
    /// The next block, or `None` at the end.
    ///
    /// A file that has become shorter is an error: the length is already announced.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Memory(octets) if octets.is_empty() => Ok(None),
            Self::Memory(octets) => Ok(Some(octets.split_to(octets.len().min(BODY_BLOCK_OCTETS)))),
            Self::Source { left: 0, .. } => Ok(None),
            Self::Source { source, at, left } => {
                let octets = block_octets(*left);
                let (source, from) = (Arc::clone(source), *at);
                let block = tokio::task::spawn_blocking(move || {
                    let mut block = BytesMut::zeroed(octets);
                    source.read_at(&mut block, from).map(|()| block.freeze())
                });
                let block = block.await.map_err(io::Error::other)??;
                *at += octets as u64;
                *left -= octets as u64;
                Ok(Some(block))
            }
        }
    }
}

/// Octets of the next block when so many are left.
fn block_octets(left: u64) -> usize {
    usize::try_from(left)
        .unwrap_or(usize::MAX)
        .min(BODY_BLOCK_OCTETS)
}

#[cfg(unix)]
fn read_exact_at(file: &File, block: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, block, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut block: &mut [u8], mut at: u64) -> io::Result<()> {
    while !block.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, block, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                block = &mut block[n..];
                at += n as u64;
            }
        }
    }
    Ok(())
}

/// Takes a message piece by piece, turns local line ends into CRLF, and keeps a large one in a
/// temporary file that has no name.
#[derive(Debug, Default)]
pub struct MessageWriter {
    memory: Vec<u8>,
    file: Option<File>,
    octets: u64,
    after_cr: bool,
}

impl MessageWriter {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next octets: LF, CR and CRLF each end a line.
    ///
    /// # Errors
    /// [`MessageError::LineEnd`] for a NUL, [`MessageError::File`] when the disk is full.
    pub fn write(&mut self, mut octets: &[u8]) -> Result<(), MessageError> {
        while let Some(n) = memchr::memchr3(b'\r', b'\n', 0, octets) {
            if self.after_cr && n == 0 && octets[0] == b'\n' {
                self.after_cr = false;
                octets = &octets[1..];
                continue;
            }
            self.memory.extend_from_slice(&octets[..n]);
            match octets[n] {
                0 => return Err(BareLineEnd.into()),
                end => {
                    self.memory.extend_from_slice(b"\r\n");
                    self.after_cr = end == b'\r';
                }
            }
            octets = &octets[n + 1..];
            self.spill()?;
        }
        if !octets.is_empty() {
            self.after_cr = false;
            self.memory.extend_from_slice(octets);
            self.spill()?;
        }
        Ok(())
    }

    /// Ends the message; a last line without an end gets one.
    ///
    /// # Errors
    /// [`MessageError::Empty`], or [`MessageError::File`] when the disk is full.
    pub fn finish(mut self) -> Result<Message, MessageError> {
        if self.octets == 0 && self.memory.is_empty() {
            return Err(MessageError::Empty);
        }
        // A block that was spilled ended where a line may have ended, so two octets stay behind.
        if !self.memory.ends_with(b"\r\n") {
            self.memory.extend_from_slice(b"\r\n");
        }
        let Some(mut file) = self.file else {
            return Ok(Message {
                octets: self.memory.len() as u64,
                content: Content::Memory(self.memory.into()),
            });
        };
        file.write_all(&self.memory)?;
        let octets = self.octets + self.memory.len() as u64;
        Ok(Message {
            content: Content::Source(Arc::new(file)),
            octets,
        })
    }

    /// Moves what memory may not keep to the file, all but the last two octets.
    fn spill(&mut self) -> Result<(), MessageError> {
        let block = if self.file.is_some() {
            BODY_BLOCK_OCTETS
        } else {
            MEMORY_OCTETS_MAX
        };
        if self.memory.len() <= block {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        let cut = self.memory.len() - 2;
        file.write_all(&self.memory[..cut])?;
        self.octets += cut as u64;
        self.memory.drain(..cut);
        self.memory.shrink_to(2 * BODY_BLOCK_OCTETS);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(message: &Message) -> Vec<u8> {
        let (mut blocks, mut out) = (message.open(), Vec::new());
        while let Some(block) = blocks.next().await.unwrap() {
            out.extend_from_slice(&block);
        }
        out
    }

    fn written(pieces: &[&[u8]]) -> Result<Message, MessageError> {
        let mut writer = MessageWriter::new();
        pieces.iter().try_for_each(|piece| writer.write(piece))?;
        writer.finish()
    }

    #[tokio::test]
    async fn local_line_ends_become_crlf() {
        for pieces in [
            &[&b"a\nb\r\nc\rd"[..]][..],
            &[b"a\n", b"b\r", b"\nc", b"\rd"],
            &[b"a", b"\nb\r\nc\r", b"d"],
        ] {
            assert_eq!(
                read(&written(pieces).unwrap()).await,
                b"a\r\nb\r\nc\r\nd\r\n"
            );
        }
        assert_eq!(
            read(&written(&[b"\r\r\n\n"]).unwrap()).await,
            b"\r\n\r\n\r\n"
        );
        assert!(matches!(written(&[b"a\0"]), Err(MessageError::LineEnd(_))));
        assert!(matches!(written(&[]), Err(MessageError::Empty)));
    }

    #[tokio::test]
    async fn a_large_message_moves_to_a_file_and_is_read_twice() {
        let line = [b"x".repeat(70), b"\n".to_vec()].concat();
        let mut writer = MessageWriter::new();
        for _ in 0..20_000 {
            writer.write(&line).unwrap();
        }
        let message = writer.finish().unwrap();
        assert!(message.as_memory().is_none());
        assert_eq!(message.octets(), 72 * 20_000);
        let first = read(&message).await;
        assert_eq!(first.len() as u64, message.octets());
        assert_eq!(first, read(&message).await);
        assert_eq!(&message.start(10).unwrap()[..], b"xxxxxxxxxx");
    }

    #[test]
    fn wire_form_is_checked_not_repaired() {
        assert!(matches!(
            Message::new(&b"a\nb\r\n"[..]),
            Err(MessageError::LineEnd(_))
        ));
        assert_eq!(
            Message::new(&b"a"[..]).unwrap().as_memory().unwrap(),
            "a\r\n"
        );
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"a\r\nb").unwrap();
        assert!(matches!(
            Message::from_file(file),
            Err(MessageError::LineEnd(_))
        ));
    }

    proptest::proptest! {
        #[test]
        fn any_cut_gives_the_same_message(octets in proptest::collection::vec(proptest::sample::select(b"a\r\n.".to_vec()), 1..40), cut in 0usize..40) {
            let cut = cut.min(octets.len());
            let (whole, parts) = (written(&[&octets]).unwrap(), written(&[&octets[..cut], &octets[cut..]]).unwrap());
            proptest::prop_assert_eq!(whole.as_memory(), parts.as_memory());
            proptest::prop_assert!(Message::new(whole.as_memory().unwrap().clone()).is_ok());
        }
    }
}
