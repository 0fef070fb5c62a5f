//! Commands: one line, parsed once.

use std::fmt;

use crate::error::CommandError;
use crate::limits::{CHUNK_OCTETS_MAX, CLIENT_NAME_OCTETS_MAX};
use crate::parameter::{MailCommand, RcptCommand};
use crate::sasl::Response;

/// One command line as the server reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// HELO.
    Helo(ClientName),
    /// EHLO.
    Ehlo(ClientName),
    /// STARTTLS.
    StartTls,
    /// AUTH with its mechanism in upper case and the initial response, if there is one.
    Auth {
        /// The mechanism.
        mechanism: String,
        /// The initial response.
        initial: Option<Response>,
    },
    /// MAIL.
    Mail(MailCommand),
    /// RCPT.
    Rcpt(RcptCommand),
    /// DATA.
    Data,
    /// BDAT.
    Bdat {
        /// Octets of the chunk.
        octets: u64,
        /// Whether the message ends with it.
        last: bool,
    },
    /// RSET.
    Rset,
    /// NOOP, its argument dropped.
    Noop,
    /// VRFY with its argument.
    Vrfy(String),
    /// EXPN with its argument.
    Expn(String),
    /// HELP, its argument dropped.
    Help,
    /// QUIT.
    Quit,
}

/// What a client calls itself, or what we call ourselves, in EHLO and HELO.
///
/// Shape: 1 to [`CLIENT_NAME_OCTETS_MAX`] printable octets without a space. Looser than a domain:
/// devices send underscores, bare addresses and host names without a dot, and nothing is decided
/// by it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientName(Box<str>);

impl Command {
    /// Parses one line without its CRLF. `smtputf8` is what the open transaction's MAIL said.
    ///
    /// # Errors
    /// [`CommandError`] with what is wrong; nothing of the line was kept.
    pub fn parse(line: &[u8], smtputf8: bool) -> Result<Self, CommandError> {
        Self::parse_any(line, smtputf8).map_err(|error| {
            if announces_chunk(line) {
                CommandError::Chunk
            } else {
                error
            }
        })
    }

    fn parse_any(line: &[u8], smtputf8: bool) -> Result<Self, CommandError> {
        let text = std::str::from_utf8(line).map_err(|_| CommandError::Octets)?;
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(CommandError::Octets);
        }
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let argument = rest.trim_matches([' ', '\t']);
        let alone = |command: Self, shape| {
            if argument.is_empty() {
                Ok(command)
            } else {
                Err(CommandError::Syntax(shape))
            }
        };
        // `MAIL` to `mail`: verbs are four letters in any case, but for STARTTLS.
        match verb.to_ascii_uppercase().as_str() {
            "HELO" => ClientName::new(argument).map(Self::Helo),
            "EHLO" => ClientName::new(argument).map(Self::Ehlo),
            "STARTTLS" => alone(Self::StartTls, "STARTTLS without parameters"),
            "AUTH" => auth(argument),
            "MAIL" => MailCommand::parse(argument).map(Self::Mail),
            "RCPT" => RcptCommand::parse(argument, smtputf8).map(Self::Rcpt),
            "DATA" => alone(Self::Data, "DATA without parameters"),
            "BDAT" => bdat(argument),
            "RSET" => alone(Self::Rset, "RSET without parameters"),
            "NOOP" => Ok(Self::Noop),
            "VRFY" => Ok(Self::Vrfy(argument.to_owned())),
            "EXPN" => Ok(Self::Expn(argument.to_owned())),
            "HELP" => Ok(Self::Help),
            "QUIT" => alone(Self::Quit, "QUIT without parameters"),
            _ => Err(CommandError::Unknown(verb.chars().take(40).collect())),
        }
    }
}

impl ClientName {
    /// A name from its text.
    ///
    /// # Errors
    /// [`CommandError::Syntax`] when it is empty, too long, or holds a space or control.
    pub fn new(text: &str) -> Result<Self, CommandError> {
        let plain = text.chars().all(|c| c > ' ' && !c.is_control());
        if text.is_empty() || text.len() > CLIENT_NAME_OCTETS_MAX || !plain {
            return Err(CommandError::Syntax("EHLO name"));
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::reply::write_escaped(f, &self.0)
    }
}

impl fmt::Debug for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientName({self})")
    }
}

