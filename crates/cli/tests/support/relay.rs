//! `sendas relay` as a process beside a sandbox, and clients that speak to it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use sendas_sandbox::{Options, Preset, Running, Sandbox};
use sendas_spool::Spool;
use serde_json::json;

use super::Home;

/// How long anything that is waited for may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A sandbox, a home with a configuration for a relay, and its spool.
pub(crate) struct Shop {
    pub(crate) home: Home,
    pub(crate) sandbox: Running,
    /// The sandbox's first mailbox.
    pub(crate) own: String,
}

/// A relay that runs; dropping it kills it.
pub(crate) struct Relay {
    child: Child,
    log: PathBuf,
}

/// A client's end of a connection.
pub(crate) struct Client<S> {
    io: BufReader<S>,
}

impl Shop {
    /// A sandbox without limits, and a relay's configuration with a client for this machine.
    pub(crate) async fn open() -> Self {
        let sandbox = Sandbox::start(Options {
            tenant: Preset::Classic,
            ..Options::default()
        })
        .await
        .unwrap();
        let patch = json!({ "behaviour": { "limits": "off" } });
        sandbox.patch(&patch).unwrap();
        let own = sandbox.details().mailboxes[0].clone();
        let shop = Self {
            home: Home::new(),
            sandbox,
            own,
        };
        shop.configure("", "");
        shop
    }

    /// Adds mailboxes like the first one: `load-0@…`, `load-1@…`. The relay paces each by itself.
    pub(crate) fn add_mailboxes(&self, count: u64) -> Vec<String> {
        let tenant = self.sandbox.tenant();
        let mut like = serde_json::to_value(&tenant.exchange.mailboxes[&self.own]).unwrap();
        let members = like.as_object_mut().unwrap();
        members.remove("id");
        members.remove("aliases");
        let domain = self.own.split_once('@').unwrap().1;
        let names: Vec<String> = (0..count).map(|n| format!("load-{n}@{domain}")).collect();
        let mailboxes: serde_json::Map<_, _> = names
            .iter()
            .map(|name| (name.clone(), like.clone()))
            .collect();
        let patch = json!({ "exchange": { "mailboxes": mailboxes } });
        self.sandbox.patch(&patch).unwrap();
        names
    }

    /// Writes the configuration anew, with more lines for the relay and for its client.
    pub(crate) fn configure(&self, relay: &str, client: &str) {
        let text = self.configuration(relay, client);
        self.home.write("relay.toml", &text);
    }

    /// What [`Self::configure`] writes.
    pub(crate) fn configuration(&self, relay: &str, client: &str) -> String {
        let given = std::fs::read_to_string(self.sandbox.folder().join("sendas.toml")).unwrap();
        let domain = self.own.split_once('@').unwrap().1;
        let (principal, _) = given.split_once("mailboxes = ").unwrap();
        let principal = format!("{principal}mailboxes = [\"*@{domain}\"]\n");
        let listen = if relay.contains("listen =") {
            ""
        } else {
            "listen = [{ address = \"127.0.0.1:0\", tls = \"none\" }]"
        };
        format!(
            "{principal}\n[relay]\nhostname = \"relay.test\"\nspool = \"sqlite://{}\"\n{listen}\n{relay}\n\
             [[relay.client]]\nname = \"here\"\nnetworks = [\"127.0.0.1/32\"]\nsenders = [\"*\"]\n{client}\n",
            self.spool().display()
        )
    }

    /// The spool's index.
    pub(crate) fn spool(&self) -> PathBuf {
        self.home.path().join("spool.db")
    }

