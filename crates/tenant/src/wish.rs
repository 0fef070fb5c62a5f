//! What an administrator wants to have in the tenant.

use sendas_entra::ClientId;
use serde::{Deserialize, Serialize};

use crate::limits::MAILBOXES_MAX;

/// What the tenant should hold when the set-up is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// How the application is authorized.
    pub method: Method,
    /// The mailboxes it may send as, lower case, each once.
    pub mailboxes: Vec<String>,
    /// What proves it.
    pub credential: CredentialWish,
    /// An existing application to use instead of a new one.
    pub client_id: Option<ClientId>,
    /// The names of what is made.
    pub names: Names,
}

/// How the application is authorized to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// By a role in Exchange with a scope; no permission in Entra.
    #[default]
    Rbac,
    /// By the permission `SMTP.SendAsApp` in Entra and rights on each mailbox.
    Classic,
}

/// What should prove the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum CredentialWish {
    /// A certificate made on this machine, whose key never leaves it.
    Certificate,
    /// A client secret.
    Secret,
    /// Tokens of a foreign issuer.
    Federated(Federation),
    /// Whatever the application has: nothing is added.
    Keep,
}

/// A foreign issuer's identity that may act as the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federation {
    /// The issuer, as the `iss` of its tokens.
    pub issuer: String,
    /// The subject, as the `sub` of its tokens; with its case.
    pub subject: String,
    /// The audience, as the `aud` of its tokens.
    pub audience: String,
}

/// The audience that issuers of federated tokens use unless told otherwise.
pub const FEDERATION_AUDIENCE: &str = "api://AzureADTokenExchange";

/// The names of what is made, so that a person finds it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The application and its principals.
    pub application: String,
    /// The group of mailboxes.
    pub group: String,
    /// The management scope.
    pub scope: String,
    /// The role assignment.
    pub assignment: String,
}

/// Why a wish cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WishError {
    /// No mailbox.
    #[error("no mailbox was named: say which mailboxes the application may send as")]
    NoMailbox,
    /// Too many.
    #[error("{count} mailboxes were named; one set-up takes {MAILBOXES_MAX}")]
    TooManyMailboxes {
        /// How many.
        count: usize,
    },
    /// Not an address.
    #[error("{given:?} is not the address of a mailbox, such as noreply@contoso.com")]
    NotMailbox {
        /// The text given.
        given: String,
    },
    /// Not a name.
    #[error(
        "{given:?} cannot be a name here: 1 to 50 letters, digits, spaces, dots, hyphens, underscores"
    )]
    NotName {
        /// The text given.
        given: String,
    },
    /// Not an issuer or subject.
    #[error("{what} cannot be {given:?}: wanted is visible text; an issuer begins with https://")]
    NotFederation {
        /// Which member.
        what: &'static str,
        /// The text given.
        given: String,
    },
}

/// The name of everything that is made, unless told otherwise.
pub const NAME: &str = "sendas";

impl Wish {
    /// Checks and tidies; names are made from `name`.
    ///
    /// # Errors
    /// [`WishError`].
    pub fn new(
        method: Method,
        mailboxes: &[String],
        credential: CredentialWish,
        client_id: Option<ClientId>,
        name: &str,
    ) -> Result<Self, WishError> {
        let mut tidy: Vec<String> = Vec::new();
        for given in mailboxes {
            let address = given.trim().to_lowercase();
            if !is_address(&address) {
                return Err(WishError::NotMailbox {
                    given: given.clone(),
                });
            }
            if !tidy.contains(&address) {
                tidy.push(address);
            }
        }
        if tidy.is_empty() {
            return Err(WishError::NoMailbox);
        }
        if tidy.len() > MAILBOXES_MAX {
            return Err(WishError::TooManyMailboxes { count: tidy.len() });
        }
        if let CredentialWish::Federated(federation) = &credential {
            federation.check()?;
        }
        Ok(Self {
            method,
            mailboxes: tidy,
            credential,
            client_id,
            names: Names::of(name)?,
        })
    }
}

impl Names {
    /// Names that begin with this one.
    ///
    /// # Errors
    /// [`WishError::NotName`].
    pub fn of(name: &str) -> Result<Self, WishError> {
        let fits = (1..=50).contains(&name.chars().count())
            && name.trim() == name
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_'));
        if !fits {
            return Err(WishError::NotName {
                given: name.to_owned(),
            });
        }
        Ok(Self {
            application: name.to_owned(),
            group: format!("{name} senders"),
            scope: format!("{name} senders"),
            assignment: format!("{name} SMTP"),
        })
    }
}

impl Federation {
    fn check(&self) -> Result<(), WishError> {
        let visible = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        let members = [
            (
                "the issuer",
                &self.issuer,
                self.issuer.starts_with("https://"),
            ),
            ("the subject", &self.subject, true),
            ("the audience", &self.audience, true),
        ];
        for (what, given, good) in members {
            if !good || !visible(given) {
                return Err(WishError::NotFederation {
                    what,
                    given: given.clone(),
                });
            }
        }
        Ok(())
    }
}

impl CredentialWish {
    /// `certificate`, `secret`, `federated` or `keep`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Secret => "secret",
            Self::Federated(_) => "federated",
            Self::Keep => "keep",
        }
    }
}

impl Method {
    /// `rbac` or `classic`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rbac => "rbac",
            Self::Classic => "classic",
        }
    }
}

/// The addresses Exchange gives to mailboxes: no quotes, no spaces, one at sign.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let plain = |c: char| {
        !c.is_control() && !c.is_whitespace() && !"\"'`$<>()[],;:\\@|{}".contains(c) || c == '\''
    };
    !local.is_empty()
        && local.chars().all(plain)
        && domain.contains('.')
        && domain.split('.').all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(mailboxes: &[&str], name: &str) -> Result<Wish, WishError> {
        let mailboxes: Vec<String> = mailboxes.iter().map(|&text| text.to_owned()).collect();
        Wish::new(
            Method::Rbac,
            &mailboxes,
            CredentialWish::Certificate,
            None,
            name,
        )
    }

    #[test]
    fn mailboxes_are_tidied() {
        let wish = wish(
            &["A@Contoso.com", " a@contoso.com ", "o'neil@contoso.com"],
            NAME,
        );
        assert_eq!(
            wish.unwrap().mailboxes,
            ["a@contoso.com", "o'neil@contoso.com"]
        );
    }

    #[test]
    fn what_is_no_wish_is_said() {
        assert_eq!(wish(&[], NAME).unwrap_err(), WishError::NoMailbox);
        for text in [
            "", "a", "a@", "@b.c", "a@b", "a b@c.d", "a@b@c.d", "a;b@c.d", "$(x)@c.d",
        ] {
            assert!(
                matches!(wish(&[text], NAME), Err(WishError::NotMailbox { .. })),
                "{text}"
            );
        }
        for name in ["", " x", "x'y", "a\nb", "$x", &"x".repeat(51)] {
            assert!(
                matches!(wish(&["a@b.c"], name), Err(WishError::NotName { .. })),
                "{name}"
            );
        }
    }
}
