//! A token for Exchange, with the configured credential.

use std::sync::Arc;

use sendas_entra::{
    Clock as _, Credential, EntraTokenSource, Expectation, HttpClient, Method, Principal,
    SystemClock, Token, TokenError, TokenSource as _,
};

use crate::doctor::case::Subject;
use crate::doctor::seen::{Issued, Look};

/// What the token endpoint answered; the token itself goes to the login, and nowhere else.
pub(in crate::doctor) type Asked = Look<Result<(Issued, Token), TokenError>>;

/// Fetches a token and reads its claims.
pub(in crate::doctor) async fn look(
    subject: &Subject,
    http: &HttpClient,
    tenant_id: impl Future<Output = Option<String>>,
) -> Asked {
    let credential = match &subject.credential {
        Ok(credential) => credential.clone(),
        Err(_) => return Err("waits for D-SEC-01: the credential cannot be loaded".into()),
    };
    let principal = match (&subject.tenant, &subject.client_id, credential) {
        (Some(tenant), Some(client_id), credential) => Principal::new(
            subject.cloud.clone(),
            tenant.clone(),
            client_id.clone(),
            credential,
        ),
        (_, _, Credential::ManagedIdentity(identity)) => {
            Principal::managed(subject.cloud.clone(), identity)
        }
        _ => return Err("waits for D-CFG-06: tenant or client id is missing".into()),
    };
    let clock = SystemClock::new();
    let start = clock.now().steady;
    let source = EntraTokenSource::new(principal, http.clone(), Arc::new(clock), 1);
    let token = match source.token().await {
        Ok(token) => token,
        Err(error) => return Ok(Err(error)),
    };
    let took = clock.now().steady.saturating_sub(start);
    let claims = token.claims().ok();
    let tenant_id = tenant_id.await;
    let judgements = claims.as_ref().map_or_else(Vec::new, |claims| {
        claims.judge(
            &expectation(subject, tenant_id.as_deref()),
            clock.now().wall,
        )
    });
    let issued = Issued {
        claims,
        octets: token.octets(),
        expires_at: token.expires_at(),
        judgements,
        took,
    };
    Ok(Ok((issued, token)))
}

/// What a token of this principal should say; the tenant by the id that its metadata name, where
/// a domain is configured.
fn expectation(subject: &Subject, tenant_id: Option<&str>) -> Expectation {
    let by_id = tenant_id.and_then(|id| sendas_entra::Tenant::parse(id).ok());
    Expectation {
        resource: subject.cloud.resource().as_str().to_owned(),
        tenant: by_id.or_else(|| subject.tenant.clone()),
        client_id: subject.client_id.clone(),
        method: match subject.method {
            sendas_exchange::Method::Classic => Method::Classic,
            sendas_exchange::Method::Rbac => Method::Rbac,
            sendas_exchange::Method::Unknown => Method::Unknown,
        },
    }
}
