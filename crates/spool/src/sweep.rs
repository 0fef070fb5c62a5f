//! What time does to messages: leases, holds, undo windows and histories that end.

use std::time::Duration;

use jiff::Timestamp;

use crate::claim;
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::limits::{BULK_MESSAGES_MAX, RETRIED_KEPT};
use crate::manage::{self, Change, RETRIED};
use crate::message::State;
use crate::work::{JobError, JobResult, Loaded, Work};

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Claims ended because their lease ran out.
    pub interrupted: u64,
    /// Held messages released because their time had come.
    pub released: u64,
    /// Removals made final.
    pub removed: u64,
    /// Settled messages whose history was forgotten.
    pub forgotten: u64,
    /// Whether there is more to do: sweep again.
    pub more: bool,
}

/// Does what is due, at most [`BULK_MESSAGES_MAX`] messages of each kind.
pub(crate) fn sweep(work: &mut Work<'_>, keep: Duration, now: Timestamp) -> JobResult<Swept> {
    let mut swept = Swept::default();
    let now_ms = now.as_millisecond();
    let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let old = now_ms.saturating_sub(keep_ms);
    for (state, until) in [
        (State::Claimed, now_ms),
        (State::Held, now_ms),
        (State::Removed, now_ms),
        (State::Settled, old),
    ] {
        let ids = due(work, state, until)?;
        swept.more |= ids.len() == BULK_MESSAGES_MAX;
        for id in ids {
            match sweep_one(work, id, state, now, &mut swept) {
                Ok(()) | Err(JobError::Say(SpoolError::Damaged { .. })) => {}
                Err(other) => return Err(other),
            }
        }
    }
    work.index
        .prepare_cached("DELETE FROM keys WHERE at <= ?1")?
        .execute([old])?;
    let read = now_ms.saturating_sub(i64::try_from(RETRIED_KEPT.as_millis()).unwrap_or(i64::MAX));
    work.index
        .prepare_cached(
            "DELETE FROM notes WHERE key >= ?1 AND key < ?1 || char(1114111) AND at <= ?2",
        )?
        .execute((RETRIED, read))?;
    work.roll = true;
    Ok(swept)
}

fn sweep_one(
    work: &mut Work<'_>,
    id: MessageId,
    state: State,
    now: Timestamp,
    swept: &mut Swept,
) -> JobResult<()> {
    match state {
        State::Claimed => {
            claim::interrupt(work, id, "the lease ran out", now)?;
            swept.interrupted += 1;
        }
        State::Held => {
            swept.released += u64::from(manage::apply(work, id, &Change::ReleaseDue, now)?);
        }
        State::Removed => {
            let Loaded {
                message,
                recipients,
            } = work.load(id, now)?;
            let mut final_ = message.clone();
            final_.undo_until = None;
            work.conclude(&message, final_, &recipients)?;
            swept.removed += 1;
        }
        _ => {
            let Loaded { message, .. } = work.load(id, now)?;
            work.forget(&message)?;
            swept.forgotten += 1;
        }
    }
    Ok(())
}

fn due(work: &Work<'_>, state: State, until: i64) -> rusqlite::Result<Vec<MessageId>> {
    // The state stands in the text, so that the partial index serves the question.
    let mut statement = work.index.prepare_cached(
        "SELECT id FROM messages WHERE state <> 'waiting' AND state = ?1 AND due <= ?2 \
         ORDER BY due LIMIT ?3",
    )?;
    let limit = i64::try_from(BULK_MESSAGES_MAX).expect("a small constant");
    let rows = statement.query_map((state.as_str(), until, limit), |r| r.get::<_, i64>(0))?;
    rows.filter_map(|id| id.map(|n| MessageId::from_number(n).ok()).transpose())
        .collect()
}
