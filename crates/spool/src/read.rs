//! Questions to the index: lists, counts, histories. All answers of one view are one snapshot.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use crate::error::SpoolError;
use crate::fate::NEVER;
use crate::filter::{Filter, prefix_sql};
use crate::form::{self, EnvelopeForm, ReportForm};
use crate::id::{IdPrefix, MessageId};
use crate::limits::PAGE_MESSAGES_MAX;
use crate::manage::RETRIED;
use crate::message::{
    Attempt, AttemptReply, Delivery, Event, EventKind, Message, RecipientState, State, Summary,
};
use crate::record::Digest;
use crate::rows::{MESSAGE_COLUMNS, MessageRow, RecipientRow};

/// One consistent look at the spool.
pub struct View {
    index: Connection,
}

/// How many messages share state, mailbox and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Their state.
    pub state: State,
    /// The mailbox they are delivered through, in lower case.
    pub mailbox: String,
    /// Why they wait, are held or have failed.
    pub reason: String,
    /// How many.
    pub messages: u64,
    /// Octets of their bodies together.
    pub octets: u64,
}

/// A mailbox with waiting messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxDue {
    /// The mailbox, in lower case.
    pub mailbox: String,
    /// Its earliest attempt.
    pub due: Timestamp,
    /// Messages that wait, due or not.
    pub messages: u64,
}

/// Where a body lies.
#[derive(Clone)]
pub(crate) struct BodyPlace {
    pub(crate) segment: String,
    pub(crate) at: u64,
    pub(crate) octets: u64,
    pub(crate) digest: Digest,
}

impl View {
    pub(crate) const fn new(index: Connection) -> Self {
        Self { index }
    }

    pub(crate) const fn index(&self) -> &Connection {
        &self.index
    }

    pub(crate) fn into_index(self) -> Connection {
        self.index
    }

    /// The message whose id begins so.
    ///
    /// # Errors
    /// [`SpoolError::NoMatch`], [`SpoolError::Ambiguous`].
    pub fn find(&self, text: &str) -> Result<MessageId, SpoolError> {
        let prefix: IdPrefix = text
            .parse()
            .map_err(|_| SpoolError::NoMatch(text.to_owned()))?;
        let (condition, range) = prefix_sql(prefix);
        let mut statement = self.index.prepare_cached(&format!(
            "SELECT id FROM messages WHERE {condition} LIMIT 2"
        ))?;
        let found = statement
            .query_map(range, |r| r.get::<_, i64>(0))?
            .collect::<Result<Vec<_>, _>>()?;
        match found[..] {
            [] => Err(SpoolError::NoMatch(text.to_owned())),
            [one] => MessageId::from_number(one).map_err(|_| SpoolError::NoMatch(text.to_owned())),
            _ => Err(SpoolError::Ambiguous(text.to_owned())),
        }
    }

    /// Messages in order of acceptance: at most `limit` and [`PAGE_MESSAGES_MAX`], after an id.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn list(
        &self,
        filter: &Filter,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Summary>, SpoolError> {
        let (condition, mut values) = filter.to_sql();
        values.push(after.map_or(-1, MessageId::number).into());
        values.push(page(limit).into());
        let mut statement = self.index.prepare_cached(&format!(
            "SELECT {MESSAGE_COLUMNS} FROM messages WHERE {condition} AND id > ? \
             ORDER BY id LIMIT ?"
        ))?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut messages = Vec::new();
        while let Some(row) = rows.next()? {
            let (message, damage) = MessageRow::read_leniently(row)?;
            messages.push(self.summary(message, damage)?);
        }
        Ok(messages)
    }

