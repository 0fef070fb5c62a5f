//! Whom a policy believes: handshakes in memory against certificates made for the test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ProtocolVersion, ServerConfig, SupportedProtocolVersion};
use sendas_tls::{Authority, TlsError, TlsPolicy, Trust, provider};
use tokio_rustls::{TlsAcceptor, TlsConnector};

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Ca {
        issuer: Issuer::new(params, key),
        pem,
    }
}

fn server(
    ca: &Ca,
    names: &[&str],
    until: i32,
    version: &'static SupportedProtocolVersion,
) -> Arc<ServerConfig> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "test server");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &ca.issuer).unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    Arc::new(config)
}

fn only(pem: &str) -> TlsPolicy {
    TlsPolicy::new(Trust::Only(vec![
        Authority::from_pem(pem.as_bytes()).unwrap(),
    ]))
}

/// The protocol version agreed upon, or the client's error as text.
fn handshake(
    policy: &TlsPolicy,
    server: Arc<ServerConfig>,
    host: &'static str,
) -> Result<ProtocolVersion, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let client = TlsConnector::from(policy.client_config().unwrap())
            .connect(ServerName::try_from(host).unwrap(), near);
        let (client, _) = tokio::join!(client, TlsAcceptor::from(server).accept(far));
        let client = client.map_err(|error| error.to_string())?;
        Ok(client.get_ref().1.protocol_version().unwrap())
    })
}

#[test]
fn the_named_authority_is_believed_in_both_versions() {
    let ca = ca("one");
    for (version, name) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let agreed = handshake(
            &only(&ca.pem),
            server(&ca, &["localhost"], 2080, version),
            "localhost",
        );
        assert_eq!(agreed.unwrap(), name);
    }
}

#[test]
fn wrong_certificates_end_the_handshake() {
    let (ours, other) = (ca("ours"), ca("other"));
    let policy = only(&ours.pem);
    let tls13 = &rustls::version::TLS13;
    let cases = [
        (
            "another authority",
            server(&other, &["localhost"], 2080, tls13),
            "localhost",
            "UnknownIssuer",
        ),
        (
            "another name",
            server(&ours, &["example.com"], 2080, tls13),
            "localhost",
            "not valid for name",
        ),
        (
            "expired",
            server(&ours, &["localhost"], 2021, tls13),
            "localhost",
            "expired",
        ),
        (
            "wildcard reaches one label",
            server(&ours, &["*.example.com"], 2080, tls13),
            "a.b.example.com",
            "not valid for name",
        ),
        (
            "name where an address is asked",
            server(&ours, &["localhost"], 2080, tls13),
            "127.0.0.1",
            "not valid for name",
        ),
    ];
    for (case, server, host, wanted) in cases {
        let error = handshake(&policy, server, host).unwrap_err();
        assert!(error.contains(wanted), "{case}: {error}");
    }
}

#[test]
fn system_plus_also_believes_the_named_authority() {
    let ca = ca("plus");
    let authority = Authority::from_pem(ca.pem.as_bytes()).unwrap();
    let policy = TlsPolicy::new(Trust::SystemPlus(vec![authority]));
    let server = server(&ca, &["localhost"], 2080, &rustls::version::TLS13);
    assert_eq!(
        handshake(&policy, server, "localhost").unwrap(),
        ProtocolVersion::TLSv1_3
    );
}

#[test]
fn a_policy_builds_once_and_clones_share() {
    let policy = only(&ca("shared").pem);
    let first = policy.client_config().unwrap();
    let second = policy.clone().client_config().unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert!(!Arc::ptr_eq(
        &first,
        &policy.client_config_without_resumption().unwrap()
    ));
}

#[test]
fn bad_authority_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let good = ca("good").pem;
    let cut = good.replace("-----END CERTIFICATE-----", "");
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    let error = Authority::from_file(folder.path().join("absent.pem")).unwrap_err();
    assert!(
        matches!(error, TlsError::AuthorityUnreadable { .. }),
        "{error}"
    );
    let error = Authority::from_file(at("text.pem", "hello\n")).unwrap_err();
    assert!(matches!(error, TlsError::AuthorityEmpty { .. }), "{error}");
    let error = Authority::from_file(at("cut.pem", &cut)).unwrap_err();
    assert!(matches!(error, TlsError::AuthorityNotPem { .. }), "{error}");
    let error = Authority::from_file(at("junk.pem", junk)).unwrap_err();
    assert!(
        matches!(error, TlsError::AuthorityNotCertificate { number: 1, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("junk.pem"));

    let both = Authority::from_file(at("two.pem", &format!("{good}{}", ca("second").pem))).unwrap();
    assert_eq!(both.certificates().len(), 2);
    let none = TlsPolicy::new(Trust::Only(Vec::new()))
        .client_config()
        .unwrap_err();
    assert!(matches!(none, TlsError::NothingTrusted));
}

/// Runs in a process of its own (see below), whose environment hides the system's roots.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[test]
fn without_system_roots() {
    let hidden = std::env::var_os("SSL_CERT_FILE").is_some_and(|file| file == "/nonexistent/roots");
    if !hidden {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "without_system_roots"])
            .env("SSL_CERT_FILE", "/nonexistent/roots")
            .env("SSL_CERT_DIR", "/nonexistent")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let error = TlsPolicy::new(Trust::System).client_config().unwrap_err();
    assert!(matches!(error, TlsError::NoSystemRoots { .. }), "{error}");
    assert!(error.to_string().contains("ca-certificates"), "{error}");

    let ca = ca("alone");
    let authority = Authority::from_pem(ca.pem.as_bytes()).unwrap();
    let policy = TlsPolicy::new(Trust::SystemPlus(vec![authority]));
    let server = server(&ca, &["localhost"], 2080, &rustls::version::TLS13);
    assert_eq!(
        handshake(&policy, server, "localhost").unwrap(),
        ProtocolVersion::TLSv1_3
    );
}
