//! One rule for each cause: what the evidence says about it.

use super::suspects::Kind;
use super::{Certainty, Evidence, Method, Roles};
use crate::limits::PROPAGATION_MAX;

use Certainty::{Certain, Likely, Possible};

/// A cause that stays, and what speaks for it.
type Weight = Option<(Certainty, String)>;

/// Weighs one cause; `None` rules it out.
pub(super) fn weigh(kind: Kind, evidence: &Evidence<'_>) -> Weight {
    let (token, exchange) = (&evidence.token, &evidence.exchange);
    match kind {
        Kind::Audience => of_token(evidence, token.is_for_exchange, "`aud`"),
        Kind::Tenant => of_token(evidence, token.is_of_tenant, "`tid`"),
        Kind::Client => of_token(evidence, token.is_of_principal, "`appid`"),
        Kind::Time => of_token(evidence, token.is_in_time, "`nbf` and `exp`"),
        Kind::Delegated => delegated(evidence),
        Kind::MissingRole => missing_role(evidence),
        Kind::RoleBesideRbac => role_beside_rbac(evidence),
        Kind::Unregistered => of_registration(
            evidence,
            exchange.is_principal_registered,
            "Exchange lists no service principal with this application id",
        ),
        Kind::ObjectId if exchange.is_principal_registered == Some(false) => None,
        Kind::ObjectId => of_registration(
            evidence,
            exchange.is_object_id_right,
            "Exchange's object id is not the token's `oid`",
        ),
        Kind::Right => right(evidence),
        Kind::Scope => scope(evidence),
        Kind::Propagating => propagating(evidence),
        Kind::MailboxMissing => mailbox_missing(evidence),
        Kind::SecurityDefaults => security_defaults(evidence),
    }
}

/// A claim of the token: wrong is certain, right is ruled out.
fn of_token(evidence: &Evidence<'_>, is_right: Option<bool>, claim: &str) -> Weight {
    match is_right {
        Some(true) => None,
        Some(false) => say(Certain, format!("{claim} of the token is wrong")),
        None if evidence.works_elsewhere => None,
        None => say(Possible, format!("{claim} of the token was not looked at")),
    }
}

/// The registration in Exchange: one for all mailboxes, so one that works proves it.
fn of_registration(evidence: &Evidence<'_>, is_right: Option<bool>, wrong: &str) -> Weight {
    match is_right {
        Some(true) => None,
        Some(false) => say(Certain, wrong),
        None if evidence.works_elsewhere || evidence.has_worked_before => None,
        None => say(
            Possible,
            "the service principal in Exchange was not looked at",
        ),
    }
}

fn delegated(evidence: &Evidence<'_>) -> Weight {
    match evidence.token.is_delegated {
        Some(true) => say(Likely, "the token has claims that only a user's token has"),
        _ => None,
    }
}

fn missing_role(evidence: &Evidence<'_>) -> Weight {
    let lacks = "`roles` of the token does not hold SMTP.SendAsApp";
    match (evidence.method, evidence.token.roles) {
        (Method::Rbac, _) | (_, Roles::SendAsApp) => None,
        (Method::Classic, Roles::None | Roles::Others) => say(Certain, lacks),
        (Method::Unknown, Roles::Others) => say(
            Likely,
            "`roles` of the token holds permissions, but not SMTP.SendAsApp",
        ),
        (Method::Unknown, Roles::None) => say(
            Possible,
            "the token has no `roles`: wrong for the classic way, right for application RBAC",
        ),
        (_, Roles::Unknown) if evidence.works_elsewhere => None,
        (_, Roles::Unknown) => say(Possible, "`roles` of the token was not looked at"),
    }
}

fn role_beside_rbac(evidence: &Evidence<'_>) -> Weight {
    if evidence.method != Method::Rbac
        || evidence.token.roles != Roles::SendAsApp
        || evidence.exchange.has_full_access == Some(true)
    {
        return None;
    }
    let seen = "the principal is authorized by application RBAC, and `roles` holds SMTP.SendAsApp";
    let certainty = match evidence.exchange.has_full_access {
        Some(false) => Certain,
        _ => Likely,
    };
    say(certainty, seen)
}