    /// Ids in order of acceptance; as [`View::list`], but cheap.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn ids(
        &self,
        filter: &Filter,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<MessageId>, SpoolError> {
        let (condition, mut values) = filter.to_sql();
        values.push(after.map_or(-1, MessageId::number).into());
        values.push(page(limit).into());
        let mut statement = self.index.prepare_cached(&format!(
            "SELECT id FROM messages WHERE {condition} AND id > ? ORDER BY id LIMIT ?"
        ))?;
        let rows = statement.query_map(params_from_iter(values), |r| r.get::<_, i64>(0))?;
        let ids = rows
            .filter_map(|id| id.map(|n| MessageId::from_number(n).ok()).transpose())
            .collect::<rusqlite::Result<_>>()?;
        Ok(ids)
    }

    /// How many messages the filter chooses, and their octets. Reads them all.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn count(&self, filter: &Filter) -> Result<(u64, u64), SpoolError> {
        let (condition, values) = filter.to_sql();
        let mut statement = self.index.prepare_cached(&format!(
            "SELECT count(*), coalesce(sum(octets), 0) FROM messages WHERE {condition}"
        ))?;
        let (messages, octets): (i64, i64) =
            statement.query_row(params_from_iter(values), |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok((unsigned(messages), unsigned(octets)))
    }

