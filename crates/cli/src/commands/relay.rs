//! `sendas relay`: the submission server for printers and programs.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use sendas_config::{Loaded, Settings};
use sendas_entra::SystemClock;
use sendas_relay::schedule::Pace;
use sendas_relay::{Base, Control, LocalListener, Relay as Server, Setup, View, listeners};
use sendas_submit::{Pool, PoolLimits};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::global::Global;
use crate::identity::{self, Identity};
use crate::machine::{self, Machine};
use crate::report::{Failure, Outcome, chain};
use crate::{configuration, output};

use super::queue;

mod limits;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    before_help = "\
Examples:
  sendas relay                                     listen as the [relay] section says, until told to stop
  sendas relay --check                             would it start? nothing is listened on
  sendas relay password < password.txt             the hash for a client's password_hash"
)]
pub(crate) struct Relay {
    #[command(subcommand)]
    command: Option<Command>,
    /// Judge the configuration as a start would, and stop there.
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a password from standard input and print its hash for the configuration.
    Password,
}

/// How often the configuration's files are looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often the service manager is told how things are.
const STATUS_EVERY: Duration = Duration::from_secs(15);

pub(crate) fn run(relay: &Relay, global: &Global, machine: &Machine) -> Outcome {
    match relay.command {
        Some(Command::Password) => password(),
        None => serve(relay, global, machine),
    }
}

fn password() -> Outcome {
    if machine::stdin_is_terminal() {
        output::say("Password: ");
    }
    let mut line = zeroize::Zeroizing::new(String::new());
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Failure::machine("the password was not read", &error))?;
    let password = line.trim_end_matches(['\r', '\n']);
    let hash = sendas_relay::hash_password(password)
        .map_err(|error| Box::new(Failure::usage("no hash was made").cause(chain(&error), None)))?;
    output::data(&format!("{hash}\n"))
        .map_err(|error| Failure::machine("the hash was not written", &error))?;
    Ok(Exit::Done)
}

fn serve(relay: &Relay, global: &Global, machine: &Machine) -> Outcome {
    let loaded = configuration::load(global, machine)?;
    let index = queue::index(&loaded.settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::machine("the relay did not start", &error))?;
    let wrong = |error: &dyn std::error::Error| {
        Box::new(
            Failure::configuration("the relay did not start")
                .cause(chain(error), None)
                .command("sendas relay --check"),
        )
    };
    let setup = setup(&loaded.settings, machine)?;
    if relay.check {
        sendas_relay::Policy::new(&setup.relay, &setup.principals)
            .map_err(|error| wrong(&error))?;
        output::line("the relay would start");
        return Ok(Exit::Done);
    }
    let settings = setup.relay.clone();
    limits::raise(settings.connections_max);
    let spool = queue::open(&index)?;
    let base = Base {
        spool,
        clock: Arc::new(SystemClock::new()),
        pace: pace(&settings),
        seed: identity::seed(),
    };
    let ended = runtime.block_on(async {
        let server = Server::new(setup, base).map_err(|error| wrong(&error))?;
        let sockets = listeners(&settings, inherited()).map_err(|error| wrong(&error))?;
        let local = settings
            .spool
            .socket()
            .and_then(|path| local(&path, settings.local_programs));
        let shutdown = CancellationToken::new();
        let watcher = Watcher {
            global,
            machine,
            control: server.control(),
            view: server.view(),
            seen: content(&loaded),
            shutdown: shutdown.clone(),
        };
        for listener in &sockets {
            if let Ok(address) = listener.socket.local_addr() {
                tracing::info!(%address, "listening");
            }
        }
        let watched = watcher
            .start()
            .map_err(|error| Failure::machine("the relay did not start", &error))?;
        tell(&[sd_notify::NotifyState::Ready]);
        let running = server.run(sockets, local, shutdown);
        tokio::pin!(running);
        tokio::select! {
            ended = &mut running => Ok(ended),
            () = watched => Ok(running.await),
        }
    });
    let ended: Result<_, Box<Failure>> = ended;
    // Tasks that are late are dropped with the runtime.
    runtime.shutdown_timeout(Duration::from_secs(5));
    match ended? {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(Box::new(Failure::machine_trouble(
            "the relay stopped: the spool has failed; nothing that was acknowledged is lost",
            chain(&error),
        ))),
    }
}

/// What the configuration gives the relay; credentials are loaded, nothing is sent.
fn setup(settings: &Settings, machine: &Machine) -> Result<Setup, Box<Failure>> {
    let Some(relay) = settings.relay.clone() else {
        return Err(Box::new(
            Failure::configuration("the relay did not start: there is no [relay] section")
                .command("sendas config schema"),
        ));
    };
    let mut pools = Vec::with_capacity(settings.principals.len());
    for principal in &settings.principals {
        let identity = Identity::new(principal, &settings.network)?;
        let source = identity.token_source(&principal.credential, machine)?;
        let connector = identity.connector(&settings.network)?;
        pools.push(Pool::new(
            connector,
            Arc::new(source),
            Arc::new(SystemClock::new()),
            PoolLimits {
                sessions_per_mailbox: relay.mailbox_sends_max.max(1),
                ..PoolLimits::default()
            },
        ));
    }
    let own_certificate = match &relay.spool {
        sendas_config::Spool::Sqlite(index) => index.with_added_extension("tls.pem"),
        sendas_config::Spool::Postgres(_) => PathBuf::from("relay.tls.pem"),
    };
    Ok(Setup {
        hostname: relay.hostname.clone().unwrap_or_else(|| machine.hostname()),
        relay,
        principals: settings.principals.clone(),
        pools,
        own_certificate,
    })
}

