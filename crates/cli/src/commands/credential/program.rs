//! The program's side of a rotation: its configuration, its credential, and the service.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sendas_config as config;
use sendas_entra::{
    Audience, ClientId, Cloud, Credential, Generation, HttpClient, Principal, Proxy, Requester,
    Secret, SystemClock, Tenant,
};
use sendas_tenant::rotation::stage::Kind;
use sendas_tenant::rotation::{Host, HostError, Replacement};
use sendas_tenant::verify::{About, Prover, Refusal};
use sendas_tenant::{AdminToken, Place};
use zeroize::Zeroizing;

use super::setups::Setups;
use super::written;
use crate::commands::relay;
use crate::global::Global;
use crate::identity::{self, Identity};
use crate::machine::Machine;
use crate::prover::{self, Service};
use crate::report::{Failure, chain};
use crate::{configuration, whole_file};

/// A principal that is configured in a file, and everything around it.
pub(super) struct Program {
    global: Global,
    machine: Machine,
    name: String,
    /// The file in which its credential stands.
    pub(super) file: PathBuf,
    identity: Identity,
    network: config::Network,
    tenant: Tenant,
    client_id: ClientId,
    proxy: Proxy,
    setups: Setups,
}

impl Program {
    /// Takes the configured principal.
    ///
    /// # Errors
    /// When its cloud, its ids or the proxy cannot be used.
    pub(super) fn new(
        global: &Global,
        machine: &Machine,
        principal: &config::Principal,
        network: &config::Network,
        file: PathBuf,
        setups: Setups,
    ) -> Result<Self, Box<Failure>> {
        let identity = Identity::new(principal, network)?;
        let expectation = identity.expectation();
        let (Some(tenant), Some(client_id)) = (expectation.tenant, expectation.client_id) else {
            return Err(Box::new(Failure::configuration("nothing was done").cause(
                format!(
                    "principal `{}` has no tenant or no client id",
                    principal.name
                ),
                None,
            )));
        };
        let proxy = Proxy::from_environment(&machine.environment).map_err(|error| {
            Box::new(
                Failure::configuration("nothing was done: the proxy cannot be used")
                    .cause(chain(&error), None),
            )
        })?;
        Ok(Self {
            global: global.clone(),
            machine: machine.clone(),
            name: principal.name.clone(),
            file,
            identity,
            network: network.clone(),
            tenant,
            client_id,
            proxy,
            setups,
        })
    }

    pub(super) fn cloud(&self) -> &Cloud {
        &self.identity.cloud
    }

    pub(super) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    pub(super) fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// A client with connections of its own.
    pub(super) fn http(&self) -> HttpClient {
        HttpClient::new(self.identity.tls.clone(), self.proxy.clone())
    }

    /// What the configuration says now.
    fn configured(&self) -> Result<config::Settings, HostError> {
        match configuration::read(&self.global, &self.machine) {
            Ok(loaded) => Ok(loaded.settings),
            Err(complaints) => Err(HostError::new(
                complaints
                    .errors()
                    .into_iter()
                    .next()
                    .map_or_else(String::new, |found| found.title),
            )),
        }
    }

    fn named(&self) -> Result<config::Credential, HostError> {
        let settings = self.configured()?;
        match settings.principal(&self.name) {
            Some(principal) => Ok(principal.credential.clone()),
            None => Err(HostError::new(format!(
                "principal `{}` is no longer configured",
                self.name
            ))),
        }
    }

    /// The credential that the configuration names now.
    pub(super) fn loaded(&self) -> Result<Credential, HostError> {
        identity::credential(&self.named()?, &self.machine)
            .map_err(|error| HostError::new(chain(&*error)))
    }

    fn principal(&self, credential: Credential) -> Principal {
        Principal::new(
            self.identity.cloud.clone(),
            self.tenant.clone(),
            self.client_id.clone(),
            credential,
        )
    }

    fn service(&self, credential: Credential) -> Result<Box<dyn Prover>, HostError> {
        let connector = self.identity.connector(&self.network);
        let connector = connector.map_err(|failure| HostError::new(failure.what))?;
        let principal = self.principal(credential);
        Ok(Box::new(Service::new(principal, self.http(), connector)))
    }

