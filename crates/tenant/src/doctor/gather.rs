//! From what was seen to the facts that the judge weighs.

use std::time::Duration;

use sendas_entra::{Claims, Credential, Finding, HttpError};
use sendas_exchange::Roles;
use sendas_smtp::client::Stage;

use super::case::{Case, Subject};
use super::facts::{
    CredentialFacts, Facts, LocalObstacle, Login, Obstacle, TokenAnswer, TokenClaims, Untimely, Way,
};
use super::look;
use super::seen::{Blank, Logged, Seen, Trouble};

/// Whether a text has the form of an id, as the id of a secret has.
pub(super) fn is_shaped_as_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text.trim()).is_ok() && text.trim().len() == 36
}

/// The facts behind what was seen.
pub(super) fn facts(case: &Case, seen: &Seen) -> Facts {
    let subject = case.subject.as_ref();
    let issued = seen
        .token
        .as_ref()
        .ok()
        .and_then(|asked| asked.as_ref().ok());
    let directory = seen.directory.as_ref().ok();
    let of_token = issued
        .and_then(|issued| issued.claims.as_ref())
        .and_then(Claims::object_id);
    let object_id = of_token
        .map(str::to_owned)
        .or_else(|| directory.and_then(|found| found.object_id.clone()));
    let client_id = subject
        .and_then(|subject| subject.client_id.as_ref())
        .map(|id| id.as_str().to_owned());
    let cloud = subject.map(|subject| &subject.cloud);
    let age = case.changed.map(|changed| {
        let seconds = seen.now.as_second().saturating_sub(changed.as_second());
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    });
    Facts {
        mailbox: subject
            .and_then(|subject| subject.mailbox.as_ref())
            .map(|mailbox| mailbox.as_str().to_owned()),
        client_id,
        tenant: subject
            .and_then(|subject| subject.tenant.as_ref())
            .map(ToString::to_string),
        object_id,
        authority: cloud.map_or_else(String::new, |cloud| {
            cloud.authority().host_and_port().to_owned()
        }),
        smtp: cloud.map_or_else(String::new, |cloud| {
            format!("{} port {}", cloud.smtp().host, cloud.smtp().port)
        }),
        method: subject.map_or_else(Default::default, |subject| subject.method),
        local: local(case),
        credential: credential(subject, seen),
        clock_skew_s: skew(seen),
        entra: way_to_entra(seen),
        token: token(seen),
        service: way_to_service(seen),
        login: login(case, seen),
        directory: directory
            .map(|found| found.facts.clone())
            .unwrap_or_default(),
        exchange: seen
            .exchange
            .as_ref()
            .map(|found| found.state.clone())
            .unwrap_or_default(),
        last_change_age: age,
    }
}

fn local(case: &Case) -> Option<LocalObstacle> {
    let configuration = &case.configuration;
    if let Some(first) = configuration.errors.first() {
        return Some(LocalObstacle::Configuration(first.clone()));
    }
    let Some(subject) = &case.subject else {
        return Some(match &configuration.unchosen {
            Some(why) if !configuration.principals.is_empty() => {
                LocalObstacle::Configuration(why.clone())
            }
            _ => LocalObstacle::NoPrincipal,
        });
    };
    if let Err(words) = &subject.credential {
        return Some(LocalObstacle::Credential(words.clone()));
    }
    match &subject.mailbox {
        None => Some(LocalObstacle::NoMailbox),
        Some(_) if !subject.is_covered => Some(LocalObstacle::Uncovered),
        Some(_) => None,
    }
}

fn credential(subject: Option<&Subject>, seen: &Seen) -> CredentialFacts {
    let Some(Ok(credential)) = subject.map(|subject| &subject.credential) else {
        return CredentialFacts::default();
    };
    let mut facts = CredentialFacts {
        kind: Some(credential.kind()),
        ..CredentialFacts::default()
    };
    match credential {
        Credential::Secret(secret) => facts.is_shaped_as_id = is_shaped_as_id(secret.expose()),
        Credential::Certificate(certificate) => {
            facts.untimely = if certificate.not_after() <= seen.now {
                Some(Untimely::CertificateEnded)
            } else {
                (certificate.not_before() > seen.now).then_some(Untimely::CertificateNotBegun)
            };
            facts.thumbprint = Some(certificate.thumbprint());
        }
        Credential::Federated(_) => {
            let machine = seen.machine.as_ref().ok();
            let claims = machine.and_then(|machine| machine.federated.as_ref()?.as_ref().ok());
            let end = claims.and_then(Claims::expires_at);
            facts.untimely = end
                .filter(|end| *end <= seen.now)
                .map(|_| Untimely::TokenEnded);
        }
        _ => {}
    }
    facts
}

fn skew(seen: &Seen) -> Option<i64> {
    let answer = seen.web.as_ref().ok()?.answer.as_ref().ok()?;
    Some(answer.local.as_second() - answer.date?.as_second())
}

