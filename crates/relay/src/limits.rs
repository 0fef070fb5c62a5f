//! Limits of the relay that no setting moves: unit, source, and what happens there.

use std::time::Duration;

/// From TCP to a PROXY protocol header; later the connection is closed.
pub const PROXY_HEADER_DEADLINE: Duration = Duration::from_secs(5);

/// Octets of a PROXY protocol header, version 1 or 2 with its extensions; a longer one closes
/// the connection. Version 1 has 107 at most (PROXY protocol §2.1).
pub const PROXY_HEADER_OCTETS_MAX: usize = 536;

/// For a TLS handshake; later the connection is closed.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// For the first octet of a command (RFC 5321 §4.5.3.2.7): devices keep idle sessions.
pub const IDLE_DEADLINE: Duration = Duration::from_mins(5);

/// From a command's first octet to its end: honest clients write it at once.
pub const COMMAND_DEADLINE: Duration = Duration::from_mins(1);

/// Both of the above while connections are scarce.
pub const STRESS_DEADLINE: Duration = Duration::from_secs(10);

/// Without a single octet of an expected body (RFC 5321 §4.5.3.2.5 allows 3 minutes).
pub const BODY_DEADLINE: Duration = Duration::from_mins(3);

/// For the client to take our replies; later the connection is closed.
pub const WRITE_DEADLINE: Duration = Duration::from_mins(1);

/// Octets a second that a body must bring on average, once [`RATE_GRACE`] is over.
pub const BODY_RATE_MIN: u64 = 500;

/// Time before a body's rate is looked at.
pub const RATE_GRACE: Duration = Duration::from_secs(30);

/// Errors since the last message that was taken, after which a session ends with `421`.
pub const ERRORS_MAX: u32 = 20;

/// The same while connections are scarce.
pub const ERRORS_STRESS_MAX: u32 = 2;

/// NOOP, RSET, VRFY, HELP and EHLO without a message between them, after which the session
/// ends with `421`.
pub const JUNK_MAX: u32 = 100;

/// The same while connections are scarce.
pub const JUNK_STRESS_MAX: u32 = 10;

/// Refused logins of one session, after which it ends with `421`.
pub const LOGINS_MAX: u32 = 3;

/// Messages of one session after which it ends with `421`, so that no client keeps a seat for ever.
pub const MESSAGES_MAX: u32 = 100_000;

/// The first delay after a refused login; it doubles with each further one.
pub const LOGIN_DELAY_MIN: Duration = Duration::from_millis(500);

/// The longest delay after a refused login.
pub const LOGIN_DELAY_MAX: Duration = Duration::from_secs(30);

/// Time without a refused login after which an address or user name starts anew.
pub const LOGIN_MEMORY: Duration = Duration::from_mins(15);

/// Addresses and user names whose refused logins are remembered; the oldest go first.
pub const LOGIN_MEMORY_ENTRIES_MAX: usize = 20_000;

/// Passwords that are reckoned at a time, 19 MiB and some milliseconds each; more wait.
pub const PASSWORD_CHECKS_MAX: usize = 4;

/// Received fields after which a message is looping (RFC 5321 §6.3: at least 100 suggested;
/// 50 is what Postfix uses, and no honest way to a submission server is that long).
pub const HOPS_MAX: usize = 50;

/// Received fields of this very relay after which a message is looping.
pub const OWN_HOPS_MAX: usize = 4;

/// Octets of a line of a message without its CRLF (RFC 5322 §2.1.1); a longer one is refused with
/// `554`, or cut where the client's `long_lines` says so.
pub const LINE_OCTETS_MAX: usize = 998;

/// Where an overlong line without a space is cut: a character of UTF-8 still fits behind it.
pub const LINE_CUT_OCTETS: usize = LINE_OCTETS_MAX - 3;

/// How often the free space of the spool's disk is looked at.
pub const ROOM_CHECK_EVERY: Duration = Duration::from_secs(1);

