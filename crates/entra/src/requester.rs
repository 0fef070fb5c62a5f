//! One token request, from credential to token; no memory, no pause.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, RETRY_AFTER};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::answer::{self, Grant, Unusable};
use crate::file::{self, Readers};
use crate::limits::{ARC_KEY_OCTETS_MAX, REFRESH_AHEAD_S, REFRESH_HALF_LIFE_S_MIN};
use crate::managed_identity::{arc_answer, arc_key_file};
use crate::request::{self, Proof};
use crate::{
    Audience, Clock, Credential, CredentialError, Generation, HttpClient, IdentityHost,
    ManagedIdentity, ManagedIdentityError, Moment, Principal, Response, Token, TokenError,
    assertion,
};

/// Asks for tokens of one principal for one audience: each call is one request.
///
/// Remembers nothing and waits for nothing; [`EntraTokenSource`](crate::EntraTokenSource) adds both.
/// For commands that ask once, and for proving a credential.
#[derive(Clone)]
pub struct Requester {
    shared: Arc<Shared>,
}

struct Shared {
    principal: Principal,
    audience: Audience,
    http: HttpClient,
    clock: Arc<dyn Clock>,
}

/// What the token source needs of a requester; a test puts something else in its place.
pub(crate) trait Fetch: Send + Sync {
    /// Asks once. `asked` is the moment of asking, from which lives are counted.
    fn fetch(
        &self,
        generation: Generation,
        asked: Moment,
    ) -> Pin<Box<dyn Future<Output = Result<Token, TokenError>> + Send>>;
}

impl Requester {
    /// Asks for tokens for this audience.
    pub fn new(
        principal: Principal,
        audience: Audience,
        http: HttpClient,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                principal,
                audience,
                http,
                clock,
            }),
        }
    }

    /// Who asks.
    pub fn principal(&self) -> &Principal {
        &self.shared.principal
    }

    /// One request, one token.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn request(&self, generation: Generation) -> Result<Token, TokenError> {
        let asked = self.shared.clock.now();
        self.shared.request(generation, asked).await
    }
}

impl Fetch for Requester {
    fn fetch(
        &self,
        generation: Generation,
        asked: Moment,
    ) -> Pin<Box<dyn Future<Output = Result<Token, TokenError>> + Send>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.request(generation, asked).await })
    }
}

impl fmt::Debug for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requester")
            .field("principal", &self.shared.principal)
            .field("audience", &self.shared.audience)
            .finish_non_exhaustive()
    }
}

impl Shared {
    async fn request(&self, generation: Generation, asked: Moment) -> Result<Token, TokenError> {
        let grant = match self.principal.credential() {
            Credential::ManagedIdentity(identity) => self.ask_machine(identity, asked.wall).await?,
            credential => self.ask_entra(credential, asked.wall).await?,
        };
        Ok(token(grant, generation, asked.wall))
    }

    async fn ask_entra(
        &self,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<Grant, TokenError> {
        let (Some(tenant), Some(client_id)) = (self.principal.tenant(), self.principal.client_id())
        else {
            unreachable!("a principal without tenant and client id has a managed identity");
        };
        let endpoint = self.principal.cloud().token_endpoint(tenant);
        let resource = self.principal.resource(self.audience);
        let assertion;
        let proof = match credential {
            Credential::Secret(secret) => Proof::Secret(secret.expose()),
            Credential::Certificate(certificate) => {
                let id = Uuid::new_v4();
                assertion = assertion::build(certificate, client_id, &endpoint, id, now)
                    .map_err(unusable)?;
                Proof::Assertion(&assertion)
            }
            Credential::Federated(file) => {
                let file = file.clone();
                assertion = blocking(move || file.read()).await?.map_err(unusable)?;
                Proof::Assertion(&assertion)
            }
            Credential::ManagedIdentity(_) => {
                unreachable!("the caller has taken managed identities out");
            }
        };
        let request =
            request::client_credentials(&endpoint, client_id, resource, &proof, Uuid::new_v4());
        let answer = self
            .http
            .call(request)
            .await
            .map_err(|e| TokenError::Http(Arc::new(e)))?;
        read(answer, now).map_err(|unusable| match unusable {
            Unusable::Refused(refusal) => TokenError::Refused(Arc::from(refusal)),
            Unusable::NotUnderstood { reason } => TokenError::NotUnderstood {
                host: self
                    .principal
                    .cloud()
                    .authority()
                    .host_and_port()
                    .to_owned(),
                reason,
            },
        })
    }

    async fn ask_machine(
        &self,
        identity: &ManagedIdentity,
        now: Timestamp,
    ) -> Result<Grant, TokenError> {
        let resource = self.principal.resource(self.audience);
        let request = identity.request(resource)?;
        let failed = |error| TokenError::from(ManagedIdentityError::Http(error));
        let mut answer = self
            .http
            .call_local(request.clone())
            .await
            .map_err(failed)?;
        if let IdentityHost::Arc { keys, .. } = identity.host() {
            let path = arc_key_file(answer.status.as_u16(), &answer.headers, keys)?;
            let read = move || file::read(&path, ARC_KEY_OCTETS_MAX, Readers::Anybody);
            let key = blocking(read).await?.map_err(ManagedIdentityError::Key)?;
            let mut proven = request;
            proven.headers.insert(AUTHORIZATION, arc_answer(&key)?);
            answer = self.http.call_local(proven).await.map_err(failed)?;
        }
        read(answer, now).map_err(|unusable| match unusable {
            Unusable::Refused(refusal) => ManagedIdentityError::Refused(refusal).into(),
            Unusable::NotUnderstood { reason } => {
                ManagedIdentityError::NotUnderstood { reason }.into()
            }
        })
    }
}

/// Reads the answer, and wipes the octets it came in.
fn read(answer: Response, now: Timestamp) -> Result<Grant, Unusable> {
    let retry_after = answer
        .headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let read = answer::parse(answer.status.as_u16(), &answer.body, retry_after, now);
    if let Ok(mut octets) = answer.body.try_into_mut() {
        zeroize::Zeroize::zeroize(&mut octets[..]);
    }
    read
}

/// Times count from the moment of asking, so that a slow answer does not lengthen a life.
fn token(grant: Grant, generation: Generation, asked: Timestamp) -> Token {
    let after = |life: Duration| {
        asked
            .saturating_add(SignedDuration::try_from(life).unwrap_or(SignedDuration::MAX))
            .unwrap_or(Timestamp::MAX)
    };
    let refresh = grant.refresh_in.unwrap_or_else(|| refresh_in(grant.life));
    Token::new(grant.text, after(grant.life), after(refresh), generation)
}

/// When a token is renewed whose answer does not say: ten minutes before its end, but half of the
/// life of a long one, and not before half of the life of a short one.
fn refresh_in(life: Duration) -> Duration {
    let half = life / 2;
    if life >= Duration::from_secs(REFRESH_HALF_LIFE_S_MIN) {
        half
    } else {
        half.max(life.saturating_sub(Duration::from_secs(REFRESH_AHEAD_S)))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TokenError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| TokenError::Interrupted)
}

fn unusable(error: CredentialError) -> TokenError {
    TokenError::Credential(Arc::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_comes_before_the_end_and_not_at_once() {
        for (life, refresh) in [
            (3599, 2999),
            (7199, 6599),
            (7200, 3600),
            (86_400, 43_200),
            (1200, 600),
            (600, 300),
            (60, 30),
        ] {
            let refresh = Duration::from_secs(refresh);
            assert_eq!(refresh_in(Duration::from_secs(life)), refresh, "{life}");
        }
    }
}
