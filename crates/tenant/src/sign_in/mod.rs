//! The administrator's sign-in: authorization code with PKCE in the system's browser, or a device
//! code when that is asked for. The tokens stay in memory; none lives longer than the run.
//!
//! Graph and Exchange want a token each, so there are two sign-ins; the browser's session makes the
//! second one a click at most. No refresh token is asked for.

mod callback;
mod listener;
mod pkce;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method as HttpMethod};
use sendas_entra::answer::{self, Unusable};
use sendas_entra::{ClientId, Cloud, HttpError, Refusal, Request, Response, Tenant};
use serde::Deserialize;
use zeroize::Zeroizing;

use self::listener::{Brought, Listener};
use self::pkce::{CHANCE_OCTETS, Ties};
use crate::admin::{AdminToken, AdminTokenError};
use crate::limits::{DEVICE_CODE_S_MAX, SIGN_IN_S_MAX};
use crate::timer::Timer;
use crate::trouble::Service;
use crate::wire::{Transport, words};
use crate::wish::Method;

/// Client id of Microsoft Graph Command Line Tools, a public client of Microsoft's (observed, not
/// documented for this use). An application of one's own is the dependable choice.
pub const GRAPH_CLIENT_ID: &str = "14d82eec-204b-4c2f-b7e8-296a70dab67e";

/// Client id of the Exchange Online PowerShell module, a public client of Microsoft's (observed, not
/// documented for this use).
pub const EXCHANGE_CLIENT_ID: &str = "fb78d390-0c51-40cd-8e17-fdbfab77341b";

/// Signs an administrator in.
#[derive(Clone)]
pub struct SignIn {
    cloud: Cloud,
    tenant: Tenant,
    method: Method,
    client_id: Option<ClientId>,
    transport: Arc<dyn Transport>,
    timer: Arc<dyn Timer>,
}

/// A sign-in that waits for the browser.
pub struct Browser {
    /// Where the browser must go.
    pub url: String,
    listener: Listener,
    ties: Ties,
    redirect: String,
    client_id: String,
    scope: String,
    service: Service,
}

/// A sign-in that waits for a code to be typed elsewhere.
#[derive(Debug, Deserialize)]
pub struct DeviceCode {
    /// What the administrator types.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    #[serde(rename = "device_code")]
    ticket: Zeroized,
    #[serde(default = "fifteen_minutes")]
    expires_in: u64,
    #[serde(default = "five_seconds")]
    interval: u64,
}

/// A text that is wiped and never shown.
struct Zeroized(Zeroizing<String>);

