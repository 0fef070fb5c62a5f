//! Tokens for a person who signed in: codes, refresh tokens and device codes redeemed.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{self, Client};
use super::desk::{Code, Kept, SignedIn};
use super::device;
use super::failure::{self, Failure};
use super::scope::{self, Consent, Wanted};
use super::token::{self, Proof, Request, Version};
use crate::canary::TOKEN_MARK;
use crate::state::view::View;
use crate::world::World;

/// The grants of this module.
const GRANTS: [&str; 4] = [
    "authorization_code",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "device_code",
];

/// Whether a grant is a person's.
pub(super) fn is_grant(grant: &str) -> bool {
    GRANTS.contains(&grant)
}

/// Judges a request and answers it.
pub(super) fn answer(
    world: &World,
    view: &View,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<(Value, String), Failure> {
    match request.tenant {
        "common" | "organizations" => {}
        "consumers" => return Err(failure::COMMON_GRANT.with(&[])),
        other => token::find_tenant(view, other)?,
    }
    let id = request
        .basic
        .as_ref()
        .map(|(id, _)| id.as_str())
        .or_else(|| request.parameter("client_id"))
        .ok_or_else(|| failure::PARAMETER_MISSING.with(&["client_id"]))?;
    let client = client::find(view, id, request.tenant)?;
    let mut nonce = None;
    let signed_in = match request.parameter("grant_type").unwrap_or_default() {
        "authorization_code" => {
            let code = redeem(world, view, request, &client, now)?;
            nonce = code.asked.nonce;
            code.signed_in
        }
        "refresh_token" => {
            let signed_in = refreshed(world, request, &client, now)?;
            authenticate(view, request, &client, signed_in.public, now)?;
            signed_in
        }
        _ => {
            let device_code = request
                .parameter("device_code")
                .or_else(|| request.parameter("code"))
                .ok_or_else(|| failure::PARAMETER_MISSING.with(&["device_code"]))?;
            let interval_s = view.behaviour().device_code_interval_s.0;
            device::poll(world, client.id, device_code, interval_s, now)?
        }
    };
    // A person who is gone, or has another password, needs to sign in again.
    let user = view.user(signed_in.user);
    if user.is_none_or(|user| user.password_sha256 != signed_in.password) {
        return Err(failure::REVOKED.with(&[]));
    }
    let (wanted, scopes) = scopes(view, request, &client, &signed_in)?;
    Ok(issue(
        world, view, request, &client, &signed_in, &wanted, &scopes, nonce, now,
    ))
}

fn redeem(
    world: &World,
    view: &View,
    request: &Request<'_>,
    client: &Client,
    now: Timestamp,
) -> Result<Code, Failure> {
    let text = request
        .parameter("code")
        .ok_or_else(|| failure::PARAMETER_MISSING.with(&["code"]))?;
    let redeemed = world.desk.redeem_code(text, now, |kept| {
        let code = match kept {
            Kept::Unknown => return Err(failure::CODE_INVALID.with(&["code"])),
            Kept::Ended => return Err(failure::CODE_EXPIRED.with(&[])),
            Kept::Good(code) => code,
        };
        if code.redeemed {
            return Err(failure::CODE_REDEEMED.with(&[]));
        }
        if code.signed_in.client != client.id {
            return Err(failure::CODE_INVALID.with(&["code"]));
        }
        let redirect = request.parameter("redirect_uri").unwrap_or_default();
        if redirect != code.asked.redirect_uri {
            return Err(failure::REDIRECT.with(&[redirect, &client.id.to_string()]));
        }
        if let Some(challenge) = &code.asked.challenge {
            let verifier = request
                .parameter("code_verifier")
                .ok_or_else(|| failure::PARAMETER_MISSING.with(&["code_verifier"]))?;
            if !verifies(verifier, challenge) {
                return Err(failure::VERIFIER_WRONG.with(&[]));
            }
        }
        authenticate(view, request, client, code.asked.public, now)
    })?;
    redeemed.ok_or_else(|| failure::CODE_INVALID.with(&["code"]))
}

// RFC 7636 §4.1 and §4.6.
fn verifies(verifier: &str, challenge: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    (43..=128).contains(&verifier.len())
        && verifier.chars().all(allowed)
        && URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())) == challenge
}

// Public clients show no credential, others must.
fn authenticate(
    view: &View,
    request: &Request<'_>,
    client: &Client,
    public: bool,
    now: Timestamp,
) -> Result<(), Failure> {
    let shown = request.basic.is_some()
        || request.parameter("client_secret").is_some()
        || request.parameter("client_assertion").is_some();
    match (public, shown) {
        (true, false) => Ok(()),
        (true, true) => Err(failure::CLIENT_PUBLIC.with(&[])),
        (false, _) => token::judge_credential(view, request, client.id, now).map(|_| ()),
    }
}

