//! Where a sign-in goes next, and how a failure leaves the pages.

use axum::body::Body;
use http::{HeaderMap, Response};

use super::desk::{AdminAsked, CodeAsked, Mode};
use super::failure::Failure;
use super::page;
use crate::answer::{self, Remark};
use crate::world::World;

/// Where a flow goes next.
pub(super) enum Step {
    /// The page of its stage, with what went wrong.
    Stay(Option<String>),
    /// Out of the pages.
    Leave(Response<Body>),
    /// To the client with a failure, or to an error page.
    Refuse(Failure),
}

/// An error page, with the failure in the journal.
pub(super) fn failed(world: &World, headers: &HeaderMap, failure: &Failure) -> Response<Body> {
    let text = failure.description(answer::stamp(world, headers));
    remarked(page::error(&text), failure)
}

fn remarked(mut response: Response<Body>, failure: &Failure) -> Response<Body> {
    response.extensions_mut().insert(Remark {
        code: format!("AADSTS{}", failure.row.code),
        cause: Some(failure.text.clone()),
    });
    response
}

/// Sends a failure back to the client.
pub(super) fn refused(
    world: &World,
    headers: &HeaderMap,
    asked: &CodeAsked,
    failure: &Failure,
) -> Response<Body> {
    // What the token endpoint calls a bad grant is a missing interaction here.
    let error = match failure.row.error {
        "invalid_grant" => "interaction_required",
        other => other,
    };
    let mut parameters = vec![
        ("error", error.to_owned()),
        (
            "error_description",
            failure.description(answer::stamp(world, headers)),
        ),
    ];
    if let Some(state) = &asked.state {
        parameters.push(("state", state.clone()));
    }
    remarked(
        page::back(&asked.redirect_uri, asked.mode, &parameters),
        failure,
    )
}

/// Sends a refused consent back to the client.
pub(super) fn consent_refused(
    world: &World,
    headers: &HeaderMap,
    asked: &AdminAsked,
    failure: &Failure,
) -> Response<Body> {
    let mut parameters = vec![
        ("error", failure.row.error.to_owned()),
        (
            "error_description",
            failure.description(answer::stamp(world, headers)),
        ),
        ("admin_consent", "True".to_owned()),
    ];
    if let Some(state) = &asked.state {
        parameters.push(("state", state.clone()));
    }
    let response = page::back(&asked.redirect_uri, Mode::Query, &parameters);
    remarked(response, failure)
}
