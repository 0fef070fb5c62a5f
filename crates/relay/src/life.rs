//! A relay from its start to its end: run, reload, drain.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use sendas_config::{self as config, ListenTls, LocalPrograms};
use sendas_entra::Clock;
use sendas_spool::{Spool, SpoolError};
use sendas_submit::Pool;
use tokio::net::TcpSocket;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::{Context, Counters};
use crate::limits::{CERTIFICATE_CHECK_EVERY, DRAIN_DEADLINE, QUIT_DEADLINE, ROOM_CHECK_EVERY};
use crate::listener::{self, CertificateFiles, Identity, IdentityError, Listener, Seats, Terms};
use crate::log;
use crate::policy::{Policy, PolicyError};
use crate::schedule::{Pace, Schedule, Way};
use crate::view::View;
use crate::worker::{self, Delivery, Ways};

/// Connections that the system keeps for a listener until they are accepted.
const BACKLOG: u32 = 1024;

/// Everything that one configuration gives a relay.
#[derive(Debug)]
pub struct Setup {
    /// The `[relay]` section.
    pub relay: config::Relay,
    /// The principals.
    pub principals: Vec<config::Principal>,
    /// A pool for each principal, in the same order.
    pub pools: Vec<Pool>,
    /// The relay's name.
    pub hostname: String,
    /// Where the relay keeps a certificate of its own, when none is configured.
    pub own_certificate: PathBuf,
}

/// What does not change while a relay runs.
pub struct Base {
    /// Where messages are kept.
    pub spool: Spool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How fast a mailbox may send.
    pub pace: Pace,
    /// The spread of retries follows from it.
    pub seed: u64,
}

/// Why a relay does not start, or keeps its old configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The clients, senders or listeners make no relay.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// There is no usable certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// A socket was handed in that no entry of `relay.listen` is for.
    #[error("a socket for {address} was handed in, and `relay.listen` names none such")]
    Stranger {
        /// Where it listens.
        address: SocketAddr,
    },
    /// The setting cannot change while a relay runs.
    #[error("`relay.{0}` changes with a restart only")]
    NeedsRestart(&'static str),
}

/// A relay that is about to run.
pub struct Relay {
    context: Arc<Context>,
    delivery: Arc<Delivery>,
    control: Control,
    terms: watch::Receiver<Terms>,
}

/// Changes a running relay. Clones act on the same one.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    seats: Arc<Seats>,
    delivery: Arc<Delivery>,
    terms: watch::Sender<Terms>,
    ways: watch::Sender<Ways>,
    certificate: Mutex<Certificate>,
    fixed: config::Relay,
}

/// The certificate in use, and where it is from.
struct Certificate {
    source: Source,
    identity: Option<Identity>,
}

#[derive(Clone)]
enum Source {
    /// No listener has TLS.
    None,
    Files(CertificateFiles),
    Own {
        path: PathBuf,
        names: Vec<String>,
    },
}

