//! Why a message stands where it stands, in plain words: what happened, what comes next, and
//! who can do something about it. Pure.

use jiff::Timestamp;
use sendas_exchange::catalogue::find;
use sendas_exchange::{Explanation, Persistence, Scope, Subjects, explain};
use sendas_smtp::Reply;
use sendas_smtp::client::Stage;
use sendas_spool::{Delivery, RecipientState, State, Summary};

use crate::clock;

/// The reason for where a message or a recipient stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    /// What is the matter.
    pub(crate) text: String,
    /// What happens next, and when.
    pub(crate) next: String,
    /// Who can do something.
    pub(crate) who: String,
    /// The catalogue's name of the cause.
    pub(crate) id: Option<&'static str>,
    /// What they can do.
    pub(crate) fix: Option<String>,
}

/// Where in the dialogue a reply may have come, the most telling first.
const STAGES: [Stage; 7] = [
    Stage::End,
    Stage::Rcpt,
    Stage::Mail,
    Stage::Auth,
    Stage::Body,
    Stage::SecureEhlo,
    Stage::Greeting,
];

/// Why a message stands where it stands: its most urgent recipient speaks for it.
pub(crate) fn of_message(summary: &Summary, now: Timestamp) -> Why {
    let id = summary.id;
    match summary.state {
        State::Claimed => plain(
            format!("it is being sent now, attempt {}", summary.attempts),
            "the service's reply decides".to_owned(),
            "nobody needs to",
        ),
        State::Removed => plain(
            "it was removed by hand".to_owned(),
            match summary.due {
                Some(due) => format!("it is gone for good at {}", time(due)),
                None => "it is gone for good soon".to_owned(),
            },
            "you",
        )
        .with_fix(format!("sendas queue release {id} brings it back")),
        State::Settled => plain(
            "every recipient has its outcome".to_owned(),
            "nothing".to_owned(),
            "nobody",
        ),
        State::Damaged => plain(
            format!(
                "its record or body does not match its checksum: {}",
                summary.damage.as_deref().unwrap_or("set aside")
            ),
            "nothing happens by itself; it is never sent".to_owned(),
            "you",
        )
        .with_fix(format!(
            "restore it from a backup, or forget it with sendas queue remove {id}"
        )),
        State::Waiting | State::Held | State::Suspect => {
            let wanted = match summary.state {
                State::Held => RecipientState::Held,
                State::Suspect => RecipientState::Suspect,
                _ => RecipientState::Waiting,
            };
            summary
                .deliveries
                .iter()
                .filter(|delivery| delivery.state == wanted)
                .min_by_key(|delivery| delivery.due.unwrap_or(Timestamp::MAX))
                .map_or_else(
                    || waiting_unasked(summary.due, now),
                    |delivery| of_delivery(summary, delivery, now),
                )
        }
        _ => plain(summary.state.to_string(), String::new(), "you"),
    }
}

/// Why one recipient stands where it stands.
pub(crate) fn of_delivery(summary: &Summary, delivery: &Delivery, now: Timestamp) -> Why {
    let id = summary.id;
    match delivery.state {
        RecipientState::Waiting if delivery.reply.is_empty() && delivery.reason.is_empty() => {
            waiting_unasked(delivery.due, now)
        }
        RecipientState::Waiting => of_reply(summary, delivery, next_attempt(delivery.due, now)),
        RecipientState::Suspect => plain(
            "the connection broke after the last octet: the service may or may not have it"
                .to_owned(),
            "nothing until somebody decides".to_owned(),
            "you",
        )
        .with_fix(format!(
            "sendas queue retry {id} sends it again and may duplicate it; sendas queue remove {id} gives it up"
        )),
        RecipientState::Held if delivery.reason == "unsendable" => plain(
            format!("it cannot be sent as it is: {}", delivery.reply),
            "nothing happens by itself".to_owned(),
            "you",
        )
        .with_fix(format!(
            "sendas queue show {id} --body saves it; sendas queue bounce {id} gives it up and tells its sender"
        )),
        RecipientState::Held => {
            let reason = if delivery.reason.is_empty() {
                "held".to_owned()
            } else {
                format!("held: {}", delivery.reason)
            };
            let next = match delivery.due {
                Some(due) => format!("it goes on by itself at {}", time(due)),
                None => "nothing until it is released".to_owned(),
            };
            let held = plain(reason, next, "you").with_fix(format!("sendas queue release {id}"));
            if delivery.reply.is_empty() {
                return held;
            }
            // What led to it is the better text; letting it go stays the way out.
            let cause = of_reply(summary, delivery, held.next.clone());
            Why {
                text: format!("{}; {}", held.text, cause.text),
                fix: match (cause.fix, held.fix) {
                    (Some(first), Some(then)) => Some(format!("{first}; then {then}")),
                    (first, then) => first.or(then),
                },
                ..cause
            }
        }
        RecipientState::Refused => of_reply(summary, delivery, "nothing: it is final".to_owned()),
        RecipientState::Accepted => plain(
            "the service has taken it".to_owned(),
            "nothing".to_owned(),
            "nobody needs to",
        ),
        RecipientState::Removed => plain(
            "it was removed by hand".to_owned(),
            "nothing".to_owned(),
            "you",
        ),
        _ => plain(delivery.state.to_string(), String::new(), "you"),
    }
}

