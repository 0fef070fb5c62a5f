//! Device codes: the endpoint, the page that takes the code, and what polling hears.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use http::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::asked;
use super::client;
use super::desk::{DEVICE_LIFE_S, Device, Flow, Kept, Purpose, SignedIn, Stage, Verdict};
use super::failure::{self, Failure};
use super::page;
use super::scope;
use super::sign_in;
use super::step::{self, Step};
use crate::answer;
use crate::world::World;

/// Letters of a user code: none that looks like another.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Letters of a user code. Source: recorded answers.
const USER_CODE_LETTERS: usize = 9;

/// `POST /{tenant}/oauth2/v2.0/devicecode`
pub(super) async fn begin(
    State(world): State<Arc<World>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    match judge(&world, &tenant, &body) {
        Ok(answer) => answer::json(StatusCode::OK, answer),
        Err(failure) => super::refuse(&world, &headers, &failure),
    }
}

fn judge(world: &World, tenant: &str, body: &[u8]) -> Result<String, Failure> {
    let (view, now) = world.view();
    let form = asked::parameters(body).ok_or_else(|| failure::REQUEST_MALFORMED.with(&[]))?;
    let client = asked::known_client(&view, tenant, &form)?;
    if !client.fallback_public {
        return Err(failure::CREDENTIAL_MISSING.with(&[]));
    }
    let wanted = scope::read(&view, &client, &asked::scope_text(&form)?)?;
    let user_code: String = std::iter::repeat_with(|| {
        let index = usize::try_from(world.chance.next() % 32).unwrap_or_default();
        char::from(LETTERS[index])
    })
    .take(USER_CODE_LETTERS)
    .collect();
    let device_code = world.chance.text(96);
    let page = format!("{}/devicelogin", world.places.authority);
    let answer = json!({
        "user_code": user_code,
        "device_code": device_code,
        "verification_uri": page,
        "expires_in": DEVICE_LIFE_S,
        "interval": view.behaviour().device_code_interval_s.0,
        "message": format!(
            "To sign in, use a web browser to open the page {page} and enter the code {user_code} to authenticate."
        ),
    });
    let device = Device {
        user_code,
        client: client.id,
        wanted,
        verdict: Verdict::Pending,
        polled: None,
    };
    world.desk.put_device(device_code, device, now);
    Ok(answer.to_string())
}

/// `GET /devicelogin`
pub(super) async fn ask(
    State(world): State<Arc<World>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let form = asked::parameters(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    match form.get("otc") {
        Some(code) => typed(&world, &headers, code),
        None => page::device(None),
    }
}

/// `POST /devicelogin`
pub(super) async fn given(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let form = asked::parameters(&body).unwrap_or_default();
    typed(&world, &headers, form.get("otc").map_or("", String::as_str))
}

fn typed(world: &World, headers: &HeaderMap, user_code: &str) -> Response<Body> {
    let (view, now) = world.view();
    let Some((device_code, device)) = world.desk.device_of(user_code, now) else {
        return page::device(Some("That code didn't work. Check the code and try again."));
    };
    let client = match client::find(&view, &device.client.to_string(), "organizations") {
        Ok(client) => client,
        Err(failure) => return step::failed(world, headers, &failure),
    };
    let flow = Flow {
        tenant: "common".into(),
        client: client.id,
        wanted: Some(device.wanted),
        purpose: Purpose::Device(device_code),
        stage: Stage::Password,
        user: None,
        second_factor: false,
        granted: BTreeSet::new(),
    };
    sign_in::show(world, headers, &client, flow, Step::Stay(None), None)
}

/// What a client that polls hears.
pub(super) fn poll(
    world: &World,
    client: uuid::Uuid,
    device_code: &str,
    interval_s: u32,
    now: Timestamp,
) -> Result<SignedIn, Failure> {
    let device = match world.desk.poll(device_code, now) {
        Kept::Unknown => return Err(failure::DEVICE_UNKNOWN.with(&[])),
        Kept::Ended => return Err(failure::DEVICE_EXPIRED.with(&[])),
        Kept::Good(device) => device,
    };
    if device.client != client {
        return Err(failure::DEVICE_UNKNOWN.with(&[]));
    }
    match device.verdict {
        Verdict::Approved(signed_in) => Ok(signed_in),
        Verdict::Declined => Err(failure::DEVICE_DECLINED.with(&[])),
        Verdict::Blocked => Err(failure::CONDITIONAL_ACCESS.with(&[])),
        Verdict::Pending => {
            let early = device
                .polled
                .is_some_and(|polled| now.duration_since(polled).as_secs() < i64::from(interval_s));
            let row = if early {
                &failure::DEVICE_SLOW
            } else {
                &failure::DEVICE_PENDING
            };
            Err(row.with(&[]))
        }
    }
}
