//! The writer's segment: bodies appended one batch at a time.

use std::sync::Arc;

use rusqlite::Connection;

use crate::disk::DiskFile;
use crate::error::SpoolError;
use crate::limits::SEGMENT_OCTETS_MAX;
use crate::record::{self, HEAD_OCTETS};
use crate::shared::Shared;
use crate::stage::Staged;
use crate::work::Place;

/// Octets that are written ahead as zeros, and synced with a batch of bodies.
///
/// A sync of octets that overwrite others is cheaper by a third or more than one that makes the
/// file longer, since the file system's own journal has nothing to tell.
const AHEAD_OCTETS: u64 = 1024 * 1024;
/// Octets of a batch from which on writing ahead costs more than it saves.
const AHEAD_BATCH_OCTETS_MAX: usize = 48 * 1024;
/// Octets in a segment before anything is written ahead: a single message shall not cost a megabyte.
const AHEAD_AFTER_OCTETS: u64 = 128 * 1024;

/// The segment that batches are appended to, and those that were closed before.
#[derive(Default)]
pub(crate) struct Segments {
    current: Option<Current>,
    /// Rows that have to be closed in the next transaction.
    closing: Vec<i64>,
    buffer: Vec<u8>,
}

struct Current {
    name: String,
    file: Arc<dyn DiskFile>,
    /// Octets of records whose transaction was committed, and of the batch under way.
    at: u64,
    committed: u64,
    /// The end of the file: of the bodies, or of zeros written ahead.
    filled: u64,
    /// The row, once a transaction with it was committed.
    row: Option<i64>,
}

/// A batch's bodies, written but not yet synced.
pub(crate) struct Appended {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) name: String,
    /// Where each record begins.
    pub(crate) places: Vec<i64>,
}

impl Segments {
    /// Writes the bodies as one run of records; nothing is synced.
    ///
    /// After an error the same place is written again by the next batch.
    pub(crate) fn append(
        &mut self,
        shared: &Shared,
        bodies: &[&Staged],
    ) -> Result<Appended, SpoolError> {
        if self
            .current
            .as_ref()
            .is_some_and(|c| c.committed >= SEGMENT_OCTETS_MAX)
        {
            self.roll();
        }
        let current = if let Some(current) = &mut self.current {
            current
        } else {
            let (name, file) = shared.create_segment()?;
            self.current.insert(Current {
                name,
                file,
                at: 0,
                committed: 0,
                filled: 0,
                row: None,
            })
        };
        self.buffer.clear();
        let mut places = Vec::with_capacity(bodies.len());
        for body in bodies {
            let octets = body.memory().expect("only small bodies are appended");
            let at = current.committed + self.buffer.len() as u64;
            places.push(i64::try_from(at).expect("a segment is far smaller"));
            self.buffer
                .extend_from_slice(&record::head(body.octets(), body.digest()));
            self.buffer.extend_from_slice(octets);
        }
        let end = current.committed + self.buffer.len() as u64;
        let ahead = end > current.filled
            && current.committed >= AHEAD_AFTER_OCTETS
            && self.buffer.len() < AHEAD_BATCH_OCTETS_MAX;
        if ahead {
            let zeros = usize::try_from(AHEAD_OCTETS).expect("a megabyte fits");
            self.buffer.resize(self.buffer.len() + zeros, 0);
        }
        current
            .file
            .write_at(&self.buffer, current.committed)
            .map_err(SpoolError::from_disk)?;
        current.at = end;
        let filled = current.committed + self.buffer.len() as u64;
        current.filled = current.filled.max(filled);
        Ok(Appended {
            file: Arc::clone(&current.file),
            name: current.name.clone(),
            places,
        })
    }

    /// The row of the current segment within a transaction, brought up to date.
    pub(crate) fn register(&self, index: &Connection, shared: &Shared) -> rusqlite::Result<i64> {
        let current = self.current.as_ref().expect("a batch was appended to it");
        let octets = i64::try_from(current.at).expect("a segment is far smaller");
        if let Some(row) = current.row {
            index
                .prepare_cached("UPDATE segments SET octets = ?2 WHERE id = ?1")?
                .execute((row, octets))?;
            return Ok(row);
        }
        index
            .prepare_cached(
                "INSERT INTO segments (name, seat, open, octets, live, live_octets) \
                 VALUES (?1, ?2, 1, ?3, 0, 0)",
            )?
            .execute((&current.name, &shared.seat, octets))?;
        Ok(index.last_insert_rowid())
    }

    /// Closes rolled segments within a transaction; they can be freed from here on.
    pub(crate) fn close_rolled(&self, index: &Connection) -> rusqlite::Result<()> {
        for row in &self.closing {
            index
                .prepare_cached("UPDATE segments SET open = 0 WHERE id = ?1")?
                .execute([row])?;
        }
        Ok(())
    }

    /// The rows that [`Segments::close_rolled`] closes.
    pub(crate) fn closing(&self) -> &[i64] {
        &self.closing
    }

    /// Keeps what the transaction committed; `row` when bodies were appended.
    pub(crate) fn committed(&mut self, row: Option<i64>) {
        self.closing.clear();
        if let (Some(current), Some(row)) = (&mut self.current, row) {
            current.committed = current.at;
            current.row = Some(row);
        }
    }

    /// Begins a new segment with the next batch.
    pub(crate) fn roll(&mut self) {
        let used = self.current.as_ref().is_some_and(|c| c.row.is_some());
        if used {
            self.closing.extend(self.current.take().and_then(|c| c.row));
        }
    }

    /// The row of the current segment, if it has one.
    pub(crate) fn current_row(&self) -> Option<i64> {
        self.current.as_ref().and_then(|c| c.row)
    }

    /// The name of a current segment that no message was ever committed to.
    pub(crate) fn unused(&self) -> Option<&str> {
        self.current
            .as_ref()
            .filter(|c| c.row.is_none())
            .map(|c| c.name.as_str())
    }
}

impl Appended {
    /// The places as messages keep them.
    pub(crate) fn place(&self, row: i64, body: usize) -> Place {
        Place {
            segment: row,
            at: self.places[body],
        }
    }
}

const _: () = assert!(HEAD_OCTETS == 48);
