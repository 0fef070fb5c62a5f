//! The one place where a failure becomes an outcome with a scope.
//!
//! Pure: what the service said, or how the connection ended, goes in; outcomes come out. The
//! meaning of a reply is the catalogue's in `sendas-exchange`; what cannot be classified there
//! is a deferral. A connection lost behind the last octet has an outcome of its own.

use std::sync::Arc;

use sendas_envelope::{Class, Status};
use sendas_exchange::{Explanation, Persistence, Scope, explain};
use sendas_smtp::Reply;
use sendas_smtp::client::{OpeningError, Problem, Report, Stage, Unsupported};

use crate::error::SubmitError;
use crate::link::LinkError;
use crate::outcome::{Failure, Origin, Outcome};

/// What became of each recipient, from the replies to one transaction; `lost` when the
/// connection ended before every reply was in.
pub fn of_report(report: &Report, lost: Option<&Arc<LinkError>>) -> Vec<Outcome> {
    let everybody = whole_message(report, lost);
    let of = |rcpt: &Option<Reply>| match (rcpt, &report.mail) {
        // With MAIL refused, the replies to RCPT say only that.
        (_, Some(mail)) if !mail.is_positive() => of_reply(Stage::Mail, mail),
        (Some(reply), _) if !reply.is_positive() => of_reply(Stage::Rcpt, reply),
        _ => everybody.clone(),
    };
    report.recipients.iter().map(of).collect()
}

/// What became of the recipients that were not refused by themselves.
fn whole_message(report: &Report, lost: Option<&Arc<LinkError>>) -> Outcome {
    if report.is_chunking_refused()
        && let Some(reply) = &report.end
    {
        return Outcome::Deferred(failure(Stage::Body, reply, Scope::Service));
    }
    match (&report.end, lost) {
        (Some(reply), _) if reply.is_positive() => Outcome::Accepted(reply.clone()),
        (Some(reply), _) => of_reply(Stage::End, reply),
        (None, Some(error)) if report.is_uncertain() => Outcome::Uncertain(broken(error)),
        (None, Some(error)) => Outcome::Deferred(broken(error)),
        // Every recipient was refused, or MAIL was: nobody reads this.
        (None, None) => report
            .mail
            .as_ref()
            .map_or_else(of_silence, |reply| of_reply(Stage::Mail, reply)),
    }
}

/// What a refusing reply means for whoever it concerns.
pub fn of_reply(stage: Stage, reply: &Reply) -> Outcome {
    let explanation = explain(stage, reply);
    let failure = Failure {
        scope: explanation.scope,
        status: reply.status_or_implied(),
        origin: Origin::Reply {
            stage,
            reply: reply.clone(),
        },
        explanation: Some(Box::new(explanation)),
    };
    if is_final(&explanation) {
        Outcome::Refused(failure)
    } else {
        Outcome::Deferred(failure)
    }
}

/// What it means that no session could be opened: never anything about the message.
pub fn of_opening(error: &Arc<SubmitError>) -> Failure {
    let origin = Origin::Opening(Arc::clone(error));
    let (scope, class, subject) = match &**error {
        SubmitError::Auth { reply, .. } => return refused_session(Stage::Auth, reply, origin),
        SubmitError::Opening(OpeningError {
            stage,
            problem: Problem::Refused(reply),
        }) => {
            return refused_session(*stage, reply, origin);
        }
        SubmitError::Token(_) | SubmitError::Sasl(_) => (Scope::Principal, Class::Temporary, 7),
        SubmitError::TlsPolicy(_) | SubmitError::Tls { .. } => {
            (Scope::Service, Class::Temporary, 7)
        }
        SubmitError::Connect(_) | SubmitError::Link(_) | SubmitError::HostName(_) => {
            (Scope::Service, Class::Temporary, 4)
        }
        SubmitError::Opening(_) | SubmitError::Quit(_) => (Scope::Service, Class::Temporary, 5),
    };
    Failure::local(scope, class, subject, origin)
}

/// Whether a refused AUTH may be the token's fault. A switch of tenant or mailbox is not, nor is
/// what passes by itself; what nobody knows may be.
pub(crate) fn doubts_token(reply: &Reply) -> bool {
    let is_permanent = reply.code() / 100 == 5;
    let entry = explain(Stage::Auth, reply).entry;
    is_permanent && entry.is_none_or(|entry| entry.id == "S-AUTH-REFUSED")
}

