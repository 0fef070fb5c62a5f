//! One mail address as RFC 5321 writes it on the wire.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::limits::{
    ADDRESS_OCTETS_MAX, DOMAIN_OCTETS_MAX, LABEL_OCTETS_MAX, LOCAL_PART_OCTETS_MAX,
};

/// A `local-part@domain` (RFC 5321 §4.1.2 `Mailbox`, with RFC 6531 §3.3 for UTF-8).
///
/// Shape: dot-string or quoted local part, then a domain name or an address literal; no CR, LF,
/// NUL or other control, at most [`ADDRESS_OCTETS_MAX`] octets. Two addresses are equal when
/// their text is; [`Address::key`] folds case for look-ups.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    text: Box<str>,
    at: usize,
}

/// The address whose mailbox a token acts for: `user=` in XOAUTH2.
///
/// Compared without regard to ASCII case, as the service does with its own mailboxes.
#[derive(Clone, Debug)]
pub struct Mailbox(Address);

/// Why a text is no address. Nothing of it was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no text at all.
    #[error("an address is empty")]
    Empty,
    /// No `@` separates a local part from a domain.
    #[error("“{0}” has no @ and a domain")]
    NoDomain(String),
    /// More octets than the limit in the named part.
    #[error("the {part} has {octets} octets, more than {max}")]
    TooLong {
        /// The part that is too long.
        part: &'static str,
        /// Its length.
        octets: usize,
        /// The limit.
        max: usize,
    },
    /// CR, LF, NUL or another control character: never cleaned, always refused.
    #[error("an address holds the control character {0:#04x}; nothing was cleaned")]
    Control(u32),
    /// A local part that is neither a dot-string nor a quoted string.
    #[error(
        "“{0}” is not a local part: a character outside quotes, or an empty piece between dots"
    )]
    LocalPart(String),
    /// A domain that is neither a name nor an address literal.
    #[error("“{0}” is not a domain name or an address literal")]
    Domain(String),
}

impl Address {
    /// Parses a bare address; angle brackets belong to a path.
    ///
    /// # Errors
    /// [`AddressError`] names the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            return Err(AddressError::Control(control.into()));
        }
        within("address", text, ADDRESS_OCTETS_MAX)?;
        let at = split_at(text).ok_or_else(|| AddressError::NoDomain(text.to_owned()))?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        within("local part", local, LOCAL_PART_OCTETS_MAX)?;
        within("domain", domain, DOMAIN_OCTETS_MAX)?;
        if !(is_dot_string(local) || is_quoted_string(local)) {
            return Err(AddressError::LocalPart(local.to_owned()));
        }
        if !(is_domain_name(domain) || is_address_literal(domain)) {
            return Err(AddressError::Domain(domain.to_owned()));
        }
        Ok(Self {
            text: text.into(),
            at,
        })
    }

    /// The address as it goes on the wire, without brackets.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the `@`, with its quotes if it has any.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The address with ASCII letters in lower case, for look-ups: Exchange compares both parts
    /// without regard to case.
    pub fn key(&self) -> String {
        self.text.to_ascii_lowercase()
    }

    /// Whether both name the same mailbox, ASCII case aside.
    pub fn same_mailbox(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }

    /// Whether the wire needs SMTPUTF8 for it (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        !self.text.is_ascii()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.text)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Mailbox {
    /// The mailbox with this address.
    pub const fn new(address: Address) -> Self {
        Self(address)
    }

    /// Its address.
    pub const fn address(&self) -> &Address {
        &self.0
    }

    /// Its address as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<Address> for Mailbox {
    fn from(address: Address) -> Self {
        Self(address)
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Address::parse(text).map(Self)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Mailbox {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_mailbox(&other.0)
    }
}

impl Eq for Mailbox {}

impl std::hash::Hash for Mailbox {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for octet in self.0.as_str().bytes() {
            state.write_u8(octet.to_ascii_lowercase());
        }
    }
}

fn within(part: &'static str, text: &str, max: usize) -> Result<(), AddressError> {
    if text.len() > max {
        return Err(AddressError::TooLong {
            part,
            octets: text.len(),
            max,
        });
    }
    Ok(())
}

