//! From facts to causes: everything that speaks for a refusal, joined and ranked.
//!
//! Pure. The order of the rules is the order of the way: this machine, the way to Entra, Entra's
//! answer, the token, the way to the service, the service's answer and the tenant behind it. A
//! cause further up explains those further down, so among equally sure ones it stands first.

use std::time::Duration;

use sendas_exchange::diagnosis;
use sendas_exchange::limits::PROPAGATION_MAX;
use sendas_exchange::{Certainty, Evidence, ExchangeFacts, Subjects, TokenFacts};
use sendas_smtp::Reply;
use sendas_smtp::client::Stage;

use super::cause::{self, Cause};
use super::facts::{Facts, LocalObstacle, Login, Obstacle, TokenAnswer, Untimely, Way};
use super::limits;

mod entra;
mod fix;
mod tenant;

pub(crate) use entra::cause_of;
pub(super) use fix::fitted;

/// Clock difference from which tokens and assertions fail, in seconds: Entra allows five minutes.
pub const CLOCK_SKEW_S_MAX: i64 = 300;

/// The catalogue's name of the bare `535 5.7.3`.
const BARE_REFUSAL: &str = "S-AUTH-REFUSED";

/// A cause, with what speaks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The stable name of the cause, `S-…`; its page in the book has the same name.
    pub id: &'static str,
    /// How sure it is.
    pub certainty: Certainty,
    /// The cause, as a sentence without full stop.
    pub cause: String,
    /// What was seen that speaks for it.
    pub evidence: Vec<String>,
    /// One command that mends it, or shows more.
    pub command: Option<String>,
    /// For a change that does not act yet: how long it may take still.
    pub remaining: Option<Duration>,
}

/// Ranks the causes of what does not work: the surest first, the earliest on the way first among
/// equals, each once. Empty when nothing was refused and nothing is known to be wrong.
pub fn judge(facts: &Facts) -> Vec<Verdict> {
    let mut court = Court {
        facts,
        verdicts: Vec::new(),
    };
    court.this_machine();
    court.way_to_entra();
    entra::judge(&mut court);
    court.way_to_service();
    tenant::judge(&mut court);
    court.reply();
    for verdict in &mut court.verdicts {
        if let Some(command) = fitted(verdict.id, facts) {
            verdict.command = Some(command);
        }
    }
    court.verdicts.sort_by_key(|verdict| verdict.certainty);
    let mut seen = Vec::new();
    court.verdicts.retain(|verdict| {
        let is_new = !seen.contains(&verdict.id);
        seen.push(verdict.id);
        is_new
    });
    court.verdicts
}

/// How long a change of this age may take still; none when it surely acts.
pub fn remaining(age: Duration) -> Option<Duration> {
    PROPAGATION_MAX
        .checked_sub(age)
        .filter(|left| !left.is_zero())
}

struct Court<'a> {
    facts: &'a Facts,
    verdicts: Vec<Verdict>,
}

