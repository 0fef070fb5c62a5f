//! Faults: what the control asks to go wrong, at which step, how often.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::chance::Chance;
use crate::limits;

/// A step of a protocol at which a fault can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// SMTP: a connection was accepted.
    Connect,
    /// SMTP: the greeting is due.
    Greeting,
    /// SMTP: EHLO or HELO.
    Ehlo,
    /// SMTP: the STARTTLS command.
    Starttls,
    /// SMTP: the TLS handshake.
    Tls,
    /// SMTP: AUTH, or the answer to its challenge.
    Auth,
    /// SMTP: MAIL FROM.
    Mail,
    /// SMTP: RCPT TO.
    Rcpt,
    /// SMTP: the DATA command.
    Data,
    /// SMTP: octets of a message, by DATA or BDAT.
    Body,
    /// SMTP: the message has ended, the final reply is due.
    End,
    /// SMTP: QUIT.
    Quit,
    /// Entra: a token request.
    Token,
    /// Entra: OpenID metadata and instance discovery.
    Metadata,
    /// Entra: the key set.
    Jwks,
    /// Entra: pages and endpoints of a person's sign-in.
    SignIn,
    /// Microsoft Graph.
    Graph,
    /// The Exchange admin interface.
    ExchangeAdmin,
}

impl Step {
    /// Whether the step belongs to SMTP; the others are HTTP requests.
    pub(crate) fn is_smtp(self) -> bool {
        self <= Self::Quit
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// SMTP: this reply instead of the right one.
    Reply {
        /// The reply code, 200 to 599. `421` closes the connection.
        code: u16,
        /// The text, with the enhanced code if there is to be one; lines are split at line feeds.
        text: String,
    },
    /// HTTP: this answer instead of the right one.
    Answer {
        /// The HTTP status.
        status: u16,
        /// Header fields.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body, as it is.
        #[serde(default)]
        body: String,
    },
    /// HTTP: Entra's error answer with this number.
    Aadsts {
        /// The AADSTS number.
        code: u32,
        /// The HTTP status.
        #[serde(default = "bad_request")]
        status: u16,
        /// The OAuth error.
        #[serde(default = "temporarily")]
        error: String,
        /// `Retry-After` in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u32>,
    },
    /// HTTP: `429` with `Retry-After`.
    Throttle {
        /// `Retry-After` in seconds.
        retry_after_s: u32,
    },
    /// The right answer, later.
    Delay {
        /// How much later, in milliseconds.
        ms: u64,
    },
    /// The connection is closed without an answer.
    Close,
    /// The connection is reset (RST).
    Reset,
    /// No answer ever; the connection stays open.
    Stall,
    /// Octets that are no answer: a non-SMTP line, or broken JSON.
    Garbage,
    /// An answer of this many octets.
    Oversize {
        /// Its length in octets.
        octets: u64,
    },
    /// SMTP at `end`, and HTTP: what was asked is done, then the connection is closed without the
    /// answer.
    AcceptThenClose,
    /// HTTP: what was asked is done, then this is answered: an error that follows an accepted
    /// write.
    AcceptThenAnswer {
        /// The HTTP status.
        status: u16,
        /// Header fields.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body, as it is.
        #[serde(default)]
        body: String,
    },
}

fn bad_request() -> u16 {
    400
}

fn temporarily() -> String {
    "temporarily_unavailable".into()
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Number given by the sandbox.
    #[serde(default, skip_deserializing)]
    pub id: u64,
    /// Where it strikes.
    pub at: Step,
    /// What goes wrong.
    pub effect: Effect,
    /// How often it strikes before it is gone; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// How many times the step passes unharmed first.
    #[serde(default)]
    pub after: u32,
    /// Only for this mailbox (SMTP, from AUTH on), client id (token requests), method and path
    /// (`graph`: `POST /v1.0/applications`) or cmdlet (`exchange-admin`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// Strikes in this many of 100 cases, by the seed.
    #[serde(default = "always")]
    pub percent: u8,
}

fn always() -> u8 {
    100
}

impl Fault {
    /// A fault that strikes once.
    pub fn once(at: Step, effect: Effect) -> Self {
        Self {
            id: 0,
            at,
            effect,
            count: Some(1),
            after: 0,
            only: None,
            percent: 100,
        }
    }

    /// A fault that strikes until it is cleared.
    pub fn always(at: Step, effect: Effect) -> Self {
        Self {
            count: None,
            ..Self::once(at, effect)
        }
    }

