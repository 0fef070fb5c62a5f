//! Reverse-path and forward-path: what stands between the angle brackets of MAIL and RCPT.

use std::fmt;

use crate::address::{Address, AddressError};

/// Where failure notices go (RFC 5321 §4.1.1.2): an address, or `<>` for a notice itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReversePath {
    /// `<>`: a DSN, or mail that wants none.
    Null,
    /// `<address>`.
    Address(Address),
}

/// One destination (RFC 5321 §4.1.1.3): an address, or the reserved `<Postmaster>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, in any case: the postmaster of whoever receives it.
    Postmaster,
    /// `<address>`.
    Address(Address),
}

impl ReversePath {
    /// Parses the text between the brackets; an empty text is the null reverse-path.
    ///
    /// # Errors
    /// [`AddressError`] as [`Address::parse`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            Ok(Self::Null)
        } else {
            Address::parse(text).map(Self::Address)
        }
    }

    /// The address, unless it is null.
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }

    /// The text between the brackets, empty for null.
    pub fn as_str(&self) -> &str {
        self.address().map_or("", Address::as_str)
    }
}

impl ForwardPath {
    /// Parses the text between the brackets.
    ///
    /// # Errors
    /// [`AddressError`] as [`Address::parse`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.eq_ignore_ascii_case("postmaster") {
            return Ok(Self::Postmaster);
        }
        Address::parse(text).map(Self::Address)
    }

    /// The address, unless it is the bare postmaster.
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Postmaster => None,
            Self::Address(address) => Some(address),
        }
    }

    /// The text between the brackets.
    pub fn as_str(&self) -> &str {
        self.address().map_or("Postmaster", Address::as_str)
    }
}

impl From<Address> for ReversePath {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

impl From<Address> for ForwardPath {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_special_paths() {
        assert_eq!(ReversePath::parse("").unwrap(), ReversePath::Null);
        assert_eq!(ReversePath::Null.to_string(), "<>");
        assert_eq!(
            ForwardPath::parse("POSTMASTER").unwrap(),
            ForwardPath::Postmaster
        );
        assert!(ForwardPath::parse("").is_err());
        assert!(ReversePath::parse("postmaster").is_err());
    }
}
