//! The sandbox's own certificate authority and the certificate of its listeners (EC P-256).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Names the listeners' certificate covers: loopback, and the real hosts for `--ports takeover`.
pub(crate) const HOSTS: [&str; 9] = [
    "localhost",
    "login.microsoftonline.com",
    "login.windows.net",
    "login.microsoft.com",
    "sts.windows.net",
    "graph.microsoft.com",
    "outlook.office365.com",
    "outlook.office.com",
    "smtp.office365.com",
];

const ADDRESSES: [&str; 2] = ["127.0.0.1", "::1"];

// Ten years: longer than any test, shorter than a date that old parsers refuse.
const VALID_HOURS: i64 = 10 * 365 * 24;

/// The newest version of TLS the SMTP listener speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMax {
    /// TLS 1.2 only.
    Tls12,
    /// TLS 1.2 and 1.3.
    #[default]
    Tls13,
}

/// Why the certificates could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertsError {
    /// The certificate could not be built or signed.
    #[error("cannot make the sandbox's certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// TLS refused the certificate.
    #[error("cannot use the sandbox's certificate for TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// A fresh authority and what it signed.
pub(crate) struct Certs {
    /// The authority's certificate, PEM.
    pub(crate) ca_pem: String,
    /// TLS for HTTPS listeners (HTTP/2 and HTTP/1.1).
    pub(crate) https: Arc<ServerConfig>,
    /// TLS for STARTTLS.
    pub(crate) smtp: Arc<ServerConfig>,
}

impl Certs {
    /// Makes an authority and a certificate for [`HOSTS`], valid from a day before `now`.
    pub(crate) fn make(now: Timestamp, smtp_max: TlsMax) -> Result<Self, CertsError> {
        let ca_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut ca = params(Vec::new(), now)?;
        ca.distinguished_name = name("sendas sandbox CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let names: Vec<String> = HOSTS
            .iter()
            .chain(&ADDRESSES)
            .map(|&n| n.to_owned())
            .collect();
        let mut leaf = params(names, now)?;
        leaf.distinguished_name = name("sendas sandbox");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let leaf = leaf.signed_by(&key, &issuer)?;

        let config = |versions: &[&'static rustls::SupportedProtocolVersion]| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(versions)?
                .with_no_client_auth()
                .with_single_cert(
                    vec![leaf.der().clone()],
                    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
                )
        };
        let mut https = config(rustls::ALL_VERSIONS)?;
        https.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let smtp = match smtp_max {
            TlsMax::Tls12 => config(&[&rustls::version::TLS12])?,
            TlsMax::Tls13 => config(rustls::ALL_VERSIONS)?,
        };
        Ok(Self {
            ca_pem,
            https: Arc::new(https),
            smtp: Arc::new(smtp),
        })
    }
}

/// Certificate parameters with the validity every certificate of the sandbox has.
pub(crate) fn params(names: Vec<String>, now: Timestamp) -> Result<CertificateParams, CertsError> {
    let mut params = CertificateParams::new(names)?;
    let date = |at: Timestamp| {
        let at = at.to_zoned(jiff::tz::TimeZone::UTC);
        let small = |n: i8| u8::try_from(n).expect("months and days are positive");
        rcgen::date_time_ymd(at.year().into(), small(at.month()), small(at.day()))
    };
    params.not_before = date(now - SignedDuration::from_hours(24));
    params.not_after = date(now + SignedDuration::from_hours(VALID_HOURS));
    Ok(params)
}

/// A distinguished name of just a common name.
pub(crate) fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}
