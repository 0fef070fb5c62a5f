//! Every limit of this crate, with unit, source and what happens there.

/// Octets of one HTTP answer; a longer one is an error and is not read further (reliability D11).
pub const ANSWER_OCTETS_MAX: usize = 1024 * 1024;

/// Octets of the head of one HTTP answer; a longer one breaks the exchange.
pub const ANSWER_HEAD_OCTETS_MAX: usize = 64 * 1024;

/// Seconds for one HTTP exchange from the first packet to the last octet of the body; then it is
/// given up as temporary (reliability D11).
pub const EXCHANGE_S_MAX: u64 = 30;

/// Seconds for one TCP connection; then the next address is tried, or the exchange fails.
pub const CONNECT_S_MAX: u64 = 10;

/// Seconds an idle HTTP connection is kept.
pub const IDLE_S_MAX: u64 = 60;

/// Octets of a secret file; a larger one is refused. A secret value has some 40 characters.
pub const SECRET_OCTETS_MAX: u64 = 4096;

/// Octets of a certificate, key or PKCS#12 file; a larger one is refused.
pub const CERTIFICATE_FILE_OCTETS_MAX: u64 = 256 * 1024;

/// Octets of a federated token file; a larger one is refused.
pub const FEDERATED_TOKEN_OCTETS_MAX: u64 = 64 * 1024;

/// Octets of a cloud file; a larger one is refused.
pub const CLOUD_FILE_OCTETS_MAX: u64 = 64 * 1024;

/// Octets of the key file an Azure Arc agent names; a larger one is not sent anywhere (MSI-DOC).
pub const ARC_KEY_OCTETS_MAX: u64 = 4096;

/// Octets of one access token; a longer one is an answer not understood.
pub const TOKEN_OCTETS_MAX: usize = 64 * 1024;

/// Seconds of life a token is believed to have at most; a longer claim is cut to this.
///
/// The longest tokens Microsoft documents live about a day.
pub const TOKEN_LIFE_S_MAX: u64 = 48 * 3600;

/// Seconds of life below which a token counts as expired (MSAL uses the same figure); half of the
/// life for tokens that live shorter than twice this.
pub const TOKEN_LEFT_S_MIN: u64 = 300;

/// Seconds before expiry when a token is renewed in the background while it is still handed out;
/// half of the life for tokens that live shorter than twice this.
pub const REFRESH_AHEAD_S: u64 = 600;

/// Seconds of life from which a token is renewed at half of it when the answer names no time
/// (MSAL's rule for managed identities).
pub const REFRESH_HALF_LIFE_S_MIN: u64 = 7200;

/// Seconds an assertion is valid, counted from now (RFC 7523; Entra accepts 5 to 10 minutes).
pub const ASSERTION_LIFE_S: i64 = 300;

/// Seconds an assertion claims to be valid before now, for clocks that differ.
pub const ASSERTION_EARLY_S: i64 = 60;

/// Seconds to wait after 429 or 503 when the answer names no time (MSAL's default).
pub const RETRY_AFTER_S_DEFAULT: u64 = 5;

/// Seconds a `Retry-After` is obeyed at most (MSAL's cap).
pub const RETRY_AFTER_S_MAX: u64 = 3600;

/// Seconds of quiet after the first temporary failure; doubles with each further one.
pub const COOL_DOWN_S_FIRST: u64 = 5;

/// Seconds of quiet after temporary failures at most.
pub const COOL_DOWN_S_MAX: u64 = 300;

/// Seconds of quiet after a failure that only a person can mend (MSAL remembers an HTTP 400 as long).
pub const COOL_DOWN_PERMANENT_S: u64 = 60;

/// Seconds of quiet after a failure that a young secret or certificate explains.
pub const COOL_DOWN_YOUNG_CREDENTIAL_S: u64 = 10;

/// Seconds of quiet after the second token in a row that the service refused; doubles.
pub const REFUSED_COOL_DOWN_S_FIRST: u64 = 30;

/// Seconds of quiet after refused tokens at most.
pub const REFUSED_COOL_DOWN_S_MAX: u64 = 900;

/// Seconds a token must have been in use so that its refusal counts as the first one again.
pub const REFUSED_FRESH_S: u64 = 600;

/// Seconds after a login during which the refusal of the same token is blamed on the mailbox.
pub const ACCEPTED_LATELY_S: u64 = 600;

/// Seconds a clock may be wrong before a claim about time is called wrong (reliability D14).
pub const CLOCK_SKEW_S: i64 = 300;

const _: () = assert!(REFRESH_AHEAD_S > TOKEN_LEFT_S_MIN);
const _: () = assert!(COOL_DOWN_S_FIRST <= COOL_DOWN_S_MAX);
const _: () = assert!(RETRY_AFTER_S_DEFAULT <= RETRY_AFTER_S_MAX);
const _: () = assert!(ASSERTION_LIFE_S + ASSERTION_EARLY_S <= 600);
const _: () = assert!(CONNECT_S_MAX < EXCHANGE_S_MAX);
