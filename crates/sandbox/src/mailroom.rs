//! The mail that arrived, octet by octet.
//!
//! Messages stay in memory up to a sum; older ones are spilled to files beside it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::limits;

/// One recipient as the client named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// DSN and other parameters, as written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
}

/// What is known of a message without its octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Message {
    /// Number, growing by one.
    pub id: u64,
    /// When the final reply was due, by the sandbox's time.
    pub arrived: Timestamp,
    /// The mailbox of the AUTH.
    pub mailbox: String,
    /// The client id of the token.
    pub client_id: String,
    /// The reverse-path; empty for `<>`.
    pub reverse_path: String,
    /// Parameters of MAIL FROM, as written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// The recipients.
    pub recipients: Vec<Recipient>,
    /// The From header's addresses.
    pub from: Vec<String>,
    /// The Subject header, as it stands.
    pub subject: String,
    /// The Message-ID header, or the one the service made up.
    pub message_id: String,
    /// Length in octets.
    pub octets: u64,
    /// `DATA` or `BDAT`.
    pub transfer: String,
    /// TLS version of the connection.
    pub tls: String,
    /// Whether a copy went to the mailbox's Sent Items.
    pub sent_items_copy: bool,
    /// Number of the connection.
    pub connection: u64,
}

/// The octets of a message while they arrive and after.
#[derive(Debug)]
pub(crate) enum Octets {
    Memory(Vec<u8>),
    File {
        file: std::fs::File,
        path: PathBuf,
        octets: u64,
    },
}

impl Default for Octets {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Octets {
    /// Adds what arrived; a long message moves to a file in `folder`.
    ///
    /// Writing blocks the runtime for as long as the page cache takes: messages of that length
    /// are rare in a sandbox.
    pub(crate) fn add(&mut self, more: &[u8], folder: &std::path::Path) -> std::io::Result<()> {
        match self {
            Self::Memory(held) if held.len() + more.len() <= limits::MESSAGE_MEMORY_OCTETS => {
                held.extend_from_slice(more);
            }
            Self::Memory(held) => {
                std::fs::create_dir_all(folder)?;
                let name = format!("arriving-{}.eml", uuid::Uuid::new_v4());
                let path = folder.join(name);
                let mut file = std::fs::OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(&path)?;
                file.write_all(held)?;
                file.write_all(more)?;
                let octets = (held.len() + more.len()) as u64;
                *self = Self::File { file, path, octets };
            }
            Self::File { file, octets, .. } => {
                file.write_all(more)?;
                *octets += more.len() as u64;
            }
        }
        Ok(())
    }

    /// Length in octets.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(held) => held.len() as u64,
            Self::File { octets, .. } => *octets,
        }
    }

    /// Makes room for octets that were announced.
    pub(crate) fn expect(&mut self, octets: u64) {
        if let Self::Memory(held) = self {
            let octets = usize::try_from(octets).unwrap_or(usize::MAX);
            held.reserve(octets.min(limits::MESSAGE_MEMORY_OCTETS - held.len()));
        }
    }

    /// The first octets: enough for the header section.
    pub(crate) fn head(&mut self) -> std::io::Result<Cow<'_, [u8]>> {
        match self {
            Self::Memory(held) => Ok(Cow::Borrowed(
                &held[..held.len().min(limits::HEADER_OCTETS_MAX)],
            )),
            Self::File { file, .. } => {
                file.seek(SeekFrom::Start(0))?;
                let mut head = Vec::new();
                file.take(limits::HEADER_OCTETS_MAX as u64)
                    .read_to_end(&mut head)?;
                file.seek(SeekFrom::End(0))?;
                Ok(Cow::Owned(head))
            }
        }
    }

    /// Removes what an unfinished message left behind.
    pub(crate) fn discard(self) {
        if let Self::File { path, .. } = self {
            // A file that cannot be removed goes with the sandbox's folder.
            drop(std::fs::remove_file(path));
        }
    }
}

#[derive(Debug)]
enum Kept {
    Memory(Bytes),
    File(PathBuf),
}

/// Which messages a question is about; every given part must match, ignoring case.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// A recipient's address.
    pub to: Option<String>,
    /// An address of the From header.
    pub from: Option<String>,
    /// The mailbox of the AUTH.
    pub mailbox: Option<String>,
    /// Part of the subject.
    pub subject: Option<String>,
    /// The Message-ID.
    pub message_id: Option<String>,
    /// Only messages with a greater number.
    pub since: Option<u64>,
}

impl Filter {
    fn matches(&self, message: &Message) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted
                .as_ref()
                .is_none_or(|w| w.eq_ignore_ascii_case(found))
        };
        self.since.is_none_or(|since| message.id > since)
            && self.to.as_ref().is_none_or(|to| {
                message
                    .recipients
                    .iter()
                    .any(|r| r.address.eq_ignore_ascii_case(to))
            })
            && self
                .from
                .as_ref()
                .is_none_or(|from| message.from.iter().any(|f| f.eq_ignore_ascii_case(from)))
            && is(&self.mailbox, &message.mailbox)
            && is(&self.message_id, &message.message_id)
            && self.subject.as_ref().is_none_or(|subject| {
                message
                    .subject
                    .to_lowercase()
                    .contains(&subject.to_lowercase())
            })
    }
}

