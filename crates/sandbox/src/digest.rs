//! Digests as text.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// SHA-256 of a text, in lower-case hexadecimal.
pub(crate) fn sha256_hex(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

/// Octets in lower-case hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(
        String::with_capacity(octets.len() * 2),
        |mut text, octet| {
            write!(text, "{octet:02x}").expect("writing to a string succeeds");
            text
        },
    )
}

/// A certificate's SHA-1 thumbprint in base64url (`x5t`).
pub(crate) fn x5t(der: &[u8]) -> String {
    thumbprint(&SHA1_FOR_LEGACY_USE_ONLY, der)
}

/// A certificate's SHA-256 thumbprint in base64url (`x5t#S256`).
pub(crate) fn x5t_s256(der: &[u8]) -> String {
    thumbprint(&SHA256, der)
}

fn thumbprint(algorithm: &'static Algorithm, der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(algorithm, der))
}

/// SHA-1 of octets, in lower-case hexadecimal: a certificate's thumbprint as Entra shows it.
pub(crate) fn sha1_hex(octets: &[u8]) -> String {
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, octets).as_ref())
}