    async fn graph_token(&self) -> Result<AdminToken, Refusal> {
        let other = |words: String| Refusal {
            about: About::Other,
            words,
        };
        let credential = self.loaded().map_err(|error| other(error.words))?;
        let requester = Requester::new(
            self.principal(credential),
            Audience::Graph,
            self.http(),
            Arc::new(SystemClock::new()),
        );
        let token = requester
            .request(Generation(0))
            .await
            .map_err(|error| prover::refused_token(&error))?;
        let text = Zeroizing::new(token.expose().to_owned());
        AdminToken::new(text, "Microsoft Graph").map_err(|error| other(error.to_string()))
    }
}

impl Host for Program {
    fn present(&self) -> Result<Box<dyn Prover>, HostError> {
        self.service(self.loaded()?)
    }

    fn fresh(&self, kind: Kind, place: &Place) -> Result<Box<dyn Prover>, HostError> {
        let credential = match kind {
            Kind::Certificate => Credential::certificate_file(place.path()),
            Kind::Secret => Credential::secret_file(place.path()),
        };
        self.service(credential.map_err(|error| HostError::new(chain(&error)))?)
    }

    fn own_token(&self) -> Pin<Box<dyn Future<Output = Result<AdminToken, Refusal>> + Send + '_>> {
        Box::pin(self.graph_token())
    }

    fn own_proof(&self, now: Timestamp) -> Result<Zeroizing<String>, HostError> {
        match self.loaded()? {
            Credential::Certificate(certificate) => certificate
                .proof_of_possession(&self.client_id, now)
                .map_err(|error| HostError::new(chain(&error))),
            other => Err(HostError::new(format!(
                "a {} proves no key to Microsoft Graph",
                other.kind()
            ))),
        }
    }

    fn secret_begins_with(&self, hint: &str) -> bool {
        matches!(self.loaded(), Ok(Credential::Secret(secret)) if begins(&secret, hint))
    }

    fn names(&self, kind: Kind, place: &Place) -> Result<bool, HostError> {
        let same = |path: &Path| written::absolute(path) == written::absolute(place.path());
        Ok(match (self.named()?, kind) {
            (
                config::Credential::Certificate {
                    path,
                    password: None,
                },
                Kind::Certificate,
            )
            | (config::Credential::Secret(config::SecretPlace::File(path)), Kind::Secret) => {
                same(&path)
            }
            _ => false,
        })
    }

    fn switch(&self, kind: Kind, place: &Place) -> Result<(), HostError> {
        if self.names(kind, place)? {
            return Ok(());
        }
        let wrong = |words: &dyn std::fmt::Display| {
            HostError::new(format!("{} was not changed: {words}", self.file.display()))
        };
        let before = std::fs::read_to_string(&self.file).map_err(|error| wrong(&error))?;
        let after = written::replaced(&before, &self.file, &self.name, kind, place.path())
            .map_err(|words| wrong(&words))?;
        whole_file::write(&self.file, after.as_bytes()).map_err(|error| wrong(&error))?;
        let trouble = match self.names(kind, place) {
            Ok(true) => return Ok(()),
            Ok(false) => "something else sets the credential too".to_owned(),
            Err(error) => error.words,
        };
        // Back to what worked; the old text was there a moment ago.
        whole_file::write(&self.file, before.as_bytes()).map_err(|error| wrong(&error))?;
        Err(wrong(&trouble))
    }

    fn record(&self, change: &Replacement<'_>) -> Result<(), HostError> {
        self.setups.record(change)
    }

    /// A relay that runs reads the changed configuration within seconds, and fetches its next
    /// token with the new credential.
    fn handover(&self) -> Duration {
        let relay = self.configured().ok().and_then(|settings| settings.relay);
        match relay.map(|relay| relay.spool.socket()) {
            None => Duration::ZERO,
            Some(Some(socket)) if !is_listening(&socket) => Duration::ZERO,
            Some(_) => relay::LOOK_EVERY * 2 + Duration::from_secs(1),
        }
    }
}

/// Whether a program listens on this local socket.
#[cfg(unix)]
fn is_listening(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

#[cfg(not(unix))]
fn is_listening(_: &Path) -> bool {
    true
}

/// Whether a secret's text begins so.
pub(super) fn begins(secret: &Secret, hint: &str) -> bool {
    !hint.is_empty() && secret.expose().starts_with(hint)
}
