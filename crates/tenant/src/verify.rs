//! Proves a set-up: token, claims, AUTH for each mailbox, one message and its `250`.
//!
//! What Exchange is *configured* to allow becomes *effective* up to two hours later. A refusal
//! within that time is told as "not yet", with the moment from which it would be a fault.

use std::pin::Pin;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sendas_entra::{Claims, Expectation, Finding, Severity};
use serde_json::{Value, json};

use crate::limits::{PROPAGATION_S_MAX, YOUNG_CREDENTIAL_S_MAX};
use crate::timer::{Backoff, Timer};

/// What can be tried with the credential; the program that sends supplies it.
pub trait Prover: Send + Sync {
    /// Asks for a token, once.
    fn token(&self) -> Pin<Box<dyn Future<Output = Result<Claims, Refusal>> + Send + '_>>;

    /// Logs in as this mailbox, once, and leaves.
    fn login<'a>(
        &'a self,
        mailbox: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send + 'a>>;

    /// Sends one message from this mailbox to this recipient; answers the service's reply.
    fn send<'a>(
        &'a self,
        mailbox: &'a str,
        recipient: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send + 'a>>;
}

/// Why a trial failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is concerned.
    pub about: About,
    /// The service's own words, and what is known of them.
    pub words: String,
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The credential; a new one may be unknown to some servers for a while.
    Credential {
        /// Whether its being new would explain the refusal.
        may_be_too_young: bool,
    },
    /// Rights: AUTH was refused, or the sender was. Changes of rights act late.
    Rights,
    /// The service or the way to it is in trouble.
    Trouble,
    /// Anything else.
    Other,
}

/// What to prove.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What the token should say.
    pub expectation: Expectation,
    /// The mailboxes to log in as.
    pub mailboxes: Vec<String>,
    /// Who gets the one message; it is sent from the first mailbox. None sends none.
    pub recipient: Option<String>,
    /// The moment of the last change of rights, where known.
    pub changed: Option<Timestamp>,
    /// How long to try again while changes may not act yet.
    pub patience: Duration,
}

/// What was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Each check, in order; after a failure of the token nothing more is tried.
    pub checks: Vec<Check>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `token`, `claims`, `login` or `message`.
    pub id: &'static str,
    /// The mailbox it was tried for.
    pub mailbox: Option<String>,
    /// What came of it.
    pub result: CheckResult,
    /// The service's words, or what was found.
    pub words: String,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// It works.
    Effective,
    /// It is refused, and the last change explains that until this moment.
    NotYet {
        /// From then on the refusal is a fault.
        until: Timestamp,
    },
    /// It is refused, and no change explains it.
    Failed,
}

impl Verification {
    /// Tries everything, again and again within the patience while changes may not act yet.
    pub async fn run(trial: &Trial, prover: &dyn Prover, timer: &dyn Timer) -> Self {
        let mut backoff = Backoff::new(trial.patience);
        loop {
            let verification = Self::once(trial, prover, timer).await;
            let early = verification
                .checks
                .iter()
                .any(|check| matches!(check.result, CheckResult::NotYet { .. }));
            let Some(pause) = backoff
                .pause()
                .filter(|_| early && !verification.has_failed())
            else {
                return verification;
            };
            timer.wait(pause).await;
        }
    }

    /// Whether everything works now.
    pub fn is_effective(&self) -> bool {
        self.checks
            .iter()
            .all(|check| check.result == CheckResult::Effective)
    }

    /// Whether something fails that no change explains.
    pub fn has_failed(&self) -> bool {
        self.checks
            .iter()
            .any(|check| check.result == CheckResult::Failed)
    }

