//! Claiming: a message in one worker's hands, under a lease and a fencing number.

use std::time::Duration;

use jiff::Timestamp;
use sendas_envelope::{Envelope, Mailbox, ReversePath};

use crate::error::SpoolError;
use crate::fate::NEVER;
use crate::form::{self, EnvelopeForm, FormError};
use crate::id::MessageId;
use crate::message::{EventKind, RecipientState, State};
use crate::rows::{MessageRow, RecipientRow};
use crate::submission::Claim;
use crate::work::{JobError, JobResult, Loaded, Work};

/// Claims due messages of a mailbox, those that are due longest first.
///
/// Damaged ones are set aside on the way and not counted.
pub(crate) fn claim_due(
    work: &mut Work<'_>,
    mailbox: &Mailbox,
    limit: usize,
    lease: Duration,
    now: Timestamp,
) -> JobResult<Vec<Claim>> {
    let mut claims = Vec::new();
    while claims.len() < limit {
        let wanted = limit - claims.len();
        let ids = due_ids(work, &mailbox.address().key(), now, wanted)?;
        for &id in &ids {
            match claim_one(work, id, lease, now, false) {
                Ok(claim) => claims.push(claim),
                Err(JobError::Say(SpoolError::Damaged { .. })) => {}
                Err(other) => return Err(other),
            }
        }
        if ids.len() < wanted {
            break;
        }
    }
    Ok(claims)
}

/// Claims one message, due or not; `held` ones only if told so.
pub(crate) fn claim_one(
    work: &mut Work<'_>,
    id: MessageId,
    lease: Duration,
    now: Timestamp,
    also_held: bool,
) -> JobResult<Claim> {
    let Loaded {
        message,
        mut recipients,
    } = work.load(id, now)?;
    let open = message.state == State::Waiting || (also_held && message.state == State::Held);
    if !open {
        return Err(SpoolError::State {
            id,
            state: message.state,
            verb: "claimed",
        }
        .into());
    }
    let now_ms = now.as_millisecond();
    let early = also_held || message.due > now_ms;
    let mut numbers = Vec::new();
    for recipient in &mut recipients {
        let take = match recipient.state {
            RecipientState::Waiting => early || recipient.due <= now_ms,
            RecipientState::Held => also_held,
            _ => false,
        };
        if take {
            numbers.push(recipient.number);
            if recipient.state == RecipientState::Held || recipient.dot_at.is_some() {
                recipient.state = RecipientState::Waiting;
                recipient.due = recipient.due.min(now_ms);
                recipient.dot_at = None;
                recipient.store(work.index, message.id)?;
            }
        }
    }
    let until = after(now, lease);
    let mut claimed = message.clone();
    claimed.state = State::Claimed;
    claimed.due = until.as_millisecond();
    claimed.attempts += 1;
    claimed.fence += 1;
    claimed.seat = Some(work.shared.seat.clone());
    claimed.started_at = Some(now_ms);
    let claim = match describe(&claimed, &recipients, &numbers) {
        Ok(claim) => claim,
        Err(error) => {
            // The seals matched, so we wrote it so: our mistake, and the message must not go out.
            work.set_aside(id, &error.0, now)?;
            return Err(SpoolError::Damaged { id, what: error.0 }.into());
        }
    };
    work.update(&message, &claimed)?;
    Ok(claim)
}

/// Reads a claim's message, if the claim still holds.
pub(crate) fn load_claimed(
    work: &mut Work<'_>,
    claim: &Claim,
    now: Timestamp,
) -> JobResult<Loaded> {
    let loaded = match work.load(claim.id, now) {
        // Ended, settled and forgotten in the meantime.
        Err(JobError::Say(SpoolError::NotFound(id))) => return Err(SpoolError::Stale(id).into()),
        other => other?,
    };
    if is_current(&loaded.message, claim) {
        Ok(loaded)
    } else {
        Err(SpoolError::Stale(claim.id).into())
    }
}

/// Moves the end of a claim's lease.
pub(crate) fn extend(
    work: &mut Work<'_>,
    claim: &Claim,
    lease: Duration,
    now: Timestamp,
) -> JobResult<Timestamp> {
    let Loaded { message, .. } = load_claimed(work, claim, now)?;
    let until = after(now, lease);
    let mut longer = message.clone();
    longer.due = until.as_millisecond();
    work.update(&message, &longer)?;
    Ok(until)
}

