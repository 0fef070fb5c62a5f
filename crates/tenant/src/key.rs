//! A certificate made on this machine; its key never leaves it.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::limits::CERTIFICATE_DAYS;

/// A fresh certificate with its key.
pub struct MadeCertificate {
    /// Certificate and PKCS#8 key, PEM, in one text.
    pub pem: Zeroizing<String>,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// SHA-1 thumbprint in upper-case hex.
    pub thumbprint: String,
    /// The end of its life.
    pub end: Timestamp,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
#[error("no certificate could be made: {reason}")]
pub struct KeyError {
    reason: String,
}

impl MadeCertificate {
    /// Makes an RSA key of 2048 bits and a self-signed certificate for it, valid for
    /// [`CERTIFICATE_DAYS`]. RSA, because Entra documents no other kind.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn make(name: &str, now: Timestamp) -> Result<Self, KeyError> {
        Self::make_for(name, now, CERTIFICATE_DAYS)
    }

    /// The same, valid for this many days.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn make_for(name: &str, now: Timestamp, days: i64) -> Result<Self, KeyError> {
        let error = |error: &dyn fmt::Display| KeyError {
            reason: error.to_string(),
        };
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
            .map_err(|e| error(&e))?;
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, name);
        params.distinguished_name = subject;
        // Whole seconds, a little early: clocks differ.
        let start = Timestamp::from_second(now.as_second() - 300).map_err(|e| error(&e))?;
        let end = start + SignedDuration::from_hours(24 * days);
        // rcgen counts with a type of its own, made of a date and seconds.
        let moment = |at: Timestamp| {
            let at = at.to_zoned(jiff::tz::TimeZone::UTC);
            let small = |part: i8| u8::try_from(part).unwrap_or(1);
            let date = rcgen::date_time_ymd(at.year().into(), small(at.month()), small(at.day()));
            date + Duration::from_secs(at.timestamp().as_second().rem_euclid(86_400).unsigned_abs())
        };
        params.not_before = moment(start);
        params.not_after = moment(end);
        let certificate = params.self_signed(&key).map_err(|e| error(&e))?;
        let der = certificate.der().to_vec();
        let private = Zeroizing::new(key.serialize_pem());
        Ok(Self {
            pem: Zeroizing::new(format!("{}{}", certificate.pem(), private.as_str())),
            thumbprint: thumbprint(&der),
            der,
            end,
        })
    }
}

/// A certificate as an entry of `keyCredentials`.
pub fn key_entry(der: &[u8], name: &str) -> Value {
    json!({
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
        "key": STANDARD.encode(der),
        "displayName": name,
    })
}

/// The SHA-1 thumbprint in upper-case hex, by which portal and Graph name a certificate.
pub fn thumbprint(der: &[u8]) -> String {
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref())
}

/// Octets in upper-case hex.
pub(crate) fn hex(octets: &[u8]) -> String {
    let mut hex = String::with_capacity(octets.len() * 2);
    for octet in octets {
        for half in [octet >> 4, octet & 0xf] {
            hex.push(char::from(b"0123456789ABCDEF"[usize::from(half)]));
        }
    }
    hex
}

/// Shows the thumbprint only.
impl fmt::Debug for MadeCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeCertificate")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use sendas_entra::Certificate;

    use super::*;

    #[test]
    fn it_is_what_entra_takes() {
        let now: Timestamp = "2026-11-23T05:00:00Z".parse().unwrap();
        let made = MadeCertificate::make("sendas contoso", now).unwrap();
        let read = Certificate::from_pem(made.pem.as_bytes()).unwrap();
        assert_eq!(read.thumbprint(), made.thumbprint);
        assert_eq!(read.der(), made.der);
        assert!(
            read.subject().contains("sendas contoso"),
            "{}",
            read.subject()
        );
        assert_eq!(read.not_before().to_string(), "2026-11-23T04:55:00Z");
        assert_eq!(read.not_after(), made.end);
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }
}
