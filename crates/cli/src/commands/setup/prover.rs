//! Tries the credential for `setup verify`: a token, a login, one message.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sendas_config as config;
use sendas_entra::{
    Audience, Claims, ClientId, Credential, Expectation, Generation, Method, Principal, Requester,
    SystemClock, Tenant, Token, TokenError,
};
use sendas_envelope::{Address, Envelope, ForwardPath, Mailbox, Recipient, ReversePath};
use sendas_smtp::ClientName;
use sendas_submit::{Connector, Message, Session, SubmitError};
use sendas_tenant::verify::{About, Prover, Refusal};
use sendas_tenant::{Place, State, Trial};

use super::desk::{Desk, wrong};
use crate::global::Global;
use crate::machine::Machine;
use crate::report::{Failure, chain};
use crate::{clock, configuration, identity};

/// What we call ourselves in EHLO: it says nothing about this machine.
const EHLO_NAME: &str = "[127.0.0.1]";

/// The service, tried with the credential of a set-up.
pub(super) struct Service {
    requester: Requester,
    connector: Connector,
    /// The last token, for the logins after it.
    token: std::sync::Mutex<Option<Token>>,
    tenant: Tenant,
    client_id: ClientId,
}

impl Service {
    /// Finds the credential: the one the set-up kept, or that of the configured principal with the
    /// same client id.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub(super) fn open(
        desk: &Desk<'_>,
        state: Option<&State>,
        global: &Global,
        machine: &Machine,
    ) -> Result<Self, Box<Failure>> {
        let known = state.and_then(|state| state.application.as_ref());
        let client_id = known
            .map(|known| known.client_id.as_str())
            .or(desk.options.client_id.as_deref())
            .ok_or_else(|| {
                Box::new(
                    Failure::usage("nothing was tried: no application is known").cause(
                        format!("{} does not exist", desk.state_path().display()),
                        Some("run sendas setup apply first, or add --client-id".into()),
                    ),
                )
            })?;
        let client_id =
            ClientId::parse(client_id).map_err(|error| wrong("the client id", &error))?;
        let tenant = match (desk.tenant(), state) {
            (_, Some(state)) => {
                Tenant::parse(&state.tenant_id).map_err(|error| wrong("the state file", &error))?
            }
            (Some(tenant), None) => tenant.clone(),
            (None, None) => {
                return Err(Box::new(Failure::usage(
                    "nothing was tried: no tenant is named",
                )));
            }
        };
        let credential = credential(desk, state, &client_id, global, machine)?;
        let principal = Principal::new(
            desk.cloud.clone(),
            tenant.clone(),
            client_id.clone(),
            credential,
        );
        let requester = Requester::new(
            principal,
            Audience::Exchange,
            desk.http().clone(),
            Arc::new(SystemClock::new()),
        );
        let name = ClientName::new(EHLO_NAME).map_err(|error| wrong("the EHLO name", &error))?;
        let tls = desk
            .cloud
            .tls_policy()
            .map_err(|error| wrong("--cloud-file", &error))?;
        Ok(Self {
            requester,
            connector: Connector::new(desk.cloud.smtp(), name, tls),
            token: std::sync::Mutex::new(None),
            tenant,
            client_id,
        })
    }

    /// What to prove. Without a recipient the message goes to the first mailbox itself.
    ///
    /// # Errors
    /// When no mailbox is known.
    pub(super) fn trial(
        &self,
        state: Option<&State>,
        desk: &Desk<'_>,
        recipient: Option<&str>,
        sends_message: bool,
        patience: Duration,
    ) -> Result<Trial, Box<Failure>> {
        let wish = desk.wish_of(state)?;
        let first = wish.mailboxes.first().cloned();
        Ok(Trial {
            expectation: Expectation {
                resource: desk.cloud.resource().as_str().to_owned(),
                tenant: Some(self.tenant.clone()),
                client_id: Some(self.client_id.clone()),
                method: match wish.method {
                    sendas_tenant::Method::Rbac => Method::Rbac,
                    sendas_tenant::Method::Classic => Method::Classic,
                },
            },
            recipient: recipient
                .map(str::to_owned)
                .or(first)
                .filter(|_| sends_message),
            mailboxes: wish.mailboxes,
            changed: state.and_then(|state| state.changed),
            patience,
        })
    }

    async fn ask(&self) -> Result<Claims, Refusal> {
        let token = self
            .requester
            .request(Generation(0))
            .await
            .map_err(|error| refused_token(&error))?;
        let claims = token.claims().map_err(|error| Refusal {
            about: About::Other,
            words: chain(&error),
        })?;
        *self.held() = Some(token);
        Ok(claims)
    }

    async fn enter(&self, mailbox: &str) -> Result<Session, Refusal> {
        let token = self.held().clone().ok_or_else(|| Refusal {
            about: About::Other,
            words: "no token was asked for yet".into(),
        })?;
        let mailbox = Mailbox::new(address(mailbox)?);
        let opened = self
            .connector
            .open()
            .await
            .map_err(|error| not_entered(&error))?;
        opened
            .authenticate(&mailbox, token.expose())
            .await
            .map_err(|error| not_entered(&error))
    }

    async fn submit(&self, mailbox: &str, recipient: &str) -> Result<String, Refusal> {
        let text = format!(
            "From: <{mailbox}>\r\nTo: <{recipient}>\r\nDate: {}\r\nMessage-ID: <{}@sendas.invalid>\r\nSubject: sendas setup verify\r\n\r\nThis message was accepted by Exchange Online: the set-up works.\r\n",
            clock::date_field(clock::now()),
            uuid::Uuid::new_v4().simple(),
        );
        let other = |error: &dyn std::error::Error| Refusal {
            about: About::Other,
            words: chain(error),
        };
        let message = Message::new(text.into_bytes()).map_err(|error| other(&error))?;
        let envelope = Envelope::new(
            ReversePath::Address(address(mailbox)?),
            vec![Recipient::new(ForwardPath::from(address(recipient)?))],
        )
        .map_err(|error| other(&error))?;
        let mut session = self.enter(mailbox).await?;
        let attempt = session.send(&envelope, &message).await;
        session.quit().await;
        let receipt = attempt.receipts(&envelope).pop();
        match attempt
            .outcomes
            .first()
            .and_then(|outcome| outcome.failure())
        {
            None => Ok(receipt.map(|receipt| receipt.reply).unwrap_or_default()),
            Some(failure) => Err(Refusal {
                about: if failure.reply().is_some_and(|reply| reply.code() >= 500) {
                    About::Rights
                } else {
                    About::Trouble
                },
                words: failure.to_string(),
            }),
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.token
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Prover for Service {
    fn token(&self) -> Pin<Box<dyn Future<Output = Result<Claims, Refusal>> + Send + '_>> {
        Box::pin(self.ask())
    }

    fn login<'a>(
        &'a self,
        mailbox: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send + 'a>> {
        Box::pin(async move {
            self.enter(mailbox).await?.quit().await;
            Ok("Exchange accepted the login".to_owned())
        })
    }

    fn send<'a>(
        &'a self,
        mailbox: &'a str,
        recipient: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send + 'a>> {
        Box::pin(self.submit(mailbox, recipient))
    }
}

