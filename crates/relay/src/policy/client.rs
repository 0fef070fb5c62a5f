//! One printer, program or network.

use std::net::IpAddr;

use sendas_config::{self as config, IpNetwork, LineEndings, LongLines, Pattern, RewriteFrom};
use sendas_envelope::Address;

use super::{PasswordHash, Route};

/// Who a submission comes from, and what it may do.
#[derive(Debug)]
pub struct Client {
    /// Its name in logs and queue.
    pub name: String,
    /// When From is replaced.
    pub rewrite_from: RewriteFrom,
    /// Whether lines that end without CRLF are mended.
    pub line_endings: LineEndings,
    /// Whether overlong lines are cut.
    pub long_lines: LongLines,
    /// Messages a minute.
    pub messages_per_minute: Option<u32>,
    /// Who is told about failures when the sender cannot be.
    pub owner: Option<Address>,
    /// The first whole address among its senders, and who sends for it.
    pub own: Option<Route>,
    pub(super) login: Option<PasswordHash>,
    pub(super) recipients_max: Option<u32>,
    pub(super) message_octets_max: Option<u64>,
    networks: Vec<IpNetwork>,
    plaintext_auth: bool,
    senders: Vec<Pattern>,
    recipients: Vec<Pattern>,
}

impl Client {
    pub(super) fn new(
        settings: &config::RelayClient,
        own: Option<Route>,
        login: Option<PasswordHash>,
    ) -> Self {
        Self {
            name: settings.name.clone(),
            rewrite_from: settings.rewrite_from,
            line_endings: settings.line_endings,
            long_lines: settings.long_lines,
            messages_per_minute: settings.messages_per_minute,
            owner: settings.owner.as_deref().and_then(|text| text.parse().ok()),
            own,
            login,
            recipients_max: settings.recipients_max,
            message_octets_max: settings.message_size_octets_max,
            networks: settings.networks.clone(),
            plaintext_auth: settings.plaintext_auth,
            senders: settings.senders.clone(),
            recipients: settings.recipients.clone(),
        }
    }

    /// The programs of this machine; `own` sends what has no sender.
    pub(super) fn local(own: Option<Route>) -> Self {
        Self {
            name: "local".to_owned(),
            rewrite_from: RewriteFrom::Never,
            line_endings: LineEndings::Strict,
            // What cron prints has lines of any length, and nobody there reads a refusal.
            long_lines: LongLines::Wrap,
            messages_per_minute: None,
            owner: None,
            own,
            login: None,
            recipients_max: None,
            message_octets_max: None,
            networks: Vec::new(),
            plaintext_auth: false,
            senders: vec![Pattern::Everything],
            recipients: Vec::new(),
        }
    }

    /// Whether it may send as an address, in the envelope and in From.
    pub fn may_send_as(&self, address: &Address) -> bool {
        self.senders
            .iter()
            .any(|pattern| pattern.covers(address.as_str()))
    }

    /// Whether it may write to an address.
    pub fn may_write_to(&self, address: &Address) -> bool {
        self.recipients.is_empty()
            || self
                .recipients
                .iter()
                .any(|pattern| pattern.covers(address.as_str()))
    }

    /// The hash of its password, where it logs in.
    pub(crate) const fn password(&self) -> Option<&PasswordHash> {
        self.login.as_ref()
    }

    /// How near one of its networks is to an address: the longest prefix that holds it.
    pub(super) fn nearness(&self, peer: IpAddr) -> Option<u32> {
        let bits = if peer.to_canonical().is_ipv4() {
            32
        } else {
            128
        };
        self.networks
            .iter()
            .filter(|network| network.contains(peer))
            .map(|network| u32::from(network.prefix) * 128 / bits)
            .max()
    }

    /// Whether it may log in from an address over such a connection.
    pub(super) fn may_log_in(&self, peer: IpAddr, is_secure: bool) -> bool {
        self.login.is_some()
            && (is_secure || self.plaintext_auth)
            && (self.networks.is_empty() || self.nearness(peer).is_some())
    }
}
