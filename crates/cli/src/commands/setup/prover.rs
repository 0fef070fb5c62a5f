//! Finds the credential that `setup verify` tries, and what is to be proven.

use std::time::Duration;

use sendas_config as config;
use sendas_entra::{ClientId, Credential, Expectation, Method, Principal, Tenant};
use sendas_smtp::ClientName;
use sendas_submit::Connector;
use sendas_tenant::{CredentialWish, Place, State, Trial};

use super::desk::{Desk, wrong};
use crate::global::Global;
use crate::machine::Machine;
use crate::prover::Service;
use crate::report::Failure;
use crate::{configuration, identity};

/// What we call ourselves in EHLO: it says nothing about this machine.
const EHLO_NAME: &str = "[127.0.0.1]";

/// The credential of a set-up, ready to be tried.
pub(super) struct Candidate {
    pub(super) service: Service,
    tenant: Tenant,
    client_id: ClientId,
}

impl Candidate {
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
        let name = ClientName::new(EHLO_NAME).map_err(|error| wrong("the EHLO name", &error))?;
        let tls = desk
            .cloud
            .tls_policy()
            .map_err(|error| wrong("--cloud-file", &error))?;
        let connector = Connector::new(desk.cloud.smtp(), name, tls);
        Ok(Self {
            service: Service::new(principal, desk.http().clone(), connector),
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
        let wish = desk.wish()?;
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
            made: state.and_then(State::credential_begun),
            patience,
        })
    }
}

fn credential(
    desk: &Desk<'_>,
    state: Option<&State>,
    client_id: &ClientId,
    global: &Global,
    machine: &Machine,
) -> Result<Credential, Box<Failure>> {
    let kept = match desk.credential()? {
        CredentialWish::Certificate => state.and_then(State::certificate),
        CredentialWish::Secret => state.and_then(State::secret),
        CredentialWish::Federated(_) | CredentialWish::Keep => None,
    };
    if let Some((_, Place::File(path))) = kept {
        return if matches!(desk.credential()?, CredentialWish::Certificate) {
            Credential::certificate_file(path)
                .map_err(|error| wrong("the certificate of the set-up", &error))
        } else {
            Credential::secret_file(path).map_err(|error| wrong("the secret of the set-up", &error))
        };
    }
    if let Some(path) = desk.token_file() {
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