    /// The counters by state, mailbox and reason; costs nothing, however long the queue is.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn counts(&self) -> Result<Vec<Count>, SpoolError> {
        let mut statement = self.index.prepare_cached(
            "SELECT state, mailbox, reason, messages, octets FROM counts \
             ORDER BY state, mailbox, reason",
        )?;
        let mut rows = statement.query([])?;
        let mut counts = Vec::new();
        while let Some(row) = rows.next()? {
            let state: String = row.get(0)?;
            counts.push(Count {
                state: State::from_word(&state).unwrap_or(State::Damaged),
                mailbox: row.get(1)?,
                reason: row.get(2)?,
                messages: unsigned(row.get(3)?),
                octets: unsigned(row.get(4)?),
            });
        }
        Ok(counts)
    }

    /// The mailboxes with waiting messages, each with its earliest attempt, earliest first.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn mailboxes_due(&self) -> Result<Vec<MailboxDue>, SpoolError> {
        let mut mailboxes = self.index.prepare_cached(
            "SELECT mailbox, sum(messages), (SELECT min(due) FROM messages \
             WHERE state = 'waiting' AND messages.mailbox = counts.mailbox) AS first \
             FROM counts WHERE state = 'waiting' GROUP BY mailbox ORDER BY first",
        )?;
        let mut rows = mailboxes.query([])?;
        let mut due = Vec::new();
        while let Some(row) = rows.next()? {
            if let Some(first) = row.get::<_, Option<i64>>(2)? {
                due.push(MailboxDue {
                    mailbox: row.get(0)?,
                    due: form::time(first),
                    messages: unsigned(row.get(1)?),
                });
            }
        }
        Ok(due)
    }

    /// Waiting messages of a mailbox that were accepted before a time, due or not, in order of
    /// acceptance: at most `limit` and [`PAGE_MESSAGES_MAX`], after an id.
    ///
    /// `only_with_options` leaves out those whose recipients all came without delivery options.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn aged(
        &self,
        mailbox: &str,
        before: Timestamp,
        only_with_options: bool,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<MessageId>, SpoolError> {
        // Ids grow with the time of acceptance, and stand in every index.
        let mut statement = self.index.prepare_cached(
            "SELECT id FROM messages INDEXED BY messages_waiting WHERE state = 'waiting' \
             AND mailbox = ?1 AND id > ?2 AND id < ?3 AND (?4 = 0 OR EXISTS (SELECT 1 \
             FROM recipients WHERE message = messages.id AND options <> '')) \
             ORDER BY id LIMIT ?5",
        )?;
        let rows = statement.query_map(
            (
                mailbox,
                after.map_or(-1, MessageId::number),
                MessageId::first_at(before).number(),
                only_with_options,
                page(limit),
            ),
            |r| r.get::<_, i64>(0),
        )?;
        let ids = rows
            .filter_map(|id| id.map(|n| MessageId::from_number(n).ok()).transpose())
            .collect::<rusqlite::Result<_>>()?;
        Ok(ids)
    }

    /// When the oldest message in one of these states was accepted.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn oldest(&self, filter: &Filter) -> Result<Option<Timestamp>, SpoolError> {
        let (condition, values) = filter.to_sql();
        let mut statement = self.index.prepare_cached(&format!(
            "SELECT accepted_at FROM messages WHERE {condition} ORDER BY id LIMIT 1"
        ))?;
        let ms: Option<i64> = statement
            .query_row(params_from_iter(values), |r| r.get(0))
            .optional()?;
        Ok(ms.map(form::time))
    }

    /// A message with its history.
    ///
    /// # Errors
    /// [`SpoolError::NotFound`].
    pub fn message(&self, id: MessageId) -> Result<Message, SpoolError> {
        let (message, damage) = self.row(id)?;
        Ok(Message {
            summary: self.summary(message, damage)?,
            attempts: self.attempts(id)?,
            events: self.events(id)?,
        })
    }

    /// What was stored under a key with [`crate::Spool::put_note`].
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn note(&self, key: &str) -> Result<Option<Vec<u8>>, SpoolError> {
        let mut statement = self
            .index
            .prepare_cached("SELECT value FROM notes WHERE key = ?1")?;
        Ok(statement.query_row([key], |r| r.get(0)).optional()?)
    }

    /// The notes whose keys begin so, in order of their keys.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn notes(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, SpoolError> {
        // A range, so that the index of the keys serves it; no key holds the last character.
        let mut statement = self.index.prepare_cached(
            "SELECT key, value FROM notes WHERE key >= ?1 AND key < ?1 || char(1114111) \
             ORDER BY key",
        )?;
        let rows = statement.query_map([prefix], |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The mailboxes, in lower case, whose messages somebody has retried of late, each with the
    /// last time: what keeps them from being sent should be tried again.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn retried(&self) -> Result<Vec<(String, Timestamp)>, SpoolError> {
        let mut statement = self.index.prepare_cached(
            "SELECT key, at FROM notes WHERE key >= ?1 AND key < ?1 || char(1114111)",
        )?;
        let rows = statement.query_map([RETRIED], |r| {
            Ok((r.get::<_, String>(0)?, form::time(r.get(1)?)))
        })?;
        let own = |row: rusqlite::Result<(String, Timestamp)>| {
            row.map(|(key, at)| (key[RETRIED.len()..].to_owned(), at))
        };
        Ok(rows.map(own).collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn body_place(&self, id: MessageId) -> Result<BodyPlace, SpoolError> {
        let (message, _) = self.row(id)?;
        let gone = || SpoolError::BodyGone(id);
        let segment: Option<String> = self
            .index
            .prepare_cached("SELECT name FROM segments WHERE id = ?1")?
            .query_row([message.segment.ok_or_else(gone)?], |r| r.get(0))
            .optional()?;
        Ok(BodyPlace {
            segment: segment.ok_or_else(|| SpoolError::Damaged {
                id,
                what: "its segment is not in the index".to_owned(),
            })?,
            at: unsigned(message.place),
            octets: unsigned(message.octets),
            digest: message.digest,
        })
    }

    fn row(&self, id: MessageId) -> Result<(MessageRow, Option<String>), SpoolError> {
        let mut statement = self.index.prepare_cached(&format!(
            "SELECT {MESSAGE_COLUMNS} FROM messages WHERE id = ?1"
        ))?;
        let mut rows = statement.query([id.number()])?;
        match rows.next()? {
            Some(row) => Ok(MessageRow::read_leniently(row)?),
            None => Err(SpoolError::NotFound(id)),
        }
    }

    fn summary(
        &self,
        message: MessageRow,
        mut damage: Option<String>,
    ) -> Result<Summary, SpoolError> {
        let (recipients, trouble) = RecipientRow::load_what_is_there(&self.index, message.id)?;
        damage = damage.or(trouble);
        let form = EnvelopeForm::parse(&message.envelope).unwrap_or_else(|e| {
            damage.get_or_insert(e.0);
            EnvelopeForm::default()
        });
        let options = form.options().ok();
        let mut deliveries = Vec::with_capacity(recipients.len());
        for row in recipients {
            match delivery(&row) {
                Ok(delivery) => deliveries.push(delivery),
                Err(e) => {
                    damage.get_or_insert(e.0);
                }
            }
        }
        if deliveries.len() != usize::try_from(message.recipients).unwrap_or_default() {
            damage.get_or_insert_with(|| "recipients are missing".to_owned());
        }
        let state = if damage.is_some() {
            State::Damaged
        } else {
            message.state
        };
        Ok(Summary {
            id: MessageId::from_number(message.id)
                .map_err(|_| SpoolError::NoMatch(message.id.to_string()))?,
            state,
            due: (message.due != NEVER && state != State::Settled).then(|| form::time(message.due)),
            mailbox: message.mailbox,
            reason: message.reason,
            sender: message.sender,
            accepted_at: form::time(message.accepted_at),
            octets: unsigned(message.octets),
            attempts: u32::try_from(message.attempts).unwrap_or_default(),
            origin: form.origin(),
            body: options.as_ref().map(|o| o.body).unwrap_or_default(),
            ret: options.as_ref().and_then(|o| o.ret),
            envelope_id: options.and_then(|o| o.envelope_id),
            subject: form.subject,
            message_id: form.message_id,
            memo: message.memo,
            deliveries,
            damage,
        })
    }

    fn attempts(&self, id: MessageId) -> Result<Vec<Attempt>, SpoolError> {
        let mut statement = self.index.prepare_cached(
            "SELECT number, started_at, ended_at, route, report FROM attempts \
             WHERE message = ?1 ORDER BY number",
        )?;
        let mut rows = statement.query([id.number()])?;
        let mut attempts = Vec::new();
        while let Some(row) = rows.next()? {
            let report: String = row.get(4)?;
            let replies = serde_json::from_str::<ReportForm>(&report)
                .map(|form| form.replies.iter().map(AttemptReply::from).collect())
                .unwrap_or_default();
            attempts.push(Attempt {
                number: row.get(0)?,
                started_at: form::time(row.get(1)?),
                ended_at: form::time(row.get(2)?),
                route: row.get(3)?,
                replies,
            });
        }
        Ok(attempts)
    }

    fn events(&self, id: MessageId) -> Result<Vec<Event>, SpoolError> {
        let mut statement = self.index.prepare_cached(
            "SELECT at, kind, text FROM events WHERE message = ?1 ORDER BY number",
        )?;
        let mut rows = statement.query([id.number()])?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            let kind: String = row.get(1)?;
            // A newer program's word is passed over: it is history, not state.
            if let Some(kind) = EventKind::from_word(&kind) {
                events.push(Event {
                    at: form::time(row.get(0)?),
                    kind,
                    text: row.get(2)?,
                });
            }
        }
        Ok(events)
    }
}

fn delivery(row: &RecipientRow) -> Result<Delivery, form::FormError> {
    let pending = matches!(row.state, RecipientState::Waiting | RecipientState::Held);
    Ok(Delivery {
        number: u32::try_from(row.number).unwrap_or_default(),
        recipient: row.recipient()?,
        state: row.state,
        due: pending.then(|| form::maybe_time(row.due)).flatten(),
        reason: row.reason.clone(),
        dot_at: row.dot_at.map(form::time),
        changed_at: form::time(row.changed_at),
        status: form::status(&row.status),
        reply: row.reply.clone(),
    })
}

fn page(limit: usize) -> i64 {
    i64::try_from(limit.min(PAGE_MESSAGES_MAX)).expect("a page is small")
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}
