//! What a refused or lost submission means to the caller.

use sendas_entra::{Claims, Finding};
use sendas_exchange::diagnosis::{self, Certainty, Evidence, Method, Roles, TokenFacts};
use sendas_exchange::{Explanation, Persistence, Subjects};
use sendas_smtp::client::{OpeningError, Problem, Stage};
use sendas_submit::{Origin, SubmitError};

use super::{Failure, Kind, Lasting, chain, token};
use crate::clock;
use crate::exit::Exit;
use crate::identity::Identity;

/// The catalogue's name of the bare `535 5.7.3`.
const BARE_REFUSAL: &str = "S-AUTH-REFUSED";

/// Causes that are told of those that are possible.
const CAUSES_MAX: usize = 8;

/// Who the service is to a reader.
const SERVICE: &str = "Exchange Online";

/// Who is concerned, for the words of a report and the commands in it.
#[derive(Debug)]
pub(crate) struct Concerned<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) mailbox: &'a str,
    /// The first address of the From field, where it is known.
    pub(crate) from: Option<&'a str>,
    /// What the token says, where it can be read.
    pub(crate) claims: Option<&'a Claims>,
}

/// Tells why no session could be opened; `what` did not happen because of it.
pub(crate) fn not_opened(what: String, error: &SubmitError, concerned: &Concerned<'_>) -> Failure {
    match error {
        SubmitError::Token(error) => token::no_token(what, error),
        SubmitError::Auth { reply, report } => {
            let explanation = sendas_exchange::explain(Stage::Auth, reply);
            let mut failure =
                explained(what, Stage::Auth, &reply.to_string(), &explanation, concerned);
            if let Some(report) = report {
                failure = failure.evidence(format!("the service reported before: {report}"));
            }
            failure
        }
        SubmitError::Opening(OpeningError { stage, problem: Problem::Refused(reply) }) => {
            let explanation = sendas_exchange::explain(*stage, reply);
            explained(what, *stage, &reply.to_string(), &explanation, concerned)
        }
        SubmitError::Opening(error) => {
            Failure::new(Kind::Network, Exit::Failed, what)
                .lasting(Lasting::UntilChanged)
                .cause(
                    format!("{error} (at {})", error.stage.name()),
                    Some("see who answers in place of the service: a proxy or firewall on the way changes the dialogue".to_owned()),
                )
                .command("sendas probe --quit-after ehlo")
        }
        SubmitError::Tls { .. } => {
            Failure::new(Kind::Network, Exit::Failed, what)
                .lasting(Lasting::UntilChanged)
                .cause(
                    chain(error),
                    Some("if a proxy of your own inspects TLS, name its CA in network.ca; nothing was sent".to_owned()),
                )
                .command("sendas probe --quit-after tls")
        }
        SubmitError::Connect(_) => {
            let smtp = concerned.identity.cloud.smtp();
            Failure::new(Kind::Network, Exit::Temporary, what)
                .lasting(Lasting::Passes)
                .cause(
                    chain(error),
                    Some(format!(
                        "see that this machine may reach {} on TCP port {}",
                        smtp.host, smtp.port
                    )),
                )
                .command("sendas probe --quit-after greeting")
        }
        SubmitError::Link(error) => {
            Failure::new(Kind::Network, Exit::Temporary, what)
                .lasting(Lasting::Passes)
                .cause(format!("{} (at {})", chain(error), error.stage.name()), None)
                .command("sendas probe")
        }
        SubmitError::Sasl(error) => Failure::new(Kind::Identity, Exit::Authentication, what)
            .lasting(Lasting::UntilChanged)
            .cause(chain(error), None)
            .command("sendas token inspect"),
        SubmitError::TlsPolicy(_) | SubmitError::HostName(_) => {
            Failure::configuration(what).cause(chain(error), None).command("sendas config check")
        }
        _ => Failure::new(Kind::Service, Exit::Temporary, what).cause(chain(error), None),
    }
}

/// Tells why a message was not taken for some recipients.
pub(crate) fn not_taken(
    what: String,
    failure: &sendas_submit::Failure,
    concerned: &Concerned<'_>,
) -> Failure {
    match &failure.origin {
        Origin::Reply { stage, reply } => {
            let explanation = match &failure.explanation {
                Some(explanation) => **explanation,
                None => sendas_exchange::explain(*stage, reply),
            };
            explained(what, *stage, &reply.to_string(), &explanation, concerned)
        }
        Origin::Opening(error) => not_opened(what, error, concerned),
        Origin::Link(error) => Failure::new(Kind::Network, Exit::Temporary, what)
            .lasting(Lasting::Passes)
            .cause(
                format!("{} (at {})", chain(error.as_ref()), error.stage.name()),
                None,
            )
            .command("sendas probe"),
        Origin::Unsupported(unsupported) => Failure::new(Kind::Message, Exit::Failed, what)
            .lasting(Lasting::Stays)
            .cause(unsupported.to_string(), None),
        other => Failure::new(Kind::Service, Exit::Failed, what).cause(other.to_string(), None),
    }
}

/// Tells that nobody knows whether the service has the message.
pub(crate) fn uncertain(what: String, failure: &sendas_submit::Failure) -> Failure {
    Failure::new(Kind::Network, Exit::Temporary, what).cause(
        format!("the connection was lost after the last octet of the message: {failure}"),
        Some(
            "look for the message in Sent Items of the mailbox before sending again: a second \
                 one would be a duplicate, to be told by its Message-ID only"
                .to_owned(),
        ),
    )
}

