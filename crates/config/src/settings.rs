//! The settings as the program needs them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::kind::Network as IpNetwork;
use crate::mailbox::{self, Coverage, MailboxEntry, Pattern};

/// Everything that was configured, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The principals, in the order of the file.
    pub principals: Vec<Principal>,
    /// How this machine reaches the service.
    pub network: Network,
    /// Limits of `sendas send`.
    pub send: Send,
    /// The submission server, when the file has a `relay` section.
    pub relay: Option<Relay>,
}

/// One application identity in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Unique name.
    pub name: String,
    /// Tenant id or domain; none only with a managed identity.
    pub tenant: Option<String>,
    /// Client id; none only with a managed identity.
    pub client_id: Option<String>,
    /// What proves it.
    pub credential: Credential,
    /// The cloud its tenant lives in.
    pub cloud: Cloud,
    /// The senders it covers.
    pub mailboxes: Vec<MailboxEntry>,
    /// How the tenant authorizes it, when that was said.
    pub method: Option<Method>,
}

/// What proves a principal; holds places of secrets, never secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A file with certificate and private key.
    Certificate {
        /// PEM or PKCS#12.
        path: PathBuf,
        /// Where the file's password is kept.
        password: Option<SecretPlace>,
    },
    /// A client secret.
    Secret(SecretPlace),
    /// A file with another provider's token.
    Federated {
        /// Read anew for each request.
        path: PathBuf,
    },
    /// The machine's own identity in Azure.
    ManagedIdentity {
        /// A user-assigned identity's client id.
        client_id: Option<String>,
    },
}

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// A file that holds it and nothing else.
    File(PathBuf),
    /// A systemd credential's name.
    Systemd(String),
    /// An environment variable's name.
    Variable(String),
}

/// Which cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cloud {
    /// One of the known names.
    Named(String),
    /// A file that describes one.
    File(PathBuf),
    /// An authority's address from `AZURE_AUTHORITY_HOST`; must be that of a known cloud.
    Authority(String),
}

/// How a tenant authorizes a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Roles for applications in Exchange; the token has no roles.
    Rbac,
    /// The Entra permission `SMTP.SendAsApp` and mailbox rights; the token has the role.
    Classic,
}

/// How this machine reaches the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Certificate authorities trusted besides the system's.
    pub ca: Option<PathBuf>,
    /// The name given in EHLO.
    pub ehlo: Option<String>,
    /// How long one connection may take to be established.
    pub connect_timeout: Duration,
}

/// Limits of `sendas send`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// The largest message, in octets.
    pub message_size_octets_max: u64,
}

/// The submission server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Where accepted messages are kept.
    pub spool: Spool,
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// Whose programs on this machine may hand messages over.
    pub local_programs: LocalPrograms,
    /// Its own name; none: the machine's.
    pub hostname: Option<String>,
    /// The certificate chain and, unless `key` says otherwise, its key; none: one of its own.
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, where it has a file of its own.
    pub key: Option<PathBuf>,
    /// Further names and addresses in the relay's own certificate.
    pub certificate_names: Vec<String>,
    /// The largest message, in octets.
    pub message_size_octets_max: u64,
    /// The most recipients of one message.
    pub recipients_max: u32,
    /// Connections at a time.
    pub connections_max: u32,
    /// Connections at a time from one address.
    pub connections_per_address_max: u32,
    /// Sends of one mailbox at a time.
    pub mailbox_sends_max: u32,
    /// Messages of one mailbox within any minute.
    pub mailbox_messages_per_minute: u32,
    /// Recipients of one mailbox within any 24 hours.
    pub mailbox_recipients_per_day: u32,
    /// Whose connections begin with a PROXY protocol header.
    pub proxy_networks: Vec<IpNetwork>,
    /// How long a message is tried.
    pub retry_for: Duration,
    /// When a delay is told.
    pub delay_notice_after: Duration,
    /// What happens to a message whose end nobody saw.
    pub uncertain: Uncertain,
    /// The sender of delivery notices; none: the message's own mailbox.
    pub postmaster: Option<String>,
    /// How long settled messages are remembered.
    pub history: Duration,
    /// Dashboard, API, metrics, health.
    pub admin: SocketAddr,
    /// Who may submit.
    pub clients: Vec<RelayClient>,
}

