//! What a server offers in its EHLO reply.

use crate::reply::Reply;

/// The extensions that matter here, read from one EHLO reply.
///
/// A reply to an EHLO inside TLS replaces one from before: RFC 3207 §4.2 forbids keeping any of
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one keyword of the reply, on or off"
)]
pub struct Capabilities {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// CHUNKING: BDAT (RFC 3030).
    pub chunking: bool,
    /// BINARYMIME (RFC 3030).
    pub binarymime: bool,
    /// 8BITMIME (RFC 6152).
    pub eightbitmime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// SIZE (RFC 1870).
    pub size: Option<SizeOffer>,
    /// The mechanisms after AUTH (RFC 4954), upper case, in order.
    pub auth: Vec<String>,
}

/// What the SIZE line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeOffer {
    /// SIZE alone or `SIZE 0`: the parameter is understood, no limit is told.
    Untold,
    /// No message of more octets than this.
    Octets(u64),
}

impl Capabilities {
    /// Reads a positive EHLO reply; its first line is the greeting. Unknown lines are skipped.
    pub fn from_reply(reply: &Reply) -> Self {
        let mut found = Self::default();
        for line in reply.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else {
                continue;
            };
            match keyword.to_ascii_uppercase().as_str() {
                "STARTTLS" => found.starttls = true,
                "PIPELINING" => found.pipelining = true,
                "CHUNKING" => found.chunking = true,
                "BINARYMIME" => found.binarymime = true,
                "8BITMIME" => found.eightbitmime = true,
                "SMTPUTF8" => found.smtputf8 = true,
                "DSN" => found.dsn = true,
                "ENHANCEDSTATUSCODES" => found.enhanced_status_codes = true,
                "SIZE" => {
                    found.size = Some(match words.next().and_then(|n| n.parse().ok()) {
                        None | Some(0) => SizeOffer::Untold,
                        Some(octets) => SizeOffer::Octets(octets),
                    });
                }
                "AUTH" => found.auth.extend(words.map(str::to_ascii_uppercase)),
                // Servers of before RFC 4954 write `AUTH=LOGIN`; the plain form stands beside it.
                _ => {}
            }
        }
        found
    }

    /// Whether AUTH offers the mechanism.
    pub fn offers_auth(&self, mechanism: &str) -> bool {
        self.auth.iter().any(|m| m.eq_ignore_ascii_case(mechanism))
    }

    /// The largest message the server says it takes, in octets.
    pub const fn size_octets_max(&self) -> Option<u64> {
        match self.size {
            Some(SizeOffer::Octets(octets)) => Some(octets),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_list_of_exchange() {
        let reply = Reply::new(
            250,
            "front.outlook.office365.com Hello [192.0.2.1]\nSIZE 157286400\nPIPELINING\nDSN\n\
             ENHANCEDSTATUSCODES\nAUTH LOGIN XOAUTH2\n8BITMIME\nBINARYMIME\nCHUNKING\nSMTPUTF8",
        );
        let offered = Capabilities::from_reply(&reply);
        assert!(offered.offers_auth("xoauth2") && !offered.offers_auth("PLAIN"));
        assert!(offered.pipelining && offered.chunking && offered.dsn && !offered.starttls);
        assert_eq!(offered.size_octets_max(), Some(157_286_400));
    }

    #[test]
    fn the_greeting_line_offers_nothing() {
        assert_eq!(
            Capabilities::from_reply(&Reply::new(250, "STARTTLS")),
            Capabilities::default()
        );
        assert_eq!(
            Capabilities::from_reply(&Reply::new(250, "x\nSIZE")).size,
            Some(SizeOffer::Untold)
        );
    }
}
