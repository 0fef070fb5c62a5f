//! What a conversation shows to whoever watches it: stages, directions, lines without secrets.

use std::net::SocketAddr;

use sendas_smtp::Reply;
use sendas_smtp::client::Stage;

use crate::stream::TlsDetails;

/// Watches a conversation. Called on the way of every line, so it must be quick.
///
/// Nothing secret is handed in: the AUTH line comes as its mechanism and the length of the rest,
/// and bodies come as their length.
pub trait Trace: Send + Sync {
    /// Something has happened; the watcher takes the time.
    fn observe(&self, event: TraceEvent<'_>);
}

/// Which way a line went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the service.
    Out,
    /// From the service.
    In,
}

/// One step of a conversation.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TraceEvent<'a> {
    /// An address is being tried.
    Connecting(SocketAddr),
    /// TCP is open.
    Connected(SocketAddr),
    /// A command line, secrets cut, without its CRLF.
    Sent {
        /// What it belongs to.
        stage: Stage,
        /// The line.
        line: &'a str,
    },
    /// Octets of a body have been written.
    SentBody {
        /// How many.
        octets: u64,
    },
    /// A reply.
    Received {
        /// What it answers.
        stage: Stage,
        /// The reply.
        reply: &'a Reply,
    },
    /// TLS is on and the peer verified.
    Secured(&'a TlsDetails),
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrace;

impl Trace for NoTrace {
    fn observe(&self, _: TraceEvent<'_>) {}
}

/// The lines of a flight as they may be shown: the AUTH response cut to its length, a body not
/// shown at all.
pub(crate) fn lines(flight: &[u8]) -> impl Iterator<Item = String> {
    flight
        .split(|octet| *octet == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            redact(&String::from_utf8_lossy(line))
        })
}

fn redact(line: &str) -> String {
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some("AUTH"), Some(mechanism), Some(response)) => {
            format!("AUTH {mechanism} <{} octets>", response.len())
        }
        // A line that is one word of base64 is a SASL response: no command is so long.
        (Some(word), None, None) if word.len() > 16 => format!("<{} octets>", word.len()),
        _ => line
            .escape_debug()
            .to_string()
            .replace("\\\"", "\"")
            .replace("\\'", "'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_cut_to_its_length() {
        let flight =
            b"AUTH XOAUTH2 dXNlcj1jYW5hcnk=\r\ndXNlcj1jYW5hcnljYW5hcnk=\r\nMAIL FROM:<a@b.c>\r\n";
        let shown: Vec<_> = lines(flight).collect();
        assert_eq!(
            shown,
            [
                "AUTH XOAUTH2 <16 octets>",
                "<24 octets>",
                "MAIL FROM:<a@b.c>"
            ]
        );
    }
}
