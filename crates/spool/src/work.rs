//! One transaction of the index: rows, counters and segments change together.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::error::SpoolError;
use crate::fate::{self, NEVER};
use crate::form;
use crate::id::MessageId;
use crate::limits::{EVENTS_KEPT_MAX, REMARK_OCTETS_MAX};
use crate::message::{EventKind, State};
use crate::rows::{MessageRow, RecipientRow, RowError};
use crate::shared::Shared;

/// Where a body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: i64,
    pub(crate) at: i64,
}

/// Why a job did not do its work.
#[derive(Debug)]
pub(crate) enum JobError {
    /// The caller is told; the others in the batch go on. The job has changed nothing.
    Say(SpoolError),
    /// The whole batch is taken back.
    Abort(rusqlite::Error),
}

impl From<rusqlite::Error> for JobError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Abort(error)
    }
}

impl From<SpoolError> for JobError {
    fn from(error: SpoolError) -> Self {
        Self::Say(error)
    }
}

/// What a job returns.
pub(crate) type JobResult<T> = Result<T, JobError>;

/// A message with its recipients, both believed.
pub(crate) struct Loaded {
    pub(crate) message: MessageRow,
    pub(crate) recipients: Vec<RecipientRow>,
}

/// The open transaction.
pub(crate) struct Work<'a> {
    pub(crate) index: &'a Connection,
    pub(crate) shared: &'a Shared,
    counts: BTreeMap<(State, String, String), (i64, i64)>,
    /// By segment: messages and octets more or less that need it.
    live: BTreeMap<i64, (i64, i64)>,
    last_id: i64,
    /// Asks the writer to begin a new segment, so that the present one can go.
    pub(crate) roll: bool,
}

impl<'a> Work<'a> {
    pub(crate) const fn new(index: &'a Connection, shared: &'a Shared) -> Self {
        Self {
            index,
            shared,
            counts: BTreeMap::new(),
            live: BTreeMap::new(),
            last_id: 0,
            roll: false,
        }
    }

    /// Reads a message; one that does not match its checksums is set aside and told as damaged.
    pub(crate) fn load(&mut self, id: MessageId, now: Timestamp) -> JobResult<Loaded> {
        let read = MessageRow::load(self.index, id.number()).and_then(|message| {
            let recipients = RecipientRow::load_all(self.index, &message)?;
            Ok(Loaded {
                message,
                recipients,
            })
        });
        match read {
            Ok(loaded) => Ok(loaded),
            Err(RowError::Index(e)) => Err(JobError::Abort(e)),
            Err(RowError::Missing) => Err(SpoolError::NotFound(id).into()),
            Err(RowError::Damaged(what)) => {
                self.set_aside(id, &what, now)?;
                Err(SpoolError::Damaged { id, what }.into())
            }
        }
    }

