//! Deadlines and limits of the client; each with its unit, source and consequence.

use std::time::Duration;

/// How long each step may take before the connection is given up and the attempt deferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Name look-up and TCP, over all addresses.
    pub connect: Duration,
    /// From TCP to the `220`. RFC 5321 §4.5.3.2.1 would wait 5 minutes; a submission service
    /// that is this late is not going to take the message either.
    pub greeting: Duration,
    /// EHLO, STARTTLS, AUTH, RSET. Exchange delays a refusal by some 5 seconds (its tarpit), so
    /// a short deadline would hide the reason.
    pub command: Duration,
    /// The handshake.
    pub handshake: Duration,
    /// MAIL and RCPT (RFC 5321 §4.5.3.2.2 and .3).
    pub envelope: Duration,
    /// One block of the body while it is being written (RFC 5321 §4.5.3.2.5).
    pub block: Duration,
    /// The reply to the whole message (RFC 5321 §4.5.3.2.6). Giving up earlier makes duplicates.
    pub end: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            greeting: Duration::from_mins(1),
            command: Duration::from_mins(1),
            handshake: Duration::from_secs(30),
            envelope: Duration::from_mins(5),
            block: Duration::from_mins(3),
            end: Duration::from_mins(10),
        }
    }
}

/// What a [`crate::Pool`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Sessions of one mailbox at a time, idle ones included. One more waits for its turn.
    /// Exchange refuses the fourth concurrent send.
    pub sessions_per_mailbox: u32,
    /// How long an idle session is kept. Exchange publishes no idle timeout; half a minute stays
    /// below any that is known.
    pub idle: Duration,
    /// Messages through one session before it is closed: front ends are drained for maintenance,
    /// and a session that lives for ever holds on to an old one.
    pub messages_per_session: u32,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            sessions_per_mailbox: sendas_exchange::limits::SENDS_AT_ONCE_MAX,
            idle: Duration::from_secs(30),
            messages_per_session: 500,
        }
    }
}

/// Connections of one pool that are being opened at a time, TCP and TLS; the next one waits for its
/// turn, which no deadline counts. A thousand mailboxes may have mail at once: what overflows a
/// service's listen queue waits for a greeting that never comes.
pub(crate) const OPENINGS_MAX: usize = 64;

/// Between two attempts to connect to addresses of one host (RFC 8305 §8).
pub(crate) const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses of one host that are tried; a name with more is tried with its first ones.
pub(crate) const ADDRESSES_MAX: usize = 16;

/// Octets of one read of a body from a file.
pub(crate) const BODY_BLOCK_OCTETS: usize = 64 * 1024;

/// Octets of a body that are copied behind the commands to leave in one write; a longer one is
/// written from where it lies.
pub(crate) const COPY_OCTETS_MAX: usize = 16 * 1024;

/// Octets of a message that stay in memory while it is read; a longer one moves to a temporary
/// file without a name.
pub(crate) const MEMORY_OCTETS_MAX: usize = 1024 * 1024;

/// Octets the service may send while we write and have not asked; more is no SMTP service.
pub(crate) const UNREAD_OCTETS_MAX: usize = 256 * 1024;

/// Transactions of one session that are under way together.
pub(crate) const WINDOW_TRANSACTIONS: usize = 32;

/// Octets of bodies that are under way together; above it the next transaction waits.
pub(crate) const WINDOW_OCTETS: u64 = 1024 * 1024;

const _: () = assert!(COPY_OCTETS_MAX <= BODY_BLOCK_OCTETS);
const _: () = assert!(BODY_BLOCK_OCTETS <= MEMORY_OCTETS_MAX);
