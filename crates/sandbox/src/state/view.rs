//! Questions about what acts now: the tenant as the service sees it at one moment.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::directory::{Application, ServicePrincipal, User};
use super::exchange::{ExchangePrincipal, Mailbox, RoleAssignment};
use super::history::{Acting, Kind};
use super::{Behaviour, Tenant};
use crate::state::preset::SEND_AS_APP_ROLE;

/// The tenant as it acts at one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    acting: Acting,
}

/// A mailbox found by one of its addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    /// Its primary address.
    pub(crate) address: &'a str,
    /// The mailbox as it exists.
    pub(crate) mailbox: &'a Mailbox,
}

impl View {
    pub(crate) fn new(acting: Acting) -> Self {
        Self { acting }
    }

    /// The directory's part of the document.
    pub(crate) fn directory(&self) -> &Tenant {
        self.acting.on(Kind::Directory)
    }

    /// The document whose objects Microsoft Graph finds by id.
    pub(crate) fn replicated(&self) -> &Tenant {
        self.acting.on(Kind::Replication)
    }

    /// The document whose objects Microsoft Graph lists.
    pub(crate) fn listed(&self) -> &Tenant {
        self.acting.on(Kind::Listing)
    }

    /// The document whose grants act.
    pub(crate) fn consented(&self) -> &Tenant {
        self.acting.on(Kind::Consent)
    }

    /// The person of an object id.
    pub(crate) fn user(&self, id: Uuid) -> Option<&User> {
        self.directory().users.get(&id)
    }

    /// Choices of behaviour (they act with the directory).
    pub(crate) fn behaviour(&self) -> &Behaviour {
        &self.directory().behaviour
    }

    /// Whether `segment` of a path names this tenant: its id or a verified domain.
    pub(crate) fn is_tenant(&self, segment: &str) -> bool {
        let tenant = self.directory();
        segment.parse() == Ok(tenant.id)
            || tenant
                .all_domains()
                .any(|domain| domain.eq_ignore_ascii_case(segment))
    }

    /// The application registered under a client id.
    pub(crate) fn application(&self, app_id: Uuid) -> Option<(Uuid, &Application)> {
        by_app(&self.directory().applications, app_id, |a| a.app_id)
    }

    /// The enterprise application of a client id.
    pub(crate) fn principal(&self, app_id: Uuid) -> Option<(Uuid, &ServicePrincipal)> {
        by_app(&self.directory().service_principals, app_id, |p| p.app_id)
    }

    /// The credentials that act for a client id.
    pub(crate) fn credentials(&self, app_id: Uuid) -> Option<&Application> {
        by_app(
            &self.acting.on(Kind::Credential).applications,
            app_id,
            |a| a.app_id,
        )
        .map(|(_, application)| application)
    }

    /// The resource asked for by one of its addresses or by its client id.
    pub(crate) fn resource(&self, name: &str) -> Option<(Uuid, &ServicePrincipal)> {
        let bare = name.strip_suffix('/').unwrap_or(name);
        let tenant = self.directory();
        let asked: Option<Uuid> = bare.parse().ok();
        let offered = |p: &ServicePrincipal| {
            asked == Some(p.app_id)
                || p.names.iter().any(|n| n.eq_ignore_ascii_case(bare))
                || tenant
                    .applications
                    .values()
                    .filter(|a| a.app_id == p.app_id)
                    .any(|a| {
                        a.identifier_uris
                            .iter()
                            .any(|u| u.eq_ignore_ascii_case(bare))
                    })
        };
        tenant
            .service_principals
            .iter()
            .find(|(_, p)| offered(p))
            .map(|(id, p)| (*id, p))
    }

    /// Names of the application permissions `principal` was granted on `resource`.
    pub(crate) fn roles(&self, principal: Uuid, resource: Uuid) -> BTreeSet<&str> {
        let tenant = self.acting.on(Kind::Consent);
        tenant
            .app_role_assignments
            .values()
            .filter(|a| a.principal_id == principal && a.resource_id == resource)
            .filter_map(|a| {
                let resource = tenant.service_principals.get(&a.resource_id)?;
                Some(resource.app_roles.get(&a.app_role_id)?.value.as_str())
            })
            .collect()
    }

    /// Template ids of the directory roles an object holds.
    pub(crate) fn directory_roles(&self, member: Uuid) -> Vec<Uuid> {
        self.directory()
            .directory_roles
            .iter()
            .filter(|(_, role)| role.members.contains(&member))
            .map(|(id, _)| *id)
            .collect()
    }

    /// What Exchange holds under an object id.
    pub(crate) fn exchange_principal(&self, object_id: Uuid) -> Option<&ExchangePrincipal> {
        self.acting
            .on(Kind::ExchangePrincipal)
            .exchange
            .service_principals
            .get(&object_id)
    }