    /// Marks a message as damaged, whatever its row says; the evidence stays as it is.
    pub(crate) fn set_aside(
        &mut self,
        id: MessageId,
        what: &str,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        if let Ok(message) = MessageRow::load(self.index, id.number()) {
            // The row itself is sound: it stays so, and only its state says what happened.
            if message.state != State::Damaged {
                let mut aside = message.clone();
                aside.state = State::Damaged;
                aside.due = NEVER;
                self.update(&message, &aside)?;
                self.tell_damage(id, what, now)?;
            }
            return Ok(());
        }
        let number = id.number();
        // Counters are corrected by what the row says; the integrity check recounts.
        let old: (Vec<u8>, Vec<u8>, Vec<u8>, i64) = self.index.query_row(
            "SELECT CAST(state AS BLOB), CAST(mailbox AS BLOB), CAST(reason AS BLOB), octets \
             FROM messages WHERE id = ?1",
            [number],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)),
        )?;
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let state = State::from_word(&text(&old.0));
        if state == Some(State::Damaged) {
            return Ok(());
        }
        let (mailbox, reason) = (text(&old.1), text(&old.2));
        if let Some(state) = state {
            self.count(state, &mailbox, &reason, -1, -old.3);
        }
        self.count(State::Damaged, &mailbox, &reason, 1, old.3);
        self.index
            .prepare_cached("UPDATE messages SET state = 'damaged', due = ?2 WHERE id = ?1")?
            .execute((number, NEVER))?;
        self.tell_damage(id, what, now)
    }

    fn tell_damage(&self, id: MessageId, what: &str, now: Timestamp) -> rusqlite::Result<()> {
        tracing::error!(%id, what, "a damaged message has been set aside");
        self.event(id.number(), now, EventKind::Damaged, what)
    }

    /// Adds a message that is new; `false` when its id is taken.
    pub(crate) fn insert(
        &mut self,
        message: &MessageRow,
        recipients: &[RecipientRow],
    ) -> rusqlite::Result<bool> {
        if !message.insert(self.index)? {
            return Ok(false);
        }
        for recipient in recipients {
            recipient.store(self.index, message.id)?;
        }
        self.last_id = self.last_id.max(message.id);
        self.count(
            message.state,
            &message.mailbox,
            &message.reason,
            1,
            message.octets,
        );
        if let Some(segment) = message.segment {
            self.need(segment, 1, message.octets);
        }
        Ok(true)
    }

    /// Replaces a message's row; counters follow.
    pub(crate) fn update(&mut self, old: &MessageRow, new: &MessageRow) -> rusqlite::Result<()> {
        new.update(self.index)?;
        if (old.state, &old.mailbox, &old.reason) != (new.state, &new.mailbox, &new.reason) {
            self.count(old.state, &old.mailbox, &old.reason, -1, -old.octets);
            self.count(new.state, &new.mailbox, &new.reason, 1, new.octets);
        }
        if old.segment != new.segment {
            if let Some(segment) = old.segment {
                self.need(segment, -1, -old.octets);
            }
            if let Some(segment) = new.segment {
                self.need(segment, 1, new.octets);
            }
        }
        Ok(())
    }

    /// Writes a message that nobody has claimed (any more), its state as its recipients say.
    ///
    /// A settled one gives its body up.
    pub(crate) fn conclude(
        &mut self,
        old: &MessageRow,
        mut new: MessageRow,
        recipients: &[RecipientRow],
    ) -> rusqlite::Result<State> {
        let fate = fate::judge(recipients.iter().map(RecipientRow::slot), new.undo_until);
        new.state = fate.state;
        new.due = fate.due;
        new.reason = fate.reason;
        new.seat = None;
        new.started_at = None;
        if new.state == State::Settled {
            new.segment = None;
            new.undo_until = None;
        }
        self.update(old, &new)?;
        Ok(new.state)
    }

    /// Forgets a message and all its history.
    pub(crate) fn forget(&mut self, message: &MessageRow) -> rusqlite::Result<()> {
        for table in [
            "DELETE FROM messages WHERE id = ?1",
            "DELETE FROM recipients WHERE message = ?1",
            "DELETE FROM attempts WHERE message = ?1",
            "DELETE FROM events WHERE message = ?1",
        ] {
            self.index.prepare_cached(table)?.execute([message.id])?;
        }
        self.count(
            message.state,
            &message.mailbox,
            &message.reason,
            -1,
            -message.octets,
        );
        if let Some(segment) = message.segment {
            self.need(segment, -1, -message.octets);
        }
        Ok(())
    }

    /// Adds to a message's events.
    pub(crate) fn event(
        &self,
        message: i64,
        now: Timestamp,
        kind: EventKind,
        text: &str,
    ) -> rusqlite::Result<()> {
        let number: i64 = self
            .index
            .prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM events WHERE message = ?1")?
            .query_row([message], |r| r.get(0))?;
        self.index
            .prepare_cached(
                "INSERT INTO events (message, number, at, kind, text) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((
                message,
                number,
                now.as_millisecond(),
                kind.as_str(),
                form::cut(text, REMARK_OCTETS_MAX),
            ))?;
        if number > i64::from(EVENTS_KEPT_MAX) {
            self.index
                .prepare_cached("DELETE FROM events WHERE message = ?1 AND number <= ?2")?
                .execute((message, number - i64::from(EVENTS_KEPT_MAX)))?;
        }
        Ok(())
    }

    /// Keeps a small value under a key.
    pub(crate) fn put_note(&self, key: &str, value: &[u8], now: Timestamp) -> rusqlite::Result<()> {
        self.index
            .prepare_cached("INSERT OR REPLACE INTO notes (key, value, at) VALUES (?1, ?2, ?3)")?
            .execute((key, value, now.as_millisecond()))
            .map(drop)
    }

    /// Forgets what is kept under a key.
    pub(crate) fn forget_note(&self, key: &str) -> rusqlite::Result<()> {
        self.index
            .prepare_cached("DELETE FROM notes WHERE key = ?1")?
            .execute([key])
            .map(drop)
    }

    /// Writes counters and segments; names the segment files that nobody needs any more.
    pub(crate) fn finish(&mut self) -> rusqlite::Result<Vec<String>> {
        for ((state, mailbox, reason), (messages, octets)) in std::mem::take(&mut self.counts) {
            if (messages, octets) == (0, 0) {
                continue;
            }
            let left: i64 = self
                .index
                .prepare_cached(
                    "INSERT INTO counts (state, mailbox, reason, messages, octets) \
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (state, mailbox, reason) DO UPDATE \
                     SET messages = messages + excluded.messages, \
                     octets = octets + excluded.octets RETURNING messages",
                )?
                .query_row((state.as_str(), &mailbox, &reason, messages, octets), |r| {
                    r.get(0)
                })?;
            if left <= 0 {
                self.index
                    .prepare_cached(
                        "DELETE FROM counts WHERE state = ?1 AND mailbox = ?2 AND reason = ?3",
                    )?
                    .execute((state.as_str(), &mailbox, &reason))?;
            }
        }
        if self.last_id > 0 {
            self.index
                .prepare_cached("UPDATE marks SET value = max(value, ?1) WHERE name = 'last_id'")?
                .execute([self.last_id])?;
        }
        let mut freed = Vec::new();
        for (segment, (messages, octets)) in std::mem::take(&mut self.live) {
            self.index
                .prepare_cached(
                    "UPDATE segments SET live = live + ?2, live_octets = live_octets + ?3 \
                     WHERE id = ?1",
                )?
                .execute((segment, messages, octets))?;
            freed.extend(self.free_segment(segment)?);
        }
        Ok(freed)
    }

    /// Takes a segment out of the index when nobody needs it.
    pub(crate) fn free_segment(&self, segment: i64) -> rusqlite::Result<Option<String>> {
        let mut statement = self.index.prepare_cached(
            "DELETE FROM segments WHERE id = ?1 AND open = 0 AND live <= 0 RETURNING name",
        )?;
        let mut rows = statement.query([segment])?;
        let name = rows.next()?.map(|r| r.get(0)).transpose()?;
        // The statement has to run to its end to take effect.
        while rows.next()?.is_some() {}
        Ok(name)
    }

    fn count(&mut self, state: State, mailbox: &str, reason: &str, messages: i64, octets: i64) {
        let slot = self
            .counts
            .entry((state, mailbox.to_owned(), reason.to_owned()))
            .or_default();
        slot.0 += messages;
        slot.1 += octets;
    }

    fn need(&mut self, segment: i64, messages: i64, octets: i64) {
        let slot = self.live.entry(segment).or_default();
        slot.0 += messages;
        slot.1 += octets;
    }
}