impl Relay {
    /// Judges the settings and makes a relay of them; nothing is listened on yet.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new(setup: Setup, base: Base) -> Result<Self, StartError> {
        let Base {
            spool,
            clock,
            pace,
            seed,
        } = base;
        let hostname: Arc<str> = setup.hostname.as_str().into();
        let relay = &setup.relay;
        let seats = Arc::new(Seats::new(
            relay.connections_max,
            relay.connections_per_address_max,
        ));
        let fixed = relay.clone();
        let (terms, ways, certificate) = prepare(setup, &clock)?;
        let (terms_in, terms) = watch::channel(terms);
        let (ways_in, ways) = watch::channel(ways);
        let counters = Arc::new(Counters::default());
        let context = Arc::new(Context::new(
            spool.clone(),
            Arc::clone(&clock),
            Arc::clone(&hostname),
            Arc::clone(&seats),
            Arc::clone(&counters),
            CancellationToken::new(),
        ));
        let delivery = Arc::new(Delivery {
            spool,
            clock: Arc::clone(&clock),
            hostname,
            counters,
            ways,
            schedule: Mutex::new(Schedule::new(pace, seed)),
            noting: tokio::sync::Mutex::default(),
            unsettled: worker::Unsettled::default(),
            stranded: Mutex::default(),
            clocks: Mutex::new(clock.now()),
            freed: Notify::new(),
        });
        let control = Control {
            inner: Arc::new(Inner {
                clock,
                seats,
                delivery: Arc::clone(&delivery),
                terms: terms_in,
                ways: ways_in,
                certificate: Mutex::new(certificate),
                fixed,
            }),
        };
        Ok(Self {
            context,
            delivery,
            control,
            terms,
        })
    }

    /// What changes it while it runs.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// What others may read of it.
    pub fn view(&self) -> View {
        View::new(Arc::clone(&self.context), Arc::clone(&self.delivery))
    }

    /// Accepts and delivers until told to stop, then drains: sessions end between two commands,
    /// a message that is arriving is kept, sends that are under way are settled.
    ///
    /// # Errors
    /// The store's, when it has failed: the process must be started anew, and nothing was
    /// acknowledged that is lost.
    pub async fn run(
        self,
        listeners: Vec<Listener>,
        local: Option<LocalListener>,
        shutdown: CancellationToken,
    ) -> Result<(), SpoolError> {
        let Self {
            context,
            delivery,
            control,
            terms,
        } = self;
        let drain = context.drain.clone();
        let (acceptors, sessions) = (TaskTracker::new(), TaskTracker::new());
        for listener in listeners {
            acceptors.spawn(listener::accept(
                listener,
                Arc::clone(&context),
                terms.clone(),
                drain.clone(),
                sessions.clone(),
            ));
        }
        #[cfg(unix)]
        let mut file = None;
        #[cfg(unix)]
        if let Some(LocalListener { socket, file: own }) = local {
            file = Some(own);
            acceptors.spawn(listener::accept_local(
                socket,
                Arc::clone(&context),
                terms.clone(),
                drain.clone(),
                sessions.clone(),
            ));
        }
        #[cfg(not(unix))]
        drop(local);
        let stop = CancellationToken::new();
        let spool = context.spool.clone();
        let deliveries = TaskTracker::new();
        deliveries.spawn(Arc::clone(&delivery).run(stop.clone()));
        acceptors.spawn(renew(control, drain.clone()));
        acceptors.spawn(watch_room(Arc::clone(&context), terms, drain.clone()));
        let failure = tokio::select! {
            () = shutdown.cancelled() => None,
            error = spool.failed() => Some(error),
        };
        drain.cancel();
        // Whoever comes now writes into the spool itself.
        #[cfg(unix)]
        drop(file);
        for tracker in [&acceptors, &sessions] {
            tracker.close();
            // What is late is dropped with the runtime: nobody was told that it was kept.
            drop(timeout(DRAIN_DEADLINE, tracker.wait()).await);
        }
        stop.cancel();
        deliveries.close();
        drop(timeout(DRAIN_DEADLINE, deliveries.wait()).await);
        let pools = Arc::clone(&delivery.ways.borrow().pools);
        for pool in pools.iter() {
            drop(timeout(QUIT_DEADLINE, pool.close_idle()).await);
        }
        spool.close().await;
        failure.map_or(Ok(()), Err)
    }
}

impl Control {
    /// Takes another configuration up, all of it or nothing. Sessions keep what they began with;
    /// spool and listeners stay. Whatever waits for a way to the service tries it at once.
    ///
    /// # Errors
    /// [`StartError`]: the old configuration goes on.
    pub fn reload(&self, setup: Setup) -> Result<(), StartError> {
        let relay = &setup.relay;
        if let Some(setting) = changed_for_a_start(&self.inner.fixed, relay) {
            return Err(StartError::NeedsRestart(setting));
        }
        let caps = (relay.connections_max, relay.connections_per_address_max);
        let (terms, ways, certificate) = prepare(setup, &self.inner.clock)?;
        self.inner.seats.resize(caps.0, caps.1);
        *self.certificate() = certificate;
        self.inner.terms.send_replace(terms);
        self.inner.ways.send_replace(ways);
        self.inner.delivery.reloaded();
        log::reloaded();
        Ok(())
    }

    /// Reads the certificate again; one that cannot be used leaves the old one in place.
    pub fn renew_certificate(&self) {
        let mut certificate = self.certificate();
        let Some(old) = &certificate.identity else {
            return;
        };
        match certificate.source.load(&self.inner.clock) {
            Ok(Some(new)) if !new.is_same(old) => {
                let config = Some(new.config());
                certificate.identity = Some(new);
                self.inner.terms.send_modify(|terms| terms.tls = config);
                log::certificate_renewed();
            }
            Ok(_) => {}
            Err(error) => log::certificate_kept(&error),
        }
    }