    /// The relay's socket for programs of this machine.
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.path().join("spool.db.sock")
    }

    /// The words before `relay` on its command line.
    pub(crate) fn words(&self) -> Vec<String> {
        let config = self.home.path().join("relay.toml");
        vec![
            env!("CARGO_BIN_EXE_sendas").to_owned(),
            "--config".to_owned(),
            config.to_str().unwrap().to_owned(),
            "relay".to_owned(),
        ]
    }

    /// Starts the relay; it may not be ready yet.
    pub(crate) fn start(&self) -> Relay {
        self.start_by(&[])
    }

    /// Starts it by another program, which gets the relay's words behind its own.
    pub(crate) fn start_by(&self, launcher: &[&str]) -> Relay {
        let mut words: Vec<String> = launcher.iter().map(|&word| word.to_owned()).collect();
        words.extend(self.words());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        self.start_command(command)
    }

    /// Starts it by a command that somebody has prepared.
    pub(crate) fn start_command(&self, mut command: Command) -> Relay {
        let log = self.home.path().join("relay.log");
        let err = File::options().create(true).append(true).open(&log);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().into_owned();
            if ["SENDAS_", "AZURE_", "SSL_CERT_"]
                .iter()
                .any(|head| text.starts_with(head))
                || text.to_ascii_lowercase().ends_with("_proxy")
            {
                command.env_remove(name);
            }
        }
        let child = command
            .env("HOME", self.home.path())
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .stderr(err.unwrap())
            .current_dir(self.home.path())
            .spawn()
            .unwrap();
        Relay { child, log }
    }

    /// Starts the relay and waits until it listens.
    pub(crate) fn ready(&self) -> Relay {
        let mut relay = self.start();
        drop(self.connect(&mut relay).expect("the relay starts"));
        relay
    }

    /// Connects to the socket as soon as the relay listens there; none when it has ended before.
    pub(crate) fn connect(&self, relay: &mut Relay) -> Option<Client<UnixStream>> {
        let started = now();
        loop {
            if let Ok(stream) = UnixStream::connect(self.socket()) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return Client::greeted(stream).ok();
            }
            if relay.has_ended() {
                return None;
            }
            assert!(started.elapsed() < PATIENCE, "{}", relay.told());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The spool beside a relay, or without one.
    pub(crate) fn open_spool(&self) -> Spool {
        let options = sendas_spool::Options::new(self.spool());
        Spool::open(&options, self.sandbox.now()).unwrap()
    }
}

impl Relay {
    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }

    /// Sends it a signal by its name: `TERM`, `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Tells it to end, and waits for that.
    pub(crate) fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// Waits for it to end by itself.
    pub(crate) fn ended(mut self) -> ExitStatus {
        let started = now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "{}", self.told());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// All that it, and those before it, said on standard error.
    pub(crate) fn told(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said this so many times.
    pub(crate) fn says(&self, words: &str, times: usize) -> String {
        let started = now();
        loop {
            let told = self.told();
            if told.matches(words).count() >= times {
                return told;
            }
            assert!(started.elapsed() < PATIENCE, "no “{words}” in: {told}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The addresses that the last start listens on.
    pub(crate) fn addresses(&self, count: usize) -> Vec<SocketAddr> {
        let told = self.says("listening address=", count);
        let all: Vec<SocketAddr> = told
            .lines()
            .filter_map(|line| line.split_once("listening address=")?.1.trim().parse().ok())
            .collect();
        all[all.len() - count..].to_vec()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The time, for waits that end.
#[expect(
    clippy::disallowed_methods,
    reason = "other processes live in real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Connects by TCP.
pub(crate) fn tcp(address: SocketAddr) -> io::Result<Client<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Client::greeted(stream)
}

impl<S: io::Read + io::Write> Client<S> {
    /// A client that has read the greeting.
    pub(crate) fn greeted(stream: S) -> io::Result<Self> {
        let mut client = Self {
            io: BufReader::new(stream),
        };
        let greeting = client.reply()?;
        if greeting.starts_with("220") {
            Ok(client)
        } else {
            Err(io::Error::other(greeting))
        }
    }

    pub(crate) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.io.get_mut().write_all(octets)
    }

    /// Says a line; gives the last line of the reply.
    pub(crate) fn say(&mut self, line: &str) -> io::Result<String> {
        self.write(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// The last line of a reply; an error when the connection is over.
    pub(crate) fn reply(&mut self) -> io::Result<String> {
        loop {
            let mut line = String::new();
            self.io.read_line(&mut line)?;
            // A line without its end is what a dying relay leaves: no reply.
            if !line.ends_with('\n') {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }

    /// EHLO.
    pub(crate) fn hello(mut self) -> io::Result<Self> {
        self.say("EHLO client.test")?;
        Ok(self)
    }

    /// One message in one flight; gives the last reply.
    pub(crate) fn send(&mut self, from: &str, to: &str, text: &[u8]) -> io::Result<String> {
        let mut flight = format!(
            "MAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nBDAT {} LAST\r\n",
            text.len()
        )
        .into_bytes();
        flight.extend_from_slice(text);
        self.write(&flight)?;
        let mail = self.reply()?;
        let rcpt = self.reply()?;
        let end = self.reply()?;
        Ok(if mail.starts_with('2') && rcpt.starts_with('2') {
            end
        } else {
            format!("{mail}{rcpt}{end}")
        })
    }
}
