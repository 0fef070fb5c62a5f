//! Judging a token request: pure, from the tenant as it acts now.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::assertion::{self, Circumstances};
use super::discovery::Published;
use super::failure::{self, Failure};
use crate::canary::TOKEN_MARK;
use crate::chance::Chance;
use crate::state::view::View;

/// The type of a client assertion (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Which form of the endpoint was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// `/oauth2/token`, with `resource`.
    V1,
    /// `/oauth2/v2.0/token`, with `scope`.
    V2,
}

/// A token request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// The tenant segment of the path.
    pub(crate) tenant: &'a str,
    /// The endpoint's form.
    pub(crate) version: Version,
    /// The form; none when the body is not a form or names a parameter twice.
    pub(crate) form: Option<BTreeMap<String, String>>,
    /// Client id and secret of an `Authorization: Basic` header.
    pub(crate) basic: Option<(String, String)>,
    /// The authority's own addresses, without a slash at the end.
    pub(crate) authorities: &'a [String],
    /// What the issuer of the assertion publishes, when it was asked.
    pub(crate) published: Option<Published>,
    /// Where this sandbox's Microsoft Graph is reached: a client that knows no other address names
    /// the resource so.
    pub(crate) graph: &'a str,
}

/// Microsoft Graph as a resource.
const GRAPH: &str = "https://graph.microsoft.com";

impl Request<'_> {
    /// A parameter that was given and is not empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.form
            .as_ref()?
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// How the client proved itself (`appidacr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Secret,
    Assertion,
}

/// A granted request: the claims of the token to sign.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// The claims.
    pub(crate) claims: Value,
    /// The resource as it was asked for.
    pub(crate) resource: String,
    /// Whether the resource takes v1.0 tokens (the resource decides, not the endpoint).
    pub(crate) v1_token: bool,
    /// Seconds the token lives.
    pub(crate) life_s: u32,
    /// The client.
    pub(crate) app_id: Uuid,
}

/// Judges a client credentials request.
///
/// The order of the checks is assumed: form, tenant, grant, client, scope, credential, policy,
/// resource.
pub(crate) fn judge_token_request(
    view: &View,
    request: &Request<'_>,
    now: Timestamp,
    chance: &Chance,
) -> Result<Grant, Failure> {
    if request.form.is_none() {
        return Err(failure::REQUEST_MALFORMED.with(&[]));
    }
    let shared = judge_tenant(view, request.tenant)?;
    let grant = request
        .parameter("grant_type")
        .ok_or_else(|| failure::PARAMETER_MISSING.with(&["grant_type"]))?;
    if grant != "client_credentials" {
        return Err(failure::GRANT_UNSUPPORTED.with(&[grant]));
    }
    let client = request
        .basic
        .as_ref()
        .map(|(id, _)| id.as_str())
        .or_else(|| request.parameter("client_id"))
        .ok_or_else(|| failure::PARAMETER_MISSING.with(&["client_id"]))?;
    let (app_id, principal_id) = judge_client(view, client, shared)?;
    let resource_name = match judge_scope(request)? {
        named if named == request.graph => GRAPH,
        named => named,
    };
    let proof = judge_credential(view, request, app_id, now)?;
    if view
        .directory()
        .policies
        .blocked_service_principals
        .contains(&principal_id)
    {
        return Err(failure::CONDITIONAL_ACCESS.with(&[]));
    }
    let tenant_id = view.directory().id;
    let Some((resource_id, resource)) = view.resource(resource_name) else {
        return Err(failure::RESOURCE_UNKNOWN.with(&[resource_name, &tenant_id.to_string()]));
    };
    let roles = view.roles(principal_id, resource_id);
    if resource.assignment_required && roles.is_empty() {
        return Err(failure::ASSIGNMENT_MISSING.with(&[client, &resource.app_id.to_string()]));
    }
    let v1_token = resource.first_party;
    let life_s = view.behaviour().token_life_s.0;
    let subject = Subject {
        app_id,
        principal_id,
        proof,
    };
    let claims = if v1_token {
        claims_v1(view, &subject, resource_name, &roles, life_s, now, chance)
    } else {
        claims_v2(
            view,
            &subject,
            resource.app_id,
            &roles,
            life_s,
            now,
            request,
            chance,
        )
    };
    Ok(Grant {
        claims,
        resource: resource_name.to_owned(),
        v1_token,
        life_s,
        app_id,
    })
}

/// Whether the tenant segment is one that the grant is refused for anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shared {
    No,
    Common,
    Other,
}

fn judge_tenant(view: &View, segment: &str) -> Result<Shared, Failure> {
    match segment {
        "common" => return Ok(Shared::Common),
        "organizations" | "consumers" => return Ok(Shared::Other),
        _ => {}
    }
    find_tenant(view, segment).map(|()| Shared::No)
}

