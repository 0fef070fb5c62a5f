//! The admin interface of Exchange Online: cmdlets over HTTP, as the PowerShell module calls them.
//!
//! [`cmdlet`] is the catalogue, [`parameters`] binds what was given, [`access`] says who may run
//! what; the other modules hold the cmdlets, one kind of object each.

mod access;
mod batch;
mod catalogue;
mod cmdlet;
pub(crate) mod error;
mod groups;
mod identity;
mod mailboxes;
mod organization;
mod parameters;
mod permissions;
mod principals;
mod roles;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use self::cmdlet::Output;
use self::error::CmdletError;
use crate::answer::{self, Remark};
use crate::bearer::{self, Caller};
use crate::world::World;

/// Every cmdlet that is imitated, with the names of its parameters.
pub fn cmdlets() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    catalogue::all().map(|cmdlet| {
        let parameters = cmdlet.parameters.iter().map(|(name, _)| *name);
        (cmdlet.name, parameters.collect())
    })
}

/// Names of Exchange Online as a resource, as they stand in `aud`.
const AUDIENCES: [&str; 3] = [
    "https://outlook.office365.com",
    "https://outlook.office.com",
    "00000002-0000-0ff1-ce00-000000000000",
];

/// Objects on a page at most, and unless `Prefer: odata.maxpagesize` asks for fewer. Source:
/// recorded requests.
const PAGE_OBJECTS: usize = 1000;

/// The routes of the interface.
pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/adminapi/{version}/{tenant}/InvokeCommand", post(invoke))
        .route("/adminapi/{version}/{tenant}/$batch", post(batch::answer))
        .route(
            "/adminapi/{version}/{tenant}/EXOModuleFile",
            get(module_file),
        )
        .with_state(world)
}

/// The query of a call.
#[derive(Debug, Default, serde::Deserialize)]
struct Options {
    #[serde(rename = "$select")]
    select: Option<String>,
    #[serde(rename = "$skiptoken")]
    skip: Option<usize>,
}

async fn invoke(
    State(world): State<Arc<World>>,
    Path((version, tenant)): Path<(String, String)>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let caller = match enter(&world, &version, &tenant, &headers) {
        Ok(caller) => caller,
        Err(refused) => return refused,
    };
    let request = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let page = headers
        .get_all("prefer")
        .iter()
        .filter_map(|prefer| prefer.to_str().ok())
        .flat_map(|prefer| prefer.split([',', ';']))
        .find_map(|part| part.trim().strip_prefix("odata.maxpagesize=")?.parse().ok())
        .filter(|size| (1..=PAGE_OBJECTS).contains(size))
        .unwrap_or(PAGE_OBJECTS);
    let place = format!(
        "{}/adminapi/{version}/{tenant}",
        world.places.exchange_admin
    );
    let said = run(&world, &caller, &request, &place, &options, page);
    response(&world, &headers, said)
}

/// What a call is answered with.
struct Said {
    status: StatusCode,
    body: Option<Value>,
    /// The cmdlet's name, for the journal.
    cmdlet: String,
    error: Option<CmdletError>,
}

fn response(world: &World, headers: &HeaderMap, said: Said) -> Response<Body> {
    let mut response = answer::answered(said.status, said.body.as_ref());
    if let Some(error) = &said.error {
        let name = error.row.exception_name();
        response
            .headers_mut()
            .insert("x-exceptiontype", HeaderValue::from_static(name));
    }
    let stamp = answer::stamp(world, headers);
    if let Ok(id) = HeaderValue::from_str(&stamp.correlation_id.to_string()) {
        response.headers_mut().insert("request-id", id);
    }
    response.extensions_mut().insert(Remark {
        code: said.cmdlet,
        cause: said.error.map(|error| error.text),
    });
    response
}

/// Judges the token, the version and the tenant of a request.
#[expect(
    clippy::result_large_err,
    reason = "the error is the answer, made once a request"
)]
fn enter(
    world: &World,
    version: &str,
    tenant: &str,
    headers: &HeaderMap,
) -> Result<Caller, Response<Body>> {
    if !matches!(version, "beta" | "v1.0") {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Err(response);
    }
    let (view, now) = world.view();
    let caller =
        bearer::judge(&view, world.key(), headers, &AUDIENCES, now).map_err(|refused| {
            // The real interface answers without a body.
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer error=\"invalid_token\""),
            );
            response.extensions_mut().insert(Remark {
                code: String::new(),
                cause: Some(refused.cause()),
            });
            response
        })?;
    if view.is_tenant(tenant) {
        Ok(caller)
    } else {
        let error = error::TENANT.with(&[tenant]);
        Err(response(world, headers, refusal(String::new(), error)))
    }
}

