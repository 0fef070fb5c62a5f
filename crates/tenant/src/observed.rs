//! What a tenant holds, as far as a set-up looks at it. Plain data.

use std::collections::BTreeMap;

use crate::exchange_admin::{ExchangePrincipal, RoleAssignment};
use crate::graph::{Application, FederatedCredential};

/// What was read from the tenant.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The tenant id.
    pub tenant_id: String,
    /// The organisation's name.
    pub tenant_name: String,
    /// Its verified domains, lower case.
    pub domains: Vec<String>,
    /// The application.
    pub application: ApplicationFound,
    /// The foreign issuers the application trusts.
    pub federated: Vec<FederatedCredential>,
    /// Its enterprise application.
    pub principal: Option<PrincipalFound>,
    /// Office 365 Exchange Online as a resource.
    pub resource: Option<ResourceFound>,
    /// What the application was granted in Entra.
    pub granted: Vec<Granted>,
    /// Service principals in Exchange with our client id, or with one of our object ids.
    pub registered: Vec<ExchangePrincipal>,
    /// Whether SMTP AUTH is off for the organisation.
    pub submission_off: bool,
    /// Whether the organisation takes no scopes and assignments before it is customised.
    pub dehydrated: bool,
    /// The mailboxes of the wish, by the address that was asked for.
    pub mailboxes: BTreeMap<String, MailboxFound>,
    /// The group of our name.
    pub group: Option<GroupFound>,
    /// The scope of our name.
    pub scope: Option<ScopeFound>,
    /// The roles for sending that our principal holds.
    pub roles: Vec<RoleFound>,
    /// Whether a role assignment of our name exists that somebody else holds.
    pub assignment_name_taken: bool,
    /// What an earlier run made, as far as its state says.
    pub held: Held,
    /// What an earlier run made for principals that are gone.
    pub stale: Stale,
}

/// Things of our own that serve nobody any more, and stand in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// Names of role assignments.
    pub assignments: Vec<String>,
    /// Names of management scopes that hold another group than ours.
    pub scopes: Vec<String>,
    /// Registrations in Exchange.
    pub registrations: Vec<ExchangePrincipal>,
}

/// Whether there is an application.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ApplicationFound {
    /// None.
    #[default]
    Missing,
    /// None with the client id that was given.
    UnknownClientId(String),
    /// None of ours, but others of the same name, with these client ids.
    NameTaken(Vec<String>),
    /// This one. `ours` says that an earlier run made it.
    Found {
        /// The application.
        application: Box<Application>,
        /// Whether an earlier run made it.
        ours: bool,
    },
}

/// An enterprise application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalFound {
    /// Its object id.
    pub id: String,
    /// Whether sign-in is enabled.
    pub enabled: bool,
}

/// Exchange Online as a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceFound {
    /// The object id of its enterprise application.
    pub id: String,
    /// The id of `SMTP.SendAsApp` in it.
    pub send_as_app: Option<String>,
}

/// An application permission the application has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The assignment's id.
    pub id: String,
    /// The permission's name, or its id when the resource does not name it.
    pub value: String,
    /// The resource's name.
    pub resource: String,
}

/// A mailbox of the wish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailboxFound {
    /// Its primary address; none when there is no such mailbox.
    pub address: Option<String>,
    /// Its own switch: none means the organisation's value.
    pub submission_off: Option<bool>,
    /// Whether our principal has full access.
    pub full_access: bool,
    /// Whether our principal may send as it.
    pub send_as: bool,
}

/// The group that holds the mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFound {
    /// Its name.
    pub name: String,
    /// Its distinguished name.
    pub distinguished_name: String,
    /// Direct members, lower case.
    pub members: Vec<String>,
}

/// A management scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeFound {
    /// Its name.
    pub name: String,
    /// Its filter.
    pub filter: String,
}

/// A role for sending that our principal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleFound {
    /// The assignment.
    pub assignment: RoleAssignment,
    /// Whom it reaches.
    pub reach: Reach,
}

/// Whom a role assignment reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every mailbox of the organisation.
    Everybody,
    /// The direct members of a group, lower case.
    Members {
        /// The group's name or distinguished name.
        group: String,
        /// Direct members, lower case.
        members: Vec<String>,
    },
    /// Whatever matches; of the wish these are inside, as Exchange says.
    Filter {
        /// The filter, or what stands for it.
        filter: String,
        /// Mailboxes of the wish that are inside, lower case.
        inside: Vec<String>,
    },
}

/// What an earlier run made and still holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The thumbprint of the certificate whose key is in our store.
    pub thumbprint: Option<String>,
    /// The id of the secret whose text is in our store.
    pub key_id: Option<String>,
    /// The label that secrets of ours begin with.
    pub label: String,
}

impl Observed {
    /// The application, when there is one.
    pub fn application(&self) -> Option<&Application> {
        match &self.application {
            ApplicationFound::Found { application, .. } => Some(application),
            _ => None,
        }
    }
}

impl Reach {
    /// Whether it reaches this mailbox.
    pub fn covers(&self, address: &str) -> bool {
        match self {
            Self::Everybody => true,
            Self::Members { members, .. } => members.iter().any(|member| member == address),
            Self::Filter { inside, .. } => inside.iter().any(|member| member == address),
        }
    }
}

/// The group of a `MemberOfGroup -eq '…'` filter, when it is nothing but that.
pub(crate) fn group_of(filter: &str) -> Option<String> {
    let filter = filter.trim();
    let filter = match filter
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
    {
        Some(inner) => inner.trim(),
        None => filter,
    };
    let mut words = filter.splitn(3, char::is_whitespace);
    let (property, operator, value) = (words.next()?, words.next()?, words.next()?.trim());
    if !property.eq_ignore_ascii_case("MemberOfGroup") || !operator.eq_ignore_ascii_case("-eq") {
        return None;
    }
    let inner = value.strip_prefix('\'')?.strip_suffix('\'')?;
    let plain = inner.replace("''", "");
    (!plain.contains('\'')).then(|| inner.replace("''", "'"))
}

/// The filter of a group's direct members.
pub(crate) fn filter_of(distinguished_name: &str) -> String {
    format!(
        "MemberOfGroup -eq '{}'",
        distinguished_name.replace('\'', "''")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_one_group_are_read() {
        for (filter, expected) in [
            ("MemberOfGroup -eq 'CN=a,OU=b'", Some("CN=a,OU=b")),
            (" (memberofgroup  -EQ 'CN=o''neil') ", None),
            ("(MemberOfGroup -eq 'CN=o''neil')", Some("CN=o'neil")),
            ("MemberOfGroup -ne 'CN=a'", None),
            ("MemberOfGroup -eq 'a' -or Name -eq 'b'", None),
            ("Alias -like '*'", None),
            ("", None),
        ] {
            assert_eq!(group_of(filter).as_deref(), expected, "{filter}");
        }
        assert_eq!(
            group_of(&filter_of("CN=o'neil")).as_deref(),
            Some("CN=o'neil")
        );
    }
}