/// Finds the tenant a path names.
pub(crate) fn find_tenant(view: &View, segment: &str) -> Result<(), Failure> {
    if view.is_tenant(segment) {
        return Ok(());
    }
    if let Some(cloud) = view
        .directory()
        .policies
        .other_clouds
        .get(&segment.to_lowercase())
    {
        return Err(failure::TENANT_OTHER_CLOUD.with(&[segment, cloud]));
    }
    let domain = segment.contains('.')
        && segment.split('.').all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        });
    if domain || segment.parse::<Uuid>().is_ok() {
        Err(failure::TENANT_UNKNOWN.with(&[segment]))
    } else {
        Err(failure::TENANT_MALFORMED.with(&[segment]))
    }
}

fn judge_client(view: &View, client: &str, shared: Shared) -> Result<(Uuid, Uuid), Failure> {
    let tenant = view.directory().id.to_string();
    let app_id = match client.parse::<Uuid>() {
        Ok(id) if !id.is_nil() => id,
        // Recorded for an all-zero id; text that is no GUID at all is not found instead.
        Ok(_) => return Err(failure::CLIENT_ID_INVALID.with(&[client])),
        Err(_) => return Err(failure::CLIENT_UNKNOWN.with(&[client, &tenant])),
    };
    let application = view.application(app_id);
    match shared {
        Shared::No => {}
        Shared::Common if application.is_none_or(|(_, a)| a.sign_in_audience == "AzureADMyOrg") => {
            return Err(failure::COMMON_SINGLE_TENANT.with(&[client]));
        }
        Shared::Common | Shared::Other => return Err(failure::COMMON_GRANT.with(&[])),
    }
    match (view.principal(app_id), application) {
        (Some((_, principal)), _) if !principal.enabled => {
            Err(failure::CLIENT_DISABLED.with(&[client, &principal.display_name]))
        }
        (Some((id, _)), Some(_)) => Ok((app_id, id)),
        (None, Some(_)) => Err(failure::PRINCIPAL_MISSING.with(&[client, &tenant])),
        (_, None) => Err(failure::CLIENT_UNKNOWN.with(&[client, &tenant])),
    }
}

// Answers the resource's name.
fn judge_scope<'a>(request: &'a Request<'_>) -> Result<&'a str, Failure> {
    if request.version == Version::V1 {
        return request
            .parameter("resource")
            .ok_or_else(|| failure::PARAMETER_MISSING.with(&["resource"]));
    }
    let scope = request
        .parameter("scope")
        .ok_or_else(|| failure::PARAMETER_MISSING.with(&["scope"]))?;
    let mut scopes = scope.split_ascii_whitespace();
    let (Some(first), rest) = (scopes.next(), scopes) else {
        return Err(failure::SCOPE_INVALID.with(&[scope]));
    };
    let others: Vec<&str> = rest.collect();
    if !others.is_empty() {
        let resource = |s: &str| s.rsplit_once('/').map(|(resource, _)| resource.to_owned());
        let differs = others
            .iter()
            .any(|other| other.contains("://") && resource(other) != resource(first));
        let row = if differs {
            &failure::SCOPE_TWO_RESOURCES
        } else {
            &failure::SCOPE_INVALID
        };
        return Err(row.with(&[scope]));
    }
    match first.strip_suffix("/.default") {
        Some("") => Err(failure::SCOPE_INVALID.with(&[scope])),
        Some(resource) => Ok(resource),
        None => Err(failure::SCOPE_NOT_DEFAULT.with(&[scope])),
    }
}

pub(super) fn judge_credential(
    view: &View,
    request: &Request<'_>,
    app_id: Uuid,
    now: Timestamp,
) -> Result<Proof, Failure> {
    let in_body = request.parameter("client_secret");
    let in_header = request.basic.as_ref().map(|(_, secret)| secret.as_str());
    let assertion = request.parameter("client_assertion");
    let given = [in_body, in_header, assertion].iter().flatten().count();
    if given > 1 {
        return Err(failure::REQUEST_MALFORMED.with(&[]));
    }
    if given == 0 {
        return Err(failure::CREDENTIAL_MISSING.with(&[]));
    }
    let registered = view.application(app_id).map(|(_, application)| application);
    if registered.is_some_and(|application| application.public_client) {
        return Err(failure::CLIENT_PUBLIC.with(&[]));
    }
    // Credentials may be younger than the application: they propagate on their own.
    let id = app_id.to_string();
    let application = view.credentials(app_id);
    if let Some(assertion) = assertion {
        if request.parameter("client_assertion_type") != Some(ASSERTION_TYPE) {
            return Err(failure::PARAMETER_MISSING.with(&["client_assertion_type"]));
        }
        let Some(application) = application.or(registered) else {
            return Err(failure::ASSERTION_KEY.with(&["The key was not found.", ""]));
        };
        let audiences = token_endpoints(view, request.authorities);
        let at = Circumstances {
            view,
            app_id,
            application,
            audiences: &audiences,
            published: request.published.as_ref(),
            now,
        };
        return assertion::judge(assertion, &at).map(|()| Proof::Assertion);
    }
    let secret = in_body.or(in_header).unwrap_or_default();
    let found = application
        .and_then(|application| application.secrets.values().find(|s| s.matches(secret)));
    match found {
        Some(found) if now >= found.ends => Err(failure::SECRET_EXPIRED.with(&[&id])),
        Some(found) if now >= found.starts => Ok(Proof::Secret),
        _ => Err(failure::SECRET_WRONG.with(&[&id])),
    }
}