    /// Whether Exchange holds a client id under some object id.
    pub(crate) fn is_registered_elsewhere(&self, app_id: Uuid) -> bool {
        let principals = &self
            .acting
            .on(Kind::ExchangePrincipal)
            .exchange
            .service_principals;
        principals
            .values()
            .any(|principal| principal.app_id == app_id)
    }

    /// The mailbox with this address or alias.
    pub(crate) fn mailbox(&self, address: &str) -> Option<Found<'_>> {
        let address = address.to_lowercase();
        let mailboxes = &self.acting.on(Kind::Mailbox).exchange.mailboxes;
        mailboxes
            .get_key_value(&address)
            .or_else(|| mailboxes.iter().find(|(_, m)| m.aliases.contains(&address)))
            .map(|(address, mailbox)| Found { address, mailbox })
    }

    /// Whether SMTP AUTH is off for a mailbox, and whose value says so.
    pub(crate) fn smtp_auth(&self, address: &str) -> SmtpAuth {
        let exchange = &self.acting.on(Kind::Switch).exchange;
        let own = exchange
            .mailboxes
            .get(address)
            .and_then(|mailbox| mailbox.smtp_client_authentication_disabled);
        match (own, exchange.transport.smtp_client_authentication_disabled) {
            (Some(true), _) => SmtpAuth::OffForMailbox,
            (None, true) => SmtpAuth::OffForTenant,
            (Some(false), _) | (None, false) => SmtpAuth::On,
        }
    }

    /// Most recipients of one message from this mailbox.
    pub(crate) fn recipient_limit(&self, address: &str) -> u32 {
        let exchange = &self.acting.on(Kind::Switch).exchange;
        let own = exchange
            .mailboxes
            .get(address)
            .map_or(crate::limits::RECIPIENTS_PER_MESSAGE, |mailbox| {
                mailbox.recipient_limit
            });
        own.min(
            exchange
                .transport
                .max_recipient_envelope_limit
                .unwrap_or(crate::limits::RECIPIENTS_PER_MESSAGE_MAX),
        )
    }

    /// Whether `who` (an object id or an address) has full access to a mailbox.
    pub(crate) fn full_access(&self, address: &str, who: &str) -> bool {
        self.permission(address, |mailbox| &mailbox.full_access, who)
    }

    /// Whether `who` (an object id or an address) may send as a mailbox.
    pub(crate) fn send_as(&self, address: &str, who: &str) -> bool {
        self.permission(address, |mailbox| &mailbox.send_as, who)
    }

    fn permission(
        &self,
        address: &str,
        set: impl Fn(&Mailbox) -> &BTreeSet<String>,
        who: &str,
    ) -> bool {
        self.acting
            .on(Kind::Permission)
            .exchange
            .mailboxes
            .get(address)
            .is_some_and(|mailbox| set(mailbox).contains(who))
    }

    /// The assignments of the sending role to a service principal, and whether one reaches the
    /// mailbox.
    pub(crate) fn sending_role(&self, object_id: Uuid, mailbox: &str) -> SendingRole {
        let tenant = self.acting.on(Kind::Rbac);
        let mut held = tenant
            .exchange
            .role_assignments
            .values()
            .filter(|a| a.app == object_id && a.role.eq_ignore_ascii_case(SEND_AS_APP_ROLE))
            .peekable();
        if held.peek().is_none() {
            SendingRole::None
        } else if held.any(|assignment| reaches(tenant, assignment, mailbox)) {
            SendingRole::InScope
        } else {
            SendingRole::OutOfScope
        }
    }
}

/// Whether a mailbox may use SMTP AUTH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SmtpAuth {
    On,
    OffForTenant,
    OffForMailbox,
}

/// What the claims-less path says about a service principal and a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendingRole {
    None,
    OutOfScope,
    InScope,
}

/// Whether an assignment reaches a mailbox.
pub(crate) fn reaches(tenant: &Tenant, assignment: &RoleAssignment, mailbox: &str) -> bool {
    if let Some(scope) = &assignment.custom_resource_scope {
        return tenant
            .exchange
            .scopes
            .get(scope)
            .is_some_and(|scope| super::filter::matches(&scope.recipient_filter, tenant, mailbox));
    }
    if let Some(group) = &assignment.recipient_group_scope {
        return super::filter::is_member(tenant, group, mailbox);
    }
    if let Some(unit) = &assignment.recipient_administrative_unit_scope {
        let units = &tenant.exchange.administrative_units;
        return units
            .get(unit)
            .is_some_and(|unit| unit.members.contains(mailbox));
    }
    true
}

fn by_app<T>(
    objects: &std::collections::BTreeMap<Uuid, T>,
    app_id: Uuid,
    of: impl Fn(&T) -> Uuid,
) -> Option<(Uuid, &T)> {
    objects
        .iter()
        .find(|(_, object)| of(object) == app_id)
        .map(|(id, object)| (*id, object))
}