fn refreshed(
    world: &World,
    request: &Request<'_>,
    client: &Client,
    now: Timestamp,
) -> Result<SignedIn, Failure> {
    let text = request
        .parameter("refresh_token")
        .ok_or_else(|| failure::PARAMETER_MISSING.with(&["refresh_token"]))?;
    match world.desk.refresh(text, now) {
        Kept::Good(signed_in) if signed_in.client == client.id => Ok(signed_in),
        Kept::Good(_) | Kept::Unknown => Err(failure::CODE_INVALID.with(&["refresh_token"])),
        Kept::Ended => Err(failure::CODE_EXPIRED.with(&[])),
    }
}

// The resource and scopes of the token: those of the sign-in, or those asked for now.
fn scopes(
    view: &View,
    request: &Request<'_>,
    client: &Client,
    signed_in: &SignedIn,
) -> Result<(Wanted, BTreeSet<String>), Failure> {
    let asked = match (request.version, request.parameter("resource")) {
        (Version::V1, Some(resource)) => Some(format!(
            "{}/.default openid offline_access",
            resource.trim_end_matches('/')
        )),
        _ => request.parameter("scope").map(str::to_owned),
    };
    let names_resource = |text: &String| text.contains('/') || text.contains('.');
    let wanted = match asked.filter(names_resource) {
        Some(text) => {
            let mut wanted = scope::read(view, client, &text)?;
            wanted.openid |= signed_in.wanted.openid;
            wanted.offline |= signed_in.wanted.offline;
            wanted
        }
        None => signed_in.wanted.clone(),
    };
    let same = wanted.resource_id == signed_in.wanted.resource_id;
    let redeemed = request.parameter("grant_type") != Some("refresh_token");
    if same && redeemed && wanted.names.is_subset(&signed_in.scopes) {
        return Ok((wanted, signed_in.scopes.clone()));
    }
    match scope::judge(view, client, signed_in.user, &wanted, false) {
        Consent::Granted(scopes) => Ok((wanted, scopes)),
        Consent::Needed(_) => {
            let id = client.id.to_string();
            Err(failure::CONSENT_REQUIRED.with(&[&id, &client.name]))
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the answer has that many origins"
)]
fn issue(
    world: &World,
    view: &View,
    request: &Request<'_>,
    client: &Client,
    signed_in: &SignedIn,
    wanted: &Wanted,
    scopes: &BTreeSet<String>,
    nonce: Option<String>,
    now: Timestamp,
) -> (Value, String) {
    let key = world.key();
    let proof = match (signed_in.public, request.parameter("client_assertion")) {
        (true, _) => None,
        (false, Some(_)) => Some(Proof::Assertion),
        (false, None) => Some(Proof::Secret),
    };
    let (claims, v1) = claims(
        world, view, signed_in, wanted, scopes, client.id, proof, now,
    );
    let access_token = key.sign(&token::header(&key.id, v1), &claims);
    let life_s = view.behaviour().token_life_s.0;
    let names: Vec<String> = scopes
        .iter()
        .map(|name| format!("{}/{name}", wanted.resource.trim_end_matches('/')))
        .collect();
    let mut answer = json!({
        "token_type": "Bearer",
        "scope": names.join(" "),
        "access_token": access_token,
    });
    match request.version {
        Version::V2 => {
            answer["expires_in"] = life_s.into();
            answer["ext_expires_in"] = life_s.into();
        }
        Version::V1 => {
            let seconds = now.as_second();
            answer["scope"] = scopes.iter().cloned().collect::<Vec<_>>().join(" ").into();
            answer["expires_in"] = life_s.to_string().into();
            answer["ext_expires_in"] = life_s.to_string().into();
            answer["expires_on"] = (seconds + i64::from(life_s)).to_string().into();
            answer["not_before"] = (seconds - 300).to_string().into();
            answer["resource"] = wanted.resource.as_str().into();
        }
    }
    if wanted.offline {
        let text = format!("1.{TOKEN_MARK}.{}", world.chance.text(64));
        answer["refresh_token"] = text.as_str().into();
        let kept = SignedIn {
            wanted: wanted.clone(),
            scopes: scopes.clone(),
            ..signed_in.clone()
        };
        world.desk.put_refresh(text, kept, now);
    }
    if wanted.openid {
        let claims = id_claims(world, view, request, signed_in, nonce, now);
        answer["id_token"] = key.sign(&token::header(&key.id, false), &claims).into();
    }
    if request.parameter("client_info") == Some("1") {
        let info = json!({ "uid": signed_in.user, "utid": view.directory().id });
        answer["client_info"] = URL_SAFE_NO_PAD.encode(info.to_string()).into();
    }
    let told = format!("token for {} to {}", wanted.resource, client.id);
    (answer, told)
}

// Microsoft's own resources take v1.0 tokens, an application of the tenant takes v2.0.
#[expect(
    clippy::too_many_arguments,
    reason = "the claims have that many origins"
)]
fn claims(
    world: &World,
    view: &View,
    signed_in: &SignedIn,
    wanted: &Wanted,
    scopes: &BTreeSet<String>,
    client: Uuid,
    proof: Option<Proof>,
    now: Timestamp,
) -> (Value, bool) {
    let tenant = view.directory();
    let chance = &world.chance;
    let user = view.user(signed_in.user);
    let upn = user.map(|user| user.user_principal_name.as_str());
    let v1 = tenant
        .service_principals
        .get(&wanted.resource_id)
        .is_none_or(|resource| resource.first_party);
    let scp: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let mut claims = json!({
        "aio": format!("{TOKEN_MARK}.{}", chance.text(36)),
        "name": user.map(|user| user.display_name.as_str()),
        "oid": signed_in.user,
        "rh": format!("1.{}.", chance.text(36)),
        "scp": scp.join(" "),
        "sub": subject(signed_in.user, wanted.resource_app_id),
        "tid": tenant.id,
        "uti": chance.text(16),
    });
    let acr = proof.map_or("0", token::acr);
    let more = if v1 {
        json!({
            "aud": wanted.resource,
            "iss": format!("https://sts.windows.net/{}/", tenant.id),
            "amr": if signed_in.second_factor { json!(["pwd", "mfa"]) } else { json!(["pwd"]) },
            "appid": client,
            "appidacr": acr,
            "unique_name": upn,
            "upn": upn,
            "ver": "1.0",
            "wids": view.directory_roles(signed_in.user),
        })
    } else {
        json!({
            "aud": wanted.resource_app_id,
            "iss": format!("{}/{}/v2.0", world.places.authority, tenant.id),
            "azp": client,
            "azpacr": acr,
            "preferred_username": upn,
            "ver": "2.0",
        })
    };
    if let (Value::Object(all), Value::Object(more)) = (&mut claims, more) {
        all.extend(more);
    }
    let life_s = view.behaviour().token_life_s.0;
    token::dated(&mut claims, &BTreeSet::new(), life_s, now);
    (claims, v1)
}

