//! The Entra ID side of a tenant: applications, service principals, consent, people, groups.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::digest;

/// An application registration: what a developer makes. Its key in the tenant is the *object id*,
/// which is not the id Exchange asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The client id.
    pub app_id: Uuid,
    /// The name people see.
    pub display_name: String,
    /// `AzureADMyOrg` or `AzureADMultipleOrgs`.
    #[serde(default = "my_org")]
    pub sign_in_audience: String,
    /// Whether the application is registered as a public client and must not send a secret.
    #[serde(default)]
    pub public_client: bool,
    /// Secrets, by key id.
    #[serde(default)]
    pub secrets: BTreeMap<Uuid, Secret>,
    /// Certificates, by key id.
    #[serde(default)]
    pub certificates: BTreeMap<Uuid, Certificate>,
    /// Federated credentials, by id.
    #[serde(default)]
    pub federated: BTreeMap<Uuid, FederatedCredential>,
    /// Permissions the application asks for: resource application id to role and scope ids.
    #[serde(default)]
    pub required: BTreeMap<Uuid, Vec<RequiredPermission>>,
    /// Redirect addresses of a public client.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Redirect addresses of a web application.
    #[serde(default)]
    pub web_redirect_uris: Vec<String>,
    /// A note for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Identifier addresses (`api://…`) under which tokens for the application itself are asked.
    #[serde(default)]
    pub identifier_uris: Vec<String>,
    /// When it was made.
    #[serde(default = "epoch")]
    pub created: Timestamp,
}

fn my_org() -> String {
    "AzureADMyOrg".into()
}

fn epoch() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// One permission an application asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequiredPermission {
    /// The app role's or scope's id.
    pub id: Uuid,
    /// `Role` (application permission) or `Scope` (delegated).
    #[serde(rename = "type")]
    pub kind: String,
}

/// A client secret. The text itself is not kept: a patch gives `value`, the document shows the
/// digest and the first three characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "SecretForm")]
pub struct Secret {
    /// The label.
    pub display_name: String,
    /// First three characters.
    pub hint: String,
    /// SHA-256 of the text, in hexadecimal.
    pub sha256: String,
    /// From when it is valid.
    pub starts: Timestamp,
    /// Until when it is valid.
    pub ends: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretForm {
    #[serde(default)]
    display_name: String,
    value: Option<String>,
    hint: Option<String>,
    sha256: Option<String>,
    #[serde(default = "epoch")]
    starts: Timestamp,
    ends: Timestamp,
}

impl TryFrom<SecretForm> for Secret {
    type Error = &'static str;

    fn try_from(form: SecretForm) -> Result<Self, Self::Error> {
        let (hint, sha256) = match (form.value, form.sha256) {
            (Some(value), _) => (value.chars().take(3).collect(), digest::sha256_hex(&value)),
            (None, Some(sha256)) => (form.hint.unwrap_or_default(), sha256),
            (None, None) => return Err("a secret needs `value` (its text) or `sha256`"),
        };
        Ok(Self {
            display_name: form.display_name,
            hint,
            sha256,
            starts: form.starts,
            ends: form.ends,
        })
    }
}

impl Secret {
    /// Makes the record of the secret `value`.
    pub fn of(value: &str, display_name: &str, starts: Timestamp, ends: Timestamp) -> Self {
        Self {
            display_name: display_name.into(),
            hint: value.chars().take(3).collect(),
            sha256: digest::sha256_hex(value),
            starts,
            ends,
        }
    }

    /// Whether `text` is this secret.
    pub(crate) fn matches(&self, text: &str) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(
            digest::sha256_hex(text).as_bytes(),
            self.sha256.as_bytes(),
        )
        .is_ok()
    }
}

/// A certificate registered for signing client assertions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The label.
    #[serde(default)]
    pub display_name: String,
    /// The certificate itself (DER), in base64.
    pub der: String,
    /// From when it is accepted.
    #[serde(default = "epoch")]
    pub starts: Timestamp,
    /// Until when it is accepted.
    pub ends: Timestamp,
}

impl Certificate {
    /// The certificate's octets; empty when the text is not base64 (refused by validation).
    pub(crate) fn octets(&self) -> Vec<u8> {
        STANDARD.decode(self.der.as_bytes()).unwrap_or_default()
    }
}

/// Trust in a foreign token issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FederatedCredential {
    /// The label.
    pub name: String,
    /// The issuer, compared octet by octet.
    pub issuer: String,
    /// The subject, case sensitive.
    pub subject: String,
    /// Accepted audiences.
    #[serde(default = "exchange_audience")]
    pub audiences: Vec<String>,
}

