//! The credentials of an application as Entra tells them: until when each acts, and which one is in
//! use here.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::graph::{Application, FederatedCredential, Graph};
use crate::limits::{END_DAYS_SOON, END_DAYS_URGENT};
use crate::trouble::CallError;

/// What this machine knows of the credential it uses.
#[derive(Clone, Copy)]
pub enum Own<'a> {
    /// A certificate with this thumbprint (SHA-1, upper-case hex).
    Certificate(&'a str),
    /// A secret.
    Secret {
        /// Its id in Entra, where a record has it.
        key_id: Option<&'a str>,
        /// Whether the secret's text begins so.
        begins_with: &'a (dyn Fn(&str) -> bool + Sync),
    },
    /// Tokens of a foreign issuer.
    Federated {
        /// Their issuer.
        issuer: &'a str,
        /// Their subject.
        subject: &'a str,
    },
    /// Nothing is known.
    Unknown,
}

/// One credential of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What it is.
    pub kind: ListedKind,
    /// Its id in Entra.
    pub key_id: String,
    /// Its label.
    pub label: String,
    /// The beginning of its life; none for a foreign issuer.
    pub start: Option<Timestamp>,
    /// The end of its life; none for a foreign issuer, whose tokens have their own.
    pub end: Option<Timestamp>,
    /// Whether it is the one in use here.
    pub in_use: InUse,
}

/// What a listed credential is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListedKind {
    /// A client secret.
    Secret {
        /// Its first characters, as Entra shows them.
        hint: Option<String>,
    },
    /// A certificate.
    Certificate {
        /// SHA-1 thumbprint in upper-case hex.
        thumbprint: String,
    },
    /// A foreign issuer.
    Federated {
        /// The issuer.
        issuer: String,
        /// The subject.
        subject: String,
    },
}

/// Whether a credential is the one in use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InUse {
    /// It is.
    Yes,
    /// It begins as the one in use does, and so does another.
    Maybe,
    /// It is not.
    No,
}

/// How near the end of a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// It has no end of its own, or more than [`END_DAYS_SOON`] days are left.
    Far,
    /// It has not begun.
    NotYet,
    /// At most [`END_DAYS_SOON`] days are left.
    Soon,
    /// At most [`END_DAYS_URGENT`] days are left.
    Urgent,
    /// It is over.
    Ended,
}

/// Reads the credentials of the application with this client id; none when the tenant has no such
/// application.
///
/// # Errors
/// [`CallError`].
pub async fn read(
    graph: &Graph,
    client_id: &str,
    own: Own<'_>,
) -> Result<Option<Vec<Listed>>, CallError> {
    let key = format!("appId={client_id}");
    let Some(application) = graph.application(&key).await? else {
        return Ok(None);
    };
    let federated = graph.federated(&application.id).await?;
    Ok(Some(listed(&application, federated, own)))
}

/// Sorted: in use first, then by their end.
fn listed(
    application: &Application,
    federated: Vec<FederatedCredential>,
    own: Own<'_>,
) -> Vec<Listed> {
    let mut all = Vec::new();
    for found in &application.password_credentials {
        let is_own = match own {
            Own::Secret {
                key_id: Some(key_id),
                ..
            } => found.key_id == key_id,
            Own::Secret { begins_with, .. } => found
                .hint
                .as_deref()
                .is_some_and(|hint| !hint.is_empty() && begins_with(hint)),
            _ => false,
        };
        all.push(Listed {
            kind: ListedKind::Secret {
                hint: found.hint.clone(),
            },
            key_id: found.key_id.clone(),
            label: found.display_name.clone().unwrap_or_default(),
            start: found.start_date_time,
            end: found.end_date_time,
            in_use: if is_own { InUse::Yes } else { InUse::No },
        });
    }
    if all
        .iter()
        .filter(|found| found.in_use == InUse::Yes)
        .count()
        > 1
    {
        for found in all.iter_mut().filter(|found| found.in_use == InUse::Yes) {
            found.in_use = InUse::Maybe;
        }
    }
    for found in application.certificates() {
        let is_own = matches!(own, Own::Certificate(own) if own == found.thumbprint);
        all.push(Listed {
            kind: ListedKind::Certificate {
                thumbprint: found.thumbprint,
            },
            key_id: found.key_id,
            label: found.display_name,
            start: found.start,
            end: found.end,
            in_use: if is_own { InUse::Yes } else { InUse::No },
        });
    }
    for found in federated {
        // Compared with its case, as Entra does.
        let is_own = matches!(own, Own::Federated { issuer, subject }
            if issuer == found.issuer && subject == found.subject);
        all.push(Listed {
            kind: ListedKind::Federated {
                issuer: found.issuer,
                subject: found.subject,
            },
            key_id: found.id,
            label: found.name,
            start: None,
            end: None,
            in_use: if is_own { InUse::Yes } else { InUse::No },
        });
    }
    all.sort_by_key(|found| {
        (
            found.in_use == InUse::No,
            found.end.unwrap_or(Timestamp::MAX),
        )
    });
    all
}

impl Listed {
    /// How near its end is.
    pub fn life(&self, now: Timestamp) -> Life {
        if self.end.is_some_and(|end| end <= now) {
            Life::Ended
        } else if self.start.is_some_and(|start| start > now) {
            Life::NotYet
        } else {
            life(self.end, now)
        }
    }

