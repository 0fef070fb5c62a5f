//! Who may submit what: pure decisions, made once from the settings and then only asked.

mod client;
mod guard;
mod meter;
mod password;
mod refusal;
#[cfg(test)]
pub(crate) mod test_settings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use sendas_config::{self as config, IpNetwork, ListenTls, MailboxEntry, RewriteFrom};
use sendas_envelope::{Address, ForwardPath, Mailbox, ReversePath};

use crate::limits::{NETWORK_PREFIX_MIN_V4, NETWORK_PREFIX_MIN_V6};

pub use client::Client;
pub use guard::Guard;
pub use meter::Meter;
pub use password::{PasswordError, hash_password};
pub(crate) use password::{PasswordHash, verify_nobody};
pub use refusal::Refusal;

/// Everything that decides whether a submission is taken.
#[derive(Debug)]
pub struct Policy {
    clients: Vec<Arc<Client>>,
    local: Arc<Client>,
    logins: HashMap<String, Arc<Client>>,
    principals: Vec<Vec<MailboxEntry>>,
    postmaster: Option<Route>,
    /// Octets of the largest message.
    pub message_octets_max: u64,
    /// Recipients of one message.
    pub recipients_max: u32,
}

/// The principal and mailbox that send for an address (product rule: one AUTH, one mailbox).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The principal's place in the settings, from 0.
    pub principal: usize,
    /// The mailbox to log in as.
    pub mailbox: Mailbox,
    /// The address it is sent as.
    pub address: Address,
}

/// What MAIL has decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The reverse-path the message goes on with.
    pub reverse_path: ReversePath,
    /// The one that the client gave.
    pub given: ReversePath,
    /// Who sends for it.
    pub route: Route,
}

/// Why a relay does not start with these settings.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Nobody could submit, and on a public address that would be all there is to say no with.
    #[error("no client is configured: nobody could submit anything")]
    NoClient,
    /// A network of clients without a login that is as good as everybody.
    #[error(
        "an open relay: client `{client}` is everybody in {address}/{prefix}, and needs no login"
    )]
    OpenRelay {
        /// The client.
        client: String,
        /// The network's lowest address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
    },
    /// A login that could never be used.
    #[error(
        "client `{client}` logs in, but no listener has TLS; add one, or `plaintext_auth = \"allowed\"`"
    )]
    LoginWithoutTls {
        /// The client.
        client: String,
    },
    /// A login without TLS from anywhere.
    #[error("client `{client}` may log in without TLS, so it needs `networks` to come from")]
    PlaintextFromAnywhere {
        /// The client.
        client: String,
    },
    /// A sender that no principal covers.
    #[error("{whose} `{address}` is covered by no principal's `mailboxes`")]
    Uncovered {
        /// Whose address it is.
        whose: String,
        /// The address.
        address: String,
    },
    /// A hash whose numbers cannot be used.
    #[error("the password hash of client `{client}` cannot be used: {reason}")]
    Hash {
        /// The client.
        client: String,
        /// What is wrong.
        reason: PasswordError,
    },
}

impl Policy {
    /// The policy of a relay and the principals behind it.
    ///
    /// # Errors
    /// [`PolicyError`]: the relay must not start.
    pub fn new(
        relay: &config::Relay,
        principals: &[config::Principal],
    ) -> Result<Self, PolicyError> {
        if relay.clients.is_empty() {
            return Err(PolicyError::NoClient);
        }
        let mut policy = Self {
            clients: Vec::with_capacity(relay.clients.len()),
            local: Arc::new(Client::local(None)),
            logins: HashMap::new(),
            principals: principals.iter().map(|p| p.mailboxes.clone()).collect(),
            postmaster: None,
            message_octets_max: relay.message_size_octets_max,
            recipients_max: relay.recipients_max,
        };
        if let Some(address) = &relay.postmaster {
            policy.postmaster = Some(policy.covered("the postmaster", address)?);
        }
        policy.local = Arc::new(Client::local(policy.nobodys_sender()));
        let has_tls = relay.listen.iter().any(|l| l.tls != ListenTls::None);
        for settings in &relay.clients {
            check_reach(settings, has_tls)?;
            let client = Arc::new(policy.client(settings)?);
            if let Some(login) = &settings.login {
                policy
                    .logins
                    .insert(login.user.clone(), Arc::clone(&client));
            }
            policy.clients.push(client);
        }
        Ok(policy)
    }

