//! A certificate with its private key, as it is registered with the application.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::CredentialError;
use crate::file::{self, Readers};
use crate::limits::CERTIFICATE_FILE_OCTETS_MAX;

/// A certificate and the RSA key that belongs to it; the key is parsed once.
///
/// Clones are cheap. The key never leaves: it only signs.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<Inner>,
}

struct Inner {
    der: Vec<u8>,
    key: KeyPair,
    subject: String,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Certificate {
    /// Reads one PEM file that holds the certificate and its private key, in any order.
    ///
    /// The key is PKCS#8 or PKCS#1, RSA, not encrypted. Of several certificates (a chain) the one
    /// that belongs to the key is taken.
    ///
    /// # Errors
    /// [`CredentialError`]; a file that others can read is refused, with the `chmod` that mends it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, CredentialError> {
        let path = path.as_ref();
        let place = path.display().to_string();
        let pem = file::read(path, CERTIFICATE_FILE_OCTETS_MAX, Readers::OwnerOnly)?;
        Self::from_two(&pem, &place, &pem, &place)
    }

    /// Reads the certificate from one PEM file and the key from another; only the key's file must
    /// be closed to others.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn from_files(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, CredentialError> {
        let (certificate, key) = (certificate.as_ref(), key.as_ref());
        let public = file::read(certificate, CERTIFICATE_FILE_OCTETS_MAX, Readers::Anybody)?;
        let private = file::read(key, CERTIFICATE_FILE_OCTETS_MAX, Readers::OwnerOnly)?;
        let place = certificate.display().to_string();
        Self::from_two(&public, &place, &private, &key.display().to_string())
    }

    /// Takes PEM text that holds the certificate and its private key.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CredentialError> {
        Self::from_two(pem, "the given text", pem, "the given text")
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.inner.der
    }

    /// The subject, as RFC 4514 would write it.
    pub fn subject(&self) -> &str {
        &self.inner.subject
    }

    /// The first moment of its validity.
    pub fn not_before(&self) -> Timestamp {
        self.inner.not_before
    }

    /// The last moment of its validity.
    pub fn not_after(&self) -> Timestamp {
        self.inner.not_after
    }

    /// The SHA-1 thumbprint in upper-case hex, as the portal and Graph show it.
    pub fn thumbprint(&self) -> String {
        let hash = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.inner.der);
        hash.as_ref()
            .iter()
            .fold(String::with_capacity(40), |mut hex, octet| {
                for half in [octet >> 4, octet & 0xf] {
                    hex.push(char::from(b"0123456789ABCDEF"[usize::from(half)]));
                }
                hex
            })
    }

    /// The SHA-256 thumbprint in base64url, as the header of an assertion names it (`x5t#S256`).
    pub fn thumbprint_s256(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&SHA256, &self.inner.der))
    }

    /// The PS256 signature (RSASSA-PSS with SHA-256, RFC 7518 §3.5) over these octets.
    pub(crate) fn sign_ps256(&self, message: &[u8]) -> Result<Vec<u8>, CredentialError> {
        let mut signature = vec![0; self.inner.key.public_modulus_len()];
        self.inner
            .key
            .sign(
                &RSA_PSS_SHA256,
                &SystemRandom::new(),
                message,
                &mut signature,
            )
            .map_err(|_| CredentialError::NotSigned)?;
        Ok(signature)
    }

    /// Joins a parsed key with the certificate that carries its public half.
    pub(crate) fn join(
        candidates: &[CertificateDer<'_>],
        key: KeyPair,
        place: &str,
    ) -> Result<Self, CredentialError> {
        for der in candidates {
            let (_, parsed) = X509Certificate::from_der(der).map_err(|error| {
                CredentialError::NotCertificate {
                    place: place.to_owned(),
                    reason: error.to_string(),
                }
            })?;
            if *parsed.public_key().subject_public_key.data != *key.public_key().as_ref() {
                continue;
            }
            let validity = parsed.validity();
            let moment = |second: i64| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
            return Ok(Self {
                inner: Arc::new(Inner {
                    der: der.to_vec(),
                    key,
                    subject: parsed.subject().to_string(),
                    not_before: moment(validity.not_before.timestamp()),
                    not_after: moment(validity.not_after.timestamp()),
                }),
            });
        }
        Err(CredentialError::KeyMismatch {
            place: place.to_owned(),
        })
    }

    fn from_two(
        public: &[u8],
        public_place: &str,
        private: &[u8],
        private_place: &str,
    ) -> Result<Self, CredentialError> {
        let key = read_key(private, private_place)?;
        let mut certificates = Vec::new();
        for section in CertificateDer::pem_slice_iter(public) {
            certificates.push(section.map_err(|error| not_pem(public_place, &error))?);
        }
        if certificates.is_empty() {
            return Err(CredentialError::NoCertificate {
                place: public_place.to_owned(),
            });
        }
        Self::join(&certificates, key, private_place)
    }
}

/// Shows subject and end of validity; both are public.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.inner.subject)
            .field("not_after", &self.inner.not_after)
            .finish_non_exhaustive()
    }
}

/// The RSA key in PKCS#8 or PKCS#1.
pub(crate) fn parse_key(key: &PrivateKeyDer<'_>, place: &str) -> Result<KeyPair, CredentialError> {
    let parsed = match key {
        PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
        _ => {
            return Err(CredentialError::NotRsa {
                place: place.to_owned(),
            });
        }
    };
    parsed.map_err(|rejected| {
        if rejected.description_() == "WrongAlgorithm" {
            CredentialError::NotRsa {
                place: place.to_owned(),
            }
        } else {
            CredentialError::KeyUnusable {
                place: place.to_owned(),
                reason: rejected.description_().to_owned(),
            }
        }
    })
}

fn read_key(pem: &[u8], place: &str) -> Result<KeyPair, CredentialError> {
    if is_encrypted(pem) {
        return Err(CredentialError::EncryptedKey {
            place: place.to_owned(),
        });
    }
    let mut found = None;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let (kind, der) = section.map_err(|error| not_pem(place, &error))?;
        let Some(key) = PrivateKeyDer::from_pem(kind, der) else {
            continue;
        };
        if found.replace(key).is_some() {
            return Err(CredentialError::ManyKeys {
                place: place.to_owned(),
            });
        }
    }
    let key = found.ok_or_else(|| CredentialError::NoKey {
        place: place.to_owned(),
    })?;
    parse_key(&key, place)
}

/// Whether the text holds a key under a passphrase, in the form of PKCS#8 or of OpenSSL's older one.
fn is_encrypted(pem: &[u8]) -> bool {
    let holds = |wanted: &[u8]| pem.windows(wanted.len()).any(|part| part == wanted);
    holds(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds(b"Proc-Type: 4,ENCRYPTED")
}

fn not_pem(place: &str, error: &rustls_pki_types::pem::Error) -> CredentialError {
    CredentialError::NotPem {
        place: place.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