fn id_claims(
    world: &World,
    view: &View,
    request: &Request<'_>,
    signed_in: &SignedIn,
    nonce: Option<String>,
    now: Timestamp,
) -> Value {
    let tenant = view.directory();
    let user = view.user(signed_in.user);
    let mut claims = json!({
        "aud": signed_in.client,
        "iss": format!("{}/{}/v2.0", world.places.authority, tenant.id),
        "name": user.map(|user| user.display_name.as_str()),
        "oid": signed_in.user,
        "preferred_username": user.map(|user| user.user_principal_name.as_str()),
        "rh": format!("1.{}.", world.chance.text(36)),
        "sub": subject(signed_in.user, signed_in.client),
        "tid": tenant.id,
        "uti": world.chance.text(16),
        "ver": "2.0",
    });
    if request.version == Version::V1 {
        claims["upn"] = claims["preferred_username"].clone();
        claims["iss"] = format!("https://sts.windows.net/{}/", tenant.id).into();
        claims["ver"] = "1.0".into();
    }
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    token::dated(
        &mut claims,
        &BTreeSet::new(),
        view.behaviour().token_life_s.0,
        now,
    );
    claims
}

/// A person's name for one audience: the same every time, another for every other audience.
fn subject(user: Uuid, audience: Uuid) -> String {
    let pair = [user.into_bytes(), audience.into_bytes()].concat();
    URL_SAFE_NO_PAD.encode(digest(&SHA256, &pair))
}

/// A token of the administrator for a resource, with every scope it offers, as a sign-in with one
/// of Microsoft's own command line tools would give it.
pub(super) fn administrator(world: &World, resource: &str, client: Uuid) -> String {
    let (view, now) = world.view();
    let users = &view.directory().users;
    let upn = &world.made.admin_user;
    let user = users
        .iter()
        .find(|(_, user)| user.user_principal_name.eq_ignore_ascii_case(upn));
    let found = view.resource(resource);
    let signed_in = SignedIn {
        client,
        user: user.map(|(id, _)| *id).unwrap_or_default(),
        second_factor: true,
        public: true,
        password: String::new(),
        wanted: Wanted {
            resource: resource.to_owned(),
            resource_id: found.map(|(id, _)| id).unwrap_or_default(),
            resource_app_id: found.map(|(_, p)| p.app_id).unwrap_or_default(),
            names: BTreeSet::new(),
            openid: false,
            offline: false,
        },
        scopes: BTreeSet::new(),
    };
    let scopes: BTreeSet<String> = found
        .into_iter()
        .flat_map(|(_, resource)| resource.scopes.values().map(|scope| scope.value.clone()))
        .collect();
    let wanted = signed_in.wanted.clone();
    let (claims, v1) = claims(
        world, &view, &signed_in, &wanted, &scopes, client, None, now,
    );
    let key = world.key();
    key.sign(&token::header(&key.id, v1), &claims)
}
