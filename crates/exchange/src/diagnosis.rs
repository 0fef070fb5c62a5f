//! Which of its many causes a bare `535 5.7.3` has.
//!
//! Exchange gives this one answer to nearly every mistake. What is known about the token, about
//! Exchange's own state, and about the age of the last change, rules most causes out and some in.
//! Pure: whoever asks has collected the evidence.

use std::time::Duration;

use crate::entry::Mark;
use crate::fix::{Subjects, fill};

mod suspects;
mod weigh;

pub use suspects::{SUSPECTS, Suspect};

/// How the principal is authorized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// By the permission `SMTP.SendAsApp` in Entra and rights on each mailbox.
    Classic,
    /// By a role assignment in Exchange with a scope, and no permission in Entra.
    Rbac,
    /// Nobody said.
    #[default]
    Unknown,
}

/// The application permissions in a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Roles {
    /// The token was not looked at.
    #[default]
    Unknown,
    /// It has none.
    None,
    /// `SMTP.SendAsApp` is among them.
    SendAsApp,
    /// It has some, and not that one.
    Others,
}

/// What the token says; `None` stands for what was not looked at or cannot be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenFacts<'a> {
    /// Whether `aud` is Exchange's resource in this cloud.
    pub is_for_exchange: Option<bool>,
    /// Whether `tid` is the mailbox's tenant.
    pub is_of_tenant: Option<bool>,
    /// Whether `appid` is the principal that was configured.
    pub is_of_principal: Option<bool>,
    /// Whether the time of AUTH lies between `nbf` and `exp`.
    pub is_in_time: Option<bool>,
    /// Whether a user stands behind it.
    pub is_delegated: Option<bool>,
    /// Its application permissions.
    pub roles: Roles,
    /// `appid`, or `azp`.
    pub app_id: Option<&'a str>,
    /// `oid`: the object id of the enterprise application.
    pub object_id: Option<&'a str>,
}

/// What Exchange itself says, where an administrator's token lets us ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExchangeFacts {
    /// Whether a service principal with this application id exists in Exchange.
    pub is_principal_registered: Option<bool>,
    /// Whether its object id is the token's `oid`.
    pub is_object_id_right: Option<bool>,
    /// Whether the address is that of a mailbox.
    pub is_mailbox_there: Option<bool>,
    /// Whether the principal has `FullAccess` on it.
    pub has_full_access: Option<bool>,
    /// Whether the mailbox is in the scope of a role assignment.
    pub is_in_scope: Option<bool>,
}

/// Everything known about one refused AUTH.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// The mailbox of `user=`.
    pub mailbox: &'a str,
    /// How the principal is authorized.
    pub method: Method,
    /// What the token says.
    pub token: TokenFacts<'a>,
    /// What Exchange says.
    pub exchange: ExchangeFacts,
    /// The time since the last change of rights or registration.
    pub last_change_age: Option<Duration>,
    /// Whether the principal was let in for this mailbox before.
    pub has_worked_before: bool,
    /// Whether the principal is let in for another mailbox now.
    pub works_elsewhere: bool,
}

/// How sure a finding is; the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Certainty {
    /// A fact shows it, and it alone suffices for the refusal.
    Certain,
    /// The evidence points to it.
    Likely,
    /// Nothing speaks against it.
    Possible,
}

/// One cause that the evidence leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The stable name of the cause, `S-…`.
    pub id: &'static str,
    /// How sure it is.
    pub certainty: Certainty,
    /// The cause, as a sentence without full stop.
    pub cause: &'static str,
    /// What speaks for it, or what could not be seen.
    pub evidence: String,
    /// One command: the one that mends it when it is certain, else the one that shows it.
    pub command: String,
    /// How well the cause is known to give this reply.
    pub mark: Mark,
}

/// Ranks the causes of a bare `535 5.7.3`: the surest first, the commonest first among equals;
/// causes that the evidence rules out are missing. An empty list means that everything that is
/// known to matter is known to be right.
pub fn diagnose(evidence: &Evidence<'_>) -> Vec<Finding> {
    let subjects = Subjects {
        mailbox: Some(evidence.mailbox),
        from: None,
        principal: evidence.token.app_id,
        object: evidence.token.object_id,
    };
    let mut findings: Vec<Finding> = SUSPECTS
        .iter()
        .filter_map(|suspect| {
            let (certainty, seen) = weigh::weigh(suspect.kind, evidence)?;
            let command = match certainty {
                Certainty::Certain => suspect.mend,
                Certainty::Likely | Certainty::Possible => suspect.look,
            };
            Some(Finding {
                id: suspect.id,
                certainty,
                cause: suspect.cause,
                evidence: seen,
                command: fill(command, &subjects),
                mark: suspect.mark,
            })
        })
        .collect();
    findings.sort_by_key(|finding| finding.certainty);
    findings
}

impl Certainty {
    /// The certainty's name as shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::Possible => "possible",
        }
    }
}