/// Why an administrator is not signed in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// No port could be had.
    #[error("cannot listen on this machine for the browser's answer")]
    Listen(#[source] io::Error),
    /// No unforeseeable octets.
    #[error("the system gives no random numbers")]
    NoChance,
    /// Nobody came back in time.
    #[error("nobody signed in within {minutes} minutes")]
    TooLate {
        /// How long was waited: five minutes for the browser, a device code's own life for one.
        minutes: u64,
    },
    /// Others than the browser kept calling.
    #[error("the port of the sign-in was flooded with requests that were no answer")]
    Flooded,
    /// The person said no, or cancelled.
    #[error("the sign-in for {service} was cancelled, or its consent declined: {words}")]
    Declined {
        /// For which service.
        service: Service,
        /// The authority's own words.
        words: String,
    },
    /// The authority said no in the browser.
    #[error("the sign-in for {service} was refused: {words}")]
    Refused {
        /// For which service.
        service: Service,
        /// The AADSTS numbers in its words.
        codes: Vec<u32>,
        /// The authority's own words.
        words: String,
    },
    /// The authority refused to give a token.
    #[error("no token for {service}: {refusal}")]
    NoToken {
        /// For which service.
        service: Service,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// The authority gave no usable answer.
    #[error("the authority's answer for {service} is not understood: {reason}")]
    NotUnderstood {
        /// For which service.
        service: Service,
        /// What is wrong.
        reason: String,
    },
    /// The authority gave no answer.
    #[error("the authority gave no answer")]
    NoAnswer(#[from] HttpError),
    /// What came is no token.
    #[error(transparent)]
    Token(#[from] AdminTokenError),
}

fn fifteen_minutes() -> u64 {
    DEVICE_CODE_S_MAX
}

fn five_seconds() -> u64 {
    5
}

impl SignIn {
    /// A sign-in to this tenant. `client_id` is a public client of one's own; without one, those of
    /// Microsoft's own tools are used. `method` decides which rights are asked for.
    pub fn new(
        cloud: &Cloud,
        tenant: &Tenant,
        method: Method,
        client_id: Option<ClientId>,
        transport: Arc<dyn Transport>,
        timer: Arc<dyn Timer>,
    ) -> Self {
        Self {
            cloud: cloud.clone(),
            tenant: tenant.clone(),
            method,
            client_id,
            transport,
            timer,
        }
    }

    /// Opens the port the browser comes back to, and says where the browser must go.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn browser(&self, service: Service) -> Result<Browser, SignInError> {
        let mut chance = Zeroizing::new([0; CHANCE_OCTETS]);
        SystemRandom::new()
            .fill(&mut *chance)
            .map_err(|_| SignInError::NoChance)?;
        let ties = Ties::from_chance(&chance);
        let listener = Listener::open().await.map_err(SignInError::Listen)?;
        // Entra lets a public client come back to any port of this registered address.
        let redirect = format!("http://localhost:{}", listener.port());
        let (client_id, scope) = (self.client_of(service), self.scope(service));
        let query = form(&[
            ("client_id", &client_id),
            ("response_type", "code"),
            ("response_mode", "query"),
            ("redirect_uri", &redirect),
            ("scope", &scope),
            ("state", &ties.state),
            ("code_challenge", &ties.challenge()),
            ("code_challenge_method", "S256"),
        ]);
        Ok(Browser {
            url: format!("{}?{}", self.endpoint("authorize"), query.as_str()),
            listener,
            ties,
            redirect,
            client_id,
            scope,
            service,
        })
    }

    /// Waits for the browser, at most five minutes, and buys the token.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn finish(&self, browser: Browser) -> Result<AdminToken, SignInError> {
        let service = browser.service;
        let brought = tokio::select! {
            brought = browser.listener.wait(&browser.ties.state) => {
                brought.map_err(SignInError::Listen)?
            }
            () = self.timer.wait(Duration::from_secs(SIGN_IN_S_MAX)) => {
                return Err(SignInError::TooLate {
                    minutes: SIGN_IN_S_MAX / 60,
                });
            }
        };
        let code = match brought {
            Brought::Code(code) => code,
            Brought::Refused(words) => return Err(said_no(service, words)),
            Brought::Strangers => return Err(SignInError::Flooded),
        };
        let body = form(&[
            ("client_id", &browser.client_id),
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &browser.redirect),
            ("code_verifier", &browser.ties.verifier),
            ("scope", &browser.scope),
        ]);
        let answer = self.post("token", &body).await?;
        self.token(service, &answer)
    }

    /// Asks for a code to be typed elsewhere. Many tenants block this way, because it is how
    /// sign-ins are stolen; use it only where there is no browser.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn device_code(&self, service: Service) -> Result<DeviceCode, SignInError> {
        let (client_id, scope) = (self.client_of(service), self.scope(service));
        let body = form(&[("client_id", &client_id), ("scope", &scope)]);
        let answer = self.post("devicecode", &body).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(service, &answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| SignInError::NotUnderstood {
            service,
            reason: words(&error.to_string()),
        })
    }

    /// Asks until the code was typed.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn finish_device(
        &self,
        service: Service,
        code: &DeviceCode,
    ) -> Result<AdminToken, SignInError> {
        let client_id = self.client_of(service);
        let mut interval = code.interval.clamp(1, 60);
        let mut left = code.expires_in.min(DEVICE_CODE_S_MAX);
        let minutes = left / 60;
        loop {
            if left < interval {
                return Err(SignInError::TooLate { minutes });
            }
            left -= interval;
            self.timer.wait(Duration::from_secs(interval)).await;
            let body = form(&[
                ("client_id", &client_id),
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                ("device_code", &code.ticket.0),
            ]);
            let answer = self.post("token", &body).await?;
            match self.token(service, &answer) {
                Err(SignInError::NoToken { refusal, .. })
                    if refusal.error == "authorization_pending" => {}
                Err(SignInError::NoToken { refusal, .. }) if refusal.error == "slow_down" => {
                    // RFC 8628 §3.5.
                    interval += 5;
                }
                Err(SignInError::NoToken { refusal, .. }) if refusal.error == "expired_token" => {
                    return Err(SignInError::TooLate { minutes });
                }
                result => return result,
            }
        }
    }

    fn client_of(&self, service: Service) -> String {
        match (&self.client_id, service) {
            (Some(client_id), _) => client_id.to_string(),
            (None, Service::Graph) => GRAPH_CLIENT_ID.into(),
            (None, Service::Exchange) => EXCHANGE_CLIENT_ID.into(),
        }
    }

    /// No more than the set-up needs.
    fn scope(&self, service: Service) -> String {
        match (service, self.method) {
            (Service::Exchange, _) => format!("{}/.default", self.cloud.resource()),
            // A scope without a resource is Graph's, in every cloud.
            (Service::Graph, Method::Rbac) => "User.Read Application.ReadWrite.All".into(),
            (Service::Graph, Method::Classic) => {
                "User.Read Application.ReadWrite.All AppRoleAssignment.ReadWrite.All".into()
            }
        }
    }

    fn endpoint(&self, name: &str) -> String {
        format!(
            "{}/{}/oauth2/v2.0/{name}",
            self.cloud.authority(),
            self.tenant
        )
    }

    async fn post(&self, name: &str, body: &Zeroizing<String>) -> Result<Response, HttpError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = Request {
            method: HttpMethod::POST,
            url: self.endpoint(name),
            headers,
            body: Bytes::from_owner(Wiped(body.clone())),
        };
        self.transport.call(request).await
    }

    fn token(&self, service: Service, answer: &Response) -> Result<AdminToken, SignInError> {
        let later = answer.headers.get(RETRY_AFTER);
        let later = later.and_then(|later| later.to_str().ok());
        let now = self.timer.now();
        match answer::parse(answer.status.as_u16(), &answer.body, later, now) {
            Ok(grant) => Ok(AdminToken::new(grant.text, name(service))?),
            Err(Unusable::Refused(refusal)) => Err(SignInError::NoToken { service, refusal }),
            Err(Unusable::NotUnderstood { reason }) => Err(SignInError::NotUnderstood {
                service,
                reason: reason.to_owned(),
            }),
        }
    }

    fn refusal(&self, service: Service, answer: &Response) -> SignInError {
        match self.token(service, answer) {
            Err(error) => error,
            Ok(_) => SignInError::NotUnderstood {
                service,
                reason: "a token where a code was asked for".into(),
            },
        }
    }
}

