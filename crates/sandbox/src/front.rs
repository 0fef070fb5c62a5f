//! The HTTPS side: accepts connections, lets faults strike, writes the journal, asks the routers.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::answer::{Remark, json, made, plain, set_json, stamp};
use crate::entra::failure;
use crate::faults::{Effect, Fault, Step};
use crate::journal::Channel;
use crate::limits;
use crate::line::{Line, Resetter};
use crate::world::{Outcome, World};
use crate::{exchange_admin, graph};

/// The routers, by interface.
#[derive(Clone)]
pub(crate) struct Fronts {
    pub(crate) entra: Router,
    pub(crate) graph: Router,
    pub(crate) exchange_admin: Router,
}

impl Fronts {
    fn router(&self, channel: Channel) -> &Router {
        match channel {
            Channel::Graph => &self.graph,
            Channel::ExchangeAdmin => &self.exchange_admin,
            Channel::Entra | Channel::Smtp | Channel::Control => &self.entra,
        }
    }
}

/// Which interface a listener serves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Serves {
    /// One interface on a port of its own.
    One(Channel),
    /// All of them on port 443, told apart by the Host header.
    ByHost,
}

impl Serves {
    fn channel(self, host: &str) -> Channel {
        match (self, host.split(':').next().unwrap_or_default()) {
            (Self::One(channel), _) => channel,
            (Self::ByHost, "graph.microsoft.com") => Channel::Graph,
            (Self::ByHost, "outlook.office365.com" | "outlook.office.com") => {
                Channel::ExchangeAdmin
            }
            (Self::ByHost, _) => Channel::Entra,
        }
    }
}

/// Accepts HTTPS connections until the sandbox stops.
pub(crate) async fn serve(
    world: Arc<World>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    fronts: Fronts,
    serves: Serves,
) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let accepted = tokio::select! {
            () = world.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // A connection that died in the queue is the client's business.
        let Ok((tcp, _)) = accepted else { continue };
        let line = Line::new(tcp);
        let resetter = line.resetter();
        let visit = Visit {
            world: Arc::clone(&world),
            fronts: fronts.clone(),
            serves,
            resetter,
            connection: world.connection(),
        };
        let acceptor = acceptor.clone();
        world.tasks.spawn(async move {
            let stop = visit.world.stop.clone();
            let talk = async {
                let Ok(stream) = acceptor.accept(line).await else {
                    return;
                };
                let service = hyper::service::service_fn(move |request| {
                    let visit = visit.clone();
                    async move { visit.respond(request).await }
                });
                // How a connection ends is told by the journal of its requests.
                drop(
                    auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            };
            tokio::select! { () = stop.cancelled() => {}, () = talk => {} }
        });
    }
}

/// A time as header fields write it (RFC 9110 §5.6.7).
fn date(time: Timestamp) -> Option<HeaderValue> {
    let text = DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&time)
        .ok()?;
    HeaderValue::from_str(&text).ok()
}

#[derive(Clone)]
struct Visit {
    world: Arc<World>,
    fronts: Fronts,
    serves: Serves,
    resetter: Resetter,
    connection: u64,
}

impl Visit {
    /// Every answer carries the sandbox's own time, where a fault names no other.
    async fn respond(self, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
        let world = Arc::clone(&self.world);
        let mut response = self.answer(request).await?;
        if let Some(date) = date(world.clock.now()) {
            response.headers_mut().entry(header::DATE).or_insert(date);
        }
        Ok(response)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
        let (parts, body) = request.into_parts();
        let host = parts
            .uri
            .authority()
            .map(|authority| authority.as_str().to_owned())
            .or_else(|| text(&parts.headers, &header::HOST))
            .unwrap_or_default();
        let channel = self.serves.channel(&host);
        let Ok(body) = Limited::new(body, limits::REQUEST_OCTETS_MAX)
            .collect()
            .await
        else {
            return Ok(plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request is too large",
            ));
        };
        let body = body.to_bytes();
        let path = parts.uri.path();
        let step = step_of(channel, path);
        let asked = format!("{} {path}{}", parts.method, show(&parts, &body));
        let fault =
            self.world
                .faults
                .strike(step, || whom(channel, &parts, &body), &self.world.chance);
        let struck = fault.as_ref().map(|fault| fault.id);
        let after = fault.as_ref().map(|fault| fault.effect.clone());

