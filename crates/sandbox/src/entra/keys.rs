//! The key that signs tokens, made in the background and joined at first use.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::jwt::PublicKey;
use crate::{certs, digest};

/// A token-signing key with the certificate Entra publishes beside it.
pub(crate) struct SigningKey {
    pair: RsaKeyPair,
    /// `kid` and `x5t`: the certificate's SHA-1 thumbprint in base64url.
    pub(crate) id: String,
    certificate: Vec<u8>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a key of 2048 bits.
    fn make(now: Timestamp) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("2048 bits can be made");
        let pkcs8 = pair.as_der().expect("a key that was made can be written");
        let signer = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
            &pkcs8.as_ref().into(),
            &rcgen::PKCS_RSA_SHA256,
        )
        .expect("a key that was written can be read");
        let mut params = certs::params(Vec::new(), now).expect("no names, nothing to refuse");
        params.distinguished_name = certs::name("accounts.accesscontrol.windows.net");
        let certificate = params
            .self_signed(&signer)
            .expect("a fresh RSA key signs its own certificate")
            .der()
            .to_vec();
        Self {
            pair,
            id: digest::x5t(&certificate),
            certificate,
        }
    }

    /// Signs a JWT of these header and claims (RS256).
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let mut text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &aws_lc_rs::rand::SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .expect("an RSA key signs any octets");
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        text
    }

    /// The key as JWK (RFC 7517), with the member Entra adds for v2.0.
    pub(crate) fn jwk(&self, issuer: Option<&str>) -> Value {
        let Some(PublicKey::Rsa { n, e }) = PublicKey::from_certificate(&self.certificate) else {
            unreachable!("the certificate was made of an RSA key")
        };
        let mut jwk = json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.id,
            "x5t": self.id,
            "n": URL_SAFE_NO_PAD.encode(n),
            "e": URL_SAFE_NO_PAD.encode(e),
            "x5c": [STANDARD.encode(&self.certificate)],
        });
        if let Some(issuer) = issuer {
            jwk["issuer"] = issuer.into();
        }
        jwk
    }

    /// Whether `signature` over `signed` is this key's (RS256).
    pub(crate) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        aws_lc_rs::signature::UnparsedPublicKey::new(
            &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256,
            self.pair.public_key().as_ref(),
        )
        .verify(signed, signature)
        .is_ok()
    }
}

/// The key of this process: like the service's, it signs for every tenant.
static KEY: OnceLock<SigningKey> = OnceLock::new();

/// Starts making the key on a thread of its own, unless there is one.
pub(crate) fn prepare(now: Timestamp) {
    if KEY.get().is_none() {
        std::thread::spawn(move || get(now).id.len());
    }
}

/// The key of the foreign issuer, made at first use.
pub(crate) fn foreign(now: Timestamp) -> &'static SigningKey {
    static FOREIGN: OnceLock<SigningKey> = OnceLock::new();
    FOREIGN.get_or_init(|| SigningKey::make(now))
}

/// The key; whoever comes first waits until it is made.
pub(crate) fn get(now: Timestamp) -> &'static SigningKey {
    KEY.get_or_init(|| SigningKey::make(now))
}