fn refusal(cmdlet: String, error: CmdletError) -> Said {
    Said {
        status: StatusCode::from_u16(error.row.status).expect("the table holds real statuses"),
        body: Some(error.body()),
        cmdlet,
        error: Some(error),
    }
}

// Runs the cmdlet of a request and shapes its output; `place` is the address without the verb.
fn run(
    world: &World,
    caller: &Caller,
    request: &Value,
    place: &str,
    options: &Options,
    page: usize,
) -> Said {
    let asked = read(request);
    let (name, parameters) = match asked {
        Ok(asked) => asked,
        Err(error) => return refusal(String::new(), error),
    };
    match catalogue::run(world, caller, name, &parameters) {
        Err(error) => refusal(name.to_owned(), error),
        Ok(output) if output.objects.is_none() && output.warnings.is_empty() => Said {
            status: StatusCode::NO_CONTENT,
            body: None,
            cmdlet: name.to_owned(),
            error: None,
        },
        Ok(output) => Said {
            status: StatusCode::OK,
            body: Some(collection(output, place, options, page)),
            cmdlet: name.to_owned(),
            error: None,
        },
    }
}

fn read(request: &Value) -> Result<(&str, Map<String, Value>), CmdletError> {
    let input = &request["CmdletInput"];
    let Some(name) = input["CmdletName"].as_str() else {
        return Err(error::REQUEST.with(&["it has no CmdletInput.CmdletName"]));
    };
    match &input["Parameters"] {
        Value::Null => Ok((name, Map::new())),
        Value::Object(parameters) => Ok((name, parameters.clone())),
        _ => Err(error::REQUEST.with(&["CmdletInput.Parameters is no object"])),
    }
}

fn collection(output: Output, place: &str, options: &Options, page: usize) -> Value {
    let objects = output.objects.unwrap_or_default();
    let (total, skip) = (objects.len(), options.skip.unwrap_or_default());
    let selected: Option<Vec<&str>> = options
        .select
        .as_deref()
        .map(|select| select.split(',').map(str::trim).collect());
    let narrow = |object: Value| match (&selected, object) {
        (Some(names), Value::Object(members)) => {
            let kept = members
                .into_iter()
                .filter(|(name, _)| names.iter().any(|n| n.eq_ignore_ascii_case(name)));
            Value::Object(kept.collect())
        }
        (_, object) => object,
    };
    let shown: Vec<Value> = objects
        .into_iter()
        .skip(skip)
        .take(page)
        .map(narrow)
        .collect();
    let end = skip.saturating_add(page);
    let mut body = json!({
        "@odata.context": format!("{place}/$metadata#Collection(Exchange.GenericHashTable)"),
        "value": shown,
    });
    if end < total {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(select) = &options.select {
            query.append_pair("$select", select);
        }
        query.append_pair("$skiptoken", &end.to_string());
        body["@odata.nextLink"] = format!("{place}/InvokeCommand?{}", query.finish()).into();
    }
    if !output.warnings.is_empty() {
        body["@adminapi.warnings"] = json!(output.warnings);
    }
    body
}

// The catalogue of cmdlets the caller may run.
async fn module_file(
    State(world): State<Arc<World>>,
    Path((version, tenant)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    let caller = match enter(&world, &version, &tenant, &headers) {
        Ok(caller) => caller,
        Err(refused) => return refused,
    };
    let (view, _) = world.view();
    let names: Vec<&str> = catalogue::all()
        .filter(|cmdlet| access::judge(&view, &caller, cmdlet).is_ok())
        .map(|cmdlet| cmdlet.name)
        .collect();
    let body = json!({ "value": [{ "exportedCmdlets": names.join(",") }] });
    response(
        &world,
        &headers,
        Said {
            status: StatusCode::OK,
            body: Some(body),
            cmdlet: "EXOModuleFile".into(),
            error: None,
        },
    )
}

/// The error answer a fault gives.
pub(crate) fn throttled(world: &World, headers: &HeaderMap, retry_after_s: u32) -> Response<Body> {
    let mut response = response(
        world,
        headers,
        refusal(String::new(), error::THROTTLED.with(&[])),
    );
    response
        .headers_mut()
        .insert("rate-limit-remaining", HeaderValue::from_static("0"));
    let wait = jiff::SignedDuration::from_secs(i64::from(retry_after_s));
    let reset = world.clock.now().checked_add(wait).unwrap_or_default();
    if let Ok(reset) = HeaderValue::from_str(&reset.to_string()) {
        response.headers_mut().insert("rate-limit-reset", reset);
    }
    response
}
