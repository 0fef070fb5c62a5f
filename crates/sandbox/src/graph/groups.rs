//! Groups: read here, made and changed in Exchange, because all of them have addresses.

use serde_json::Value;
use uuid::Uuid;

use super::access::Right;
use super::applications::not_found;
use super::error::{self, GraphError};
use super::{Call, Reply, shape};
use crate::state::Tenant;
use crate::state::directory::Group;

const KIND: &str = "Group";

pub(super) fn dispatch(call: &Call<'_>, rest: &[&str]) -> Option<Result<Reply, GraphError>> {
    Some(match (call.method.as_str(), rest) {
        ("GET", []) => list(call),
        ("GET", [key]) => read(call, key),
        ("GET", [key, "members"]) => members(call, key),
        ("POST", [] | [_, "members", "$ref"]) | ("PATCH" | "DELETE", [_]) => {
            refuse(call, rest.first().copied())
        }
        ("DELETE", [key, "members", _, "$ref"]) => refuse(call, Some(key)),
        _ => return None,
    })
}

fn find<'t>(tenant: &'t Tenant, key: &str) -> Result<(Uuid, &'t Group), GraphError> {
    key.parse()
        .ok()
        .and_then(|id: Uuid| tenant.groups.get_key_value(&id))
        .map(|(id, group)| (*id, group))
        .ok_or_else(|| not_found(key))
}

fn list(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::ReadGroups)?;
    let groups = call.view.listed().groups.iter();
    let objects = groups.map(|(id, group)| shape::group(*id, group));
    call.list("groups", KIND, objects.collect())
}

fn read(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadGroups)?;
    let (id, group) = find(call.view.replicated(), key)?;
    Ok(call.one("groups", shape::group(id, group)))
}

fn members(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadGroups)?;
    let tenant = call.view.replicated();
    let (_, group) = find(tenant, key)?;
    let objects = group.members.iter().filter_map(|member| {
        let nested = member.parse().ok().and_then(|id| {
            let group = tenant.groups.get(&id)?;
            Some((shape::group(id, group), "#microsoft.graph.group"))
        });
        let (mut object, kind) = nested.or_else(|| {
            let mailbox = tenant.exchange.mailboxes.get(member)?;
            let object = serde_json::json!({
                "id": mailbox.id,
                "displayName": mailbox.display_name,
                "mail": member,
                "userPrincipalName": member,
            });
            Some((object, "#microsoft.graph.user"))
        })?;
        object["@odata.type"] = kind.into();
        Some(object)
    });
    call.list("directoryObjects", "DirectoryObject", objects.collect())
}

// A group with an address is Exchange's to make and to change; the sandbox keeps no others.
fn refuse(call: &Call<'_>, key: Option<&str>) -> Result<Reply, GraphError> {
    call.require(Right::WriteGroups)?;
    match key {
        Some(key) => {
            find(call.view.replicated(), key)?;
        }
        None if call.body.get("mailEnabled") != Some(&Value::Bool(true)) => {
            return Err(error::PROPERTY.with(&["mailEnabled", KIND]));
        }
        None => {}
    }
    Err(error::MAIL_GROUP.said())
}
