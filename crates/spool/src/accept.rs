//! Accepting a submission: from values to rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use rusqlite::OptionalExtension as _;

use crate::error::SpoolError;
use crate::fate::{self, NEVER};
use crate::form::{self, EnvelopeForm, EnvelopeOptions};
use crate::id::MessageId;
use crate::limits::{KEY_OCTETS_MAX, NOTE_OCTETS_MAX};
use crate::message::{EventKind, RecipientState};
use crate::record::Digest;
use crate::rows::{MessageRow, RecipientRow};
use crate::submission::{Accepted, Submission};
use crate::work::{JobResult, Place, Work};

/// A staged body as the transaction sees it.
pub(crate) struct Placed {
    pub(crate) octets: i64,
    pub(crate) digest: Digest,
    pub(crate) lie: Lie,
}

/// Where a body lies, or will once its file has a row.
pub(crate) enum Lie {
    Shared(Place),
    Own { name: String, kept: Arc<AtomicBool> },
}

impl Submission {
    /// A submission for immediate delivery, from nobody in particular.
    pub fn new(envelope: sendas_envelope::Envelope, mailbox: sendas_envelope::Mailbox) -> Self {
        Self {
            id: None,
            envelope,
            mailbox,
            origin: crate::message::Origin::default(),
            due: None,
            hold: None,
            key: None,
            subject: String::new(),
            message_id: String::new(),
            memo: String::new(),
        }
    }

    /// Refuses what passes a limit, before anything is stored.
    pub(crate) fn check(&self) -> Result<(), SpoolError> {
        let limit = |what, max: usize| SpoolError::Limit {
            what,
            max: max as u64,
        };
        if self.memo.len() > NOTE_OCTETS_MAX {
            return Err(limit("a memo", NOTE_OCTETS_MAX));
        }
        if self.key.as_ref().is_some_and(|k| k.len() > KEY_OCTETS_MAX) {
            return Err(limit("a de-duplication key", KEY_OCTETS_MAX));
        }
        Ok(())
    }
}

/// Stores a submission whose limits have been checked.
pub(crate) fn accept(
    work: &mut Work<'_>,
    submission: &Submission,
    placed: Placed,
    now: Timestamp,
) -> JobResult<Accepted> {
    if let Some(key) = &submission.key {
        let before: Option<i64> = work
            .index
            .prepare_cached("SELECT message FROM keys WHERE key = ?1")?
            .query_row([key], |r| r.get(0))
            .optional()?;
        if let Some(id) = before.and_then(|n| MessageId::from_number(n).ok()) {
            return Ok(Accepted {
                id,
                duplicate: true,
            });
        }
    }
    let id = match submission.id {
        Some(id) if is_taken(work, id)? => return Err(SpoolError::Busy.into()),
        Some(id) => id,
        None => free_id(work, now)?,
    };
    let now_ms = now.as_millisecond();
    let due = submission.due.map_or(now_ms, Timestamp::as_millisecond);
    let (state, due, reason) = match &submission.hold {
        None => (RecipientState::Waiting, due, String::new()),
        Some(reason) => (RecipientState::Held, NEVER, form::reason(reason)),
    };
    let recipients: Vec<RecipientRow> = submission
        .envelope
        .recipients()
        .iter()
        .zip(0..)
        .map(|(recipient, number)| {
            let (path, options) = form::recipient_texts(recipient);
            RecipientRow {
                number,
                path,
                options,
                state,
                due,
                reason: reason.clone(),
                dot_at: None,
                changed_at: now_ms,
                status: String::new(),
                reply: String::new(),
            }
        })
        .collect();
    let message = row(submission, &placed, id, &recipients, now);
    insert(work, message, &recipients, placed.lie)?;
    if let Some(reason) = &submission.hold {
        work.event(id.number(), now, EventKind::Held, reason)?;
    }
    if let Some(key) = &submission.key {
        work.index
            .prepare_cached("INSERT INTO keys (key, message, at) VALUES (?1, ?2, ?3)")?
            .execute((key, id.number(), now_ms))?;
    }
    Ok(Accepted {
        id,
        duplicate: false,
    })
}

/// An id that no message has; another process may have drawn the same within a millisecond.
pub(crate) fn free_id(work: &Work<'_>, now: Timestamp) -> rusqlite::Result<MessageId> {
    loop {
        let id = work.shared.ids.next(now);
        if !is_taken(work, id)? {
            return Ok(id);
        }
    }
}

/// Whether a message has this id.
pub(crate) fn is_taken(work: &Work<'_>, id: MessageId) -> rusqlite::Result<bool> {
    work.index
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE id = ?1)")?
        .query_row([id.number()], |r| r.get(0))
}

/// Stores rows with their body under an id that is free.
pub(crate) fn insert(
    work: &mut Work<'_>,
    mut message: MessageRow,
    recipients: &[RecipientRow],
    lie: Lie,
) -> JobResult<()> {
    let (place, kept) = match lie {
        Lie::Shared(place) => (place, None),
        Lie::Own { name, kept } => {
            work.index
                .prepare_cached(
                    "INSERT INTO segments (name, seat, open, octets, live, live_octets) \
                     VALUES (?1, ?2, 0, ?3, 0, 0)",
                )?
                .execute((&name, &work.shared.seat, message.octets))?;
            let place = Place {
                segment: work.index.last_insert_rowid(),
                at: 0,
            };
            (place, Some(kept))
        }
    };
    message.segment = Some(place.segment);
    message.place = place.at;
    work.insert(&message, recipients)?;
    if let Some(kept) = kept {
        kept.store(true, Ordering::Relaxed);
    }
    Ok(())
}

fn row(
    submission: &Submission,
    placed: &Placed,
    id: MessageId,
    recipients: &[RecipientRow],
    now: Timestamp,
) -> MessageRow {
    let fate = fate::judge(recipients.iter().map(RecipientRow::slot), None);
    let envelope = &submission.envelope;
    let options = EnvelopeOptions {
        body: envelope.body,
        utf8_header: envelope.utf8_header,
        ret: envelope.ret,
        envelope_id: envelope.envelope_id.clone(),
    };
    let form = EnvelopeForm::new(
        &options,
        &submission.origin,
        &submission.subject,
        &submission.message_id,
    );
    MessageRow {
        id: id.number(),
        state: fate.state,
        mailbox: submission.mailbox.address().key(),
        due: fate.due,
        reason: fate.reason,
        sender: envelope.reverse_path.as_str().to_owned(),
        accepted_at: now.as_millisecond(),
        octets: placed.octets,
        recipients: i64::try_from(recipients.len()).expect("recipients are counted in memory"),
        attempts: 0,
        fence: 0,
        seat: None,
        started_at: None,
        segment: None,
        place: 0,
        undo_until: None,
        digest: placed.digest,
        envelope: form.to_text(),
        memo: submission.memo.clone(),
    }
}
