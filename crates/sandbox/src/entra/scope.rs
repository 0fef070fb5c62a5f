//! Scopes a person's sign-in asks for, and which of them are granted.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::client::Client;
use super::failure::{self, Failure};
use crate::state::Tenant;
use crate::state::directory::PermissionGrant;
use crate::state::view::View;

/// Scopes of OpenID Connect, which belong to no resource.
const OPENID: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// Delegated permissions a person can grant for themselves. Source: permissions reference.
const FOR_PERSONS: [&str; 1] = ["User.Read"];

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The resource, as it was named.
    pub(crate) resource: String,
    /// Its enterprise application's object id.
    pub(crate) resource_id: Uuid,
    /// Its client id.
    pub(crate) resource_app_id: Uuid,
    /// Scopes by name; none with `.default`.
    pub(crate) names: BTreeSet<String>,
    /// Whether an id token is wanted.
    pub(crate) openid: bool,
    /// Whether a refresh token is wanted.
    pub(crate) offline: bool,
}

/// Reads `scope`: one resource, by name or `/.default`; scopes without a resource are Microsoft
/// Graph's.
pub(crate) fn read(view: &View, client: &Client, text: &str) -> Result<Wanted, Failure> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let asked = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    let mut resource: Option<&str> = None;
    let mut names = BTreeSet::new();
    let mut default = false;
    for word in words
        .iter()
        .filter(|word| !OPENID.contains(&&*word.to_ascii_lowercase()))
    {
        let (own, name) = word
            .rsplit_once('/')
            .unwrap_or(("https://graph.microsoft.com", word));
        if name.is_empty() || own.is_empty() {
            return Err(failure::SCOPE_INVALID.with(&[text]));
        }
        if resource.is_some_and(|other| !other.eq_ignore_ascii_case(own)) {
            return Err(failure::SCOPE_RESOURCES.with(&[text]));
        }
        resource = Some(own);
        if name == ".default" {
            default = true;
        } else {
            names.insert(name.to_owned());
        }
    }
    if default && !names.is_empty() {
        return Err(failure::SCOPE_INVALID.with(&[text]));
    }
    let resource = resource.unwrap_or("https://graph.microsoft.com");
    let tenant = view.directory().id.to_string();
    let (resource_id, principal) = view
        .resource(resource)
        .ok_or_else(|| failure::RESOURCE_UNKNOWN.with(&[resource, &tenant]))?;
    for name in &names {
        if !principal.scopes.values().any(|scope| scope.value == *name) {
            let blanks = [client.name.as_str(), name, &principal.display_name];
            return Err(failure::SCOPE_UNKNOWN.with(&blanks));
        }
    }
    if let Some(known) = client.first_party
        && known.resource != principal.app_id
    {
        let blanks = [client.id.to_string(), principal.app_id.to_string()];
        return Err(failure::CONSENT_FIRST_PARTY.with(&[&blanks[0], &blanks[1]]));
    }
    Ok(Wanted {
        resource: resource.to_owned(),
        resource_id,
        resource_app_id: principal.app_id,
        names,
        openid: asked("openid"),
        offline: asked("offline_access"),
    })
}

/// Whether consent is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    /// These scopes stand in the token.
    Granted(BTreeSet<String>),
    /// These are missing.
    Needed(BTreeSet<String>),
}

/// Compares what is wanted with what `user` or the administrator granted.
pub(crate) fn judge(
    view: &View,
    client: &Client,
    user: Uuid,
    wanted: &Wanted,
    ask_again: bool,
) -> Consent {
    if let Some(list) = client.first_party.and_then(|known| known.preauthorized) {
        let all: BTreeSet<String> = list.iter().map(|name| (*name).to_owned()).collect();
        let missing: BTreeSet<String> = wanted.names.difference(&all).cloned().collect();
        return if missing.is_empty() {
            Consent::Granted(all)
        } else {
            Consent::Needed(missing)
        };
    }
    let tenant = view.consented();
    let held = granted(tenant, client.id, user, wanted.resource_id);
    let asked = if wanted.names.is_empty() {
        registered(tenant, client.id, wanted)
    } else {
        wanted.names.clone()
    };
    if ask_again {
        return Consent::Needed(asked);
    }
    // `.default` takes whatever is granted already.
    if wanted.names.is_empty() && !held.is_empty() {
        return Consent::Granted(held);
    }
    let missing: BTreeSet<String> = asked.difference(&held).cloned().collect();
    if missing.is_empty() {
        Consent::Granted(held)
    } else {
        Consent::Needed(missing)
    }
}

fn granted(tenant: &Tenant, client: Uuid, user: Uuid, resource: Uuid) -> BTreeSet<String> {
    let grants = tenant.permission_grants.values().filter(|grant| {
        grant.resource_id == resource
            && grant.principal_id.is_none_or(|person| person == user)
            && tenant
                .service_principals
                .get(&grant.client_id)
                .is_some_and(|principal| principal.app_id == client)
    });
    grants.flat_map(|grant| grant.scopes.clone()).collect()
}

// What the registration asks for; `User.Read` when it asks for nothing.
fn registered(tenant: &Tenant, client: Uuid, wanted: &Wanted) -> BTreeSet<String> {
    let application = tenant.applications.values().find(|a| a.app_id == client);
    let offered = tenant.service_principals.get(&wanted.resource_id);
    let names: BTreeSet<String> = application
        .and_then(|application| application.required.get(&wanted.resource_app_id))
        .into_iter()
        .flatten()
        .filter(|permission| permission.kind == "Scope")
        .filter_map(|permission| Some(offered?.scopes.get(&permission.id)?.value.clone()))
        .collect();
    if names.is_empty() {
        FOR_PERSONS.map(Into::into).into()
    } else {
        names
    }
}

/// Whether a person can grant all of these without an administrator.
pub(crate) fn is_personal(scopes: &BTreeSet<String>) -> bool {
    scopes
        .iter()
        .all(|scope| FOR_PERSONS.contains(&scope.as_str()))
}

/// Writes consent into the tenant: for everybody when an administrator gave it.
pub(crate) fn grant(
    tenant: &mut Tenant,
    client: Uuid,
    resource_id: Uuid,
    person: Option<Uuid>,
    scopes: &BTreeSet<String>,
    id: Uuid,
) {
    let grant = tenant.permission_grants.values_mut().find(|grant| {
        grant.client_id == client
            && grant.resource_id == resource_id
            && grant.principal_id == person
    });
    if let Some(grant) = grant {
        grant.scopes.extend(scopes.iter().cloned());
        return;
    }
    let grant = PermissionGrant {
        client_id: client,
        resource_id,
        principal_id: person,
        scopes: scopes.clone(),
    };
    tenant.permission_grants.insert(id, grant);
}
