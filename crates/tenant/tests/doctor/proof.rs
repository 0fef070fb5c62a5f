//! Certificates and federated tokens that the sandbox refuses by itself: each is judged there, and no
//! answer is put into its mouth.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use sendas_entra::{Certificate, Credential};
use sendas_sandbox::Preset;
use sendas_tenant::doctor::Case;
use sendas_tenant::key::MadeCertificate;
use serde_json::{Value, json};

use crate::breakage::{Setting, subject};
use crate::stage::Stage;

/// What proves the principal, wrong in one way each.
pub(crate) const PROOFS: &[Setting] = &[
    proof(
        "S-CERTIFICATE-UNKNOWN",
        "certificate not registered",
        |stage, case| {
            let made = made(stage, 0, 365);
            subject(case).credential = Ok(credential(&made));
        },
    ),
    proof("S-CERTIFICATE-ENDED", "certificate ended", |stage, case| {
        let made = made(stage, -400, 365);
        register(stage, &made, None);
        subject(case).credential = Ok(credential(&made));
    }),
    proof(
        "S-CERTIFICATE-UNKNOWN",
        "registration of the certificate ended",
        |stage, case| {
            let made = made(stage, 0, 365);
            register(stage, &made, Some("2020-01-01T00:00:00Z"));
            subject(case).credential = Ok(credential(&made));
        },
    ),
    proof(
        "S-CERTIFICATE-UNKNOWN",
        "certificate of another key registered",
        |stage, case| {
            register(stage, &made(stage, 0, 365), None);
            subject(case).credential = Ok(credential(&made(stage, 0, 365)));
        },
    ),
    proof(
        "S-CREDENTIAL-UNREADABLE",
        "key of another certificate",
        |stage, case| {
            let (one, two) = (made(stage, 0, 365), made(stage, 0, 365));
            let end = one.pem.find("-----BEGIN PRIVATE").unwrap();
            let begin = two.pem.find("-----BEGIN PRIVATE").unwrap();
            let mixed = format!("{}{}", &one.pem[..end], &two.pem[begin..]);
            let error = Certificate::from_pem(mixed.as_bytes()).unwrap_err();
            subject(case).credential = Err(error.to_string());
        },
    ),
    proof(
        "S-FEDERATION-MISMATCH",
        "federated issuer",
        |stage, case| {
            federated(stage, case, &json!({ "iss": "https://other.example" }));
        },
    ),
    proof(
        "S-FEDERATION-MISMATCH",
        "federated subject",
        |stage, case| {
            federated(stage, case, &json!({ "sub": "somebody else" }));
        },
    ),
    proof(
        "S-FEDERATION-MISMATCH",
        "capitals of the federated subject",
        |stage, case| {
            federated(stage, case, &json!({ "sub": SUBJECT.to_uppercase() }));
        },
    ),
    proof(
        "S-FEDERATION-MISMATCH",
        "federated audience",
        |stage, case| {
            federated(stage, case, &json!({ "aud": ["api://elsewhere"] }));
        },
    ),
    proof(
        "S-FEDERATED-TOKEN-ENDED",
        "federated token ended",
        |stage, case| {
            let end = stage.sandbox.now().as_second() - 3600;
            federated(stage, case, &json!({ "exp": end }));
        },
    ),
];

const ISSUER: &str = "https://issuer.example";
const SUBJECT: &str = "system:serviceaccount:mail:relay";

const fn proof(cause: &'static str, name: &'static str, set: fn(&mut Stage, &mut Case)) -> Setting {
    Setting {
        name,
        preset: Preset::Classic,
        cause,
        set,
    }
}

/// A certificate that begins in so many days.
fn made(stage: &Stage, in_days: i64, days: i64) -> MadeCertificate {
    let begin = stage.sandbox.now() + SignedDuration::from_hours(24 * in_days);
    MadeCertificate::make_for("relay", begin, days).unwrap()
}

fn credential(made: &MadeCertificate) -> Credential {
    Credential::Certificate(Certificate::from_pem(made.pem.as_bytes()).unwrap())
}

/// Registers a certificate with the application, until its own end unless told.
fn register(stage: &Stage, made: &MadeCertificate, ends: Option<&str>) {
    let ends = ends.map_or_else(|| made.end.to_string(), str::to_owned);
    let registration = stage
        .sandbox
        .details()
        .client
        .unwrap()
        .application_object_id;
    let row = json!({
        "display_name": "relay", "der": STANDARD.encode(&made.der),
        "starts": Timestamp::UNIX_EPOCH.to_string(), "ends": ends,
    });
    let patch = json!({ "applications": { registration.to_string(): {
        "certificates": { "88888888-2222-3333-4444-555555555555": row } } } });
    stage.sandbox.patch(&patch).unwrap();
}

/// Trusts an issuer and presents its token with these claims changed.
fn federated(stage: &Stage, case: &mut Case, change: &Value) {
    let made = made(stage, 0, 365);
    let key = PrivatePkcs8KeyDer::from_pem_slice(made.pem.as_bytes()).unwrap();
    let key = KeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let part = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
    let (_, certificate) = x509_parser::parse_x509_certificate(&made.der).unwrap();
    let parsed = certificate.public_key().parsed().unwrap();
    let x509_parser::public_key::PublicKey::RSA(public) = parsed else {
        unreachable!("an RSA key was made")
    };
    let jwk = json!({
        "kty": "RSA", "kid": "k1",
        "n": part(&public.modulus[1..]),
        "e": part(public.exponent),
    });
    let registration = stage
        .sandbox
        .details()
        .client
        .unwrap()
        .application_object_id;
    let trust = json!({ "name": "relay", "issuer": ISSUER, "subject": SUBJECT });
    let patch = json!({
        "issuers": { ISSUER: { "jwks": { "keys": [jwk] } } },
        "applications": { registration.to_string(): {
            "federated": { "99999999-2222-3333-4444-555555555555": trust } } },
    });
    stage.sandbox.patch(&patch).unwrap();
    let now = stage.sandbox.now().as_second();
    let mut claims = json!({
        "iss": ISSUER, "sub": SUBJECT, "aud": ["api://AzureADTokenExchange"],
        "iat": now - 7200, "exp": now + 3600,
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let header = json!({ "alg": "RS256", "kid": "k1" });
    let text = format!(
        "{}.{}",
        part(header.to_string().as_bytes()),
        part(claims.to_string().as_bytes())
    );
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .unwrap();
    let path = stage.sandbox.folder().join("assertion");
    std::fs::write(&path, format!("{text}.{}", part(&signature))).unwrap();
    subject(case).credential = Ok(Credential::federated_file(&path));
    subject(case).credential_file = Some(path);
}
