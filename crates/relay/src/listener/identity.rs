//! The relay's certificate: from files, read again when they change, or one of its own.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::limits::OWN_CERTIFICATE_DAYS;

/// Where certificate and key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the relay's own first; PEM.
    pub certificate: PathBuf,
    /// The key; PEM. The same file when it holds both.
    pub key: PathBuf,
}

/// A certificate ready for handshakes, and the octets it came from.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    source: Vec<u8>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A file that is no PEM, or holds no certificate or no key.
    #[error("{path} holds no usable {what}")]
    Pem {
        /// Which one.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// Certificate and key do not belong together, or cannot be used.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The relay's own certificate cannot be made.
    #[error("the relay's own certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

impl Identity {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// [`IdentityError`]; whoever has an older identity keeps it.
    pub fn from_files(files: &CertificateFiles) -> Result<Self, IdentityError> {
        let certificate = read(&files.certificate)?;
        let key = read(&files.key)?;
        let pem = |path: &PathBuf, what| IdentityError::Pem {
            path: path.clone(),
            what,
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| pem(&files.certificate, "certificate"))?;
        if chain.is_empty() {
            return Err(pem(&files.certificate, "certificate"));
        }
        let private =
            PrivateKeyDer::from_pem_slice(&key).map_err(|_| pem(&files.key, "private key"))?;
        let mut config = ServerConfig::builder_with_provider(sendas_tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain, private)?;
        // A browser that is led here asks for another protocol and is sent away (ALPACA); mail
        // programs ask for none, or for this one.
        config.alpn_protocols = vec![b"smtp".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            source: [certificate, key].concat(),
        })
    }

    /// Makes a certificate of the relay's own for these names unless the file is there already,
    /// and reads it. Printers that were told to trust it find the same one after a restart.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn own(path: &Path, names: &[String], now: Timestamp) -> Result<Self, IdentityError> {
        if !path.exists() {
            let pem = make(names, now)?;
            write_private(path, pem.as_bytes()).map_err(|source| IdentityError::File {
                path: path.to_owned(),
                source,
            })?;
        }
        Self::from_files(&CertificateFiles {
            certificate: path.to_owned(),
            key: path.to_owned(),
        })
    }

    /// For handshakes.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Whether another one was made of the same octets.
    pub fn is_same(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

fn make(names: &[String], now: Timestamp) -> Result<String, IdentityError> {
    let mut params = CertificateParams::default();
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    let common = names.first().map_or("sendas relay", String::as_str);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let day = |at: Timestamp| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let small = |number: i8| u8::try_from(number).expect("months and days are positive");
        rcgen::date_time_ymd(date.year().into(), small(date.month()), small(date.day()))
    };
    params.not_before = day(now - SignedDuration::from_hours(24));
    params.not_after = day(now + SignedDuration::from_hours(24 * OWN_CERTIFICATE_DAYS));
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    std::fs::read(path).map_err(|source| IdentityError::File {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file that only its owner may read, all or nothing.
fn write_private(path: &Path, octets: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(octets)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_certificate_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool.tls.pem");
        let names = ["relay.contoso.com".to_owned(), "10.1.0.5".to_owned()];
        let now = "2026-11-23T05:06:07Z".parse().unwrap();
        let first = Identity::own(&path, &names, now).unwrap();
        let second = Identity::own(&path, &names, now).unwrap();
        assert!(first.is_same(&second));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{mode:o}");
        }
        std::fs::remove_file(&path).unwrap();
        let third = Identity::own(&path, &names, now).unwrap();
        assert!(!first.is_same(&third));
    }

    #[test]
    fn files_that_are_no_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pem");
        let files = CertificateFiles {
            certificate: path.clone(),
            key: path.clone(),
        };
        assert!(matches!(
            Identity::from_files(&files),
            Err(IdentityError::File { .. })
        ));
        std::fs::write(&path, "nothing").unwrap();
        assert!(matches!(
            Identity::from_files(&files),
            Err(IdentityError::Pem { .. })
        ));
    }
}