    /// The clients, in the order of the settings.
    pub fn clients(&self) -> &[Arc<Client>] {
        &self.clients
    }

    /// The programs of this machine that reach the relay's local socket: the file system has said
    /// that they may. They send as whatever a principal covers.
    pub const fn local(&self) -> &Arc<Client> {
        &self.local
    }

    /// The client that an address is without a login: of several the one with the narrowest
    /// network, among equals the first.
    pub fn by_network(&self, peer: IpAddr) -> Option<&Arc<Client>> {
        self.clients
            .iter()
            .filter(|client| client.login.is_none())
            .filter_map(|client| Some((client.nearness(peer)?, client)))
            .reduce(|best, next| if next.0 > best.0 { next } else { best })
            .map(|(_, client)| client)
    }

    /// The client with that login, if it may come from the address.
    pub fn by_login(&self, peer: IpAddr, user: &str, is_secure: bool) -> Option<&Arc<Client>> {
        self.logins
            .get(user)
            .filter(|client| client.may_log_in(peer, is_secure))
    }

    /// Whether anybody could log in from an address.
    pub fn offers_login(&self, peer: IpAddr, is_secure: bool) -> bool {
        self.logins
            .values()
            .any(|client| client.may_log_in(peer, is_secure))
    }

    /// Who sends for an address: none when no principal covers it.
    pub fn route(&self, address: &Address) -> Option<Route> {
        let entries = self.principals.iter().map(Vec::as_slice);
        let coverage = config::coverage(entries, address.as_str())?;
        Some(Route {
            principal: coverage.principal,
            mailbox: coverage.mailbox.parse().ok()?,
            address: address.clone(),
        })
    }

    /// The principal that logs in as a mailbox: the one that sends through it for others, else the
    /// one that covers its own address.
    pub fn principal_of(&self, mailbox: &Mailbox) -> Option<usize> {
        let entries = self.principals.iter().map(Vec::as_slice);
        config::principal_of(entries, mailbox.as_str())
    }

    /// The sender of notices, where one was configured.
    pub const fn postmaster(&self) -> Option<&Route> {
        self.postmaster.as_ref()
    }

    /// Who sends for each address that is named as such, by clients first, then by principals.
    pub fn named_routes(&self) -> Vec<Route> {
        let of_clients = self.clients.iter().filter_map(|client| client.own.clone());
        let entries = self.principals.iter().flatten();
        let addresses = entries.filter_map(|entry| match &entry.pattern {
            config::Pattern::Address(address) => address.parse::<Address>().ok(),
            _ => None,
        });
        let of_principals = addresses.filter_map(|address| self.route(&address));
        of_clients.chain(of_principals).collect()
    }

    /// Decides about MAIL FROM (the mailbox rule).
    ///
    /// # Errors
    /// [`Refusal`], told at MAIL and never later.
    pub fn sender(&self, client: &Client, given: &ReversePath) -> Result<Sender, Refusal> {
        let kept = |reverse_path: &ReversePath, route: &Route| Sender {
            reverse_path: reverse_path.clone(),
            given: given.clone(),
            route: route.clone(),
        };
        let Some(address) = given.address() else {
            // A notice has no sender; it goes through the client's own mailbox.
            let own = client.own.as_ref().ok_or(Refusal::NullWithoutMailbox)?;
            return Ok(kept(given, own));
        };
        let replaced = || {
            client
                .own
                .as_ref()
                .map(|own| kept(&own.address.clone().into(), own))
        };
        if client.rewrite_from == RewriteFrom::Always {
            return replaced().ok_or(Refusal::SenderNotAllowed);
        }
        let refusal = if client.may_send_as(address) {
            match self.route(address) {
                Some(route) => return Ok(kept(given, &route)),
                None => Refusal::SenderUncovered,
            }
        } else {
            Refusal::SenderNotAllowed
        };
        match client.rewrite_from {
            RewriteFrom::IfNotAllowed => replaced().ok_or(refusal),
            _ => Err(refusal),
        }
    }

