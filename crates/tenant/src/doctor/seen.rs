//! What the looks have seen; secrets never come in here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use sendas_entra::{Claims, HttpError, Judgement, TokenError};
use sendas_smtp::{Capabilities, Reply};
use sendas_submit::TlsDetails;

use super::facts::{DirectoryFacts, ExchangeState, Obstacle};

/// What one look saw, or why it did not.
pub(crate) type Look<T> = Result<T, Blank>;

/// Why a look saw nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Blank {
    /// It was not made, or somebody said no; the reason. Speaks for no cause by itself.
    Unmade(String),
    /// Its deadline ran out; what it was still waiting for. Speaks for a cause of its own.
    Late(String),
}

impl fmt::Display for Blank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmade(words) | Self::Late(words) => f.write_str(words),
        }
    }
}

impl From<String> for Blank {
    fn from(words: String) -> Self {
        Self::Unmade(words)
    }
}

impl From<&str> for Blank {
    fn from(words: &str) -> Self {
        Self::Unmade(words.to_owned())
    }
}

/// Where a check takes its answer from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    /// What was handed in.
    Given,
    /// Files of this machine.
    Machine,
    /// Names.
    Names,
    /// The tenant's metadata at the token endpoint.
    Web,
    /// A token.
    Token,
    /// SMTP up to the EHLO inside TLS.
    Service,
    /// AUTH.
    Login,
    /// Microsoft Graph.
    Directory,
    /// The Exchange admin interface.
    Exchange,
    /// Listeners and spool.
    Relay,
}

/// Everything that was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) now: Timestamp,
    pub(crate) machine: Look<Machine>,
    pub(crate) names: Look<Names>,
    pub(crate) web: Look<Web>,
    pub(crate) token: Look<Result<Issued, TokenError>>,
    pub(crate) service: Look<Service>,
    pub(crate) login: Look<Logged>,
    pub(crate) directory: Look<Directory>,
    pub(crate) exchange: Look<Exchange>,
    pub(crate) relay: Look<RelaySeen>,
    /// How long each look took.
    pub(crate) took: BTreeMap<Source, Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) temporary: Option<String>,
    pub(crate) open_files_max: Option<u64>,
    pub(crate) memory_octets: Option<u64>,
    /// Mode of the credential's file.
    pub(crate) credential_mode: Option<u32>,
    /// Configuration files that others may write.
    pub(crate) writable: Vec<PathBuf>,
    /// The roots of trust: why there are none.
    pub(crate) trust: Option<String>,
    /// The claims of a federated token, or why it cannot be read.
    pub(crate) federated: Option<Result<Claims, String>>,
}

#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) authority: Resolved,
    pub(crate) smtp: Resolved,
    pub(crate) graph: Resolved,
    pub(crate) exchange: Resolved,
}

#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) host: String,
    pub(crate) addresses: Result<Vec<IpAddr>, String>,
    pub(crate) took: Duration,
}

#[derive(Debug)]
pub(crate) struct Web {
    pub(crate) took: Duration,
    pub(crate) answer: Result<Metadata, HttpError>,
}

#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) status: u16,
    /// Whether the body is a JSON object.
    pub(crate) is_json: bool,
    /// AADSTS numbers of a refusal.
    pub(crate) codes: Vec<u64>,
    /// The Date header.
    pub(crate) date: Option<Timestamp>,
    /// The local time at the middle of the exchange.
    pub(crate) local: Timestamp,
    /// The tenant id that the issuer names.
    pub(crate) tenant_id: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) claims: Option<Claims>,
    pub(crate) octets: usize,
    pub(crate) expires_at: Timestamp,
    pub(crate) judgements: Vec<Judgement>,
    pub(crate) took: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Service {
    pub(crate) peer: Option<String>,
    pub(crate) connected_after: Option<Duration>,
    pub(crate) greeting: Option<String>,
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) tls: Option<TlsDetails>,
    pub(crate) trouble: Option<Trouble>,
}

/// Why the conversation ended before AUTH.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    Broken(Obstacle, String),
    Refused(sendas_smtp::client::Stage, Reply),
}

#[derive(Debug)]
pub(crate) enum Logged {
    In,
    Refused(Reply),
    Broken(String),
}

#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) facts: DirectoryFacts,
    pub(crate) object_id: Option<String>,
    /// What it was granted besides `SMTP.SendAsApp`.
    pub(crate) others: Vec<Granted>,
    /// End of the secret or certificate in use.
    pub(crate) ends: Option<Timestamp>,
    pub(crate) has_exchange: Option<bool>,
}

/// An application permission that was granted.
#[derive(Debug)]
pub(crate) struct Granted {
    /// Its name, or its id where the resource does not tell the name.
    pub(crate) value: String,
    /// The name of the resource that offers it.
    pub(crate) resource: String,
}

#[derive(Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) state: ExchangeState,
    /// Object ids registered under the client id.
    pub(crate) registrations: Vec<String>,
    /// The mailbox's primary address.
    pub(crate) primary: Option<String>,
    /// Roles for applications that the principal holds.
    pub(crate) roles: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct RelaySeen {
    /// For each listener: it answers, or can be bound, or neither.
    pub(crate) listeners: Vec<(std::net::SocketAddr, Port)>,
    /// The end of the configured certificate, or why it cannot be read.
    pub(crate) certificate: Option<Result<Timestamp, String>>,
    pub(crate) spool: SpoolSeen,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// Somebody answers with an SMTP greeting, or with TLS where it comes first.
    Answers,
    /// Nobody has it.
    Free,
    /// Somebody else has it.
    Taken,
    /// It may not be used.
    Refused(String),
}

#[derive(Debug, Default)]
pub(crate) struct SpoolSeen {
    pub(crate) folder: Option<String>,
    pub(crate) is_folder_writable: Option<bool>,
    pub(crate) file_system: Option<String>,
    pub(crate) mode: Option<u32>,
    /// What the owner may still write there, in octets.
    pub(crate) free_octets: Option<u64>,
    /// Whether the file is a database; none when there is none yet.
    pub(crate) is_database: Option<bool>,
    /// Whether the shared database's host takes a connection.
    pub(crate) is_reached: Option<Result<(), String>>,
}
