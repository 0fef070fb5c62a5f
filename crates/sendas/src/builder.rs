//! From a few settings to a client.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use sendas_entra::{
    ClientId, Clock, Cloud, CloudError, Credential, EntraTokenSource, HttpClient, IdError,
    Principal, Proxy, SystemClock, Tenant, TokenSource,
};
use sendas_envelope::{Address, Mailbox};
use sendas_smtp::ClientName;
use sendas_submit::{Connector, Deadlines, Pool, PoolLimits};
use sendas_tls::{Authority, TlsError, TlsPolicy, Trust};

use crate::Client;

/// What we call ourselves in EHLO unless told: Exchange Online does not look at it.
const NAME: &str = "localhost";

/// Collects what a [`Client`] needs. Nothing is checked or read before [`build`](Self::build).
#[derive(Default)]
#[must_use = "call build() to get the client"]
pub struct ClientBuilder {
    tenant: Option<String>,
    client_id: Option<String>,
    credential: Option<Credential>,
    tokens: Option<Arc<dyn TokenSource>>,
    cloud: Option<Cloud>,
    cloud_file: Option<PathBuf>,
    authorities: Vec<Authority>,
    proxy: Proxy,
    mailbox: Option<Mailbox>,
    mailboxes: HashMap<String, Mailbox>,
    name: Option<String>,
    deadlines: Deadlines,
    limits: PoolLimits,
    clock: Option<Arc<dyn Clock>>,
}

/// Why no client could be built; nothing has been sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting is missing.
    #[error("the {what} is missing; say {method} before build()")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// The builder's method that sets it.
        method: &'static str,
    },
    /// Tenant or client id is malformed.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The cloud file cannot be used.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// A CA file cannot be used.
    #[error(transparent)]
    Trust(#[from] TlsError),
    /// The EHLO name is malformed.
    #[error("{name:?} cannot be an EHLO name: a host name without spaces is wanted")]
    Name {
        /// The name given.
        name: String,
    },
}

impl ClientBuilder {
    /// The tenant: its id, or a verified domain.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The application's id ("Application (client) ID").
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// What proves the application. With a managed identity neither tenant nor client id is needed.
    pub fn credential(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }

    /// Tokens from elsewhere; tenant, client id, credential and proxy are then not used.
    pub fn token_source(mut self, tokens: Arc<dyn TokenSource>) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// The cloud; the worldwide one unless told.
    pub fn cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = Some(cloud);
        self
    }

    /// A file that describes the cloud, as the sandbox writes it. See [`Cloud::from_file`].
    pub fn cloud_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.cloud_file = Some(path.into());
        self
    }

    /// One more authority to trust, for a proxy that opens TLS. There is no way to trust without
    /// looking.
    pub fn authority(mut self, authority: Authority) -> Self {
        self.authorities.push(authority);
        self
    }

    /// The HTTP proxy for token requests; none unless told, since a library does not read the
    /// environment. SMTP goes straight.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// The mailbox to log in as for senders that [`mailbox_of`](Self::mailbox_of) does not name.
    ///
    /// Unless told, it is the reverse-path itself: the mailbox decides limits, Sent Items and
    /// whether the sender is allowed.
    pub fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.mailbox = Some(mailbox);
        self
    }

    /// The mailbox to log in as when this address is the sender: it is an alias of the mailbox, or
    /// the mailbox may send as it.
    pub fn mailbox_of(mut self, sender: &Address, mailbox: Mailbox) -> Self {
        self.mailboxes.insert(sender.key(), mailbox);
        self
    }

    /// What we call ourselves in EHLO.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long each step of the dialogue may take.
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// How many sessions are kept for reuse, and how long.
    pub fn pool_limits(mut self, limits: PoolLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The clock, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Checks the settings and makes the client. Reads cloud and CA files, opens no connection.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(mut self) -> Result<Client, BuildError> {
        let cloud = match (self.cloud.take(), self.cloud_file.take()) {
            (Some(cloud), _) => cloud,
            (None, Some(path)) => Cloud::from_file(path)?,
            (None, None) => Cloud::global(),
        };
        let tls = trust(&cloud, std::mem::take(&mut self.authorities))?;
        let clock = self
            .clock
            .take()
            .unwrap_or_else(|| Arc::new(SystemClock::new()));
        let name = self.name.take().unwrap_or_else(|| NAME.to_owned());
        let name = ClientName::new(&name).map_err(|_| BuildError::Name { name })?;
        let connector =
            Connector::new(cloud.smtp(), name, tls.clone()).with_deadlines(self.deadlines);
        let tokens = match self.tokens.take() {
            Some(tokens) => tokens,
            None => self.entra(cloud, tls, &clock)?,
        };
        let pool = Pool::new(connector, Arc::clone(&tokens), clock, self.limits);
        Ok(Client::new(pool, tokens, self.mailbox, self.mailboxes))
    }

    fn entra(
        &mut self,
        cloud: Cloud,
        tls: TlsPolicy,
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<dyn TokenSource>, BuildError> {
        let missing = |what, method| BuildError::Missing { what, method };
        let credential = self
            .credential
            .take()
            .ok_or(missing("credential", ".credential(…)"))?;
        let principal = match credential {
            Credential::ManagedIdentity(identity) => Principal::managed(cloud, identity),
            credential => {
                let tenant = self
                    .tenant
                    .as_deref()
                    .ok_or(missing("tenant", ".tenant(…)"))?;
                let client_id = self
                    .client_id
                    .as_deref()
                    .ok_or(missing("client id", ".client_id(…)"))?;
                let (tenant, client_id) = (Tenant::parse(tenant)?, ClientId::parse(client_id)?);
                Principal::new(cloud, tenant, client_id, credential)
            }
        };
        let http = HttpClient::new(tls, std::mem::take(&mut self.proxy));
        // Chance enough to keep the pauses of many processes apart.
        let seed = RandomState::new().hash_one("pauses");
        Ok(Arc::new(EntraTokenSource::new(
            principal,
            http,
            Arc::clone(clock),
            seed,
        )))
    }
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("tenant", &self.tenant)
            .field("client_id", &self.client_id)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

/// What the cloud trusts, and the authorities that were added.
fn trust(cloud: &Cloud, mut added: Vec<Authority>) -> Result<TlsPolicy, TlsError> {
    Ok(TlsPolicy::new(match cloud.ca() {
        Some(ca) => {
            added.push(Authority::from_file(ca)?);
            Trust::Only(added)
        }
        None if added.is_empty() => Trust::System,
        None => Trust::SystemPlus(added),
    }))
}
