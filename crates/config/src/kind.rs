//! What the value of a setting may be.

use std::net::{IpAddr, SocketAddr};

use crate::domain::domain;
use crate::mailbox::Pattern;
use crate::suggest;
use crate::tree::{Node, Value};
use crate::units;

/// What the value of a setting may be; `Display` names it for a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A short name: visible text on one line, at most 64 octets.
    Name,
    /// A tenant id or domain.
    Tenant,
    /// An id of the form `11111111-2222-3333-4444-555555555555`.
    Guid,
    /// A file; relative to the folder of the file it stands in.
    Path,
    /// The name of a systemd credential.
    CredentialName,
    /// The name of an environment variable.
    Variable,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An address: `local@domain`.
    Address,
    /// An address, `*@domain` or `*`.
    MailboxPattern,
    /// A host name, or an address literal in brackets.
    EhloName,
    /// A whole number with `ms`, `s`, `m`, `h` or `d`.
    Duration,
    /// A whole number with `B`, `KiB`, `MiB` or `GiB`.
    Size,
    /// A whole number above zero.
    Count,
    /// An argon2id hash of a password, in the form of the PHC strings.
    PasswordHash,
    /// IP address and port.
    SocketAddress,
    /// IP address, or address and prefix length.
    Network,
    /// `sqlite:///path` or `postgres://…`.
    SpoolUrl,
    /// A list of values of one kind.
    List(&'static Self),
}

/// Why a value was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Half a sentence, shown at the caret.
    pub(crate) label: String,
    /// What to write instead.
    pub(crate) help: Option<String>,
}

impl Wrong {
    fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            help: None,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name => f.write_str("name"),
            Self::Tenant => f.write_str("tenant id or domain"),
            Self::Guid => f.write_str("id"),
            Self::Path => f.write_str("path"),
            Self::CredentialName => f.write_str("name of a systemd credential"),
            Self::Variable => f.write_str("name of an environment variable"),
            Self::Choice(words) => {
                for (at, word) in words.iter().enumerate() {
                    if at > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "`\"{word}\"`")?;
                }
                Ok(())
            }
            Self::Address => f.write_str("address"),
            Self::MailboxPattern => f.write_str("address, `*@domain` or `*`"),
            Self::EhloName => f.write_str("host name"),
            Self::Duration => f.write_str("duration (`ms`, `s`, `m`, `h`, `d`)"),
            Self::Size => f.write_str("size (`B`, `KiB`, `MiB`, `GiB`)"),
            Self::Count => f.write_str("whole number"),
            Self::PasswordHash => f.write_str("argon2id hash"),
            Self::SocketAddress => f.write_str("IP address and port"),
            Self::Network => f.write_str("IP address or network"),
            Self::SpoolUrl => f.write_str("`sqlite://` or `postgres://` address"),
            Self::List(inner) => write!(f, "list: {inner}"),
        }
    }
}

impl Kind {
    /// Checks one value that is not a table; lists are checked element by element by the caller.
    pub(crate) fn check(self, node: &Node) -> Result<(), Wrong> {
        if let (Self::Count, Value::Number(digits)) = (self, &node.value) {
            return self.check_text(digits);
        }
        let Value::Text(text) = &node.value else {
            let form = match self {
                Self::Count => "",
                _ => ", written as text in quotes",
            };
            return Err(Wrong::new(format!(
                "expected {self}{form}, found {}",
                node.value.name()
            )));
        };
        self.check_text(text)
    }

    /// Says whether a text is a value of this kind.
    pub(crate) fn takes(self, text: &str) -> bool {
        self.check_text(text).is_ok()
    }

