//! How long each look may take.

use std::time::Duration;

/// The whole run; what is not seen by then is reported as not seen.
pub const WHOLE: Duration = Duration::from_secs(10);

/// Files of this machine.
pub const MACHINE: Duration = Duration::from_secs(2);

/// One look-up of a name.
pub const NAMES: Duration = Duration::from_secs(4);

/// The metadata of the tenant.
pub const WEB: Duration = Duration::from_secs(6);

/// A token.
pub const TOKEN: Duration = Duration::from_secs(7);

/// SMTP up to the EHLO inside TLS.
pub const SERVICE: Duration = Duration::from_secs(7);

/// AUTH, from the beginning of the run: refusals come some five seconds late.
pub const LOGIN: Duration = Duration::from_millis(9_500);

/// The time that Exchange's answer to AUTH has been seen to take at most; longer than a run, which
/// then says that it was still waiting.
pub const AUTH: Duration = Duration::from_secs(30);

/// What the directory and Exchange hold.
pub const ADMIN: Duration = Duration::from_secs(9);

/// Listeners and spool.
pub const RELAY: Duration = Duration::from_secs(3);

/// Days before its end from which a credential or certificate is told.
pub const END_DAYS: i64 = crate::limits::END_DAYS_SOON;

/// Octets that should be free where the spool is: some ten thousand messages of a hundred
/// kilobytes, an hour of a busy site. Below it, it is told.
pub const SPOOL_OCTETS_MIN: u64 = 1024 * 1024 * 1024;

const _: () = {
    assert!(LOGIN.as_millis() < WHOLE.as_millis() && ADMIN.as_millis() < WHOLE.as_millis());
    assert!(TOKEN.as_millis() < LOGIN.as_millis() && SERVICE.as_millis() < LOGIN.as_millis());
    assert!(LOGIN.as_millis() > sendas_exchange::limits::TARPIT.as_millis());
};
