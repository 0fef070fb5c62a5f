use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, DnType, KeyPair as Made, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd,
};
use tempfile::TempDir;

use super::*;

/// An RSA key and its certificate, made once for all tests.
struct Pair {
    certificate: String,
    key: Made,
}

fn pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| make(Made::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()))
}

fn make(key: Made) -> Pair {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "sendas test");
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    let certificate = params.self_signed(&key).unwrap().pem();
    Pair { certificate, key }
}

/// A certificate with its key, for the tests of other modules.
pub(crate) fn made() -> Certificate {
    let pair = pair();
    Certificate::from_pem(format!("{}{}", pair.certificate, pair.key.serialize_pem()).as_bytes())
        .unwrap()
}

/// As OpenSSL writes it.
fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        writeln!(text, "{}", std::str::from_utf8(line).unwrap()).unwrap();
    }
    text + &format!("-----END {label}-----\n")
}

/// The PKCS#1 structure inside the PKCS#8 one: for RSA keys of 2048 bits it begins at octet 26.
fn pkcs1(key: &Made) -> String {
    pem("RSA PRIVATE KEY", &key.serialize_der()[26..])
}

fn folder(files: &[(&str, &str)]) -> (TempDir, impl Fn(&str) -> PathBuf + use<>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        protect(&path, 0o600);
    }
    let root = folder.path().to_owned();
    (folder, move |name: &str| root.join(name))
}

