//! Starting and steering a sandbox.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::certs::{Certs, CertsError, TlsMax};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::entra::desk::Desk;
use crate::entra::{issuer, keys};
use crate::faults::{Fault, FaultError, Faults};
use crate::files::{self, Details};
use crate::front::{self, Fronts, Serves};
use crate::journal::{Channel, Entry, Journal};
use crate::mailroom::{Filter, Mailroom, Message};
use crate::scenario::Scenario;
use crate::state::history::History;
use crate::state::preset::{self, Preset};
use crate::state::{PatchError, Tenant};
use crate::world::{Places, World};
use crate::{control, entra, exchange_admin, graph, limits, smtp};

/// Which ports a sandbox listens on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ports {
    /// Free ones, chosen by the system.
    #[default]
    Auto,
    /// 443 and 587, for clients that know the real host names only.
    Takeover,
}

/// How a sandbox starts.
#[derive(Debug)]
pub struct Options {
    /// Where its files go; a folder that vanishes with the sandbox when none is given.
    pub folder: Option<PathBuf>,
    /// The tenant to start from.
    pub tenant: Preset,
    /// The ports.
    pub ports: Ports,
    /// The address to listen on; loopback unless something else is asked.
    pub address: IpAddr,
    /// The seed of ids and secrets; unforeseen when none is given.
    pub seed: Option<u64>,
    /// Whether error replies of SMTP wait five seconds, as the service's do.
    pub tarpit: bool,
    /// The newest TLS version SMTP speaks.
    pub smtp_tls_max: TlsMax,
    /// What to change before anything is served.
    pub scenario: Option<Scenario>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            folder: None,
            tenant: Preset::default(),
            ports: Ports::default(),
            address: Ipv4Addr::LOCALHOST.into(),
            seed: None,
            tarpit: false,
            smtp_tls_max: TlsMax::default(),
            scenario: None,
        }
    }
}

/// Why a sandbox could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A port could not be taken.
    #[error("cannot listen on {address} for {what}: {source}")]
    Listen {
        /// The interface.
        what: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A file or folder could not be written.
    #[error("cannot write into {}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The certificates could not be made.
    #[error(transparent)]
    Certs(#[from] CertsError),
    /// The scenario's patch was refused.
    #[error("the scenario's tenant was refused: {0}")]
    Patch(#[from] PatchError),
    /// One of the scenario's faults was refused.
    #[error("the scenario's faults were refused: {0}")]
    Fault(#[from] FaultError),
}

/// The sandbox, before it runs.
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Starts a sandbox on the current tokio runtime; it serves until [`Running::stop`] or until
    /// [`Running`] is dropped.
    ///
    /// # Errors
    /// When a port, a file or a certificate cannot be had, or the scenario is refused; nothing is
    /// left running then.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start(options: Options) -> Result<Running, StartError> {
        let clock = Clock::default();
        let now = clock.now();
        keys::prepare(now);
        let certs = Certs::make(now, options.smtp_tls_max)?;
        let chance = options.seed.map_or_else(Chance::unforeseen, Chance::seeded);
        let (mut tenant, made) = preset::make(options.tenant, &chance, now);
        if options.tarpit {
            tenant.behaviour.tarpit_ms = limits::TARPIT_MS;
        }

        let (folder, vanishing) = folder(options.folder)?;
        let takeover = options.ports == Ports::Takeover;
        let listen = async |what, port: u16| {
            let address = SocketAddr::new(options.address, if takeover { port } else { 0 });
            TcpListener::bind(address)
                .await
                .map_err(|source| StartError::Listen {
                    what,
                    address,
                    source,
                })
        };
        let authority = listen("the authority", 443).await?;
        let separate = if takeover {
            None
        } else {
            Some((
                listen("Graph", 0).await?,
                listen("the Exchange admin interface", 0).await?,
            ))
        };
        let smtp_listener = listen("SMTP submission", 587).await?;
        let control = listen("the control interface", 0).await?;
        let local = |listener: &TcpListener| {
            listener
                .local_addr()
                .expect("a bound listener knows its address")
        };
        let here = |listener: &TcpListener| format!("https://localhost:{}", local(listener).port());
        let places = match &separate {
            Some((graph, exchange_admin)) => Places {
                authority: here(&authority),
                graph: here(graph),
                exchange_admin: here(exchange_admin),
                smtp_host: "localhost".into(),
                smtp: local(&smtp_listener),
                control: local(&control),
            },
            None => Places {
                authority: "https://login.microsoftonline.com".into(),
                graph: "https://graph.microsoft.com".into(),
                exchange_admin: "https://outlook.office365.com".into(),
                smtp_host: "smtp.office365.com".into(),
                smtp: local(&smtp_listener),
                control: local(&control),
            },
        };
        let control_token = chance.password();
        let world = Arc::new(World {
            clock,
            chance,
            faults: Faults::default(),
            journal: Journal::default(),
            mailroom: Mailroom::new(folder.join("messages")),
            quotas: Arc::default(),
            desk: Desk::default(),
            places,
            made,
            control_token,
            ca_pem: certs.ca_pem,
            folder: folder.clone(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            history: RwLock::new(History::new(tenant)),
            connections: AtomicU64::new(0),
        });
        if let Some(scenario) = options.scenario {
            scenario.play(&world)?;
        }
        files::write(&world).map_err(|source| StartError::Folder { folder, source })?;

        let fronts = Fronts {
            entra: entra::router(Arc::clone(&world)),
            graph: graph::router(Arc::clone(&world)),
            exchange_admin: exchange_admin::router(Arc::clone(&world)),
        };
        let https = |listener, serves| {
            let tls = Arc::clone(&certs.https);
            world.tasks.spawn(front::serve(
                Arc::clone(&world),
                listener,
                tls,
                fronts.clone(),
                serves,
            ))
        };
        match separate {
            Some((graph, exchange_admin)) => {
                https(authority, Serves::One(Channel::Entra));
                https(graph, Serves::One(Channel::Graph));
                https(exchange_admin, Serves::One(Channel::ExchangeAdmin));
            }
            None => {
                https(authority, Serves::ByHost);
            }
        }
        world
            .tasks
            .spawn(smtp::serve(Arc::clone(&world), smtp_listener, certs.smtp));
        world
            .tasks
            .spawn(control::serve(Arc::clone(&world), control));
        Ok(Running {
            world,
            _vanishing: vanishing,
        })
    }
}

fn folder(asked: Option<PathBuf>) -> Result<(PathBuf, Option<tempfile::TempDir>), StartError> {
    let Some(folder) = asked else {
        let made = tempfile::Builder::new()
            .prefix("sendas-sandbox-")
            .tempdir()
            .map_err(|source| StartError::Folder {
                folder: std::env::temp_dir(),
                source,
            })?;
        return Ok((made.path().to_owned(), Some(made)));
    };
    let make = || -> io::Result<PathBuf> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        builder.create(&folder)?;
        std::path::absolute(&folder)
    };
    match make() {
        Ok(absolute) => Ok((absolute, None)),
        Err(source) => Err(StartError::Folder { folder, source }),
    }
}

/// A running sandbox.
pub struct Running {
    world: Arc<World>,
    // Removed when the sandbox is dropped.
    _vanishing: Option<tempfile::TempDir>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("places", &self.world.places)
            .finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.world.stop.cancel();
    }
}

