//! The admin consent endpoint: consent for everybody, for all an application's registration asks for.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use http::{HeaderMap, Response};

use super::client::Client;
use super::desk::{AdminAsked, Flow, Purpose, Stage};
use super::failure::{self, Failure};
use super::step::Step;
use super::{asked, scope, sign_in, step};
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
        Err(failure) => step::failed(world, headers, &failure),
    }
}

fn judge(
    world: &World,
    tenant: &str,
    query: Option<&str>,
    with_scope: bool,
) -> Result<(Client, Flow), Failure> {
    let (view, _) = world.view();
    let form = asked::parameters(query.unwrap_or_default().as_bytes())
        .ok_or_else(|| failure::REQUEST_MALFORMED.with(&[]))?;
    let client = asked::known_client(&view, tenant, &form)?;
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
