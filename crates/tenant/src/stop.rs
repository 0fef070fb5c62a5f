//! What stops a set-up or a sign-in, under stable names for scripts and for people.

use std::time::Duration;

use sendas_entra::{HttpError, aadsts};

use crate::apply::SetupError;
use crate::doctor::{cause, cause_of};
use crate::sign_in::SignInError;
use crate::state::StateError;
use crate::trouble::{CallError, Service, Trouble};

/// What is told of a stop besides its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The stable name: `T-…` for the tenant side, `S-…` for a cause that the doctor knows too.
    pub id: &'static str,
    /// What mends it.
    pub fix: &'static str,
    /// Whether it passes by itself.
    pub passes: bool,
    /// How long the service asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// Name, whether it passes by itself, and what mends it.
pub const STOPS: &[(&str, bool, &str)] = &[
    ("T-OPTION", false, "mend the option"),
    (
        "T-TENANT-UNNAMED",
        false,
        "add --tenant contoso.com, or --state FILE",
    ),
    (
        "T-TENANT-WRONG",
        false,
        "sign in to the tenant that was named, or name the one of the sign-in with --tenant",
    ),
    (
        "T-TOKENS-FILE",
        false,
        "write a JSON object with the texts graph and exchange into the file of --admin-tokens",
    ),
    ("T-NOT-AGREED", false, "add --yes"),
    (
        "T-CONFIGURATION",
        false,
        "mend the configuration file: sendas config check",
    ),
    ("T-CREDENTIAL-UNKNOWN", false, "name the credential"),
    ("T-STATE-OTHER", false, "name another file with --state"),
    (
        "T-STATE-MISSING",
        false,
        "name the file of the set-up with --state",
    ),
    ("T-STATE-BUSY", true, "wait until the other run has ended"),
    (
        "T-STATE-UNUSABLE",
        false,
        "see that the state file can be read and written, and is one of a set-up",
    ),
    (
        "T-STORE",
        false,
        "see that the place of keys and secrets can be written, or name another one with --secrets-folder",
    ),
    ("T-KEY", false, "use --credential secret"),
    (
        "T-BLOCKED",
        false,
        "mend what blocks the plan; sendas setup plan lists it",
    ),
    (
        "T-NOT-SHOWN",
        true,
        "run the same command again in a few minutes",
    ),
    (
        "T-GRAPH-UNREACHABLE",
        true,
        "see that this machine reaches Microsoft Graph on TCP port 443, directly or by HTTPS_PROXY",
    ),
    (
        "T-EXCHANGE-UNREACHABLE",
        true,
        "see that this machine reaches the Exchange admin interface on TCP port 443, directly or by HTTPS_PROXY",
    ),
    ("T-TOKEN-REFUSED", false, "sign in again"),
    (
        "T-RIGHTS-MISSING",
        false,
        "let an administrator with the right do it",
    ),
    (
        "T-ROLE-MISSING",
        false,
        "let a member of Organization Management do it",
    ),
    (
        "T-POLICY",
        false,
        "use --credential certificate, or ask for an exception",
    ),
    (
        "T-THROTTLED",
        true,
        "wait, then run the same command again: it goes on where it stopped",
    ),
    (
        "T-SERVICE-TROUBLE",
        true,
        "run the same command again later: it goes on where it stopped",
    ),
    (
        "T-NOT-REPLICATED",
        true,
        "run the same command again in a few minutes: it goes on where it stopped",
    ),
    ("T-REFUSED", false, "read the service's own words"),
    (
        "T-NOT-UNDERSTOOD",
        false,
        "see who answers in place of the service, then run the same command again",
    ),
    (
        "T-SIGN-IN-LISTEN",
        false,
        "use --device-code, or --admin-tokens",
    ),
    (
        "T-SIGN-IN-LATE",
        true,
        "run the same command again, and sign in within the time",
    ),
    ("T-SIGN-IN-FLOODED", true, "run the same command again"),
    (
        "T-SIGN-IN-DECLINED",
        true,
        "run the same command again and accept; nothing is asked for that the set-up does not need",
    ),
    (
        "T-SIGN-IN-CONSENT",
        false,
        "sign in as an administrator who may consent",
    ),
    (
        "T-SIGN-IN-POLICY",
        false,
        "sign in as the policy wants it, or use --admin-tokens",
    ),
];

impl Stop {
    /// The stop of this name.
    ///
    /// # Panics
    /// When the table has no such name.
    pub fn named(id: &'static str) -> Self {
        let (id, passes, fix) = STOPS
            .iter()
            .find(|(known, _, _)| *known == id)
            .expect("every name is in the table");
        Self {
            id,
            fix,
            passes: *passes,
            retry_after: None,
        }
    }

    /// A stop of the doctor's name.
    fn of_cause(id: &'static str, passes: bool) -> Self {
        Self {
            id,
            fix: cause::all()
                .find(|cause| cause.id == id)
                .map_or("", |cause| cause.fix.advice),
            passes,
            retry_after: None,
        }
    }

    /// The stop of a request that got no answer.
    fn of_way(error: &HttpError, unreachable: Self) -> Self {
        match error {
            HttpError::Tls { .. } => Self::of_cause("S-TLS-UNTRUSTED", false),
            HttpError::Trust(_) => Self::of_cause("S-TRUST-ROOTS", false),
            HttpError::Proxy { .. } => Self::of_cause("S-PROXY-REFUSED", false),
            HttpError::Redirect { .. } | HttpError::TooLarge { .. } | HttpError::Encoded { .. } => {
                Self::of_cause("S-STRANGER-ANSWERS", false)
            }
            _ => unreachable,
        }
    }

