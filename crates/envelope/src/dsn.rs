//! Delivery status parameters of an envelope (RFC 3461): NOTIFY, RET, ENVID, ORCPT.

use std::fmt;
use std::str::FromStr;

use crate::limits::{ENVELOPE_ID_OCTETS_MAX, ORIGINAL_RECIPIENT_OCTETS_MAX};

/// When the sender wants a notice about a recipient (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notify {
    /// `NEVER`: none at all.
    Never,
    /// Any of the three, at least one.
    On {
        /// `SUCCESS`
        success: bool,
        /// `FAILURE`
        failure: bool,
        /// `DELAY`
        delay: bool,
    },
}

/// How much of the message a failure notice returns (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Return {
    /// `FULL`: the message.
    Full,
    /// `HDRS`: its header only.
    Headers,
}

/// The sender's own name for the transaction (RFC 3461 §4.4), in its decoded form.
///
/// Shape: 1 to [`ENVELOPE_ID_OCTETS_MAX`] printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnvelopeId(Box<str>);

/// The recipient as the sender first wrote it (RFC 3461 §4.2): type and decoded text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginalRecipient {
    kind: Box<str>,
    text: Box<str>,
}

/// Why a parameter is not usable. Nothing of it was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// An unknown or contradictory keyword.
    #[error("“{value}” is no value of {parameter}")]
    Value {
        /// The parameter's name.
        parameter: &'static str,
        /// What stood there.
        value: String,
    },
    /// A character that `xtext` does not allow, or a broken `+XX`.
    #[error("{0} is not encoded as xtext")]
    Xtext(&'static str),
    /// A control character or non-ASCII after decoding.
    #[error("{0} holds a character that is not printable ASCII")]
    Unprintable(&'static str),
    /// Empty or too long.
    #[error("{parameter} has {octets} octets; it takes 1 to {max}")]
    Length {
        /// The parameter's name.
        parameter: &'static str,
        /// Its decoded length.
        octets: usize,
        /// The limit.
        max: usize,
    },
}

impl Notify {
    /// Failure only: what a sender gets that says nothing.
    pub const FAILURE: Self = Self::On {
        success: false,
        failure: true,
        delay: false,
    };

    /// Whether a failure is to be told.
    pub const fn failure(self) -> bool {
        matches!(self, Self::On { failure: true, .. })
    }

    /// Whether a delay is to be told.
    pub const fn delay(self) -> bool {
        matches!(self, Self::On { delay: true, .. })
    }

    /// Whether a success is to be told.
    pub const fn success(self) -> bool {
        matches!(self, Self::On { success: true, .. })
    }
}

impl FromStr for Notify {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParameterError::Value {
            parameter: "NOTIFY",
            value: text.to_owned(),
        };
        if text.eq_ignore_ascii_case("never") {
            return Ok(Self::Never);
        }
        let (mut success, mut failure, mut delay) = (false, false, false);
        for word in text.split(',') {
            let seen = match word.to_ascii_lowercase().as_str() {
                "success" => &mut success,
                "failure" => &mut failure,
                "delay" => &mut delay,
                _ => return Err(refuse()),
            };
            *seen = true;
        }
        Ok(Self::On {
            success,
            failure,
            delay,
        })
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::On {
            success,
            failure,
            delay,
        } = *self
        else {
            return f.write_str("NEVER");
        };
        let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
        let mut first = true;
        for (_, word) in words.into_iter().filter(|(on, _)| *on) {
            if !first {
                f.write_str(",")?;
            }
            f.write_str(word)?;
            first = false;
        }
        Ok(())
    }
}