impl Running {
    /// Every address, id and secret, as `sandbox.json` holds them.
    pub fn details(&self) -> Details {
        files::details(&self.world)
    }

    /// The line printed when the sandbox is ready: the details as JSON, on one line, without
    /// secrets, and with the path of the file that holds them (`file`).
    pub fn ready_line(&self) -> String {
        files::ready_line(&self.world)
    }

    /// Where its files are.
    pub fn folder(&self) -> &std::path::Path {
        &self.world.folder
    }

    /// Where SMTP submission listens.
    pub fn smtp(&self) -> SocketAddr {
        self.world.places.smtp
    }

    /// The certificate authority to trust, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.world.ca_pem
    }

    /// The tenant as it was last written.
    pub fn tenant(&self) -> Arc<Tenant> {
        self.world.written()
    }

    /// Changes the tenant by a JSON merge patch.
    ///
    /// # Errors
    /// When the result is no tenant; nothing is changed then.
    pub fn patch(&self, patch: &Value) -> Result<Arc<Tenant>, PatchError> {
        self.world.patch(patch)
    }

    /// Makes a fault wait for its step.
    ///
    /// # Errors
    /// When it makes no sense there, or too many wait.
    pub fn fault(&self, fault: Fault) -> Result<Fault, FaultError> {
        self.world.faults.add(fault)
    }

    /// Removes every waiting fault and answers how many there were.
    pub fn clear_faults(&self) -> usize {
        self.world.faults.clear(None)
    }

    /// The sandbox's time.
    pub fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    /// Moves the sandbox's time forward and answers the new time.
    pub fn advance(&self, by: Duration) -> Timestamp {
        self.world.clock.advance(by)
    }

    /// Messages that arrived and match, oldest first.
    pub fn messages(&self, filter: &Filter) -> Vec<Message> {
        self.world.mailroom.list(filter)
    }

    /// A message's octets as received.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn raw(&self, id: u64) -> io::Result<Option<Bytes>> {
        self.world.mailroom.raw(id)
    }

    /// Waits until `count` messages match, or `at_most` has passed; answers what matches then.
    pub async fn wait(&self, filter: &Filter, count: usize, at_most: Duration) -> Vec<Message> {
        self.world.mailroom.wait(filter, count, at_most).await
    }

    /// Removes every message and answers how many there were.
    pub fn delete_messages(&self) -> usize {
        self.world.mailroom.delete(None)
    }

    /// The journal's entries after number `since`, oldest first.
    pub fn journal(&self, since: u64) -> Vec<Entry> {
        self.world.journal.read(since, None, usize::MAX)
    }

    /// Tokens of the administrator: for Microsoft Graph, and for the Exchange admin interface.
    pub fn admin_tokens(&self) -> (String, String) {
        entra::admin_tokens(&self.world)
    }

    /// A token of the issuer that is not Entra, for the audience Microsoft recommends.
    pub fn issuer_token(&self, subject: &str) -> String {
        issuer::token(&self.world, subject, issuer::AUDIENCE, limits::TOKEN_LIFE_S)
    }

    /// Stops serving and waits until every connection is closed.
    pub async fn stop(self) {
        self.world.stop.cancel();
        self.world.tasks.close();
        self.world.tasks.wait().await;
    }
}
