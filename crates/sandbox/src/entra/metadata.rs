//! OpenID metadata, key sets and instance discovery.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shared, failure, refuse, token};
use crate::answer;
use crate::certs;
use crate::world::World;

/// `GET /{tenant}/v2.0/.well-known/openid-configuration`
pub(super) async fn openid_v2(
    State(world): Shared,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let Some(issuer) = issuer(&world, &tenant) else {
        return unknown(&world, &headers, &tenant);
    };
    let base = format!("{}/{tenant}", world.places.authority);
    answer(&openid(&base, "/v2.0", &issuer))
}

/// `GET /{tenant}/.well-known/openid-configuration`
pub(super) async fn openid_v1(
    State(world): Shared,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let Some(id) = tenant_id(&world, &tenant) else {
        return unknown(&world, &headers, &tenant);
    };
    let base = format!("{}/{tenant}", world.places.authority);
    answer(&openid(
        &base,
        "",
        &format!("https://sts.windows.net/{id}/"),
    ))
}

/// `GET /{tenant}/discovery/v2.0/keys`
pub(super) async fn keys_v2(
    State(world): Shared,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    match issuer(&world, &tenant) {
        Some(issuer) => keys(&world, Some(issuer)).await,
        None => unknown(&world, &headers, &tenant),
    }
}

/// `GET /{tenant}/discovery/keys`
pub(super) async fn keys_v1(
    State(world): Shared,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    match tenant_id(&world, &tenant) {
        Some(_) => keys(&world, None).await,
        None => unknown(&world, &headers, &tenant),
    }
}

async fn keys(world: &Arc<World>, issuer: Option<String>) -> Response<Body> {
    let world = Arc::clone(world);
    // The key may still be in the making; waiting for it must not hold up the other requests.
    let jwk = tokio::task::spawn_blocking(move || world.key().jwk(issuer.as_deref())).await;
    match jwk {
        Ok(jwk) => answer(&json!({ "keys": [jwk] })),
        Err(_) => answer::json(StatusCode::INTERNAL_SERVER_ERROR, "{}".into()),
    }
}

/// The query of instance discovery.
#[derive(Deserialize)]
pub(super) struct Instance {
    authorization_endpoint: Option<String>,
    #[serde(rename = "api-version")]
    api_version: Option<String>,
}

/// `GET /common/discovery/instance`
pub(super) async fn instance(
    State(world): Shared,
    headers: HeaderMap,
    Query(asked): Query<Instance>,
) -> Response<Body> {
    let endpoint = asked.authorization_endpoint.unwrap_or_default();
    let own = world.places.authority.trim_start_matches("https://");
    let place = endpoint
        .strip_prefix("https://")
        .and_then(|rest| rest.split_once('/'));
    let known = |host: &str| host == own || certs::HOSTS[1..5].contains(&host);
    let Some((host, path)) = place.filter(|(host, _)| known(host)) else {
        return refuse(&world, &headers, &failure::INSTANCE_UNKNOWN.with(&[]));
    };
    let tenant = path.split('/').next().unwrap_or("common");
    let mut body = json!({
        "tenant_discovery_endpoint":
            format!("https://{host}/{tenant}/v2.0/.well-known/openid-configuration"),
    });
    if asked.api_version.as_deref() == Some("1.1") {
        body["api-version"] = "1.1".into();
        body["metadata"] = json!([{
            "preferred_network": host,
            "preferred_cache": host,
            "aliases": [host],
        }]);
    }
    answer(&body)
}

fn openid(base: &str, version: &str, issuer: &str) -> Value {
    json!({
        "token_endpoint": format!("{base}/oauth2{version}/token"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{base}/discovery{version}/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": issuer,
        "request_uri_parameter_supported": false,
        "authorization_endpoint": format!("{base}/oauth2{version}/authorize"),
        "device_authorization_endpoint": format!("{base}/oauth2{version}/devicecode"),
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "claims_supported":
            ["sub", "iss", "aud", "exp", "iat", "tid", "ver", "oid", "appid", "azp", "roles"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
    })
}

// The shared segments have an issuer with a blank in it.
fn issuer(world: &World, segment: &str) -> Option<String> {
    let id = tenant_id(world, segment)?;
    Some(format!("{}/{id}/v2.0", world.places.authority))
}

fn tenant_id(world: &World, segment: &str) -> Option<String> {
    if matches!(segment, "common" | "organizations" | "consumers") {
        return Some("{tenantid}".into());
    }
    let (view, _) = world.view();
    view.is_tenant(segment)
        .then(|| view.directory().id.to_string())
}

fn unknown(world: &World, headers: &HeaderMap, segment: &str) -> Response<Body> {
    let (view, _) = world.view();
    match token::find_tenant(&view, segment) {
        Err(failure) => refuse(world, headers, &failure),
        // The tenant appeared meanwhile; asking again will find it.
        Ok(()) => answer::json(StatusCode::SERVICE_UNAVAILABLE, "{}".into()),
    }
}

fn answer(body: &Value) -> Response<Body> {
    answer::json(StatusCode::OK, body.to_string())
}
