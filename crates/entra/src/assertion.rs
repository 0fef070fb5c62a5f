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
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&payload));
    let signature = certificate.sign_ps256(signed.as_bytes())?;
    Ok(Zeroizing::new(format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode(signature)
    )))
}
