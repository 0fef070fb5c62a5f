//! Judging AUTH XOAUTH2: pure, from the token and the tenant as it acts now.
//!
//! Almost every fault gets the same bare `535 5.7.3`; the cause goes into the journal only.

use jiff::Timestamp;
use uuid::Uuid;

use super::reply::{self, Said};
use crate::entra::jwt::Jwt;
use crate::entra::keys::SigningKey;
use crate::state::preset::SEND_AS_APP;
use crate::state::view::{SendingRole, SmtpAuth, View};
use crate::state::{ClassicNeeds, PermissionMissing};

/// Resources whose tokens SMTP takes. Source: recorded `aud` values.
const AUDIENCES: [&str; 2] = [
    "https://outlook.office365.com",
    "https://outlook.office.com",
];

/// Seconds a token may be younger than its `nbf`. Source: assumed.
const EARLY_S: i64 = 300;

/// Who logged in, as which mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    /// The mailbox's primary address.
    pub(crate) mailbox: String,
    /// The token's client id.
    pub(crate) client_id: Uuid,
    /// Whether the store will refuse to open the mailbox at the end of data.
    pub(crate) store_refuses: bool,
}

/// Judges a token presented for a mailbox.
///
/// The order of the checks is assumed: the token itself, the service principal, the mailbox, the
/// SMTP AUTH switch, the right to the mailbox.
pub(crate) fn judge_auth(
    view: &View,
    key: &SigningKey,
    user: &str,
    token: &str,
    now: Timestamp,
) -> Result<Sender, Said> {
    let failed = |cause: &str| reply::AUTH_FAILED.said().because(cause);
    let jwt = judge_token(view, key, token, now).map_err(|cause| failed(&cause))?;

    let id = |name: &str| jwt.text(name).and_then(|text| text.parse::<Uuid>().ok());
    let (Some(object_id), Some(client_id)) = (id("oid"), id("appid")) else {
        return Err(failed("the token has no oid and appid"));
    };
    match view.exchange_principal(object_id) {
        Some(principal) if principal.app_id == client_id => {}
        Some(_) => {
            return Err(failed(
                "Exchange holds the service principal under another client id",
            ));
        }
        None => {
            return Err(failed(if view.is_registered_elsewhere(client_id) {
                "New-ServicePrincipal was run with another object id than the enterprise \
                 application's"
            } else {
                "Exchange has no such service principal: New-ServicePrincipal was not run"
            }));
        }
    }
    let Some(found) = view.mailbox(user) else {
        return Err(failed("user= is not a mailbox of the tenant"));
    };
    match view.smtp_auth(found.address) {
        SmtpAuth::On => {}
        SmtpAuth::OffForTenant => return Err(reply::AUTH_OFF_TENANT.said()),
        SmtpAuth::OffForMailbox => return Err(reply::AUTH_OFF_MAILBOX.said()),
    }
    let roles = jwt.claims["roles"].as_array();
    let classic = roles.is_some_and(|roles| roles.iter().any(|role| role == SEND_AS_APP));
    let store_refuses = if classic {
        judge_classic(view, found.address, object_id).map_err(failed)?
    } else {
        judge_role(view, found.address, object_id).map_err(failed)?;
        false
    };
    Ok(Sender {
        mailbox: found.address.to_owned(),
        client_id,
        store_refuses,
    })
}

fn judge_token<'a>(
    view: &View,
    key: &SigningKey,
    token: &'a str,
    now: Timestamp,
) -> Result<Jwt<'a>, String> {
    let jwt = Jwt::parse(token).ok_or("the token is no JWT")?;
    if jwt.head("alg") != Some("RS256") || !key.verifies(jwt.signed.as_bytes(), &jwt.signature) {
        return Err("the token's signature is not this tenant's".into());
    }
    let audience = jwt.text("aud").unwrap_or_default();
    if !AUDIENCES.contains(&audience.strip_suffix('/').unwrap_or(audience)) {
        return Err(format!(
            "the token is for another resource: aud is {audience}"
        ));
    }
    let tenant = view.directory().id;
    if jwt.text("tid").and_then(|tid| tid.parse().ok()) != Some(tenant)
        || jwt.text("iss") != Some(format!("https://sts.windows.net/{tenant}/").as_str())
    {
        return Err("the token is of another tenant".into());
    }
    let seconds = now.as_second();
    if jwt.date("exp").is_none_or(|exp| exp <= seconds) {
        return Err("the token has expired".into());
    }
    if jwt.date("nbf").is_some_and(|nbf| nbf > seconds + EARLY_S) {
        return Err("the token is not valid yet".into());
    }
    if ["scp", "upn", "unique_name"]
        .iter()
        .any(|name| jwt.claims.get(name).is_some())
    {
        return Err("the token is a person's, not an application's".into());
    }
    Ok(jwt)
}

// The claim in the token brings the check of the mailbox permission, also for an application that
// holds the Exchange role (RBAC onboarding page). Answers whether the store will refuse.
fn judge_classic(view: &View, mailbox: &str, object_id: Uuid) -> Result<bool, &'static str> {
    let who = object_id.to_string();
    let (full, send) = (view.full_access(mailbox, &who), view.send_as(mailbox, &who));
    let enough = match view.behaviour().classic_needs {
        ClassicNeeds::FullAccess => full,
        ClassicNeeds::Either => full || send,
        ClassicNeeds::Both => full && send,
    };
    match (enough, view.behaviour().permission_missing) {
        (true, _) => Ok(false),
        (false, PermissionMissing::MailboxLogon) => Ok(true),
        (false, PermissionMissing::Authentication) => Err(
            "the service principal has no permission on the mailbox, which the role \
                 SMTP.SendAsApp in the token asks for",
        ),
    }
}

fn judge_role(view: &View, mailbox: &str, object_id: Uuid) -> Result<(), &'static str> {
    match view.sending_role(object_id, mailbox) {
        SendingRole::InScope => Ok(()),
        SendingRole::OutOfScope => Err("the mailbox is outside the scope of the Exchange role"),
        SendingRole::None => Err(
            "the token has no role SMTP.SendAsApp (consent is missing) and \
            the service principal holds no Exchange role 'Application SMTP.SendAsApp'",
        ),
    }
}