    fn problem(&self) -> Option<String> {
        let smtp = self.at.is_smtp();
        match &self.effect {
            Effect::Reply { .. } if !smtp => Some("this effect needs an SMTP step".into()),
            Effect::Answer { .. }
            | Effect::Aadsts { .. }
            | Effect::Throttle { .. }
            | Effect::AcceptThenAnswer { .. }
                if smtp =>
            {
                Some("this effect needs an HTTP step".into())
            }
            Effect::AcceptThenClose if smtp && self.at != Step::End => {
                Some("`accept-then-close` strikes at `end`, or at an HTTP step".into())
            }
            Effect::Reply { code, .. } if !(200..=599).contains(code) => {
                Some(format!("{code} is no reply code"))
            }
            Effect::Reply { text, .. } if text.contains('\r') => {
                Some("a reply's text must not contain a carriage return".into())
            }
            Effect::Answer { status, .. }
            | Effect::Aadsts { status, .. }
            | Effect::AcceptThenAnswer { status, .. }
                if !(200..=599).contains(status) =>
            {
                Some(format!("{status} is no final HTTP status"))
            }
            _ if self.count == Some(0) => Some("`count` must be at least 1".into()),
            _ if self.percent > 100 => Some("`percent` must be from 0 to 100".into()),
            _ => None,
        }
    }
}

/// Why a fault was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The fault makes no sense at its step.
    #[error("the fault was refused: {0}")]
    Refused(String),
    /// Too many faults wait already.
    #[error("{} faults wait already", limits::FAULTS_MAX)]
    TooMany,
}

/// The faults that wait.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    made: u64,
    faults: Vec<Fault>,
}

impl Faults {
    /// Adds a fault and answers it with its number.
    pub(crate) fn add(&self, mut fault: Fault) -> Result<Fault, FaultError> {
        if let Some(problem) = fault.problem() {
            return Err(FaultError::Refused(problem));
        }
        let mut waiting = self.lock();
        if waiting.faults.len() >= limits::FAULTS_MAX {
            return Err(FaultError::TooMany);
        }
        waiting.made += 1;
        fault.id = waiting.made;
        waiting.faults.push(fault.clone());
        Ok(fault)
    }

    /// What waits.
    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().faults.clone()
    }

    /// Removes one fault, or all; answers how many are gone.
    pub(crate) fn clear(&self, id: Option<u64>) -> usize {
        let faults = &mut self.lock().faults;
        let before = faults.len();
        faults.retain(|fault| id.is_some_and(|id| fault.id != id));
        before - faults.len()
    }

    /// The fault that strikes at this step, if one does: the oldest that matches.
    pub(crate) fn strike(
        &self,
        at: Step,
        whom: impl FnOnce() -> Option<String>,
        chance: &Chance,
    ) -> Option<Fault> {
        let faults = &mut self.lock().faults;
        if faults.is_empty() {
            return None;
        }
        let whom = whom();
        let whom = whom.as_deref();
        let index = faults.iter_mut().position(|fault| {
            let meant = fault.at == at
                && fault
                    .only
                    .as_deref()
                    .is_none_or(|only| whom.is_some_and(|whom| only.eq_ignore_ascii_case(whom)));
            if meant && fault.after > 0 {
                fault.after -= 1;
                return false;
            }
            meant && (fault.percent == 100 || chance.happens(fault.percent))
        })?;
        let struck = faults[index].clone();
        if let Some(count) = &mut faults[index].count {
            *count -= 1;
            if *count == 0 {
                faults.remove(index);
            }
        }
        Some(struck)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_waits_its_turn_strikes_its_count_and_is_gone() {
        let (faults, chance) = (Faults::default(), Chance::seeded(1));
        faults
            .add(Fault {
                count: Some(2),
                after: 1,
                ..Fault::once(Step::Mail, Effect::Close)
            })
            .unwrap();
        let struck: Vec<bool> = (0..5)
            .map(|_| faults.strike(Step::Mail, || None, &chance).is_some())
            .collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_fault_meant_for_one_strikes_no_other() {
        let (faults, chance) = (Faults::default(), Chance::seeded(1));
        let only = Some("a@b.example".to_owned());
        faults
            .add(Fault {
                only,
                ..Fault::always(Step::Mail, Effect::Stall)
            })
            .unwrap();
        assert!(faults.strike(Step::Mail, || None, &chance).is_none());
        assert!(
            faults
                .strike(Step::Mail, || Some("c@b.example".into()), &chance)
                .is_none()
        );
        assert!(
            faults
                .strike(Step::Rcpt, || Some("a@b.example".into()), &chance)
                .is_none()
        );
        assert!(
            faults
                .strike(Step::Mail, || Some("A@B.example".into()), &chance)
                .is_some()
        );
        assert_eq!(faults.clear(None), 1);
    }

    #[test]
    fn senseless_faults_are_refused() {
        let faults = Faults::default();
        for fault in [
            Fault::once(
                Step::Token,
                Effect::Reply {
                    code: 451,
                    text: String::new(),
                },
            ),
            Fault::once(Step::Mail, Effect::Throttle { retry_after_s: 1 }),
            Fault::once(Step::Mail, Effect::AcceptThenClose),
            Fault::once(
                Step::Mail,
                Effect::Reply {
                    code: 99,
                    text: String::new(),
                },
            ),
            Fault {
                count: Some(0),
                ..Fault::once(Step::Mail, Effect::Close)
            },
        ] {
            assert!(faults.add(fault.clone()).is_err(), "{fault:?}");
        }
    }
}