fn exchange_audience() -> Vec<String> {
    vec!["api://AzureADTokenExchange".into()]
}

/// An enterprise application: the application's identity in this tenant. Its key in the tenant is
/// the object id that `New-ServicePrincipal -ObjectId` and the token's `oid` mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicePrincipal {
    /// The client id it stands for.
    pub app_id: Uuid,
    /// The name people see.
    pub display_name: String,
    /// Whether sign-in is enabled.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether only assigned principals get tokens for this resource.
    #[serde(default)]
    pub assignment_required: bool,
    /// Addresses under which tokens for it are asked.
    #[serde(default)]
    pub names: Vec<String>,
    /// Application permissions it offers, by role id.
    #[serde(default)]
    pub app_roles: BTreeMap<Uuid, Permission>,
    /// Delegated permissions it offers, by scope id.
    #[serde(default)]
    pub scopes: BTreeMap<Uuid, Permission>,
    /// Whether it is an application of Microsoft's.
    #[serde(default)]
    pub first_party: bool,
}

fn yes() -> bool {
    true
}

/// A permission a resource offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// The name as it stands in `roles` or `scp`.
    pub value: String,
    /// The name people see.
    #[serde(default)]
    pub display_name: String,
}

/// A granted application permission (admin consent).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppRoleAssignment {
    /// Who was granted it: an enterprise application's object id.
    pub principal_id: Uuid,
    /// Whose permission it is: the resource's enterprise application object id.
    pub resource_id: Uuid,
    /// The role's id.
    pub app_role_id: Uuid,
    /// When it was granted.
    #[serde(default = "epoch")]
    pub created: Timestamp,
}

/// A granted delegated permission: what a client may do for a person who signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionGrant {
    /// The client: an enterprise application's object id.
    pub client_id: Uuid,
    /// Whose permission it is: the resource's enterprise application object id.
    pub resource_id: Uuid,
    /// The person it was granted for; absent means everybody (admin consent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<Uuid>,
    /// Names of the scopes.
    pub scopes: BTreeSet<String>,
}

/// An object in the directory's bin, from which it can be restored for 30 days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deleted {
    /// When it was deleted.
    pub at: Timestamp,
    /// The object.
    pub object: DeletedObject,
}

/// What can be in the bin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeletedObject {
    /// An application registration.
    Application(Box<Application>),
    /// An enterprise application; its grants are gone.
    ServicePrincipal(Box<ServicePrincipal>),
}

/// A directory role that is active, and who holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectoryRole {
    /// Object id, which is not the template's id; the template's id stands for an absent one.
    #[serde(default)]
    pub id: Uuid,
    /// The name people see.
    pub display_name: String,
    /// Object ids of users and service principals.
    #[serde(default)]
    pub members: BTreeSet<Uuid>,
}

/// A person who can sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The sign-in name.
    pub user_principal_name: String,
    /// The name people see.
    pub display_name: String,
    /// SHA-256 of the password, in hexadecimal.
    pub password_sha256: String,
    /// Whether a second page asks for a code.
    #[serde(default)]
    pub mfa: bool,
}

/// A distribution or mail-enabled security group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The name people see.
    pub display_name: String,
    /// Its address.
    pub mail: String,
    /// The distinguished name that `MemberOfGroup` filters compare with.
    pub distinguished_name: String,
    /// `distribution` or `security`.
    #[serde(default = "distribution")]
    pub kind: String,
    /// Direct members: mailbox addresses, or ids of groups (which scopes do not follow).
    #[serde(default)]
    pub members: BTreeSet<String>,
}

fn distribution() -> String {
    "distribution".into()
}

/// A foreign token issuer, as far as its address does not tell everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Issuer {
    /// Its JSON Web Key Set (RFC 7517); left out, the set is fetched from where the issuer
    /// publishes it, on this machine only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// The authority to trust when it is asked, in PEM form, besides the sandbox's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// Tenant-wide rules of the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policies {
    /// Enterprise applications (object ids) a workload-identity Conditional Access policy blocks.
    pub blocked_service_principals: BTreeSet<Uuid>,
    /// Tenants of other clouds the authority knows, by id or domain: the cloud's name.
    pub other_clouds: BTreeMap<String, String>,
    /// Whether the device code flow is blocked.
    pub device_code_blocked: bool,
    /// Whether the administrator refuses consent.
    pub consent_refused: bool,
    /// Whether new secrets are forbidden by an app management policy.
    pub secrets_forbidden: bool,
    /// Longest life of a new secret in days, when an app management policy sets one.
    pub secret_days_max: Option<u32>,
}