    /// As JSON.
    pub fn json(&self, now: Timestamp) -> Value {
        let (kind, hint, thumbprint, issuer, subject) = match &self.kind {
            ListedKind::Secret { hint } => ("secret", hint.as_ref(), None, None, None),
            ListedKind::Certificate { thumbprint } => {
                ("certificate", None, Some(thumbprint), None, None)
            }
            ListedKind::Federated { issuer, subject } => {
                ("federated", None, None, Some(issuer), Some(subject))
            }
        };
        json!({
            "kind": kind, "key_id": self.key_id, "label": self.label, "hint": hint,
            "thumbprint": thumbprint, "issuer": issuer, "subject": subject,
            "start": self.start.map(|at| at.to_string()),
            "end": self.end.map(|at| at.to_string()),
            "days_left": self.end.map(|end| days_left(end, now)),
            "life": self.life(now).name(),
            "in_use": match self.in_use {
                InUse::Yes => json!(true),
                InUse::Maybe => json!("maybe"),
                InUse::No => json!(false),
            },
        })
    }
}

/// How near this end is.
pub fn life(end: Option<Timestamp>, now: Timestamp) -> Life {
    let Some(end) = end else { return Life::Far };
    let left = days_left(end, now);
    if end <= now {
        Life::Ended
    } else if left <= END_DAYS_URGENT {
        Life::Urgent
    } else if left <= END_DAYS_SOON {
        Life::Soon
    } else {
        Life::Far
    }
}

/// Whole days until this end; negative after it.
pub fn days_left(end: Timestamp, now: Timestamp) -> i64 {
    (end.as_second() - now.as_second()).div_euclid(86_400)
}

impl Life {
    /// `valid`, `not-yet`, `soon`, `urgent` or `ended`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Far => "valid",
            Self::NotYet => "not-yet",
            Self::Soon => "soon",
            Self::Urgent => "urgent",
            Self::Ended => "ended",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application() -> Application {
        serde_json::from_value(json!({
            "id": "o", "appId": "c",
            "passwordCredentials": [
                { "keyId": "s1", "hint": "abc", "endDateTime": "2027-01-01T00:00:00Z" },
                { "keyId": "s2", "hint": "abd", "endDateTime": "2026-12-01T00:00:00Z" },
                { "keyId": "s3", "hint": "abc", "endDateTime": "2026-11-24T00:00:00Z" },
                { "keyId": "s4", "hint": null },
            ],
            "keyCredentials": [
                { "keyId": "k1", "customKeyIdentifier": "A".repeat(40), "displayName": "one" },
                { "keyId": "k2", "customKeyIdentifier": "B".repeat(40), "displayName": "two" },
            ],
        }))
        .unwrap()
    }

    fn federated() -> Vec<FederatedCredential> {
        serde_json::from_value(json!([
            { "id": "f1", "name": "n", "issuer": "https://i", "subject": "S" },
        ]))
        .unwrap()
    }

    fn found(own: Own<'_>) -> Vec<(String, InUse)> {
        listed(&application(), federated(), own)
            .into_iter()
            .filter(|found| found.in_use != InUse::No)
            .map(|found| (found.key_id, found.in_use))
            .collect()
    }

    #[test]
    fn the_one_in_use_is_found_by_what_is_known_of_it() {
        let text = "abdefg";
        let begins = |hint: &str| text.starts_with(hint);
        let one = |key_id: &str| vec![(key_id.to_owned(), InUse::Yes)];
        let secret = |key_id| Own::Secret {
            key_id,
            begins_with: &begins,
        };
        assert_eq!(found(secret(None)), one("s2"));
        assert_eq!(found(secret(Some("s4"))), one("s4"));
        let double = |hint: &str| "abcxyz".starts_with(hint);
        let maybe = found(Own::Secret {
            key_id: None,
            begins_with: &double,
        });
        assert_eq!(
            maybe,
            [
                ("s3".to_owned(), InUse::Maybe),
                ("s1".to_owned(), InUse::Maybe)
            ]
        );
        assert_eq!(found(Own::Certificate(&"B".repeat(40))), one("k2"));
        let foreign = |subject| Own::Federated {
            issuer: "https://i",
            subject,
        };
        assert_eq!(found(foreign("S")), one("f1"));
        assert_eq!(found(foreign("s")), []);
        assert_eq!(found(Own::Unknown), []);
    }

    #[test]
    fn ends_are_told_in_days() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for (end, left, expected) in [
            ("2027-11-23T12:00:00Z", 365, Life::Far),
            ("2026-12-24T12:00:00Z", 31, Life::Far),
            ("2026-12-24T11:59:59Z", 30, Life::Soon),
            ("2026-12-01T12:00:00Z", 8, Life::Soon),
            ("2026-11-30T12:00:00Z", 7, Life::Urgent),
            ("2026-11-23T12:00:01Z", 0, Life::Urgent),
            ("2026-11-23T12:00:00Z", 0, Life::Ended),
            ("2026-11-23T11:00:00Z", -1, Life::Ended),
        ] {
            let end: Timestamp = end.parse().unwrap();
            assert_eq!(days_left(end, now), left, "{end}");
            assert_eq!(life(Some(end), now), expected, "{end}");
        }
        assert_eq!(life(None, now), Life::Far);
    }
}
