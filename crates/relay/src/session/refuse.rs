//! What is wrong with a command, as replies. No text repeats what the client wrote: a browser or
//! another server must never read its own words from us.

use sendas_smtp::server::Violation;
use sendas_smtp::{CommandError, Reply};

/// First words of other protocols that browsers can be made to send.
const FOREIGN: [&str; 10] = [
    "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "HOST:",
];

/// The reply to something out of order or out of shape.
pub(super) fn violation(violation: &Violation) -> Reply {
    match violation {
        Violation::Command(error) => command(error),
        Violation::LineTooLong => Reply::new(500, "5.5.6 Line too long"),
        Violation::BareLineEnd => Reply::new(
            554,
            "5.5.2 A command ends with CRLF, and holds no other line end",
        ),
        Violation::BareLineEndInBody { .. } => Reply::new(
            554,
            "5.6.0 The message holds a bare CR, bare LF or NUL; this client may send CRLF only",
        ),
        Violation::PlaintextAfterStartTls => {
            Reply::new(554, "5.5.1 Nothing may follow STARTTLS in clear")
        }
        Violation::AlreadySecure => Reply::new(503, "5.5.1 TLS is on already"),
        Violation::HelloMissing => Reply::new(503, "5.5.1 Say EHLO first"),
        Violation::AuthNotNow => Reply::new(503, "5.5.1 AUTH is not possible now"),
        Violation::NestedMail => Reply::new(503, "5.5.1 There is a transaction already"),
        Violation::MailMissing => Reply::new(503, "5.5.1 Say MAIL first"),
        Violation::RecipientMissing => Reply::new(554, "5.5.1 There is no recipient"),
        Violation::DataAfterChunk => Reply::new(503, "5.5.1 Not possible with BDAT"),
        Violation::ChunkAfterFailure => Reply::new(503, "5.5.1 A chunk has failed; say RSET"),
    }
}

/// Whether the line comes from a program that speaks something else.
pub(super) fn is_foreign(violation: &Violation) -> bool {
    match violation {
        Violation::Command(CommandError::Unknown(word)) => {
            let word = word.to_ascii_uppercase();
            FOREIGN.contains(&word.as_str())
        }
        _ => false,
    }
}

fn command(error: &CommandError) -> Reply {
    match error {
        CommandError::Unknown(_) => Reply::new(500, "5.5.1 Unknown command"),
        CommandError::Syntax(shape) => Reply::new(501, format!("5.5.4 Syntax: {shape}")),
        CommandError::Chunk => Reply::new(501, "5.5.4 Syntax: BDAT octets [LAST]"),
        CommandError::Address(_) => Reply::new(501, "5.1.3 That is no address"),
        CommandError::Parameter(_) => Reply::new(501, "5.5.4 A parameter is wrong"),
        CommandError::UnknownParameter(_) => Reply::new(555, "5.5.4 A parameter is not known"),
        CommandError::NeedsSmtputf8 => Reply::new(553, "5.6.7 The address needs SMTPUTF8"),
        CommandError::Octets => Reply::new(501, "5.5.2 A command is printable text"),
        _ => Reply::new(501, "5.5.4 Not understood"),
    }
}
