//! Limits of the values in this crate; each is refused where the value is parsed.

/// Octets of a local part (RFC 5321 §4.5.3.1.1).
pub const LOCAL_PART_OCTETS_MAX: usize = 64;

/// Octets of a domain (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_OCTETS_MAX: usize = 255;

/// Octets of an address without its angle brackets: a path holds 256 with them
/// (RFC 5321 §4.5.3.1.3).
pub const ADDRESS_OCTETS_MAX: usize = 254;

/// Octets of one domain label (RFC 1035 §2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;

/// Octets of an envelope identifier before encoding (RFC 3461 §4.4).
pub const ENVELOPE_ID_OCTETS_MAX: usize = 100;

/// Octets of an original recipient before encoding (RFC 3461 §4.2 bounds the parameter to 500).
pub const ORIGINAL_RECIPIENT_OCTETS_MAX: usize = 480;

/// Recipients of one envelope. More than Exchange takes in one message (1,000), so that the
/// service's own limit is the one that speaks; a larger envelope is refused when built.
pub const RECIPIENTS_MAX: usize = 10_000;

/// Octets of a header block that [`crate::header`] scans; a longer one is an error.
pub const HEADER_OCTETS_MAX: usize = 256 * 1024;

/// How deep comments may nest in an address list; deeper is an error, so that parsing
/// terminates with a bounded stack.
pub const COMMENT_DEPTH_MAX: usize = 16;

const _: () = assert!(LOCAL_PART_OCTETS_MAX + 1 < ADDRESS_OCTETS_MAX);
const _: () = assert!(LABEL_OCTETS_MAX < DOMAIN_OCTETS_MAX);
