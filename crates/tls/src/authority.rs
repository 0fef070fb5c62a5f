//! Extra certificate authorities, read from PEM.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject};

use crate::TlsError;

/// Largest CA file that is read, in octets; a larger one is refused.
///
/// The bundle of all public roots is some 250 KiB.
const AUTHORITY_FILE_OCTETS_MAX: u64 = 4 * 1024 * 1024;

/// One or more certificates that shall be believed as roots.
///
/// Every certificate has been parsed: what is held here can serve as a trust anchor.
#[derive(Clone, Debug)]
pub struct Authority {
    certificates: Vec<CertificateDer<'static>>,
}

impl Authority {
    /// Reads a PEM file of one or more certificates; other PEM sections are passed over.
    ///
    /// # Errors
    /// [`TlsError`] when the file cannot be read, is no PEM, or holds nothing usable.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TlsError> {
        let path = path.as_ref();
        let unreadable = |source| TlsError::AuthorityUnreadable {
            path: path.to_owned(),
            source,
        };
        let mut pem = Vec::new();
        File::open(path)
            .and_then(|file| {
                file.take(AUTHORITY_FILE_OCTETS_MAX + 1)
                    .read_to_end(&mut pem)
            })
            .map_err(unreadable)?;
        Self::parse(&pem, &path.display().to_string())
    }

    /// Reads PEM text of one or more certificates; other PEM sections are passed over.
    ///
    /// # Errors
    /// [`TlsError`] when the text is no PEM or holds nothing usable.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        Self::parse(pem, "the given text")
    }

    /// The certificates, in the order of the file.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    fn parse(text: &[u8], place: &str) -> Result<Self, TlsError> {
        if text.len() as u64 > AUTHORITY_FILE_OCTETS_MAX {
            return Err(TlsError::AuthorityTooLarge {
                place: place.to_owned(),
                limit: AUTHORITY_FILE_OCTETS_MAX,
            });
        }
        let mut certificates = Vec::new();
        let mut anchors = RootCertStore::empty();
        for section in CertificateDer::pem_slice_iter(text) {
            let certificate = section.map_err(|error| not_pem(place, &error))?;
            anchors.add(certificate.clone()).map_err(|source| {
                TlsError::AuthorityNotCertificate {
                    place: place.to_owned(),
                    number: certificates.len() + 1,
                    source,
                }
            })?;
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err(TlsError::AuthorityEmpty {
                place: place.to_owned(),
            });
        }
        Ok(Self { certificates })
    }
}

fn not_pem(place: &str, error: &pem::Error) -> TlsError {
    TlsError::AuthorityNotPem {
        place: place.to_owned(),
        reason: error.to_string(),
    }
}
