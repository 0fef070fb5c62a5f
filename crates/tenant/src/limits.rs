//! The numbers of this crate: unit, source, and what happens there.

/// Seconds a `Retry-After` of Graph or Exchange is obeyed at most; a longer one ends the run with
/// the service's own words, and the run can be taken up again later.
pub const RETRY_AFTER_S_MAX: u64 = 120;

/// Seconds to wait after a throttling answer that names no time.
pub const RETRY_AFTER_S_DEFAULT: u64 = 5;

/// How often one request is repeated because of throttling or trouble of the service; then its
/// last answer counts.
pub const REPEATS_MAX: u32 = 6;

/// Seconds until an object that was just made is surely seen by every read. Lists were seen to lag
/// 30 to 60 seconds; this is twice that. A write whose answer was lost is repeated only when the
/// object has not shown up for this long.
pub const REPLICATION_S_MAX: u64 = 120;

/// Milliseconds before the first reading back; doubles.
pub const REPLICATION_MS_FIRST: u64 = 3_000;

/// Milliseconds between two readings back at most.
pub const REPLICATION_MS_MAX: u64 = 20_000;

/// Seconds after which a change of rights in Exchange has surely taken effect: 90 minutes were
/// measured, two hours are the usual advice.
pub const PROPAGATION_S_MAX: i64 = 2 * 3600;

/// Seconds a new credential may be unknown to some of Entra's servers.
pub const YOUNG_CREDENTIAL_S_MAX: u64 = 600;

/// Seconds before its end from which a token is no longer used for the next login.
pub const TOKEN_MARGIN_S: i64 = 300;

/// Pages of one list that are read; a longer list is an error.
pub const PAGES_MAX: u32 = 50;

/// Mailboxes of one wish; each costs a handful of requests.
pub const MAILBOXES_MAX: usize = 200;

/// Octets of a state file; a larger one is no state file.
pub const STATE_OCTETS_MAX: u64 = 4 * 1024 * 1024;

/// Days a certificate made here is valid.
pub const CERTIFICATE_DAYS: i64 = 365;

/// Days a secret made here is valid: short, because nothing else ends its life.
pub const SECRET_DAYS: i64 = 180;

/// Days a new credential may be valid at most: Entra's own default for secrets is two years.
pub const CREDENTIAL_DAYS_MAX: i64 = 730;

/// Tokens that a new credential must get in a row before it counts as known: every request may
/// reach another of Entra's servers, and a refusal begins the count anew.
pub const PROOFS_IN_A_ROW: u32 = 3;

/// Milliseconds between two of these tokens.
pub const PROOF_MS_BETWEEN: u64 = 700;

/// Times a login is tried again when the service or the way to it is in trouble.
pub const LOGIN_REPEATS_MAX: u32 = 3;

/// Days before its end from which a credential's end is told as a warning.
pub const END_DAYS_SOON: i64 = 30;

/// Days before its end from which a credential's end is told as urgent: a change of rights, a
/// vacation or a weekend fits in no more.
pub const END_DAYS_URGENT: i64 = 7;

/// Seconds a sign-in in the browser may take; then its listener closes.
pub const SIGN_IN_S_MAX: u64 = 300;

/// Octets of one request to the sign-in listener; a longer one is dropped.
pub const CALLBACK_OCTETS_MAX: usize = 16 * 1024;

/// Seconds one caller of the sign-in listener may take to say its request.
pub const CALLBACK_S_MAX: u64 = 10;

/// Callers of the sign-in listener that say something else than the answer; then it closes.
pub const CALLBACK_STRANGERS_MAX: u32 = 50;

/// Seconds a device code is polled at most, whatever its answer says.
pub const DEVICE_CODE_S_MAX: u64 = 900;

/// Characters of the service's own words in a line that tells why something is waited for.
pub const WORDS_SHORT_MAX: usize = 80;

/// Characters of the service's own words that are kept.
pub const WORDS_MAX: usize = 600;

const _: () = assert!(REPLICATION_MS_FIRST <= REPLICATION_MS_MAX);
const _: () = assert!(END_DAYS_URGENT < END_DAYS_SOON && END_DAYS_SOON < SECRET_DAYS);
const _: () =
    assert!(SECRET_DAYS <= CREDENTIAL_DAYS_MAX && CERTIFICATE_DAYS <= CREDENTIAL_DAYS_MAX);
const _: () = assert!(RETRY_AFTER_S_DEFAULT <= RETRY_AFTER_S_MAX);