impl FromStr for Return {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "full" => Ok(Self::Full),
            "hdrs" => Ok(Self::Headers),
            _ => Err(ParameterError::Value {
                parameter: "RET",
                value: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

impl EnvelopeId {
    /// An identifier from its plain text.
    ///
    /// # Errors
    /// When it is empty, too long or not printable ASCII.
    pub fn new(text: &str) -> Result<Self, ParameterError> {
        printable("ENVID", text, ENVELOPE_ID_OCTETS_MAX)?;
        Ok(Self(text.into()))
    }

    /// An identifier from the wire.
    ///
    /// # Errors
    /// When it is not `xtext`, or as [`EnvelopeId::new`].
    pub fn from_xtext(text: &str) -> Result<Self, ParameterError> {
        Self::new(&decode_xtext("ENVID", text)?)
    }

    /// The plain text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form on the wire.
    pub fn to_xtext(&self) -> String {
        encode_xtext(&self.0)
    }
}

impl OriginalRecipient {
    /// An original recipient of type `rfc822`.
    ///
    /// # Errors
    /// When it is empty, too long or not printable ASCII.
    pub fn rfc822(text: &str) -> Result<Self, ParameterError> {
        printable("ORCPT", text, ORIGINAL_RECIPIENT_OCTETS_MAX)?;
        Ok(Self {
            kind: "rfc822".into(),
            text: text.into(),
        })
    }

    /// One from the wire: `type;xtext`. `utf-8` addresses (RFC 6533) keep their encoded text.
    ///
    /// # Errors
    /// When the type is missing or not an atom, or the text is not `xtext`.
    pub fn from_xtext(text: &str) -> Result<Self, ParameterError> {
        let refuse = || ParameterError::Value {
            parameter: "ORCPT",
            value: text.to_owned(),
        };
        let (kind, rest) = text.split_once(';').ok_or_else(refuse)?;
        let atom = !kind.is_empty()
            && kind.len() <= 32
            && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !atom {
            return Err(refuse());
        }
        let decoded = decode_xtext("ORCPT", rest)?;
        printable("ORCPT", &decoded, ORIGINAL_RECIPIENT_OCTETS_MAX)?;
        Ok(Self {
            kind: kind.into(),
            text: decoded.into(),
        })
    }

    /// The address type, usually `rfc822`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The plain text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The form on the wire.
    pub fn to_xtext(&self) -> String {
        format!("{};{}", self.kind, encode_xtext(&self.text))
    }
}

fn printable(parameter: &'static str, text: &str, max: usize) -> Result<(), ParameterError> {
    if text.is_empty() || text.len() > max {
        return Err(ParameterError::Length {
            parameter,
            octets: text.len(),
            max,
        });
    }
    if !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(ParameterError::Unprintable(parameter));
    }
    Ok(())
}

/// `xtext` of RFC 3461 §4: printable ASCII but `+`, `=` and the space, others as `+XX`.
fn encode_xtext(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if (b'!'..=b'~').contains(&b) && b != b'+' && b != b'=' {
            out.push(char::from(b));
        } else {
            write!(out, "+{b:02X}").expect("a String takes whatever is written");
        }
    }
    out
}

fn decode_xtext(parameter: &'static str, text: &str) -> Result<String, ParameterError> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(b) = octets.next() {
        match b {
            b'+' => {
                let mut digit = || match octets.next() {
                    Some(d @ b'0'..=b'9') => Ok(d - b'0'),
                    Some(d @ b'A'..=b'F') => Ok(d - b'A' + 10),
                    _ => Err(ParameterError::Xtext(parameter)),
                };
                out.push(digit()? << 4 | digit()?);
            }
            b'!'..=b'~' if b != b'=' => out.push(b),
            _ => return Err(ParameterError::Xtext(parameter)),
        }
    }
    String::from_utf8(out).map_err(|_| ParameterError::Unprintable(parameter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_words() {
        assert_eq!("never".parse::<Notify>().unwrap(), Notify::Never);
        assert_eq!(
            "delay,FAILURE".parse::<Notify>().unwrap().to_string(),
            "FAILURE,DELAY"
        );
        for text in ["", "never,failure", "failure,", "sometimes"] {
            assert!(text.parse::<Notify>().is_err(), "{text}");
        }
    }

    #[test]
    fn xtext_both_ways() {
        let id = EnvelopeId::new("a+b=c d").unwrap();
        assert_eq!(id.to_xtext(), "a+2Bb+3Dc+20d");
        assert_eq!(EnvelopeId::from_xtext(&id.to_xtext()).unwrap(), id);
        for text in ["a=b", "+", "+2", "+zz", "+0D+0A", "+00", "a b", ""] {
            assert!(EnvelopeId::from_xtext(text).is_err(), "{text}");
        }
        let original = OriginalRecipient::from_xtext("rfc822;bob+40example.com").unwrap();
        assert_eq!(original.as_str(), "bob@example.com");
        assert!(OriginalRecipient::from_xtext("bob@example.com").is_err());
    }
}