/// Marks that the final dot is about to go out for these recipients.
pub(crate) fn mark_dot(
    work: &mut Work<'_>,
    claim: &Claim,
    numbers: &[u32],
    now: Timestamp,
) -> JobResult<()> {
    let Loaded {
        message,
        mut recipients,
    } = load_claimed(work, claim, now)?;
    for recipient in &mut recipients {
        let named = u32::try_from(recipient.number).is_ok_and(|n| numbers.contains(&n));
        if named {
            recipient.dot_at = Some(now.as_millisecond());
            recipient.store(work.index, message.id)?;
        }
    }
    Ok(())
}

/// Ends claims whose process has died or whose lease ran out without a word.
///
/// Recipients whose dot may have gone out become suspect; the others wait again.
pub(crate) fn interrupt(
    work: &mut Work<'_>,
    id: MessageId,
    why: &str,
    now: Timestamp,
) -> JobResult<State> {
    let Loaded {
        message,
        mut recipients,
    } = work.load(id, now)?;
    if message.state != State::Claimed {
        return Ok(message.state);
    }
    let mut suspects = 0;
    for recipient in &mut recipients {
        if recipient.dot_at.is_some() && recipient.state == RecipientState::Waiting {
            recipient.state = RecipientState::Suspect;
            recipient.due = NEVER;
            recipient.changed_at = now.as_millisecond();
            "lost-after-dot".clone_into(&mut recipient.reason);
            recipient.store(work.index, message.id)?;
            suspects += 1;
        }
    }
    let mut ended = message.clone();
    ended.fence += 1;
    let (kind, text) = if suspects > 0 {
        (
            EventKind::Suspected,
            format!("{why}; the final dot may have gone out for {suspects} recipients"),
        )
    } else {
        (EventKind::Interrupted, why.to_owned())
    };
    work.event(message.id, now, kind, &text)?;
    Ok(work.conclude(&message, ended, &recipients)?)
}

/// Whether the row still stands as the claim left it.
pub(crate) fn is_current(message: &MessageRow, claim: &Claim) -> bool {
    message.state == State::Claimed && u64::try_from(message.fence) == Ok(claim.fence)
}

fn due_ids(
    work: &Work<'_>,
    mailbox: &str,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<MessageId>> {
    let mut statement = work.index.prepare_cached(
        "SELECT id FROM messages WHERE state = 'waiting' AND mailbox = ?1 AND due <= ?2 \
         ORDER BY due, id LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((mailbox, now.as_millisecond(), limit), |r| {
        r.get::<_, i64>(0)
    })?;
    rows.filter_map(|id| id.map(|n| MessageId::from_number(n).ok()).transpose())
        .collect()
}

fn describe(
    message: &MessageRow,
    recipients: &[RecipientRow],
    numbers: &[i64],
) -> Result<Claim, FormError> {
    let form = EnvelopeForm::parse(&message.envelope)?;
    let options = form.options()?;
    let due = recipients
        .iter()
        .filter(|r| numbers.contains(&r.number))
        .map(RecipientRow::recipient)
        .collect::<Result<Vec<_>, _>>()?;
    let sender =
        ReversePath::parse(&message.sender).map_err(|e| FormError(format!("sender: {e}")))?;
    let mut envelope =
        Envelope::new(sender, due).map_err(|e| FormError(format!("envelope: {e}")))?;
    envelope.body = options.body;
    envelope.utf8_header = options.utf8_header;
    envelope.ret = options.ret;
    envelope.envelope_id = options.envelope_id;
    let number = |n: i64| u64::try_from(n).map_err(|_| FormError("a negative number".to_owned()));
    Ok(Claim {
        id: MessageId::from_number(message.id).map_err(|e| FormError(e.to_string()))?,
        fence: number(message.fence)?,
        attempt: u32::try_from(message.attempts).unwrap_or(u32::MAX),
        started_at: form::time(message.started_at.unwrap_or(message.accepted_at)),
        lease_until: form::time(message.due),
        envelope,
        numbers: numbers
            .iter()
            .filter_map(|&n| u32::try_from(n).ok())
            .collect(),
        mailbox: message
            .mailbox
            .parse()
            .map_err(|e| FormError(format!("mailbox: {e}")))?,
        accepted_at: form::time(message.accepted_at),
        octets: number(message.octets)?,
        origin: form.origin(),
        message_id: form.message_id,
        memo: message.memo.clone(),
    })
}

/// A time after another; the far future instead of an overflow.
pub(crate) fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
