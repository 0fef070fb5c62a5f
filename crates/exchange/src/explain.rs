//! From a reply to its meaning: the catalogue first, then the reply's class.

use sendas_smtp::Reply;
use sendas_smtp::client::Stage;

use crate::catalogue;
use crate::entry::{Cause, Entry, Mark};
use crate::fix::{Fix, Subjects};
use crate::meaning::{PROBE_EVERY, Persistence, Scope};

mod unlisted;

pub(crate) use unlisted::ALL as UNLISTED;

/// What a reply means.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// The stable name of the cause, `S-…`.
    pub id: &'static str,
    /// Who is concerned.
    pub scope: Scope,
    /// Whether waiting helps.
    pub persistence: Persistence,
    /// What did not happen, in a user's words.
    pub title: &'static str,
    /// Why, the likeliest first.
    pub causes: &'static [Cause],
    /// What helps.
    pub fix: Fix,
    /// How well this meaning is known.
    pub mark: Mark,
    /// The row of the catalogue; `None` when only the reply's class was read.
    pub entry: Option<&'static Entry>,
}

/// Explains a reply that came at `stage`. Total: every reply has an explanation.
///
/// The first row of the catalogue wins that knows the reply at this stage; then the first whose
/// wording fits, wherever it was seen before. What no row knows is a deferral when it is a 4xx or
/// out of place, and a refusal of message or recipient when it is a 5xx behind MAIL. A reply
/// before MAIL never condemns a message, whatever its digits.
pub fn explain(stage: Stage, reply: &Reply) -> Explanation {
    let known = catalogue::entries()
        .find(|entry| entry.stages.contains(&stage) && entry.matches(reply))
        .or_else(|| catalogue::entries().find(|entry| entry.matches_by_text(reply)));
    match known {
        Some(entry) => Explanation {
            scope: entry.scope.at(stage),
            persistence: fit(entry.persistence, stage),
            ..Explanation::from(entry)
        },
        None => unlisted::explain(stage, reply),
    }
}

/// The meanings read from class and stage alone: id, when it is given, and what did not happen.
pub fn by_class() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    UNLISTED
        .iter()
        .map(|words| (words.id, words.when, words.title))
}

/// What a row says by itself, wherever the reply came.
impl From<&'static Entry> for Explanation {
    fn from(entry: &'static Entry) -> Self {
        Self {
            id: entry.id,
            scope: entry.scope,
            persistence: entry.persistence,
            title: entry.title,
            causes: entry.causes,
            fix: entry.fix,
            mark: entry.mark(),
            entry: Some(entry),
        }
    }
}

impl Explanation {
    /// Whether the catalogue knows the reply.
    pub const fn is_listed(&self) -> bool {
        self.entry.is_some()
    }

    /// The fix's command with the names put in.
    pub fn command_for(&self, subjects: &Subjects<'_>) -> Option<String> {
        self.fix.command_for(subjects)
    }
}

/// Before MAIL there is no message that could be refused for good.
const fn fit(persistence: Persistence, stage: Stage) -> Persistence {
    let is_final = matches!(
        persistence,
        Persistence::Permanent | Persistence::TransientThenPermanent { .. }
    );
    if is_final && !is_within_transaction(stage) {
        return Persistence::NeedsAdministrator {
            probe_every: PROBE_EVERY,
        };
    }
    persistence
}

const fn is_within_transaction(stage: Stage) -> bool {
    matches!(stage, Stage::Mail | Stage::Rcpt | Stage::Body | Stage::End)
}
