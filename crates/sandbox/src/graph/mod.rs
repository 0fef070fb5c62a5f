//! Microsoft Graph v1.0: the part of the directory that sending mail asks for.
//!
//! [`path`] and [`query`] read a request, [`access`] says who may do what, [`shape`] writes objects
//! as JSON; the other modules hold the operations, one kind of object each.

mod access;
mod applications;
mod bin;
mod credentials;
mod delegated;
pub(crate) mod error;
mod federated;
mod grants;
mod groups;
mod organization;
mod path;
mod principals;
mod query;
mod roles;
mod shape;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::error::GraphError;
use self::path::Parts;
use self::query::Query;
use crate::answer::{self, Remark};
use crate::bearer::{self, Caller, Refused};
use crate::state::Tenant;
use crate::state::view::View;
use crate::world::World;

/// The address every context names, wherever the sandbox listens.
const CONTEXT: &str = "https://graph.microsoft.com/v1.0/$metadata#";

/// Names of Microsoft Graph as a resource, as they stand in `aud`.
const AUDIENCES: [&str; 2] = [
    "https://graph.microsoft.com",
    "00000003-0000-0000-c000-000000000000",
];

/// The routes of Microsoft Graph.
pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new().fallback(answer).with_state(world)
}

/// Looks an object up by its object id, or by `appid=` and its client id.
fn by_key<'t, T>(
    objects: &'t BTreeMap<Uuid, T>,
    key: &str,
    app_id: impl Fn(&T) -> Uuid,
) -> Option<(Uuid, &'t T)> {
    match key.strip_prefix("appid=") {
        Some(wanted) => {
            let wanted: Uuid = wanted.parse().ok()?;
            let mut all = objects.iter();
            all.find(|(_, object)| app_id(object) == wanted)
        }
        None => objects.get_key_value(&key.parse().ok()?),
    }
    .map(|(id, object)| (*id, object))
}

async fn answer(
    State(world): State<Arc<World>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let outcome = read(&world, &method, &uri, &headers, &body).and_then(|call| call.dispatch());
    match outcome {
        Ok(reply) => reply.response(&world, &headers),
        Err(error) => refuse(&world, &headers, &error),
    }
}

/// One request, judged as far as its token.
pub(crate) struct Call<'a> {
    world: &'a World,
    method: &'a Method,
    parts: Parts,
    query: Query,
    body: Map<String, Value>,
    caller: Caller,
    view: View,
    now: Timestamp,
}

/// What a request is answered with.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    body: Option<Value>,
}

fn read<'a>(
    world: &'a World,
    method: &'a Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Call<'a>, GraphError> {
    let (view, now) = world.view();
    let caller =
        bearer::judge(&view, world.key(), headers, &AUDIENCES, now).map_err(|refused| {
            let row = match &refused {
                Refused::Missing => &error::TOKEN_MISSING,
                Refused::Expired => &error::TOKEN_EXPIRED,
                Refused::Audience(_) => &error::TOKEN_AUDIENCE,
                Refused::Invalid(_) => &error::TOKEN_INVALID,
            };
            row.said().because(refused.cause())
        })?;
    let Some(path) = uri.path().strip_prefix("/v1.0/") else {
        return Err(error::SEGMENT.with(&[uri.path().trim_start_matches('/')]));
    };
    let body = if body.is_empty() {
        Map::new()
    } else {
        serde_json::from_slice(body).map_err(|_| error::BODY.said())?
    };
    Ok(Call {
        world,
        method,
        parts: Parts::of(path),
        query: Query::read(uri.query().unwrap_or_default())?,
        body,
        caller,
        view,
        now,
    })
}

