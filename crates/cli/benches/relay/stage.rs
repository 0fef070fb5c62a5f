//! The real programs as processes of their own: the relay, and the sandbox behind it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::kernel;

/// The binary under measurement: `SENDAS_BENCH_BINARY`, else the one cargo has built for the bench.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("SENDAS_BENCH_BINARY").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_sendas")),
        PathBuf::from,
    )
}

/// A port nobody listens on.
pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    socket.local_addr().expect("it is bound").port()
}

/// A folder on the measured disk.
pub(crate) fn folder() -> tempfile::TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("sendas-bench-");
    builder
        .tempdir_in(kernel::disk())
        .expect("the disk has room")
}

/// A running sandbox.
pub(crate) struct Sandbox {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) mailbox: String,
    pub(crate) smtp: SocketAddr,
    control: SocketAddr,
    token: String,
    /// The client's object id, as Exchange holds it.
    principal: String,
    pub(crate) domain: String,
}

impl Sandbox {
    /// Starts one after a correct set-up, with a scenario in TOML.
    pub(crate) fn start(scenario: &str) -> Self {
        let folder = folder();
        let file = folder.path().join("scenario.toml");
        std::fs::write(&file, scenario).expect("a file of our own");
        let mut child = Command::new(binary())
            .args(["sandbox", "run", "--tenant", "classic", "--scenario"])
            .arg(&file)
            .arg("--dir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary is built");
        let mut line = String::new();
        let output = child.stdout.take().expect("it was asked for");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("it tells when it is ready");
        let text = std::fs::read(folder.path().join("sandbox.json")).expect("it was written");
        let details: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let url = text(&details["control"]["url"]);
        let control = url.trim_start_matches("http://").split('/').next();
        let port: u16 = details["smtp"]["port"]
            .as_u64()
            .and_then(|port| port.try_into().ok())
            .expect("a port");
        Self {
            child,
            mailbox: text(&details["mailboxes"][0]),
            smtp: SocketAddr::from(([127, 0, 0, 1], port)),
            control: control.and_then(|c| c.parse().ok()).expect("an address"),
            token: text(&details["control"]["token"]),
            principal: text(&details["client"]["service_principal_id"]),
            domain: text(&details["tenant"]["domain"]),
            folder,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Adds mailboxes that the client may send as.
    pub(crate) fn add_mailboxes(&self, addresses: &[String]) {
        let trusted = [self.principal.as_str()];
        let mailbox = serde_json::json!({
            "full_access": trusted,
            "send_as": trusted,
            "smtp_client_authentication_disabled": false,
        });
        let mailboxes: serde_json::Map<_, _> = addresses
            .iter()
            .map(|address| (address.clone(), mailbox.clone()))
            .collect();
        let patch = serde_json::json!({ "exchange": { "mailboxes": mailboxes } });
        self.talk("PATCH", "tenant", &patch.to_string())
            .expect("the tenant is there");
    }

    /// Waits until that many messages have arrived since the start.
    pub(crate) fn wait_for(&self, messages: u64) {
        let begin = kernel::moment();
        while self.ask(&format!("messages/{messages}")).is_none() {
            assert!(
                begin.elapsed() < Duration::from_mins(10),
                "messages are missing"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks the control interface; none when it has no such thing.
    pub(crate) fn ask(&self, path: &str) -> Option<serde_json::Value> {
        self.talk("GET", path, "")
    }

    fn talk(&self, method: &str, path: &str, body: &str) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(self.control).expect("the sandbox listens");
        let head = format!(
            "{method} /sandbox/v1/{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.control,
            self.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.write_all(body.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        if head.starts_with("HTTP/1.1 404") {
            return None;
        }
        assert!(head.starts_with("HTTP/1.1 2"), "{path}: {text}");
        Some(serde_json::from_str(body).unwrap_or_default())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a relay is started with.
pub(crate) struct Settings<'a> {
    /// The sandbox it delivers to; none: a service that nobody reaches, so that everything stays.
    pub(crate) sandbox: Option<&'a Sandbox>,
    /// Where the sandbox's SMTP is reached instead: through a proxy.
    pub(crate) smtp_port: Option<u16>,
    /// The spool's folder; none: a fresh one.
    pub(crate) spool: Option<&'a Path>,
    /// More of the `[relay]` section.
    pub(crate) more: &'a str,
    /// `tls` of the listener.
    pub(crate) tls: &'a str,
    /// Another build of the binary.
    pub(crate) binary: Option<PathBuf>,
}

impl Settings<'_> {
    pub(crate) const fn alone() -> Self {
        Self {
            sandbox: None,
            smtp_port: None,
            spool: None,
            more: "",
            tls: "none",
            binary: None,
        }
    }
}

/// A running relay.
pub(crate) struct Relay {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    /// From the start of the process until it listens.
    pub(crate) started_in: Duration,
}

impl Relay {
    pub(crate) fn start(settings: &Settings<'_>) -> Self {
        let folder = folder();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = configuration(settings, folder.path(), address);
        let file = folder.path().join("relay.toml");
        std::fs::write(&file, text).expect("a file of our own");
        let begin = kernel::moment();
        let child = Command::new(settings.binary.clone().unwrap_or_else(binary))
            .args(["relay", "--config"])
            .arg(&file)
            .env("SENDAS_BENCH_SECRET", "nobody is asked")
            .env(
                "SENDAS_LOG",
                std::env::var_os("SENDAS_BENCH_LOG").unwrap_or_else(|| "error".into()),
            )
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary is built");
        let mut relay = Self {
            child,
            folder,
            address,
            started_in: Duration::ZERO,
        };
        while TcpStream::connect(address).is_err() {
            let ended = relay.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "the relay ended: {ended:?}");
            assert!(
                begin.elapsed() < Duration::from_mins(2),
                "the relay does not listen"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        relay.started_in = begin.elapsed();
        relay
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn cpu(&self) -> Duration {
        kernel::cpu(self.pid())
    }

    pub(crate) fn memory_kib(&self) -> u64 {
        kernel::memory_kib(self.pid(), "VmRSS:")
    }

    /// The folder with its spool, when it was given none.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Ends as an operator ends it.
    pub(crate) fn stop(&mut self) {
        let pid = self.pid().to_string();
        drop(Command::new("kill").args(["-TERM", &pid]).status());
        drop(self.child.wait());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn configuration(settings: &Settings<'_>, folder: &Path, address: SocketAddr) -> String {
    let cloud = folder.join("cloud.toml");
    let (smtp, principal) = match settings.sandbox {
        Some(sandbox) => {
            let own = std::fs::read_to_string(sandbox.path().join("sendas.toml"))
                .expect("the sandbox wrote it");
            let at = own.find("credential").expect("the sandbox's own form");
            let until = own.find("cloud =").expect("the sandbox's own form");
            let head = own[..at].to_owned() + &own[at..until];
            let kept = std::fs::read_to_string(sandbox.path().join("cloud.toml"))
                .expect("the sandbox wrote it");
            let port = settings.smtp_port.unwrap_or(sandbox.smtp.port());
            let ca = sandbox.path().join("ca.pem");
            let is_ours = |line: &&str| !line.starts_with("smtp") && !line.starts_with("ca");
            let kept: Vec<&str> = kept.lines().filter(is_ours).collect();
            let smtp = format!(
                "{}\nsmtp = {{ host = \"localhost\", port = {port} }}\nca = \"{}\"\n",
                kept.join("\n"),
                ca.display()
            );
            (smtp, head)
        }
        None => (
            "name = \"away\"\nauthority = \"https://localhost:1\"\ngraph = \"https://localhost:1\"\n\
             exchange_admin = \"https://localhost:1\"\nresource = \"https://outlook.office365.com\"\n\
             smtp = { host = \"localhost\", port = 1 }\n"
                .to_owned(),
            "[[principal]]\nname = \"away\"\ntenant = \"contoso.onmicrosoft.com\"\n\
             client_id = \"11111111-2222-3333-4444-555555555555\"\n\
             credential = { secret = { env = \"SENDAS_BENCH_SECRET\" } }\n"
                .to_owned(),
        ),
    };
    std::fs::write(&cloud, smtp).expect("a file of our own");
    let spool = settings.spool.unwrap_or(folder).join("spool.db");
    format!(
        "{principal}cloud = {{ file = \"{}\" }}\nmailboxes = [\"*\"]\n\
         [relay]\nspool = \"sqlite://{}\"\nlisten = [{{ address = \"{address}\", tls = \"{}\" }}]\n\
         connections_max = 30000\nconnections_per_address_max = 30000\n{}\n\
         [[relay.client]]\nname = \"bench\"\nnetworks = [\"127.0.0.0/8\"]\nsenders = [\"*\"]\n",
        cloud.display(),
        spool.display(),
        settings.tls,
        settings.more,
    )
}
