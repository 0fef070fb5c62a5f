//! The assertion that proves possession of a certificate's key (RFC 7523, CERT-DOC).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::limits::{ASSERTION_EARLY_S, ASSERTION_LIFE_S};
use crate::{Certificate, ClientId, CredentialError};

/// A signed assertion for one request: PS256, the certificate named by its SHA-256 thumbprint.
///
/// `audience` is the exact URL of the token endpoint; `id` must be fresh for each assertion.
pub(crate) fn build(
    certificate: &Certificate,
    client_id: &ClientId,
    audience: &str,
    id: Uuid,
    now: Timestamp,
) -> Result<Zeroizing<String>, CredentialError> {
    let now = now.as_second();
    let header = json!({
        "alg": "PS256",
        "typ": "JWT",
        "x5t#S256": certificate.thumbprint_s256(),
    });
    let payload = json!({
        "aud": audience,
        "iss": client_id.as_str(),
        "sub": client_id.as_str(),
        "jti": id.to_string(),
        "iat": now,
        "nbf": now - ASSERTION_EARLY_S,
        "exp": now + ASSERTION_LIFE_S,
    });
    sign(certificate, &header, &payload)
}

/// The directory as the audience of a proof of possession (addKey page).
const DIRECTORY: &str = "00000002-0000-0000-c000-000000000000";

/// Seconds between `nbf` and `exp` of a proof; the directory takes exactly this (reported by users).
const PROOF_LIFE_S: i64 = 600;

impl Certificate {
    /// The proof with which an application rolls its own keys (`addKey`, `removeKey` of Graph):
    /// signed by a key that is registered and valid. `issuer` is the client id.
    ///
    /// # Errors
    /// [`CredentialError::NotSigned`].
    pub fn proof_of_possession(
        &self,
        issuer: &ClientId,
        now: Timestamp,
    ) -> Result<Zeroizing<String>, CredentialError> {
        let now = now.as_second();
        let header = json!({
            "alg": "PS256",
            "typ": "JWT",
            "x5t#S256": self.thumbprint_s256(),
        });
        let payload = json!({
            "aud": DIRECTORY,
            "iss": issuer.as_str(),
            "nbf": now,
            "exp": now + PROOF_LIFE_S,
        });
        sign(self, &header, &payload)
    }
}

fn sign(
    certificate: &Certificate,
    header: &serde_json::Value,
    payload: &serde_json::Value,
) -> Result<Zeroizing<String>, CredentialError> {
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(payload));
    let signature = certificate.sign_ps256(signed.as_bytes())?;
    Ok(Zeroizing::new(format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode(signature)
    )))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value;
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;
    use crate::certificate::tests::made;

    const ENDPOINT: &str = "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token";

    fn build_one(certificate: &Certificate, id: Uuid) -> String {
        let client_id = ClientId::parse("11111111-2222-3333-4444-555555555555").unwrap();
        let now = Timestamp::from_second(1_770_000_000).unwrap();
        build(certificate, &client_id, ENDPOINT, id, now)
            .unwrap()
            .to_string()
    }

    #[test]
    fn header_and_claims_are_those_of_the_fact_sheet() {
        let certificate = made();
        let assertion = build_one(&certificate, Uuid::nil());
        let parts: Vec<Vec<u8>> = assertion
            .split('.')
            .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap())
            .collect();
        let header: Value = serde_json::from_slice(&parts[0]).unwrap();
        assert_eq!(
            header,
            json!({"alg": "PS256", "typ": "JWT", "x5t#S256": certificate.thumbprint_s256()})
        );
        let claims: Value = serde_json::from_slice(&parts[1]).unwrap();
        assert_eq!(
            claims,
            json!({
                "aud": ENDPOINT,
                "iss": "11111111-2222-3333-4444-555555555555",
                "sub": "11111111-2222-3333-4444-555555555555",
                "jti": "00000000-0000-0000-0000-000000000000",
                "iat": 1_770_000_000,
                "nbf": 1_769_999_940,
                "exp": 1_770_000_300,
            })
        );
    }

    #[test]
    fn the_signature_holds_under_the_certificates_key() {
        let certificate = made();
        let assertion = build_one(&certificate, Uuid::new_v4());
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        let key = &parsed.public_key().subject_public_key.data;
        let key = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key);
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        key.verify(signed.as_bytes(), &signature).unwrap();
        assert!(key.verify(&signed.as_bytes()[1..], &signature).is_err());
    }

    #[test]
    fn every_assertion_is_another_one() {
        let certificate = made();
        let all: HashSet<String> = (0..4)
            .map(|_| build_one(&certificate, Uuid::new_v4()))
            .collect();
        assert_eq!(all.len(), 4);
    }
}
