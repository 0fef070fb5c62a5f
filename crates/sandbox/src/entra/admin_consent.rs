//! Consent of an administrator for everybody, for all an application's registration asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use http::{HeaderMap, Response};
use uuid::Uuid;

use super::client::Client;
use super::desk::{AdminAsked, Flow, Mode, Purpose, Stage};
use super::failure::{self, Failure};
use super::sign_in::{self, Step};
use super::{page, scope};
use crate::front;
use crate::state::Tenant;
use crate::state::directory::{AppRoleAssignment, ServicePrincipal};
use crate::state::view::View;
use crate::world::World;

/// `GET /{tenant}/v2.0/adminconsent`
pub(super) async fn begin_v2(
    State(world): State<Arc<World>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    begin(&world, &tenant, query.as_deref(), &headers, true)
}

/// `GET /{tenant}/adminconsent`
pub(super) async fn begin_v1(
    State(world): State<Arc<World>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    begin(&world, &tenant, query.as_deref(), &headers, false)
}

fn begin(
    world: &World,
    tenant: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    with_scope: bool,
) -> Response<Body> {
    match judge(world, tenant, query, with_scope) {
        Ok((client, flow)) => sign_in::show(world, headers, &client, flow, Step::Stay(None), None),
        Err(failure) => sign_in::failed(world, headers, &failure),
    }
}

fn judge(
    world: &World,
    tenant: &str,
    query: Option<&str>,
    with_scope: bool,
) -> Result<(Client, Flow), Failure> {
    let (view, _) = world.view();
    let form = sign_in::parameters(query.unwrap_or_default().as_bytes())
        .ok_or_else(|| failure::REQUEST_MALFORMED.with(&[]))?;
    let client = sign_in::known_client(&view, tenant, &form)?;
    let given = |name: &str| form.get(name).filter(|value| !value.is_empty()).cloned();
    let needed = |name: &str| given(name).ok_or_else(|| failure::PARAMETER_MISSING.with(&[name]));
    let redirect_uri = needed("redirect_uri")?;
    client.redirect(&redirect_uri)?;
    let scope = if with_scope {
        let text = needed("scope")?;
        scope::read(&view, &client, &text)?;
        Some(text)
    } else {
        None
    };
    let flow = Flow {
        tenant: tenant.to_owned(),
        client: client.id,
        wanted: None,
        purpose: Purpose::AdminConsent(AdminAsked {
            redirect_uri,
            state: given("state"),
            scope,
        }),
        stage: Stage::Password,
        user: None,
        second_factor: false,
        granted: BTreeSet::new(),
    };
    Ok((client, flow))
}

/// Sends a refusal back to the client.
pub(super) fn refused(
    world: &World,
    headers: &HeaderMap,
    asked: &AdminAsked,
    failure: &Failure,
) -> Response<Body> {
    let mut parameters = vec![
        ("error", failure.row.error.to_owned()),
        (
            "error_description",
            failure.description(front::stamp(world, headers)),
        ),
        ("admin_consent", "True".to_owned()),
    ];
    if let Some(state) = &asked.state {
        parameters.push(("state", state.clone()));
    }
    let response = page::back(&asked.redirect_uri, Mode::Query, &parameters);
    sign_in::remarked(response, failure)
}

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
