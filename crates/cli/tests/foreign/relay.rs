//! The real relay between a program and the sandbox.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sendas_sandbox::{Filter, Message, Options, Preset, Sandbox};
use sendas_testkit::process::{Program, Running};
use sendas_testkit::{canary, tools};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::support::Home;

/// Who gets the messages.
pub(crate) const RECIPIENT: &str = "someone@example.com";

/// How long a message may take from the relay's `250` to the sandbox.
const DELIVERY_MAX: Duration = Duration::from_mins(1);

/// `sendas relay` with three listeners, its own certificate, and the sandbox behind it.
pub(crate) struct Stage {
    pub(crate) sandbox: sendas_sandbox::Running,
    pub(crate) home: Home,
    /// Without TLS.
    pub(crate) plain: u16,
    /// With STARTTLS.
    pub(crate) starttls: u16,
    /// With TLS from the start.
    pub(crate) implicit: u16,
    relay: Running,
    seen: usize,
}

/// How a program reaches the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// No TLS, known by its address.
    Network,
    /// No TLS and AUTH PLAIN, as a client that knows no better is allowed to.
    BarePlain,
    /// No TLS and AUTH LOGIN, likewise.
    BareLogin,
    /// STARTTLS, known by its address.
    StarttlsNetwork,
    /// STARTTLS and AUTH PLAIN.
    StarttlsPlain,
    /// STARTTLS and AUTH LOGIN.
    StarttlsLogin,
    /// TLS from the start and AUTH PLAIN.
    ImplicitPlain,
    /// TLS from the start and AUTH LOGIN.
    ImplicitLogin,
}

impl Way {
    pub(crate) const ALL: [Self; 8] = [
        Self::Network,
        Self::BarePlain,
        Self::BareLogin,
        Self::StarttlsNetwork,
        Self::StarttlsPlain,
        Self::StarttlsLogin,
        Self::ImplicitPlain,
        Self::ImplicitLogin,
    ];

