//! Who asks: the directory and the application in it.

use std::fmt;

/// The directory in which the principal lives: its id or one of its verified domains, lower case.
///
/// Only these two shapes exist, so a tenant can stand in a URL path without escaping.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tenant(String);

/// The id of the application (client id): a GUID in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(String);

/// Why a text is no tenant or no client id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// `common`, `organizations` and `consumers` name no directory.
    #[error(
        "\"{name}\" names no directory: an application without a user must say its own tenant; \
         give the tenant id or a verified domain"
    )]
    SharedEndpoint {
        /// The word given.
        name: String,
    },
    /// Neither a GUID nor a domain name.
    #[error(
        "{given:?} is neither a tenant id (a GUID such as 11111111-2222-3333-4444-555555555555) nor a \
         domain name (such as contoso.onmicrosoft.com)"
    )]
    NotTenant {
        /// The text given.
        given: String,
    },
    /// Not a GUID in its usual form.
    #[error(
        "{given:?} is not a client id: a GUID such as 11111111-2222-3333-4444-555555555555 is wanted \
         (\"Application (client) ID\" in the app registration)"
    )]
    NotClientId {
        /// The text given.
        given: String,
    },
}

impl Tenant {
    /// Takes a GUID or a domain name.
    ///
    /// # Errors
    /// [`IdError`]; `common`, `organizations` and `consumers` are refused here because Entra
    /// refuses them for this grant (AADSTS50194, AADSTS9001023).
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let name = text.to_ascii_lowercase();
        if matches!(name.as_str(), "common" | "organizations" | "consumers") {
            return Err(IdError::SharedEndpoint { name });
        }
        if is_guid(&name) || is_domain(&name) {
            Ok(Self(name))
        } else {
            Err(IdError::NotTenant {
                given: text.to_owned(),
            })
        }
    }

    /// The id or domain.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the id of the tenant, and not a domain.
    pub fn is_id(&self) -> bool {
        is_guid(&self.0)
    }
}

impl ClientId {
    /// Takes a GUID in its usual form, with hyphens and without braces.
    ///
    /// # Errors
    /// [`IdError::NotClientId`].
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if is_guid(text) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(IdError::NotClientId {
                given: text.to_owned(),
            })
        }
    }

    /// The GUID, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether this is a GUID in the form 8-4-4-4-12.
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, octet)| match index {
            8 | 13 | 18 | 23 => octet == b'-',
            _ => octet.is_ascii_hexdigit(),
        })
}

/// Whether this is a host name of at least two labels whose last one is no number.
pub(crate) fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253
        && text.split('.').count() >= 2
        && text.split('.').all(label)
        && text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().any(|o| o.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_domains_are_tenants() {
        for (text, id) in [
            ("11111111-2222-3333-4444-555555555555", true),
            ("AAAAAAAA-bbbb-CCCC-dddd-EEEEEEEEEEEE", true),
            ("contoso.onmicrosoft.com", false),
            ("Contoso.COM", false),
            ("xn--bcher-kva.example", false),
        ] {
            let tenant = Tenant::parse(text).unwrap();
            assert_eq!(tenant.is_id(), id, "{text}");
            assert_eq!(tenant.as_str(), text.to_ascii_lowercase());
        }
    }

    #[test]
    fn nothing_else_is_a_tenant() {
        for text in [
            "",
            "contoso",
            "../../evil",
            "..",
            "a..b",
            ".com",
            "contoso.com.",
            "contoso.com/",
            "contoso.com?x=y",
            "contoso.com#x",
            "evil@contoso.com",
            "contoso.com:443",
            "con toso.com",
            "contoso.com\r\n",
            "contoso\0.com",
            "127.0.0.1",
            "169.254.169.254",
            "[::1]",
            "-a.com",
            "a-.com",
            "%2e%2e",
            "b\u{fc}cher.example",
            "{11111111-2222-3333-4444-555555555555}",
            "11111111222233334444555555555555",
            "11111111-2222-3333-4444-55555555555g",
        ] {
            assert!(
                matches!(Tenant::parse(text), Err(IdError::NotTenant { .. })),
                "{text:?}"
            );
        }
        let long = format!("{}.com", "a".repeat(64));
        assert!(Tenant::parse(&long).is_err());
    }

    #[test]
    fn shared_endpoints_are_refused_with_the_reason() {
        for text in ["common", "Organizations", "CONSUMERS"] {
            let error = Tenant::parse(text).unwrap_err();
            assert!(matches!(error, IdError::SharedEndpoint { .. }));
            assert!(error.to_string().contains("tenant id or a verified domain"));
        }
    }

    #[test]
    fn client_ids_are_guids() {
        assert_eq!(
            ClientId::parse("AAAAAAAA-2222-3333-4444-555555555555")
                .unwrap()
                .as_str(),
            "aaaaaaaa-2222-3333-4444-555555555555"
        );
        for text in [
            "",
            "contoso.com",
            "11111111-2222-3333-4444-55555555555",
            "11111111_2222_3333_4444_555555555555",
        ] {
            assert!(ClientId::parse(text).is_err(), "{text:?}");
        }
    }
}
