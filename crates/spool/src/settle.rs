//! Settling: what an attempt brought becomes each recipient's state, durably.

use jiff::Timestamp;

use crate::accept::{self, Placed};
use crate::claim;
use crate::error::SpoolError;
use crate::fate::NEVER;
use crate::form::{self, ReplyForm, ReportForm};
use crate::id::MessageId;
use crate::limits::{ATTEMPTS_KEPT_MAX, NOTE_OCTETS_MAX, REMARK_OCTETS_MAX};
use crate::message::{EventKind, RecipientState, State};
use crate::rows::{MessageRow, RecipientRow};
use crate::submission::{Claim, Outcome, Settled, Settlement, Submission, Verdict};
use crate::work::{JobResult, Loaded, Work};

/// Settles a claim; notices are stored in the same commit.
pub(crate) fn settle(
    work: &mut Work<'_>,
    claim: &Claim,
    settlement: &Settlement,
    notices: Vec<(Submission, Placed)>,
    now: Timestamp,
) -> JobResult<Settled> {
    let Loaded {
        message,
        mut recipients,
    } = claim::load_claimed(work, claim, now)?;
    let mut ids = Vec::with_capacity(notices.len());
    for (submission, placed) in notices {
        ids.push(accept::accept(work, &submission, placed, now)?.id);
    }
    let mut replies = Vec::new();
    for recipient in &mut recipients {
        let outcome = settlement
            .outcomes
            .iter()
            .find(|(number, _)| i64::from(*number) == recipient.number);
        if let Some((number, outcome)) = outcome {
            apply(recipient, outcome, now);
            replies.push(reply_form(*number, outcome));
            recipient.store(work.index, message.id)?;
        } else if let Some(number) = unsaid(recipient) {
            if settlement.uncounted {
                recipient.dot_at = None;
            } else {
                // The dot may be out and nobody says what became of it.
                let uncertain = Outcome::Uncertain {
                    reply: String::new(),
                };
                apply(recipient, &uncertain, now);
                replies.push(reply_form(number, &uncertain));
            }
            recipient.store(work.index, message.id)?;
        }
    }
    if replies.iter().any(|r| r.outcome == "uncertain") {
        let text = "the connection was lost after the final dot";
        work.event(message.id, now, EventKind::Suspected, text)?;
    }
    let mut settled = message.clone();
    if let Some(memo) = &settlement.memo {
        settled.memo.clone_from(memo);
    }
    if settlement.uncounted {
        settled.attempts -= 1;
    } else {
        record_attempt(work, &message, settlement, replies, now)?;
    }
    let state = work.conclude(&message, settled, &recipients)?;
    Ok(Settled {
        state,
        notices: ids,
    })
}

impl Settlement {
    /// A claim that never reached the service: nothing has happened, nothing is counted.
    ///
    /// With `until` every recipient of the claim waits until then, for this reason.
    pub fn give_back(claim: &Claim, until: Option<(Timestamp, String)>) -> Self {
        let outcomes = until.map_or_else(Vec::new, |(until, reason)| {
            claim
                .numbers
                .iter()
                .map(|&number| {
                    let deferred = Outcome::Deferred {
                        until,
                        reason: reason.clone(),
                        status: None,
                        reply: String::new(),
                    };
                    (number, deferred)
                })
                .collect()
        });
        Self {
            outcomes,
            uncounted: true,
            ..Self::default()
        }
    }

    pub(crate) fn check(&self) -> Result<(), SpoolError> {
        if self
            .memo
            .as_ref()
            .is_some_and(|m| m.len() > NOTE_OCTETS_MAX)
        {
            return Err(SpoolError::Limit {
                what: "a memo",
                max: NOTE_OCTETS_MAX as u64,
            });
        }
        self.notices.iter().try_for_each(|(s, _)| s.check())
    }
}

/// Decides about a suspect message.
pub(crate) fn judge(
    work: &mut Work<'_>,
    id: MessageId,
    verdict: &Verdict,
    now: Timestamp,
) -> JobResult<State> {
    let Loaded {
        message,
        mut recipients,
    } = work.load(id, now)?;
    if message.state != State::Suspect {
        return Err(SpoolError::State {
            id,
            state: message.state,
            verb: "judged",
        }
        .into());
    }
    for recipient in &mut recipients {
        if recipient.state == RecipientState::Suspect {
            (recipient.state, recipient.due) = match verdict {
                Verdict::Resend => (RecipientState::Waiting, now.as_millisecond()),
                Verdict::Hold => (RecipientState::Held, NEVER),
            };
            recipient.changed_at = now.as_millisecond();
            recipient.dot_at = None;
            recipient.store(work.index, message.id)?;
        }
    }
    let (kind, text) = match verdict {
        Verdict::Resend => (EventKind::Resent, "a duplicate is possible"),
        Verdict::Hold => (EventKind::Held, "lost-after-dot"),
    };
    work.event(message.id, now, kind, text)?;
    Ok(work.conclude(&message, message.clone(), &recipients)?)
}

