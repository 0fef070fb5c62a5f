//! Messages: list, wait, read, delete.
#![expect(
    unused_qualifications,
    reason = "utoipa writes the types of parameters in full"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{ErrorAnswer, Refusal, octets};
use crate::limits;
use crate::mailroom::{Filter, Message};
use crate::world::World;

/// Messages, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Messages {
    /// How many.
    count: usize,
    /// The messages.
    messages: Vec<Message>,
}

impl From<Vec<Message>> for Messages {
    fn from(messages: Vec<Message>) -> Self {
        Self {
            count: messages.len(),
            messages,
        }
    }
}

/// How many are gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Removed {
    /// How many are gone.
    pub(crate) removed: usize,
}

/// The messages that arrived and match.
#[utoipa::path(get, path = "/messages", params(Filter), responses((status = 200, body = Messages)))]
pub(crate) async fn list(
    State(world): State<Arc<World>>,
    Query(filter): Query<Filter>,
) -> Json<Messages> {
    Json(world.mailroom.list(&filter).into())
}

/// Removes every message.
#[utoipa::path(delete, path = "/messages", responses((status = 200, body = Removed)))]
pub(crate) async fn delete_all(State(world): State<Arc<World>>) -> Json<Removed> {
    Json(Removed {
        removed: world.mailroom.delete(None),
    })
}

/// What to wait for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wait {
    /// A recipient's address.
    to: Option<String>,
    /// An address of the From header.
    from: Option<String>,
    /// The mailbox of the AUTH.
    mailbox: Option<String>,
    /// Part of the subject.
    subject: Option<String>,
    /// The Message-ID.
    message_id: Option<String>,
    /// Only messages with a greater number.
    since: Option<u64>,
    /// How many messages, 1 unless given.
    count: Option<usize>,
    /// How long, 30 seconds unless given.
    timeout_s: Option<u64>,
}

/// Waits until enough messages match; 504 with those there are when time is up.
#[utoipa::path(get, path = "/messages/wait", params(Wait), responses(
    (status = 200, body = Messages), (status = 504, body = Messages),
))]
pub(crate) async fn wait(
    State(world): State<Arc<World>>,
    Query(wait): Query<Wait>,
) -> (StatusCode, Json<Messages>) {
    let Wait {
        to,
        from,
        mailbox,
        subject,
        message_id,
        since,
        count,
        timeout_s,
    } = wait;
    let filter = Filter {
        to,
        from,
        mailbox,
        subject,
        message_id,
        since,
    };
    let count = count.unwrap_or(1);
    let at_most = Duration::from_secs(timeout_s.unwrap_or(30).min(limits::WAIT_S_MAX));
    let found = world.mailroom.wait(&filter, count, at_most).await;
    let status = if found.len() >= count {
        StatusCode::OK
    } else {
        StatusCode::GATEWAY_TIMEOUT
    };
    (status, Json(found.into()))
}

/// One message without its octets.
#[utoipa::path(get, path = "/messages/{id}", params(("id" = u64, Path)), responses(
    (status = 200, body = Message), (status = 404, body = ErrorAnswer),
))]
pub(crate) async fn one(
    State(world): State<Arc<World>>,
    Path(id): Path<u64>,
) -> Result<Json<Message>, Refusal> {
    world
        .mailroom
        .get(id)
        .map(Json)
        .ok_or_else(|| Refusal::not_found("message"))
}

/// Removes one message.
#[utoipa::path(delete, path = "/messages/{id}", params(("id" = u64, Path)), responses(
    (status = 200, body = Removed), (status = 404, body = ErrorAnswer),
))]
pub(crate) async fn delete_one(
    State(world): State<Arc<World>>,
    Path(id): Path<u64>,
) -> Result<Json<Removed>, Refusal> {
    match world.mailroom.delete(Some(id)) {
        0 => Err(Refusal::not_found("message")),
        removed => Ok(Json(Removed { removed })),
    }
}

/// A message's octets as they were received.
#[utoipa::path(get, path = "/messages/{id}/raw", params(("id" = u64, Path)), responses(
    (status = 200, content_type = "message/rfc822", body = Vec<u8>),
    (status = 404, body = ErrorAnswer),
))]
pub(crate) async fn raw(
    State(world): State<Arc<World>>,
    Path(id): Path<u64>,
) -> Result<Response, Refusal> {
    match world.mailroom.raw(id) {
        Ok(Some(found)) => Ok(octets("message/rfc822", found)),
        Ok(None) => Err(Refusal::not_found("message")),
        Err(error) => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            error.to_string(),
        )),
    }
}
