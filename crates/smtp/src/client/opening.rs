//! From the greeting to an authenticated session, one type a state.
//!
//! Each state takes the reply it waits for and appends the next command to `out`. There is no
//! way from a plain session to AUTH: STARTTLS is not an option, it is the only road.

use bytes::{BufMut, BytesMut};

use crate::capability::Capabilities;
use crate::command::ClientName;
use crate::limits::COMMAND_OCTETS_MAX;
use crate::reply::Reply;
use crate::sasl::{Mechanism, Response, error_report};

/// Where in the dialogue something happened; also the names that `probe` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Name look-up and TCP.
    Connect,
    /// The `220`.
    Greeting,
    /// EHLO in plaintext.
    Ehlo,
    /// STARTTLS and its reply.
    StartTls,
    /// The handshake.
    Tls,
    /// EHLO inside TLS.
    SecureEhlo,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, or BDAT and its octets.
    Body,
    /// The reply to the whole message.
    End,
    /// QUIT.
    Quit,
}

/// The session cannot be opened; nothing was submitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct OpeningError {
    /// Where.
    pub stage: Stage,
    /// Why.
    pub problem: Problem,
}

/// Why a session cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A reply that does not let us go on.
    #[error("the service answered {0}")]
    Refused(Reply),
    /// STARTTLS or the mechanism is not in the EHLO reply.
    #[error("the service does not offer {0}")]
    NotOffered(&'static str),
    /// Octets behind the reply to STARTTLS, before TLS: someone on the way injects replies.
    #[error(
        "{0} octets came in plaintext behind the reply to STARTTLS; someone on the way may be injecting replies"
    )]
    PlaintextAfterStartTls(usize),
}

/// Waits for the `220`.
#[derive(Debug)]
pub struct ExpectGreeting {
    name: ClientName,
}

/// Waits for the reply to EHLO in plaintext.
#[derive(Debug)]
pub struct ExpectEhlo {
    name: ClientName,
}

/// Waits for the reply to STARTTLS.
#[derive(Debug)]
pub struct ExpectStartTls {
    name: ClientName,
}

/// Waits for TLS.
#[derive(Debug)]
pub struct Handshake {
    name: ClientName,
}

/// Waits for the reply to EHLO inside TLS.
#[derive(Debug)]
pub struct ExpectSecureEhlo(());

/// A session inside TLS that may authenticate.
#[derive(Debug)]
pub struct Secured {
    capabilities: Capabilities,
}

/// Waits for the reply to AUTH, or to a response.
#[derive(Debug)]
pub struct ExpectAuth {
    capabilities: Capabilities,
    mechanism: Mechanism,
    sent: Sent,
}

/// What the last line of the exchange was.
#[derive(Debug)]
enum Sent {
    /// AUTH with the response; kept for the one case that the line is refused for its length.
    Initial(Response),
    /// AUTH alone.
    Bare(Response),
    /// The response to the empty challenge.
    Response,
    /// The acknowledgement of an error report.
    Acknowledged(String),
}

/// What a reply in the AUTH exchange leads to.
#[derive(Debug)]
pub enum AuthStep {
    /// More was written; wait for the next reply.
    Continue(ExpectAuth),
    /// Authenticated.
    Ready(Capabilities),
    /// Refused. The session is of no further use with this token.
    Refused {
        /// The final reply.
        reply: Reply,
        /// What a `334` reported before it, decoded.
        report: Option<String>,
    },
}

impl ExpectGreeting {
    /// A session that has just been connected; `name` is what we call ourselves.
    pub const fn new(name: ClientName) -> Self {
        Self { name }
    }

    /// Takes the greeting, writes EHLO.
    ///
    /// # Errors
    /// [`Problem::Refused`] for anything but `220`.
    pub fn reply(self, reply: &Reply, out: &mut BytesMut) -> Result<ExpectEhlo, OpeningError> {
        expect(Stage::Greeting, reply, reply.code() == 220)?;
        write_ehlo(&self.name, out);
        Ok(ExpectEhlo { name: self.name })
    }
}

impl ExpectEhlo {
    /// Takes the EHLO reply, writes STARTTLS.
    ///
    /// # Errors
    /// [`Problem::Refused`], or [`Problem::NotOffered`]: the session never goes on in plaintext.
    pub fn reply(self, reply: &Reply, out: &mut BytesMut) -> Result<ExpectStartTls, OpeningError> {
        expect(Stage::Ehlo, reply, reply.code() == 250)?;
        if !Capabilities::from_reply(reply).starttls {
            let problem = Problem::NotOffered("STARTTLS");
            return Err(OpeningError {
                stage: Stage::StartTls,
                problem,
            });
        }
        out.put_slice(b"STARTTLS\r\n");
        Ok(ExpectStartTls { name: self.name })
    }
}

