//! From what an attempt brought to what the spool keeps and who is told: pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sendas_config::Uncertain;
use sendas_envelope::{Class, Recipient, Status};
use sendas_exchange::Persistence;
use sendas_spool::{Claim, Outcome as Kept};
use sendas_submit::{Failure, Origin, Outcome};

use crate::dsn::{Action, Fate};
use crate::memo::Memo;
use crate::schedule::{Backoff, Schedule};

/// How long is tried, and what is done about the unknown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) retry_for: Duration,
    pub(crate) delay_notice_after: Duration,
    pub(crate) uncertain: Uncertain,
}

/// What a claim comes to.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) outcomes: Vec<(u32, Kept)>,
    /// Those who want to hear of it.
    pub(crate) fates: Vec<Fate>,
    /// The memo, if it changed.
    pub(crate) memo: Option<Memo>,
}

/// What is known besides the outcomes.
pub(crate) struct Case<'a> {
    pub(crate) claim: &'a Claim,
    pub(crate) memo: &'a Memo,
    pub(crate) terms: Terms,
    pub(crate) now: Timestamp,
    /// What is concerned as a whole waits until then.
    pub(crate) gate: Option<Timestamp>,
    /// The service tells about success itself.
    pub(crate) offers_dsn: bool,
}

impl Case<'_> {
    /// Judges the outcomes of the recipients with these places in the whole envelope.
    pub(crate) fn judge<'o>(
        &self,
        outcomes: impl Iterator<Item = (u32, &'o Recipient, &'o Outcome)>,
        schedule: &mut Schedule,
    ) -> Judged {
        let mut judged = Judged::default();
        let mut memo = self.memo.clone();
        for (number, recipient, outcome) in outcomes {
            let kept = self.keep(outcome, schedule);
            if let Some(fate) = self.fate(number, recipient, &kept, outcome.failure(), &mut memo) {
                judged.fates.push(fate);
            }
            judged.outcomes.push((number, kept));
        }
        judged.memo = (memo != *self.memo).then_some(memo);
        judged
    }

    /// No session could be opened: everything waits, or its time is over.
    pub(crate) fn judge_opening(
        &self,
        failure: &Failure,
        schedule: &mut Schedule,
    ) -> Option<Judged> {
        if !self.is_expired() && self.gate.is_some() {
            let mut judged = Judged::default();
            let mut memo = self.memo.clone();
            let until = self.gate.unwrap_or(self.now);
            for (number, recipient) in self.claim.recipients() {
                let kept = Kept::Deferred {
                    until,
                    reason: reason(failure),
                    status: Some(failure.status),
                    reply: failure.to_string(),
                };
                judged
                    .fates
                    .extend(self.fate(number, recipient, &kept, Some(failure), &mut memo));
            }
            judged.memo = (memo != *self.memo).then_some(memo);
            // Without a notice to send the claim is simply given back.
            return (!judged.fates.is_empty()).then_some(judged);
        }
        let outcome = Outcome::Deferred(failure.clone());
        let recipients = self.claim.recipients();
        Some(self.judge(recipients.map(|(n, r)| (n, r, &outcome)), schedule))
    }

    fn keep(&self, outcome: &Outcome, schedule: &mut Schedule) -> Kept {
        match outcome {
            Outcome::Accepted(reply) => Kept::Accepted {
                status: Some(reply.status_or_implied()),
                reply: reply.to_string(),
            },
            Outcome::Refused(failure) => refused(failure),
            Outcome::Uncertain(failure) if self.terms.uncertain == Uncertain::Hold => Kept::Held {
                reason: "uncertain".to_owned(),
                status: Some(failure.status),
                reply: failure.to_string(),
            },
            Outcome::Deferred(failure) | Outcome::Uncertain(failure) => {
                let persistence = failure.explanation.as_ref().map(|e| e.persistence);
                let is_final = persistence.is_some_and(|p| p.is_final_after(self.claim.attempt));
                if is_final || self.is_expired() {
                    return refused(failure);
                }
                let backoff = match persistence {
                    Some(Persistence::NeedsAdministrator { probe_every }) => Backoff {
                        first: probe_every,
                        longest: probe_every,
                    },
                    Some(other) => other
                        .first_retry()
                        .map_or_else(Backoff::default, Backoff::from),
                    None => Backoff::default(),
                };
                let until = match self.gate {
                    Some(until) => until,
                    None => schedule.retry_at(backoff, self.claim.attempt, self.now),
                };
                Kept::Deferred {
                    until,
                    reason: reason(failure),
                    status: Some(failure.status),
                    reply: failure.to_string(),
                }
            }
        }
    }

    /// What the sender is told about one recipient, if it wants to be.
    fn fate(
        &self,
        number: u32,
        recipient: &Recipient,
        kept: &Kept,
        failure: Option<&Failure>,
        memo: &mut Memo,
    ) -> Option<Fate> {
        let (action, status, reply) = match kept {
            Kept::Refused { status, reply, .. } => (Action::Failed, *status, reply),
            Kept::Deferred { status, reply, .. } => {
                let is_late = self.age() >= self.terms.delay_notice_after;
                if !is_late || memo.delay_told.contains(&number) {
                    return None;
                }
                (Action::Delayed, *status, reply)
            }
            Kept::Accepted { status, reply } if !self.offers_dsn => {
                (Action::Relayed, *status, reply)
            }
            _ => return None,
        };
        if !action.is_wanted(recipient.notify) {
            return None;
        }
        if action == Action::Delayed {
            memo.delay_told.push(number);
        }
        let is_from_service = failure.is_none_or(|failure| failure.reply().is_some());
        let status = status.unwrap_or(Status::new(Class::Permanent, 0, 0));
        Some(Fate {
            recipient: recipient.clone(),
            action,
            status: of_action(action, status),
            reply: if action == Action::Failed && self.is_expired() {
                format!("{reply} (tried until its time was over)")
            } else {
                reply.clone()
            },
            is_from_service,
            until: (action == Action::Delayed).then(|| self.expires_at()),
        })
    }

    fn age(&self) -> Duration {
        Duration::try_from(self.now.duration_since(self.claim.accepted_at))
            .unwrap_or(Duration::ZERO)
    }

    fn is_expired(&self) -> bool {
        self.age() >= self.terms.retry_for
    }

    fn expires_at(&self) -> Timestamp {
        SignedDuration::try_from(self.terms.retry_for)
            .ok()
            .and_then(|wait| self.claim.accepted_at.checked_add(wait).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

fn refused(failure: &Failure) -> Kept {
    Kept::Refused {
        reason: reason(failure),
        status: Some(of_action(Action::Failed, failure.status)),
        reply: failure.to_string(),
    }
}

/// The class of a status follows the action (RFC 3464 §2.3.4): what has failed is 5.x.y even if
/// the last reply was 4.x.y.
const fn of_action(action: Action, status: Status) -> Status {
    let class = match action {
        Action::Failed => Class::Permanent,
        Action::Delayed => Class::Temporary,
        Action::Relayed => Class::Success,
    };
    Status::new(class, status.subject, status.detail)
}

/// The cause as a word: the catalogue's name, or where it came from.
pub(crate) fn reason(failure: &Failure) -> String {
    if let Some(explanation) = &failure.explanation {
        return explanation.id.to_owned();
    }
    match &failure.origin {
        Origin::Link(_) => "connection",
        Origin::Opening(error) => match &**error {
            sendas_submit::SubmitError::Token(_) | sendas_submit::SubmitError::Sasl(_) => "token",
            sendas_submit::SubmitError::Tls { .. } => "tls",
            _ => "connection",
        },
        Origin::Unsupported(_) => "unsupported",
        _ => "other",
    }
    .to_owned()
}
