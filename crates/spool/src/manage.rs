//! What people do to messages: hold, release, retry, remove, restore, move, discard.

use jiff::Timestamp;
use rusqlite::OptionalExtension as _;

use crate::error::SpoolError;
use crate::fate::NEVER;
use crate::form;
use crate::id::MessageId;
use crate::message::{EventKind, RecipientState, State};
use crate::rows::RecipientRow;
use crate::work::{JobError, JobResult, Loaded, Work};

/// Under which the mailboxes of retried messages are noted.
pub(crate) const RETRIED: &str = "retried/";

/// A change that can be applied to any number of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Takes open recipients out of delivery, until a time or until released.
    Hold {
        /// Why, as a word for lists and counters.
        reason: String,
        /// When they go back by themselves.
        until: Option<Timestamp>,
    },
    /// Lets held recipients go, due at once.
    Release,
    /// Lets those held recipients go whose time has come.
    ReleaseDue,
    /// Makes waiting recipients due at once, and tells so to whoever delivers for the mailbox:
    /// see [`crate::View::retried`].
    Retry,
    /// Takes open recipients out of the queue; can be undone until the time.
    Remove {
        /// The end of the undo window.
        undo_until: Timestamp,
    },
    /// Undoes a removal within its window.
    Restore,
    /// Delivers through another mailbox from here on; not while claimed.
    Move {
        /// The mailbox.
        mailbox: sendas_envelope::Mailbox,
    },
}

impl Change {
    fn event(&self) -> (EventKind, String) {
        match self {
            Self::Hold { reason, .. } => (EventKind::Held, reason.clone()),
            Self::Release | Self::ReleaseDue => (EventKind::Released, String::new()),
            Self::Retry => (EventKind::Retried, String::new()),
            Self::Remove { .. } => (EventKind::Removed, String::new()),
            Self::Restore => (EventKind::Restored, String::new()),
            Self::Move { mailbox } => (EventKind::Moved, mailbox.address().key()),
        }
    }
}

/// Applies a change; `false` when it means nothing for the message as it stands.
pub(crate) fn apply(
    work: &mut Work<'_>,
    id: MessageId,
    change: &Change,
    now: Timestamp,
) -> JobResult<bool> {
    let Loaded {
        message,
        mut recipients,
    } = work.load(id, now)?;
    // A settled message has no body any more, a damaged one waits for a person.
    if matches!(message.state, State::Damaged | State::Settled) {
        return Ok(false);
    }
    let claimed = message.state == State::Claimed;
    let mut changed = message.clone();
    let (kind, text) = if let Change::Move { mailbox } = change {
        let key = mailbox.address().key();
        if claimed || key == message.mailbox {
            return Ok(false);
        }
        let text = format!("from {} to {key}", message.mailbox);
        changed.mailbox = key;
        (EventKind::Moved, text)
    } else {
        let mut touched = false;
        for recipient in &mut recipients {
            if touch(recipient, change, now) {
                recipient.changed_at = now.as_millisecond();
                recipient.store(work.index, message.id)?;
                touched = true;
            }
        }
        if !touched {
            return Ok(false);
        }
        if *change == Change::Retry {
            work.put_note(&format!("{RETRIED}{}", message.mailbox), &[], now)?;
        }
        if let Change::Remove { undo_until } = change {
            changed.undo_until = Some(undo_until.as_millisecond());
        }
        change.event()
    };
    work.event(message.id, now, kind, &text)?;
    if claimed {
        // The attempt goes on; what it brings is weighed against the wish when it is settled.
        work.update(&message, &changed)?;
    } else {
        work.conclude(&message, changed, &recipients)?;
    }
    Ok(true)
}

/// Applies a change to each of the messages; says how many it meant something for.
///
/// Messages that are gone or damaged by now are passed over.
pub(crate) fn apply_all(
    work: &mut Work<'_>,
    ids: &[MessageId],
    change: &Change,
    now: Timestamp,
) -> JobResult<u64> {
    let mut count = 0;
    for &id in ids {
        match apply(work, id, change, now) {
            Ok(changed) => count += u64::from(changed),
            Err(JobError::Say(SpoolError::NotFound(_) | SpoolError::Damaged { .. })) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(count)
}

/// Forgets a damaged message for good.
pub(crate) fn discard(work: &mut Work<'_>, id: MessageId) -> JobResult<()> {
    let columns = crate::rows::MESSAGE_COLUMNS;
    let found = work
        .index
        .query_row(
            &format!("SELECT {columns}, CAST(state AS TEXT) FROM messages WHERE id = ?1"),
            [id.number()],
            |row| {
                let (message, _) = crate::rows::MessageRow::read_leniently(row)?;
                Ok((message, row.get::<_, String>(20).unwrap_or_default()))
            },
        )
        .optional()?;
    let Some((mut message, state)) = found else {
        return Err(SpoolError::NotFound(id).into());
    };
    if state != State::Damaged.as_str() {
        return Err(SpoolError::State {
            id,
            state: message.state,
            verb: "discarded",
        }
        .into());
    }
    message.state = State::Damaged;
    work.forget(&message)?;
    tracing::warn!(%id, "a damaged message has been discarded");
    Ok(())
}

/// Changes one recipient; `false` when the change does not concern it.
fn touch(recipient: &mut RecipientRow, change: &Change, now: Timestamp) -> bool {
    use RecipientState as R;
    let now = now.as_millisecond();
    match (change, recipient.state) {
        (Change::Hold { reason, until }, R::Waiting | R::Suspect) => {
            recipient.state = R::Held;
            recipient.due = until.map_or(NEVER, Timestamp::as_millisecond);
            recipient.reason = form::reason(reason);
        }
        (Change::ReleaseDue, R::Held) if recipient.due > now => return false,
        (Change::Release | Change::ReleaseDue, R::Held) => {
            recipient.state = R::Waiting;
            recipient.due = now;
            recipient.reason.clear();
        }
        // What is due already may wait for more than its date.
        (Change::Retry, R::Waiting) => recipient.due = recipient.due.min(now),
        // Date and reason stay, so that a restored recipient is where it was.
        (Change::Remove { .. }, R::Waiting | R::Held | R::Suspect) => recipient.state = R::Removed,
        (Change::Restore, R::Removed) => {
            recipient.state = if recipient.due == NEVER {
                R::Held
            } else {
                R::Waiting
            };
        }
        _ => return false,
    }
    true
}