fn way_to_entra(seen: &Seen) -> Way {
    let broken = |obstacle, words: String| Way::Broken { obstacle, words };
    let late = |words: &String| broken(Obstacle::Silent, words.clone());
    let web = match (&seen.web, &seen.token) {
        (Err(Blank::Late(words)), _) | (Err(_), Err(Blank::Late(words))) => return late(words),
        (Err(_), _) => return Way::Unseen,
        (Ok(web), _) => web,
    };
    match &web.answer {
        Ok(answer) if answer.is_json => match &seen.token {
            Err(Blank::Late(words)) => late(words),
            // The metadata came, and the token request met somebody else.
            Ok(Err(sendas_entra::TokenError::NotUnderstood { reason, .. })) => {
                broken(Obstacle::Stranger, (*reason).to_owned())
            }
            Ok(Err(sendas_entra::TokenError::Http(error))) => of_http(error, seen),
            _ => Way::Open,
        },
        Ok(answer) => broken(
            Obstacle::Stranger,
            format!("HTTP {} with something that is no JSON", answer.status),
        ),
        Err(error) => of_http(error, seen),
    }
}

fn of_http(error: &HttpError, seen: &Seen) -> Way {
    let has_name = seen
        .names
        .as_ref()
        .map_or(true, |names| names.authority.addresses.is_ok());
    let obstacle = match error {
        HttpError::Trust(_) => Obstacle::Roots,
        HttpError::Connect { .. } if !has_name => Obstacle::Name,
        HttpError::Tls { source, .. } => match **source {
            rustls::Error::InvalidCertificate(_) => Obstacle::Untrusted,
            _ => Obstacle::Handshake,
        },
        HttpError::Proxy { .. } => Obstacle::Proxy,
        HttpError::Deadline { .. } => Obstacle::Silent,
        HttpError::Redirect { .. } | HttpError::TooLarge { .. } | HttpError::Encoded { .. } => {
            Obstacle::Stranger
        }
        HttpError::Broken { .. } => Obstacle::Lost,
        _ => Obstacle::Unreachable,
    };
    Way::Broken {
        obstacle,
        words: look::service::words(error),
    }
}

fn token(seen: &Seen) -> TokenAnswer {
    match &seen.token {
        Err(_) => TokenAnswer::Unseen,
        Ok(Err(error)) => match error.refusal() {
            None => TokenAnswer::Unseen,
            Some(refusal) => TokenAnswer::Refused {
                codes: refusal.codes.clone(),
                words: refusal.to_string(),
                may_be_too_young: error.may_be_too_young(),
                is_temporary: error.is_temporary(),
            },
        },
        Ok(Ok(issued)) => {
            let Some(claims) = &issued.claims else {
                return TokenAnswer::Issued(TokenClaims::default());
            };
            let wrong = |wanted: &[Finding]| {
                !issued
                    .judgements
                    .iter()
                    .any(|judgement| wanted.contains(&judgement.finding))
            };
            let roles = claims.roles();
            TokenAnswer::Issued(TokenClaims {
                is_for_exchange: Some(wrong(&[Finding::WrongAudience])),
                is_of_tenant: Some(wrong(&[Finding::WrongTenant])),
                is_of_principal: Some(wrong(&[Finding::WrongClient])),
                is_in_time: Some(wrong(&[Finding::Expired, Finding::NotYetValid])),
                is_delegated: Some(!wrong(&[Finding::UserToken])),
                roles: if roles.contains(&"SMTP.SendAsApp") {
                    Roles::SendAsApp
                } else if roles.is_empty() {
                    Roles::None
                } else {
                    Roles::Others
                },
            })
        }
    }
}

fn way_to_service(seen: &Seen) -> Way {
    let service = match &seen.service {
        Ok(service) => service,
        Err(Blank::Late(words)) => {
            return Way::Broken {
                obstacle: Obstacle::Silent,
                words: words.clone(),
            };
        }
        Err(Blank::Unmade(_)) => return Way::Unseen,
    };
    match (&service.trouble, &seen.login) {
        (Some(Trouble::Broken(obstacle, words)), _) => Way::Broken {
            obstacle: *obstacle,
            words: words.clone(),
        },
        (Some(Trouble::Refused(stage, reply)), _) => Way::Refused(*stage, reply.clone()),
        (None, Ok(Logged::Broken(words))) => Way::Broken {
            obstacle: Obstacle::Lost,
            words: words.clone(),
        },
        (None, _) => Way::Open,
    }
}

fn login(case: &Case, seen: &Seen) -> Login {
    if let Some((stage, reply)) = &case.reply {
        return Login::Refused(*stage, reply.clone());
    }
    match &seen.login {
        Ok(Logged::In) => Login::In,
        Ok(Logged::Refused(reply)) => Login::Refused(Stage::Auth, reply.clone()),
        Err(Blank::Late(words)) => Login::Late(words.clone()),
        _ => Login::Unseen,
    }
}
