//! Who may be a sender: the configured mailboxes, as far as a caller's words go.

use sendas_config::{Pattern, Settings};
use sendas_envelope::{Address, Mailbox};

use super::sysexits::{Sysexit, Trouble};

/// The domain of a machine without one; reserved by RFC 2606.
const NO_DOMAIN: &str = "localhost.invalid";

/// The mailbox rule for callers that know nothing of mailboxes.
pub(super) struct Senders<'a> {
    settings: &'a Settings,
    fallback: Option<Address>,
    domain: String,
}

impl<'a> Senders<'a> {
    /// # Errors
    /// When nobody sends for anything.
    pub(super) fn new(settings: &'a Settings) -> Result<Self, Trouble> {
        if settings.principals.is_empty() {
            return Err(Trouble::new(
                Sysexit::Configuration,
                "no principal is configured; see `sendas config check`",
            ));
        }
        let patterns = || {
            settings
                .principals
                .iter()
                .flat_map(|principal| &principal.mailboxes)
        };
        let fallback: Option<Address> = patterns().find_map(|entry| match &entry.pattern {
            Pattern::Address(address) => address.parse().ok(),
            _ => None,
        });
        let domain = fallback
            .as_ref()
            .map(|address| address.domain().to_owned())
            .or_else(|| {
                patterns().find_map(|entry| match &entry.pattern {
                    Pattern::Domain(domain) => Some(domain.clone()),
                    _ => None,
                })
            });
        Ok(Self {
            settings,
            fallback,
            domain: domain.unwrap_or_else(|| NO_DOMAIN.to_owned()),
        })
    }

    /// What is added to an address without a domain.
    pub(super) fn domain(&self) -> &str {
        &self.domain
    }

    /// Who sends what nobody else may send: the first mailbox that is named in full.
    pub(super) const fn fallback(&self) -> Option<&Address> {
        self.fallback.as_ref()
    }

    /// Whether a principal sends for the address.
    pub(super) fn covers(&self, address: &Address) -> bool {
        self.mailbox(address).is_some()
    }

    /// The mailbox that sends for the address.
    pub(super) fn mailbox(&self, address: &Address) -> Option<Mailbox> {
        let coverage = self.settings.coverage(address.as_str())?;
        coverage.mailbox.parse().ok()
    }

    /// The sender that takes an address's place.
    ///
    /// # Errors
    /// When there is none: all that is configured are whole domains.
    pub(super) fn instead_of(&self, address: &Address) -> Result<Address, Trouble> {
        self.fallback.clone().ok_or_else(|| {
            Trouble::new(
                Sysexit::Configuration,
                format!(
                    "no principal sends for {address}, and `mailboxes` names no single address that could; give -f"
                ),
            )
        })
    }
}
