//! Several calls in one request.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::{Options, PAGE_OBJECTS, Said, enter, error, refusal, response, run};
use crate::world::World;

/// Requests of one batch at most; more are refused with 400. Source: code of a working program.
const REQUESTS_MAX: usize = 10;

/// `POST …/$batch`
pub(super) async fn answer(
    State(world): State<Arc<World>>,
    Path((version, tenant)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let caller = match enter(&world, &version, &tenant, &headers) {
        Ok(caller) => caller,
        Err(refused) => return refused,
    };
    let asked: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let Some(requests) = asked["requests"].as_array() else {
        let error = error::REQUEST.with(&["it has no requests"]);
        return response(&world, &headers, refusal("$batch".into(), error));
    };
    if requests.len() > REQUESTS_MAX {
        let error = error::BATCH.with(&[&REQUESTS_MAX.to_string()]);
        return response(&world, &headers, refusal("$batch".into(), error));
    }
    let place = format!(
        "{}/adminapi/{version}/{tenant}",
        world.places.exchange_admin
    );
    let mut names = Vec::new();
    let answers: Vec<Value> = requests
        .iter()
        .map(|request| {
            let verb = request["url"]
                .as_str()
                .and_then(|url| url.split('?').next()?.rsplit('/').next());
            let said = if verb == Some("InvokeCommand") {
                let options = Options::default();
                run(
                    &world,
                    &caller,
                    &request["body"],
                    &place,
                    &options,
                    PAGE_OBJECTS,
                )
            } else {
                refusal(
                    String::new(),
                    error::REQUEST.with(&["only InvokeCommand goes into a batch"]),
                )
            };
            names.push(said.cmdlet.clone());
            json!({
                "id": request["id"],
                "status": said.status.as_u16(),
                "headers": { "Content-Type": "application/json" },
                "body": said.body,
            })
        })
        .collect();
    response(
        &world,
        &headers,
        Said {
            status: StatusCode::OK,
            body: Some(json!({ "responses": answers })),
            cmdlet: format!("$batch: {}", names.join(", ")),
            error: None,
        },
    )
}