#[cfg(unix)]
fn protect(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn protect(_: &Path, _: u32) {}

#[test]
fn certificate_and_key_are_read_in_any_order_and_form() {
    let pair = pair();
    let key = pair.key.serialize_pem();
    let foreign = make(Made::generate().unwrap()).certificate;
    let text = "Bag Attributes\n    friendlyName: sendas\n";
    let files = [
        ("certificate first", format!("{}{key}", pair.certificate)),
        ("key first", format!("{key}{}", pair.certificate)),
        (
            "PKCS#1",
            format!("{}{}", pkcs1(&pair.key), pair.certificate),
        ),
        ("chain", format!("{key}{foreign}{}", pair.certificate)),
        (
            "text around",
            format!("{text}{}{text}{key}", pair.certificate),
        ),
    ];
    for (name, content) in &files {
        let (_keep, path) = folder(&[("one.pem", content)]);
        let certificate =
            Certificate::from_file(path("one.pem")).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(certificate.subject(), "CN=sendas test");
        assert_eq!(certificate.not_after().to_string(), "2036-01-01T00:00:00Z");
        assert_eq!(certificate.der(), made().der());
        assert_eq!(certificate.thumbprint().len(), 40);
        assert_eq!(certificate.thumbprint_s256().len(), 43);
    }
}

#[test]
fn certificate_and_key_may_lie_in_two_files() {
    let pair = pair();
    let (_keep, path) = folder(&[
        ("c.pem", &pair.certificate),
        ("k.pem", &pair.key.serialize_pem()),
    ]);
    protect(&path("c.pem"), 0o644);
    Certificate::from_files(path("c.pem"), path("k.pem")).unwrap();
    #[cfg(unix)]
    {
        protect(&path("k.pem"), 0o640);
        let error = Certificate::from_files(path("c.pem"), path("k.pem")).unwrap_err();
        assert!(
            matches!(error, CredentialError::Unprotected { mode: 0o640, .. }),
            "{error}"
        );
    }
}

#[test]
fn files_that_cannot_serve_are_refused_with_the_reason() {
    type Check = fn(&CredentialError) -> bool;
    let pair = pair();
    let (certificate, key) = (&pair.certificate, pair.key.serialize_pem());
    let other = make(Made::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap());
    let ec = make(Made::generate().unwrap());
    let cases: [(String, Check); 12] = [
        (String::new(), |e| {
            matches!(e, CredentialError::NoKey { .. })
        }),
        (certificate.clone(), |e| {
            matches!(e, CredentialError::NoKey { .. })
        }),
        (key.clone(), |e| {
            matches!(e, CredentialError::NoCertificate { .. })
        }),
        (
            format!("{certificate}{key}{}", other.key.serialize_pem()),
            |e| matches!(e, CredentialError::ManyKeys { .. }),
        ),
        (format!("{certificate}{}", other.key.serialize_pem()), |e| {
            matches!(e, CredentialError::KeyMismatch { .. })
        }),
        (
            format!("{}{}", ec.certificate, ec.key.serialize_pem()),
            |e| matches!(e, CredentialError::NotRsa { .. }),
        ),
        (
            format!("{certificate}{}", pem("EC PRIVATE KEY", b"x")),
            |e| matches!(e, CredentialError::NotRsa { .. }),
        ),
        (
            format!("{certificate}{}", pem("ENCRYPTED PRIVATE KEY", b"x")),
            |e| {
                matches!(e, CredentialError::EncryptedKey { .. })
                    && e.to_string().contains("openssl pkey")
            },
        ),
        (
            format!(
                "{certificate}-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                 DEK-Info: AES-256-CBC,00\n\neHg=\n-----END RSA PRIVATE KEY-----\n"
            ),
            |e| matches!(e, CredentialError::EncryptedKey { .. }),
        ),
        (
            format!("{certificate}{}", pem("PRIVATE KEY", b"not a key")),
            |e| matches!(e, CredentialError::KeyUnusable { .. }),
        ),
        (
            format!("{}{key}", pem("CERTIFICATE", b"not a certificate")),
            |e| matches!(e, CredentialError::NotCertificate { .. }),
        ),
        (
            format!(
                "{certificate}{}",
                key.replace("-----END PRIVATE KEY-----", "")
            ),
            |e| matches!(e, CredentialError::NotPem { .. }),
        ),
    ];
    for (index, (content, check)) in cases.iter().enumerate() {
        let (_keep, path) = folder(&[("bad.pem", content)]);
        let error = Certificate::from_file(path("bad.pem")).unwrap_err();
        assert!(check(&error), "case {index}: {error:?}");
        assert!(error.to_string().contains("bad.pem"), "{error}");
    }
}

#[cfg(feature = "pfx")]
mod pfx {
    use super::*;
    use crate::Secret;

    fn octets(text: &str) -> Vec<u8> {
        let one_line: String = text.split_whitespace().collect();
        STANDARD.decode(one_line).unwrap()
    }

    fn password(text: &str) -> Secret {
        Secret::from_bytes(text.into()).unwrap()
    }

    #[test]
    fn files_of_openssl_are_read_modern_legacy_and_with_an_empty_password() {
        let thumbprint = include_str!("../../tests/data/pfx/thumbprint.txt").trim();
        for (text, secret) in [
            (
                include_str!("../../tests/data/pfx/modern.pfx.base64"),
                Some(password("s3cret")),
            ),
            (
                include_str!("../../tests/data/pfx/legacy.pfx.base64"),
                Some(password("s3cret")),
            ),
            (include_str!("../../tests/data/pfx/empty.pfx.base64"), None),
        ] {
            let certificate = Certificate::from_pfx(&octets(text), secret.as_ref()).unwrap();
            assert_eq!(certificate.thumbprint(), thumbprint);
            certificate.sign_ps256(b"x").unwrap();
        }
    }

    #[test]
    fn files_that_cannot_be_opened_say_why() {
        let modern = octets(include_str!("../../tests/data/pfx/modern.pfx.base64"));
        let wrong = Certificate::from_pfx(&modern, Some(&password("canary"))).unwrap_err();
        assert!(
            wrong.to_string().contains("the password is wrong"),
            "{wrong}"
        );
        assert!(!wrong.to_string().contains("canary"));
        let none = Certificate::from_pfx(&modern, None).unwrap_err();
        assert!(none.to_string().contains("needs a password"), "{none}");
        let junk = Certificate::from_pfx(b"junk", None).unwrap_err();
        assert!(matches!(junk, CredentialError::Pfx { .. }));
        let keyless = octets(include_str!("../../tests/data/pfx/keyless.pfx.base64"));
        let error = Certificate::from_pfx(&keyless, Some(&password("s3cret"))).unwrap_err();
        assert!(matches!(error, CredentialError::NoKey { .. }), "{error}");
    }
}
