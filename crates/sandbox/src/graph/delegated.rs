//! Granted delegated permissions (`oauth2PermissionGrants`).

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::access::Right;
use super::applications::not_found;
use super::error::{self, GraphError};
use super::{Call, Reply, principals, shape};
use crate::state::directory::PermissionGrant;

const KIND: &str = "OAuth2PermissionGrant";

pub(super) fn dispatch(call: &Call<'_>, rest: &[&str]) -> Option<Result<Reply, GraphError>> {
    Some(match (call.method.as_str(), rest) {
        ("GET", []) => list(call, None),
        ("POST", []) => create(call),
        ("GET", [_]) => read(call),
        ("PATCH", [_]) => update(call),
        ("DELETE", [_]) => delete(call),
        _ => return None,
    })
}

/// `GET /servicePrincipals/{id}/oauth2PermissionGrants`
pub(super) fn of_client(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    let (id, _) = principals::find(call.view.replicated(), key)?;
    list(call, Some(id))
}

fn list(call: &Call<'_>, client: Option<Uuid>) -> Result<Reply, GraphError> {
    call.require(Right::ReadGrants)?;
    let grants = call.view.listed().permission_grants.iter();
    let objects = grants
        .filter(|(_, grant)| client.is_none_or(|client| grant.client_id == client))
        .map(|(id, grant)| shape::grant(*id, grant));
    call.list("oauth2PermissionGrants", KIND, objects.collect())
}

fn read(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::ReadGrants)?;
    let asked = call.part(1);
    let grants = &call.view.replicated().permission_grants;
    let found = shape::assignment_of(asked).and_then(|id| grants.get_key_value(&id));
    let (id, grant) = found.ok_or_else(|| not_found(asked))?;
    Ok(call.one("oauth2PermissionGrants", shape::grant(*id, grant)))
}

fn scopes(call: &Call<'_>) -> Result<BTreeSet<String>, GraphError> {
    let text = call.body.get("scope").and_then(Value::as_str);
    let text = text.ok_or_else(|| error::PROPERTY_MISSING.with(&["scope", KIND]))?;
    Ok(text.split_ascii_whitespace().map(str::to_owned).collect())
}

fn create(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::Consent)?;
    let id_of = |name: &str| -> Result<Option<Uuid>, GraphError> {
        match call.body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_str()
                .and_then(|text| text.parse().ok())
                .map(Some)
                .ok_or_else(|| error::PROPERTY.with(&[name, KIND])),
        }
    };
    let needed =
        |name: &str| id_of(name)?.ok_or_else(|| error::PROPERTY_MISSING.with(&[name, KIND]));
    let (client_id, resource_id) = (needed("clientId")?, needed("resourceId")?);
    let principal_id = match call.body.get("consentType").and_then(Value::as_str) {
        Some("AllPrincipals") => None,
        Some("Principal") => Some(needed("principalId")?),
        _ => return Err(error::PROPERTY.with(&["consentType", KIND])),
    };
    let scopes = scopes(call)?;
    let replicated = &call.view.replicated().service_principals;
    if !replicated.contains_key(&client_id) || !replicated.contains_key(&resource_id) {
        return Err(error::REFERENCE.said());
    }
    let new = call.world.chance.guid();
    call.change(|tenant, _, _| {
        let exists = tenant.permission_grants.values().any(|grant| {
            grant.client_id == client_id
                && grant.resource_id == resource_id
                && grant.principal_id == principal_id
        });
        if exists {
            return Err(error::EXISTS.said());
        }
        let grant = PermissionGrant {
            client_id,
            resource_id,
            principal_id,
            scopes,
        };
        let object = shape::grant(new, &grant);
        tenant.permission_grants.insert(new, grant);
        Ok(Call::made("oauth2PermissionGrants", object))
    })
}

fn update(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::Consent)?;
    let asked = call.part(1);
    let scopes = scopes(call)?;
    call.change(|tenant, _, _| {
        let grant = shape::assignment_of(asked)
            .and_then(|id| tenant.permission_grants.get_mut(&id))
            .ok_or_else(|| not_found(asked))?;
        grant.scopes = scopes;
        Ok(Reply::nothing())
    })
}

fn delete(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::Consent)?;
    let asked = call.part(1);
    call.change(|tenant, _, _| {
        shape::assignment_of(asked)
            .and_then(|id| tenant.permission_grants.remove(&id))
            .ok_or_else(|| not_found(asked))?;
        Ok(Reply::nothing())
    })
}
