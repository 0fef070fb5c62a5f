//! What the client has done, as the session hands it to its host.

use bytes::Bytes;

use crate::command::ClientName;
use crate::error::CommandError;
use crate::parameter::{MailCommand, RcptCommand};
use crate::sasl::Response;

/// What the client has done. Variants marked *reply due* wait for [`Session::reply`](super::Session::reply).
#[derive(Debug)]
pub enum Event {
    /// EHLO or HELO; reply due. A positive reply ends any open transaction.
    Hello {
        /// EHLO, not HELO.
        extended: bool,
        /// What the client calls itself.
        name: ClientName,
    },
    /// STARTTLS with nothing behind it; reply due. After `220` the shell writes the output,
    /// shakes hands and calls [`Session::secured`](super::Session::secured).
    StartTls,
    /// AUTH; reply due: `235`, `334` for a challenge, or a refusal.
    Auth {
        /// The mechanism in upper case.
        mechanism: String,
        /// The initial response.
        initial: Option<Response>,
    },
    /// The line after a `334`; reply due, as for [`Event::Auth`].
    AuthResponse(Response),
    /// `*` instead of a response (RFC 4954 §4); reply due.
    AuthCancelled,
    /// MAIL; reply due. A positive one opens the transaction.
    Mail(MailCommand),
    /// RCPT inside a transaction; reply due. A positive one counts the recipient.
    Rcpt(RcptCommand),
    /// DATA with at least one recipient; reply due: `354` or a refusal.
    Data,
    /// A chunk begins; no reply. Its octets follow as [`Event::Body`].
    Chunk {
        /// Its size.
        octets: u64,
        /// Whether the message ends with it.
        last: bool,
    },
    /// Octets of the body, dots unstuffed; no reply.
    Body(Bytes),
    /// A chunk that is not the last has arrived whole; reply due. A negative one fails the
    /// transaction: the client must RSET (RFC 3030 §2).
    ChunkEnd,
    /// The message has arrived whole; reply due. Whatever it is, the transaction is over.
    MessageEnd,
    /// RSET; reply due.
    Reset,
    /// NOOP; reply due.
    Noop,
    /// HELP; reply due.
    Help,
    /// VRFY or EXPN; reply due.
    Verify(String),
    /// QUIT; reply due, then the session is over.
    Quit,
    /// Something out of order or out of shape; reply due. [`Violation::is_fatal`] ends the
    /// session after the reply.
    Violation(Violation),
}

/// What is wrong with what the client has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The line is no command. Fatal for a chunk whose size cannot be known.
    Command(CommandError),
    /// The line is longer than a command or a response may be.
    LineTooLong,
    /// A command line with a bare CR, a bare LF or a NUL. Fatal: peers disagree on where such a
    /// line ends.
    BareLineEnd,
    /// A body with a bare CR, bare LF or NUL under [`LineEndings::Strict`](crate::data::LineEndings::Strict). Fatal in DATA, where
    /// the end of the message is then unknown; in BDAT only the transaction has failed.
    BareLineEndInBody {
        /// Whether it came by DATA.
        data: bool,
    },
    /// Plaintext behind STARTTLS: someone injects commands (CVE-2011-0411). Fatal.
    PlaintextAfterStartTls,
    /// STARTTLS inside TLS.
    AlreadySecure,
    /// A command that needs EHLO or HELO first.
    HelloMissing,
    /// AUTH after a successful AUTH, or inside a transaction (RFC 4954 §4).
    AuthNotNow,
    /// MAIL inside a transaction.
    NestedMail,
    /// RCPT, DATA or BDAT without MAIL.
    MailMissing,
    /// DATA or BDAT without an accepted recipient.
    RecipientMissing,
    /// RCPT or DATA between chunks, or DATA for a body that only BDAT may carry (RFC 3030).
    DataAfterChunk,
    /// Another chunk after one has failed.
    ChunkAfterFailure,
}

impl Violation {
    /// Whether the session must end with the reply.
    pub const fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::Command(CommandError::Chunk)
                | Self::BareLineEnd
                | Self::BareLineEndInBody { data: true }
                | Self::PlaintextAfterStartTls
        )
    }
}
