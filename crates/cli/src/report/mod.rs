//! How something that did not work is told.
//!
//! Always in the same order: what did not happen, to which message or mailbox; the service's
//! own words; the likely cause first; how to mend it; one command. For people on standard
//! error, for programs (`--json`) on standard output too.

pub(crate) mod examination;
pub(crate) mod submit;
mod text;
pub(crate) mod token;

use std::time::Duration;

use sendas_tenant::stop::Stop;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output;

/// Who must act, in one word for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The call was wrong.
    Usage,
    /// The configuration is wrong.
    Configuration,
    /// The principal could not prove itself, or may not do this.
    Identity,
    /// The message cannot be sent as it is.
    Message,
    /// The service refused.
    Service,
    /// The service was not reached.
    Network,
    /// This machine would not: files, memory, processes.
    Machine,
}

/// One thing that did not work.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) exit: Exit,
    /// The stable name of the cause, where there is one.
    pub(crate) id: Option<&'static str>,
    /// What did not happen, to which message or mailbox; one sentence without a full stop.
    pub(crate) what: String,
    /// Who said what, word for word.
    pub(crate) quote: Option<Quote>,
    /// Causes, the most likely first.
    pub(crate) causes: Vec<Cause>,
    /// What was seen that speaks for the first cause.
    pub(crate) evidence: Vec<String>,
    /// Whether waiting helps.
    pub(crate) lasting: Option<Lasting>,
    /// How long the service asked to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Whether every cause must be mended, instead of one of them being the true one.
    pub(crate) is_all: bool,
    /// One command to try.
    pub(crate) command: Option<String>,
}

/// Whether waiting helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// It passes by itself.
    Passes,
    /// It stays until somebody changes something.
    UntilChanged,
    /// The same call never succeeds.
    Stays,
}

/// Words of a service.
#[derive(Debug, Clone)]
pub(crate) struct Quote {
    pub(crate) who: &'static str,
    pub(crate) text: String,
}

/// A cause and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) cause: String,
    pub(crate) fix: Option<String>,
}

/// The answer of a command that may fail.
pub(crate) type Outcome = Result<Exit, Box<Failure>>;

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Identity => "identity",
            Self::Message => "message",
            Self::Service => "service",
            Self::Network => "network",
            Self::Machine => "machine",
        }
    }
}

impl Lasting {
    /// One word for programs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Passes => "temporary",
            Self::UntilChanged => "until-changed",
            Self::Stays => "permanent",
        }
    }
}

impl Failure {
    /// Starts a report.
    pub(crate) fn new(kind: Kind, exit: Exit, what: impl Into<String>) -> Self {
        Self {
            kind,
            exit,
            id: None,
            what: what.into(),
            quote: None,
            causes: Vec::new(),
            evidence: Vec::new(),
            lasting: None,
            retry_after: None,
            is_all: false,
            command: None,
        }
    }

    /// A call that was wrong.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, Exit::Usage, what)
    }

    /// A configuration that is wrong.
    pub(crate) fn configuration(what: impl Into<String>) -> Self {
        Self::new(Kind::Configuration, Exit::Usage, what)
    }

    /// Something this machine would not do.
    pub(crate) fn machine(what: impl Into<String>, error: &std::io::Error) -> Self {
        Self::new(Kind::Machine, Exit::Failed, what).cause(error.to_string(), None)
    }

    /// Something this machine would not do, in the words of a library.
    pub(crate) fn machine_trouble(what: impl Into<String>, trouble: impl Into<String>) -> Self {
        Self::new(Kind::Machine, Exit::Failed, what).cause(trouble, None)
    }

    /// Gives it the stable name of its cause.
    pub(crate) fn id(mut self, id: &'static str) -> Self {
        self.id = Some(id);
        if id.starts_with("T-") {
            self.lasting = Some(if Stop::named(id).passes {
                Lasting::Passes
            } else {
                Lasting::UntilChanged
            });
        }
        self
    }

    /// Takes name, cure and duration of what stopped a set-up or a sign-in; `cause` is told first.
    pub(crate) fn stop(mut self, cause: impl Into<String>, stop: &Stop) -> Self {
        self.id = Some(stop.id);
        self.retry_after = stop.retry_after;
        self.lasting = Some(if stop.passes {
            Lasting::Passes
        } else {
            Lasting::UntilChanged
        });
        self.cause(cause, Some(stop.fix.to_owned()))
    }

    /// Says that each of the causes must be mended.
    pub(crate) fn all_causes(mut self) -> Self {
        self.is_all = true;
        self
    }

    /// Adds a cause behind those already there.
    pub(crate) fn cause(mut self, cause: impl Into<String>, fix: Option<String>) -> Self {
        self.causes.push(Cause {
            cause: cause.into(),
            fix,
        });
        self
    }

    /// Adds something that was seen.
    pub(crate) fn evidence(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    /// Quotes a service.
    pub(crate) fn quote(mut self, who: &'static str, text: impl Into<String>) -> Self {
        self.quote = Some(Quote {
            who,
            text: text.into(),
        });
        self
    }

    /// Says whether waiting helps.
    pub(crate) fn lasting(mut self, lasting: Lasting) -> Self {
        self.lasting = Some(lasting);
        self
    }

    /// Names one command to try.
    pub(crate) fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// Tells it: text on standard error, and JSON on standard output when `json`.
    pub(crate) fn tell(&self, json: bool) -> Exit {
        output::say(&text::render(self, output::talk_has_colour()));
        if json {
            drop(output::json(
                &json!({ "ok": false, "error": self.to_json() }),
            ));
        }
        self.exit
    }

    /// The report for programs.
    pub(crate) fn to_json(&self) -> Value {
        let mut value = json!({
            "id": self.id,
            "kind": self.kind.word(),
            "exit_code": self.exit.code(),
            "what": self.what,
            "service": self.quote.as_ref().map(|quote| json!({
                "name": quote.who,
                "text": quote.text,
            })),
            "causes": self.causes.iter().map(|cause| json!({
                "cause": cause.cause,
                "fix": cause.fix,
            })).collect::<Vec<_>>(),
            "evidence": self.evidence,
            "lasting": self.lasting.map(Lasting::word),
            "command": self.command,
        });
        // Members that only some failures have.
        if let Some(after) = self.retry_after {
            value["retry_after_s"] = json!(after.as_secs());
        }
        if self.is_all {
            value["all_causes"] = json!(true);
        }
        value
    }
}

/// Turns an error and its sources into one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
