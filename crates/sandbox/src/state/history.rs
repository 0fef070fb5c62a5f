//! From when a change acts.
//!
//! Every change makes a new document. A document is remembered with the time at which each kind
//! of its content begins to act; what acts now is, per kind, the newest document whose time has
//! come. Grants and revocations are late alike.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Tenant;
use crate::limits;

/// What propagates at a speed of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Applications, service principals, policies.
    Directory,
    /// Secrets, certificates and federated credentials.
    Credential,
    /// Granted application permissions.
    Consent,
    /// Service principals in Exchange.
    ExchangePrincipal,
    /// Mailbox permissions.
    Permission,
    /// SMTP AUTH switches and limits of organisation and mailbox.
    Switch,
    /// Scopes, role assignments and group membership.
    Rbac,
    /// The mailboxes themselves.
    Mailbox,
    /// Objects of the directory as Microsoft Graph finds them by id.
    Replication,
    /// Objects of the directory as lists of Microsoft Graph hold them.
    Listing,
}

const KINDS: usize = 10;

/// Seconds until a change acts, per kind; 0 acts at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Propagation {
    /// Applications, service principals, policies.
    pub directory: u32,
    /// Secrets, certificates and federated credentials.
    pub credential: u32,
    /// Granted application permissions.
    pub consent: u32,
    /// Service principals in Exchange.
    pub exchange_principal: u32,
    /// Mailbox permissions.
    pub permission: u32,
    /// SMTP AUTH switches and limits.
    pub switch: u32,
    /// Scopes, role assignments, group membership.
    pub rbac: u32,
    /// The mailboxes themselves.
    pub mailbox: u32,
    /// Microsoft Graph finding an object by its id, or as the target of a reference.
    pub replication: u32,
    /// Microsoft Graph listing an object.
    pub listing: u32,
}

impl Propagation {
    fn of(self) -> [u32; KINDS] {
        [
            self.directory,
            self.credential,
            self.consent,
            self.exchange_principal,
            self.permission,
            self.switch,
            self.rbac,
            self.mailbox,
            self.replication,
            self.listing,
        ]
    }
}

/// The documents that act now or will.
#[derive(Debug)]
pub(crate) struct History {
    // Oldest first; never empty.
    versions: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    tenant: Arc<Tenant>,
    acts_from: [Timestamp; KINDS],
}

/// The documents that act at one moment, one per kind.
#[derive(Clone, Debug)]
pub(crate) struct Acting([Arc<Tenant>; KINDS]);

impl Acting {
    /// The document that acts for `kind`.
    pub(crate) fn on(&self, kind: Kind) -> &Tenant {
        &self.0[kind as usize]
    }
}

impl History {
    /// A tenant that has always been as it is.
    pub(crate) fn new(tenant: Tenant) -> Self {
        let acts_from = [Timestamp::MIN; KINDS];
        Self {
            versions: vec![Version {
                tenant: Arc::new(tenant),
                acts_from,
            }],
        }
    }

    /// The document as it was last written, whether or not it acts yet.
    pub(crate) fn written(&self) -> &Arc<Tenant> {
        &self
            .versions
            .last()
            .expect("a history is never empty")
            .tenant
    }

    /// Replaces the document at `now`; each kind acts after the delay the new document asks for.
    pub(crate) fn write(&mut self, tenant: Tenant, now: Timestamp) {
        let acts_from = tenant.propagation_s.of().map(|seconds| {
            now.checked_add(SignedDuration::from_secs(i64::from(seconds)))
                .unwrap_or(Timestamp::MAX)
        });
        self.versions.push(Version {
            tenant: Arc::new(tenant),
            acts_from,
        });
        self.forget(now);
    }

    /// What acts at `now`.
    pub(crate) fn acting(&self, now: Timestamp) -> Acting {
        Acting(std::array::from_fn(|kind| {
            Arc::clone(&self.versions[self.newest(kind, now)].tenant)
        }))
    }

    /// When the last change not yet acting will act; none when everything acts.
    pub(crate) fn settled_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.versions
            .iter()
            .flat_map(|v| v.acts_from)
            .filter(|at| *at > now)
            .max()
    }

    fn newest(&self, kind: usize, now: Timestamp) -> usize {
        self.versions
            .iter()
            .rposition(|v| v.acts_from[kind] <= now)
            .unwrap_or(0)
    }

    // Drops what can never act again, and the oldest beyond the limit.
    fn forget(&mut self, now: Timestamp) {
        let needed = (0..KINDS)
            .map(|kind| self.newest(kind, now))
            .min()
            .unwrap_or(0);
        let crowded = self
            .versions
            .len()
            .saturating_sub(limits::TENANT_VERSIONS_MAX);
        self.versions.drain(..needed.max(crowded));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::preset;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_change_acts_after_its_delay_and_other_kinds_at_once() {
        let mut tenant = preset::empty();
        tenant.propagation_s.permission = 5400;
        let mut history = History::new(tenant.clone());
        tenant.display_name = "changed".into();
        history.write(tenant, at(1000));

        let acting = history.acting(at(1000));
        assert_eq!(acting.on(Kind::Directory).display_name, "changed");
        assert_ne!(acting.on(Kind::Permission).display_name, "changed");
        assert_eq!(history.settled_at(at(1000)), Some(at(6400)));
        assert_eq!(
            history.acting(at(6400)).on(Kind::Permission).display_name,
            "changed"
        );
        assert_eq!(history.settled_at(at(6400)), None);
    }

    #[test]
    fn old_versions_are_forgotten_once_nothing_needs_them() {
        let mut history = History::new(preset::empty());
        for second in 0..100 {
            history.write(preset::empty(), at(second));
        }
        assert_eq!(history.versions.len(), 1);
    }
}
