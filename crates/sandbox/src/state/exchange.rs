//! The Exchange Online side of a tenant: its own service principals, roles, mailboxes, switches.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What Exchange Online knows of the organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Exchange {
    /// Service principals registered with `New-ServicePrincipal`, by the object id given there.
    pub service_principals: BTreeMap<Uuid, ExchangePrincipal>,
    /// Organisation-wide switches.
    pub transport: Transport,
    /// `Set-OrganizationConfig`.
    pub organization: Organization,
    /// Management scopes, by name.
    pub scopes: BTreeMap<String, ManagementScope>,
    /// Management role assignments, by name.
    pub role_assignments: BTreeMap<String, RoleAssignment>,
    /// Administrative units, by id.
    pub administrative_units: BTreeMap<Uuid, AdministrativeUnit>,
    /// Members of role groups (`Organization Management`, `Recipient Management`) beside those
    /// who hold a directory role: object ids.
    pub role_groups: BTreeMap<String, BTreeSet<Uuid>>,
    /// Mailboxes, by primary address in lower case.
    pub mailboxes: BTreeMap<String, Mailbox>,
}

/// A service principal as Exchange holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangePrincipal {
    /// The client id given.
    pub app_id: Uuid,
    /// The name given.
    #[serde(default)]
    pub display_name: String,
    /// Exchange's own id of the object.
    #[serde(default)]
    pub guid: Uuid,
}

/// `Get-TransportConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Transport {
    /// Whether SMTP AUTH is off for mailboxes without a value of their own.
    pub smtp_client_authentication_disabled: bool,
    /// Whether the legacy TLS host may be used.
    pub allow_legacy_tls_clients: bool,
    /// Most recipients of one message; none means 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_recipient_envelope_limit: Option<u32>,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            smtp_client_authentication_disabled: true,
            allow_legacy_tls_clients: false,
            max_recipient_envelope_limit: None,
        }
    }
}

/// `Get-OrganizationConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Organization {
    /// Whether mail may be sent from aliases.
    pub send_from_alias_enabled: bool,
    /// Whether nobody ran `Enable-OrganizationCustomization` yet, which scopes and role
    /// assignments need.
    pub dehydrated: bool,
    /// `OAuth2ClientProfileEnabled`; absent means on, as in every tenant since 2017.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2_client_profile_enabled: Option<bool>,
}

/// A set of recipients an assignment reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagementScope {
    /// Exchange's own id of the object.
    #[serde(default)]
    pub guid: Uuid,
    /// The filter, for example `MemberOfGroup -eq 'CN=…'`.
    pub recipient_filter: String,
}

/// A role given to a service principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleAssignment {
    /// Exchange's own id of the object.
    #[serde(default)]
    pub guid: Uuid,
    /// The role's name, for example `Application SMTP.SendAsApp`.
    pub role: String,
    /// The service principal, by the object id Exchange holds it under.
    pub app: Uuid,
    /// A management scope's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_resource_scope: Option<String>,
    /// A group: id, address or distinguished name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_group_scope: Option<String>,
    /// An administrative unit's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_administrative_unit_scope: Option<Uuid>,
}

/// An administrative unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdministrativeUnit {
    /// The name people see.
    pub display_name: String,
    /// Mailbox addresses.
    #[serde(default)]
    pub members: BTreeSet<String>,
}

/// What a mailbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MailboxKind {
    /// A shared mailbox, without a licence.
    #[default]
    Shared,
    /// A person's mailbox.
    User,
}

/// One mailbox and everything the way of a message asks of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    /// Object id.
    #[serde(default)]
    pub id: Uuid,
    /// The name people see.
    #[serde(default)]
    pub display_name: String,
    /// Shared or a person's.
    #[serde(default)]
    pub kind: MailboxKind,
    /// Further addresses.
    #[serde(default)]
    pub aliases: BTreeSet<String>,
    /// `Set-CASMailbox -SmtpClientAuthenticationDisabled`: absent means the organisation's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp_client_authentication_disabled: Option<bool>,
    /// Who has full access: object ids of service principals (as Exchange holds them) or addresses.
    #[serde(default)]
    pub full_access: BTreeSet<String>,
    /// Who may send as this mailbox: object ids of service principals, or addresses of mailboxes.
    #[serde(default)]
    pub send_as: BTreeSet<String>,
    /// `Set-Mailbox -RecipientLimits`: most recipients of one message, 1 to 1000.
    #[serde(default = "recipient_limit")]
    pub recipient_limit: u32,
    /// `MaxSendSize` in octets; absent means the size the service advertises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_size_octets_max: Option<u64>,
    /// Whether a copy goes to Sent Items.
    #[serde(default = "yes")]
    pub message_copy_for_smtp_client_submission_enabled: bool,
    /// A state that refuses every message at the end of data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<MailboxTrouble>,
}

fn recipient_limit() -> u32 {
    crate::limits::RECIPIENTS_PER_MESSAGE
}

fn yes() -> bool {
    true
}

/// What can be wrong with a mailbox itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MailboxTrouble {
    /// Over its storage quota.
    Full,
    /// Flagged by outbound spam control.
    OutboundSpam,
    /// On the restricted-users list.
    Restricted,
    /// The store cannot open it.
    LogonFailure,
    /// The whole tenant is blocked.
    TenantBlocked,
}

impl Mailbox {
    /// A shared mailbox with nothing granted.
    pub(crate) fn shared(id: Uuid, display_name: &str) -> Self {
        Self {
            id,
            display_name: display_name.into(),
            kind: MailboxKind::Shared,
            aliases: BTreeSet::new(),
            smtp_client_authentication_disabled: None,
            full_access: BTreeSet::new(),
            send_as: BTreeSet::new(),
            recipient_limit: recipient_limit(),
            send_size_octets_max: None,
            message_copy_for_smtp_client_submission_enabled: true,
            trouble: None,
        }
    }
}