    fn certificate(&self) -> MutexGuard<'_, Certificate> {
        // A panic elsewhere leaves nothing half-done behind this lock.
        self.inner
            .certificate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first setting that differs and is used at the start only.
fn changed_for_a_start(old: &config::Relay, new: &config::Relay) -> Option<&'static str> {
    [
        ("listen", old.listen == new.listen),
        ("spool", old.spool == new.spool),
        ("hostname", old.hostname == new.hostname),
        ("local_programs", old.local_programs == new.local_programs),
        (
            "mailbox_sends_max",
            old.mailbox_sends_max == new.mailbox_sends_max,
        ),
        (
            "mailbox_messages_per_minute",
            old.mailbox_messages_per_minute == new.mailbox_messages_per_minute,
        ),
        (
            "mailbox_recipients_per_day",
            old.mailbox_recipients_per_day == new.mailbox_recipients_per_day,
        ),
    ]
    .into_iter()
    .find_map(|(setting, is_same)| (!is_same).then_some(setting))
}

/// The socket in the file system, for programs of this machine. Its file goes when the relay
/// stops to listen there.
#[derive(Debug)]
pub struct LocalListener {
    #[cfg(unix)]
    socket: tokio::net::UnixListener,
    #[cfg(unix)]
    file: SocketFile,
}

/// The name of a socket; removed with this value, unless somebody has put another in its place.
#[cfg(unix)]
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    node: (u64, u64),
}

#[cfg(unix)]
impl SocketFile {
    fn of(path: &std::path::Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            node: Self::node(path)?,
        })
    }

    fn node(path: &std::path::Path) -> io::Result<(u64, u64)> {
        use std::os::unix::fs::MetadataExt as _;
        let found = std::fs::symlink_metadata(path)?;
        Ok((found.dev(), found.ino()))
    }
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        if Self::node(&self.path).is_ok_and(|node| node == self.node) {
            // One that cannot be removed is found stale by the next start.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

impl LocalListener {
    /// Listens at a path that its owner and group may open, or everyone. What an earlier process
    /// left there is removed, unless somebody still listens there.
    ///
    /// # Errors
    /// As the operating system reports them; always where there are no such sockets.
    #[cfg(unix)]
    pub fn bind(path: &std::path::Path, programs: LocalPrograms) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = tokio::net::UnixListener::bind(path)?;
        let file = SocketFile::of(path)?;
        let mode = match programs {
            LocalPrograms::Group => 0o660,
            LocalPrograms::Everyone => 0o666,
        };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok(Self { socket, file })
    }

    /// There are no such sockets here.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(unix))]
    pub fn bind(_path: &std::path::Path, _programs: LocalPrograms) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Listens on the configured addresses; a socket that was handed in for one of them is used
/// instead of a new one.
///
/// # Errors
/// [`StartError::Listen`] with the address.
pub fn listeners(
    relay: &config::Relay,
    mut inherited: Vec<std::net::TcpListener>,
) -> Result<Vec<Listener>, StartError> {
    let mut listeners = Vec::with_capacity(relay.listen.len());
    for config::Listen { address, tls } in &relay.listen {
        let wrong = |source| StartError::Listen {
            address: *address,
            source,
        };
        let known = inherited
            .iter()
            .position(|socket| socket.local_addr().is_ok_and(|own| is_for(own, *address)));
        let socket = match known {
            Some(at) => {
                let socket = inherited.swap_remove(at);
                socket.set_nonblocking(true).map_err(wrong)?;
                tokio::net::TcpListener::from_std(socket).map_err(wrong)?
            }
            None => bind(*address).map_err(wrong)?,
        };
        listeners.push(Listener { socket, tls: *tls });
    }
    match inherited.first().map(std::net::TcpListener::local_addr) {
        Some(Ok(address)) => Err(StartError::Stranger { address }),
        _ => Ok(listeners),
    }
}

/// Whether a socket is the one that an entry asks for: a service manager opens `[::]` for both
/// families where the entry says `0.0.0.0`.
fn is_for(own: SocketAddr, wanted: SocketAddr) -> bool {
    own == wanted
        || (own.port() == wanted.port()
            && own.ip().is_unspecified()
            && wanted.ip().is_unspecified())
}

fn bind(address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for the last connections' remains; on Windows the option means
    // something else and is not needed.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Makes everything that a configuration gives, before anything of it is used.
fn prepare(setup: Setup, clock: &Arc<dyn Clock>) -> Result<(Terms, Ways, Certificate), StartError> {
    let Setup {
        relay,
        principals,
        pools,
        hostname,
        own_certificate,
    } = setup;
    let policy = Arc::new(Policy::new(&relay, &principals)?);
    let source = Source::of(&relay, &hostname, own_certificate);
    let identity = source.load(clock)?;
    let tls: Option<Arc<ServerConfig>> = identity.as_ref().map(Identity::config);
    let terms = Terms {
        policy: Arc::clone(&policy),
        tls,
        proxies: relay.proxy_networks.into(),
    };
    let roads = principals.iter().zip(&pools).map(|(principal, pool)| {
        let (host, port) = (pool.connector().host(), pool.connector().port());
        Way {
            principal: principal.name.as_str().into(),
            service: format!("{host}:{port}").into(),
        }
    });
    let ways = Ways {
        policy,
        roads: roads.collect(),
        pools: pools.into(),
        terms: worker::Terms {
            retry_for: relay.retry_for,
            delay_notice_after: relay.delay_notice_after,
            uncertain: relay.uncertain,
        },
        history: relay.history,
    };
    Ok((terms, ways, Certificate { source, identity }))
}

impl Source {
    fn of(relay: &config::Relay, hostname: &str, own: PathBuf) -> Self {
        if relay.listen.iter().all(|l| l.tls == ListenTls::None) {
            return Self::None;
        }
        if let Some(certificate) = &relay.certificate {
            let key = relay.key.as_ref().unwrap_or(certificate).clone();
            return Self::Files(CertificateFiles {
                certificate: certificate.clone(),
                key,
            });
        }
        let mut names = vec![hostname.to_owned()];
        names.extend(relay.certificate_names.iter().cloned());
        for listen in &relay.listen {
            if !listen.address.ip().is_unspecified() {
                names.push(listen.address.ip().to_string());
            }
        }
        names.dedup();
        Self::Own { path: own, names }
    }

    fn load(&self, clock: &Arc<dyn Clock>) -> Result<Option<Identity>, IdentityError> {
        match self {
            Self::None => Ok(None),
            Self::Files(files) => Identity::from_files(files).map(Some),
            Self::Own { path, names } => Identity::own(path, names, clock.now().wall).map(Some),
        }
    }
}

/// Looks at the room on the spool's disk now and then.
async fn watch_room(context: Arc<Context>, terms: watch::Receiver<Terms>, stop: CancellationToken) {
    loop {
        let octets = terms.borrow().policy.message_octets_max;
        let asked = Arc::clone(&context);
        // A file system may take its time; what the task finds is in the context.
        drop(tokio::task::spawn_blocking(move || asked.look_for_room(octets)).await);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROOM_CHECK_EVERY) => {}
        }
    }
}

