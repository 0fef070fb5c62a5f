//! What can be wrong before the first handshake.

use std::io;
use std::path::PathBuf;

/// Why no client configuration could be built; no connection has been tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file that names an extra authority could not be read.
    #[error("cannot read the CA file {}", path.display())]
    AuthorityUnreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file or text holds no `CERTIFICATE` section.
    #[error(
        "{place} holds no PEM certificate (a section that begins with -----BEGIN CERTIFICATE-----)"
    )]
    AuthorityEmpty {
        /// The file, or the words "the given text".
        place: String,
    },
    /// The file is larger than any CA bundle.
    #[error("{place} is larger than {limit} octets; a CA file holds a few certificates")]
    AuthorityTooLarge {
        /// The file, or the words "the given text".
        place: String,
        /// The limit, in octets.
        limit: u64,
    },
    /// A PEM section is damaged.
    #[error("{place} is not valid PEM: {reason}")]
    AuthorityNotPem {
        /// The file, or the words "the given text".
        place: String,
        /// What the PEM reader found.
        reason: String,
    },
    /// A section is PEM, but what it holds cannot serve as a trust anchor.
    #[error("certificate {number} in {place} cannot be used as a trust anchor")]
    AuthorityNotCertificate {
        /// The file, or the words "the given text".
        place: String,
        /// Counted from 1.
        number: usize,
        /// What the certificate parser found.
        #[source]
        source: rustls::Error,
    },
    /// Only named authorities are to be trusted, but none was named.
    #[error("no authority is trusted: the list of trusted CAs is empty")]
    NothingTrusted,
    /// The system has no trusted roots.
    #[error(
        "no trusted root certificates found on this system; install them ({hint}) or name a CA file"
    )]
    NoSystemRoots {
        /// The package to install.
        hint: &'static str,
        /// What the verifier said.
        #[source]
        source: rustls::Error,
    },
    /// The provider refused the protocol versions; an invariant of this build.
    #[error("the TLS provider refused its own configuration")]
    Provider(#[source] rustls::Error),
}
