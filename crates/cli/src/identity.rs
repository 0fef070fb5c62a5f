//! From a configured principal to what fetches its tokens and judges them.

use std::sync::Arc;

use sendas_config as config;
use sendas_entra::{
    ClientId, Cloud, Credential, EntraTokenSource, Expectation, HttpClient, IdentityName,
    ManagedIdentity, Method, Principal, Proxy, Secret, SystemClock, Tenant,
};
use sendas_smtp::ClientName;
use sendas_submit::{Connector, Deadlines};
use sendas_tls::{Authority, TlsPolicy, Trust};

use crate::machine::Machine;
use crate::output;
use crate::recorder::Log;
use crate::report::{Failure, chain};

/// What we call ourselves unless told otherwise: it says nothing about this machine.
const EHLO_NAME: &str = "[127.0.0.1]";

/// Who sends: everything about a principal but its credential.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Its name in the configuration.
    pub(crate) name: String,
    pub(crate) cloud: Cloud,
    pub(crate) tls: TlsPolicy,
    tenant: Option<Tenant>,
    client_id: Option<ClientId>,
    method: Method,
}

impl Identity {
    /// Takes a configured principal; reads the cloud file and the CA files, no credential.
    ///
    /// # Errors
    /// When a cloud or CA file cannot be used.
    pub(crate) fn new(
        principal: &config::Principal,
        network: &config::Network,
    ) -> Result<Self, Box<Failure>> {
        let wrong = |error: &dyn std::error::Error| {
            Box::new(
                Failure::configuration(format!("principal `{}` cannot be used", principal.name))
                    .cause(chain(error), None)
                    .command("sendas config check"),
            )
        };
        let cloud = match &principal.cloud {
            config::Cloud::Named(name) => Cloud::named(name),
            config::Cloud::File(path) => Cloud::from_file(path),
            config::Cloud::Authority(host) => Cloud::from_authority_host(host),
        }
        .map_err(|error| wrong(&error))?;
        let tls = tls(&cloud, network).map_err(|error| wrong(&error))?;
        let tenant = principal.tenant.as_deref().map(Tenant::parse).transpose();
        let client_id = principal
            .client_id
            .as_deref()
            .map(ClientId::parse)
            .transpose();
        Ok(Self {
            name: principal.name.clone(),
            cloud,
            tls,
            tenant: tenant.map_err(|error| wrong(&error))?,
            client_id: client_id.map_err(|error| wrong(&error))?,
            method: match principal.method {
                Some(config::Method::Classic) => Method::Classic,
                Some(config::Method::Rbac) => Method::Rbac,
                None => Method::Unknown,
            },
        })
    }

    /// Nobody in particular, in the worldwide cloud: a token is at hand, and nothing configured.
    ///
    /// # Errors
    /// When the configured CA file cannot be used.
    pub(crate) fn nameless(network: &config::Network) -> Result<Self, Box<Failure>> {
        let cloud = Cloud::global();
        let tls = tls(&cloud, network).map_err(|error| {
            Box::new(
                Failure::configuration("nothing was done: TLS cannot be used")
                    .cause(chain(&error), None)
                    .command("sendas config check"),
            )
        })?;
        Ok(Self {
            name: "token".to_owned(),
            cloud,
            tls,
            tenant: None,
            client_id: None,
            method: Method::Unknown,
        })
    }

    /// What reaches the cloud's SMTP submission.
    ///
    /// # Errors
    /// When the configured EHLO name is none.
    pub(crate) fn connector(&self, network: &config::Network) -> Result<Connector, Box<Failure>> {
        let name = Self::ehlo(network)?;
        let deadlines = Deadlines {
            connect: network.connect_timeout,
            ..Deadlines::default()
        };
        let connector =
            Connector::new(self.cloud.smtp(), name, self.tls.clone()).with_deadlines(deadlines);
        Ok(if tracing::enabled!(tracing::Level::INFO) {
            connector.with_trace(Arc::new(Log))
        } else {
            connector
        })
    }

    /// What we call ourselves.
    ///
    /// # Errors
    /// When the configured EHLO name is none.
    pub(crate) fn ehlo(network: &config::Network) -> Result<ClientName, Box<Failure>> {
        let name = network.ehlo.as_deref().unwrap_or(EHLO_NAME);
        ClientName::new(name).map_err(|error| {
            Box::new(
                Failure::configuration("nothing was done: network.ehlo cannot be used")
                    .cause(chain(&error), None)
                    .command("sendas config show"),
            )
        })
    }