impl SignInError {
    /// What to do about it, where that can be said.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::NoToken { refusal, .. } if refusal.codes.contains(&65002) => Some(
                "Microsoft's own client may not be used for this in your tenant: register a public client of your own and name it with --sign-in-client-id",
            ),
            Self::NoToken { refusal, .. } if is_policy(&refusal.codes) => Some(
                "a Conditional Access policy or the security defaults forbid this way of signing in: use the browser instead of a device code, or --admin-tokens",
            ),
            Self::Refused { codes, .. } if is_policy(codes) => Some(
                "a Conditional Access policy or the security defaults forbid this sign-in: sign in from a machine and by a method that the policy allows, or use --admin-tokens",
            ),
            Self::Refused { codes, .. }
                if codes.iter().any(|code| matches!(code, 65_001 | 90_094)) =>
            {
                Some(
                    "an administrator must consent: sign in as Global Administrator or Cloud Application Administrator, or let one run the script of setup plan",
                )
            }
            _ => None,
        }
    }
}

/// Numbers by which a policy of the tenant says no.
fn is_policy(codes: &[u32]) -> bool {
    let mut codes = codes.iter();
    codes.any(|code| matches!(code, 53_003 | 530_032 | 530_035))
}

/// Tells a person's no from the authority's by the numbers in the words.
fn said_no(service: Service, words: String) -> SignInError {
    let codes: Vec<u32> = words
        .split("AADSTS")
        .skip(1)
        .filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit());
            rest[..end.unwrap_or(rest.len())].parse().ok()
        })
        .collect();
    let is_persons = codes.iter().all(|code| *code == 65_004);
    if words.starts_with("access_denied") && is_persons {
        return SignInError::Declined { service, words };
    }
    SignInError::Refused {
        service,
        codes,
        words,
    }
}

fn name(service: Service) -> &'static str {
    match service {
        Service::Graph => "Graph",
        Service::Exchange => "Exchange",
    }
}

fn form(pairs: &[(&str, &str)]) -> Zeroizing<String> {
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(2048));
    for (name, value) in pairs {
        form.append_pair(name, value);
    }
    Zeroizing::new(form.finish())
}

/// A body that is wiped when it was sent.
struct Wiped(Zeroizing<String>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<'de> Deserialize<'de> for Zeroized {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl std::fmt::Debug for Zeroized {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn")
            .field("cloud", &self.cloud.name())
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

/// Shows the service only; the URL holds the state.
impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browser")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
