//! The one place where TLS is configured: provider, versions, trust.
//!
//! Owns which roots a client believes ([`Trust`]), how extra authorities are read from PEM
//! ([`Authority`]), and the finished rustls configuration ([`TlsPolicy`]), built once, on first
//! use, and shared from then on. The provider is always aws-lc-rs, the versions are always TLS
//! 1.2 and 1.3, and there is no way here to switch verification off.
//!
//! Must not know: hosts, ports, SMTP, HTTP, Microsoft.
//!
//! ```
//! use sendas_tls::{TlsPolicy, Trust};
//!
//! let policy = TlsPolicy::new(Trust::System);
//! // Nothing has been read yet; `policy.client_config()` reads the system's roots, once.
//! # let _keep = policy;
//! ```

mod authority;
mod error;
mod policy;

pub use authority::Authority;
pub use error::TlsError;
pub use policy::{TlsPolicy, Trust, provider};