/// Free space in largest messages below which MAIL is answered `452`: what is arriving must fit
/// beside what the index writes.
pub const ROOM_MESSAGES_MIN: u64 = 2;

/// A step back of the wall clock against the steady one after which every date that was set
/// before is given up: waiting messages are tried at once.
pub const CLOCK_STEP_BACK: Duration = Duration::from_mins(1);

/// Octets that an over-long message may bring beyond its limit before the connection is closed
/// instead of reading on to its end.
pub const OVERSIZE_OCTETS_MAX: u64 = 32 * 1024 * 1024;

/// Octets of one read while commands are expected.
pub const COMMAND_READ_OCTETS: usize = 4 * 1024;

/// Octets of one read while a body is expected.
pub const BODY_READ_OCTETS: usize = 64 * 1024;

/// Percent of the connections in use above which the relay is less patient.
pub const STRESS_PERCENT: u32 = 80;

/// Prefix length below which a network of clients without a login is an open relay.
pub const NETWORK_PREFIX_MIN_V4: u8 = 8;

/// The same for IPv6.
pub const NETWORK_PREFIX_MIN_V6: u8 = 16;

/// How often the certificate's files are looked at.
pub const CERTIFICATE_CHECK_EVERY: Duration = Duration::from_secs(30);

/// The life of the relay's own certificate: printers cannot import a new one each year.
pub const OWN_CERTIFICATE_DAYS: i64 = 3650;

/// How long a claim belongs to this process without being extended.
pub const LEASE: Duration = Duration::from_mins(30);

/// The first wait after a temporary failure that says nothing else.
pub const RETRY_FIRST: Duration = Duration::from_mins(1);

/// The longest wait between two attempts.
pub const RETRY_LONGEST: Duration = Duration::from_hours(2);

/// The wait before an outcome that the spool could not take is handed to it again; it doubles.
pub const SETTLE_RETRY_FIRST: Duration = Duration::from_millis(100);

/// The longest such wait.
pub const SETTLE_RETRY_LONGEST: Duration = Duration::from_secs(5);

/// The longest a gate stays closed before one message tries the way again, unless the catalogue
/// asks for more: an outage that is over is noticed within this time.
pub const GATE_LONGEST: Duration = Duration::from_mins(5);

/// Messages claimed for one send at a time.
pub const BATCH_MESSAGES_MAX: usize = 16;

/// Octets of bodies held in memory for one send.
pub const BATCH_OCTETS_MAX: u64 = 1024 * 1024;

/// Messages that have grown old judged at a time.
pub const AGED_MESSAGES_MAX: usize = 64;

/// How often leases, holds, ages and histories are looked through.
pub const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// How long running sends may take once the relay is told to stop; then their messages are
/// judged uncertain by the next start.
pub const DRAIN_DEADLINE: Duration = Duration::from_mins(1);

/// For the service to answer QUIT on the idle sessions of a principal.
pub const QUIT_DEADLINE: Duration = Duration::from_secs(5);

/// Octets of a message that a notice with the full message returns; a longer one returns its
/// header only (RFC 3461 §4.3 leaves that to us).
pub const RETURNED_OCTETS_MAX: u64 = 64 * 1024;

const _: () = {
    assert!(ERRORS_STRESS_MAX < ERRORS_MAX);
    assert!(JUNK_STRESS_MAX < JUNK_MAX);
    assert!(OWN_HOPS_MAX < HOPS_MAX);
    assert!(SETTLE_RETRY_LONGEST.as_millis() < LEASE.as_millis());
    assert!(BODY_READ_OCTETS <= sendas_smtp::limits::BODY_PIECE_OCTETS_MAX);
    assert!(BATCH_MESSAGES_MAX <= sendas_spool::limits::CLAIM_MESSAGES_MAX);
    assert!(LOGIN_DELAY_MIN.as_millis() < LOGIN_DELAY_MAX.as_millis());
};
