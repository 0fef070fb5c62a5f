//! What Graph answers, as far as a set-up looks at it.

use jiff::Timestamp;
use sendas_entra::Secret;
use serde::Deserialize;
use serde_json::Value;

/// The organisation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// The tenant id.
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    /// The domains it has proven to own.
    #[serde(default, deserialize_with = "or_default")]
    pub verified_domains: Vec<VerifiedDomain>,
}

/// A domain in the organisation's own list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct VerifiedDomain {
    /// The domain name.
    pub name: String,
}

/// A domain of the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Domain {
    /// The domain name.
    #[serde(rename = "id")]
    pub name: String,
    /// Whether the tenant has proven that it owns it.
    #[serde(default)]
    pub is_verified: bool,
}

/// An application registration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Its object id: the one Exchange must **not** be given.
    pub id: String,
    /// The client id.
    pub app_id: String,
    /// The name people see.
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    /// When it was made.
    #[serde(default)]
    pub created_date_time: Option<Timestamp>,
    /// Its secrets; the texts never come back.
    #[serde(default, deserialize_with = "or_default")]
    pub password_credentials: Vec<PasswordCredential>,
    /// Its certificates, as they came: a change sends all of them back.
    #[serde(default, deserialize_with = "or_default")]
    pub key_credentials: Vec<Value>,
}

/// A secret of an application, without its text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordCredential {
    /// Its id.
    pub key_id: String,
    /// Its label.
    #[serde(default)]
    pub display_name: Option<String>,
    /// First characters.
    #[serde(default)]
    pub hint: Option<String>,
    /// The beginning of its life.
    #[serde(default)]
    pub start_date_time: Option<Timestamp>,
    /// The end of its life.
    #[serde(default)]
    pub end_date_time: Option<Timestamp>,
}

/// A secret that was just made.
#[derive(Debug)]
pub struct NewSecret {
    /// Its id.
    pub key_id: String,
    /// Its text, shown this once.
    pub text: Secret,
    /// The end of its life.
    pub end: Option<Timestamp>,
}

/// What Graph says of a certificate registered with an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCredential {
    /// Its id.
    pub key_id: String,
    /// Its label.
    pub display_name: String,
    /// SHA-1 thumbprint in upper-case hex.
    pub thumbprint: String,
    /// The beginning of its life.
    pub start: Option<Timestamp>,
    /// The end of its life.
    pub end: Option<Timestamp>,
}

/// Trust in a foreign issuer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FederatedCredential {
    /// Its id.
    pub id: String,
    /// Its name, unique in the application.
    pub name: String,
    /// The issuer.
    pub issuer: String,
    /// The subject; compared with its case.
    pub subject: String,
    /// The audiences.
    #[serde(default, deserialize_with = "or_default")]
    pub audiences: Vec<String>,
}

/// An enterprise application.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePrincipal {
    /// Its object id: the one Exchange must be given.
    pub id: String,
    /// The client id.
    #[serde(default)]
    pub app_id: String,
    /// The name people see.
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    /// Whether sign-in is enabled.
    #[serde(default = "yes")]
    pub account_enabled: bool,
    /// The application permissions it offers as a resource.
    #[serde(default, deserialize_with = "or_default")]
    pub app_roles: Vec<AppRole>,
}

/// Graph writes `null` where it has nothing.
fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn yes() -> bool {
    true
}

/// An application permission that a resource offers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AppRole {
    /// Its id in this tenant's resource.
    pub id: String,
    /// Its name, as it stands in `roles`.
    #[serde(default)]
    pub value: Option<String>,
}

/// An application permission that was granted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppRoleAssignment {
    /// Its id.
    pub id: String,
    /// Which permission.
    pub app_role_id: String,
    /// Whose permission: the resource's enterprise application.
    pub resource_id: String,
    /// The resource's name.
    #[serde(default)]
    pub resource_display_name: Option<String>,
}

impl Application {
    /// Its certificates.
    pub fn certificates(&self) -> Vec<KeyCredential> {
        self.key_credentials.iter().map(key_credential).collect()
    }
}

/// Reads one entry of `keyCredentials`.
///
/// `customKeyIdentifier` holds the thumbprint: in upper-case hex as recorded answers show, or in
/// base64 as the documentation says; both are read.
pub(crate) fn key_credential(value: &Value) -> KeyCredential {
    let text = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    KeyCredential {
        key_id: text("keyId"),
        display_name: text("displayName"),
        thumbprint: thumbprint(&text("customKeyIdentifier")),
        start: text("startDateTime").parse().ok(),
        end: text("endDateTime").parse().ok(),
    }
}

fn thumbprint(identifier: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    if identifier.len() == 40 && identifier.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return identifier.to_ascii_uppercase();
    }
    STANDARD.decode(identifier).map_or_else(
        |_| identifier.to_owned(),
        |octets| {
            // The octets may be the hash itself or its hex digits.
            if octets.len() == 40 && octets.is_ascii() {
                String::from_utf8_lossy(&octets).to_ascii_uppercase()
            } else {
                crate::key::hex(&octets)
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_come_in_two_forms() {
        let hex = "A9993E364706816ABA3E25717850C26C9CD0D89D";
        for given in [hex, &hex.to_lowercase(), "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="] {
            assert_eq!(thumbprint(given), hex, "{given}");
        }
    }
}