/// Looks at the certificate's files now and then.
async fn renew(control: Control, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(CERTIFICATE_CHECK_EVERY) => {}
        }
        let control = control.clone();
        // Reading files blocks; what the task brings is in the log.
        drop(tokio::task::spawn_blocking(move || control.renew_certificate()).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed_in(address: &str) -> std::net::TcpListener {
        std::net::TcpListener::bind(address).unwrap()
    }

    fn wanting(address: SocketAddr) -> config::Relay {
        let mut relay = crate::policy::test_settings::relay(Vec::new());
        relay.listen = vec![config::Listen {
            address,
            tls: ListenTls::None,
        }];
        relay
    }

    #[tokio::test]
    async fn a_socket_for_any_address_serves_either_family() {
        let socket = handed_in("[::]:0");
        let port = socket.local_addr().unwrap().port();
        let relay = wanting(SocketAddr::from(([0, 0, 0, 0], port)));
        assert_eq!(listeners(&relay, vec![socket]).unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_socket_that_nobody_asked_for_is_named() {
        let (asked, stranger) = (handed_in("127.0.0.1:0"), handed_in("127.0.0.1:0"));
        let relay = wanting(asked.local_addr().unwrap());
        let address = stranger.local_addr().unwrap();
        let error = listeners(&relay, vec![stranger, asked]).err().unwrap();
        assert!(matches!(error, StartError::Stranger { address: own } if own == address));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_local_socket_is_as_open_as_it_was_asked_to_be() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        for (programs, mode) in [
            (LocalPrograms::Group, 0o660),
            (LocalPrograms::Everyone, 0o666),
        ] {
            let path = folder.path().join(format!("{mode:o}.sock"));
            let _kept = LocalListener::bind(&path, programs).unwrap();
            let found = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode);
        }
    }
}
