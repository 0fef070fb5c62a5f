//! Deleted objects: list, restore, and delete for good. They vanish by themselves after 30 days.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use super::access::Right;
use super::applications::not_found;
use super::error::{self, GraphError};
use super::{Call, Reply, shape, with_context};
use crate::state::Tenant;
use crate::state::directory::{Deleted, DeletedObject};

/// How long an object stays in the bin. Source: deletedItems page.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) fn dispatch(call: &Call<'_>, rest: &[&str]) -> Option<Result<Reply, GraphError>> {
    let [first, rest @ ..] = rest else {
        return None;
    };
    if !first.eq_ignore_ascii_case("deleteditems") {
        return None;
    }
    Some(match (call.method.as_str(), rest) {
        ("GET", ["microsoft.graph.application" | "microsoft.graph.serviceprincipal"]) => {
            list(call, rest[0] == "microsoft.graph.application")
        }
        ("GET", [key]) => read(call, key),
        ("DELETE", [key]) => purge(call, key),
        ("POST", [key, "restore"]) => restore(call, key),
        _ => return None,
    })
}

fn shown(tenant: &Tenant, id: Uuid, deleted: &Deleted) -> Value {
    let mut object = match &deleted.object {
        DeletedObject::Application(application) => {
            let mut object = shape::application(tenant, id, application, false);
            object["@odata.type"] = "#microsoft.graph.application".into();
            object
        }
        DeletedObject::ServicePrincipal(principal) => {
            let mut object = shape::principal(tenant, id, principal);
            object["@odata.type"] = "#microsoft.graph.servicePrincipal".into();
            object
        }
    };
    object["deletedDateTime"] = shape::time(deleted.at).into();
    object
}

fn is_kept(deleted: &Deleted, now: Timestamp) -> bool {
    now.duration_since(deleted.at) < KEPT
}

fn find(tenant: &Tenant, key: &str, now: Timestamp) -> Result<Uuid, GraphError> {
    key.parse()
        .ok()
        .filter(|id| tenant.deleted.get(id).is_some_and(|d| is_kept(d, now)))
        .ok_or_else(|| not_found(key))
}

fn list(call: &Call<'_>, applications: bool) -> Result<Reply, GraphError> {
    call.require(Right::ReadApplications)?;
    let tenant = call.view.listed();
    let objects = tenant
        .deleted
        .iter()
        .filter(|(_, deleted)| {
            is_kept(deleted, call.now)
                && matches!(deleted.object, DeletedObject::Application(_)) == applications
        })
        .map(|(id, deleted)| shown(tenant, *id, deleted));
    let (context, kind) = if applications {
        ("applications", "Application")
    } else {
        ("servicePrincipals", "ServicePrincipal")
    };
    call.list(context, kind, objects.collect())
}

fn read(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadApplications)?;
    let tenant = call.view.replicated();
    let id = find(tenant, key, call.now)?;
    let object = shown(tenant, id, &tenant.deleted[&id]);
    Ok(call.one("directoryObjects", object))
}

fn purge(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::WriteApplications)?;
    call.change(|tenant, _, now| {
        let id = find(tenant, key, now)?;
        tenant.deleted.remove(&id);
        Ok(Reply::nothing())
    })
}

fn restore(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::WriteApplications)?;
    call.change(|tenant, _, now| {
        let id = find(tenant, key, now)?;
        let object = shown(tenant, id, &tenant.deleted[&id]);
        let Some(deleted) = tenant.deleted.remove(&id) else {
            return Err(not_found(key));
        };
        match deleted.object {
            DeletedObject::Application(application) => {
                if tenant
                    .applications
                    .values()
                    .any(|a| a.app_id == application.app_id)
                {
                    return Err(error::EXISTS.said());
                }
                tenant.applications.insert(id, *application);
            }
            DeletedObject::ServicePrincipal(principal) => {
                let name = principal.app_id.to_string();
                if tenant
                    .service_principals
                    .values()
                    .any(|p| p.app_id == principal.app_id)
                {
                    return Err(error::SP_EXISTS.with(&[&name]));
                }
                if !tenant
                    .applications
                    .values()
                    .any(|a| a.app_id == principal.app_id)
                {
                    return Err(error::SP_APPLICATION.with(&[&name]));
                }
                tenant.service_principals.insert(id, *principal);
            }
        }
        let mut object = object;
        object["deletedDateTime"] = Value::Null;
        Ok(with_context(
            StatusCode::OK,
            "directoryObjects/$entity",
            object,
        ))
    })
}
