//! Granted application permissions, from the side of who has them and of whose they are.

use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::access::Right;
use super::applications::not_found;
use super::error::{self, GraphError};
use super::{Call, Reply, principals, shape, with_context};
use crate::state::directory::AppRoleAssignment;
use crate::state::preset::GRAPH_APP_ID;

const KIND: &str = "AppRoleAssignment";

/// Operations on `…/appRoleAssignments`, or on `…/appRoleAssignedTo` when `resource_side`.
pub(super) fn dispatch(
    call: &Call<'_>,
    key: &str,
    resource_side: bool,
    rest: &[&str],
) -> Option<Result<Reply, GraphError>> {
    Some(match (call.method.as_str(), rest) {
        ("GET", []) => list(call, key, resource_side),
        ("POST", []) => create(call, key, resource_side),
        ("GET", [_]) => read(call, key, resource_side),
        ("DELETE", [_]) => delete(call, key, resource_side),
        _ => return None,
    })
}

fn context(id: Uuid, resource_side: bool) -> String {
    let side = if resource_side {
        "appRoleAssignedTo"
    } else {
        "appRoleAssignments"
    };
    format!("servicePrincipals('{id}')/{side}")
}

fn on_side(assignment: &AppRoleAssignment, id: Uuid, resource_side: bool) -> bool {
    if resource_side {
        assignment.resource_id == id
    } else {
        assignment.principal_id == id
    }
}

fn list(call: &Call<'_>, key: &str, resource_side: bool) -> Result<Reply, GraphError> {
    call.require(Right::ReadGrants)?;
    let (id, _) = principals::find(call.view.replicated(), key)?;
    let tenant = call.view.listed();
    let objects = tenant
        .app_role_assignments
        .iter()
        .filter(|(_, a)| on_side(a, id, resource_side))
        .map(|(id, a)| shape::assignment(tenant, *id, a));
    call.list(&context(id, resource_side), KIND, objects.collect())
}

fn read(call: &Call<'_>, key: &str, resource_side: bool) -> Result<Reply, GraphError> {
    call.require(Right::ReadGrants)?;
    let tenant = call.view.replicated();
    let (id, _) = principals::find(tenant, key)?;
    let asked = call.part(3);
    let found = shape::assignment_of(asked)
        .and_then(|assignment| tenant.app_role_assignments.get_key_value(&assignment))
        .filter(|(_, a)| on_side(a, id, resource_side));
    let (assignment_id, assignment) = found.ok_or_else(|| not_found(asked))?;
    let object = shape::assignment(tenant, *assignment_id, assignment);
    Ok(call.one(&context(id, resource_side), object))
}

fn create(call: &Call<'_>, key: &str, resource_side: bool) -> Result<Reply, GraphError> {
    let (id, _) = principals::find(call.view.replicated(), key)?;
    let asked = |name: &str| -> Result<Uuid, GraphError> {
        let value = call.body.get(name).and_then(Value::as_str);
        let value = value.ok_or_else(|| error::PROPERTY_MISSING.with(&[name, KIND]))?;
        value
            .parse()
            .map_err(|_| error::PROPERTY.with(&[name, KIND]))
    };
    let (principal_id, resource_id) = (asked("principalId")?, asked("resourceId")?);
    let app_role_id = asked("appRoleId")?;
    let (own, named) = if resource_side {
        (resource_id, "resourceId")
    } else {
        (principal_id, "principalId")
    };
    if own != id {
        return Err(error::PROPERTY.with(&[named, KIND]));
    }
    let replicated = &call.view.replicated().service_principals;
    let Some(resource) = replicated.get(&resource_id) else {
        return Err(error::REFERENCE.said().because("the resource is not there"));
    };
    if !replicated.contains_key(&principal_id) {
        return Err(error::REFERENCE
            .said()
            .because("the principal is not there"));
    }
    call.require_grant(resource.app_id == GRAPH_APP_ID)?;
    if !resource.app_roles.contains_key(&app_role_id) {
        return Err(error::ROLE_UNKNOWN.with(&[&resource_id.to_string()]));
    }
    let new = call.world.chance.guid();
    call.change(|tenant, _, created| {
        let whole = tenant.service_principals.contains_key(&principal_id)
            && tenant
                .service_principals
                .get(&resource_id)
                .is_some_and(|resource| resource.app_roles.contains_key(&app_role_id));
        if !whole {
            return Err(error::REFERENCE.said().because("deleted meanwhile"));
        }
        let assignment = AppRoleAssignment {
            principal_id,
            resource_id,
            app_role_id,
            created,
        };
        let exists = tenant.app_role_assignments.values().any(|other| {
            other.principal_id == principal_id
                && other.resource_id == resource_id
                && other.app_role_id == app_role_id
        });
        if exists {
            return Err(error::ASSIGNMENT_EXISTS.said());
        }
        let object = shape::assignment(tenant, new, &assignment);
        tenant.app_role_assignments.insert(new, assignment);
        let context = format!("{}/$entity", context(id, resource_side));
        Ok(with_context(StatusCode::CREATED, &context, object))
    })
}

fn delete(call: &Call<'_>, key: &str, resource_side: bool) -> Result<Reply, GraphError> {
    call.require(Right::Grant)?;
    let (id, _) = principals::find(call.view.replicated(), key)?;
    let asked = call.part(3);
    call.change(|tenant, _, _| {
        let assignment = shape::assignment_of(asked).filter(|assignment| {
            tenant
                .app_role_assignments
                .get(assignment)
                .is_some_and(|a| on_side(a, id, resource_side))
        });
        let assignment = assignment.ok_or_else(|| not_found(asked))?;
        tenant.app_role_assignments.remove(&assignment);
        Ok(Reply::nothing())
    })
}