/// The words of the catalogue for the last reply; else the reply's own.
fn of_reply(summary: &Summary, delivery: &Delivery, next: String) -> Why {
    let explanation = match parse(&delivery.reply) {
        Some(reply) => best(&reply),
        // The relay names the cause by the catalogue's word where it keeps no reply.
        None => match find(&delivery.reason).filter(|_| delivery.reply.is_empty()) {
            Some(entry) => Explanation::from(entry),
            None => return of_word(delivery, next),
        },
    };
    let from = summary.sender.as_str();
    let subjects = Subjects {
        mailbox: Some(&summary.mailbox),
        from: (!from.is_empty()).then_some(from),
        ..Subjects::default()
    };
    let cause = match explanation.causes {
        [only] => format!(": {}", only.text),
        _ => String::new(),
    };
    Why {
        text: format!("{}{cause}", explanation.title),
        next,
        who: who(&explanation).to_owned(),
        id: Some(explanation.id),
        fix: Some(match explanation.command_for(&subjects) {
            Some(command) => format!("{}: {command}", explanation.fix.advice),
            None => explanation.fix.advice.to_owned(),
        }),
    }
}

/// What stands for a reply where the service has said nothing.
fn of_word(delivery: &Delivery, next: String) -> Why {
    let (text, who, fix) = match delivery.reason.as_str() {
        "" => ("no reason was noted", "whoever runs this machine", None),
        "token" => (
            "Entra ID gives no token",
            "whoever runs this machine",
            Some("sendas doctor tells why"),
        ),
        "tls" => (
            "the TLS connection to the service failed",
            "whoever runs this network",
            Some("sendas doctor tells why"),
        ),
        "connection" => (
            "the service was not reached, or the connection broke",
            "whoever runs this network",
            Some("sendas doctor tells why"),
        ),
        "storage" => (
            "it could not be read from the spool",
            "whoever runs this machine",
            Some("look at the disk of the spool and at the relay's log"),
        ),
        "no-principal" => (
            "no principal of the configuration sends for its mailbox",
            "whoever runs this machine",
            Some("add the mailbox to a principal's `mailboxes`, or remove the message"),
        ),
        other => (other, "whoever runs this machine", None),
    };
    let text = if delivery.reply.is_empty() {
        text.to_owned()
    } else {
        one_line(&delivery.reply)
    };
    let why = plain(text, next, who);
    match fix {
        Some(fix) => why.with_fix(fix.to_owned()),
        None => why,
    }
}

/// The explanation at the stage at which the catalogue knows the reply.
fn best(reply: &Reply) -> Explanation {
    STAGES
        .iter()
        .map(|&stage| explain(stage, reply))
        .find(Explanation::is_listed)
        .unwrap_or_else(|| explain(Stage::End, reply))
}

/// Who can end the wait.
const fn who(explanation: &Explanation) -> &'static str {
    match (explanation.persistence, explanation.scope) {
        (Persistence::Temporary { .. }, _) => "nobody needs to: it passes by itself",
        (_, Scope::Principal | Scope::Tenant) => "an administrator of the tenant",
        (Persistence::NeedsAdministrator { .. }, Scope::Service) => "whoever runs this network",
        (Persistence::NeedsAdministrator { .. }, _) | (_, Scope::Mailbox) => {
            "an Exchange administrator"
        }
        _ => "the sender",
    }
}

/// A reply as the spool keeps it, code included.
fn parse(text: &str) -> Option<Reply> {
    let code: u16 = text.get(..3)?.parse().ok()?;
    let rest = text.get(3..)?;
    let fits = (200..=599).contains(&code) && (rest.is_empty() || rest.starts_with([' ', '-']));
    fits.then(|| {
        let clean: String = rest
            .chars()
            .skip(1)
            .filter(|c| !"\r\0".contains(*c))
            .collect();
        Reply::new(code, clean)
    })
}

fn waiting_unasked(due: Option<Timestamp>, now: Timestamp) -> Why {
    match due {
        Some(due) if due > now => plain(
            "it has not been tried yet".to_owned(),
            format!("the first attempt is at {}", time(due)),
            "nobody needs to",
        ),
        _ => plain(
            "it has not been tried yet".to_owned(),
            "it is due: a running relay takes it as soon as its mailbox is free".to_owned(),
            "nobody needs to while a relay runs",
        ),
    }
}

fn next_attempt(due: Option<Timestamp>, now: Timestamp) -> String {
    match due {
        Some(due) if due > now => format!("the next attempt is at {}", time(due)),
        _ => "the next attempt is due".to_owned(),
    }
}

fn plain(text: String, next: String, who: &str) -> Why {
    Why {
        text,
        next,
        who: who.to_owned(),
        id: None,
        fix: None,
    }
}

impl Why {
    fn with_fix(mut self, fix: String) -> Self {
        self.fix = Some(fix);
        self
    }

    /// Everything in one line, for lists.
    pub(crate) fn line(&self) -> String {
        let mut line = self.text.clone();
        if !self.next.is_empty() {
            line.push_str("; ");
            line.push_str(&self.next);
        }
        line
    }
}

fn time(time: Timestamp) -> String {
    clock::whole_seconds(time).to_string()
}

/// Text of several lines in one.
pub(crate) fn one_line(text: &str) -> String {
    text.split(['\r', '\n'])
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
