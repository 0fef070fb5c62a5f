//! Signing a person in: the way through the pages, from a password to a code.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use http::{HeaderMap, HeaderValue, Response, header};
use jiff::Timestamp;
use uuid::Uuid;

use super::asked::{Form, parameters};
use super::client::{self, Client};
use super::consent;
use super::desk::{AdminAsked, Code, Flow, Purpose, SignedIn, Stage, Verdict};
use super::failure;
use super::page::{self, Shown};
use super::scope::{self, Consent, Wanted};
use super::step::{self, Step, failed, refused};
use crate::digest;
use crate::state::roles;
use crate::state::view::View;
use crate::world::World;

type Shared = State<Arc<World>>;

/// The cookie that tells a browser which signed in.
const COOKIE: &str = "ESTSAUTH";

/// What follows a password and a second factor that were right.
pub(super) fn after_sign_in(
    world: &World,
    view: &View,
    client: &Client,
    flow: &mut Flow,
    now: Timestamp,
) -> Step {
    let Some(user) = flow.user else {
        return Step::Stay(None);
    };
    let policies = &view.directory().policies;
    if matches!(flow.purpose, Purpose::Device(_)) && policies.device_code_blocked {
        return Step::Refuse(failure::CONDITIONAL_ACCESS.with(&[]));
    }
    let administrator = is_administrator(view, user);
    let (Some(wanted), false) = (
        flow.wanted.clone(),
        matches!(flow.purpose, Purpose::AdminConsent(_)),
    ) else {
        if !administrator {
            return Step::Refuse(failure::CONSENT_ADMIN.with(&[]));
        }
        if policies.consent_refused {
            return Step::Refuse(failure::CONSENT_DECLINED.with(&[]));
        }
        flow.stage = Stage::Consent(consent::names(view, client));
        return Step::Stay(None);
    };
    let again = matches!(&flow.purpose, Purpose::Code(asked) if asked.ask_again);
    match scope::judge(view, client, user, &wanted, again) {
        Consent::Granted(scopes) => finish(world, view, flow, &wanted, &scopes, now),
        Consent::Needed(_) if policies.consent_refused => {
            Step::Refuse(failure::CONSENT_DECLINED.with(&[]))
        }
        Consent::Needed(missing) if !administrator && !scope::is_personal(&missing) => {
            Step::Refuse(failure::CONSENT_ADMIN.with(&[]))
        }
        Consent::Needed(missing) => {
            flow.stage = Stage::Consent(missing);
            Step::Stay(None)
        }
    }
}

fn is_administrator(view: &View, user: Uuid) -> bool {
    view.directory_roles(user).iter().any(|role| {
        [
            roles::GLOBAL_ADMINISTRATOR,
            roles::PRIVILEGED_ROLE_ADMINISTRATOR,
            roles::APPLICATION_ADMINISTRATOR,
            roles::CLOUD_APPLICATION_ADMINISTRATOR,
        ]
        .contains(role)
    })
}

// Everything is granted: a code for a client; a question to whoever let a device in.
fn finish(
    world: &World,
    view: &View,
    flow: &mut Flow,
    wanted: &Wanted,
    scopes: &BTreeSet<String>,
    now: Timestamp,
) -> Step {
    let Some((id, user)) = flow.user.and_then(|id| Some((id, view.user(id)?))) else {
        return Step::Stay(None);
    };
    let signed_in = SignedIn {
        client: flow.client,
        user: id,
        second_factor: flow.second_factor,
        public: match &flow.purpose {
            Purpose::Code(asked) => asked.public,
            Purpose::Device(_) | Purpose::AdminConsent(_) => true,
        },
        password: user.password_sha256.clone(),
        wanted: wanted.clone(),
        scopes: scopes.clone(),
    };
    match &flow.purpose {
        Purpose::Code(asked) => {
            let code = format!("1.{}", world.chance.text(64));
            let mut parameters = vec![("code", code.clone())];
            if let Some(state) = &asked.state {
                parameters.push(("state", state.clone()));
            }
            parameters.push(("session_state", world.chance.guid().to_string()));
            let kept = Code {
                signed_in,
                asked: asked.clone(),
                redeemed: false,
            };
            world.desk.put_code(code, kept, now);
            Step::Leave(page::back(&asked.redirect_uri, asked.mode, &parameters))
        }
        Purpose::Device(device_code) if flow.stage == Stage::Confirm => {
            world.desk.decide(device_code, Verdict::Approved(signed_in));
            Step::Leave(page::end(
                "You have signed in",
                "You may now close this window and go back to the application.",
            ))
        }
        Purpose::Device(_) | Purpose::AdminConsent(_) => {
            flow.stage = Stage::Confirm;
            flow.granted.clone_from(scopes);
            Step::Stay(None)
        }
    }
}

