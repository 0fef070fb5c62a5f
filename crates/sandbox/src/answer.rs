//! Building HTTP answers, for every interface.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{HeaderMap, Response, StatusCode, header};

use crate::entra::failure::Stamp;
use crate::world::World;

/// What a handler tells the journal beyond the status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remark {
    /// The error's number or code.
    pub(crate) code: String,
    /// Why, in words.
    pub(crate) cause: Option<String>,
}

/// The answer a fault asks for.
pub(crate) fn made(status: u16, headers: BTreeMap<String, String>, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The ids and the time of one error answer; a client's own request id becomes the correlation id.
pub(crate) fn stamp(world: &World, headers: &HeaderMap) -> Stamp {
    let own = headers
        .get("client-request-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    Stamp {
        trace_id: world.chance.guid(),
        correlation_id: own.unwrap_or_else(|| world.chance.guid()),
        at: world.clock.now(),
    }
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    set_json(&mut response);
    response
}

/// A JSON answer, or one without a body.
pub(crate) fn answered(status: StatusCode, body: Option<&serde_json::Value>) -> Response<Body> {
    if let Some(body) = body {
        return json(status, body.to_string());
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Says that the body is JSON.
pub(crate) fn set_json(response: &mut Response<Body>) {
    let value = header::HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, value);
}

/// A plain answer.
pub(crate) fn plain(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}
