//! What the doctor is handed: everything that somebody else has read already.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use sendas_entra::{ClientId, Cloud, Credential, Proxy, Tenant};
use sendas_envelope::Mailbox;
use sendas_exchange::Method;
use sendas_smtp::client::Stage;
use sendas_smtp::{ClientName, Reply};
use sendas_tls::TlsPolicy;

use crate::admin::AdminTokens;

/// One way from this machine to one mailbox, with what was read of machine and configuration.
#[derive(Debug)]
pub struct Case {
    /// The machine.
    pub host: Host,
    /// The configuration.
    pub configuration: Configuration,
    /// The principal that is examined; none when no usable one is configured.
    pub subject: Option<Subject>,
    /// The submission server, when one is configured.
    pub relay: Option<Relay>,
    /// The administrator's tokens, or why they cannot be used; none when none were given.
    pub admin: Option<Result<AdminTokens, String>>,
    /// When rights or registrations were last changed, as the set-up noted it or somebody says.
    pub changed: Option<Timestamp>,
    /// A refusal seen elsewhere, to be explained with the rest.
    pub reply: Option<(Stage, Reply)>,
}

/// The machine, as its environment tells.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where temporary files go.
    pub temporary: PathBuf,
    /// Whether a home folder is known.
    pub has_home: bool,
    /// When this program was made, at the earliest: a clock before that is wrong.
    pub not_before: Timestamp,
}

/// What was found and said of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The files it came from.
    pub files: Vec<PathBuf>,
    /// The places that have no file.
    pub missing: Vec<PathBuf>,
    /// What is wrong.
    pub errors: Vec<String>,
    /// What could be better.
    pub warnings: Vec<String>,
    /// The names of the principals.
    pub principals: Vec<String>,
    /// Why none of them is examined, if so.
    pub unchosen: Option<String>,
    /// The client id that `AZURE_CLIENT_ID` names.
    pub variable_client_id: Option<String>,
}

/// The principal that is examined.
#[derive(Debug)]
pub struct Subject {
    /// Its name in the configuration.
    pub name: String,
    /// Its cloud.
    pub cloud: Cloud,
    /// Whom to trust.
    pub tls: TlsPolicy,
    /// Its tenant; none only with a managed identity.
    pub tenant: Option<Tenant>,
    /// Its client id; none only with a managed identity.
    pub client_id: Option<ClientId>,
    /// How it is said to be authorized.
    pub method: Method,
    /// What proves it, or why that cannot be loaded.
    pub credential: Result<Credential, String>,
    /// The file that holds it, where it is a file.
    pub credential_file: Option<PathBuf>,
    /// The mailbox to log in as; none when none is known.
    pub mailbox: Option<Mailbox>,
    /// Whether the principal covers that mailbox.
    pub is_covered: bool,
    /// The proxy for HTTPS, or what is wrong with its setting.
    pub proxy: Result<Proxy, String>,
    /// What we call ourselves in EHLO.
    pub ehlo: ClientName,
    /// How long one connection may take.
    pub connect_timeout: Duration,
}

/// The submission server as it is configured.
#[derive(Clone, Debug)]
pub struct Relay {
    /// Where it listens.
    pub listen: Vec<(SocketAddr, ListenerTls)>,
    /// The file with its certificate; none when it makes one of its own.
    pub certificate: Option<PathBuf>,
    /// The largest message, in octets.
    pub message_size_octets_max: u64,
    /// Dashboard, API, metrics, health.
    pub admin: SocketAddr,
    /// Names of clients that may come from anywhere.
    pub open_clients: Vec<String>,
    /// Senders of clients that no principal covers.
    pub uncovered: Vec<String>,
    /// Where accepted messages are kept.
    pub spool: Spool,
}

/// When TLS begins on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerTls {
    /// Never.
    Never,
    /// After STARTTLS.
    Starttls,
    /// With the first octet.
    Implicit,
}

/// Where accepted messages are kept.
#[derive(Clone, Debug)]
pub enum Spool {
    /// A database file.
    File(PathBuf),
    /// A database that several relays share; host and port, where they could be read.
    Shared(Option<(String, u16)>),
}