impl Court<'_> {
    fn subjects(&self) -> Subjects<'_> {
        Subjects {
            mailbox: self.facts.mailbox.as_deref(),
            from: None,
            principal: self.facts.client_id.as_deref(),
            object: self.facts.object_id.as_deref(),
        }
    }

    /// Adds a cause of the doctor's own table.
    fn add(&mut self, id: &'static str, certainty: Certainty, evidence: impl Into<String>) {
        let cause = cause::own(id).expect("every rule names a row of the table");
        self.add_cause(cause, certainty, vec![evidence.into()]);
    }

    fn add_cause(&mut self, cause: &Cause, certainty: Certainty, evidence: Vec<String>) {
        let command = cause.fix.command_for(&self.subjects());
        self.verdicts.push(Verdict {
            id: cause.id,
            certainty,
            cause: cause.title.to_owned(),
            evidence,
            command,
            remaining: None,
        });
    }

    fn this_machine(&mut self) {
        use Certainty::Certain;
        match &self.facts.local {
            Some(LocalObstacle::Configuration(words)) => {
                self.add("S-CONFIGURATION", Certain, words.clone());
            }
            Some(LocalObstacle::NoPrincipal) => self.add(
                "S-NOTHING-CONFIGURED",
                Certain,
                "neither a file nor the environment names a principal",
            ),
            Some(LocalObstacle::NoMailbox) => self.add(
                "S-MAILBOX-UNNAMED",
                Certain,
                "no principal names an address, and none was given",
            ),
            Some(LocalObstacle::Uncovered) => {
                self.add(
                    "S-MAILBOX-UNCOVERED",
                    Certain,
                    "no entry of `mailboxes` fits it",
                );
            }
            Some(LocalObstacle::Credential(words)) => {
                self.add("S-CREDENTIAL-UNREADABLE", Certain, words.clone());
            }
            None => {}
        }
        let untimely = match self.facts.credential.untimely {
            None => return,
            Some(Untimely::CertificateEnded) => (
                "S-CERTIFICATE-ENDED",
                "the certificate's `notAfter` has passed",
            ),
            Some(Untimely::CertificateNotBegun) => (
                "S-CERTIFICATE-ENDED",
                "the certificate's `notBefore` has not come",
            ),
            Some(Untimely::TokenEnded) => (
                "S-FEDERATED-TOKEN-ENDED",
                "`exp` of the token in the file has passed",
            ),
        };
        self.add(untimely.0, Certain, untimely.1);
    }

    fn way_to_entra(&mut self) {
        let authority = self.facts.authority.clone();
        if let Way::Broken { obstacle, words } = &self.facts.entra {
            let id = match obstacle {
                Obstacle::Name => "S-NAME-UNRESOLVED",
                Obstacle::Proxy => "S-PROXY-REFUSED",
                Obstacle::Roots => "S-TRUST-ROOTS",
                Obstacle::Untrusted | Obstacle::Handshake => "S-TLS-UNTRUSTED",
                Obstacle::Stranger | Obstacle::Injected => "S-STRANGER-ANSWERS",
                _ => "S-ENTRA-UNREACHABLE",
            };
            self.add(id, Certainty::Certain, format!("{authority}: {words}"));
        }
    }

    fn way_to_service(&mut self) {
        let smtp = self.facts.smtp.clone();
        match &self.facts.service {
            Way::Broken { obstacle, words } => {
                let id = match obstacle {
                    Obstacle::Name => "S-NAME-UNRESOLVED",
                    Obstacle::Roots => "S-TRUST-ROOTS",
                    Obstacle::Untrusted | Obstacle::Handshake => "S-TLS-UNTRUSTED",
                    Obstacle::NoStartTls => "S-STARTTLS-MISSING",
                    Obstacle::NoMechanism => "S-XOAUTH2-MISSING",
                    Obstacle::Stranger | Obstacle::Injected => "S-STRANGER-ANSWERS",
                    Obstacle::Lost => "S-CONNECTION-LOST",
                    Obstacle::Unreachable | Obstacle::Silent | Obstacle::Proxy => {
                        "S-SERVICE-UNREACHABLE"
                    }
                };
                self.add(id, Certainty::Certain, format!("{smtp}: {words}"));
            }
            Way::Refused(stage, reply) => self.explained(*stage, reply, Certainty::Certain),
            Way::Unseen | Way::Open => {}
        }
    }

    /// The service's answer to AUTH, or a later reply that was handed in.
    fn reply(&mut self) {
        let (stage, reply) = match &self.facts.login {
            Login::Unseen | Login::In => return,
            Login::Late(words) => return self.late(words),
            Login::Refused(stage, reply) => (stage, reply),
        };
        let explanation = sendas_exchange::explain(*stage, reply);
        let age = self.facts.last_change_age;
        let is_young = age.and_then(remaining).is_some();
        let is_waiting = matches!(*stage, Stage::Auth)
            && matches!(
                explanation.persistence,
                sendas_exchange::Persistence::NeedsAdministrator { .. }
            );
        if explanation.id == BARE_REFUSAL {
            self.diagnosed(reply);
            return;
        }
        if is_waiting && (is_young || self.is_contradicted(explanation.id)) {
            // What Exchange holds is right already, or was changed just now.
            self.propagating(reply);
            self.explained(*stage, reply, Certainty::Possible);
            return;
        }
        self.explained(*stage, reply, Certainty::Certain);
    }

    /// AUTH that had no answer yet.
    fn late(&mut self, words: &str) {
        let (id, _, title) = sendas_exchange::explain::by_class()
            .find(|(id, _, _)| *id == "S-AUTH-DEFERRED")
            .expect("a deferral of AUTH has its row");
        self.verdicts.push(Verdict {
            id,
            certainty: Certainty::Likely,
            cause: title.to_owned(),
            evidence: vec![format!(
                "{}: {words}; its answer may take {} s",
                self.facts.smtp,
                limits::AUTH.as_secs()
            )],
            command: Some("sendas probe --quit-after auth".to_owned()),
            remaining: None,
        });
    }

    /// Whether what Exchange holds says the opposite of its reply.
    fn is_contradicted(&self, id: &str) -> bool {
        let state = &self.facts.exchange;
        match id {
            "S-SMTP-AUTH-OFF-MAILBOX" => {
                matches!(state.is_off_for_mailbox, Some(None | Some(false)))
            }
            "S-SMTP-AUTH-OFF-TENANT" => {
                state.is_off_for_mailbox == Some(Some(false))
                    || (state.is_off_for_mailbox == Some(None)
                        && state.is_off_for_organisation == Some(false))
            }
            _ => false,
        }
    }

    fn propagating(&mut self, reply: &Reply) {
        let mut evidence = vec![format!("Exchange Online said: {reply}")];
        let age = self.facts.last_change_age;
        let left = age.and_then(remaining);
        match (age, left) {
            (Some(age), Some(left)) => evidence.push(format!(
                "the last change is {} old; it may take {} more",
                minutes(age),
                minutes(left)
            )),
            _ => evidence.push("what the tenant holds is right, and the reply is not".to_owned()),
        }
        let command = diagnosis::SUSPECTS
            .iter()
            .find(|suspect| suspect.id == "S-PROPAGATING")
            .map(|suspect| (suspect.cause, suspect.look));
        let (cause, look) = command.expect("propagation is a suspect");
        let fix = sendas_exchange::Fix::command("", look);
        self.verdicts.push(Verdict {
            id: "S-PROPAGATING",
            certainty: Certainty::Likely,
            cause: cause.to_owned(),
            evidence,
            command: fix.command_for(&self.subjects()),
            remaining: left,
        });
    }

    fn explained(&mut self, stage: Stage, reply: &Reply, certainty: Certainty) {
        let explanation = sendas_exchange::explain(stage, reply);
        let cause = explanation.causes.first().map_or_else(
            || explanation.title.to_owned(),
            |cause| format!("{}: {}", explanation.title, cause.text),
        );
        let command = explanation.command_for(&self.subjects());
        self.verdicts.push(Verdict {
            id: explanation.id,
            certainty,
            cause,
            evidence: vec![format!("Exchange Online said: {reply}")],
            command: command.or_else(|| Some(explanation.fix.advice.to_owned())),
            remaining: None,
        });
    }

    /// The reply that stands for nearly every mistake.
    fn diagnosed(&mut self, reply: &Reply) {
        let facts = self.facts;
        let claims = match &facts.token {
            TokenAnswer::Issued(claims) => claims.clone(),
            _ => super::facts::TokenClaims::default(),
        };
        let evidence = Evidence {
            mailbox: facts.mailbox.as_deref().unwrap_or_default(),
            method: facts.way_of_authorization(),
            token: TokenFacts {
                is_for_exchange: claims.is_for_exchange,
                is_of_tenant: claims.is_of_tenant,
                is_of_principal: claims.is_of_principal,
                is_in_time: claims.is_in_time,
                is_delegated: claims.is_delegated,
                roles: claims.roles,
                app_id: facts.client_id.as_deref(),
                object_id: facts.object_id.as_deref(),
            },
            exchange: ExchangeFacts {
                is_principal_registered: facts.exchange.is_principal_registered,
                is_object_id_right: facts.exchange.is_object_id_right,
                is_mailbox_there: facts.exchange.is_mailbox_there,
                has_full_access: facts.exchange.has_full_access,
                is_in_scope: facts.exchange.is_in_scope,
            },
            last_change_age: facts.last_change_age,
            has_worked_before: false,
            works_elsewhere: false,
        };
        let left = facts.last_change_age.and_then(remaining);
        for finding in sendas_exchange::diagnose(&evidence) {
            let is_granted = facts.directory.is_permission_granted == Some(true);
            if finding.id == "S-TOKEN-NO-ROLE" && is_granted {
                // Told already: the grant is there and does not act yet.
                continue;
            }
            let is_waiting = finding.id == "S-PROPAGATING";
            // With the tenant in sight and nothing wrong in it, time is what remains.
            let certainty = match finding.certainty {
                Certainty::Possible if is_waiting && facts.is_tenant_seen() => Certainty::Likely,
                certainty => certainty,
            };
            let mut seen = vec![finding.evidence, format!("Exchange Online said: {reply}")];
            if let (true, Some(left)) = (is_waiting, left) {
                seen.push(format!("it may take {} more", minutes(left)));
            }
            self.verdicts.push(Verdict {
                id: finding.id,
                certainty,
                cause: finding.cause.to_owned(),
                evidence: seen,
                command: Some(finding.command),
                remaining: left.filter(|_| is_waiting),
            });
        }
    }
}

/// A time in whole minutes, the last one begun counted.
pub(super) fn minutes(time: Duration) -> String {
    match time.as_secs().div_ceil(60) {
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

#[cfg(test)]
mod tests;