/// Where the `@` is: after the closing quote of a quoted local part, else the last one.
fn split_at(text: &str) -> Option<usize> {
    if text.starts_with('"') {
        let mut escaped = false;
        for (i, c) in text.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return text[i + 1..].starts_with('@').then_some(i + 1),
                _ => {}
            }
        }
        return None;
    }
    text.rfind('@')
}

/// `atext` of RFC 5322 §3.2.3, with UTF-8 as RFC 6531 §3.3 extends it.
pub(crate) fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_letter(c)
}

/// Non-ASCII that is neither a control, a space nor a mark that turns the direction of text:
/// those hide what an address is.
fn is_utf8_letter(c: char) -> bool {
    !c.is_ascii()
        && !c.is_control()
        && !c.is_whitespace()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn is_dot_string(local: &str) -> bool {
    local
        .split('.')
        .all(|piece| !piece.is_empty() && piece.chars().all(is_atext))
}

fn is_quoted_string(local: &str) -> bool {
    let Some(inner) = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return false;
    };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return false,
            // `quoted-pairSMTP`: any printable ASCII.
            '\\' => match chars.next() {
                Some(next) if (' '..='~').contains(&next) => {}
                _ => return false,
            },
            ' '..='~' => {}
            _ if is_utf8_letter(c) => {}
            _ => return false,
        }
    }
    local.len() >= 2
}

/// Whether the text is a domain name: labels of letters, digits and hyphens, or U-labels.
pub(crate) fn is_domain_name(domain: &str) -> bool {
    !domain.is_empty()
        && domain.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= LABEL_OCTETS_MAX
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| {
                    c.is_ascii_alphanumeric()
                        || c == '-'
                        || (is_utf8_letter(c) && c.is_alphanumeric())
                })
        })
}

/// Whether the text is `[1.2.3.4]` or `[IPv6:…]` (RFC 5321 §4.1.3). Other tags have no registry
/// entry and are refused.
pub(crate) fn is_address_literal(domain: &str) -> bool {
    let Some(inner) = domain
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    else {
        return false;
    };
    match inner.split_at_checked(5) {
        Some((tag, rest)) if tag.eq_ignore_ascii_case("IPv6:") => Ipv6Addr::from_str(rest).is_ok(),
        _ => Ipv4Addr::from_str(inner).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_rfc_5321_allows() {
        for text in [
            "a@b",
            "simple@example.com",
            "very.common+tag@sub.example.com",
            "\"q r\"@example.com",
            "\"a\\\"b@c\"@example.com",
            "\"\"@example.com",
            "user@[192.0.2.1]",
            "user@[IPv6:2001:db8::1]",
            "postmaster@xn--bcher-kva.example",
            "müller@bücher.example",
            "!#$%&'*+-/=?^_`{|}~@example.com",
        ] {
            let address = Address::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(address.as_str(), text);
            assert_eq!(
                format!("{}@{}", address.local_part(), address.domain()),
                text
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_label = format!("a@{}.com", "b".repeat(64));
        for text in [
            "",
            "a",
            "@",
            "@b",
            "a@",
            "a b@c.d",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a@b..c",
            "a@-b.c",
            "a@b-.c",
            "a@b_c.d",
            "\"a@b",
            "\"a\"b@c",
            "\"a\"\"b\"@c",
            "a@[1.2.3]",
            "a@[IPv6:zz]",
            "a@[foo:bar]",
            "<a@b>",
            "a@b>",
            "a@b\r\nRCPT TO:<x@y>",
            "a\0@b",
            "a@b\n",
            "a\u{202e}@b",
            "a@b c",
            "a,b@c",
            "a@b@c",
            &long_local,
            &long_label,
        ] {
            assert!(Address::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn mailboxes_are_compared_without_case() {
        let one: Mailbox = "NoReply@Contoso.com".parse().unwrap();
        let two: Mailbox = "noreply@contoso.COM".parse().unwrap();
        assert_eq!(one, two);
        assert_ne!(one.address(), two.address());
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_never_changes_the_text(text in "\\PC{0,80}") {
            if let Ok(address) = Address::parse(&text) {
                proptest::prop_assert_eq!(address.as_str(), text);
            }
        }
    }
}
