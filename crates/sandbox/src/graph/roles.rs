//! Directory roles that are active, and their members.

use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::Right;
use super::applications::not_found;
use super::error::{self, GraphError};
use super::{Call, Reply, shape};
use crate::state::Tenant;
use crate::state::directory::DirectoryRole;
use crate::state::roles::TEMPLATES;

const KIND: &str = "DirectoryRole";

pub(super) fn dispatch(call: &Call<'_>, rest: &[&str]) -> Option<Result<Reply, GraphError>> {
    let templates = call.part(0).eq_ignore_ascii_case("directoryRoleTemplates");
    Some(match (call.method.as_str(), rest) {
        ("GET", []) if templates => list_templates(call),
        _ if templates => return None,
        ("GET", []) => list(call),
        ("POST", []) => activate(call),
        ("GET", [key]) => read(call, key),
        ("GET", [key, "members"]) => members(call, key),
        ("POST", [key, "members", "$ref"]) => add(call, key),
        ("DELETE", [key, "members", member, "$ref"]) => remove(call, key, member),
        _ => return None,
    })
}

// By object id, or `roleTemplateId=…`.
fn find<'t>(tenant: &'t Tenant, key: &str) -> Result<(Uuid, &'t DirectoryRole), GraphError> {
    let bare = key.strip_prefix("roletemplateid=");
    let asked: Option<Uuid> = bare.unwrap_or(key).parse().ok();
    tenant
        .directory_roles
        .iter()
        .find(|(template, role)| match bare {
            Some(_) => Some(**template) == asked,
            None => Some(shape::role_id(**template, role)) == asked,
        })
        .map(|(template, role)| (*template, role))
        .ok_or_else(|| not_found(bare.unwrap_or(key)))
}

fn list_templates(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::ReadRoles)?;
    let objects = TEMPLATES.iter().map(|(id, name)| {
        json!({ "id": id, "deletedDateTime": null, "description": null, "displayName": name })
    });
    call.list(
        "directoryRoleTemplates",
        "DirectoryRoleTemplate",
        objects.collect(),
    )
}

fn list(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::ReadRoles)?;
    let roles = call.view.listed().directory_roles.iter();
    let objects = roles.map(|(template, role)| shape::role(*template, role));
    call.list("directoryRoles", KIND, objects.collect())
}

fn read(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadRoles)?;
    let (template, role) = find(call.view.replicated(), key)?;
    Ok(call.one("directoryRoles", shape::role(template, role)))
}

fn activate(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::WriteRoles)?;
    let Some(asked) = call.body.get("roleTemplateId").and_then(Value::as_str) else {
        return Err(error::PROPERTY_MISSING.with(&["roleTemplateId", KIND]));
    };
    let known = TEMPLATES.iter().find(|(id, _)| asked.parse() == Ok(*id));
    let (template, name) = known.ok_or_else(|| not_found(asked))?;
    let id = call.world.chance.guid();
    call.change(|tenant, _, _| {
        if tenant.directory_roles.contains_key(template) {
            return Err(error::EXISTS.said());
        }
        let role = DirectoryRole {
            id,
            display_name: (*name).into(),
            members: std::collections::BTreeSet::new(),
        };
        let object = shape::role(*template, &role);
        tenant.directory_roles.insert(*template, role);
        Ok(Call::made("directoryRoles", object))
    })
}

fn members(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadRoles)?;
    let tenant = call.view.replicated();
    let (_, role) = find(tenant, key)?;
    let objects = role.members.iter().filter_map(|id| {
        let (mut object, kind) = match (tenant.users.get(id), tenant.service_principals.get(id)) {
            (Some(user), _) => (shape::user(*id, user), "#microsoft.graph.user"),
            (None, Some(principal)) => (
                shape::principal(tenant, *id, principal),
                "#microsoft.graph.servicePrincipal",
            ),
            (None, None) => return None,
        };
        object["@odata.type"] = kind.into();
        Some(object)
    });
    call.list("directoryObjects", "DirectoryObject", objects.collect())
}

fn add(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::WriteRoles)?;
    let (template, _) = find(call.view.replicated(), key)?;
    let Some(reference) = call.body.get("@odata.id").and_then(Value::as_str) else {
        return Err(error::PROPERTY_MISSING.with(&["@odata.id", KIND]));
    };
    let member: Option<Uuid> = reference
        .rsplit(['/', '('])
        .next()
        .and_then(|id| id.trim_matches(|c| matches!(c, ')' | '\'')).parse().ok());
    let replicated = call.view.replicated();
    let known = member.filter(|id| {
        replicated.users.contains_key(id) || replicated.service_principals.contains_key(id)
    });
    let Some(member) = known else {
        let last = reference.rsplit('/').next().unwrap_or_default();
        return Err(not_found(last));
    };
    call.change(|tenant, _, _| {
        let role = tenant
            .directory_roles
            .get_mut(&template)
            .ok_or_else(|| not_found(key))?;
        if !role.members.insert(member) {
            return Err(error::MEMBER_EXISTS.said());
        }
        Ok(Reply {
            status: StatusCode::NO_CONTENT,
            body: None,
        })
    })
}

fn remove(call: &Call<'_>, key: &str, member: &str) -> Result<Reply, GraphError> {
    call.require(Right::WriteRoles)?;
    let (template, _) = find(call.view.replicated(), key)?;
    call.change(|tenant, _, _| {
        let role = tenant
            .directory_roles
            .get_mut(&template)
            .ok_or_else(|| not_found(key))?;
        match member.parse().ok().filter(|id| role.members.remove(id)) {
            Some(_) => Ok(Reply::nothing()),
            None => Err(not_found(member)),
        }
    })
}