    /// The mechanism of AUTH, if there is one.
    pub(crate) fn auth(self) -> Option<&'static str> {
        match self {
            Self::Network | Self::StarttlsNetwork => None,
            Self::BarePlain | Self::StarttlsPlain | Self::ImplicitPlain => Some("PLAIN"),
            Self::BareLogin | Self::StarttlsLogin | Self::ImplicitLogin => Some("LOGIN"),
        }
    }

    /// The name to log in with.
    pub(crate) fn user(self) -> &'static str {
        match self {
            Self::BarePlain | Self::BareLogin => "printer",
            _ => "erp",
        }
    }

    /// `none`, `starttls` or `implicit`.
    pub(crate) fn tls(self) -> &'static str {
        match self {
            Self::Network | Self::BarePlain | Self::BareLogin => "none",
            Self::StarttlsNetwork | Self::StarttlsPlain | Self::StarttlsLogin => "starttls",
            Self::ImplicitPlain | Self::ImplicitLogin => "implicit",
        }
    }

    /// The word in Received (RFC 3848).
    fn protocol(self) -> &'static str {
        match (self.tls(), self.auth()) {
            ("none", None) => "ESMTP",
            ("none", Some(_)) => "ESMTPA",
            (_, None) => "ESMTPS",
            (_, Some(_)) => "ESMTPSA",
        }
    }
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let options = Options {
            tenant: Preset::Rbac,
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let behaviour = json!({ "behaviour": { "limits": "off" } });
        sandbox.patch(&behaviour).unwrap();
        let home = Home::new();
        let hashed = home
            .sendas(["relay", "password"])
            .stdin(format!("{}\n", password()))
            .run()
            .await
            .success();
        let principal = sandbox.folder().join("sendas.toml");
        let principal = std::fs::read_to_string(principal).unwrap();
        let mailbox = &sandbox.details().mailboxes[0];
        home.write(
            "sendas.toml",
            &format!(
                r#"
{principal}
[relay]
spool = "sqlite://{spool}"
hostname = "relay.test"
certificate_names = ["localhost"]
listen = [
  {{ address = "127.0.0.1:0", tls = "none" }},
  {{ address = "127.0.0.1:0", tls = "starttls" }},
  {{ address = "127.0.0.1:0", tls = "implicit" }},
]

[[relay.client]]
name = "this-machine"
networks = ["127.0.0.1/32"]
senders = ["{mailbox}"]

[[relay.client]]
name = "erp"
login = "erp"
password_hash = "{hash}"
senders = ["{mailbox}"]

[[relay.client]]
name = "old-printer"
login = "printer"
networks = ["127.0.0.1/32"]
plaintext_auth = "allowed"
password_hash = "{hash}"
senders = ["{mailbox}"]
"#,
                spool = home.path().join("spool.db").display(),
                hash = hashed.out().trim_end(),
            ),
        );
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sendas"), home.path().join("sendmail"))
            .unwrap();
        let config = home.path().join("sendas.toml");
        let mut relay = home
            .sendas(["relay"])
            .env("SENDAS_CONFIG", config)
            .start_logged();
        let mut ports = [0; 3];
        for port in &mut ports {
            let line = relay.line(|line| line.contains("listening address=")).await;
            let number = line.rsplit(':').next().unwrap();
            *port = number.trim().parse().unwrap();
        }
        let [plain, starttls, implicit] = ports;
        Self {
            sandbox,
            home,
            plain,
            starttls,
            implicit,
            relay,
            seen: 0,
        }
    }

    pub(crate) fn port(&self, way: Way) -> u16 {
        match way.tls() {
            "none" => self.plain,
            "starttls" => self.starttls,
            _ => self.implicit,
        }
    }

    /// The mailbox that everything is sent as.
    pub(crate) fn mailbox(&self) -> String {
        self.sandbox.details().mailboxes[0].clone()
    }

    /// The relay's certificate alone, as a program is told to trust it.
    pub(crate) fn certificate(&self) -> PathBuf {
        let whole = self.home.path().join("spool.db.tls.pem");
        let whole = std::fs::read_to_string(whole).unwrap();
        let start = whole.find("-----BEGIN CERTIFICATE-----").unwrap();
        let end = "-----END CERTIFICATE-----";
        let length = whole[start..].find(end).unwrap() + end.len();
        let path = self.home.path().join("relay.pem");
        std::fs::write(&path, format!("{}\n", &whole[start..start + length])).unwrap();
        path
    }

    /// A program of the machine, with the binary as its `sendmail`.
    pub(crate) fn foreign(&self, name: &str) -> Program {
        Program::new(tools::program(name))
            .clean_env()
            .env("HOME", self.home.path())
            .env("SENDAS_CONFIG", self.home.path().join("sendas.toml"))
            .env("LC_ALL", "C.UTF-8")
            .folder(self.home.path())
    }

    /// Waits for so many more messages in the sandbox, and gives them with their octets.
    pub(crate) async fn arrived(&mut self, count: usize) -> Vec<(Message, Vec<u8>)> {
        let all = self
            .sandbox
            .wait(&Filter::default(), self.seen + count, DELIVERY_MAX)
            .await;
        assert_eq!(all.len(), self.seen + count);
        let new = all.into_iter().skip(self.seen);
        self.seen += count;
        new.map(|message| {
            let octets = self.sandbox.raw(message.id).unwrap().unwrap().to_vec();
            (message, octets)
        })
        .collect()
    }

    /// The next message is this one, but for the Received field that the relay adds.
    pub(crate) async fn expect(&mut self, way: Way, sent: &[u8]) {
        let (message, octets) = self.arrived(1).await.remove(0);
        assert_eq!(message.reverse_path, self.mailbox(), "{way:?}");
        let to: Vec<&str> = message.recipients.iter().map(|to| &*to.address).collect();
        assert_eq!(to, [RECIPIENT], "{way:?}");
        let (received, rest) = without_received(&octets);
        assert!(
            received.contains(&format!(
                "by relay.test (sendas) with {} id ",
                way.protocol()
            )),
            "{way:?}: {received}"
        );
        assert_eq!(
            rest.escape_ascii().to_string(),
            sent.escape_ascii().to_string(),
            "{way:?}"
        );
    }

    pub(crate) async fn strike(self) {
        self.relay.stop().await;
        self.sandbox.stop().await;
    }
}