/// The way as said, or as the token shows it: with the permission in it, mailbox rights are
/// checked, whatever else authorizes the principal. Without it, either way may be meant.
fn way(evidence: &Evidence<'_>) -> Method {
    match (evidence.method, evidence.token.roles) {
        (Method::Unknown, Roles::SendAsApp) => Method::Classic,
        (method, _) => method,
    }
}

/// Mailbox rights count on the classic way only.
fn right(evidence: &Evidence<'_>) -> Weight {
    if way(evidence) == Method::Rbac {
        return None;
    }
    let is_way_known = way(evidence) == Method::Classic;
    match evidence.exchange.has_full_access {
        Some(true) => None,
        Some(false) if is_way_known => say(
            Certain,
            "Exchange lists no FullAccess of the principal on the mailbox",
        ),
        Some(false) if evidence.exchange.is_in_scope == Some(true) => None,
        Some(false) => say(
            Likely,
            "Exchange lists no FullAccess of the principal on the mailbox",
        ),
        None => narrowed(evidence, is_way_known, "the mailbox's permissions"),
    }
}

/// Scopes count where the role assignment is what authorizes.
fn scope(evidence: &Evidence<'_>) -> Weight {
    if way(evidence) == Method::Classic {
        return None;
    }
    let is_way_known = way(evidence) == Method::Rbac;
    match evidence.exchange.is_in_scope {
        Some(true) => None,
        Some(false) if is_way_known => {
            say(Certain, "Exchange says that the mailbox is not in scope")
        }
        Some(false) if evidence.exchange.has_full_access == Some(true) => None,
        Some(false) => say(Likely, "Exchange says that the mailbox is not in scope"),
        None => narrowed(evidence, is_way_known, "the scope"),
    }
}

/// What belongs to one mailbox is what remains when the principal works for another one, or
/// worked before.
fn narrowed(evidence: &Evidence<'_>, is_way_known: bool, what: &str) -> Weight {
    let reason = if evidence.works_elsewhere {
        "the principal is let in for another mailbox"
    } else if evidence.has_worked_before {
        "the principal was let in for this mailbox before"
    } else {
        return say(Possible, format!("{what} could not be looked at"));
    };
    say(
        if is_way_known { Likely } else { Possible },
        format!("{reason}; {what} could not be looked at"),
    )
}

fn propagating(evidence: &Evidence<'_>) -> Weight {
    match evidence.last_change_age {
        Some(age) if age >= PROPAGATION_MAX => None,
        Some(age) => say(
            Likely,
            format!("the last change is {} minutes old", age.as_secs() / 60),
        ),
        None if evidence.has_worked_before => say(
            Possible,
            "it worked before; nobody said what was changed since",
        ),
        None => say(Possible, "nobody said when the last change was made"),
    }
}

fn mailbox_missing(evidence: &Evidence<'_>) -> Weight {
    match evidence.exchange.is_mailbox_there {
        Some(true) => None,
        Some(false) => say(Certain, "Exchange knows no mailbox with this address"),
        None if evidence.has_worked_before => None,
        None if evidence.works_elsewhere => say(
            Likely,
            "the principal is let in for another mailbox; this one could not be looked at",
        ),
        None => say(Possible, "the mailbox could not be looked at"),
    }
}

/// Too weak a tale to be told beside anything that is known.
fn security_defaults(evidence: &Evidence<'_>) -> Weight {
    if evidence.works_elsewhere || evidence.has_worked_before {
        return None;
    }
    say(Possible, "nothing was seen for or against it")
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every rule ends in a weight or in none"
)]
fn say(certainty: Certainty, seen: impl Into<String>) -> Weight {
    Some((certainty, seen.into()))
}
