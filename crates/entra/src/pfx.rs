//! PKCS#12 files, as Windows and the Azure portal export them.

use std::path::Path;

use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::certificate::parse_key;
use crate::file::{self, Readers};
use crate::limits::CERTIFICATE_FILE_OCTETS_MAX;
use crate::{Certificate, CredentialError, Secret};

impl Certificate {
    /// Reads a PKCS#12 file (`.pfx`, `.p12`); without a password the empty one is tried.
    ///
    /// # Errors
    /// [`CredentialError`]; a file that others can read is refused even with a password.
    pub fn from_pfx_file(
        path: impl AsRef<Path>,
        password: Option<&Secret>,
    ) -> Result<Self, CredentialError> {
        let path = path.as_ref();
        let octets = file::read(path, CERTIFICATE_FILE_OCTETS_MAX, Readers::OwnerOnly)?;
        from_octets(&octets, password, &path.display().to_string())
    }

    /// Takes the octets of a PKCS#12 file.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn from_pfx(octets: &[u8], password: Option<&Secret>) -> Result<Self, CredentialError> {
        from_octets(octets, password, "the given PKCS#12 file")
    }
}

fn from_octets(
    octets: &[u8],
    password: Option<&Secret>,
    place: &str,
) -> Result<Certificate, CredentialError> {
    let archive = Pkcs12Archive::from_pkcs12(octets, password.map_or("", Secret::expose)).map_err(
        |error| CredentialError::Pfx {
            place: place.to_owned(),
            reason: reason(&error, password.is_some()),
        },
    )?;
    let [key] = archive.keys.as_slice() else {
        let place = place.to_owned();
        return Err(if archive.keys.is_empty() {
            CredentialError::NoKey { place }
        } else {
            CredentialError::ManyKeys { place }
        });
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.key.as_der()));
    let key = parse_key(&key, place)?;
    let certificates: Vec<CertificateDer<'_>> = archive
        .certs
        .iter()
        .map(|bag| CertificateDer::from(bag.cert.as_der()))
        .collect();
    if certificates.is_empty() {
        return Err(CredentialError::NoCertificate {
            place: place.to_owned(),
        });
    }
    Certificate::join(&certificates, key, place)
}

fn reason(error: &Error, with_password: bool) -> String {
    match error {
        Error::MacError(_) | Error::UnpadError if with_password => {
            "the password is wrong".to_owned()
        }
        Error::MacError(_) | Error::UnpadError => "it needs a password".to_owned(),
        other => other.to_string(),
    }
}