    /// What a token of this principal should say.
    pub(crate) fn expectation(&self) -> Expectation {
        Expectation {
            resource: self.cloud.resource().as_str().to_owned(),
            tenant: self.tenant.clone(),
            client_id: self.client_id.clone(),
            method: self.method,
        }
    }

    /// Loads the credential, with its warning told, and makes what fetches tokens with it.
    ///
    /// # Errors
    /// When the credential or the proxy setting cannot be used; nothing has been sent.
    pub(crate) fn token_source(
        &self,
        configured: &config::Credential,
        machine: &Machine,
    ) -> Result<EntraTokenSource, Box<Failure>> {
        let wrong = |error: &dyn std::error::Error| {
            Box::new(
                Failure::configuration(format!("principal `{}` cannot log in", self.name))
                    .cause(chain(error), None)
                    .command("sendas config check"),
            )
        };
        let credential = credential(configured, machine).map_err(|error| wrong(&*error))?;
        if let Some(warning) = credential.warning() {
            output::line(&format!("warning: {warning}"));
        }
        let proxy = Proxy::from_environment(&machine.environment).map_err(|error| wrong(&error))?;
        let http = HttpClient::new(self.tls.clone(), proxy);
        let principal = match (&self.tenant, &self.client_id, credential) {
            (Some(tenant), Some(client_id), credential) => Principal::new(
                self.cloud.clone(),
                tenant.clone(),
                client_id.clone(),
                credential,
            ),
            (_, _, Credential::ManagedIdentity(identity)) => {
                Principal::managed(self.cloud.clone(), identity)
            }
            _ => {
                unreachable!("settings without ids were refused unless the machine is the identity")
            }
        };
        Ok(EntraTokenSource::new(
            principal,
            http,
            Arc::new(SystemClock::new()),
            seed(),
        ))
    }
}

/// Loads a credential from where it is kept.
pub(crate) fn credential(
    configured: &config::Credential,
    machine: &Machine,
) -> Result<Credential, Box<dyn std::error::Error>> {
    let environment = &machine.environment;
    let secret = |place: &config::SecretPlace| match place {
        config::SecretPlace::File(path) => Secret::from_file(path),
        config::SecretPlace::Systemd(name) => Secret::from_systemd(name, environment),
        config::SecretPlace::Variable(name) => Secret::from_environment(name, environment),
    };
    Ok(match configured {
        config::Credential::Certificate { path, password } => {
            let pkcs12 = path
                .extension()
                .and_then(|extension| extension.to_str())
                .is_some_and(|extension| {
                    ["pfx", "p12"].contains(&extension.to_lowercase().as_str())
                });
            let password = password.as_ref().map(secret).transpose()?;
            if pkcs12 {
                Credential::pfx_file(path, password.as_ref())?
            } else {
                Credential::certificate_file(path)?
            }
        }
        config::Credential::Secret(place) => Credential::Secret(secret(place)?),
        config::Credential::Federated { path } => Credential::federated_file(path),
        config::Credential::ManagedIdentity { client_id } => {
            let name = match client_id {
                Some(client_id) => IdentityName::ClientId(ClientId::parse(client_id)?),
                None => IdentityName::System,
            };
            Credential::managed_identity(ManagedIdentity::detect(environment, name)?)
        }
    })
}

/// Whom to trust: the only CA of a cloud file, or the system's and the configured one.
fn tls(cloud: &Cloud, network: &config::Network) -> Result<TlsPolicy, sendas_tls::TlsError> {
    match &network.ca {
        Some(ca) if cloud.ca().is_none() => Ok(TlsPolicy::new(Trust::SystemPlus(vec![
            Authority::from_file(ca)?,
        ]))),
        _ => cloud.tls_policy(),
    }
}

/// Something that differs between processes, for the spread of retries.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// Checks everything on this machine that the principals name: cloud and CA files, credentials.
///
/// # Errors
/// The first that cannot be used; nothing has been sent.
pub(crate) fn check(settings: &config::Settings, machine: &Machine) -> Result<(), Box<Failure>> {
    for principal in &settings.principals {
        let identity = Identity::new(principal, &settings.network)?;
        drop(identity.token_source(&principal.credential, machine)?);
    }
    Ok(())
}

/// What any token for the worldwide Exchange Online should say, when nothing is configured.
pub(crate) fn anybody() -> Expectation {
    Expectation {
        resource: Cloud::global().resource().as_str().to_owned(),
        tenant: None,
        client_id: None,
        method: Method::Unknown,
    }
}
