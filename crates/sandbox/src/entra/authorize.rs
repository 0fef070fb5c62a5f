//! The authorization endpoint: judging what a client asks for before a person sees a page.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use http::{HeaderMap, Response};

use super::asked::{Form, known_client, parameters, scope_text};
use super::client::Client;
use super::desk::{CodeAsked, Flow, Mode, Purpose, Stage};
use super::failure::{self, Failure};
use super::scope::{self, Wanted};
use super::sign_in::{after_sign_in, cookie, show};
use super::step::{Step, failed, refused};
use crate::state::view::View;
use crate::world::World;

type Shared = State<Arc<World>>;

/// Characters of a code challenge (RFC 7636 §4.2: SHA-256 in base64url).
const CHALLENGE_CHARACTERS: usize = 43;

/// `GET …/authorize`
pub(super) async fn query(
    State(world): Shared,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let form = parameters(query.unwrap_or_default().as_bytes());
    begin(&world, &tenant, form, &headers)
}

/// `POST …/authorize`
pub(super) async fn form(
    State(world): Shared,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    begin(&world, &tenant, parameters(&body), &headers)
}

fn begin(world: &World, tenant: &str, form: Option<Form>, headers: &HeaderMap) -> Response<Body> {
    let (view, now) = world.view();
    let Some(form) = form else {
        return failed(world, headers, &failure::REQUEST_MALFORMED.with(&[]));
    };
    let given = |name: &str| form.get(name).filter(|value| !value.is_empty());
    // Until client and redirect address are known to belong together, nothing is sent there.
    let client = match known_client(&view, tenant, &form) {
        Ok(client) => client,
        Err(failure) => return failed(world, headers, &failure),
    };
    let Some(redirect_uri) = given("redirect_uri") else {
        return failed(
            world,
            headers,
            &failure::PARAMETER_MISSING.with(&["redirect_uri"]),
        );
    };
    let public = match client.redirect(redirect_uri) {
        Ok(public) => public,
        Err(failure) => return failed(world, headers, &failure),
    };
    let mode = match given("response_mode").map(String::as_str) {
        Some("fragment") => Mode::Fragment,
        Some("form_post") => Mode::FormPost,
        _ => Mode::Query,
    };
    let prompt = given("prompt").map_or("", String::as_str);
    let asked = CodeAsked {
        redirect_uri: redirect_uri.clone(),
        public,
        mode,
        state: given("state").cloned(),
        nonce: given("nonce").cloned(),
        challenge: given("code_challenge").cloned(),
        ask_again: prompt == "consent",
    };
    let wanted = match judge_request(&view, &client, &form, &asked) {
        Ok(wanted) => wanted,
        Err(failure) => return refused(world, headers, &asked, &failure),
    };
    let mut flow = Flow {
        tenant: tenant.to_owned(),
        client: client.id,
        wanted: Some(wanted),
        purpose: Purpose::Code(asked.clone()),
        stage: Stage::Password,
        user: None,
        second_factor: false,
        granted: BTreeSet::new(),
    };
    let browser = cookie(headers)
        .and_then(|cookie| world.desk.browser(&cookie, now))
        .filter(|_| !matches!(prompt, "login" | "select_account"))
        .filter(|(user, factor)| view.user(*user).is_some_and(|user| *factor || !user.mfa));
    match browser {
        Some((user, factor)) => {
            flow.user = Some(user);
            flow.second_factor = factor;
            let step = after_sign_in(world, &view, &client, &mut flow, now);
            if prompt == "none" && matches!(step, Step::Stay(_)) {
                let (id, name) = (client.id.to_string(), client.name.as_str());
                let failure = failure::CONSENT_REQUIRED.with(&[&id, name]);
                return refused(world, headers, &asked, &failure);
            }
            show(world, headers, &client, flow, step, None)
        }
        None if prompt == "none" => {
            refused(world, headers, &asked, &failure::LOGIN_REQUIRED.with(&[]))
        }
        None => {
            let hint = given("login_hint").map(String::as_str);
            show(world, headers, &client, flow, Step::Stay(None), hint)
        }
    }
}

// What may be sent back to the client when it is wrong.
fn judge_request(
    view: &View,
    client: &Client,
    form: &Form,
    asked: &CodeAsked,
) -> Result<Wanted, Failure> {
    let given = |name: &str| form.get(name).map_or("", String::as_str);
    match given("response_type") {
        "code" => {}
        "" => return Err(failure::PARAMETER_MISSING.with(&["response_type"])),
        other => return Err(failure::RESPONSE_TYPE.with(&[other])),
    }
    match given("response_mode") {
        "" | "query" | "fragment" | "form_post" => {}
        other => return Err(failure::RESPONSE_MODE.with(&[other])),
    }
    let challenge = asked.challenge.as_deref();
    let whole = challenge.is_none_or(|challenge| challenge.len() == CHALLENGE_CHARACTERS);
    let method = given("code_challenge_method") == "S256";
    if (asked.public && challenge.is_none()) || (challenge.is_some() && !(whole && method)) {
        return Err(failure::PKCE_MISSING.with(&[]));
    }
    scope::read(view, client, &scope_text(form)?)
}