/// How fast a mailbox may send; a mailbox that may send nothing would be a relay that holds all.
fn pace(relay: &sendas_config::Relay) -> Pace {
    Pace {
        sends_at_once: relay.mailbox_sends_max.max(1),
        messages_per_minute: relay.mailbox_messages_per_minute.max(1),
        recipients_per_day: relay.mailbox_recipients_per_day.max(1),
    }
}

/// The socket for programs of this machine; without it they write into the spool themselves.
fn local(path: &Path, programs: sendas_config::LocalPrograms) -> Option<LocalListener> {
    LocalListener::bind(path, programs)
        .inspect_err(|error| tracing::warn!(%error, path = %path.display(), "no local socket"))
        .ok()
}

/// Sockets that the service manager has opened for us.
fn inherited() -> Vec<std::net::TcpListener> {
    #[cfg(unix)]
    {
        let mut given = listenfd::ListenFd::from_env();
        (0..given.len())
            .filter_map(|at| given.take_tcp_listener(at).ok().flatten())
            .collect()
    }
    #[cfg(not(unix))]
    Vec::new()
}

/// Tells the service manager, if there is one.
fn tell(state: &[sd_notify::NotifyState<'_>]) {
    drop(sd_notify::notify(state));
}

/// A fingerprint of what the configuration's files hold: inodes and dates miss swapped links.
fn content(loaded: &Loaded) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in &loaded.files {
        std::fs::read(path).ok().hash(&mut hasher);
    }
    loaded
        .missing
        .iter()
        .for_each(|path| path.exists().hash(&mut hasher));
    hasher.finish()
}

/// Waits for signals and changed files while the relay runs.
struct Watcher<'a> {
    global: &'a Global,
    machine: &'a Machine,
    control: Control,
    view: View,
    seen: u64,
    shutdown: CancellationToken,
}

impl<'a> Watcher<'a> {
    /// Listens for signals from here on; the future ends when the relay is to stop.
    #[cfg(unix)]
    fn start(mut self) -> std::io::Result<impl Future<Output = ()> + 'a> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        // Beyond a limit on the size of files a write fails, as on a full disk; without a handler
        // the process would be killed.
        #[cfg(target_os = "linux")]
        let size = signal(SignalKind::from_raw(limits::SIGXFSZ))?;
        Ok(async move {
            #[cfg(target_os = "linux")]
            let _size = size;
            let mut look = tokio::time::interval(LOOK_EVERY);
            let mut status = tokio::time::interval(STATUS_EVERY);
            loop {
                tokio::select! {
                    _ = interrupt.recv() => break,
                    _ = terminate.recv() => break,
                    _ = hangup.recv() => self.reload_as_asked(),
                    _ = look.tick() => self.reload(false),
                    _ = status.tick() => self.tell_status().await,
                }
            }
            self.stop();
        })
    }

    /// Listens for the interrupt from here on; the future ends when the relay is to stop.
    #[cfg(not(unix))]
    fn start(mut self) -> std::io::Result<impl Future<Output = ()> + 'a> {
        Ok(async move {
            let mut look = tokio::time::interval(LOOK_EVERY);
            loop {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => break,
                    _ = look.tick() => self.reload(false),
                }
            }
            self.stop();
        })
    }

    /// Reloads, and tells the service manager when that has begun and ended (`Type=notify-reload`).
    #[cfg(unix)]
    fn reload_as_asked(&mut self) {
        if let Ok(now) = sd_notify::NotifyState::monotonic_usec_now() {
            tell(&[sd_notify::NotifyState::Reloading, now]);
        }
        self.reload(true);
        tell(&[sd_notify::NotifyState::Ready]);
    }

    fn stop(&self) {
        tell(&[sd_notify::NotifyState::Stopping]);
        tracing::info!("stopping: messages that are under way are settled first");
        self.shutdown.cancel();
    }

    async fn tell_status(&self) {
        let status = self.view.status().await;
        tell(&[
            sd_notify::NotifyState::Status(&status),
            sd_notify::NotifyState::Watchdog,
        ]);
    }

    /// Reads the configuration again when it has changed, or when told to; one with errors
    /// changes nothing.
    fn reload(&mut self, is_asked: bool) {
        let loaded = match configuration::read(self.global, self.machine) {
            Ok(loaded) => loaded,
            Err(complaints) => {
                // Said once for each content, else every few seconds.
                let mut hasher = DefaultHasher::new();
                complaints.render(false).hash(&mut hasher);
                if is_asked || self.seen != hasher.finish() {
                    self.seen = hasher.finish();
                    output::say(&complaints.render(output::talk_has_colour()));
                    tracing::error!("the configuration has errors; the old one stays");
                }
                return;
            }
        };
        let now = content(&loaded);
        if now == self.seen && !is_asked {
            return;
        }
        self.seen = now;
        match setup(&loaded.settings, self.machine) {
            Ok(setup) => {
                if let Err(error) = self.control.reload(setup) {
                    let error = chain(&error);
                    tracing::error!(error, "the configuration cannot be used; the old one stays");
                }
            }
            Err(failure) => {
                failure.tell(false);
                tracing::error!("the configuration cannot be used; the old one stays");
            }
        }
        self.control.renew_certificate();
    }
}
