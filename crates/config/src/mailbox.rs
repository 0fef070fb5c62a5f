//! The mailbox rule: which principal and which mailbox send for a reverse-path.
//!
//! One AUTH chooses one mailbox, and that mailbox decides limits, Sent Items and the
//! `SendAs` check. So the sender's own mailbox is used unless the configuration names another.

use crate::domain::domain;

/// Which addresses an entry covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// One address, in lower case.
    Address(String),
    /// Every address of a domain, in lower case.
    Domain(String),
    /// Every address.
    Everything,
}

/// One entry of a principal's `mailboxes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxEntry {
    /// The senders it covers.
    pub pattern: Pattern,
    /// The mailbox that sends for them; none: the sender's own.
    pub mailbox: Option<String>,
}

/// Who sends for a reverse-path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The principal's place in the list, from 0.
    pub principal: usize,
    /// The mailbox to log in as (`user=`).
    pub mailbox: String,
}

impl Pattern {
    /// Reads an address, `*@domain` or `*`.
    ///
    /// # Errors
    /// What is wrong, as half a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        let (local, host) = text
            .rsplit_once('@')
            .ok_or_else(|| "not an address, `*@domain` or `*`".to_owned())?;
        if !domain(host) {
            return Err(format!("`{host}` is not a domain"));
        }
        if local == "*" {
            return Ok(Self::Domain(host.to_ascii_lowercase()));
        }
        if local.contains('*') {
            return Err("a `*` stands for a whole local part only: `*@domain`".to_owned());
        }
        let forbidden =
            |c: char| c.is_whitespace() || c.is_control() || "@<>()[]\\,;:\"".contains(c);
        if local.is_empty() || local.len() > 64 || local.contains(forbidden) {
            return Err(format!(
                "`{local}` is not the local part of a mailbox's address"
            ));
        }
        Ok(Self::Address(text.to_ascii_lowercase()))
    }

    /// Says whether the pattern covers an address; upper and lower case of ASCII letters
    /// are the same, as they are to the service; nothing else is folded, since some letters fold into
    /// ASCII ones and would pass for them.
    pub fn covers(&self, address: &str) -> bool {
        match self {
            Self::Address(own) => *own == address.to_ascii_lowercase(),
            Self::Domain(own) => address
                .rsplit_once('@')
                .is_some_and(|(_, host)| *own == host.to_ascii_lowercase()),
            Self::Everything => true,
        }
    }

    /// Orders patterns by how narrow they are: an address before a domain before everything.
    fn width(&self) -> u8 {
        match self {
            Self::Address(_) => 0,
            Self::Domain(_) => 1,
            Self::Everything => 2,
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address),
            Self::Domain(domain) => write!(f, "*@{domain}"),
            Self::Everything => f.write_str("*"),
        }
    }
}

/// Finds the principal and mailbox for a reverse-path.
///
/// The narrowest pattern wins; among equals the first in the file. None means that no
/// principal sends for the address, and the message must be refused with that reason.
pub fn coverage<'a>(
    principals: impl IntoIterator<Item = &'a [MailboxEntry]>,
    reverse_path: &str,
) -> Option<Coverage> {
    principals
        .into_iter()
        .enumerate()
        .flat_map(|(principal, entries)| entries.iter().map(move |entry| (principal, entry)))
        .filter(|(_, entry)| entry.pattern.covers(reverse_path))
        .min_by_key(|(_, entry)| entry.pattern.width())
        .map(|(principal, entry)| Coverage {
            principal,
            mailbox: entry
                .mailbox
                .clone()
                .unwrap_or_else(|| reverse_path.to_owned()),
        })
}

/// Finds the principal that logs in as a mailbox: the one that sends through it for others, else
/// the one that covers its own address.
pub fn principal_of<'a>(
    principals: impl IntoIterator<Item = &'a [MailboxEntry]> + Clone,
    mailbox: &str,
) -> Option<usize> {
    let is_it = |entry: &MailboxEntry| {
        entry
            .mailbox
            .as_deref()
            .is_some_and(|own| own.eq_ignore_ascii_case(mailbox))
    };
    principals
        .clone()
        .into_iter()
        .position(|entries| entries.iter().any(is_it))
        .or_else(|| coverage(principals, mailbox).map(|coverage| coverage.principal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> MailboxEntry {
        let (address, mailbox) = text
            .split_once(" -> ")
            .map_or((text, None), |(a, m)| (a, Some(m.to_owned())));
        MailboxEntry {
            pattern: Pattern::parse(address).unwrap(),
            mailbox,
        }
    }

    #[test]
    fn the_narrowest_pattern_wins() {
        let first = [
            entry("*@contoso.com"),
            entry("alias@contoso.com -> noreply@contoso.com"),
        ];
        let second = [
            entry("boss@contoso.com"),
            entry("*@fabrikam.com -> relay@fabrikam.com"),
        ];
        let table = [
            ("x@contoso.com", Some((0, "x@contoso.com"))),
            ("X@CONTOSO.com", Some((0, "X@CONTOSO.com"))),
            ("alias@contoso.com", Some((0, "noreply@contoso.com"))),
            ("Boss@contoso.com", Some((1, "Boss@contoso.com"))),
            ("y@fabrikam.com", Some((1, "relay@fabrikam.com"))),
            ("\u{212a}@contoso.com", Some((0, "\u{212a}@contoso.com"))),
            ("x@fabri\u{212a}am.com", None),
            ("y@sub.fabrikam.com", None),
            ("y@notfabrikam.com", None),
            ("", None),
        ];
        for (address, expected) in table {
            let found = coverage([&first[..], &second[..]], address);
            let expected = expected.map(|(principal, mailbox)| Coverage {
                principal,
                mailbox: mailbox.to_owned(),
            });
            assert_eq!(found, expected, "{address}");
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for text in [
            "", "a", "@b.c", "a@", "a*@b.c", "*@*", "a b@c.d", "<a@b.c>", "a@b@c", "a@-b",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn who_logs_in_as_a_mailbox() {
        let first = [entry("*@contoso.com")];
        let second = [entry("boss@contoso.com -> noreply@contoso.com")];
        let principals = [&first[..], &second[..]];
        for (mailbox, expected) in [
            ("NoReply@contoso.com", Some(1)),
            ("a@contoso.com", Some(0)),
            ("a@fabrikam.com", None),
        ] {
            assert_eq!(principal_of(principals, mailbox), expected, "{mailbox}");
        }
    }
}
