//! A relay with its spool, its sandbox and a client.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sendas_config::{
    Credential as Kept, IpNetwork, LineEndings, Listen, ListenTls, Login, LongLines, MailboxEntry,
    Pattern, Principal as Configured, RelayClient, RewriteFrom, Uncertain,
};
use sendas_entra::{
    ClientId, Cloud, Credential, EntraTokenSource, HttpClient, Principal, Proxy, SystemClock,
    Tenant,
};
use sendas_relay::schedule::Pace;
use sendas_relay::{Base, Control, Relay, Setup, View, listeners};
use sendas_sandbox::{Fault, Options, Preset, Running, Sandbox};
use sendas_smtp::ClientName;
use sendas_spool::{Disk, Filter, Message, RealDisk, Spool, SpoolError, State};
use sendas_submit::{Connector, Pool, PoolLimits};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

pub(crate) struct Stage {
    pub(crate) sandbox: Running,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) view: View,
    pub(crate) control: Control,
    pub(crate) own: String,
    pub(crate) folder: tempfile::TempDir,
    relay: sendas_config::Relay,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), SpoolError>>,
}

/// A client that may do everything as the sandbox's first mailbox.
pub(crate) fn client(own: &str) -> RelayClient {
    RelayClient {
        name: "test".to_owned(),
        networks: vec![IpNetwork::parse("127.0.0.1").unwrap()],
        login: None,
        plaintext_auth: false,
        senders: vec![Pattern::parse(own).unwrap()],
        recipients: Vec::new(),
        rewrite_from: RewriteFrom::Never,
        message_size_octets_max: None,
        recipients_max: None,
        messages_per_minute: None,
        line_endings: LineEndings::Strict,
        long_lines: LongLines::Refuse,
        owner: None,
    }
}

pub(crate) fn login(user: &str, password: &str) -> Login {
    Login {
        user: user.to_owned(),
        password_hash: sendas_relay::hash_password(password).unwrap(),
    }
}

