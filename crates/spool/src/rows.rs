//! Rows of the index in and out, each with its seal.

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, Row};

use crate::error::SpoolError;
use crate::form::{self, FormError};
use crate::id::MessageId;
use crate::message::{RecipientState, State};
use crate::record::Digest;
use crate::seal::{Seal, Sealer};

/// A message's row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MessageRow {
    pub(crate) id: i64,
    pub(crate) state: State,
    pub(crate) mailbox: String,
    pub(crate) due: i64,
    pub(crate) reason: String,
    pub(crate) sender: String,
    pub(crate) accepted_at: i64,
    pub(crate) octets: i64,
    pub(crate) recipients: i64,
    pub(crate) attempts: i64,
    pub(crate) fence: i64,
    pub(crate) seat: Option<String>,
    pub(crate) started_at: Option<i64>,
    pub(crate) segment: Option<i64>,
    pub(crate) place: i64,
    pub(crate) undo_until: Option<i64>,
    pub(crate) digest: Digest,
    pub(crate) envelope: String,
    pub(crate) memo: String,
}

/// A recipient's row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecipientRow {
    pub(crate) number: i64,
    pub(crate) path: String,
    pub(crate) options: String,
    pub(crate) state: RecipientState,
    pub(crate) due: i64,
    pub(crate) reason: String,
    pub(crate) dot_at: Option<i64>,
    pub(crate) changed_at: i64,
    pub(crate) status: String,
    pub(crate) reply: String,
}

/// Why rows could not be believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    #[error(transparent)]
    Index(#[from] rusqlite::Error),
    #[error("no such message")]
    Missing,
    #[error("{0}")]
    Damaged(String),
}

impl RowError {
    /// The error as callers see it.
    pub(crate) fn into_error(self, id: MessageId) -> SpoolError {
        match self {
            Self::Index(error) => SpoolError::from_index(error),
            Self::Missing => SpoolError::NotFound(id),
            Self::Damaged(what) => SpoolError::Damaged { id, what },
        }
    }
}

impl From<FormError> for RowError {
    fn from(error: FormError) -> Self {
        Self::Damaged(error.0)
    }
}

pub(crate) const MESSAGE_COLUMNS: &str = "id, state, mailbox, due, reason, sender, accepted_at, \
    octets, recipients, attempts, fence, seat, started_at, segment, place, undo_until, digest, \
    envelope, memo, seal";

const RECIPIENT_COLUMNS: &str =
    "number, path, options, state, due, reason, dot_at, changed_at, status, reply, seal";

impl MessageRow {
    /// The checksum over all columns.
    pub(crate) fn seal(&self) -> Seal {
        let mut sealer = Sealer::new("message 1");
        sealer
            .number(self.id)
            .text(self.state.as_str())
            .text(&self.mailbox)
            .number(self.due)
            .text(&self.reason)
            .text(&self.sender)
            .number(self.accepted_at)
            .number(self.octets)
            .number(self.recipients)
            .number(self.attempts)
            .number(self.fence)
            .text(self.seat.as_deref().unwrap_or_default())
            .maybe(self.started_at)
            .maybe(self.segment)
            .number(self.place)
            .maybe(self.undo_until)
            .blob(&self.digest)
            .text(&self.envelope)
            .text(&self.memo);
        sealer.finish()
    }

