//! The administrator's tokens: one for Graph, one for Exchange, in memory only.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use sendas_entra::Claims;
use serde::Deserialize;
use zeroize::Zeroizing;

/// An administrator's access token. Cannot be printed; never written anywhere.
#[derive(Clone)]
pub struct AdminToken(Arc<Zeroizing<String>>);

/// The two tokens a set-up needs; each service accepts only its own.
#[derive(Clone, Debug)]
pub struct AdminTokens {
    /// For Microsoft Graph.
    pub graph: AdminToken,
    /// For the Exchange admin interface.
    pub exchange: AdminToken,
}

/// Why a text holds no tokens. The text itself is never repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdminTokenError {
    /// Not the JSON that is wanted.
    #[error(
        "these are no administrator's tokens: wanted is a JSON object with the texts \"graph\" and \"exchange\""
    )]
    NotTokens,
    /// One of them cannot be a token.
    #[error("the token for {service} is no token: a token is visible ASCII without spaces")]
    NotToken {
        /// Which one.
        service: &'static str,
    },
}

#[derive(Deserialize)]
struct Form {
    graph: String,
    exchange: String,
}

impl AdminTokens {
    /// Reads the token for Microsoft Graph out of the same form; `exchange` may be missing.
    ///
    /// # Errors
    /// [`AdminTokenError`].
    pub fn graph_from_json(octets: &[u8]) -> Result<AdminToken, AdminTokenError> {
        #[derive(Deserialize)]
        struct Form {
            graph: String,
        }
        let form: Form = serde_json::from_slice(octets).map_err(|_| AdminTokenError::NotTokens)?;
        AdminToken::new(Zeroizing::new(form.graph), "Graph")
    }

    /// Reads `{"graph": "…", "exchange": "…"}`; other members are ignored.
    ///
    /// # Errors
    /// [`AdminTokenError`].
    pub fn from_json(octets: &[u8]) -> Result<Self, AdminTokenError> {
        let form: Form = serde_json::from_slice(octets).map_err(|_| AdminTokenError::NotTokens)?;
        Ok(Self {
            graph: AdminToken::new(Zeroizing::new(form.graph), "Graph")?,
            exchange: AdminToken::new(Zeroizing::new(form.exchange), "Exchange")?,
        })
    }
}

impl AdminToken {
    /// Takes the text of a token; `service` is named in the error.
    ///
    /// # Errors
    /// [`AdminTokenError::NotToken`].
    pub fn new(text: Zeroizing<String>, service: &'static str) -> Result<Self, AdminTokenError> {
        if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(AdminTokenError::NotToken { service });
        }
        Ok(Self(Arc::new(text)))
    }

    /// What the token says about itself, unverified; none when it is no JWT.
    pub fn claims(&self) -> Option<Claims> {
        Claims::decode(&self.0).ok()
    }

    /// The header that carries it. Marked sensitive, so that nothing shows it.
    pub(crate) fn header(&self) -> HeaderValue {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        let mut value = HeaderValue::from_str(&text).expect("a token is visible ASCII");
        value.set_sensitive(true);
        value
    }
}

/// Shows the type's name only.
impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_and_never_shown() {
        let tokens = AdminTokens::from_json(br#"{"graph":"g.g.g","exchange":"e.e.e","x":1}"#);
        let shown = format!("{:?}", tokens.unwrap());
        assert!(
            !shown.contains("g.g.g") && !shown.contains("e.e.e"),
            "{shown}"
        );
        for (text, expected) in [
            ("", AdminTokenError::NotTokens),
            (r#"{"graph":"g"}"#, AdminTokenError::NotTokens),
            (
                r#"{"graph":"g","exchange":"a b"}"#,
                AdminTokenError::NotToken {
                    service: "Exchange",
                },
            ),
            (
                r#"{"graph":"","exchange":"a"}"#,
                AdminTokenError::NotToken { service: "Graph" },
            ),
        ] {
            assert_eq!(
                AdminTokens::from_json(text.as_bytes()).unwrap_err(),
                expected
            );
        }
    }
}