/// Whose programs on this machine may use the relay's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalPrograms {
    /// Those of the spool's owner and group.
    Group,
    /// Those of every user, as with any mail server of a Unix machine.
    Everyone,
}

/// Where accepted messages are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spool {
    /// A database file on this machine.
    Sqlite(PathBuf),
    /// A database that several relays share; the whole address.
    Postgres(String),
}

/// One listening address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// IP address and port.
    pub address: SocketAddr,
    /// When TLS begins.
    pub tls: ListenTls,
}

/// When TLS begins on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenTls {
    /// Never.
    None,
    /// After STARTTLS.
    Starttls,
    /// With the first octet.
    Implicit,
}

/// One printer, program or network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayClient {
    /// Unique name.
    pub name: String,
    /// Where it may come from; empty: it must log in.
    pub networks: Vec<IpNetwork>,
    /// How it logs in; none: it must come from its networks.
    pub login: Option<Login>,
    /// Whether it may log in without TLS.
    pub plaintext_auth: bool,
    /// The senders it may use.
    pub senders: Vec<Pattern>,
    /// The recipients it may write to; empty: everybody.
    pub recipients: Vec<Pattern>,
    /// Whether its From header is replaced.
    pub rewrite_from: RewriteFrom,
    /// The largest message in octets; none: the relay's.
    pub message_size_octets_max: Option<u64>,
    /// The most recipients of one message; none: the relay's.
    pub recipients_max: Option<u32>,
    /// Messages a minute; none: no limit.
    pub messages_per_minute: Option<u32>,
    /// Whether lines that end without CRLF are mended.
    pub line_endings: LineEndings,
    /// Whether overlong lines are cut.
    pub long_lines: LongLines,
    /// Who is told about its failures.
    pub owner: Option<String>,
}

/// What a relay client logs in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The argon2id hash of the password, as a PHC string.
    pub password_hash: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.user)
    }
}

/// What happens to a line that ends without CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEndings {
    /// The message is refused.
    Strict,
    /// It is mended.
    Normalize,
}

/// What happens to a line that is longer than a mail may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongLines {
    /// The message is refused.
    Refuse,
    /// It is cut.
    Wrap,
}

/// What happens to a message whose connection broke before the service's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncertain {
    /// It is sent again and may arrive twice.
    Resend,
    /// It waits for a person.
    Hold,
}

/// When a From header is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewriteFrom {
    /// Never.
    Never,
    /// When the client may not use it.
    IfNotAllowed,
    /// Always.
    Always,
}

impl Spool {
    /// The socket beside the spool, through which programs of this machine hand messages to a
    /// running relay; none for a spool that is not on this machine.
    pub fn socket(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(index) => {
                let mut path = index.clone().into_os_string();
                path.push(".sock");
                Some(path.into())
            }
            Self::Postgres(_) => None,
        }
    }
}

impl Settings {
    /// Finds who sends for a reverse-path; none: nobody does.
    pub fn coverage(&self, reverse_path: &str) -> Option<Coverage> {
        mailbox::coverage(
            self.principals
                .iter()
                .map(|principal| principal.mailboxes.as_slice()),
            reverse_path,
        )
    }

    /// Finds the principal that logs in as a mailbox.
    pub fn principal_of(&self, mailbox: &str) -> Option<&Principal> {
        let entries = self.principals.iter().map(|p| p.mailboxes.as_slice());
        let at = mailbox::principal_of(entries, mailbox)?;
        self.principals.get(at)
    }

    /// Finds a principal by name.
    pub fn principal(&self, name: &str) -> Option<&Principal> {
        self.principals
            .iter()
            .find(|principal| principal.name == name)
    }
}