fn auth(argument: &str) -> Result<Command, CommandError> {
    const SHAPE: CommandError = CommandError::Syntax("AUTH mechanism [initial-response]");
    let mut words = argument.split(' ').filter(|word| !word.is_empty());
    let mechanism = words.next().ok_or(SHAPE)?;
    // RFC 4422 §3.1: 1 to 20 characters.
    let name = mechanism.len() <= 20
        && mechanism
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let initial = words.next();
    if !name || words.next().is_some() {
        return Err(SHAPE);
    }
    Ok(Command::Auth {
        mechanism: mechanism.to_ascii_uppercase(),
        initial: initial.map(Response::from_wire),
    })
}

/// Whether a line begins as BDAT does, whatever follows.
fn announces_chunk(line: &[u8]) -> bool {
    let (verb, rest) = line.split_at(line.len().min(4));
    verb.eq_ignore_ascii_case(b"BDAT") && rest.first().is_none_or(|b| !b.is_ascii_alphabetic())
}

fn bdat(argument: &str) -> Result<Command, CommandError> {
    const SHAPE: CommandError = CommandError::Chunk;
    let mut words = argument.split(' ').filter(|word| !word.is_empty());
    let octets = words
        .next()
        .filter(|w| w.len() <= 20 && w.bytes().all(|b| b.is_ascii_digit()));
    let octets: u64 = octets.and_then(|w| w.parse().ok()).ok_or(SHAPE)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(SHAPE),
    };
    if words.next().is_some() || octets > CHUNK_OCTETS_MAX {
        return Err(SHAPE);
    }
    Ok(Command::Bdat { octets, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commands_in_any_case() {
        for (line, expected) in [
            (
                "ehlo [192.0.2.1]",
                Command::Ehlo(ClientName::new("[192.0.2.1]").unwrap()),
            ),
            (
                "HELO my_printer",
                Command::Helo(ClientName::new("my_printer").unwrap()),
            ),
            ("StartTLS", Command::StartTls),
            (
                "AUTH xoauth2",
                Command::Auth {
                    mechanism: "XOAUTH2".into(),
                    initial: None,
                },
            ),
            (
                "BDAT 10 last",
                Command::Bdat {
                    octets: 10,
                    last: true,
                },
            ),
            (
                "BDAT 0",
                Command::Bdat {
                    octets: 0,
                    last: false,
                },
            ),
            ("NOOP whatever", Command::Noop),
            ("QUIT ", Command::Quit),
        ] {
            assert_eq!(
                Command::parse(line.as_bytes(), false).as_ref(),
                Ok(&expected),
                "{line}"
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        for line in [
            &b""[..],
            b"HELO",
            b"EHLO a b",
            b"STARTTLS now",
            b"AUTH",
            b"AUTH a b c",
            b"BDAT",
            b"BDAT -1",
            b"BDAT 1 FIRST",
            b"BDAT 99999999999999999999",
            b"BDAT 18446744073709551615",
            b"BDAT 0x10",
            b"DATA now",
            b"RSET x",
            b"GET / HTTP/1.1",
            b"\x16\x03\x01",
            b"NOOP \xff",
            b"MAIL\x1bFROM:<a@b>",
            b"BDAT 1 LAST x",
        ] {
            assert!(
                Command::parse(line, false).is_err(),
                "{:?}",
                String::from_utf8_lossy(line)
            );
        }
        assert_eq!(
            Command::parse(b"XYZZY", false),
            Err(CommandError::Unknown("XYZZY".into()))
        );
    }

    #[test]
    fn a_chunk_without_a_size_is_told_from_other_mistakes() {
        for line in [
            &b"BDAT"[..],
            b"bdat ",
            b"BDAT -5",
            b"BDAT +5",
            b"BDAT 5 LAST LAST",
            b"BDAT 5,LAST",
            b"BDAT\t5",
            b"BDAT5",
            b"BDAT 5 \xff",
            b"BDAT 5\x07",
            b"BDAT 99999999999999999999",
            b"BDAT 18446744073709551615 LAST",
        ] {
            assert_eq!(
                Command::parse(line, false),
                Err(CommandError::Chunk),
                "{:?}",
                String::from_utf8_lossy(line)
            );
        }
        assert_eq!(
            Command::parse(b"BDATA 5", false),
            Err(CommandError::Unknown("BDATA".into()))
        );
    }

    proptest::proptest! {
        #[test]
        fn hostile_lines_never_panic(line in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            drop(Command::parse(&line, true));
        }
    }
}
