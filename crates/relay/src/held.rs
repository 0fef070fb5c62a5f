//! Closed gates as a running relay notes them in its spool, for programs beside it.

use jiff::Timestamp;
use sendas_exchange::Scope;
use sendas_spool::{SpoolError, View};
use serde::{Deserialize, Serialize};

use crate::schedule::{Cause, Held};

/// Under which closed gates are noted.
pub(crate) const PREFIX: &str = "gate/";

/// The gates that were closed when the relay noted them last.
#[derive(Clone, Debug, Default)]
pub struct Gates(Vec<Gate>);

#[derive(Clone, Debug)]
struct Gate {
    scope: Scope,
    name: String,
    /// Of a service: whose way it is.
    principals: Vec<String>,
    held: Held,
}

#[derive(Serialize, Deserialize)]
struct Form {
    v: u8,
    reason: String,
    status: String,
    text: String,
    is_reply: bool,
    since: i64,
    until: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    principals: Vec<String>,
}

impl Gates {
    /// Reads them; what cannot be read is left out.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn read(view: &View) -> Result<Self, SpoolError> {
        let notes = view.notes(PREFIX)?;
        Ok(Self(
            notes
                .iter()
                .filter_map(|(key, note)| parse(key, note))
                .collect(),
        ))
    }

    /// What holds a mailbox back, and how far it reaches: the widest that is closed.
    pub fn of(&self, mailbox: &str, principal: Option<&str>) -> Option<(Scope, &Held)> {
        let is_its = |gate: &&Gate| match gate.scope {
            Scope::Service => principal.is_some_and(|p| gate.principals.iter().any(|own| own == p)),
            Scope::Mailbox => gate.name == mailbox,
            _ => principal == Some(&gate.name),
        };
        let width = |gate: &&Gate| match gate.scope {
            Scope::Service => 0,
            Scope::Mailbox => 2,
            _ => 1,
        };
        let gate = self.0.iter().filter(is_its).min_by_key(width)?;
        Some((gate.scope, &gate.held))
    }

    /// Whether none is closed.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub(crate) fn key(scope: Scope, name: &str) -> String {
    format!("{PREFIX}{}/{name}", scope.name())
}

pub(crate) fn to_note(held: &Held, principals: Vec<String>) -> Vec<u8> {
    let form = Form {
        v: 1,
        reason: held.cause.reason.clone(),
        status: held.cause.status.to_string(),
        text: held.cause.text.clone(),
        is_reply: held.cause.is_reply,
        since: held.since.as_millisecond(),
        until: held.until.as_millisecond(),
        principals,
    };
    serde_json::to_vec(&form).expect("texts and numbers always become JSON")
}

fn parse(key: &str, note: &[u8]) -> Option<Gate> {
    let (scope, name) = key.strip_prefix(PREFIX)?.split_once('/')?;
    let scope = [Scope::Mailbox, Scope::Principal, Scope::Service]
        .into_iter()
        .find(|known| known.name() == scope)?;
    let form: Form = serde_json::from_slice(note).ok()?;
    (form.v == 1).then_some(())?;
    Some(Gate {
        scope,
        name: name.to_owned(),
        principals: form.principals,
        held: Held {
            cause: Cause {
                reason: form.reason,
                status: form.status.parse().ok()?,
                text: form.text,
                is_reply: form.is_reply,
            },
            since: Timestamp::from_millisecond(form.since).ok()?,
            until: Timestamp::from_millisecond(form.until).ok()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_and_the_widest_first() {
        let held = |reason: &str| Held {
            cause: Cause {
                reason: reason.to_owned(),
                status: "4.7.0".parse().unwrap(),
                text: "no token".to_owned(),
                is_reply: false,
            },
            since: "2026-11-23T05:00:00Z".parse().unwrap(),
            until: "2026-11-23T05:05:00Z".parse().unwrap(),
        };
        let gates = [
            (Scope::Mailbox, "m@contoso.com", held("m"), Vec::new()),
            (Scope::Principal, "contoso", held("p"), Vec::new()),
            (
                Scope::Service,
                "smtp.example:587",
                held("s"),
                vec!["fabrikam".to_owned()],
            ),
        ];
        let read = gates.iter().map(|(scope, name, held, principals)| {
            parse(&key(*scope, name), &to_note(held, principals.clone())).unwrap()
        });
        let gates = Gates(read.collect());
        for (mailbox, principal, expected) in [
            ("m@contoso.com", None, Some(held("m"))),
            ("m@contoso.com", Some("contoso"), Some(held("p"))),
            ("x@fabrikam.com", Some("fabrikam"), Some(held("s"))),
            ("x@contoso.com", Some("other"), None),
        ] {
            let of = gates.of(mailbox, principal).map(|(_, held)| held.clone());
            assert_eq!(of, expected, "{mailbox} {principal:?}");
        }
        for (key, note) in [
            ("gate/x/y", "{}"),
            ("pace/m", "1:2"),
            ("gate/mailbox/m", "x"),
        ] {
            assert!(parse(key, note.as_bytes()).is_none(), "{key}");
        }
    }
}
