//! One check: a row of a table, and what it found.

use super::case::{Case, Subject};
use super::facts::Facts;
use super::judge::Verdict;
use super::seen::{Blank, Look, Seen, Source};

/// What belongs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// This machine.
    Host,
    /// The configuration.
    Configuration,
    /// Credentials.
    Secrets,
    /// Time.
    Clock,
    /// Names.
    Dns,
    /// Connections.
    Network,
    /// Trust.
    Tls,
    /// Entra ID and the token.
    Entra,
    /// Exchange Online.
    Exchange,
    /// The mailbox.
    Mailbox,
    /// The relay's listeners.
    Listener,
    /// The relay's spool.
    Spool,
}

/// What a check needs to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing but this machine.
    Nothing,
    /// The network.
    Network,
    /// A token of the principal.
    Token,
    /// An administrator's token.
    AdminToken,
    /// A relay in the configuration.
    Relay,
}

/// One check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its stable name, `D-…`.
    pub id: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// What is right when it is, as a sentence without full stop.
    pub title: &'static str,
    /// What is tested.
    pub tests: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What mends it; `{mailbox}`, `{principal}` and `{object}` are put in.
    pub fix: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// The checks it waits for.
    pub after: &'static [&'static str],
    pub(super) source: Source,
    pub(super) look: fn(&Scene<'_>) -> Found,
}

/// What a check found; `Err` says why it could not be seen.
pub(super) type Found = Result<Finding, String>;

/// A finding before it has its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) status: Status,
    pub(super) seen: String,
    pub(super) fix: Option<String>,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It is right.
    Ok,
    /// It works, and should be changed.
    Warning,
    /// It is wrong.
    Problem,
    /// It could not be seen; the reason is told.
    NotSeen,
}

/// Everything a check can look at.
pub(super) struct Scene<'a> {
    pub(super) case: &'a Case,
    pub(super) seen: &'a Seen,
    pub(super) facts: &'a Facts,
    pub(super) verdicts: &'a [Verdict],
}

impl Group {
    /// Every group, in the order of the report.
    pub const ALL: [Self; 12] = [
        Self::Host,
        Self::Configuration,
        Self::Secrets,
        Self::Clock,
        Self::Dns,
        Self::Network,
        Self::Tls,
        Self::Entra,
        Self::Exchange,
        Self::Mailbox,
        Self::Listener,
        Self::Spool,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Configuration => "configuration",
            Self::Secrets => "secrets",
            Self::Clock => "clock",
            Self::Dns => "dns",
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Entra => "entra",
            Self::Exchange => "exchange",
            Self::Mailbox => "mailbox",
            Self::Listener => "listener",
            Self::Spool => "spool",
        }
    }
}

impl Needs {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Network => "network",
            Self::Token => "token",
            Self::AdminToken => "administrator's token",
            Self::Relay => "relay",
        }
    }
}

impl Status {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
            Self::NotSeen => "not seen",
        }
    }
}

impl Finding {
    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

fn finding(status: Status, seen: impl Into<String>) -> Finding {
    Finding {
        status,
        seen: seen.into(),
        fix: None,
    }
}

pub(super) fn ok(seen: impl Into<String>) -> Finding {
    finding(Status::Ok, seen)
}

pub(super) fn warning(seen: impl Into<String>) -> Finding {
    finding(Status::Warning, seen)
}

pub(super) fn problem(seen: impl Into<String>) -> Finding {
    finding(Status::Problem, seen)
}

/// What is right, or a problem.
pub(super) fn good_or(is_good: bool, good: &str, bad: &str) -> Finding {
    if is_good { ok(good) } else { problem(bad) }
}

/// A look's answer, or why there is none.
pub(super) fn of<T>(look: &Look<T>) -> Result<&T, String> {
    look.as_ref().map_err(ToString::to_string)
}

/// A look's answer; within, what it still waited for when its deadline ran out.
pub(super) fn waited_for<T>(look: &Look<T>) -> Result<Result<&T, &str>, String> {
    match look {
        Ok(seen) => Ok(Ok(seen)),
        Err(Blank::Late(words)) => Ok(Err(words)),
        Err(Blank::Unmade(words)) => Err(words.clone()),
    }
}

/// Whether an administrator's token was at hand, and opened nothing.
pub(super) fn is_refused(blank: &Blank) -> bool {
    matches!(blank, Blank::Unmade(words) if words.starts_with("the administrator's token"))
}

/// A fact, or that nobody could say.
pub(super) fn known<T: Copy>(fact: Option<T>, who: &str) -> Result<T, String> {
    fact.ok_or_else(|| format!("{who} did not say"))
}

impl<'a> Scene<'a> {
    pub(super) fn subject(&self) -> Result<&'a Subject, String> {
        self.case
            .subject
            .as_ref()
            .ok_or_else(|| "waits for D-CFG-04: no principal is examined".to_owned())
    }

    pub(super) fn issued(&self) -> Result<&'a super::seen::Issued, String> {
        match of(&self.seen.token)? {
            Ok(issued) => Ok(issued),
            Err(_) => Err("waits for D-ENTRA-03: there is no token".to_owned()),
        }
    }
}

/// Every check, in the order of the report.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    super::checks::TABLES.iter().copied().flatten()
}

/// The check that everything else leads to: AUTH as the mailbox.
pub const LOGIN: &str = "D-EXO-02";

/// The check with this id, in any case of letters.
pub fn find(id: &str) -> Option<&'static Check> {
    checks().find(|check| check.id.eq_ignore_ascii_case(id))
}