    fn check_text(self, text: &str) -> Result<(), Wrong> {
        if text.is_empty() {
            return Err(Wrong::new(format!("expected {self}, found nothing")));
        }
        if text.chars().any(char::is_control) {
            return Err(Wrong::new(
                "control characters (line ends, NUL, …) are not allowed here",
            ));
        }
        match self {
            Self::Name if text.len() > 64 => Err(Wrong::new("longer than 64 octets")),
            Self::Name | Self::Path | Self::List(_) => Ok(()),
            Self::Tenant => tenant(text),
            Self::Guid if guid(text) => Ok(()),
            Self::Guid => Err(Wrong {
                label: "not an id".to_owned(),
                help: Some("an id looks like `11111111-2222-3333-4444-555555555555`".to_owned()),
            }),
            Self::CredentialName => plain_name(text, "-._@").then_some(()).ok_or_else(|| {
                Wrong::new("a credential's name has letters, digits and `-._@` only")
            }),
            Self::Variable => (plain_name(text, "_") && !text.as_bytes()[0].is_ascii_digit())
                .then_some(())
                .ok_or_else(|| Wrong {
                    label: "not the name of an environment variable".to_owned(),
                    help: Some(
                        "write the variable's name here, and the secret into the variable"
                            .to_owned(),
                    ),
                }),
            Self::Choice(words) => choice(text, words),
            Self::Address => match Pattern::parse(text) {
                Ok(Pattern::Address(_)) => Ok(()),
                _ => Err(Wrong::new(
                    "not an address; write it like `noreply@contoso.com`",
                )),
            },
            Self::MailboxPattern => Pattern::parse(text).map(drop).map_err(Wrong::new),
            Self::EhloName => ehlo_name(text).then_some(()).ok_or_else(|| {
                Wrong::new("not a host name, nor an IP address in brackets like `[192.0.2.1]`")
            }),
            Self::Duration => units::duration(text).map(drop).map_err(Wrong::new),
            Self::Size => units::size(text).map(drop).map_err(Wrong::new),
            Self::Count => match text.parse::<u32>() {
                Ok(1..) => Ok(()),
                _ => Err(Wrong::new(format!(
                    "not a whole number from 1 to {}",
                    u32::MAX
                ))),
            },
            Self::PasswordHash => password_hash(text),
            Self::SocketAddress => text.parse::<SocketAddr>().map(drop).map_err(|_| {
                Wrong::new(
                    "not an IP address and port; write it like `127.0.0.1:2525` or `[::]:587`",
                )
            }),
            Self::Network => Network::parse(text).map(drop).map_err(Wrong::new),
            Self::SpoolUrl => spool_url(text),
        }
    }
}

/// An IP network: an address and the number of its leading bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The lowest address.
    pub address: IpAddr,
    /// How many leading bits count, 0 to 32 or 128.
    pub prefix: u8,
}

impl Network {
    /// Reads `10.1.2.3`, `10.1.0.0/16` or `2001:db8::/32`.
    ///
    /// # Errors
    /// What is wrong, as half a sentence; bits behind the prefix must be zero, since a
    /// network written otherwise is most often a mistake.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address
            .parse()
            .map_err(|_| "not an IP address or network; write it like `10.1.2.3/32`".to_owned())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(text) => text
                .parse()
                .ok()
                .filter(|prefix| *prefix <= bits)
                .ok_or_else(|| format!("the prefix length is a number from 0 to {bits}"))?,
        };
        let network = Self { address, prefix };
        if matches!(address, IpAddr::V6(six) if six.to_ipv4_mapped().is_some()) {
            return Err(
                "IPv4 inside IPv6 counts as IPv4; write the IPv4 address or network".to_owned(),
            );
        }
        if network.mask(address) != number(address) {
            return Err(format!("the address has bits behind the first {prefix}"));
        }
        Ok(network)
    }

    /// Says whether an address lies in the network; IPv4 inside IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.mask(address) == number(self.address)
    }

    fn mask(&self, address: IpAddr) -> u128 {
        let bits: u32 = if address.is_ipv4() { 32 } else { 128 };
        let drop = bits - u32::from(self.prefix);
        if drop >= 128 {
            0
        } else {
            number(address) >> drop << drop
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

pub(crate) fn guid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts
            .iter()
            .all(|part| part.bytes().all(|octet| octet.is_ascii_hexdigit()))
}

fn tenant(text: &str) -> Result<(), Wrong> {
    if matches!(
        text.to_ascii_lowercase().as_str(),
        "common" | "organizations" | "consumers"
    ) {
        return Err(Wrong {
            label: "names no tenant; an application without a user needs its own".to_owned(),
            help: Some("write the tenant's id, or one of its verified domains".to_owned()),
        });
    }
    if guid(text) || (text.contains('.') && domain(text)) {
        Ok(())
    } else {
        Err(Wrong::new("neither a tenant id nor a domain"))
    }
}

fn ehlo_name(text: &str) -> bool {
    match text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        Some(literal) => literal.strip_prefix("IPv6:").map_or_else(
            || literal.parse::<std::net::Ipv4Addr>().is_ok(),
            |six| six.parse::<std::net::Ipv6Addr>().is_ok(),
        ),
        None => text.is_ascii() && domain(text),
    }
}

fn plain_name(text: &str, besides: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || besides.contains(c))
}

