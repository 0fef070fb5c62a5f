//! Judging the bearer tokens of Microsoft Graph and the Exchange admin interface.

use std::collections::BTreeSet;

use http::{HeaderMap, header};
use jiff::Timestamp;
use uuid::Uuid;

use crate::entra::jwt::Jwt;
use crate::entra::keys::SigningKey;
use crate::state::view::View;

/// Seconds a token may be younger than its `nbf`. Source: assumed.
const EARLY_S: i64 = 300;

/// Who calls, for whom.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The client id.
    pub(crate) app_id: Uuid,
    /// The person's or the enterprise application's object id.
    pub(crate) object_id: Uuid,
    /// The person's sign-in name; none when an application calls for itself.
    pub(crate) person: Option<String>,
    /// Names of the scopes (person) or roles (application) in the token.
    pub(crate) permissions: BTreeSet<String>,
}

impl Caller {
    /// Whether the token has one of these permissions.
    pub(crate) fn may(&self, any: &[&str]) -> bool {
        any.iter().any(|name| self.permissions.contains(*name))
    }
}

/// Why a token was not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is none.
    Missing,
    /// It is over.
    Expired,
    /// It is for another resource.
    Audience(String),
    /// Anything else, in words for the journal.
    Invalid(&'static str),
}

impl Refused {
    /// The cause, as a sentence for the journal.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Missing => "the request has no bearer token".into(),
            Self::Expired => "the token has expired".into(),
            Self::Audience(aud) => format!("the token is for another resource: aud is {aud}"),
            Self::Invalid(why) => (*why).into(),
        }
    }
}

/// Judges the token of a request for a resource that has these `audiences`.
pub(crate) fn judge(
    view: &View,
    key: &SigningKey,
    headers: &HeaderMap,
    audiences: &[&str],
    now: Timestamp,
) -> Result<Caller, Refused> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or(Refused::Missing)?;
    let jwt = Jwt::parse(token).ok_or(Refused::Invalid("the token is no JWT"))?;
    if jwt.head("alg") != Some("RS256") || !key.verifies(jwt.signed.as_bytes(), &jwt.signature) {
        return Err(Refused::Invalid(
            "the token's signature is not this tenant's",
        ));
    }
    let audience = jwt.text("aud").unwrap_or_default();
    if !audiences.contains(&audience.strip_suffix('/').unwrap_or(audience)) {
        return Err(Refused::Audience(audience.to_owned()));
    }
    let tenant = view.directory().id;
    let id = |name: &str| jwt.text(name).and_then(|text| text.parse::<Uuid>().ok());
    if id("tid") != Some(tenant) {
        return Err(Refused::Invalid("the token is of another tenant"));
    }
    let seconds = now.as_second();
    if jwt.date("exp").is_none_or(|exp| exp <= seconds) {
        return Err(Refused::Expired);
    }
    if jwt.date("nbf").is_some_and(|nbf| nbf > seconds + EARLY_S) {
        return Err(Refused::Invalid("the token is not valid yet"));
    }
    let (Some(object_id), Some(app_id)) = (id("oid"), id("appid")) else {
        return Err(Refused::Invalid("the token has no oid and appid"));
    };
    let person = jwt.text("upn").map(str::to_owned);
    let permissions = match jwt.text("scp") {
        Some(scopes) => scopes.split_ascii_whitespace().map(str::to_owned).collect(),
        None => jwt.claims["roles"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|role| role.as_str().map(str::to_owned))
            .collect(),
    };
    Ok(Caller {
        app_id,
        object_id,
        person,
        permissions,
    })
}
