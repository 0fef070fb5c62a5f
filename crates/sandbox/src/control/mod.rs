//! The control interface: plain HTTP on loopback, with a bearer token.
//!
//! A page in the browser at the root shows what the interface answers. Requests whose Host header
//! names another host are refused, so that a web page elsewhere cannot reach it by a name of its
//! own (DNS rebinding); there is no CORS.

mod messages;
mod page;
mod steering;
mod tenant;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::TcpListener;
use tower_http::limit::RequestBodyLimitLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::limits;
use crate::line::Line;
use crate::state::Problem;
use crate::world::World;

/// Where the interface begins.
pub(crate) const BASE: &str = "/sandbox/v1";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "sendas sandbox: control",
        description = "Reads the mail that arrived, changes the tenant, makes faults, moves the clock."
    ),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("bearer", bearer);
    }
}

/// What went wrong, as JSON.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorAnswer {
    /// A sentence.
    error: String,
    /// The places, when a document was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
}

/// An error answer with its status.
pub(crate) struct Refusal(StatusCode, ErrorAnswer);

impl Refusal {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self(
            status,
            ErrorAnswer {
                error: error.into(),
                problems: Vec::new(),
            },
        )
    }

    fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, axum::Json(self.1)).into_response()
    }
}

/// A JSON body; what cannot be read is refused as JSON too.
pub(crate) struct Document<T>(pub(crate) T);

impl<T: serde::de::DeserializeOwned> FromRequest<Arc<World>> for Document<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, world: &Arc<World>) -> Result<Self, Refusal> {
        match axum::Json::from_request(request, world).await {
            Ok(axum::Json(document)) => Ok(Self(document)),
            Err(rejection) => Err(Refusal::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// The routes with their description, unserved.
fn described() -> (Router<Arc<World>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Api::openapi())
        .nest(
            BASE,
            OpenApiRouter::new()
                .routes(routes!(messages::list, messages::delete_all))
                .routes(routes!(messages::wait))
                .routes(routes!(messages::one, messages::delete_one))
                .routes(routes!(messages::raw))
                .routes(routes!(tenant::read, tenant::change))
                .routes(routes!(
                    steering::faults,
                    steering::add_faults,
                    steering::clear_faults
                ))
                .routes(routes!(steering::clear_fault))
                .routes(routes!(steering::clock, steering::advance))
                .routes(routes!(steering::journal))
                .routes(routes!(steering::admin_tokens))
                .routes(routes!(steering::issuer_token))
                .routes(routes!(steering::behaviours)),
        )
        .split_for_parts()
}

/// The interface's description (`OpenAPI` 3.1), as JSON.
///
/// # Panics
/// Never: the description is plain data.
pub fn openapi_json() -> String {
    described()
        .1
        .to_pretty_json()
        .expect("a description is plain data")
}

fn router(world: Arc<World>) -> Router {
    let (api, _) = described();
    let guarded = api
        .route(&format!("{BASE}/openapi.json"), get(description))
        .layer(middleware::from_fn_with_state(Arc::clone(&world), bearer));
    page::router()
        .merge(guarded)
        .layer(middleware::from_fn_with_state(Arc::clone(&world), own_host))
        .layer(RequestBodyLimitLayer::new(limits::REQUEST_OCTETS_MAX))
        .with_state(world)
}

async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json()).into_response()
}

/// Accepts connections until the sandbox stops.
pub(crate) async fn serve(world: Arc<World>, listener: TcpListener) {
    let router = router(Arc::clone(&world));
    loop {
        let accepted = tokio::select! {
            () = world.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // A connection that died in the queue is the client's business.
        let Ok((tcp, _)) = accepted else { continue };
        let service = TowerToHyperService::new(router.clone());
        let stop = world.stop.clone();
        world.tasks.spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            let talk = builder.serve_connection(TokioIo::new(Line::new(tcp)), service);
            tokio::select! {
                () = stop.cancelled() => {}
                // How a connection ends is of no interest here.
                ended = talk => drop(ended),
            }
        });
    }
}

async fn own_host(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let address = world.places.control;
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| request.uri().authority().map(http::uri::Authority::as_str))
        .unwrap_or_default();
    let port = address.port();
    let own = [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        address.to_string(),
    ];
    if !own.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        return Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!("this interface answers to http://{address} only"),
        )
        .into_response();
    }
    let mut response = next.run(request).await;
    harden(response.headers_mut());
    response
}

fn harden(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

async fn bearer(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    let same = aws_lc_rs::constant_time::verify_slices_are_equal(
        given.as_bytes(),
        world.control_token.as_bytes(),
    );
    if same.is_err() {
        let mut response = Refusal::new(
            StatusCode::UNAUTHORIZED,
            "a bearer token is needed: the member control.token of sandbox.json",
        )
        .into_response();
        let ask = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
        return response;
    }
    next.run(request).await
}

fn octets(kind: &'static str, octets: bytes::Bytes) -> Response {
    ([(header::CONTENT_TYPE, kind)], Body::from(octets)).into_response()
}
