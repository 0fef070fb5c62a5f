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
use crate::schedule::{Backoff, Cause, Schedule};

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
    /// The message never reached the service, and may later.
    pub(crate) is_unsent: bool,
}

/// What an attempt brought for one recipient.
pub(crate) struct Given<'a> {
    /// Its place in the whole envelope.
    pub(crate) number: u32,
    pub(crate) recipient: &'a Recipient,
    pub(crate) outcome: &'a Outcome,
    /// Until when more than this message waits for what it met.
    pub(crate) gate: Option<Timestamp>,
}

/// What is known besides the outcomes.
pub(crate) struct Case<'a> {
    pub(crate) claim: &'a Claim,
    pub(crate) memo: &'a Memo,
    pub(crate) terms: Terms,
    pub(crate) now: Timestamp,
    /// The service tells about success itself.
    pub(crate) offers_dsn: bool,
}

impl Case<'_> {
    /// Judges the outcomes of the recipients.
    pub(crate) fn judge<'o>(
        &self,
        given: impl Iterator<Item = Given<'o>>,
        schedule: &mut Schedule,
    ) -> Judged {
        let mut judged = Judged::default();
        let mut memo = self.memo.clone();
        for given in given {
            let kept = self.keep(&given, &mut memo, schedule);
            let cause = given.outcome.failure().map(cause);
            let fate = self.fate(
                given.number,
                given.recipient,
                &kept,
                cause.as_ref(),
                &mut memo,
            );
            judged.fates.extend(fate);
            judged.outcomes.push((given.number, kept));
        }
        judged.memo = (memo != *self.memo).then_some(memo);
        judged
    }

    /// The message cannot be tried: it waits on, or its time is over.
    ///
    /// Its own date is no other for it: what holds it back is more than this message, and opens
    /// for all of them.
    pub(crate) fn judge_unsent(&self, cause: &Cause) -> Judged {
        let mut judged = Judged {
            is_unsent: !self.is_expired(),
            ..Judged::default()
        };
        let mut memo = self.memo.clone();
        for (number, recipient) in self.claim.recipients() {
            let kept = if self.is_expired() {
                refused(cause)
            } else {
                deferred(cause, self.now)
            };
            let fate = self.fate(number, recipient, &kept, Some(cause), &mut memo);
            judged.fates.extend(fate);
            judged.outcomes.push((number, kept));
        }
        judged.memo = (memo != *self.memo).then_some(memo);
        judged
    }

    fn keep(&self, given: &Given<'_>, memo: &mut Memo, schedule: &mut Schedule) -> Kept {
        match given.outcome {
            Outcome::Accepted(reply) => Kept::Accepted {
                status: Some(reply.status_or_implied()),
                reply: reply.to_string(),
            },
            Outcome::Refused(failure) => refused(&cause(failure)),
            Outcome::Uncertain(failure) if self.terms.uncertain == Uncertain::Hold => Kept::Held {
                reason: "uncertain".to_owned(),
                status: Some(failure.status),
                reply: failure.to_string(),
            },
            Outcome::Deferred(failure) | Outcome::Uncertain(failure) => {
                let cause = cause(failure);
                let persistence = failure.explanation.as_ref().map(|e| e.persistence);
                // Only what was met for this very reason counts towards its end.
                let is_final = persistence.is_some_and(|persistence| {
                    matches!(persistence, Persistence::TransientThenPermanent { .. })
                        && persistence.is_final_after(memo.met(given.number, &cause.reason))
                });
                if is_final || self.is_expired() {
                    return refused(&cause);
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
                let until = match given.gate {
                    Some(until) => until,
                    None => schedule.retry_at(backoff, self.claim.attempt, self.now),
                };
                deferred(&cause, until)
            }
        }
    }

    /// What the sender is told about one recipient, if it wants to be.
    fn fate(
        &self,
        number: u32,
        recipient: &Recipient,
        kept: &Kept,
        cause: Option<&Cause>,
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
        let is_tried_until = match action {
            Action::Delayed => true,
            Action::Failed => self.is_expired(),
            Action::Relayed => false,
        };
        let status = status.unwrap_or(Status::new(Class::Permanent, 0, 0));
        Some(Fate {
            recipient: recipient.clone(),
            action,
            status: of_action(action, status),
            reply: reply.clone(),
            is_from_service: cause.is_none_or(|cause| cause.is_reply),
            until: is_tried_until.then(|| self.expires_at()),
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

fn refused(cause: &Cause) -> Kept {
    Kept::Refused {
        reason: cause.reason.clone(),
        status: Some(of_action(Action::Failed, cause.status)),
        reply: cause.text.clone(),
    }
}

fn deferred(cause: &Cause, until: Timestamp) -> Kept {
    Kept::Deferred {
        until,
        reason: cause.reason.clone(),
        status: Some(cause.status),
        reply: cause.text.clone(),
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

/// The failure as gates, lists and notices tell it.
pub(crate) fn cause(failure: &Failure) -> Cause {
    let reply = failure.reply();
    Cause {
        reason: reason(failure),
        status: failure.status,
        // A diagnostic of SMTP is the reply itself (RFC 3464 §2.3.6).
        text: reply.map_or_else(|| failure.to_string(), ToString::to_string),
        is_reply: reply.is_some(),
    }
}

/// The cause as a word: the catalogue's name, or where it came from.
fn reason(failure: &Failure) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Pace;
    use sendas_envelope::{Envelope, ForwardPath, ReversePath};
    use sendas_smtp::Reply;
    use sendas_smtp::client::Stage;
    use sendas_spool::MessageId;
    use sendas_submit::{SubmitError, verdict};
    use std::sync::Arc;

    const HOUR: i64 = 3600;

    fn at(seconds: i64) -> Timestamp {
        let start: Timestamp = "2026-11-23T05:00:00Z".parse().unwrap();
        start + SignedDuration::from_secs(seconds)
    }

    fn claim(attempt: u32) -> Claim {
        let to = Recipient::new(ForwardPath::parse("a@example.org").unwrap());
        let from = ReversePath::parse("m@contoso.com").unwrap();
        Claim {
            id: MessageId::from_number(7).unwrap(),
            fence: 1,
            attempt,
            started_at: at(0),
            lease_until: at(0),
            envelope: Envelope::new(from, vec![to]).unwrap(),
            numbers: vec![0],
            mailbox: "m@contoso.com".parse().unwrap(),
            accepted_at: at(0),
            octets: 1,
            origin: sendas_spool::Origin::default(),
            message_id: String::new(),
            memo: String::new(),
        }
    }

    fn case<'a>(claim: &'a Claim, memo: &'a Memo, now: Timestamp) -> Case<'a> {
        Case {
            claim,
            memo,
            terms: Terms {
                retry_for: Duration::from_hours(120),
                delay_notice_after: Duration::from_hours(4),
                uncertain: Uncertain::Resend,
            },
            now,
            offers_dsn: false,
        }
    }

    fn reply(text: &str) -> Reply {
        let (code, rest) = text.split_at(3);
        Reply::new(code.parse().unwrap(), rest.trim_start())
    }

    fn judge(claim: &Claim, memo: &Memo, text: &str, now: Timestamp) -> Judged {
        let outcome = verdict::of_reply(Stage::End, &reply(text));
        let given = claim.recipients().map(|(number, recipient)| Given {
            number,
            recipient,
            outcome: &outcome,
            gate: None,
        });
        let mut schedule = Schedule::new(Pace::default(), 1);
        case(claim, memo, now).judge(given, &mut schedule)
    }

    const OFF: &str = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.";

    fn refused_login() -> Failure {
        verdict::of_opening(&Arc::new(SubmitError::Auth {
            reply: reply(OFF),
            report: None,
        }))
    }

    #[test]
    fn what_a_program_reads_is_the_reply_itself() {
        let (claim, memo) = (claim(1), Memo::default());
        let cause = cause(&refused_login());
        let late = case(&claim, &memo, at(5 * HOUR)).judge_unsent(&cause);
        assert!(late.is_unsent);
        // Nobody asked to hear of delays: without DSN options only failures are told.
        assert!(late.fates.is_empty());
        let over = case(&claim, &memo, at(120 * HOUR)).judge_unsent(&cause);
        assert!(!over.is_unsent);
        let [fate] = over.fates.as_slice() else {
            panic!("{:?}", over.fates);
        };
        assert_eq!((fate.reply.as_str(), fate.is_from_service), (OFF, true));
        assert_eq!(fate.status.to_string(), "5.7.139");
        assert_eq!(fate.until, Some(at(120 * HOUR)));
        let over = judge(&claim, &memo, "451 4.3.2 later", at(121 * HOUR));
        assert_eq!(over.fates[0].reply, "451 4.3.2 later");
        assert_eq!(over.fates[0].until, Some(at(120 * HOUR)));
        let refused = judge(&claim, &memo, "550 5.1.1 no", at(HOUR));
        assert_eq!(refused.fates[0].until, None, "its time was not over");
    }

    #[test]
    fn a_message_behind_a_gate_keeps_the_cause_and_goes_when_it_opens() {
        let (claim, memo) = (claim(1), Memo::default());
        let cause = cause(&refused_login());
        let judged = case(&claim, &memo, at(60)).judge_unsent(&cause);
        let [
            (
                0,
                Kept::Deferred {
                    until,
                    reason,
                    reply,
                    ..
                },
            ),
        ] = judged.outcomes.as_slice()
        else {
            panic!("{:?}", judged.outcomes);
        };
        assert_eq!((*until, reply.as_str()), (at(60), OFF));
        assert!(reason.starts_with("S-"), "{reason}");
    }

    #[test]
    fn attempts_that_failed_of_something_else_do_not_count() {
        // Known to appear for no reason and to pass.
        let text = "550 5.7.60 SMTP; Client does not have permissions to send as this sender";
        let explanation = sendas_exchange::explain(Stage::End, &reply(text));
        let Persistence::TransientThenPermanent { attempts_max, .. } = explanation.persistence
        else {
            panic!("{}", explanation.id);
        };
        // Forty attempts met a service that was busy.
        let mut memo = Memo::default();
        for n in 1..=attempts_max {
            let judged = judge(&claim(40 + n), &memo, text, at(HOUR));
            let is_final = matches!(judged.outcomes[0].1, Kept::Refused { .. });
            assert_eq!(is_final, n == attempts_max, "attempt {n}");
            memo = judged.memo.unwrap();
            assert_eq!(Memo::parse(&memo.to_text()), memo);
        }
    }
}
