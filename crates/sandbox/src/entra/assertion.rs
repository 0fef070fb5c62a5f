//! Judging a client assertion: one the application signed with its certificate, or one of a
//! foreign issuer that the application trusts.

use jiff::Timestamp;
use uuid::Uuid;

use super::discovery::Published;
use super::failure::{self, Failure};
use super::jwt::{Jwt, PublicKey};
use crate::digest;
use crate::state::directory::{Application, FederatedCredential};
use crate::state::view::View;

/// What the judge needs to know besides the assertion.
pub(crate) struct Circumstances<'a> {
    pub(crate) view: &'a View,
    pub(crate) app_id: Uuid,
    /// The application's credentials that act now.
    pub(crate) application: &'a Application,
    /// Addresses of this tenant's token endpoint: the accepted audiences.
    pub(crate) audiences: &'a [String],
    /// What the issuer of the assertion publishes, when it was asked.
    pub(crate) published: Option<&'a Published>,
    pub(crate) now: Timestamp,
}

/// Seconds by which the clocks of client and service may differ. Source: assumed, the usual 5
/// minutes of Microsoft's libraries.
const SKEW_S: i64 = 300;

/// Judges an assertion; nothing is answered when it is good.
pub(crate) fn judge(text: &str, at: &Circumstances<'_>) -> Result<(), Failure> {
    let Some(jwt) = Jwt::parse(text) else {
        return Err(failure::ASSERTION_INVALID.with(&["the assertion is not a signed token"]));
    };
    let own = at.app_id.to_string();
    let issuer = jwt.text("iss").unwrap_or_default();
    let certificate_named = jwt.head("x5t").is_some() || jwt.head("x5t#S256").is_some();
    if issuer.eq_ignore_ascii_case(&own) || (certificate_named && !issuer.starts_with("https://")) {
        judge_certificate(&jwt, &own, at)
    } else {
        judge_federated(&jwt, issuer, at)
    }
}

// Source: certificate credentials page; thumbprints in both forms are accepted.
fn judge_certificate(jwt: &Jwt<'_>, own: &str, at: &Circumstances<'_>) -> Result<(), Failure> {
    for name in ["iss", "sub"] {
        let value = jwt.text(name).unwrap_or_default();
        if !value.eq_ignore_ascii_case(own) {
            return Err(failure::ASSERTION_ISSUER.with(&[value, own]));
        }
    }
    if !jwt
        .audiences()
        .iter()
        .any(|aud| at.audiences.iter().any(|a| a == aud))
    {
        let said = format!(
            "the audience '{}' is not the token endpoint",
            jwt.audiences().join(" ")
        );
        return Err(failure::ASSERTION_INVALID.with(&[&said]));
    }
    judge_time(jwt, at.now)?;

    // MSAL for Python pads the thumbprint, which RFC 7515 §2 does not; the service takes both.
    let thumbprint = jwt
        .head("x5t#S256")
        .or_else(|| jwt.head("x5t"))
        .unwrap_or_default()
        .trim_end_matches('=');
    let registered = at.application.certificates.values().find(|certificate| {
        let der = certificate.octets();
        thumbprint == digest::x5t_s256(&der) || thumbprint == digest::x5t(&der)
    });
    let Some(registered) = registered else {
        // A chain in the header asks for subject-name authentication, which nobody registered.
        if jwt.header.get("x5c").is_some() {
            return Err(failure::ASSERTION_SUBJECT_NAME.with(&[own]));
        }
        return Err(failure::ASSERTION_KEY.with(&["The key was not found.", thumbprint]));
    };
    if at.now >= registered.ends || at.now < registered.starts {
        return Err(failure::ASSERTION_KEY.with(&["The key used is expired.", thumbprint]));
    }
    let verified = PublicKey::from_certificate(&registered.octets())
        .is_some_and(|key| matches!(key, PublicKey::Rsa { .. }) && jwt.signed_by(&key));
    if !verified {
        let reason = "The key was found, but use of the key to verify the signature failed.";
        return Err(failure::ASSERTION_KEY.with(&[reason, thumbprint]));
    }
    Ok(())
}

// Source: workload identity federation page; the order issuer, audience, subject is assumed.
fn judge_federated(jwt: &Jwt<'_>, issuer: &str, at: &Circumstances<'_>) -> Result<(), Failure> {
    let trusted: Vec<&FederatedCredential> = at
        .application
        .federated
        .values()
        .filter(|f| f.issuer == issuer)
        .collect();
    if trusted.is_empty() {
        return Err(failure::FEDERATED_ISSUER.with(&[issuer]));
    }
    if jwt.text("scp").is_some() || jwt.text("upn").is_some() || jwt.text("idtyp") == Some("user") {
        return Err(failure::FEDERATED_USER_TOKEN.with(&["presented"]));
    }
    let audiences = jwt.audiences();
    let accepts =
        |f: &&FederatedCredential| f.audiences.iter().any(|a| audiences.contains(&a.as_str()));
    let trusted: Vec<&FederatedCredential> = trusted.into_iter().filter(accepts).collect();
    if trusted.is_empty() {
        return Err(failure::FEDERATED_AUDIENCE.with(&[&audiences.join(" ")]));
    }
    let subject = jwt.text("sub").unwrap_or_default();
    if !trusted.iter().any(|f| f.subject == subject) {
        let row = if trusted
            .iter()
            .any(|f| f.subject.eq_ignore_ascii_case(subject))
        {
            &failure::FEDERATED_CASE
        } else {
            &failure::FEDERATED_SUBJECT
        };
        return Err(row.with(&[subject]));
    }
    let keys = match at.published {
        Some(Ok(published)) => Some(&published["keys"]),
        Some(Err(error)) => {
            let said = format!("the keys of the issuer were not found: {error}");
            return Err(failure::ASSERTION_INVALID.with(&[&said]));
        }
        None => at
            .view
            .directory()
            .issuers
            .get(issuer)
            .and_then(|issuer| Some(&issuer.jwks.as_ref()?["keys"])),
    };
    let kid = jwt.head("kid");
    let verified = keys.and_then(|keys| keys.as_array()).is_some_and(|keys| {
        keys.iter()
            .filter(|key| kid.is_none() || key["kid"].as_str().is_none_or(|k| Some(k) == kid))
            .filter_map(PublicKey::from_jwk)
            .any(|key| jwt.signed_by(&key))
    });
    if !verified {
        return Err(failure::ASSERTION_INVALID.with(&["no key of the issuer verifies it"]));
    }
    judge_time(jwt, at.now)
}

fn judge_time(jwt: &Jwt<'_>, now: Timestamp) -> Result<(), Failure> {
    let seconds = now.as_second();
    let (from, until) = (jwt.date("nbf"), jwt.date("exp"));
    let early = from.is_some_and(|from| from > seconds.saturating_add(SKEW_S));
    let late = until.is_none_or(|until| until.saturating_add(SKEW_S) < seconds);
    if early || late {
        let show = |date: Option<i64>| {
            date.and_then(|s| Timestamp::from_second(s).ok())
                .map_or_else(
                    || "none".to_owned(),
                    |at| at.strftime("%Y-%m-%dT%H:%M:%S.0000000Z").to_string(),
                )
        };
        return Err(failure::ASSERTION_TIME.with(&[
            &show(Some(seconds)),
            &show(from),
            &show(until),
        ]));
    }
    Ok(())
}