fn explained(
    what: String,
    stage: Stage,
    reply: &str,
    explanation: &Explanation,
    concerned: &Concerned<'_>,
) -> Failure {
    let claims = concerned.claims;
    let expectation = concerned.identity.expectation();
    let client = claims.and_then(Claims::client_id).or(expectation
        .client_id
        .as_ref()
        .map(sendas_entra::ClientId::as_str));
    let subjects = Subjects {
        mailbox: Some(concerned.mailbox),
        from: concerned.from,
        principal: client,
        object: claims.and_then(Claims::object_id),
    };
    let (exit, lasting) = match explanation.persistence {
        Persistence::Temporary { .. } => (Exit::Temporary, Lasting::Passes),
        Persistence::NeedsAdministrator { .. } if stage == Stage::Auth => {
            (Exit::Authentication, Lasting::UntilChanged)
        }
        Persistence::NeedsAdministrator { .. } | Persistence::TransientThenPermanent { .. } => {
            (Exit::Failed, Lasting::UntilChanged)
        }
        Persistence::Permanent => (Exit::Failed, Lasting::Stays),
    };
    let kind = if stage == Stage::Auth {
        Kind::Identity
    } else {
        Kind::Service
    };
    let mut failure = Failure::new(kind, exit, what)
        .quote(SERVICE, reply)
        .lasting(lasting);
    failure.id = Some(explanation.id);
    if explanation.id == BARE_REFUSAL {
        return diagnosed(failure, concerned);
    }
    let mut fix = Some(explanation.fix.advice.to_owned());
    for cause in explanation.causes {
        failure = failure.cause(cause.text, fix.take());
    }
    if explanation.causes.is_empty() {
        failure = failure.cause(explanation.title, fix.take());
    }
    if stage == Stage::Auth
        && let Some(claims) = claims
    {
        failure = failure.evidence(token_in_short(claims));
    }
    match explanation.command_for(&subjects) {
        Some(command) => failure.command(command),
        None => failure,
    }
}

/// Ranks the causes of the reply that stands for nearly every mistake, by what the token and
/// the configuration tell.
fn diagnosed(mut failure: Failure, concerned: &Concerned<'_>) -> Failure {
    let identity = concerned.identity;
    let expectation = identity.expectation();
    let judgements = concerned
        .claims
        .map(|claims| claims.judge(&expectation, clock::now()));
    let has = |wanted: Finding| {
        judgements
            .as_ref()
            .map(|all| all.iter().any(|judgement| judgement.finding == wanted))
    };
    let is_rbac = expectation.method == sendas_entra::Method::Rbac;
    let roles = match concerned.claims {
        None => Roles::Unknown,
        Some(claims) if claims.roles().is_empty() => Roles::None,
        Some(_) if is_rbac && has(Finding::RoleBesideRbac) == Some(true) => Roles::SendAsApp,
        Some(_) if is_rbac || has(Finding::OtherRolesOnly) == Some(true) => Roles::Others,
        Some(_) => Roles::SendAsApp,
    };
    let evidence = Evidence {
        mailbox: concerned.mailbox,
        method: match expectation.method {
            sendas_entra::Method::Classic => Method::Classic,
            sendas_entra::Method::Rbac => Method::Rbac,
            sendas_entra::Method::Unknown => Method::Unknown,
        },
        token: TokenFacts {
            is_for_exchange: has(Finding::WrongAudience).map(|wrong| !wrong),
            // A domain cannot be compared with the id in the token.
            is_of_tenant: has(Finding::WrongTenant)
                .filter(|wrong| {
                    *wrong
                        || expectation
                            .tenant
                            .as_ref()
                            .is_some_and(sendas_entra::Tenant::is_id)
                })
                .map(|wrong| !wrong),
            is_of_principal: has(Finding::WrongClient)
                .filter(|_| expectation.client_id.is_some())
                .map(|wrong| !wrong),
            is_in_time: has(Finding::Expired)
                .and_then(|expired| Some(!expired && !has(Finding::NotYetValid)?)),
            is_delegated: has(Finding::UserToken),
            roles,
            app_id: concerned.claims.and_then(Claims::client_id),
            object_id: concerned.claims.and_then(Claims::object_id),
        },
        ..Evidence::default()
    };
    let findings = diagnosis::diagnose(&evidence);
    for finding in findings.iter().take(CAUSES_MAX) {
        let cause = format!(
            "{} ({}, {})",
            finding.cause,
            finding.certainty.name(),
            finding.id
        );
        let fix = match finding.certainty {
            Certainty::Certain => finding.command.clone(),
            Certainty::Likely | Certainty::Possible => format!("see: {}", finding.command),
        };
        failure = failure.cause(cause, Some(fix));
    }
    let Some(first) = findings.first() else {
        return failure
            .cause("everything that can be seen from here is right", None)
            .command("sendas token inspect");
    };
    if let Some(claims) = concerned.claims {
        failure = failure.evidence(token_in_short(claims));
    }
    failure
        .evidence(first.evidence.clone())
        .command(first.command.clone())
}

/// What of a token must be compared with Exchange's side, on one line.
fn token_in_short(claims: &Claims) -> String {
    let roles = claims.roles();
    let roles = if roles.is_empty() {
        "none".to_owned()
    } else {
        roles.join(" ")
    };
    let or_none = |text: Option<&str>| text.unwrap_or("none").to_owned();
    format!(
        "the token: aud {}, tid {}, appid {}, oid {}, roles {roles}",
        claims.audiences().join(" "),
        or_none(claims.tenant_id()),
        or_none(claims.client_id()),
        or_none(claims.object_id()),
    )
}