/// Whether a text has the form of an argon2id PHC string; whether its numbers are usable is
/// found where it is used.
fn password_hash(text: &str) -> Result<(), Wrong> {
    let parts: Vec<&str> = text.split('$').collect();
    match parts.as_slice() {
        ["", "argon2id", "v=19", parameters, salt, hash]
            if parameters.starts_with("m=") && !salt.is_empty() && !hash.is_empty() =>
        {
            Ok(())
        }
        _ => Err(Wrong {
            label: "not an argon2id hash".to_owned(),
            help: Some("a hash looks like `$argon2id$v=19$m=19456,t=2,p=1$…$…`".to_owned()),
        }),
    }
}

fn choice(text: &str, words: &[&str]) -> Result<(), Wrong> {
    if words.contains(&text) {
        return Ok(());
    }
    let all: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    let mut wrong = Wrong::new(format!("expected one of {}", all.join(", ")));
    if let Some(near) = suggest::nearest(text, words.iter().copied()) {
        wrong.help = Some(format!("did you mean `{near}`?"));
    }
    Err(wrong)
}

fn spool_url(text: &str) -> Result<(), Wrong> {
    if let Some(path) = text.strip_prefix("sqlite://") {
        return path.starts_with('/').then_some(()).ok_or_else(|| Wrong {
            label: "the path of the database must be absolute".to_owned(),
            help: Some("three slashes: `sqlite:///var/lib/sendas/spool.db`".to_owned()),
        });
    }
    let Some(rest) = text
        .strip_prefix("postgres://")
        .or_else(|| text.strip_prefix("postgresql://"))
    else {
        return Err(Wrong::new(
            "expected `sqlite:///path` or `postgres://user@host/database`",
        ));
    };
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    if user.is_some_and(|user| user.contains(':')) || rest.contains("password=") {
        return Err(Wrong {
            label: "a password does not stand in the configuration file".to_owned(),
            help: Some(
                "the file is copied, shown and kept under version control; put the password into \
                 PostgreSQL's password file (`PGPASSFILE`)"
                    .to_owned(),
            ),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let network = Network::parse("10.1.0.0/16").unwrap();
        assert!(network.contains("10.1.2.3".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        assert!(!network.contains("2001:db8::1".parse().unwrap()));
        assert!(
            Network::parse("2001:db8::/32")
                .unwrap()
                .contains("2001:db8:1::".parse().unwrap())
        );
        assert!(
            Network::parse("0.0.0.0/0")
                .unwrap()
                .contains("1.2.3.4".parse().unwrap())
        );
        for text in [
            "10.1.2.3/33",
            "10.1.2.3/16",
            "host",
            "10.0.0.0/-1",
            "::/129",
            "::ffff:0:0/96",
            "::ffff:10.0.0.1",
            "",
        ] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn texts() {
        let table: &[(Kind, &[&str], &[&str])] = &[
            (
                Kind::Tenant,
                &[
                    "contoso.onmicrosoft.com",
                    "11111111-2222-3333-4444-555555555555",
                ],
                &[
                    "common",
                    "../..",
                    "a/b.c",
                    "@evil.com",
                    "contoso",
                    "a b.c",
                    "x.com?y",
                    "x.com#",
                ],
            ),
            (
                Kind::Guid,
                &["11111111-2222-3333-4444-555555555555"],
                &["1", "{1}", "contoso"],
            ),
            (
                Kind::Variable,
                &["A_B", "_X1"],
                &["1A", "A-B", "A B", "s3cr~t"],
            ),
            (
                Kind::EhloName,
                &["a.b", "[192.0.2.1]", "[IPv6:::1]"],
                &["a b", "[x]", "-a", "ä.de"],
            ),
            (
                Kind::SpoolUrl,
                &["sqlite:///a", "postgres://u@h/d", "postgresql:///d"],
                &[
                    "sqlite://a",
                    "mysql://x",
                    "postgres://u:p@h/d",
                    "postgres://h/d?password=x",
                ],
            ),
            (
                Kind::SocketAddress,
                &["127.0.0.1:25", "[::]:465"],
                &["localhost:25", "127.0.0.1"],
            ),
            (Kind::Address, &["a@b.c"], &["*@b.c", "*", "a", "a@b@c"]),
        ];
        for (kind, good, bad) in table {
            for text in *good {
                assert_eq!(kind.check_text(text), Ok(()), "{kind}: {text}");
            }
            for text in *bad {
                assert!(kind.check_text(text).is_err(), "{kind}: {text}");
            }
        }
    }
}
