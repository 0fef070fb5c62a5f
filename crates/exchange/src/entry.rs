//! One row of the reply catalogue, and how a reply is matched to it.

use sendas_envelope::{Class, Status};
use sendas_smtp::Reply;
use sendas_smtp::client::Stage;

use crate::fix::Fix;
use crate::meaning::{Persistence, Scope};

/// One row: a family of replies with one meaning.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The stable name of the cause, `S-…`: the same in CLI, log, API and book.
    pub id: &'static str,
    /// Replies of this family; each is matched by this row and by no earlier one. Hosts, times
    /// and ids in them are examples, and where the sources give a status alone, the code before
    /// it or the words behind it are.
    pub samples: &'static [&'static str],
    /// A reply belongs here when one of these matches.
    pub matchers: &'static [Matcher],
    /// Where the reply is known to come.
    pub stages: &'static [Stage],
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
    /// Who says so.
    pub sources: &'static [Source],
}

/// A condition on a reply: everything that is given must hold.
#[derive(Clone, Copy, Debug)]
pub struct Matcher {
    /// The reply code.
    pub code: Option<u16>,
    /// The enhanced status.
    pub status: StatusIs,
    /// Pieces of text that must all occur, in any order; ASCII case does not count.
    pub all_of: &'static [&'static str],
}

/// A condition on the enhanced status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusIs {
    /// Any, or none at all.
    Any,
    /// None at all.
    Absent,
    /// This one.
    One(Status),
    /// Those of one class and subject with a detail from the first to the last number.
    Details(Status, u16),
}

/// One reason for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The reason, as a sentence without full stop.
    pub text: &'static str,
    /// How well it is known.
    pub mark: Mark,
}

/// Where something is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// How well it is known by this source.
    pub mark: Mark,
    /// A short name; the book's page on the service lists them.
    pub name: &'static str,
    /// What is found there.
    pub about: &'static str,
}

/// How well something is known; the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mark {
    /// Microsoft says so.
    Documented,
    /// Seen in a published transcript, log or report.
    Observed,
    /// Inferred, contradictory, or not confirmed for this service.
    Unsure,
}

impl Entry {
    /// Whether the reply belongs to this row; only a refusal can.
    pub fn matches(&self, reply: &Reply) -> bool {
        is_refusal(reply) && self.matchers.iter().any(|matcher| matcher.holds(reply))
    }

    /// Whether the wording alone leads to this row, wherever the reply came.
    pub(crate) fn matches_by_text(&self, reply: &Reply) -> bool {
        is_refusal(reply)
            && self
                .matchers
                .iter()
                .any(|matcher| !matcher.all_of.is_empty() && matcher.holds(reply))
    }

    /// The best mark among the sources.
    pub fn mark(&self) -> Mark {
        let best = self.sources.iter().map(|source| source.mark).min();
        best.unwrap_or(Mark::Unsure)
    }
}

impl Matcher {
    /// A code with a status.
    pub const fn exact(code: u16, class: Class, subject: u16, detail: u16) -> Self {
        Self {
            code: Some(code),
            status: StatusIs::One(Status::new(class, subject, detail)),
            all_of: &[],
        }
    }

    /// A permanent status under any code.
    pub const fn permanent(subject: u16, detail: u16) -> Self {
        Self {
            code: None,
            status: StatusIs::One(Status::new(Class::Permanent, subject, detail)),
            all_of: &[],
        }
    }

    /// A temporary status under any code.
    pub const fn temporary(subject: u16, detail: u16) -> Self {
        Self {
            code: None,
            status: StatusIs::One(Status::new(Class::Temporary, subject, detail)),
            all_of: &[],
        }
    }

    /// A status whose detail lies from that of `first` to `last`, under any code.
    pub const fn details(first: Status, last: u16) -> Self {
        Self {
            code: None,
            status: StatusIs::Details(first, last),
            all_of: &[],
        }
    }

    /// Pieces of text under any code.
    pub const fn text(all_of: &'static [&'static str]) -> Self {
        Self {
            code: None,
            status: StatusIs::Any,
            all_of,
        }
    }

    /// A code without a status.
    pub const fn bare(code: u16) -> Self {
        Self {
            code: Some(code),
            status: StatusIs::Absent,
            all_of: &[],
        }
    }

    /// The same under one code only.
    #[must_use]
    pub const fn code(self, code: u16) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// The same with pieces of text that must occur too.
    #[must_use]
    pub const fn with(self, all_of: &'static [&'static str]) -> Self {
        Self { all_of, ..self }
    }

    /// Whether the reply fulfils every condition.
    pub fn holds(&self, reply: &Reply) -> bool {
        self.code.is_none_or(|code| code == reply.code())
            && self.status.holds(reply.status())
            && self
                .all_of
                .iter()
                .all(|piece| contains(reply.text(), piece))
    }
}

impl StatusIs {
    fn holds(self, status: Option<Status>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => status.is_none(),
            Self::One(wanted) => status == Some(wanted),
            Self::Details(first, last) => status.is_some_and(|status| {
                (status.class, status.subject) == (first.class, first.subject)
                    && (first.detail..=last).contains(&status.detail)
            }),
        }
    }
}

impl Cause {
    /// A reason that Microsoft gives.
    pub const fn documented(text: &'static str) -> Self {
        Self {
            text,
            mark: Mark::Documented,
        }
    }

    /// A reason that people found.
    pub const fn observed(text: &'static str) -> Self {
        Self {
            text,
            mark: Mark::Observed,
        }
    }

    /// A reason that is likely.
    pub const fn unsure(text: &'static str) -> Self {
        Self {
            text,
            mark: Mark::Unsure,
        }
    }
}

impl Source {
    /// A page of Microsoft's.
    pub const fn documented(name: &'static str, about: &'static str) -> Self {
        Self {
            mark: Mark::Documented,
            name,
            about,
        }
    }

    /// A published transcript, log or report.
    pub const fn observed(name: &'static str, about: &'static str) -> Self {
        Self {
            mark: Mark::Observed,
            name,
            about,
        }
    }

    /// Something that speaks for it without showing it.
    pub const fn unsure(name: &'static str, about: &'static str) -> Self {
        Self {
            mark: Mark::Unsure,
            name,
            about,
        }
    }
}

impl Mark {
    /// The mark's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Observed => "observed",
            Self::Unsure => "unsure",
        }
    }

    /// The mark's letter in the book.
    pub const fn letter(self) -> char {
        match self {
            Self::Documented => 'D',
            Self::Observed => 'O',
            Self::Unsure => 'U',
        }
    }
}

const fn is_refusal(reply: &Reply) -> bool {
    reply.is_temporary() || reply.is_permanent()
}

/// Whether `piece` occurs in `text`, ASCII case aside.
fn contains(text: &str, piece: &str) -> bool {
    text.as_bytes()
        .windows(piece.len())
        .any(|window| window.eq_ignore_ascii_case(piece.as_bytes()))
}
