//! Proves a set-up: token, claims, AUTH for each mailbox, one message and its `250`.
//!
//! What Exchange is *configured* to allow becomes *effective* up to two hours later. A refusal
//! within that time is told as "not yet", with the moment from which it would be a fault.

use std::pin::Pin;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sendas_entra::{Claims, Expectation, Finding, Severity};
use serde_json::{Value, json};

use crate::apply::{Event, Progress};
use crate::limits::{PROPAGATION_S_MAX, TOKEN_MARGIN_S, YOUNG_CREDENTIAL_S_MAX};
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
    /// When the credential was made, where that was done here: a new one may be unknown to some of
    /// Entra's servers for a while.
    pub made: Option<Timestamp>,
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
    /// Tries everything, again and again within the patience while changes may not act yet. What
    /// was proven once is not tried again, and the message is sent when every login is decided.
    pub async fn run(
        trial: &Trial,
        prover: &dyn Prover,
        timer: &dyn Timer,
        progress: &dyn Progress,
    ) -> Self {
        let mut backoff = Backoff::new(trial.patience);
        let mut course = Course::default();
        loop {
            let verification = course.round(trial, prover, timer, progress).await;
            let waited_for = verification.waited_for();
            let Some(pause) = backoff
                .pause()
                .filter(|_| waited_for.is_some() && !verification.has_failed())
            else {
                return verification;
            };
            progress.tell(&Event::Patience {
                what: waited_for.unwrap_or_default(),
                pause,
                left: backoff.left() + pause,
            });
            timer.wait(pause).await;
        }
    }

    /// What does not act yet, in words; none when there is nothing to wait for.
    fn waited_for(&self) -> Option<String> {
        let early: Vec<&Check> = self
            .checks
            .iter()
            .filter(|check| matches!(check.result, CheckResult::NotYet { .. }))
            .collect();
        let first = early.first()?;
        let subject = match &first.mailbox {
            Some(mailbox) => format!("{} {mailbox}", first.id),
            None => first.id.to_owned(),
        };
        Some(match early.len() {
            1 => format!("{subject} does not work yet"),
            more => format!("{subject} and {} more do not work yet", more - 1),
        })
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
}

/// What was proven so far, over the rounds.
#[derive(Default)]
struct Course {
    /// The checks of the token, and when it ends; none when another one must be asked for.
    token: Option<(Vec<Check>, Option<Timestamp>)>,
    /// The logins and the message that worked.
    proven: Vec<Check>,
}

impl Course {
    async fn round(
        &mut self,
        trial: &Trial,
        prover: &dyn Prover,
        timer: &dyn Timer,
        progress: &dyn Progress,
    ) -> Verification {
        let mut checks = match self.kept_token(timer.now()) {
            Some(checks) => checks,
            None => match self.ask(trial, prover, timer, progress).await {
                Ok(checks) => checks,
                Err(refused) => {
                    return Verification {
                        checks: vec![refused],
                    };
                }
            },
        };
        for mailbox in &trial.mailboxes {
            let login = self.login(trial, prover, timer, mailbox).await;
            checks.push(login);
        }
        let logins = || checks.iter().filter(|check| check.id == "login");
        let is_decided = !logins().any(|login| matches!(login.result, CheckResult::NotYet { .. }));
        let first = logins()
            .find(|login| login.result == CheckResult::Effective)
            .and_then(|login| login.mailbox.clone());
        if let (Some(recipient), Some(mailbox), true) = (&trial.recipient, first, is_decided) {
            let message = self
                .message(trial, prover, timer, &mailbox, recipient)
                .await;
            checks.push(message);
        }
        Verification { checks }
    }

    async fn ask(
        &mut self,
        trial: &Trial,
        prover: &dyn Prover,
        timer: &dyn Timer,
        progress: &dyn Progress,
    ) -> Result<Vec<Check>, Check> {
        let claims = match young_token(trial, prover, timer, progress).await {
            Ok(claims) => claims,
            Err(refusal) => {
                let result = trial.judge(&refusal, timer.now());
                return Err(check("token", None, result, refusal.words));
            }
        };
        let token = check(
            "token",
            None,
            CheckResult::Effective,
            "Entra issued a token".into(),
        );
        let checks = vec![token, trial.claims(&claims, timer.now())];
        self.token = Some((checks.clone(), claims.expires_at()));
        Ok(checks)
    }

    /// The checks of the last token while it can be used and says what it should.
    fn kept_token(&self, now: Timestamp) -> Option<Vec<Check>> {
        let (checks, end) = self.token.as_ref()?;
        let margin = SignedDuration::from_secs(TOKEN_MARGIN_S);
        let lives = end.is_some_and(|end| end.duration_since(now) > margin);
        let is_right = checks
            .iter()
            .all(|check| check.result == CheckResult::Effective);
        (lives && is_right).then(|| checks.clone())
    }

    async fn login(
        &mut self,
        trial: &Trial,
        prover: &dyn Prover,
        timer: &dyn Timer,
        mailbox: &str,
    ) -> Check {
        if let Some(proven) = self.proven("login", mailbox) {
            return proven;
        }
        let (result, words) = trial.outcome(prover.login(mailbox).await, timer.now());
        self.note(check("login", Some(mailbox), result, words))
    }

    async fn message(
        &mut self,
        trial: &Trial,
        prover: &dyn Prover,
        timer: &dyn Timer,
        mailbox: &str,
        recipient: &str,
    ) -> Check {
        if let Some(proven) = self.proven("message", mailbox) {
            return proven;
        }
        let sent = prover.send(mailbox, recipient).await;
        let (result, words) = trial.outcome(sent, timer.now());
        self.note(check("message", Some(mailbox), result, words))
    }

    fn proven(&self, id: &str, mailbox: &str) -> Option<Check> {
        let mut proven = self.proven.iter();
        proven
            .find(|check| check.id == id && check.mailbox.as_deref() == Some(mailbox))
            .cloned()
    }

    fn note(&mut self, check: Check) -> Check {
        if check.result == CheckResult::Effective {
            self.proven.push(check.clone());
        }
        check
    }
}

/// A token; a credential that was made here a short while ago is given its time.
async fn young_token(
    trial: &Trial,
    prover: &dyn Prover,
    timer: &dyn Timer,
    progress: &dyn Progress,
) -> Result<Claims, Refusal> {
    let age = trial
        .made
        .map(|made| timer.now().duration_since(made))
        .and_then(|age| Duration::try_from(age).ok());
    let window = Duration::from_secs(YOUNG_CREDENTIAL_S_MAX);
    // Of a credential that was not made here nobody knows the age: it gets the patience alone.
    let window = age.map_or(Duration::ZERO, |age| window.saturating_sub(age));
    let mut backoff = Backoff::new(
        window.max(
            trial
                .patience
                .min(Duration::from_secs(YOUNG_CREDENTIAL_S_MAX)),
        ),
    );
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
        progress.tell(&Event::Patience {
            what: format!(
                "Entra does not know the new credential yet ({})",
                crate::wire::cut(&refusal.words)
            ),
            pause,
            left: backoff.left() + pause,
        });
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