impl Shelves {
    // Numbers only grow.
    fn find(&self, id: u64) -> Option<&(Message, Kept)> {
        let at = self
            .messages
            .binary_search_by_key(&id, |(message, _)| message.id)
            .ok()?;
        self.messages.get(at)
    }
}

/// The messages that arrived.
#[derive(Debug)]
pub(crate) struct Mailroom {
    shelves: Mutex<Shelves>,
    arrived: watch::Sender<u64>,
    folder: PathBuf,
}

#[derive(Debug, Default)]
struct Shelves {
    messages: VecDeque<(Message, Kept)>,
    memory_octets: u64,
    last: u64,
}

impl Mailroom {
    /// An empty room that spills into `folder`, which is made when needed.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            shelves: Mutex::default(),
            arrived: watch::channel(0).0,
            folder,
        }
    }

    /// Where long messages go.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Keeps a message and answers its number.
    pub(crate) fn keep(&self, mut message: Message, octets: Octets) -> std::io::Result<u64> {
        let mut shelves = self.lock();
        shelves.last += 1;
        let id = shelves.last;
        message.id = id;
        message.octets = octets.len();
        let kept = match octets {
            Octets::Memory(held) => {
                shelves.memory_octets += held.len() as u64;
                Kept::Memory(held.into())
            }
            Octets::File { path, .. } => {
                let name = self.folder.join(format!("{id}.eml"));
                std::fs::rename(path, &name)?;
                Kept::File(name)
            }
        };
        shelves.messages.push_back((message, kept));
        self.make_room(&mut shelves)?;
        drop(shelves);
        self.arrived.send_replace(id);
        Ok(id)
    }

    /// The messages a filter matches, oldest first.
    pub(crate) fn list(&self, filter: &Filter) -> Vec<Message> {
        let shelves = self.lock();
        shelves
            .messages
            .iter()
            .map(|(m, _)| m)
            .filter(|m| filter.matches(m))
            .cloned()
            .collect()
    }

    /// One message.
    pub(crate) fn get(&self, id: u64) -> Option<Message> {
        self.lock().find(id).map(|(message, _)| message.clone())
    }

    /// A message's octets as received.
    pub(crate) fn raw(&self, id: u64) -> std::io::Result<Option<Bytes>> {
        let path = match self.lock().find(id) {
            None => return Ok(None),
            Some((_, Kept::Memory(octets))) => return Ok(Some(octets.clone())),
            Some((_, Kept::File(path))) => path.clone(),
        };
        std::fs::read(path).map(|octets| Some(octets.into()))
    }

    /// Removes one message, or all; answers how many are gone.
    pub(crate) fn delete(&self, id: Option<u64>) -> usize {
        let mut shelves = self.lock();
        let (gone, left): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut shelves.messages)
            .into_iter()
            .partition(|(message, _)| id.is_none_or(|id| message.id == id));
        shelves.messages = left;
        for (_, kept) in &gone {
            match kept {
                Kept::Memory(octets) => shelves.memory_octets -= octets.len() as u64,
                // A file that cannot be removed goes with the sandbox's folder.
                Kept::File(path) => drop(std::fs::remove_file(path)),
            }
        }
        gone.len()
    }

    /// Waits until `count` messages match, or `at_most` has passed; answers what matches then.
    pub(crate) async fn wait(
        &self,
        filter: &Filter,
        count: usize,
        at_most: Duration,
    ) -> Vec<Message> {
        let mut arrived = self.arrived.subscribe();
        let enough = async {
            loop {
                arrived.borrow_and_update();
                if self.count(filter) >= count || arrived.changed().await.is_err() {
                    return;
                }
            }
        };
        // Running out of time is an answer too: the caller sees fewer messages.
        drop(tokio::time::timeout(at_most, enough).await);
        self.list(filter)
    }

    fn count(&self, filter: &Filter) -> usize {
        let shelves = self.lock();
        shelves
            .messages
            .iter()
            .filter(|(message, _)| filter.matches(message))
            .count()
    }

    fn make_room(&self, shelves: &mut Shelves) -> std::io::Result<()> {
        while shelves.messages.len() > limits::MESSAGES_MAX {
            match shelves.messages.pop_front() {
                Some((_, Kept::Memory(octets))) => shelves.memory_octets -= octets.len() as u64,
                Some((_, Kept::File(path))) => drop(std::fs::remove_file(path)),
                None => {}
            }
        }
        if shelves.memory_octets <= limits::MESSAGES_MEMORY_OCTETS {
            return Ok(());
        }
        // Half of the memory is freed at once, so that a stream of messages spills rarely.
        std::fs::create_dir_all(&self.folder)?;
        let mut in_memory = shelves.memory_octets;
        for (message, kept) in &mut shelves.messages {
            if in_memory <= limits::MESSAGES_MEMORY_OCTETS / 2 {
                break;
            }
            if let Kept::Memory(octets) = kept {
                let path = self.folder.join(format!("{}.eml", message.id));
                std::fs::write(&path, &*octets)?;
                in_memory -= octets.len() as u64;
                *kept = Kept::File(path);
            }
        }
        shelves.memory_octets = in_memory;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