fn token_endpoints(view: &View, authorities: &[String]) -> Vec<String> {
    let tenant = view.directory();
    let id = tenant.id.to_string();
    let names = std::iter::once(id.as_str()).chain(tenant.all_domains());
    names
        .flat_map(|name| {
            authorities.iter().flat_map(move |authority| {
                ["/oauth2/v2.0/token", "/oauth2/token", "/v2.0", "/"]
                    .map(|path| format!("{authority}/{name}{path}"))
            })
        })
        .collect()
}

struct Subject {
    app_id: Uuid,
    principal_id: Uuid,
    proof: Proof,
}

// Source: access-token claims page and recorded claim lists; Microsoft's own resources take v1.0
// tokens whatever the endpoint.
fn claims_v1(
    view: &View,
    subject: &Subject,
    audience: &str,
    roles: &BTreeSet<&str>,
    life_s: u32,
    now: Timestamp,
    chance: &Chance,
) -> Value {
    let tenant = view.directory();
    let issuer = format!("https://sts.windows.net/{}/", tenant.id);
    let name = view
        .principal(subject.app_id)
        .map(|(_, p)| p.display_name.as_str());
    let mut claims = json!({
        "aud": audience,
        "iss": issuer,
        "aio": format!("{TOKEN_MARK}.{}", chance.text(36)),
        "app_displayname": name,
        "appid": subject.app_id,
        "appidacr": acr(subject.proof),
        "idp": issuer,
        "oid": subject.principal_id,
        "rh": format!("1.{}.", chance.text(36)),
        "sub": subject.principal_id,
        "tid": tenant.id,
        "uti": chance.text(16),
        "ver": "1.0",
        "xms_ftd": chance.text(32),
    });
    let held = view.directory_roles(subject.principal_id);
    if !held.is_empty() {
        claims["wids"] = json!(held);
    }
    dated(&mut claims, roles, life_s, now);
    claims
}

// Source: the recorded v2.0 claim list of an application's own resource.
#[expect(
    clippy::too_many_arguments,
    reason = "the claims have that many origins"
)]
fn claims_v2(
    view: &View,
    subject: &Subject,
    audience: Uuid,
    roles: &BTreeSet<&str>,
    life_s: u32,
    now: Timestamp,
    request: &Request<'_>,
    chance: &Chance,
) -> Value {
    let tenant = view.directory();
    let authority = request
        .authorities
        .first()
        .map(String::as_str)
        .unwrap_or_default();
    let mut claims = json!({
        "aud": audience,
        "iss": format!("{authority}/{}/v2.0", tenant.id),
        "aio": format!("{TOKEN_MARK}.{}", chance.text(36)),
        "azp": subject.app_id,
        "azpacr": acr(subject.proof),
        "oid": subject.principal_id,
        "rh": format!("1.{}.", chance.text(36)),
        "sub": subject.principal_id,
        "tid": tenant.id,
        "uti": chance.text(16),
        "ver": "2.0",
        "xms_ftd": chance.text(32),
    });
    dated(&mut claims, roles, life_s, now);
    claims
}

/// Dates and roles: `roles` is absent when nothing is granted.
pub(super) fn dated(claims: &mut Value, roles: &BTreeSet<&str>, life_s: u32, now: Timestamp) {
    let seconds = now.as_second();
    // Entra dates tokens back by five minutes (assumed; clients must not trust `nbf` to the second).
    claims["iat"] = (seconds - 300).into();
    claims["nbf"] = (seconds - 300).into();
    claims["exp"] = (seconds + i64::from(life_s)).into();
    if !roles.is_empty() {
        claims["roles"] = json!(roles);
    }
}

pub(super) fn acr(proof: Proof) -> &'static str {
    match proof {
        Proof::Secret => "1",
        Proof::Assertion => "2",
    }
}

/// The answer to a granted request.
pub(crate) fn answer(grant: &Grant, token: &str, version: Version, now: Timestamp) -> Value {
    match version {
        // Exactly these four members, as recorded.
        Version::V2 => json!({
            "token_type": "Bearer",
            "expires_in": grant.life_s,
            "ext_expires_in": grant.life_s,
            "access_token": token,
        }),
        // v1.0 writes its numbers as text.
        Version::V1 => {
            let seconds = now.as_second();
            json!({
                "token_type": "Bearer",
                "expires_in": grant.life_s.to_string(),
                "ext_expires_in": grant.life_s.to_string(),
                "expires_on": (seconds + i64::from(grant.life_s)).to_string(),
                "not_before": (seconds - 300).to_string(),
                "resource": grant.resource,
                "access_token": token,
            })
        }
    }
}

/// The header of a token: `x5t` stands in v1.0 tokens only.
pub(crate) fn header(kid: &str, v1_token: bool) -> Value {
    if v1_token {
        json!({ "typ": "JWT", "alg": "RS256", "x5t": kid, "kid": kid })
    } else {
        json!({ "typ": "JWT", "alg": "RS256", "kid": kid })
    }
}
