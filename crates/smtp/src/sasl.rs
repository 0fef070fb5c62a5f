//! SASL mechanisms: XOAUTH2, OAUTHBEARER on the way out and in, PLAIN and LOGIN on the way in.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sendas_envelope::Mailbox;
use zeroize::{Zeroize, Zeroizing};

use crate::limits::AUTH_OCTETS_MAX;

/// A mechanism that carries a bearer token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Google's and Microsoft's own (Exchange offers this one).
    #[default]
    Xoauth2,
    /// RFC 7628.
    Oauthbearer,
}

/// Base64 text that proves something; printed only as its length, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Response(Zeroizing<String>);

/// Why a response cannot be written, or is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SaslError {
    /// The encoded form does not fit an AUTH line; nothing was sent.
    #[error("the token is too long: {octets} octets encoded, AUTH takes {AUTH_OCTETS_MAX}")]
    TokenTooLong {
        /// Octets of the encoded response with its command.
        octets: usize,
    },
    /// A token with a character outside RFC 6750's `b64token`.
    #[error("the token holds a character that no bearer token has; nothing was sent")]
    TokenCharacter,
    /// Not base64.
    #[error("the response is not base64")]
    Base64,
    /// Base64 of something that the mechanism does not say.
    #[error("the response is not in the form of {0}")]
    Form(&'static str),
}

/// What an XOAUTH2 response says.
pub struct Bearer {
    /// The text after `user=`; not yet an address.
    pub user: String,
    /// The token.
    pub token: Zeroizing<String>,
}

/// What PLAIN says (RFC 4616).
pub struct Plain {
    /// Whom to act for; empty for the same.
    pub authorize: String,
    /// Who it is.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
}

impl Mechanism {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xoauth2 => "XOAUTH2",
            Self::Oauthbearer => "OAUTHBEARER",
        }
    }

    /// Encodes the client's response.
    ///
    /// Shape of XOAUTH2: `user=` mailbox `^A` `auth=Bearer ` token `^A^A`, base64, one line.
    /// Of OAUTHBEARER (RFC 7628 §3.1): `n,a=` mailbox `,^A` `auth=Bearer ` token `^A^A`, where a
    /// comma or equals sign in the mailbox is written `=2C` or `=3D`.
    ///
    /// # Errors
    /// [`SaslError::TokenTooLong`] and [`SaslError::TokenCharacter`]; nothing has been sent.
    pub fn respond(self, mailbox: &Mailbox, token: &str) -> Result<Response, SaslError> {
        // RFC 6750 §2.1.
        let b64token = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        if token.is_empty() || !token.bytes().all(b64token) {
            return Err(SaslError::TokenCharacter);
        }
        let plain = Zeroizing::new(match self {
            Self::Xoauth2 => format!("user={mailbox}\x01auth=Bearer {token}\x01\x01"),
            Self::Oauthbearer => {
                let name = mailbox.as_str().replace('=', "=3D").replace(',', "=2C");
                format!("n,a={name},\x01auth=Bearer {token}\x01\x01")
            }
        });
        let encoded = Zeroizing::new(STANDARD.encode(plain.as_bytes()));
        let octets = "AUTH OAUTHBEARER \r\n".len() + encoded.len();
        if octets > AUTH_OCTETS_MAX {
            return Err(SaslError::TokenTooLong { octets });
        }
        Ok(Response(encoded))
    }

    /// What the client answers to a `334` that reports an error: an empty line for XOAUTH2, one
    /// `^A` for OAUTHBEARER (RFC 7628 §3.2.3).
    pub const fn acknowledge_error(self) -> &'static [u8] {
        match self {
            Self::Xoauth2 => b"\r\n",
            Self::Oauthbearer => b"AQ==\r\n",
        }
    }
}