    /// Decides about a recipient; `accepted` are already in the transaction.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn recipient(
        &self,
        client: &Client,
        path: &ForwardPath,
        accepted: usize,
    ) -> Result<(), Refusal> {
        let max = client.recipients_max.unwrap_or(self.recipients_max);
        if accepted >= usize::try_from(max).unwrap_or(usize::MAX) {
            return Err(Refusal::TooManyRecipients(max));
        }
        // `<Postmaster>` without a domain is ours alone, and nobody's mailbox in the tenant.
        let address = path.address().ok_or(Refusal::BarePostmaster)?;
        if address.domain().starts_with('[') {
            return Err(Refusal::AddressLiteral);
        }
        if hides_a_route(address) {
            return Err(Refusal::HiddenRoute);
        }
        if client.may_write_to(address) {
            Ok(())
        } else {
            Err(Refusal::RecipientNotAllowed)
        }
    }

    /// Octets of the largest message of a client.
    pub fn octets_max(&self, client: &Client) -> u64 {
        client
            .message_octets_max
            .unwrap_or(self.message_octets_max)
            .min(self.message_octets_max)
    }

    /// Who sends what this machine's programs send without a sender: the postmaster, else the first
    /// mailbox that is named in full.
    fn nobodys_sender(&self) -> Option<Route> {
        let entries = self.principals.iter().flatten();
        self.postmaster.clone().or_else(|| {
            entries
                .filter_map(|entry| match &entry.pattern {
                    config::Pattern::Address(address) => address.parse().ok(),
                    _ => None,
                })
                .find_map(|address| self.route(&address))
        })
    }

    fn covered(&self, whose: &str, address: &str) -> Result<Route, PolicyError> {
        let uncovered = || PolicyError::Uncovered {
            whose: whose.to_owned(),
            address: address.to_owned(),
        };
        let parsed: Address = address.parse().map_err(|_| uncovered())?;
        self.route(&parsed).ok_or_else(uncovered)
    }

    fn client(&self, settings: &config::RelayClient) -> Result<Client, PolicyError> {
        let whose = format!("the sender of client `{}`,", settings.name);
        let mut own = None;
        for pattern in &settings.senders {
            if let config::Pattern::Address(address) = pattern {
                let route = self.covered(&whose, address)?;
                own.get_or_insert(route);
            }
        }
        let login = settings.login.as_ref().map(|login| {
            PasswordHash::parse(&login.password_hash).map_err(|reason| PolicyError::Hash {
                client: settings.name.clone(),
                reason,
            })
        });
        Ok(Client::new(settings, own, login.transpose()?))
    }
}

/// Whether a client could be anybody, or nobody.
fn check_reach(client: &config::RelayClient, has_tls: bool) -> Result<(), PolicyError> {
    let name = || client.name.clone();
    let wide = |network: &&IpNetwork| {
        let min = if network.address.is_ipv4() {
            NETWORK_PREFIX_MIN_V4
        } else {
            NETWORK_PREFIX_MIN_V6
        };
        network.prefix < min
    };
    match &client.login {
        None => match client.networks.iter().find(wide) {
            Some(network) => Err(PolicyError::OpenRelay {
                client: name(),
                address: network.address,
                prefix: network.prefix,
            }),
            None if client.networks.is_empty() => Err(PolicyError::NoClient),
            None => Ok(()),
        },
        Some(_) if client.plaintext_auth && client.networks.is_empty() => {
            Err(PolicyError::PlaintextFromAnywhere { client: name() })
        }
        Some(_) if !client.plaintext_auth && !has_tls => {
            Err(PolicyError::LoginWithoutTls { client: name() })
        }
        Some(_) => Ok(()),
    }
}

/// Whether a local part names a second destination: `a%b`, `a!b` or `"a@b"`. The next system
/// might follow it.
fn hides_a_route(address: &Address) -> bool {
    address.local_part().contains(['%', '!', '@', ':'])
}