/// The number of a recipient whose dot was marked in this claim.
fn unsaid(recipient: &RecipientRow) -> Option<u32> {
    recipient.dot_at?;
    u32::try_from(recipient.number).ok()
}

/// Writes one outcome into its recipient.
///
/// Facts win over wishes: what the service accepted or refused is so, also when the recipient
/// was held or removed in the meantime; a deferral does not undo a hold or a removal.
fn apply(recipient: &mut RecipientRow, outcome: &Outcome, now: Timestamp) {
    let open = recipient.state == RecipientState::Waiting;
    let remark = |text: &str| form::cut(text, REMARK_OCTETS_MAX);
    let (state, due, reason, status, reply) = match outcome {
        Outcome::Accepted { status, reply } => {
            (RecipientState::Accepted, NEVER, "", *status, reply)
        }
        Outcome::Refused {
            reason,
            status,
            reply,
        } => (
            RecipientState::Refused,
            NEVER,
            reason.as_str(),
            *status,
            reply,
        ),
        Outcome::Deferred {
            until,
            reason,
            status,
            reply,
        } => (
            RecipientState::Waiting,
            until.as_millisecond(),
            reason.as_str(),
            *status,
            reply,
        ),
        Outcome::Held {
            reason,
            status,
            reply,
        } => (RecipientState::Held, NEVER, reason.as_str(), *status, reply),
        Outcome::Uncertain { reply } => (
            RecipientState::Suspect,
            NEVER,
            "lost-after-dot",
            None,
            reply,
        ),
    };
    let fact = !matches!(outcome, Outcome::Deferred { .. } | Outcome::Held { .. });
    if fact || open {
        recipient.state = state;
        recipient.due = due;
        recipient.reason = form::reason(reason);
    }
    if state != RecipientState::Suspect {
        recipient.dot_at = None;
    }
    recipient.changed_at = now.as_millisecond();
    recipient.status = form::status_text(status);
    if !reply.is_empty() || status.is_some() {
        recipient.reply = remark(reply);
    }
}

fn reply_form(number: u32, outcome: &Outcome) -> ReplyForm {
    let (word, reason, status, reply) = match outcome {
        Outcome::Accepted { status, reply } => ("accepted", "", *status, reply),
        Outcome::Refused {
            reason,
            status,
            reply,
        } => ("refused", reason.as_str(), *status, reply),
        Outcome::Deferred {
            reason,
            status,
            reply,
            ..
        } => ("deferred", reason.as_str(), *status, reply),
        Outcome::Held {
            reason,
            status,
            reply,
        } => ("held", reason.as_str(), *status, reply),
        Outcome::Uncertain { reply } => ("uncertain", "lost-after-dot", None, reply),
    };
    ReplyForm {
        n: number,
        outcome: word.to_owned(),
        reason: form::reason(reason),
        status: form::status_text(status),
        reply: form::cut(reply, REMARK_OCTETS_MAX),
    }
}

fn record_attempt(
    work: &Work<'_>,
    message: &MessageRow,
    settlement: &Settlement,
    replies: Vec<ReplyForm>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let report = serde_json::to_string(&ReportForm { v: 1, replies })
        .expect("texts and numbers always become JSON");
    work.index
        .prepare_cached(
            "INSERT OR REPLACE INTO attempts (message, number, started_at, ended_at, route, \
             report) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            message.id,
            message.attempts,
            message.started_at.unwrap_or(message.accepted_at),
            now.as_millisecond(),
            form::cut(&settlement.route, REMARK_OCTETS_MAX),
            report,
        ))?;
    let kept = i64::from(ATTEMPTS_KEPT_MAX);
    if message.attempts > kept {
        work.index
            .prepare_cached("DELETE FROM attempts WHERE message = ?1 AND number BETWEEN 2 AND ?2")?
            .execute((message.id, message.attempts - kept + 1))?;
    }
    Ok(())
}
