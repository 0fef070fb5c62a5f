//! Secrets and certificates of an application.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::applications::{find_to_change, not_found};
use super::error::{self, GraphError};
use super::{Call, Reply, shape, with_context};
use crate::chance::Chance;
use crate::entra::jwt::{Jwt, PublicKey};
use crate::state::directory::{Application, Certificate, Policies, Secret};

/// Life of a secret unless another end is asked. Source: addPassword page (two years).
const SECRET_LIFE: SignedDuration = SignedDuration::from_hours(2 * 365 * 24);
/// Audience of a proof. Source: addKey page.
const PROOF_AUDIENCE: &str = "00000002-0000-0000-c000-000000000000";
/// Seconds between `nbf` and `exp` of a proof, exactly. Source: reported by users.
const PROOF_LIFE_S: i64 = 600;
/// Seconds by which a proof's times may differ from the service's. Source: assumed.
const SKEW_S: i64 = 300;

/// `POST …/addPassword`
pub(super) fn add_password(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    let id = find_to_change(call, key, false)?;
    let empty = Map::new();
    let asked = match call.body.get("passwordCredential") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(asked)) => asked,
        Some(_) => return Err(error::PROPERTY.with(&["passwordCredential", "Application"])),
    };
    let starts = date(asked, "startDateTime")?.unwrap_or(call.now);
    let ends = match date(asked, "endDateTime")? {
        Some(ends) => ends,
        None => starts.checked_add(SECRET_LIFE).unwrap_or(Timestamp::MAX),
    };
    if ends <= starts || ends <= call.now {
        return Err(error::SECRET_DATES.said());
    }
    judge_policy(&call.view.directory().policies, starts, ends)?;
    let name = asked.get("displayName").and_then(Value::as_str);
    let text = call.world.chance.secret();
    let key_id = call.world.chance.guid();
    call.change(|tenant, _, _| {
        let application = tenant
            .applications
            .get_mut(&id)
            .ok_or_else(|| not_found(key))?;
        let secret = Secret::of(&text, name.unwrap_or_default(), starts, ends);
        let mut object = shape::secret(key_id, &secret);
        object["secretText"] = text.as_str().into();
        object["displayName"] = json!(name);
        application.secrets.insert(key_id, secret);
        Ok(with_context(
            StatusCode::OK,
            "microsoft.graph.passwordCredential",
            object,
        ))
    })
}

fn judge_policy(policies: &Policies, starts: Timestamp, ends: Timestamp) -> Result<(), GraphError> {
    if policies.secrets_forbidden {
        return Err(error::SECRET_FORBIDDEN.said());
    }
    let life = ends.duration_since(starts);
    let longest = policies
        .secret_days_max
        .map(|days| SignedDuration::from_hours(i64::from(days) * 24));
    if longest.is_some_and(|longest| life > longest) {
        return Err(error::SECRET_LIFE.said());
    }
    Ok(())
}

/// `POST …/removePassword`
pub(super) fn remove_password(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    let id = find_to_change(call, key, false)?;
    let key_id = key_id(&call.body)?;
    call.change(|tenant, _, _| {
        let application = tenant
            .applications
            .get_mut(&id)
            .ok_or_else(|| not_found(key))?;
        match application.secrets.remove(&key_id) {
            Some(_) => Ok(Reply::nothing()),
            None => Err(error::NO_CREDENTIAL.said()),
        }
    })
}

/// `POST …/addKey`
pub(super) fn add_key(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    let id = find_to_change(call, key, true)?;
    judge_proof(call, id)?;
    let Some(Value::Object(asked)) = call.body.get("keyCredential") else {
        return Err(error::PROPERTY_MISSING.with(&["keyCredential", "Application"]));
    };
    let certificate = certificate(asked, call.now)?;
    let key_id = call.world.chance.guid();
    call.change(|tenant, _, _| {
        let application = tenant
            .applications
            .get_mut(&id)
            .ok_or_else(|| not_found(key))?;
        let object = shape::certificate(key_id, &certificate, false);
        application.certificates.insert(key_id, certificate);
        Ok(with_context(
            StatusCode::OK,
            "microsoft.graph.keyCredential",
            object,
        ))
    })
}

/// `POST …/removeKey`
pub(super) fn remove_key(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    let id = find_to_change(call, key, true)?;
    judge_proof(call, id)?;
    let key_id = key_id(&call.body)?;
    call.change(|tenant, _, _| {
        let application = tenant
            .applications
            .get_mut(&id)
            .ok_or_else(|| not_found(key))?;
        match application.certificates.remove(&key_id) {
            Some(_) => Ok(Reply::nothing()),
            None => Err(error::NO_CREDENTIAL.said()),
        }
    })
}

fn key_id(body: &Map<String, Value>) -> Result<Uuid, GraphError> {
    let asked = body.get("keyId").and_then(Value::as_str);
    let asked = asked.ok_or_else(|| error::PROPERTY_MISSING.with(&["keyId", "Application"]))?;
    asked
        .parse()
        .map_err(|_| error::PROPERTY.with(&["keyId", "Application"]))
}

