//! From trust to a finished client configuration.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::{Authority, TlsError};

/// Whom a client believes.
///
/// [`Only`](Self::Only) is cheap: it parses the named certificates and nothing else. The other two
/// read every root of the system, which costs milliseconds to tens of milliseconds.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The roots of the operating system.
    System,
    /// The roots of the operating system, and these.
    SystemPlus(Vec<Authority>),
    /// These and no others; what a cloud file that names its CA asks for.
    Only(Vec<Authority>),
}

/// One TLS client configuration: made at first use, then shared by every clone.
///
/// Clones are cheap and share the configuration, and with it the store of TLS sessions, so that a
/// second connection to the same host resumes.
#[derive(Clone)]
pub struct TlsPolicy {
    shared: Arc<Shared>,
}

struct Shared {
    trust: Trust,
    config: Mutex<Option<Arc<ClientConfig>>>,
}

impl TlsPolicy {
    /// Takes the trust; reads nothing yet.
    pub fn new(trust: Trust) -> Self {
        Self {
            shared: Arc::new(Shared {
                trust,
                config: Mutex::new(None),
            }),
        }
    }

    /// The trust this policy was made with.
    pub fn trust(&self) -> &Trust {
        &self.shared.trust
    }

    /// The configuration, with session resumption on and without ALPN.
    ///
    /// The first call builds it; every later call, on any clone, returns the same one. A failure is
    /// not remembered: the next call tries again. Whoever needs ALPN clones the inner value first
    /// (the clone keeps the session store).
    ///
    /// # Errors
    /// [`TlsError`] when no root is found or a given one is unusable.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut slot = self
            .shared
            .config
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = slot.as_ref() {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(build(&self.shared.trust)?);
        *slot = Some(Arc::clone(&config));
        Ok(config)
    }

    /// The same configuration with session resumption off, for the one retry after a server
    /// mishandled a ticket.
    ///
    /// # Errors
    /// As [`client_config`](Self::client_config).
    pub fn client_config_without_resumption(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut config = (*self.client_config()?).clone();
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for TlsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsPolicy")
            .field("trust", &self.shared.trust)
            .finish_non_exhaustive()
    }
}

/// The cryptography provider of the whole program: aws-lc-rs.
///
/// Handed to rustls explicitly everywhere; the process-wide default is never relied upon.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn build(trust: &Trust) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Provider)?;
    match trust {
        Trust::Only(authorities) => Ok(builder
            .with_root_certificates(only(authorities)?)
            .with_no_client_auth()),
        Trust::System => Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(system(&[])?))
            .with_no_client_auth()),
        Trust::SystemPlus(authorities) => Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(system(authorities)?))
            .with_no_client_auth()),
    }
}

fn only(authorities: &[Authority]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in authorities
        .iter()
        .flat_map(Authority::certificates)
        .enumerate()
    {
        roots
            .add(certificate.clone())
            .map_err(|source| TlsError::AuthorityNotCertificate {
                place: "the trusted list".to_owned(),
                number: index + 1,
                source,
            })?;
    }
    if roots.is_empty() {
        Err(TlsError::NothingTrusted)
    } else {
        Ok(roots)
    }
}

fn system(extra: &[Authority]) -> Result<Verifier, TlsError> {
    let certificates: Vec<_> = extra
        .iter()
        .flat_map(Authority::certificates)
        .cloned()
        .collect();
    Verifier::new_with_extra_roots(certificates, provider()).map_err(|source| {
        TlsError::NoSystemRoots {
            hint: ROOTS_HINT,
            source,
        }
    })
}

/// Which package brings the system's roots.
const ROOTS_HINT: &str = if cfg!(windows) {
    "run Windows Update, which fills the certificate store"
} else if cfg!(target_os = "macos") {
    "see the System Roots keychain in Keychain Access"
} else if cfg!(target_os = "freebsd") {
    "pkg install ca_root_nss"
} else {
    "the package ca-certificates, for instance: apt-get install ca-certificates"
};