/// The password behind every [`Way::user`].
pub(crate) fn password() -> String {
    canary::secret("relay-login")
}

/// The first field, which is Received, and everything behind it.
pub(crate) fn without_received(octets: &[u8]) -> (String, &[u8]) {
    let lines = octets.split_inclusive(|&octet| octet == b'\n');
    let mut end = 0;
    for (at, line) in lines.enumerate() {
        if at > 0 && !line.starts_with(b"\t") {
            break;
        }
        end += line.len();
    }
    let received = String::from_utf8(octets[..end].to_vec()).unwrap();
    assert!(received.starts_with("Received: "), "{received}");
    (received, &octets[end..])
}

/// A message that every carelessness changes: leading dots, a lone dot, blanks at line ends, empty
/// lines at both ends of the body, octets above 127, a line of 998 octets, words that look like
/// commands, a folded field.
pub(crate) fn message(mailbox: &str, program: &str) -> Vec<u8> {
    let mut text = format!(
        "From: Relay [test] <{mailbox}>\r\n\
         To: {RECIPIENT}\r\n\
         Subject: sent by {program},\r\n with a folded line\r\n\
         Date: Mon, 23 Nov 2026 04:05:06 +0000\r\n\
         Message-ID: <{program}@foreign.example>\r\n\
         X-Odd:  two blanks\tand a tab \r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\
         \r\n\
         \r\n\
         .\r\n\
         ..two dots\r\n\
         .one dot\r\n\
         From here\r\n\
         QUIT\r\n\
         blanks at the end  \t\r\n\
         Grüße, 日本語, =20 =\r\n"
    )
    .into_bytes();
    text.extend(std::iter::repeat_n(b'x', 998));
    text.extend(b"\r\n.\r\n\r\n");
    text
}

/// Passes connections on to the relay and keeps what the clients said.
pub(crate) struct Tee {
    pub(crate) port: u16,
    said: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tee {
    pub(crate) async fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = tokio::net::TcpStream::connect(("127.0.0.1", target));
                let server = server.await.unwrap();
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    let back = tokio::spawn(async move {
                        tokio::io::copy(&mut from_server, &mut to_client).await
                    });
                    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
                    while let Ok(read @ 1..) = from_client.read(&mut piece).await {
                        all.extend_from_slice(&piece[..read]);
                        if to_server.write_all(&piece[..read]).await.is_err() {
                            break;
                        }
                    }
                    kept.lock().await.push(all);
                    drop(to_server);
                    drop(back.await);
                });
            }
        });
        Self { port, said }
    }

    /// The messages of all connections that have ended, without what transparency added
    /// (RFC 5321 §4.5.2).
    pub(crate) async fn messages(&self, connections: usize) -> Vec<Vec<u8>> {
        let ended = async {
            while self.said.lock().await.len() < connections {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DELIVERY_MAX, ended).await.unwrap();
        let said = self.said.lock().await;
        said.iter().flat_map(|all| messages(all)).collect()
    }
}

fn messages(said: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    for line in said.split_inclusive(|&octet| octet == b'\n') {
        match &mut open {
            None if line.eq_ignore_ascii_case(b"DATA\r\n") => open = Some(Vec::new()),
            None => {}
            Some(message) if line == b".\r\n" => {
                all.push(std::mem::take(message));
                open = None;
            }
            Some(message) => message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line)),
        }
    }
    all
}
