//! What an administrator's consent grants to everybody, and how it is written down.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::client::Client;
use super::desk::{AdminAsked, Mode};
use super::step::Step;
use super::{page, scope};
use crate::state::Tenant;
use crate::state::directory::{AppRoleAssignment, ServicePrincipal};
use crate::state::view::View;
use crate::world::World;

/// One permission of the registration, resolved.
struct Asked {
    resource_id: Uuid,
    id: Uuid,
    name: String,
    is_role: bool,
}

fn asked(tenant: &Tenant, client: &Client) -> Vec<Asked> {
    let application = tenant.applications.values().find(|a| a.app_id == client.id);
    let required = application.into_iter().flat_map(|a| &a.required);
    let each = required.flat_map(|(app_id, list)| list.iter().map(move |p| (app_id, p)));
    each.filter_map(|(app_id, permission)| {
        let (resource_id, resource) = tenant
            .service_principals
            .iter()
            .find(|(_, principal)| principal.app_id == *app_id)?;
        let is_role = permission.kind == "Role";
        let offered = if is_role {
            &resource.app_roles
        } else {
            &resource.scopes
        };
        Some(Asked {
            resource_id: *resource_id,
            id: permission.id,
            name: offered.get(&permission.id)?.value.clone(),
            is_role,
        })
    })
    .collect()
}

/// Names of what the registration asks for, for the page.
pub(super) fn names(view: &View, client: &Client) -> BTreeSet<String> {
    let asked = asked(view.directory(), client).into_iter();
    asked.map(|permission| permission.name).collect()
}

/// The enterprise application of a client, made when the tenant has none: consent makes it.
pub(super) fn principal(tenant: &mut Tenant, client: &Client, id: Uuid) -> Uuid {
    let found = tenant
        .service_principals
        .iter()
        .find(|(_, principal)| principal.app_id == client.id);
    if let Some((id, _)) = found {
        return *id;
    }
    let made = ServicePrincipal {
        app_id: client.id,
        display_name: client.name.clone(),
        enabled: true,
        assignment_required: false,
        names: Vec::new(),
        app_roles: BTreeMap::new(),
        scopes: BTreeMap::new(),
        first_party: client.first_party.is_some(),
    };
    tenant.service_principals.insert(id, made);
    id
}

/// Writes the consent down and sends the administrator back.
pub(super) fn grant(world: &World, client: &Client, consent: &AdminAsked) -> Step {
    let id = world.chance.guid();
    let kept: Result<Uuid, std::convert::Infallible> = world.change(|tenant, _, created| {
        let principal_id = principal(tenant, client, id);
        for permission in asked(tenant, client) {
            if !permission.is_role {
                let scopes = BTreeSet::from([permission.name]);
                let id = world.chance.guid();
                scope::grant(
                    tenant,
                    principal_id,
                    permission.resource_id,
                    None,
                    &scopes,
                    id,
                );
                continue;
            }
            let assignment = AppRoleAssignment {
                principal_id,
                resource_id: permission.resource_id,
                app_role_id: permission.id,
                created,
            };
            let exists = tenant.app_role_assignments.values().any(|other| {
                other.principal_id == principal_id
                    && other.resource_id == assignment.resource_id
                    && other.app_role_id == assignment.app_role_id
            });
            if !exists {
                tenant
                    .app_role_assignments
                    .insert(world.chance.guid(), assignment);
            }
        }
        Ok(tenant.id)
    });
    let tenant = match kept {
        Ok(id) => id,
        Err(never) => match never {},
    };
    let mut parameters = vec![
        ("admin_consent", "True".to_owned()),
        ("tenant", tenant.to_string()),
    ];
    if let Some(scope) = &consent.scope {
        parameters.push(("scope", scope.clone()));
    }
    if let Some(state) = &consent.state {
        parameters.push(("state", state.clone()));
    }
    Step::Leave(page::back(&consent.redirect_uri, Mode::Query, &parameters))
}