impl Response {
    /// A response from base64 text read off the wire.
    pub fn from_wire(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text for the wire. Only the code that writes the AUTH line may call it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Octets of the encoded form.
    pub fn octets(&self) -> usize {
        self.0.len()
    }

    /// The decoded octets. A lone `=` is the empty response (RFC 4954 §4).
    ///
    /// # Errors
    /// [`SaslError::Base64`].
    pub fn decode(&self) -> Result<Zeroizing<Vec<u8>>, SaslError> {
        if *self.0 == "=" {
            return Ok(Zeroizing::new(Vec::new()));
        }
        STANDARD
            .decode(self.0.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| SaslError::Base64)
    }

    /// Reads it as XOAUTH2.
    ///
    /// # Errors
    /// [`SaslError::Base64`], or [`SaslError::Form`] when a part is missing or not UTF-8.
    pub fn xoauth2(&self) -> Result<Bearer, SaslError> {
        let form = || SaslError::Form("XOAUTH2");
        let octets = self.decode()?;
        let text = std::str::from_utf8(&octets).map_err(|_| form())?;
        let mut parts = text
            .strip_suffix("\x01\x01")
            .ok_or_else(form)?
            .split('\x01');
        let user = parts
            .next()
            .and_then(|p| p.strip_prefix("user="))
            .ok_or_else(form)?;
        let token = parts.next().and_then(bearer).ok_or_else(form)?;
        if parts.next().is_some() || user.is_empty() || user.chars().any(char::is_control) {
            return Err(form());
        }
        Ok(Bearer {
            user: user.to_owned(),
            token: Zeroizing::new(token.to_owned()),
        })
    }

    /// Reads it as PLAIN.
    ///
    /// # Errors
    /// [`SaslError::Base64`], or [`SaslError::Form`] when a part is missing or not UTF-8.
    pub fn plain(&self) -> Result<Plain, SaslError> {
        let form = || SaslError::Form("PLAIN");
        let octets = self.decode()?;
        let text = std::str::from_utf8(&octets).map_err(|_| form())?;
        let mut parts = text.split('\0');
        let (Some(authorize), Some(user), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(form());
        };
        if user.is_empty() || text.chars().any(|c| c.is_control() && c != '\0') {
            return Err(form());
        }
        Ok(Plain {
            authorize: authorize.to_owned(),
            user: user.to_owned(),
            password: Zeroizing::new(password.to_owned()),
        })
    }

    /// Reads it as one answer of LOGIN: a user name or a password.
    ///
    /// # Errors
    /// [`SaslError::Base64`], or [`SaslError::Form`] when it is not UTF-8 or holds a control
    /// character.
    pub fn login(&self) -> Result<Zeroizing<String>, SaslError> {
        let form = || SaslError::Form("LOGIN");
        let octets = self.decode()?;
        let text = std::str::from_utf8(&octets).map_err(|_| form())?;
        if text.chars().any(char::is_control) {
            return Err(form());
        }
        Ok(Zeroizing::new(text.to_owned()))
    }
}

fn bearer(part: &str) -> Option<&str> {
    let value = part.strip_prefix("auth=")?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// What a `334` after the token says: the service's error report, decoded where it is base64.
///
/// Google sends JSON here; Exchange was never seen to. It is shown, never acted on.
pub fn error_report(challenge: &str) -> String {
    let decoded = STANDARD
        .decode(challenge.trim())
        .ok()
        .and_then(|o| String::from_utf8(o).ok());
    decoded.unwrap_or_else(|| challenge.to_owned())
}

impl Drop for Bearer {
    fn drop(&mut self) {
        self.user.zeroize();
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response(<{} octets>)", self.octets())
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer(user {:?})", self.user)
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plain(user {:?})", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox() -> Mailbox {
        "noreply@contoso.com".parse().unwrap()
    }

    #[test]
    fn xoauth2_is_read_as_written() {
        let response = Mechanism::Xoauth2
            .respond(&mailbox(), "eyJ0.a-b_c.d")
            .unwrap();
        assert_eq!(
            &*response.decode().unwrap(),
            b"user=noreply@contoso.com\x01auth=Bearer eyJ0.a-b_c.d\x01\x01"
        );
        let bearer = response.xoauth2().unwrap();
        assert_eq!(
            (bearer.user.as_str(), bearer.token.as_str()),
            ("noreply@contoso.com", "eyJ0.a-b_c.d")
        );
    }

    #[test]
    fn oauthbearer_escapes_the_mailbox() {
        let odd: Mailbox = "a=b@contoso.com".parse().unwrap();
        let response = Mechanism::Oauthbearer.respond(&odd, "t").unwrap();
        assert_eq!(
            &*response.decode().unwrap(),
            b"n,a=a=3Db@contoso.com,\x01auth=Bearer t\x01\x01"
        );
    }

    #[test]
    fn a_token_that_is_none_is_not_sent() {
        for token in ["", "a b", "a\r\nb", "a\x01b", "ü"] {
            assert_eq!(
                Mechanism::Xoauth2.respond(&mailbox(), token),
                Err(SaslError::TokenCharacter)
            );
        }
        let long = "x".repeat(AUTH_OCTETS_MAX);
        assert!(matches!(
            Mechanism::Xoauth2.respond(&mailbox(), &long),
            Err(SaslError::TokenTooLong { .. })
        ));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let response = Mechanism::Xoauth2.respond(&mailbox(), "canary").unwrap();
        let shown = format!("{response:?} {:?}", response.xoauth2().unwrap());
        assert!(
            !shown.contains("canary") && !shown.contains(response.expose()),
            "{shown}"
        );
    }

    #[test]
    fn malformed_responses() {
        for text in ["", "=", "!!!", "dXNlcj1h", "dXNlcj0BYXV0aD1CZWFyZXIgdAEB"] {
            assert!(Response::from_wire(text).xoauth2().is_err(), "{text}");
        }
        let plain = Response::from_wire(&STANDARD.encode("\0user\0pass"))
            .plain()
            .unwrap();
        assert_eq!(
            (plain.user.as_str(), plain.password.as_str()),
            ("user", "pass")
        );
        for text in ["a\0b", "\0\0pass", "\0u\0p\0x", "\0u\np\0p"] {
            assert!(
                Response::from_wire(&STANDARD.encode(text)).plain().is_err(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn error_reports_are_shown() {
        assert_eq!(
            error_report(&STANDARD.encode(r#"{"status":"400"}"#)),
            r#"{"status":"400"}"#
        );
        assert_eq!(error_report("not base64"), "not base64");
    }
}