    /// What a refusal of the sign-in by these AADSTS numbers is.
    fn of_codes(codes: &[u32]) -> Option<Self> {
        codes.iter().find_map(|code| match code {
            53_003 | 530_032 | 530_035 => Some(Self::named("T-SIGN-IN-POLICY")),
            65_001 | 65_002 | 90_094 => Some(Self::named("T-SIGN-IN-CONSENT")),
            65_004 => Some(Self::named("T-SIGN-IN-DECLINED")),
            _ => cause_of(*code).map(|id| {
                let known = aadsts::lookup(*code);
                Self {
                    fix: known.map_or("read Entra's own words", |known| {
                        known.fix.trim_end_matches('.')
                    }),
                    ..Self::of_cause(id, known.is_some_and(aadsts::Aadsts::is_temporary))
                }
            }),
        })
    }
}

impl CallError {
    /// Its stable name, what mends it, and whether it passes.
    pub fn stop(&self) -> Stop {
        let mut stop = match self {
            Self::NoAnswer {
                service, source, ..
            } => Stop::of_way(
                source,
                Stop::named(match service {
                    Service::Graph => "T-GRAPH-UNREACHABLE",
                    Service::Exchange => "T-EXCHANGE-UNREACHABLE",
                }),
            ),
            Self::NotUnderstood { .. } => Stop::named("T-NOT-UNDERSTOOD"),
            Self::Refused(refused) => Stop {
                retry_after: refused.retry_after,
                ..Stop::named(match refused.trouble {
                    Trouble::Unauthorized => "T-TOKEN-REFUSED",
                    Trouble::Forbidden => "T-RIGHTS-MISSING",
                    Trouble::RoleMissing => "T-ROLE-MISSING",
                    Trouble::Policy => "T-POLICY",
                    Trouble::Throttled => "T-THROTTLED",
                    Trouble::Temporary => "T-SERVICE-TROUBLE",
                    Trouble::NotFound | Trouble::NotReplicated => "T-NOT-REPLICATED",
                    Trouble::Exists | Trouble::Other => "T-REFUSED",
                })
            },
        };
        if let Some(advice) = self.advice() {
            stop.fix = advice;
        }
        stop
    }
}

impl SetupError {
    /// Its stable name, what mends it, and whether it passes.
    pub fn stop(&self) -> Stop {
        Stop::named(match self {
            Self::Call(call) => return call.stop(),
            Self::Step { source, .. } | Self::Undo { source, .. } => return source.stop(),
            Self::WrongTenant { .. } => "T-TENANT-WRONG",
            Self::OtherState { .. } => "T-STATE-OTHER",
            Self::NoState { .. } => "T-STATE-MISSING",
            Self::Blocked { .. } => "T-BLOCKED",
            Self::NotShown { .. } => "T-NOT-SHOWN",
            Self::State(StateError::Busy { .. }) => "T-STATE-BUSY",
            Self::State(_) => "T-STATE-UNUSABLE",
            Self::Store(_) => "T-STORE",
            Self::Key(_) => "T-KEY",
        })
    }
}

impl SignInError {
    /// Its stable name, what mends it, and whether it passes.
    pub fn stop(&self) -> Stop {
        let mut stop = match self {
            Self::Listen(_) | Self::NoChance => Stop::named("T-SIGN-IN-LISTEN"),
            Self::TooLate { .. } => Stop::named("T-SIGN-IN-LATE"),
            Self::Flooded => Stop::named("T-SIGN-IN-FLOODED"),
            Self::Declined { .. } => Stop::named("T-SIGN-IN-DECLINED"),
            Self::Refused { codes, .. } => {
                Stop::of_codes(codes).unwrap_or_else(|| Stop::named("T-REFUSED"))
            }
            Self::NoToken { refusal, .. } => {
                let passes = refusal.status == 429 || refusal.status >= 500;
                let mut stop = Stop::of_codes(&refusal.codes).unwrap_or_else(|| {
                    Stop::of_cause(
                        if passes {
                            "S-ENTRA-BUSY"
                        } else {
                            "S-ENTRA-REFUSED"
                        },
                        passes,
                    )
                });
                stop.retry_after = refusal.retry_after;
                stop
            }
            Self::NotUnderstood { .. } | Self::Token(_) => Stop::named("T-NOT-UNDERSTOOD"),
            Self::NoAnswer(error) => {
                Stop::of_way(error, Stop::of_cause("S-ENTRA-UNREACHABLE", true))
            }
        };
        if let Some(advice) = self.advice() {
            stop.fix = advice;
        }
        stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_once_and_mended() {
        for (index, (id, _, fix)) in STOPS.iter().enumerate() {
            assert!(id.starts_with("T-") && !fix.is_empty(), "{id}");
            assert!(STOPS[..index].iter().all(|(other, _, _)| other != id));
        }
        let tenant = Stop::of_codes(&[90_002]).unwrap();
        assert_eq!((tenant.id, tenant.passes), ("S-TENANT-UNKNOWN", false));
        assert!(tenant.fix.starts_with("Check tenant"), "{}", tenant.fix);
    }

    #[test]
    fn the_guide_names_every_stop() {
        let guide = include_str!("../../../docs/guide/setup.md");
        for (id, _, _) in STOPS {
            assert!(
                guide.contains(&format!("`{id}`")),
                "docs/guide/setup.md lacks {id}"
            );
        }
    }
}