    /// A row of [`MESSAGE_COLUMNS`], believed only if its seal matches.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, RowError> {
        let damaged = |what: &str| RowError::Damaged(what.to_owned());
        // A flipped bit may change a value's type or break its UTF-8: that is damage, too.
        let read = Self::columns(row).map_err(|e| match e {
            rusqlite::Error::InvalidColumnType(_, name, _) => {
                RowError::Damaged(format!("its column {name} cannot be read"))
            }
            rusqlite::Error::FromSqlConversionFailure(at, _, _) => {
                RowError::Damaged(format!("its column {at} cannot be read"))
            }
            rusqlite::Error::Utf8Error(at, _) => {
                RowError::Damaged(format!("its column {at} is not UTF-8"))
            }
            other => RowError::Index(other),
        })?;
        let (state, digest, seal, mut message) = read;
        message.state = State::from_word(&state).ok_or_else(|| damaged("its state is no word"))?;
        message.digest = digest
            .try_into()
            .map_err(|_| damaged("its digest has a wrong length"))?;
        if seal != message.seal() {
            return Err(damaged("its record does not match its checksum"));
        }
        Ok(message)
    }

    fn columns(row: &Row<'_>) -> rusqlite::Result<(String, Vec<u8>, Vec<u8>, Self)> {
        let message = Self {
            id: row.get(0)?,
            state: State::Damaged,
            mailbox: row.get(2)?,
            due: row.get(3)?,
            reason: row.get(4)?,
            sender: row.get(5)?,
            accepted_at: row.get(6)?,
            octets: row.get(7)?,
            recipients: row.get(8)?,
            attempts: row.get(9)?,
            fence: row.get(10)?,
            seat: row.get(11)?,
            started_at: row.get(12)?,
            segment: row.get(13)?,
            place: row.get(14)?,
            undo_until: row.get(15)?,
            digest: [0; 32],
            envelope: row.get(17)?,
            memo: row.get(18)?,
        };
        Ok((row.get(1)?, row.get(16)?, row.get(19)?, message))
    }

    /// A row of [`MESSAGE_COLUMNS`] for display: whatever can be read of it, and what is wrong.
    pub(crate) fn read_leniently(row: &Row<'_>) -> rusqlite::Result<(Self, Option<String>)> {
        match Self::read(row) {
            Ok(message) => return Ok((message, None)),
            Err(RowError::Index(e)) => return Err(e),
            Err(RowError::Missing | RowError::Damaged(_)) => {}
        }
        let number = |at: usize| match row.get_ref(at) {
            Ok(ValueRef::Integer(n)) => Some(n),
            _ => None,
        };
        let octets = |at: usize| match row.get_ref(at) {
            Ok(ValueRef::Text(o) | ValueRef::Blob(o)) => o.to_vec(),
            _ => Vec::new(),
        };
        let text = |at: usize| String::from_utf8_lossy(&octets(at)).into_owned();
        let message = Self {
            id: number(0).unwrap_or_default(),
            state: State::Damaged,
            mailbox: text(2),
            due: crate::fate::NEVER,
            reason: text(4),
            sender: text(5),
            accepted_at: number(6).unwrap_or_default(),
            octets: number(7).unwrap_or_default(),
            recipients: number(8).unwrap_or_default(),
            attempts: number(9).unwrap_or_default(),
            fence: number(10).unwrap_or_default(),
            seat: None,
            started_at: None,
            segment: number(13),
            place: number(14).unwrap_or_default(),
            undo_until: None,
            digest: octets(16).try_into().unwrap_or_default(),
            envelope: text(17),
            memo: text(18),
        };
        Ok((
            message,
            Some("its record does not match its checksum".to_owned()),
        ))
    }

    /// The message with this id.
    pub(crate) fn load(index: &Connection, id: i64) -> Result<Self, RowError> {
        let mut statement = index.prepare_cached(
            "SELECT id, state, mailbox, due, reason, sender, accepted_at, octets, recipients, \
             attempts, fence, seat, started_at, segment, place, undo_until, digest, envelope, \
             memo, seal FROM messages WHERE id = ?1",
        )?;
        let mut rows = statement.query([id])?;
        match rows.next()? {
            Some(row) => Self::read(row),
            None => Err(RowError::Missing),
        }
    }

    /// Adds the row; `false` when the id is taken.
    pub(crate) fn insert(&self, index: &Connection) -> rusqlite::Result<bool> {
        let mut statement = index.prepare_cached(
            "INSERT INTO messages (id, state, mailbox, due, reason, sender, accepted_at, octets, \
             recipients, attempts, fence, seat, started_at, segment, place, undo_until, digest, \
             envelope, memo, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, \
             ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20) ON CONFLICT (id) DO NOTHING",
        )?;
        self.bind(&mut statement)?;
        Ok(statement.raw_execute()? == 1)
    }

    /// Replaces the row.
    pub(crate) fn update(&self, index: &Connection) -> rusqlite::Result<()> {
        let mut statement = index.prepare_cached(
            "UPDATE messages SET state = ?2, mailbox = ?3, due = ?4, reason = ?5, sender = ?6, \
             accepted_at = ?7, octets = ?8, recipients = ?9, attempts = ?10, fence = ?11, \
             seat = ?12, started_at = ?13, segment = ?14, place = ?15, undo_until = ?16, \
             digest = ?17, envelope = ?18, memo = ?19, seal = ?20 WHERE id = ?1",
        )?;
        self.bind(&mut statement)?;
        statement.raw_execute()?;
        Ok(())
    }

    fn bind(&self, statement: &mut CachedStatement<'_>) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(1, self.id)?;
        statement.raw_bind_parameter(2, self.state.as_str())?;
        statement.raw_bind_parameter(3, &self.mailbox)?;
        statement.raw_bind_parameter(4, self.due)?;
        statement.raw_bind_parameter(5, &self.reason)?;
        statement.raw_bind_parameter(6, &self.sender)?;
        statement.raw_bind_parameter(7, self.accepted_at)?;
        statement.raw_bind_parameter(8, self.octets)?;
        statement.raw_bind_parameter(9, self.recipients)?;
        statement.raw_bind_parameter(10, self.attempts)?;
        statement.raw_bind_parameter(11, self.fence)?;
        statement.raw_bind_parameter(12, &self.seat)?;
        statement.raw_bind_parameter(13, self.started_at)?;
        statement.raw_bind_parameter(14, self.segment)?;
        statement.raw_bind_parameter(15, self.place)?;
        statement.raw_bind_parameter(16, self.undo_until)?;
        statement.raw_bind_parameter(17, self.digest.as_slice())?;
        statement.raw_bind_parameter(18, &self.envelope)?;
        statement.raw_bind_parameter(19, &self.memo)?;
        statement.raw_bind_parameter(20, self.seal().as_slice())
    }
}