    /// As JSON: `effective` and `checks`.
    pub fn json(&self) -> Value {
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| {
                let (result, until) = match check.result {
                    CheckResult::Effective => ("effective", None),
                    CheckResult::NotYet { until } => ("not-yet", Some(until.to_string())),
                    CheckResult::Failed => ("failed", None),
                };
                json!({
                    "id": check.id, "mailbox": check.mailbox, "result": result,
                    "until": until, "words": check.words,
                })
            })
            .collect();
        json!({ "effective": self.is_effective(), "checks": checks })
    }

    async fn once(trial: &Trial, prover: &dyn Prover, timer: &dyn Timer) -> Self {
        let mut checks = Vec::new();
        let claims = match young_token(prover, timer).await {
            Ok(claims) => claims,
            Err(refusal) => {
                let result = trial.judge(&refusal, timer.now());
                checks.push(check("token", None, result, refusal.words));
                return Self { checks };
            }
        };
        checks.push(check(
            "token",
            None,
            CheckResult::Effective,
            "Entra issued a token".into(),
        ));
        checks.push(trial.claims(&claims, timer.now()));
        for mailbox in &trial.mailboxes {
            let (result, words) = trial.outcome(prover.login(mailbox).await, timer.now());
            checks.push(check("login", Some(mailbox.as_str()), result, words));
        }
        let first = checks
            .iter()
            .find(|check| check.id == "login" && check.result == CheckResult::Effective)
            .and_then(|check| check.mailbox.clone());
        if let (Some(recipient), Some(mailbox)) = (&trial.recipient, first) {
            let (result, words) =
                trial.outcome(prover.send(&mailbox, recipient).await, timer.now());
            checks.push(check("message", Some(mailbox.as_str()), result, words));
        }
        Self { checks }
    }
}

/// A token; a new credential is given its time.
async fn young_token(prover: &dyn Prover, timer: &dyn Timer) -> Result<Claims, Refusal> {
    let mut backoff = Backoff::new(Duration::from_secs(YOUNG_CREDENTIAL_S_MAX));
    loop {
        let refusal = match prover.token().await {
            Ok(claims) => return Ok(claims),
            Err(refusal) => refusal,
        };
        let young = refusal.about
            == About::Credential {
                may_be_too_young: true,
            };
        let Some(pause) = backoff.pause().filter(|_| young) else {
            return Err(refusal);
        };
        timer.wait(pause).await;
    }
}

impl Trial {
    fn claims(&self, claims: &Claims, now: Timestamp) -> Check {
        let worst: Vec<_> = claims
            .judge(&self.expectation, now)
            .into_iter()
            .filter(|judgement| judgement.severity == Severity::Wrong)
            .collect();
        if worst.is_empty() {
            let roles = claims.roles();
            let words = if roles.is_empty() {
                "for Exchange Online, without roles".to_owned()
            } else {
                format!("for Exchange Online, roles {}", roles.join(", "))
            };
            return check("claims", None, CheckResult::Effective, words);
        }
        // A permission that was just granted is missing from tokens for a while.
        let late = worst.iter().all(|judgement| {
            matches!(
                judgement.finding,
                Finding::MissingRole | Finding::OtherRolesOnly | Finding::NoRoles
            )
        });
        let result = match self.effective_at().filter(|until| late && *until > now) {
            Some(until) => CheckResult::NotYet { until },
            None => CheckResult::Failed,
        };
        let words: Vec<String> = worst
            .iter()
            .map(|judgement| format!("{}; {}", judgement.meaning, judgement.fix))
            .collect();
        check("claims", None, result, words.join("; "))
    }

    fn outcome(&self, tried: Result<String, Refusal>, now: Timestamp) -> (CheckResult, String) {
        match tried {
            Ok(words) => (CheckResult::Effective, words),
            Err(refusal) => (self.judge(&refusal, now), refusal.words),
        }
    }

    fn judge(&self, refusal: &Refusal, now: Timestamp) -> CheckResult {
        match self.effective_at() {
            Some(until) if refusal.about == About::Rights && now < until => {
                CheckResult::NotYet { until }
            }
            _ => CheckResult::Failed,
        }
    }

    /// When the last change has surely taken effect.
    fn effective_at(&self) -> Option<Timestamp> {
        self.changed?
            .checked_add(SignedDuration::from_secs(PROPAGATION_S_MAX))
            .ok()
    }
}

fn check(id: &'static str, mailbox: Option<&str>, result: CheckResult, words: String) -> Check {
    Check {
        id,
        mailbox: mailbox.map(str::to_owned),
        result,
        words,
    }
}

#[cfg(test)]
mod tests;
