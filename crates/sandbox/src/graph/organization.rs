//! The organisation, its domains, and people.

use serde_json::{Value, json};
use uuid::Uuid;

use super::access::Right;
use super::applications::not_found;
use super::error::{self, GraphError};
use super::{Call, Reply, shape};
use crate::state::Tenant;
use crate::state::directory::User;

pub(super) fn dispatch(call: &Call<'_>, rest: &[&str]) -> Option<Result<Reply, GraphError>> {
    let first = call.part(0).to_lowercase();
    Some(match (call.method.as_str(), first.as_str(), rest) {
        ("GET", "organization", []) => list(call),
        ("GET", "organization", [id]) => read(call, id),
        ("GET", "domains", []) => domains(call),
        ("GET", "domains", [name]) => domain(call, name),
        ("GET", "me", []) => me(call),
        ("GET", "me", ["memberof" | "transitivememberof", ..]) => member_of(call),
        ("GET", "users", []) => users(call),
        ("GET", "users", [key]) => user(call, key),
        _ => return None,
    })
}

fn organization(tenant: &Tenant) -> Value {
    let verified = tenant.all_domains().enumerate().map(|(index, name)| {
        json!({
            "capabilities": "Email, OfficeCommunicationsOnline",
            "isDefault": index == 0,
            "isInitial": index == 0,
            "name": name,
            "type": "Managed",
        })
    });
    json!({
        "id": tenant.id,
        "deletedDateTime": null,
        "countryLetterCode": "DE",
        "displayName": tenant.display_name,
        "onPremisesSyncEnabled": null,
        "tenantType": "AAD",
        "verifiedDomains": verified.collect::<Vec<_>>(),
    })
}

fn list(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::ReadOrganization)?;
    let one = organization(call.view.listed());
    call.list("organization", "Organization", vec![one])
}

fn read(call: &Call<'_>, id: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadOrganization)?;
    let tenant = call.view.replicated();
    if id.parse() != Ok(tenant.id) {
        return Err(not_found(id));
    }
    Ok(call.one("organization", organization(tenant)))
}

fn shown_domain(index: usize, name: &str) -> Value {
    json!({
        "id": name,
        "authenticationType": "Managed",
        "isAdminManaged": true,
        "isDefault": index == 0,
        "isInitial": index == 0,
        "isRoot": true,
        "isVerified": true,
        "supportedServices": ["Email", "OfficeCommunicationsOnline"],
    })
}

fn domains(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::ReadDomains)?;
    let all = call.view.listed().all_domains().enumerate();
    let objects = all.map(|(index, name)| shown_domain(index, name));
    call.list("domains", "Domain", objects.collect())
}

fn domain(call: &Call<'_>, name: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadDomains)?;
    let mut all = call.view.replicated().all_domains().enumerate();
    let found = all.find(|(_, domain)| domain.eq_ignore_ascii_case(name));
    let (index, name) = found.ok_or_else(|| not_found(name))?;
    Ok(call.one("domains", shown_domain(index, name)))
}

fn myself<'c>(call: &'c Call<'_>) -> Result<(Uuid, &'c User), GraphError> {
    if call.caller.person.is_none() {
        return Err(error::ME.said());
    }
    call.require(Right::ReadSelf)?;
    let id = call.caller.object_id;
    let users = &call.view.replicated().users;
    users
        .get(&id)
        .map(|user| (id, user))
        .ok_or_else(|| not_found(&id.to_string()))
}

fn me(call: &Call<'_>) -> Result<Reply, GraphError> {
    let (id, user) = myself(call)?;
    Ok(call.one("users", shape::user(id, user)))
}

fn member_of(call: &Call<'_>) -> Result<Reply, GraphError> {
    let (id, _) = myself(call)?;
    let roles = call.view.listed().directory_roles.iter();
    let objects = roles
        .filter(|(_, role)| role.members.contains(&id))
        .map(|(template, role)| {
            let mut object = shape::role(*template, role);
            object["@odata.type"] = "#microsoft.graph.directoryRole".into();
            object
        });
    call.list("directoryObjects", "DirectoryObject", objects.collect())
}

fn users(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::ReadPeople)?;
    let people = call.view.listed().users.iter();
    let objects = people.map(|(id, user)| shape::user(*id, user));
    call.list("users", "User", objects.collect())
}

fn user(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadPeople)?;
    let mut people = call.view.replicated().users.iter();
    let found = people.find(|(id, user)| {
        key.parse() == Ok(**id) || user.user_principal_name.eq_ignore_ascii_case(key)
    });
    let (id, user) = found.ok_or_else(|| not_found(key))?;
    Ok(call.one("users", shape::user(*id, user)))
}