fn settings(own: &str) -> sendas_config::Relay {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listen = |tls| Listen { address: any, tls };
    sendas_config::Relay {
        spool: sendas_config::Spool::Sqlite(PathBuf::from("/unused")),
        local_programs: sendas_config::LocalPrograms::Group,
        listen: vec![
            listen(ListenTls::None),
            listen(ListenTls::Starttls),
            listen(ListenTls::Implicit),
        ],
        hostname: None,
        certificate: None,
        key: None,
        certificate_names: vec!["localhost".to_owned()],
        message_size_octets_max: 64 * 1024 * 1024,
        recipients_max: 500,
        connections_max: 100,
        connections_per_address_max: 100,
        mailbox_sends_max: 3,
        mailbox_messages_per_minute: 30,
        mailbox_recipients_per_day: 10_000,
        proxy_networks: Vec::new(),
        retry_for: Duration::from_hours(120),
        delay_notice_after: Duration::from_hours(4),
        uncertain: Uncertain::Resend,
        postmaster: None,
        history: Duration::from_hours(24),
        admin: any,
        clients: vec![client(own)],
    }
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut sendas_config::Relay)) -> Self {
        Self::on(Arc::new(RealDisk), change).await
    }

    /// A relay whose bodies lie on this disk.
    pub(crate) async fn on(
        disk: Arc<dyn Disk>,
        change: impl FnOnce(&mut sendas_config::Relay),
    ) -> Self {
        let options = Options {
            tenant: Preset::Rbac,
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let patch = json!({ "behaviour": { "limits": "off" } });
        sandbox.patch(&patch).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let own = sandbox.details().mailboxes[0].clone();
        let mut relay = settings(&own);
        change(&mut relay);
        let options = sendas_spool::Options::new(folder.path().join("spool.db")).disk(disk);
        let now = sandbox.now();
        let spool = tokio::task::spawn_blocking(move || Spool::open(&options, now))
            .await
            .unwrap()
            .unwrap();
        let base = Base {
            spool,
            clock: Arc::new(SystemClock::new()),
            pace: Pace::unlimited(),
            seed: 1,
        };
        let built = Relay::new(setup(&sandbox, &folder, relay.clone()), base).unwrap();
        let sockets = listeners(&relay, Vec::new()).unwrap();
        let addresses = sockets
            .iter()
            .map(|listener| listener.socket.local_addr().unwrap())
            .collect();
        let (view, control) = (built.view(), built.control());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(built.run(sockets, None, shutdown.clone()));
        Self {
            sandbox,
            addresses,
            view,
            control,
            own,
            folder,
            relay,
            shutdown,
            task,
        }
    }

    /// The relay's settings after a change, for a reload.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut sendas_config::Relay)) -> Setup {
        let mut relay = self.relay.clone();
        change(&mut relay);
        setup(&self.sandbox, &self.folder, relay)
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.sandbox.fault(fault).unwrap();
    }

    pub(crate) async fn client(&self) -> Client<TcpStream> {
        Client::connect(self.addresses[0]).await
    }

    /// Sends one message to the relay; gives the final reply.
    pub(crate) async fn send(&self, to: &[&str], message: &str) -> String {
        let mut client = self.client().await;
        client.open(&self.own, to).await;
        client.say("DATA").await;
        client.write(message.as_bytes()).await;
        client.say(".").await
    }

    /// Waits until no message waits or is under way; gives all with their histories.
    pub(crate) async fn settled(&self, count: usize) -> Vec<Message> {
        self.until(count, |message| message.summary.state == State::Settled)
            .await
    }

    pub(crate) async fn until(
        &self,
        count: usize,
        fits: impl Fn(&Message) -> bool + Copy,
    ) -> Vec<Message> {
        let waiting = async {
            loop {
                let all = self.messages().await;
                if all.len() >= count && all.iter().all(fits) {
                    return all;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let timed = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        if let Ok(all) = timed {
            return all;
        }
        panic!("{:#?}", self.messages().await)
    }

    pub(crate) async fn messages(&self) -> Vec<Message> {
        self.view
            .spool()
            .read(|view| {
                let ids = view.ids(&Filter::default(), None, 1000)?;
                ids.into_iter().map(|id| view.message(id)).collect()
            })
            .await
            .unwrap()
    }

    /// Waits for the relay to end by itself.
    pub(crate) async fn ended(self) -> Result<(), SpoolError> {
        let ended = self.task.await.unwrap();
        self.sandbox.stop().await;
        ended
    }

    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        self.sandbox.stop().await;
        self.folder
    }
}

fn setup(sandbox: &Running, folder: &tempfile::TempDir, relay: sendas_config::Relay) -> Setup {
    let details = sandbox.details();
    let cloud = Cloud::from_file(sandbox.folder().join("cloud.toml")).unwrap();
    let tls = cloud.tls_policy().unwrap();
    let client = details.client.as_ref().unwrap();
    let principal = Principal::new(
        cloud.clone(),
        Tenant::parse(&details.tenant.id.to_string()).unwrap(),
        ClientId::parse(&client.id.to_string()).unwrap(),
        Credential::secret_bytes(client.secret.clone().into_bytes()).unwrap(),
    );
    let clock = Arc::new(SystemClock::new());
    let http = HttpClient::new(tls.clone(), Proxy::none());
    let source = EntraTokenSource::new(principal, http, clock.clone(), 1);
    let name = ClientName::new("relay.test").unwrap();
    let connector = Connector::new(cloud.smtp(), name, tls);
    let pool = Pool::new(connector, Arc::new(source), clock, PoolLimits::default());
    Setup {
        relay,
        principals: vec![Configured {
            name: "sandbox".to_owned(),
            tenant: None,
            client_id: None,
            credential: Kept::ManagedIdentity { client_id: None },
            cloud: sendas_config::Cloud::Named("global".to_owned()),
            mailboxes: vec![MailboxEntry {
                pattern: Pattern::Everything,
                mailbox: None,
            }],
            method: None,
        }],
        pools: vec![pool],
        hostname: "relay.test".to_owned(),
        own_certificate: folder.path().join("relay.pem"),
    }
}

/// A client that says what it is told.
pub(crate) struct Client<IO> {
    pub(crate) io: BufReader<IO>,
    pub(crate) greeting: String,
}

impl Client<TcpStream> {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Client<IO> {
    pub(crate) async fn over(io: IO) -> Self {
        let mut client = Self {
            io: BufReader::new(io),
            greeting: String::new(),
        };
        client.greeting = client.reply().await;
        client
    }

    /// EHLO, MAIL and RCPT.
    pub(crate) async fn open(&mut self, from: &str, to: &[&str]) {
        assert!(self.say("EHLO client.test").await.starts_with("250"));
        let reply = self.say(&format!("MAIL FROM:<{from}>")).await;
        assert!(reply.starts_with("250"), "{reply}");
        for to in to {
            let (path, options) = to.split_once(' ').unwrap_or((to, ""));
            let reply = self.say(&format!("RCPT TO:<{path}> {options}")).await;
            assert!(reply.starts_with("250"), "{reply}");
        }
    }

    pub(crate) async fn write(&mut self, octets: &[u8]) {
        self.io.write_all(octets).await.unwrap();
    }

    /// Says a line and gives the whole reply; empty when the connection is over. `DATA` is
    /// answered with `354`.
    pub(crate) async fn say(&mut self, line: &str) -> String {
        self.write(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    pub(crate) async fn reply(&mut self) -> String {
        let mut all = String::new();
        loop {
            let start = all.len();
            if self.io.read_line(&mut all).await.unwrap_or(0) == 0 {
                return all;
            }
            if all.as_bytes().get(start + 3) != Some(&b'-') {
                return all;
            }
        }
    }
}
