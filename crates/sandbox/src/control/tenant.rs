//! The tenant's document: read it, change one thing at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::Value;

use super::{Document, ErrorAnswer, Refusal};
use crate::journal::Channel;
use crate::state::{PatchError, Tenant};
use crate::world::World;

/// The tenant as it was last written (a change may not act yet: see `clock`).
#[utoipa::path(get, path = "/tenant", responses((status = 200, body = Tenant)))]
pub(crate) async fn read(State(world): State<Arc<World>>) -> Json<Tenant> {
    Json(Tenant::clone(&world.written()))
}

/// Changes the tenant by a JSON merge patch (RFC 7396): objects merge, `null` removes, anything
/// else replaces. Answers the whole new document; a refused patch changes nothing.
#[utoipa::path(patch, path = "/tenant", request_body = Value, responses(
    (status = 200, body = Tenant), (status = 422, body = ErrorAnswer),
))]
pub(crate) async fn change(
    State(world): State<Arc<World>>,
    Document(patch): Document<Value>,
) -> Result<Json<Tenant>, Refusal> {
    let changed = world.patch(&patch).map_err(|error| refuse(&error))?;
    // Names only: a patch may hold the text of a secret.
    let names = paths(&patch).join(" ");
    world.note(
        Channel::Control,
        0,
        format!("PATCH tenant {names}"),
        "200".to_owned().into(),
    );
    Ok(Json(Tenant::clone(&changed)))
}

fn refuse(error: &PatchError) -> Refusal {
    let problems = match error {
        PatchError::Content(problems) => problems.clone(),
        PatchError::Form(_) => Vec::new(),
    };
    let error = error.to_string();
    Refusal(
        StatusCode::UNPROCESSABLE_ENTITY,
        ErrorAnswer { error, problems },
    )
}

fn paths(patch: &Value) -> Vec<String> {
    let Value::Object(members) = patch else {
        return Vec::new();
    };
    members
        .iter()
        .flat_map(|(name, value)| {
            let below = paths(value);
            if below.is_empty() {
                vec![name.clone()]
            } else {
                below
                    .into_iter()
                    .map(|path| format!("{name}/{path}"))
                    .collect()
            }
        })
        .collect()
}