/// `POST /{tenant}/login`: one page was filled in.
pub(super) async fn go_on(
    State(world): Shared,
    Path(_tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let (view, now) = world.view();
    let form = parameters(&body).unwrap_or_default();
    let id = form.get("flow").map_or("", String::as_str);
    let Some(mut flow) = world.desk.take_flow(id, now) else {
        return page::error("This sign-in is over. Start again from the application.");
    };
    let client = match client::find(&view, &flow.client.to_string(), &flow.tenant) {
        Ok(client) => client,
        Err(failure) => return failed(&world, &headers, &failure),
    };
    let step = filled_in(&world, &view, &client, &mut flow, &form, now);
    show(&world, &headers, &client, flow, step, None)
}

fn filled_in(
    world: &World,
    view: &View,
    client: &Client,
    flow: &mut Flow,
    form: &Form,
    now: Timestamp,
) -> Step {
    let given = |name: &str| form.get(name).map_or("", |value| value.trim());
    if given("answer") == "cancel" {
        if let Purpose::Device(device_code) = &flow.purpose {
            world.desk.decide(device_code, Verdict::Declined);
        }
        return Step::Refuse(failure::CONSENT_DECLINED.with(&[]));
    }
    match flow.stage.clone() {
        Stage::Password => {
            let found = view.directory().users.iter().find(|(_, user)| {
                user.user_principal_name
                    .eq_ignore_ascii_case(given("loginfmt"))
            });
            // Known or not, the same work and the same words.
            let typed = digest::sha256_hex(form.get("passwd").map_or("", String::as_str));
            let right = |stored: &str| {
                aws_lc_rs::constant_time::verify_slices_are_equal(
                    typed.as_bytes(),
                    stored.as_bytes(),
                )
                .is_ok()
            };
            match found {
                Some((id, user)) if right(&user.password_sha256) => {
                    flow.user = Some(*id);
                    if user.mfa {
                        flow.stage = Stage::SecondFactor;
                        return Step::Stay(None);
                    }
                    after_sign_in(world, view, client, flow, now)
                }
                _ => Step::Stay(Some(failure::PASSWORD_WRONG.with(&[]).text)),
            }
        }
        Stage::SecondFactor => {
            if given("otc") != world.made.mfa_code {
                return Step::Stay(Some(failure::MFA_WRONG.with(&[]).text));
            }
            flow.second_factor = true;
            after_sign_in(world, view, client, flow, now)
        }
        Stage::Consent(scopes) => accept(world, view, client, flow, scopes, now),
        Stage::Confirm => match flow.wanted.clone() {
            Some(wanted) => finish(world, view, flow, &wanted, &flow.granted.clone(), now),
            None => Step::Stay(None),
        },
    }
}

// Consent was given: it is written down, and the flow goes on with what was asked.
fn accept(
    world: &World,
    view: &View,
    client: &Client,
    flow: &mut Flow,
    scopes: BTreeSet<String>,
    now: Timestamp,
) -> Step {
    let Some(user) = flow.user else {
        return Step::Stay(None);
    };
    if let Purpose::AdminConsent(asked) = &flow.purpose {
        return consent::grant(world, client, asked);
    }
    let Some(wanted) = flow.wanted.clone() else {
        return Step::Stay(None);
    };
    let person = (!is_administrator(view, user)).then_some(user);
    let ids = [world.chance.guid(), world.chance.guid()];
    let kept: Result<(), std::convert::Infallible> = world.change(|tenant, _, _| {
        let principal = consent::principal(tenant, client, ids[0]);
        scope::grant(
            tenant,
            principal,
            wanted.resource_id,
            person,
            &scopes,
            ids[1],
        );
        Ok(())
    });
    match kept {
        Ok(()) => {}
        Err(never) => match never {},
    }
    // What was just granted may act later elsewhere; this sign-in has it at once.
    let mut all = scopes;
    if let Consent::Granted(held) = scope::judge(view, client, user, &wanted, false) {
        all.extend(held);
    }
    finish(world, view, flow, &wanted, &all, now)
}

/// Answers with where a flow goes next.
pub(super) fn show(
    world: &World,
    headers: &HeaderMap,
    client: &Client,
    flow: Flow,
    step: Step,
    hint: Option<&str>,
) -> Response<Body> {
    let (view, now) = world.view();
    let signed_in = flow.user.filter(|_| flow.stage != Stage::SecondFactor);
    let second_factor = flow.second_factor;
    let mut response = match step {
        Step::Leave(response) => response,
        Step::Refuse(failure) => match &flow.purpose {
            Purpose::Code(asked) => refused(world, headers, asked, &failure),
            Purpose::AdminConsent(asked) => step::consent_refused(world, headers, asked, &failure),
            Purpose::Device(device_code) => {
                if *failure.row == failure::CONDITIONAL_ACCESS {
                    world.desk.decide(device_code, Verdict::Blocked);
                } else {
                    world.desk.decide(device_code, Verdict::Declined);
                }
                failed(world, headers, &failure)
            }
        },
        Step::Stay(error) => {
            let id = world.chance.text(24);
            let user = flow.user.and_then(|id| view.user(id));
            let shown = Shown {
                action: format!("/{}/login", flow.tenant),
                flow: &id,
                client: &client.name,
                user: user.map(|user| user.user_principal_name.as_str()).or(hint),
                error,
                target: match &flow.purpose {
                    Purpose::Code(asked) => Some(&asked.redirect_uri),
                    Purpose::AdminConsent(AdminAsked { redirect_uri, .. }) => Some(redirect_uri),
                    Purpose::Device(_) => None,
                },
                for_everybody: matches!(flow.purpose, Purpose::AdminConsent(_)),
            };
            let response = shown.at(&flow.stage);
            world.desk.put_flow(id, flow, now);
            response
        }
    };
    // The browser is known from now on, unless it was before.
    let known = cookie(headers).and_then(|cookie| world.desk.browser(&cookie, now));
    if let Some(user) = signed_in
        && known.is_none_or(|(who, _)| who != user)
    {
        let cookie = world.chance.text(32);
        let text = format!("{COOKIE}={cookie}; Path=/; HttpOnly; Secure; SameSite=Lax");
        world.desk.put_browser(cookie, user, second_factor, now);
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

/// The cookie of a browser.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .map(str::to_owned)
}