// The proof is a JWT signed with a key the application already has.
fn judge_proof(call: &Call<'_>, id: Uuid) -> Result<(), GraphError> {
    let refused = |cause: &str| error::PROOF.said().because(cause);
    let text = call.body.get("proof").and_then(Value::as_str);
    let jwt = Jwt::parse(text.unwrap_or_default())
        .ok_or_else(|| refused("the proof is not a signed token"))?;
    let Some(application) = call.view.replicated().applications.get(&id) else {
        return Err(not_found(&id.to_string()));
    };
    let now = call.now;
    let signed = call
        .view
        .credentials(application.app_id)
        .into_iter()
        .flat_map(|application| application.certificates.values())
        .filter(|certificate| certificate.starts <= now && now < certificate.ends)
        .filter_map(|certificate| PublicKey::from_certificate(&certificate.octets()))
        .any(|key| jwt.signed_by(&key));
    if !signed {
        return Err(refused(
            "no valid certificate of the application verifies the proof",
        ));
    }
    if !jwt.audiences().contains(&PROOF_AUDIENCE) {
        return Err(refused("the proof's aud is not the directory's id"));
    }
    let issuer: Option<Uuid> = jwt.text("iss").and_then(|iss| iss.parse().ok());
    if issuer != Some(id) && issuer != Some(application.app_id) {
        return Err(refused(
            "the proof's iss is neither of the application's ids",
        ));
    }
    let (Some(from), Some(until)) = (jwt.date("nbf"), jwt.date("exp")) else {
        return Err(refused("the proof has no nbf and exp"));
    };
    if until - from != PROOF_LIFE_S {
        return Err(refused(
            "the proof's exp is not exactly ten minutes after its nbf",
        ));
    }
    let seconds = now.as_second();
    if from > seconds.saturating_add(SKEW_S) || until <= seconds {
        return Err(refused("the proof is not valid now"));
    }
    Ok(())
}

/// The certificates after a PATCH of `keyCredentials`: the whole collection is replaced; an entry
/// without a key stands for the registered one of its `keyId`.
pub(super) fn replaced(
    value: &Value,
    application: &Application,
    now: Timestamp,
    chance: &Chance,
) -> Result<BTreeMap<Uuid, Certificate>, GraphError> {
    let wrong = || error::PROPERTY.with(&["keyCredentials", "Application"]);
    let mut kept = BTreeMap::new();
    for entry in value.as_array().ok_or_else(wrong)? {
        let entry = entry.as_object().ok_or_else(wrong)?;
        let id: Option<Uuid> = match entry.get("keyId") {
            None | Some(Value::Null) => None,
            Some(id) => Some(
                id.as_str()
                    .and_then(|id| id.parse().ok())
                    .ok_or_else(wrong)?,
            ),
        };
        let registered = id.and_then(|id| application.certificates.get(&id));
        let has_key = entry.get("key").is_some_and(|key| !key.is_null());
        let certificate = match (has_key, registered) {
            (false, Some(registered)) => registered.clone(),
            (true, _) => certificate(entry, now)?,
            (false, None) => {
                let shown = id.map(|id| id.to_string()).unwrap_or_default();
                return Err(error::KEY_UNKNOWN.with(&[&shown]));
            }
        };
        kept.insert(id.unwrap_or_else(|| chance.guid()), certificate);
    }
    Ok(kept)
}

/// Whether a list of secrets names exactly the registered ones and adds none.
pub(super) fn same_secrets(secrets: &[Value], application: &Application) -> bool {
    secrets.len() == application.secrets.len()
        && secrets.iter().all(|secret| {
            let id = secret["keyId"].as_str().and_then(|id| id.parse().ok());
            id.is_some_and(|id: Uuid| application.secrets.contains_key(&id))
        })
}

fn certificate(entry: &Map<String, Value>, now: Timestamp) -> Result<Certificate, GraphError> {
    let invalid = || error::CERTIFICATE.said();
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    if text("type").is_some_and(|kind| kind != "AsymmetricX509Cert")
        || text("usage").is_some_and(|usage| usage != "Verify")
    {
        return Err(error::PROPERTY.with(&["keyCredentials", "Application"]));
    }
    // Blanks and line ends do not count: the Azure CLI sends the body of a PEM file as it stands.
    let der = text("key")
        .map(|key| key.split_ascii_whitespace().collect::<String>())
        .and_then(|key| STANDARD.decode(key).ok())
        .ok_or_else(invalid)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|_| invalid())?;
    let second = |at: i64| Timestamp::from_second(at).unwrap_or(Timestamp::MAX);
    let expires = second(parsed.validity().not_after.timestamp());
    let starts = date(entry, "startDateTime")?.unwrap_or(now);
    let ends = date(entry, "endDateTime")?.unwrap_or(expires);
    if ends > expires || ends <= starts {
        return Err(error::KEY_END.said());
    }
    let name = text("displayName").map_or_else(|| parsed.subject().to_string(), Into::into);
    Ok(Certificate {
        display_name: name,
        der: STANDARD.encode(&der),
        starts,
        ends,
    })
}

fn date(members: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, GraphError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_str()
            .and_then(|text| text.parse().ok())
            .map(Some)
            .ok_or_else(|| error::PROPERTY.with(&[name, "Application"])),
    }
}