fn credential(
    desk: &Desk<'_>,
    state: Option<&State>,
    client_id: &ClientId,
    global: &Global,
    machine: &Machine,
) -> Result<Credential, Box<Failure>> {
    if let Some((_, Place::File(path))) = state.and_then(State::certificate) {
        return Credential::certificate_file(path)
            .map_err(|error| wrong("the certificate of the set-up", &error));
    }
    if let Some((_, Place::File(path))) = state.and_then(State::secret) {
        return Credential::secret_file(path)
            .map_err(|error| wrong("the secret of the set-up", &error));
    }
    if let Some(path) = &desk.options.federated_token_file {
        return Ok(Credential::federated_file(path));
    }
    let loaded = configuration::load(global, machine)?;
    let own: Option<&config::Principal> = loaded.settings.principals.iter().find(|principal| {
        principal
            .client_id
            .as_deref()
            .is_some_and(|own| own.eq_ignore_ascii_case(client_id.as_str()))
    });
    let own = own.ok_or_else(|| {
        Box::new(
            Failure::configuration("nothing was tried: there is no credential to try").cause(
                format!("the set-up kept none as a file, and no configured principal has the client id {client_id}"),
                Some("name the configuration with --config, or the token file with --federated-token-file".into()),
            ),
        )
    })?;
    identity::credential(&own.credential, machine)
        .map_err(|error| wrong("the configured credential", &*error))
}

fn address(text: &str) -> Result<Address, Refusal> {
    text.parse()
        .map_err(|error: sendas_envelope::AddressError| Refusal {
            about: About::Other,
            words: chain(&error),
        })
}

fn refused_token(error: &TokenError) -> Refusal {
    let about = if error.is_temporary() {
        About::Trouble
    } else {
        About::Credential {
            may_be_too_young: error.may_be_too_young(),
        }
    };
    Refusal {
        about,
        words: chain(error),
    }
}

/// A permanent reply to AUTH is about rights; without a reply it is about the way.
fn not_entered(error: &SubmitError) -> Refusal {
    let about = match error {
        SubmitError::Auth { reply, .. } if reply.code() >= 500 => About::Rights,
        _ => About::Trouble,
    };
    Refusal {
        about,
        words: chain(error),
    }
}