/// What it means that the service lacks something the envelope needs.
pub fn of_unsupported(unsupported: Unsupported) -> Outcome {
    // X.6.7, X.6.1 and X.3.4 of the enhanced status registry.
    let status = match unsupported {
        Unsupported::Smtputf8 => Status::new(Class::Permanent, 6, 7),
        Unsupported::Size { .. } => Status::new(Class::Permanent, 3, 4),
        _ => Status::new(Class::Permanent, 6, 1),
    };
    Outcome::Refused(Failure {
        scope: Scope::Message,
        status,
        origin: Origin::Unsupported(unsupported),
        explanation: None,
    })
}

/// What it means for a message that its session was lost before it began.
pub fn of_unsent(error: &Arc<LinkError>) -> Outcome {
    Outcome::Deferred(broken(error))
}

/// What it means that nothing was heard at all.
pub(crate) fn of_silence() -> Outcome {
    let cause = crate::link::LinkCause::Closed;
    of_unsent(&Arc::new(LinkError {
        stage: Stage::Mail,
        cause,
    }))
}

fn refused_session(stage: Stage, reply: &Reply, origin: Origin) -> Failure {
    let explanation = explain(stage, reply);
    Failure {
        scope: explanation.scope,
        status: reply.status_or_implied(),
        origin,
        explanation: Some(Box::new(explanation)),
    }
}

fn failure(stage: Stage, reply: &Reply, scope: Scope) -> Failure {
    Failure {
        scope,
        status: reply.status_or_implied(),
        origin: Origin::Reply {
            stage,
            reply: reply.clone(),
        },
        explanation: Some(Box::new(explain(stage, reply))),
    }
}

fn broken(error: &Arc<LinkError>) -> Failure {
    Failure::local(
        Scope::Service,
        Class::Temporary,
        4,
        Origin::Link(Arc::clone(error)),
    )
}

/// Whether no further attempt in this form can succeed. What an administrator can mend is worth
/// waiting for.
const fn is_final(explanation: &Explanation) -> bool {
    matches!(explanation.persistence, Persistence::Permanent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::LinkCause;
    use sendas_envelope::ReceiptOutcome;
    use sendas_smtp::client::Framing;

    fn reply(text: &str) -> Reply {
        let (code, rest) = text.split_at(3);
        Reply::new(code.parse().unwrap(), rest.trim_start())
    }

    fn report(mail: &str, recipients: &[&str], end: &str, is_body_sent: bool) -> Report {
        let given = |text: &str| (!text.is_empty()).then(|| reply(text));
        Report {
            mail: given(mail),
            recipients: recipients.iter().map(|r| given(r)).collect(),
            end: given(end),
            is_body_sent,
            framing: Framing::Chunk,
        }
    }

    fn kinds(report: &Report, lost: bool) -> Vec<ReceiptOutcome> {
        let error = Arc::new(LinkError {
            stage: Stage::End,
            cause: LinkCause::Closed,
        });
        of_report(report, lost.then_some(&error))
            .iter()
            .map(Outcome::kind)
            .collect()
    }

    #[test]
    fn each_recipient_has_its_own_fate() {
        use ReceiptOutcome::{Accepted, Deferred, Refused, Uncertain};
        let ok = "250 ok";
        for (report, lost, expected) in [
            (
                report(ok, &[ok, "550 5.1.1 no"], ok, true),
                false,
                &[Accepted, Refused][..],
            ),
            (
                report(ok, &[ok, "451 4.3.2 later"], ok, true),
                false,
                &[Accepted, Deferred],
            ),
            (
                report(ok, &[ok, ""], "", true),
                true,
                &[Uncertain, Uncertain],
            ),
            (
                report(ok, &[ok, "550 5.1.1 no"], "", true),
                true,
                &[Uncertain, Refused],
            ),
            (report(ok, &[ok], "", false), true, &[Deferred]),
            (
                report("", &["", ""], "", false),
                true,
                &[Deferred, Deferred],
            ),
            (
                report(ok, &[ok], "502 5.5.1 what", true),
                false,
                &[Deferred],
            ),
            (
                report(
                    ok,
                    &[ok],
                    "432 4.3.2 Concurrent connections limit exceeded.",
                    true,
                ),
                false,
                &[Deferred],
            ),
        ] {
            assert_eq!(kinds(&report, lost), expected, "{report:?}");
        }
    }

    #[test]
    fn a_refused_login_says_nothing_about_the_message() {
        let error = Arc::new(SubmitError::Auth {
            reply: reply("535 5.7.3 Authentication unsuccessful"),
            report: None,
        });
        let failure = of_opening(&error);
        assert!(
            !matches!(failure.scope, Scope::Message | Scope::Recipient),
            "{failure:?}"
        );
    }
}