impl ExpectStartTls {
    /// Takes the reply to STARTTLS. `unread` is how many octets the caller has read behind it.
    ///
    /// # Errors
    /// [`Problem::Refused`], or [`Problem::PlaintextAfterStartTls`] (CVE-2011-0411 seen from the
    /// client's side).
    pub fn reply(self, reply: &Reply, unread: usize) -> Result<Handshake, OpeningError> {
        expect(Stage::StartTls, reply, reply.code() == 220)?;
        if unread > 0 {
            let problem = Problem::PlaintextAfterStartTls(unread);
            return Err(OpeningError {
                stage: Stage::StartTls,
                problem,
            });
        }
        Ok(Handshake { name: self.name })
    }
}

impl Handshake {
    /// TLS is on, peer verified: writes EHLO again (RFC 3207 §4.2). With TLS 1.3 it travels in
    /// the flight of the client's Finished.
    pub fn secured(self, out: &mut BytesMut) -> ExpectSecureEhlo {
        write_ehlo(&self.name, out);
        ExpectSecureEhlo(())
    }
}

impl ExpectSecureEhlo {
    /// Takes the EHLO reply.
    ///
    /// # Errors
    /// [`Problem::Refused`].
    pub fn reply(self, reply: &Reply) -> Result<Secured, OpeningError> {
        expect(Stage::SecureEhlo, reply, reply.code() == 250)?;
        Ok(Secured {
            capabilities: Capabilities::from_reply(reply),
        })
    }
}

impl Secured {
    /// What the service offers inside TLS.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Writes AUTH with the response on the same line.
    ///
    /// RFC 4954 §4 raises the line to `AUTH_OCTETS_MAX`; a server that refuses the length gets
    /// the response again behind an empty challenge.
    ///
    /// # Errors
    /// [`Problem::NotOffered`] when the service does not offer the mechanism: the token is not
    /// shown to it.
    pub fn authenticate(
        self,
        mechanism: Mechanism,
        response: Response,
        out: &mut BytesMut,
    ) -> Result<ExpectAuth, OpeningError> {
        if !self.capabilities.offers_auth(mechanism.name()) {
            let problem = Problem::NotOffered(match mechanism {
                Mechanism::Xoauth2 => "AUTH XOAUTH2",
                Mechanism::Oauthbearer => "AUTH OAUTHBEARER",
            });
            return Err(OpeningError {
                stage: Stage::Auth,
                problem,
            });
        }
        write_auth(mechanism, out);
        out.put_u8(b' ');
        write_response(&response, out);
        Ok(ExpectAuth {
            capabilities: self.capabilities,
            mechanism,
            sent: Sent::Initial(response),
        })
    }
}

impl ExpectAuth {
    /// Takes the next reply of the exchange.
    pub fn reply(self, reply: Reply, out: &mut BytesMut) -> AuthStep {
        let Self {
            capabilities,
            mechanism,
            sent,
        } = self;
        let again = |sent| {
            AuthStep::Continue(Self {
                capabilities: capabilities.clone(),
                mechanism,
                sent,
            })
        };
        match sent {
            Sent::Initial(_) | Sent::Response if reply.is_intermediate() => {
                out.put_slice(mechanism.acknowledge_error());
                again(Sent::Acknowledged(error_report(reply.text())))
            }
            Sent::Bare(response) if reply.is_intermediate() => {
                write_response(&response, out);
                again(Sent::Response)
            }
            Sent::Initial(response) if is_line_refused(&response, &reply) => {
                write_auth(mechanism, out);
                out.put_slice(b"\r\n");
                again(Sent::Bare(response))
            }
            // A peer that never stops asking is refused; so is one that asks for nothing new.
            Sent::Acknowledged(report) if !reply.is_positive() => AuthStep::Refused {
                reply,
                report: Some(report),
            },
            _ if reply.is_positive() => AuthStep::Ready(capabilities),
            _ => AuthStep::Refused {
                reply,
                report: None,
            },
        }
    }
}

/// Whether a refusal is about the line's length, not about what it says: `500` is what RFC 5321
/// §4.5.3.1.4 gives for a line too long, and only a line beyond 512 octets can be meant.
fn is_line_refused(response: &Response, reply: &Reply) -> bool {
    reply.code() == 500 && response.octets() + "AUTH XOAUTH2 \r\n".len() > COMMAND_OCTETS_MAX
}

fn expect(stage: Stage, reply: &Reply, good: bool) -> Result<(), OpeningError> {
    if good {
        return Ok(());
    }
    Err(OpeningError {
        stage,
        problem: Problem::Refused(reply.clone()),
    })
}

fn write_ehlo(name: &ClientName, out: &mut BytesMut) {
    out.put_slice(b"EHLO ");
    out.put_slice(name.as_str().as_bytes());
    out.put_slice(b"\r\n");
}

fn write_auth(mechanism: Mechanism, out: &mut BytesMut) {
    out.put_slice(b"AUTH ");
    out.put_slice(mechanism.name().as_bytes());
}

fn write_response(response: &Response, out: &mut BytesMut) {
    out.put_slice(response.expose().as_bytes());
    out.put_slice(b"\r\n");
}

