//! What a failed token request, or a token that is no good, means to the caller.

use sendas_entra::{Judgement, Severity, TokenError, TokenErrorKind};

use super::{Failure, Kind, Lasting, chain};
use crate::exit::Exit;

/// Tells why there is no token; `what` did not happen because of it.
pub(crate) fn no_token(what: impl Into<String>, error: &TokenError) -> Failure {
    let temporary = error.is_temporary();
    let (kind, exit) = match error.kind() {
        TokenErrorKind::Network => (Kind::Network, Exit::Temporary),
        TokenErrorKind::Throttled | TokenErrorKind::Service | TokenErrorKind::Local => {
            (Kind::Service, Exit::Temporary)
        }
        _ => (Kind::Identity, Exit::Authentication),
    };
    let exit = if temporary {
        Exit::Temporary
    } else if exit == Exit::Temporary {
        Exit::Failed
    } else {
        exit
    };
    let mut failure = Failure::new(kind, exit, what).lasting(if temporary {
        Lasting::Passes
    } else {
        Lasting::UntilChanged
    });
    if let Some(refusal) = error.refusal() {
        failure = failure.quote("Microsoft Entra ID", refusal.to_string());
        if let Some(trace) = &refusal.trace_id {
            failure = failure.evidence(format!("trace id {trace}, for Microsoft's support"));
        }
    }
    failure = match error.entry() {
        Some(entry) => failure.cause(
            format!("AADSTS{}: {}", entry.code, entry.cause),
            Some(entry.fix.to_owned()),
        ),
        None => failure.cause(chain(error), None),
    };
    if let Some(wait) = error.retry_after() {
        failure = failure.evidence(format!(
            "to be asked again in {} s at the earliest",
            wait.as_secs()
        ));
    }
    failure
}

/// The judgement that forbids sending a token, if there is one.
pub(crate) fn wrong(judgements: &[Judgement]) -> Option<&Judgement> {
    judgements
        .iter()
        .find(|judgement| judgement.severity == Severity::Wrong)
}

/// Tells that a token was not sent because the service would refuse it.
pub(crate) fn wrong_token(what: impl Into<String>, judgements: &[Judgement]) -> Failure {
    let mut failure =
        Failure::new(Kind::Identity, Exit::Authentication, what).lasting(Lasting::UntilChanged);
    for judgement in judgements
        .iter()
        .filter(|judgement| judgement.severity == Severity::Wrong)
    {
        failure = failure
            .cause(judgement.meaning.clone(), Some(judgement.fix.clone()))
            .evidence(format!("{} = {}", judgement.claim, shown(&judgement.found)));
    }
    failure.command("sendas token inspect")
}

fn shown(found: &str) -> &str {
    if found.is_empty() { "(nothing)" } else { found }
}
