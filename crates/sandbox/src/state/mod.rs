//! The tenant: what an organisation has in Entra ID and in Exchange Online, as one document.
//!
//! Pure data and pure functions. A change makes a new document; `history` decides from when
//! each kind of change acts; `view` answers questions about what acts now.

pub mod directory;
pub mod exchange;
pub(crate) mod filter;
pub(crate) mod history;
mod merge;
pub(crate) mod preset;
pub(crate) mod roles;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::history::{Kind, Propagation};
pub use self::merge::{PatchError, Problem};

use self::directory::{
    AppRoleAssignment, Application, Deleted, DirectoryRole, Group, Issuer, PermissionGrant,
    Policies, ServicePrincipal, User,
};
use self::exchange::Exchange;

/// One organisation, as the control interface reads and changes it.
///
/// Objects are maps keyed by their id (mailboxes by address, scopes and assignments by name), so
/// that a merge patch (RFC 7396) touches exactly one thing; `null` removes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The tenant id (`tid` of its tokens).
    pub id: Uuid,
    /// The initial domain.
    pub domain: String,
    /// Other verified domains.
    #[serde(default)]
    pub domains: Vec<String>,
    /// The organisation's name.
    pub display_name: String,
    /// Licences that are not trials; they decide the external recipient limit.
    #[serde(default = "one")]
    pub licences: u32,
    /// Whether the tenant is a trial (external recipient limit 5,000).
    #[serde(default)]
    pub trial: bool,
    /// Application registrations, by object id.
    #[serde(default)]
    pub applications: BTreeMap<Uuid, Application>,
    /// Enterprise applications, by object id.
    #[serde(default)]
    pub service_principals: BTreeMap<Uuid, ServicePrincipal>,
    /// Granted application permissions, by assignment id.
    #[serde(default)]
    pub app_role_assignments: BTreeMap<Uuid, AppRoleAssignment>,
    /// Granted delegated permissions, by grant id.
    #[serde(default)]
    pub permission_grants: BTreeMap<Uuid, PermissionGrant>,
    /// Applications and enterprise applications in the directory's bin, by object id.
    #[serde(default)]
    pub deleted: BTreeMap<Uuid, Deleted>,
    /// Directory roles that are active, with their members, by role template id.
    #[serde(default)]
    pub directory_roles: BTreeMap<Uuid, DirectoryRole>,
    /// People who can sign in, by object id.
    #[serde(default)]
    pub users: BTreeMap<Uuid, User>,
    /// Distribution and security groups, by object id.
    #[serde(default)]
    pub groups: BTreeMap<Uuid, Group>,
    /// Foreign token issuers whose keys cannot be fetched by their URL alone, by that URL.
    #[serde(default)]
    pub issuers: BTreeMap<String, Issuer>,
    /// Tenant-wide rules of the directory.
    #[serde(default)]
    pub policies: Policies,
    /// The Exchange Online side.
    #[serde(default)]
    pub exchange: Exchange,
    /// Choices where sources disagree about the service.
    #[serde(default)]
    pub behaviour: Behaviour,
    /// How long a change takes to act, per kind.
    #[serde(default)]
    pub propagation_s: Propagation,
}

fn one() -> u32 {
    1
}

/// Choices where sources disagree, or where the service is in the middle of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// What a missing mailbox permission looks like on the classic path.
    pub permission_missing: PermissionMissing,
    /// Which mailbox permission the classic path needs.
    pub classic_needs: ClassicNeeds,
    /// How a password login is refused.
    pub basic_auth: BasicAuth,
    /// What happens past 30 messages in a minute.
    pub message_rate: MessageRate,
    /// Refuse connections as if the client had spoken TLS 1.0.
    pub tls_too_old: bool,
    /// Seconds between two polls with a device code, 5 unless set; faster ones are told to slow
    /// down.
    pub device_code_interval_s: DeviceCodeInterval,
    /// Seconds a token lives, 3599 unless set.
    pub token_life_s: TokenLife,
    /// Whether the service's limits are kept: sends at once, messages a minute, recipients a day.
    pub limits: Limits,
    /// Milliseconds an error reply of SMTP waits; the service's are 5,000, `--tarpit` sets that.
    pub tarpit_ms: u64,
    /// EHLO keywords that are left out, for example `CHUNKING`.
    pub ehlo_without: BTreeSet<String>,
}

/// What the classic path answers when the mailbox permission is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PermissionMissing {
    /// `535 5.7.3` at AUTH, as the permission documents imply.
    #[default]
    Authentication,
    /// `430 4.2.0 … mailbox logon failure` at the end of data, as one thread saw.
    MailboxLogon,
}

/// Which permission on the mailbox the classic path needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClassicNeeds {
    /// `FullAccess`.
    #[default]
    FullAccess,
    /// `FullAccess` or `SendAs`.
    Either,
    /// Both.
    Both,
}

/// How a password login (AUTH LOGIN) is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BasicAuth {
    /// Basic authentication is disabled (today's default from the end of 2026 on).
    #[default]
    Disabled,
    /// Basic authentication is gone for good (`550 5.7.30`).
    Retired,
    /// The password is wrong.
    Incorrect,
    /// Security defaults lock the user.
    SecurityDefaults,
    /// A policy's criteria were not met.
    Policy,
}

/// What happens past 30 messages a minute: the documents contradict each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MessageRate {
    /// MAIL FROM is refused with `421 4.4.2`.
    #[default]
    Refuse,
    /// The final reply waits until the window has room.
    Delay,
}

/// Whether the limits of the service are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Limits {
    /// As the service does.
    #[default]
    On,
    /// None: for measuring a client's own speed.
    Off,
}

/// Seconds between two polls with a device code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct DeviceCodeInterval(pub u32);

impl Default for DeviceCodeInterval {
    fn default() -> Self {
        Self(crate::limits::DEVICE_CODE_INTERVAL_S)
    }
}

/// Seconds a token lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct TokenLife(pub u32);

impl Default for TokenLife {
    fn default() -> Self {
        Self(crate::limits::TOKEN_LIFE_S)
    }
}
