//! Tokens from Microsoft Entra ID for a service principal.
//!
//! Owns the clouds ([`Cloud`]), who asks ([`Tenant`], [`ClientId`], [`Credential`]), the token
//! request and its answer, the catalogue of AADSTS codes ([`aadsts`]), the claims of a token and
//! what is wrong in them ([`Claims`]), and the source of tokens that callers share
//! ([`TokenSource`], [`EntraTokenSource`]): one request in flight, refreshed ahead of expiry,
//! quiet after a failure. Its HTTP client ([`HttpClient`]) follows no redirect and is shared with
//! whoever else talks to Microsoft.
//!
//! Must not know: SMTP, Exchange's replies, the spool, the process environment (an
//! [`Environment`] is handed in) and the time (a [`Clock`] is handed in).
//!
//! ```no_run
//! use std::sync::Arc;
//! use sendas_entra::{
//!     ClientId, Cloud, Credential, EntraTokenSource, HttpClient, Principal, Proxy, SystemClock,
//!     Tenant, TokenSource,
//! };
//!
//! # async fn token() -> Result<(), Box<dyn std::error::Error>> {
//! let cloud = Cloud::global();
//! let http = HttpClient::new(cloud.tls_policy()?, Proxy::none());
//! let principal = Principal::new(
//!     cloud,
//!     Tenant::parse("contoso.onmicrosoft.com")?,
//!     ClientId::parse("11111111-2222-3333-4444-555555555555")?,
//!     Credential::certificate_file("contoso.pem")?,
//! );
//! let source = EntraTokenSource::new(principal, http, Arc::new(SystemClock::new()), 7);
//! let token = source.token().await?;
//! assert!(token.expires_at() > jiff::Timestamp::UNIX_EPOCH);
//! # Ok(())
//! # }
//! ```

pub mod aadsts;
pub mod answer;
mod assertion;
mod certificate;
mod claims;
mod clock;
mod cloud;
mod connector;
mod credential;
mod environment;
mod error;
mod federated;
mod file;
mod http;
mod judgement;
pub mod limits;
mod managed_identity;
#[cfg(feature = "pfx")]
mod pfx;
mod principal;
mod proxy;
mod request;
mod requester;
mod secret;
mod slot;
mod source;
mod tenant;
mod token;

pub use self::http::{HttpClient, HttpError, Request, Response};
pub use aadsts::{Aadsts, Actor};
pub use answer::Refusal;
pub use certificate::Certificate;
pub use claims::{Claims, ClaimsError};
pub use clock::{Clock, Moment, SystemClock};
pub use cloud::{Cloud, CloudError, Endpoint, SmtpEndpoint};
pub use credential::{Credential, CredentialError};
pub use environment::Environment;
pub use error::{TokenError, TokenErrorKind};
pub use federated::FederatedFile;
pub use jiff::Timestamp;
pub use judgement::{Expectation, Finding, Judgement, Method, Severity};
pub use managed_identity::{IdentityHost, IdentityName, ManagedIdentity, ManagedIdentityError};
pub use principal::{Audience, Principal};
pub use proxy::{Proxy, ProxyError};
pub use requester::Requester;
pub use secret::{Secret, SecretOrigin};
pub use source::EntraTokenSource;
pub use tenant::{ClientId, IdError, Tenant};
pub use token::{Generation, StaticTokenSource, Token, TokenFuture, TokenSource};

/// How well a fact about Microsoft's service is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A page of Microsoft says so.
    Documented,
    /// A live capture, a recorded answer or a working program shows it.
    Observed,
    /// Inferred, or sources disagree.
    Unsure,
    /// Taken from a file of the operator.
    Given,
}
