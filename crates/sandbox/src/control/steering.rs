//! Faults, clock, journal, and the administrator's tokens.
#![expect(
    unused_qualifications,
    reason = "utoipa writes the types of parameters in full"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::messages::Removed;
use super::{Document, ErrorAnswer, Refusal};
use crate::behaviours;
use crate::faults::Fault;
use crate::journal::{Channel, Entry};
use crate::limits;
use crate::mark::MarkedBehaviour;
use crate::world::World;

/// Faults that wait for their step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FaultList {
    /// The faults.
    faults: Vec<Fault>,
}

/// One fault or several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum FaultsAsked {
    /// Several.
    Many(Vec<Fault>),
    /// One.
    One(Box<Fault>),
}

/// The faults that wait.
#[utoipa::path(get, path = "/faults", responses((status = 200, body = FaultList)))]
pub(crate) async fn faults(State(world): State<Arc<World>>) -> Json<FaultList> {
    Json(FaultList {
        faults: world.faults.list(),
    })
}

/// Adds faults; answers them with their numbers.
#[utoipa::path(post, path = "/faults", request_body = FaultsAsked, responses(
    (status = 201, body = FaultList), (status = 422, body = ErrorAnswer),
))]
pub(crate) async fn add_faults(
    State(world): State<Arc<World>>,
    Document(asked): Document<FaultsAsked>,
) -> Result<(StatusCode, Json<FaultList>), Refusal> {
    let asked = match asked {
        FaultsAsked::Many(many) => many,
        FaultsAsked::One(one) => vec![*one],
    };
    let mut faults = Vec::with_capacity(asked.len());
    for fault in asked {
        match world.faults.add(fault) {
            Ok(added) => faults.push(added),
            Err(error) => {
                // All or none.
                for added in faults {
                    world.faults.clear(Some(added.id));
                }
                return Err(Refusal::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    error.to_string(),
                ));
            }
        }
    }
    Ok((StatusCode::CREATED, Json(FaultList { faults })))
}

/// Removes every fault.
#[utoipa::path(delete, path = "/faults", responses((status = 200, body = Removed)))]
pub(crate) async fn clear_faults(State(world): State<Arc<World>>) -> Json<Removed> {
    Json(Removed {
        removed: world.faults.clear(None),
    })
}

/// Removes one fault.
#[utoipa::path(delete, path = "/faults/{id}", params(("id" = u64, Path)), responses(
    (status = 200, body = Removed), (status = 404, body = ErrorAnswer),
))]
pub(crate) async fn clear_fault(
    State(world): State<Arc<World>>,
    Path(id): Path<u64>,
) -> Result<Json<Removed>, Refusal> {
    match world.faults.clear(Some(id)) {
        0 => Err(Refusal::not_found("fault")),
        removed => Ok(Json(Removed { removed })),
    }
}

/// The sandbox's time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClockAnswer {
    /// Now.
    now: Timestamp,
    /// Seconds ahead of the machine's time.
    ahead_s: u64,
    /// When the last change to the tenant begins to act; absent when everything acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    settled_at: Option<Timestamp>,
}

/// How far to move the clock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Advance {
    /// Seconds forward.
    advance_s: u64,
}

/// The sandbox's time.
#[utoipa::path(get, path = "/clock", responses((status = 200, body = ClockAnswer)))]
pub(crate) async fn clock(State(world): State<Arc<World>>) -> Json<ClockAnswer> {
    Json(ClockAnswer {
        now: world.clock.now(),
        ahead_s: world.clock.ahead().as_secs(),
        settled_at: world.settled_at(),
    })
}

/// Moves the clock forward: tokens expire, windows of limits pass, changes begin to act.
#[utoipa::path(post, path = "/clock", request_body = Advance, responses(
    (status = 200, body = ClockAnswer),
))]
pub(crate) async fn advance(
    State(world): State<Arc<World>>,
    Document(asked): Document<Advance>,
) -> Json<ClockAnswer> {
    world.clock.advance(Duration::from_secs(asked.advance_s));
    let asked = format!("POST clock advance_s={}", asked.advance_s);
    world.note(Channel::Control, 0, asked, "200".to_owned().into());
    clock(State(world)).await
}

/// Which part of the journal.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JournalAsked {
    /// Only entries with a greater number.
    since: Option<u64>,
    /// Only this interface.
    channel: Option<Channel>,
    /// At most this many, 1000 unless given.
    count: Option<usize>,
}

/// Entries of the journal, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JournalAnswer {
    /// The entries.
    entries: Vec<Entry>,
}

/// Every request and command with its time and outcome, secrets cut.
#[utoipa::path(get, path = "/journal", params(JournalAsked), responses(
    (status = 200, body = JournalAnswer),
))]
pub(crate) async fn journal(
    State(world): State<Arc<World>>,
    Query(asked): Query<JournalAsked>,
) -> Json<JournalAnswer> {
    let count = asked
        .count
        .unwrap_or(1_000)
        .min(limits::JOURNAL_ENTRIES_MAX);
    let entries = world
        .journal
        .read(asked.since.unwrap_or(0), asked.channel, count);
    Json(JournalAnswer { entries })
}

/// The administrator's tokens, as `--admin-tokens` takes them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminTokens {
    /// For Microsoft Graph.
    graph: String,
    /// For the Exchange admin interface.
    exchange: String,
}

/// A pair of tokens of the administrator, as if signed in.
#[utoipa::path(post, path = "/admin/tokens", responses((status = 200, body = AdminTokens)))]
pub(crate) async fn admin_tokens(State(world): State<Arc<World>>) -> Json<AdminTokens> {
    let (graph, exchange) = crate::entra::admin_tokens(&world);
    Json(AdminTokens { graph, exchange })
}

/// What a token of the foreign issuer is to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssuerTokenAsked {
    /// Its subject.
    subject: String,
    /// Its audience; left out, the one Microsoft recommends.
    #[serde(default = "issuer_audience")]
    audience: String,
    /// The seconds it lives.
    #[serde(default = "issuer_token_life_s")]
    life_s: u32,
}

fn issuer_audience() -> String {
    crate::entra::issuer::AUDIENCE.to_owned()
}

fn issuer_token_life_s() -> u32 {
    limits::TOKEN_LIFE_S
}

/// A token of the foreign issuer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IssuerToken {
    /// The token: what a federated credential's file holds.
    token: String,
}

/// A token of the issuer that is not Entra (`issuer` of `sandbox.json`), as a cluster or a build
/// service would give it to a program.
#[utoipa::path(post, path = "/issuer/tokens", request_body = IssuerTokenAsked,
    responses((status = 200, body = IssuerToken)))]
pub(crate) async fn issuer_token(
    State(world): State<Arc<World>>,
    Document(asked): Document<IssuerTokenAsked>,
) -> Json<IssuerToken> {
    let token = crate::entra::issuer::token(&world, &asked.subject, &asked.audience, asked.life_s);
    Json(IssuerToken { token })
}

/// What the sandbox does and how sure we are that the service does so.
#[utoipa::path(get, path = "/behaviours", responses((status = 200, body = Vec<MarkedBehaviour>)))]
pub(crate) async fn behaviours() -> Json<Vec<MarkedBehaviour>> {
    Json(behaviours::behaviours())
}
