//! Federated identity credentials of an application.

use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::access::Right;
use super::applications::{find, find_to_change, not_found, texts};
use super::error::{self, GraphError};
use super::{Call, Reply, shape, with_context};
use crate::state::directory::FederatedCredential;

const KIND: &str = "FederatedIdentityCredential";
/// The audience of a federated credential that names none: the one Microsoft recommends.
const AUDIENCE: &str = "api://AzureADTokenExchange";

pub(super) fn dispatch(
    call: &Call<'_>,
    key: &str,
    rest: &[&str],
) -> Option<Result<Reply, GraphError>> {
    Some(match (call.method.as_str(), rest) {
        ("GET", []) => list(call, key),
        ("POST", []) => create(call, key),
        ("GET", [id]) => read(call, key, id),
        ("PATCH", [id]) => update(call, key, id),
        ("DELETE", [id]) => delete(call, key, id),
        _ => return None,
    })
}

fn context(id: Uuid) -> String {
    format!("applications('{id}')/federatedIdentityCredentials")
}

fn list(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadApplications)?;
    let (id, application) = find(call.view.replicated(), key)?;
    let objects = application.federated.iter();
    let objects = objects.map(|(id, credential)| shape::federated(*id, credential));
    call.list(&context(id), KIND, objects.collect())
}

fn read(call: &Call<'_>, key: &str, which: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadApplications)?;
    let (id, application) = find(call.view.replicated(), key)?;
    let (found, credential) = application
        .federated
        .iter()
        .find(|(id, credential)| names(which, **id, credential))
        .ok_or_else(|| not_found(which))?;
    Ok(call.one(&context(id), shape::federated(*found, credential)))
}

// By id or by name.
fn names(which: &str, id: Uuid, credential: &FederatedCredential) -> bool {
    let name = which.strip_prefix("name=").unwrap_or(which);
    which.parse() == Ok(id) || credential.name.eq_ignore_ascii_case(name)
}

fn create(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    let id = find_to_change(call, key, false)?;
    let mut credential = FederatedCredential {
        name: String::new(),
        issuer: String::new(),
        subject: String::new(),
        audiences: vec![AUDIENCE.into()],
    };
    set(call, &mut credential)?;
    for (property, value) in [
        ("name", &credential.name),
        ("issuer", &credential.issuer),
        ("subject", &credential.subject),
    ] {
        if value.is_empty() {
            return Err(error::PROPERTY_MISSING.with(&[property, KIND]));
        }
    }
    let new = call.world.chance.guid();
    call.change(|tenant, _, _| {
        let application = tenant
            .applications
            .get_mut(&id)
            .ok_or_else(|| not_found(key))?;
        // Name, and the pair of issuer and subject, are unique within the application.
        let clash = application.federated.values().any(|other| {
            other.name.eq_ignore_ascii_case(&credential.name)
                || (other.issuer == credential.issuer && other.subject == credential.subject)
        });
        if clash {
            return Err(error::EXISTS.said());
        }
        let object = shape::federated(new, &credential);
        application.federated.insert(new, credential);
        let context = format!("{}/$entity", context(id));
        Ok(with_context(StatusCode::CREATED, &context, object))
    })
}

fn update(call: &Call<'_>, key: &str, which: &str) -> Result<Reply, GraphError> {
    let id = find_to_change(call, key, false)?;
    call.change(|tenant, _, _| {
        let application = tenant
            .applications
            .get_mut(&id)
            .ok_or_else(|| not_found(key))?;
        let (_, credential) = application
            .federated
            .iter_mut()
            .find(|(id, credential)| names(which, **id, credential))
            .ok_or_else(|| not_found(which))?;
        if call
            .body
            .get("name")
            .is_some_and(|name| *name != *credential.name)
        {
            return Err(error::PROPERTY.with(&["name", KIND]));
        }
        set(call, credential)?;
        Ok(Reply::nothing())
    })
}

fn delete(call: &Call<'_>, key: &str, which: &str) -> Result<Reply, GraphError> {
    let id = find_to_change(call, key, false)?;
    call.change(|tenant, _, _| {
        let application = tenant
            .applications
            .get_mut(&id)
            .ok_or_else(|| not_found(key))?;
        let before = application.federated.len();
        application
            .federated
            .retain(|id, credential| !names(which, *id, credential));
        if application.federated.len() == before {
            return Err(not_found(which));
        }
        Ok(Reply::nothing())
    })
}

fn set(call: &Call<'_>, credential: &mut FederatedCredential) -> Result<(), GraphError> {
    for (name, value) in &call.body {
        let wrong = || error::PROPERTY.with(&[name, KIND]);
        let text = || value.as_str().map(str::to_owned).ok_or_else(wrong);
        match name.as_str() {
            "name" => credential.name = text()?,
            "issuer" => credential.issuer = text()?,
            "subject" => credential.subject = text()?,
            "audiences" => {
                // Exactly one audience. Source: federatedIdentityCredential page.
                credential.audiences = texts(value).filter(|a| a.len() == 1).ok_or_else(wrong)?;
            }
            "description" | "id" => {}
            "claimsMatchingExpression" if value == &Value::Null => {}
            other if other.starts_with("@odata.") => {}
            other => return Err(error::PROPERTY_UNKNOWN.with(&[other])),
        }
    }
    Ok(())
}
