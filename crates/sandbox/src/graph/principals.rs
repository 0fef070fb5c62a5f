//! Enterprise applications (service principals).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::access::Right;
use super::applications::not_found;
use super::error::{self, GraphError};
use super::{Call, Reply, delegated, grants, shape};
use crate::state::Tenant;
use crate::state::directory::{Deleted, DeletedObject, ServicePrincipal};

const KIND: &str = "ServicePrincipal";

pub(super) fn dispatch(call: &Call<'_>, rest: &[&str]) -> Option<Result<Reply, GraphError>> {
    Some(match (call.method.as_str(), rest) {
        ("GET", []) => list(call),
        ("POST", []) => create(call),
        ("GET", [key]) => read(call, key),
        ("PATCH", [key]) => update(call, key),
        ("DELETE", [key]) => delete(call, key),
        ("GET", [key, "oauth2permissiongrants"]) => delegated::of_client(call, key),
        (
            _,
            [
                key,
                side @ ("approleassignments" | "approleassignedto"),
                rest @ ..,
            ],
        ) => {
            return grants::dispatch(call, key, *side == "approleassignedto", rest);
        }
        _ => return None,
    })
}

/// Finds a service principal by object id or `appId=…`.
pub(super) fn find<'t>(
    tenant: &'t Tenant,
    key: &str,
) -> Result<(Uuid, &'t ServicePrincipal), GraphError> {
    super::by_key(&tenant.service_principals, key, |principal| {
        principal.app_id
    })
    .ok_or_else(|| not_found(key))
}

/// Takes a service principal with its grants out of the tenant, into the bin.
pub(super) fn remove(tenant: &mut Tenant, id: Uuid, at: Timestamp) {
    let Some(principal) = tenant.service_principals.remove(&id) else {
        return;
    };
    tenant
        .app_role_assignments
        .retain(|_, a| a.principal_id != id && a.resource_id != id);
    tenant
        .permission_grants
        .retain(|_, g| g.client_id != id && g.resource_id != id);
    for role in tenant.directory_roles.values_mut() {
        role.members.remove(&id);
    }
    let object = DeletedObject::ServicePrincipal(Box::new(principal));
    tenant.deleted.insert(id, Deleted { at, object });
}

fn list(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::ReadApplications)?;
    let tenant = call.view.listed();
    let all = tenant.service_principals.iter();
    let objects = all.map(|(id, p)| shape::principal(tenant, *id, p));
    call.list("servicePrincipals", KIND, objects.collect())
}

fn read(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadApplications)?;
    let tenant = call.view.replicated();
    let (id, principal) = find(tenant, key)?;
    let object = shape::principal(tenant, id, principal);
    Ok(call.one("servicePrincipals", object))
}

fn create(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::WriteApplications)?;
    let Some(asked) = call.body.get("appId").and_then(Value::as_str) else {
        return Err(error::PROPERTY_MISSING.with(&["appId", KIND]));
    };
    let no_application = || error::SP_APPLICATION.with(&[asked]);
    let app_id: Uuid = asked.parse().map_err(|_| no_application())?;
    let id = call.world.chance.guid();
    call.change(|tenant, view, _| {
        let taken = tenant
            .service_principals
            .values()
            .any(|p| p.app_id == app_id);
        if taken {
            return Err(error::SP_EXISTS.with(&[asked]));
        }
        let replicated = view.replicated().applications.values();
        if !replicated.clone().any(|a| a.app_id == app_id) {
            return Err(no_application());
        }
        let application = tenant.applications.values().find(|a| a.app_id == app_id);
        let mut principal = ServicePrincipal {
            app_id,
            display_name: application.ok_or_else(no_application)?.display_name.clone(),
            enabled: true,
            assignment_required: false,
            names: Vec::new(),
            app_roles: BTreeMap::new(),
            scopes: BTreeMap::new(),
            first_party: false,
        };
        set(call, &mut principal)?;
        let object = shape::principal(tenant, id, &principal);
        tenant.service_principals.insert(id, principal);
        Ok(Call::made("servicePrincipals", object))
    })
}

fn update(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::WriteApplications)?;
    let (id, _) = find(call.view.replicated(), key)?;
    call.change(|tenant, _, _| {
        let principal = tenant
            .service_principals
            .get_mut(&id)
            .ok_or_else(|| not_found(key))?;
        if principal.first_party && call.body.contains_key("displayName") {
            return Err(error::RESERVED.with(&[&principal.display_name]));
        }
        set(call, principal)?;
        Ok(Reply::nothing())
    })
}

fn delete(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::WriteApplications)?;
    let (id, _) = find(call.view.replicated(), key)?;
    call.change(|tenant, _, at| {
        let principal = tenant
            .service_principals
            .get(&id)
            .ok_or_else(|| not_found(key))?;
        if principal.first_party {
            return Err(error::RESERVED.with(&[&principal.display_name]));
        }
        remove(tenant, id, at);
        Ok(Reply::nothing())
    })
}

fn set(call: &Call<'_>, principal: &mut ServicePrincipal) -> Result<(), GraphError> {
    for (name, value) in &call.body {
        let wrong = || error::PROPERTY.with(&[name, KIND]);
        match name.as_str() {
            "displayName" => principal.display_name = value.as_str().ok_or_else(wrong)?.into(),
            "accountEnabled" => principal.enabled = flag(value).ok_or_else(wrong)?,
            "appRoleAssignmentRequired" => {
                principal.assignment_required = flag(value).ok_or_else(wrong)?;
            }
            "passwordCredentials" | "keyCredentials"
                if value.as_array().is_some_and(|a| !a.is_empty()) =>
            {
                return Err(error::SECRET_SET.said());
            }
            "appId"
            | "id"
            | "tags"
            | "notes"
            | "description"
            | "homepage"
            | "loginUrl"
            | "passwordCredentials"
            | "keyCredentials"
            | "preferredSingleSignOnMode"
            | "notificationEmailAddresses"
            | "servicePrincipalNames"
            | "replyUrls"
            | "servicePrincipalType"
            | "alternativeNames" => {}
            other if other.starts_with("@odata.") => {}
            other => return Err(error::PROPERTY_UNKNOWN.with(&[other])),
        }
    }
    Ok(())
}

// Graph takes the words too, as azure-cli sends them.
fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(word) => word.to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}
