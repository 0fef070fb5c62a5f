//! An issuer of tokens that is not Entra: what a cluster or a build service is to a federated
//! credential. It publishes its keys as every such issuer does (`OpenID` Connect Discovery 1.0 §4).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::{Response, StatusCode};
use serde_json::json;

use super::keys;
use crate::answer;
use crate::canary::TOKEN_MARK;
use crate::world::World;

/// Where it lies below the authority's address.
const PLACE: &str = "/issuer";

/// The audience Microsoft recommends for federated credentials.
pub(crate) const AUDIENCE: &str = "api://AzureADTokenExchange";

/// Its name, which is its address: the `iss` of its tokens.
pub(crate) fn address(world: &World) -> String {
    format!("{}{PLACE}", world.places.authority)
}

/// A token of this issuer.
pub(crate) fn token(world: &World, subject: &str, audience: &str, life_s: u32) -> String {
    let now = world.clock.now();
    let key = keys::foreign(now);
    let seconds = now.as_second();
    let claims = json!({
        "iss": address(world),
        "sub": subject,
        "aud": [audience],
        "iat": seconds,
        "nbf": seconds,
        "exp": seconds + i64::from(life_s),
        "jti": format!("{TOKEN_MARK}.{}", world.chance.guid()),
    });
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": key.id });
    key.sign(&header, &claims)
}

pub(super) fn router() -> Router<Arc<World>> {
    Router::new()
        .route(
            &format!("{PLACE}/.well-known/openid-configuration"),
            get(metadata),
        )
        .route(&format!("{PLACE}/keys"), get(key_set))
}

async fn metadata(State(world): State<Arc<World>>) -> Response<Body> {
    let own = address(&world);
    let body = json!({
        "issuer": own,
        "jwks_uri": format!("{own}/keys"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    answer::json(StatusCode::OK, body.to_string())
}

async fn key_set(State(world): State<Arc<World>>) -> Response<Body> {
    let key = keys::foreign(world.clock.now());
    let body = json!({ "keys": [key.jwk(None)] });
    answer::json(StatusCode::OK, body.to_string())
}