        let answer = match fault {
            Some(fault) => self.strike(fault, channel, &parts.headers).await?,
            None => None,
        };
        let response = if let Some(response) = answer {
            response
        } else {
            let request = Request::from_parts(parts, Body::from(body));
            match self.fronts.router(channel).clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        };
        let remark = response
            .extensions()
            .get::<Remark>()
            .cloned()
            .unwrap_or_default();
        let outcome = Outcome {
            answered: format!("{} {}", response.status().as_u16(), remark.code)
                .trim_end()
                .into(),
            cause: remark.cause,
            fault: struck,
        };
        self.world.note(channel, self.connection, asked, outcome);
        match after {
            Some(Effect::AcceptThenClose) => Err(io::Error::other("a fault ends the connection")),
            Some(Effect::AcceptThenAnswer {
                status,
                headers,
                body,
            }) => Ok(made(status, headers, body)),
            _ => Ok(response),
        }
    }

    // An error drops the connection; none means that the right answer follows.
    async fn strike(
        &self,
        fault: Fault,
        channel: Channel,
        headers: &HeaderMap,
    ) -> Result<Option<Response<Body>>, io::Error> {
        let dropped = || io::Error::other("a fault ends the connection");
        Ok(match fault.effect {
            Effect::Delay { ms } => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                None
            }
            Effect::Stall => {
                self.world.stop.cancelled().await;
                return Err(dropped());
            }
            Effect::Reset => {
                self.resetter.reset();
                return Err(dropped());
            }
            Effect::Close | Effect::Reply { .. } => return Err(dropped()),
            // The request is carried out first; `respond` does the rest.
            Effect::AcceptThenClose | Effect::AcceptThenAnswer { .. } => None,
            Effect::Garbage => Some(json(
                StatusCode::OK,
                r#"{"token_type":"Bearer","expi"#.into(),
            )),
            Effect::Oversize { octets } => {
                let mut response = Response::new(oversize(octets));
                set_json(&mut response);
                Some(response)
            }
            Effect::Throttle { retry_after_s } => {
                let mut response = match channel {
                    Channel::Graph => {
                        graph::refuse(&self.world, headers, &graph::error::THROTTLED.with(&[]))
                    }
                    Channel::ExchangeAdmin => {
                        exchange_admin::throttled(&self.world, headers, retry_after_s)
                    }
                    _ => self.aadsts(90055, 429, "temporarily_unavailable", headers),
                };
                retry_after(&mut response, retry_after_s);
                Some(response)
            }
            Effect::Aadsts {
                code,
                status,
                error,
                retry_after_s,
            } => {
                let mut response = self.aadsts(code, status, &error, headers);
                if let Some(seconds) = retry_after_s {
                    retry_after(&mut response, seconds);
                }
                Some(response)
            }
            Effect::Answer {
                status,
                headers,
                body,
            } => Some(made(status, headers, body)),
        })
    }

    fn aadsts(&self, code: u32, status: u16, error: &str, headers: &HeaderMap) -> Response<Body> {
        let stamp = stamp(&self.world, headers);
        let body = failure::error_body(code, error, "The service could not answer.", stamp);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = json(status, body.to_string());
        let code = format!("AADSTS{code}");
        response
            .extensions_mut()
            .insert(Remark { code, cause: None });
        response
    }
}

fn retry_after(response: &mut Response<Body>, seconds: u32) {
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
}

fn oversize(octets: u64) -> Body {
    static SPACES: [u8; 65_536] = [b' '; 65_536];
    let chunk = SPACES.len() as u64;
    let pieces = stream::iter(0..octets.div_ceil(chunk)).map(move |n| {
        let left = usize::try_from((octets - n * chunk).min(chunk)).unwrap_or(SPACES.len());
        Ok::<_, Infallible>(Bytes::from_static(&SPACES[..left]))
    });
    Body::from_stream(pieces)
}

fn step_of(channel: Channel, path: &str) -> Step {
    match channel {
        Channel::Graph => Step::Graph,
        Channel::ExchangeAdmin => Step::ExchangeAdmin,
        Channel::Entra | Channel::Smtp | Channel::Control => {
            if path.ends_with("/token") {
                Step::Token
            } else if path.ends_with("/keys") {
                Step::Jwks
            } else if path.ends_with("/openid-configuration") || path.ends_with("/instance") {
                Step::Metadata
            } else {
                Step::SignIn
            }
        }
    }
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn is_form(headers: &HeaderMap) -> bool {
    text(headers, &header::CONTENT_TYPE).is_some_and(|t| {
        t.to_ascii_lowercase()
            .starts_with("application/x-www-form-urlencoded")
    })
}

// Whom a fault may be meant for: a client id, a method and path, or a cmdlet.
fn whom(channel: Channel, parts: &http::request::Parts, body: &[u8]) -> Option<String> {
    match channel {
        Channel::Graph => Some(format!("{} {}", parts.method, parts.uri.path())),
        Channel::ExchangeAdmin => {
            let body: serde_json::Value = serde_json::from_slice(body).ok()?;
            Some(body["CmdletInput"]["CmdletName"].as_str()?.to_owned())
        }
        Channel::Entra | Channel::Smtp | Channel::Control => client_of(&parts.headers, body),
    }
}

fn client_of(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if !is_form(headers) {
        return None;
    }
    let found = form_urlencoded::parse(body).find(|(name, _)| name == "client_id");
    found.map(|(_, value)| value.into_owned())
}

/// Parameters that are shown as they are; any other is shown by its length only.
const SHOWN: [&str; 17] = [
    "client_id",
    "scope",
    "resource",
    "grant_type",
    "client_assertion_type",
    "api-version",
    "authorization_endpoint",
    "response_type",
    "redirect_uri",
    "$filter",
    "$select",
    "$top",
    "$orderby",
    "$count",
    "prompt",
    "response_mode",
    "code_challenge_method",
];

fn octets_of(value: &str) -> String {
    format!("[{} octets]", value.len())
}

fn show(parts: &http::request::Parts, body: &[u8]) -> String {
    let mut shown = String::new();
    let mut add = |mark: char, octets: &[u8]| {
        for (index, (name, value)) in form_urlencoded::parse(octets).enumerate() {
            shown.push(if index == 0 { mark } else { '&' });
            shown.push_str(&name);
            shown.push('=');
            if SHOWN.contains(&name.as_ref()) {
                shown.push_str(&value);
            } else {
                shown.push_str(&octets_of(&value));
            }
        }
    };
    if let Some(query) = parts.uri.query() {
        add('?', query.as_bytes());
    }
    if is_form(&parts.headers) {
        add(' ', body);
    }
    shown
}
