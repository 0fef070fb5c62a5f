//! Limits of the protocol core: unit, source, and what happens there.

/// Octets of a command line with its CRLF that the client writes without an extension that
/// allows more (RFC 5321 §4.5.3.1.4).
pub const COMMAND_OCTETS_MAX: usize = 512;

/// Octets of a command line that the server reads. MAIL and RCPT grow with their extensions
/// (SIZE 26, AUTH 500, DSN 600, SMTPUTF8 10); a longer line is `LineTooLong`, and its octets are
/// discarded up to its end without being kept.
pub const COMMAND_OCTETS_ACCEPTED: usize = 4096;

/// Octets of an AUTH line or response, base64 and CRLF included (RFC 4954 §4). The client
/// refuses to write a longer one; the server discards it.
pub const AUTH_OCTETS_MAX: usize = 12_288;

/// Octets of one reply line that the client reads. RFC 5321 §4.5.3.1.5 says 512, but a store
/// refusal of Exchange with its diagnostic data is longer. Beyond it the reply is an error and
/// the connection is of no further use.
pub const REPLY_LINE_OCTETS_MAX: usize = 4096;

/// Lines of one reply that the client reads; beyond it the reply is an error.
pub const REPLY_LINES_MAX: usize = 100;

/// Octets of a whole reply that the client keeps; beyond it the reply is an error.
pub const REPLY_OCTETS_MAX: usize = 16 * 1024;

/// Octets of a client's name in EHLO or HELO (RFC 5321 §4.5.3.1.2); a longer one is a syntax
/// error.
pub const CLIENT_NAME_OCTETS_MAX: usize = 255;

/// Parameters of one MAIL or RCPT command; more are a syntax error.
pub const PARAMETERS_MAX: usize = 16;

/// Octets of one BDAT chunk that the server announces room for. A larger size is a syntax
/// error before an octet is read; the message's own limit is the host's.
pub const CHUNK_OCTETS_MAX: u64 = 1 << 40;

/// Octets of a body piece that the server hands on at a time at most, so that one large read
/// does not become one large buffer downstream.
pub const BODY_PIECE_OCTETS_MAX: usize = 64 * 1024;

/// Octets of a body that the client sends together with MAIL and RCPT, before their replies. A
/// larger one waits for them: one round trip is cheaper than a body sent for nothing.
pub const EAGER_BODY_OCTETS_MAX: u64 = 1024 * 1024;

const _: () = assert!(COMMAND_OCTETS_MAX <= COMMAND_OCTETS_ACCEPTED);
const _: () = assert!(COMMAND_OCTETS_ACCEPTED <= AUTH_OCTETS_MAX);
const _: () = assert!(REPLY_LINE_OCTETS_MAX <= REPLY_OCTETS_MAX);