impl Stage {
    /// The stage's name as shown and as `--quit-after` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::SecureEhlo => "secure-ehlo",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Body => "body",
            Self::End => "end",
            Self::Quit => "quit",
        }
    }

    /// Every stage in order.
    pub const ALL: [Self; 12] = [
        Self::Connect,
        Self::Greeting,
        Self::Ehlo,
        Self::StartTls,
        Self::Tls,
        Self::SecureEhlo,
        Self::Auth,
        Self::Mail,
        Self::Rcpt,
        Self::Body,
        Self::End,
        Self::Quit,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        let (code, rest) = text.split_at(3);
        Reply::new(code.parse().unwrap(), rest.trim_start())
    }

    fn secured(offer: &str) -> Secured {
        let mut out = BytesMut::new();
        ExpectGreeting::new(ClientName::new("c.example").unwrap())
            .reply(&reply("220 hi"), &mut out)
            .unwrap()
            .reply(&reply("250 x\nSTARTTLS"), &mut out)
            .unwrap()
            .reply(&reply("220 go"), 0)
            .unwrap()
            .secured(&mut out)
            .reply(&reply(offer))
            .unwrap()
    }

    fn start(octets: usize) -> (ExpectAuth, BytesMut) {
        let mailbox = "a@b.c".parse().unwrap();
        let response = Mechanism::Xoauth2
            .respond(&mailbox, &"t".repeat(octets))
            .unwrap();
        let mut out = BytesMut::new();
        let state = secured("250 x\nAUTH LOGIN XOAUTH2").authenticate(
            Mechanism::Xoauth2,
            response,
            &mut out,
        );
        (state.unwrap(), out)
    }

    #[test]
    fn never_goes_on_in_plaintext() {
        let open = || {
            let mut out = BytesMut::new();
            let state = ExpectGreeting::new(ClientName::new("c").unwrap());
            state.reply(&reply("220 hi"), &mut out).unwrap()
        };
        let mut out = BytesMut::new();
        let error = open()
            .reply(&reply("250 STARTTLS\nSIZE"), &mut out)
            .unwrap_err();
        assert_eq!(error.problem, Problem::NotOffered("STARTTLS"));
        for answer in ["454 no", "250 ok", "502 what"] {
            let state = open().reply(&reply("250 x\nSTARTTLS"), &mut out).unwrap();
            assert!(matches!(
                state.reply(&reply(answer), 0).unwrap_err().problem,
                Problem::Refused(_)
            ));
        }
        let state = open().reply(&reply("250 x\nSTARTTLS"), &mut out).unwrap();
        assert_eq!(
            state.reply(&reply("220 go"), 7).unwrap_err().problem,
            Problem::PlaintextAfterStartTls(7)
        );
    }

    #[test]
    fn the_token_is_not_shown_without_an_offer() {
        let response = Mechanism::Xoauth2
            .respond(&"a@b.c".parse().unwrap(), "t")
            .unwrap();
        let mut out = BytesMut::new();
        let error =
            secured("250 x\nAUTH LOGIN").authenticate(Mechanism::Xoauth2, response, &mut out);
        assert_eq!(
            error.unwrap_err().problem,
            Problem::NotOffered("AUTH XOAUTH2")
        );
        assert!(out.is_empty());
    }

    #[test]
    fn one_round_trip_when_the_token_is_good() {
        let (state, out) = start(2000);
        assert!(out.starts_with(b"AUTH XOAUTH2 ") && out.len() > 2000);
        assert!(matches!(
            state.reply(reply("235 2.7.0 ok"), &mut BytesMut::new()),
            AuthStep::Ready(_)
        ));
    }

    #[test]
    fn an_error_report_is_acknowledged_once() {
        let (state, mut out) = start(10);
        out.clear();
        let AuthStep::Continue(state) = state.reply(reply("334 eyJzIjoiNDAxIn0="), &mut out) else {
            panic!("a report is to be acknowledged")
        };
        assert_eq!(&out[..], b"\r\n");
        let AuthStep::Refused { reply, report } = state.reply(reply("535 5.7.3 no"), &mut out)
        else {
            panic!("the final reply ends it")
        };
        assert_eq!(
            (reply.code(), report.as_deref()),
            (535, Some("{\"s\":\"401\"}"))
        );
    }

    #[test]
    fn a_refused_line_is_sent_again_behind_a_challenge() {
        let (state, mut out) = start(2000);
        out.clear();
        let AuthStep::Continue(state) = state.reply(reply("500 5.5.2 line too long"), &mut out)
        else {
            panic!("the length is to blame")
        };
        assert_eq!(&out[..], b"AUTH XOAUTH2\r\n");
        out.clear();
        let AuthStep::Continue(state) = state.reply(reply("334 "), &mut out) else {
            panic!("the challenge is to be answered")
        };
        assert!(out.len() > 2000);
        assert!(matches!(
            state.reply(reply("235 ok"), &mut out),
            AuthStep::Ready(_)
        ));
    }

    #[test]
    fn a_short_line_is_not_sent_twice() {
        let (state, mut out) = start(10);
        assert!(matches!(
            state.reply(reply("500 5.5.2 what"), &mut out),
            AuthStep::Refused { .. }
        ));
    }
}