impl Call<'_> {
    fn dispatch(&self) -> Result<Reply, GraphError> {
        let words: Vec<&str> = self.parts.words.iter().map(String::as_str).collect();
        let rest = &words[1.min(words.len())..];
        let answered = match words.first().copied().unwrap_or_default() {
            "applications" => applications::dispatch(self, rest),
            "serviceprincipals" => principals::dispatch(self, rest),
            "oauth2permissiongrants" => delegated::dispatch(self, rest),
            "directory" => bin::dispatch(self, rest),
            "directoryroles" | "directoryroletemplates" => roles::dispatch(self, rest),
            "groups" => groups::dispatch(self, rest),
            "organization" | "domains" | "me" | "users" => organization::dispatch(self, rest),
            _ => {
                let named = self.parts.written.first().map_or("", String::as_str);
                return Err(error::SEGMENT.with(&[named]));
            }
        };
        answered.unwrap_or_else(|| {
            let last = self.parts.written.last().map_or("", String::as_str);
            Err(match *self.method {
                Method::GET => error::SEGMENT.with(&[last]),
                _ => error::METHOD.said(),
            })
        })
    }

    /// The part of the path at `index`, as written.
    fn part(&self, index: usize) -> &str {
        self.parts.written.get(index).map_or("", String::as_str)
    }

    /// Changes the tenant.
    fn change<T>(
        &self,
        act: impl FnOnce(&mut Tenant, &View, Timestamp) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        self.world.change(act)
    }

    /// A page of `objects` that live at `context`; `resource` is their kind.
    fn list(
        &self,
        context: &str,
        resource: &str,
        objects: Vec<Value>,
    ) -> Result<Reply, GraphError> {
        let page = self.query.page(objects, resource)?;
        let mut body = json!({
            "@odata.context": format!("{CONTEXT}{context}{}", self.query.selected()),
            "value": page.objects,
        });
        if let Some(count) = page.count {
            body["@odata.count"] = count.into();
        }
        if let Some(next) = page.next {
            let path = self.parts.written.join("/");
            body["@odata.nextLink"] =
                format!("{}/v1.0/{path}?{next}", self.world.places.graph).into();
        }
        Ok(Reply {
            status: StatusCode::OK,
            body: Some(body),
        })
    }

    /// One object that was read.
    fn one(&self, context: &str, object: Value) -> Reply {
        let context = format!("{context}{}/$entity", self.query.selected());
        with_context(StatusCode::OK, &context, self.query.narrow(object))
    }

    /// One object that was made.
    fn made(context: &str, object: Value) -> Reply {
        with_context(StatusCode::CREATED, &format!("{context}/$entity"), object)
    }
}

fn with_context(status: StatusCode, context: &str, mut object: Value) -> Reply {
    object["@odata.context"] = format!("{CONTEXT}{context}").into();
    Reply {
        status,
        body: Some(object),
    }
}

impl Reply {
    /// `204 No Content`.
    fn nothing() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: None,
        }
    }

    fn response(self, world: &World, headers: &HeaderMap) -> Response<Body> {
        let mut response = answer::answered(self.status, self.body.as_ref());
        if response.headers().contains_key(header::CONTENT_TYPE) {
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static(
                    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
                ),
            );
        }
        request_ids(&mut response, answer::stamp(world, headers));
        response
    }
}

/// The error answer of Microsoft Graph.
pub(crate) fn refuse(world: &World, headers: &HeaderMap, error: &GraphError) -> Response<Body> {
    let stamp = answer::stamp(world, headers);
    let status = StatusCode::from_u16(error.row.status).expect("the table holds real statuses");
    let mut response = answer::json(status, error.body(stamp).to_string());
    request_ids(&mut response, stamp);
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(
                "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", client_id=\"00000003-0000-0000-c000-000000000000\"",
            ),
        );
    }
    response.extensions_mut().insert(Remark {
        code: error.row.code.into(),
        cause: Some(error.cause.clone().unwrap_or_else(|| error.text.clone())),
    });
    response
}

fn request_ids(response: &mut Response<Body>, stamp: crate::entra::failure::Stamp) {
    for (name, id) in [
        ("request-id", stamp.trace_id),
        ("client-request-id", stamp.correlation_id),
    ] {
        if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
            response.headers_mut().insert(name, value);
        }
    }
}