impl RecipientRow {
    fn seal(&self, message: i64) -> Seal {
        let mut sealer = Sealer::new("recipient 1");
        sealer
            .number(message)
            .number(self.number)
            .text(&self.path)
            .text(&self.options)
            .text(self.state.as_str())
            .number(self.due)
            .text(&self.reason)
            .maybe(self.dot_at)
            .number(self.changed_at)
            .text(&self.status)
            .text(&self.reply);
        sealer.finish()
    }

    /// All recipients of a message, in order; damaged when one is missing or does not match.
    pub(crate) fn load_all(
        index: &Connection,
        message: &MessageRow,
    ) -> Result<Vec<Self>, RowError> {
        let (rows, trouble) = Self::load_what_is_there(index, message.id)?;
        if let Some(what) = trouble {
            return Err(RowError::Damaged(what));
        }
        let complete = rows.len() == usize::try_from(message.recipients).unwrap_or(usize::MAX)
            && rows.iter().zip(0..).all(|(r, n)| r.number == n);
        if complete {
            Ok(rows)
        } else {
            Err(RowError::Damaged("recipients are missing".to_owned()))
        }
    }

    /// The recipients that can be read, and what is wrong with the others.
    pub(crate) fn load_what_is_there(
        index: &Connection,
        message: i64,
    ) -> rusqlite::Result<(Vec<Self>, Option<String>)> {
        let mut statement = index.prepare_cached(&format!(
            "SELECT {RECIPIENT_COLUMNS} FROM recipients WHERE message = ?1 ORDER BY number"
        ))?;
        let mut rows = statement.query([message])?;
        let mut read = Vec::new();
        let mut trouble = None;
        while let Some(row) = rows.next()? {
            match Self::read(row, message) {
                Ok(recipient) => read.push(recipient),
                Err(RowError::Index(e)) => return Err(e),
                Err(other) => trouble = Some(format!("a recipient: {other}")),
            }
        }
        Ok((read, trouble))
    }

    fn read(row: &Row<'_>, message: i64) -> Result<Self, RowError> {
        let unreadable = |_| RowError::Damaged("its record cannot be read".to_owned());
        let state: String = row.get(3).map_err(unreadable)?;
        let read = Self {
            number: row.get(0).map_err(unreadable)?,
            path: row.get(1).map_err(unreadable)?,
            options: row.get(2).map_err(unreadable)?,
            state: RecipientState::from_word(&state)
                .ok_or_else(|| RowError::Damaged("its state is no word".to_owned()))?,
            due: row.get(4).map_err(unreadable)?,
            reason: row.get(5).map_err(unreadable)?,
            dot_at: row.get(6).map_err(unreadable)?,
            changed_at: row.get(7).map_err(unreadable)?,
            status: row.get(8).map_err(unreadable)?,
            reply: row.get(9).map_err(unreadable)?,
        };
        let seal: Vec<u8> = row.get(10).map_err(unreadable)?;
        if seal == read.seal(message) {
            Ok(read)
        } else {
            Err(RowError::Damaged(
                "its record does not match its checksum".to_owned(),
            ))
        }
    }

    /// Adds or replaces the row.
    pub(crate) fn store(&self, index: &Connection, message: i64) -> rusqlite::Result<()> {
        let mut statement = index.prepare_cached(
            "INSERT INTO recipients (message, number, path, options, state, due, reason, dot_at, \
             changed_at, status, reply, seal) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
             ON CONFLICT (message, number) DO UPDATE SET path = excluded.path, \
             options = excluded.options, state = excluded.state, due = excluded.due, \
             reason = excluded.reason, dot_at = excluded.dot_at, \
             changed_at = excluded.changed_at, status = excluded.status, \
             reply = excluded.reply, seal = excluded.seal",
        )?;
        statement.raw_bind_parameter(1, message)?;
        statement.raw_bind_parameter(2, self.number)?;
        statement.raw_bind_parameter(3, &self.path)?;
        statement.raw_bind_parameter(4, &self.options)?;
        statement.raw_bind_parameter(5, self.state.as_str())?;
        statement.raw_bind_parameter(6, self.due)?;
        statement.raw_bind_parameter(7, &self.reason)?;
        statement.raw_bind_parameter(8, self.dot_at)?;
        statement.raw_bind_parameter(9, self.changed_at)?;
        statement.raw_bind_parameter(10, &self.status)?;
        statement.raw_bind_parameter(11, &self.reply)?;
        statement.raw_bind_parameter(12, self.seal(message).as_slice())?;
        statement.raw_execute()?;
        Ok(())
    }

    /// The recipient as callers see it.
    pub(crate) fn recipient(&self) -> Result<sendas_envelope::Recipient, FormError> {
        form::recipient(&self.path, &self.options)
    }

    /// What the message's fate needs of it.
    pub(crate) fn slot(&self) -> crate::fate::Slot<'_> {
        crate::fate::Slot {
            state: self.state,
            due: self.due,
            reason: &self.reason,
            changed_at: self.changed_at,
        }
    }
}
