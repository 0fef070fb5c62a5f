//! Entra ID over HTTPS: metadata, keys, the token endpoint, and the sign-in of people.

mod admin_consent;
mod asked;
mod assertion;
mod authorize;
mod client;
mod consent;
mod delegated;
pub(crate) mod desk;
mod device;
mod discovery;
pub(crate) mod failure;
pub(crate) mod issuer;
pub(crate) mod jwt;
pub(crate) mod keys;
mod metadata;
mod page;
mod scope;
mod sign_in;
mod step;
mod token;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::routing::{any, get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use self::failure::Failure;
use self::token::{Request, Version};
use crate::answer::{self, Remark};
use crate::world::World;

/// The host names clients of the real service use; their token endpoints are audiences too.
const REAL_AUTHORITY: &str = "https://login.microsoftonline.com";

/// The authority's routes.
pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/common/discovery/instance", get(metadata::instance))
        .route(
            "/{tenant}/v2.0/.well-known/openid-configuration",
            get(metadata::openid_v2),
        )
        .route(
            "/{tenant}/.well-known/openid-configuration",
            get(metadata::openid_v1),
        )
        .route("/{tenant}/discovery/v2.0/keys", get(metadata::keys_v2))
        .route("/{tenant}/discovery/keys", get(metadata::keys_v1))
        .route("/{tenant}/oauth2/v2.0/token", any(token_v2))
        .route("/{tenant}/oauth2/token", any(token_v1))
        .merge(pages())
        .merge(issuer::router())
        .with_state(world)
}

/// The routes of the pages on which people sign in.
fn pages() -> Router<Arc<World>> {
    Router::new()
        .route(
            "/{tenant}/oauth2/v2.0/authorize",
            get(authorize::query).post(authorize::form),
        )
        .route(
            "/{tenant}/oauth2/authorize",
            get(authorize::query).post(authorize::form),
        )
        .route("/{tenant}/login", post(sign_in::go_on))
        .route("/{tenant}/oauth2/v2.0/devicecode", post(device::begin))
        .route("/{tenant}/oauth2/devicecode", post(device::begin))
        .route("/devicelogin", get(device::ask).post(device::given))
        .route("/{tenant}/v2.0/adminconsent", get(admin_consent::begin_v2))
        .route("/{tenant}/adminconsent", get(admin_consent::begin_v1))
        .route(page::STYLE_PATH, get(async || page::style()))
}

type Shared = State<Arc<World>>;

async fn token_v2(
    State(world): Shared,
    Path(tenant): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    token(&world, Version::V2, &tenant, &method, &headers, &body).await
}

async fn token_v1(
    State(world): Shared,
    Path(tenant): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    token(&world, Version::V1, &tenant, &method, &headers, &body).await
}

async fn token(
    world: &World,
    version: Version,
    tenant: &str,
    method: &Method,
    headers: &HeaderMap,
    body: &[u8],
) -> Response<Body> {
    if method != Method::POST {
        return refuse(world, headers, &failure::METHOD.with(&[method.as_str()]));
    }
    let form = form(headers, body);
    let assertion = form.as_ref().and_then(|form| form.get("client_assertion"));
    let published = match assertion {
        Some(assertion) => discovery::of_assertion(world, assertion).await,
        None => None,
    };
    let (view, now) = world.view();
    let request = Request {
        tenant,
        version,
        form,
        basic: basic(headers),
        authorities: &authorities(world),
        published,
        graph: &world.places.graph,
    };
    if request
        .parameter("grant_type")
        .is_some_and(delegated::is_grant)
    {
        return match delegated::answer(world, &view, &request, now) {
            Ok((body, told)) => granted(&body, told),
            Err(failure) => refuse(world, headers, &failure),
        };
    }
    match token::judge_token_request(&view, &request, now, &world.chance) {
        Ok(grant) => {
            let key = world.key();
            let signed = key.sign(&token::header(&key.id, grant.v1_token), &grant.claims);
            let body = token::answer(&grant, &signed, version, now);
            let told = format!("token for {} to {}", grant.resource, grant.app_id);
            granted(&body, told)
        }
        Err(failure) => refuse(world, headers, &failure),
    }
}

fn granted(body: &serde_json::Value, told: String) -> Response<Body> {
    let mut response = answer::json(StatusCode::OK, body.to_string());
    never_stored(&mut response);
    response.extensions_mut().insert(Remark {
        code: told,
        cause: None,
    });
    response
}

/// Entra's error answer.
pub(crate) fn refuse(world: &World, headers: &HeaderMap, failure: &Failure) -> Response<Body> {
    let stamp = answer::stamp(world, headers);
    let status = StatusCode::from_u16(failure.row.status).expect("the table holds real statuses");
    let mut response = answer::json(status, failure.body(stamp).to_string());
    never_stored(&mut response);
    let trace = stamp.trace_id.to_string();
    if let Ok(trace) = HeaderValue::from_str(&trace) {
        response.headers_mut().insert("x-ms-request-id", trace);
    }
    response.extensions_mut().insert(Remark {
        code: format!("AADSTS{}", failure.row.code),
        cause: Some(failure.text.clone()),
    });
    response
}

fn never_stored(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-cache"),
    );
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

/// Tokens of the administrator for Microsoft Graph and the Exchange admin interface, as a sign-in
/// with Microsoft's own command line tools would give them.
pub(crate) fn admin_tokens(world: &World) -> (String, String) {
    (
        delegated::administrator(
            world,
            "https://graph.microsoft.com",
            client::GRAPH_COMMAND_LINE,
        ),
        delegated::administrator(
            world,
            "https://outlook.office365.com",
            client::EXCHANGE_MODULE,
        ),
    )
}

/// The addresses under which this authority's endpoints are audiences; its own comes first.
fn authorities(world: &World) -> Vec<String> {
    let own = &world.places.authority;
    let mut all = vec![own.clone(), own.replace("localhost", "127.0.0.1")];
    all.push(REAL_AUTHORITY.into());
    all.dedup();
    all
}

/// The parameters of a form; none when it is no form or names one twice (RFC 6749 §3.2).
fn form(headers: &HeaderMap, body: &[u8]) -> Option<BTreeMap<String, String>> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !kind
        .to_ascii_lowercase()
        .starts_with("application/x-www-form-urlencoded")
    {
        return None;
    }
    let mut form = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        if form.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(form)
}

/// Client id and secret of `Authorization: Basic`, each form-encoded (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |part: &str| {
        let pair = format!("x={}", part.replace('&', "%26"));
        form_urlencoded::parse(pair.as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
    };
    Some((decoded(id)?, decoded(secret)?))
}
