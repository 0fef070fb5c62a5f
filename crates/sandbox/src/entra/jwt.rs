//! JSON Web Tokens as they arrive: taken apart first, believed only after a signature check.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A token taken apart; nothing in it is believed yet.
#[derive(Clone, Debug)]
pub(crate) struct Jwt<'a> {
    /// The header.
    pub(crate) header: Value,
    /// The claims.
    pub(crate) claims: Value,
    /// What the signature is over.
    pub(crate) signed: &'a str,
    /// The signature.
    pub(crate) signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// Takes a token apart; none when it has not the form of one.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let part = |text: &str| -> Option<Value> {
            let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            value.is_object().then_some(value)
        };
        Some(Self {
            header: part(header)?,
            claims: part(claims)?,
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// A header member that is text.
    pub(crate) fn head(&self, name: &str) -> Option<&str> {
        self.header[name].as_str()
    }

    /// A claim that is text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.claims[name].as_str()
    }

    /// A claim that is a numeric date, whole seconds.
    pub(crate) fn date(&self, name: &str) -> Option<i64> {
        let value = &self.claims[name];
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the fraction is meant to go"
        )]
        value.as_i64().or_else(|| value.as_f64().map(|f| f as i64))
    }

    /// The audiences: `aud` is one text or a list (RFC 7519 §4.1.3).
    pub(crate) fn audiences(&self) -> Vec<&str> {
        match &self.claims["aud"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether `key` signed it with the algorithm the header names.
    pub(crate) fn signed_by(&self, key: &PublicKey) -> bool {
        let signed = self.signed.as_bytes();
        match (key, self.head("alg")) {
            (PublicKey::Rsa { n, e }, Some(alg @ ("RS256" | "PS256"))) => {
                let algorithm = if alg == "RS256" {
                    &RSA_PKCS1_2048_8192_SHA256
                } else {
                    &RSA_PSS_2048_8192_SHA256
                };
                RsaPublicKeyComponents { n, e }
                    .verify(algorithm, signed, &self.signature)
                    .is_ok()
            }
            (PublicKey::P256(point), Some("ES256")) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(signed, &self.signature)
                    .is_ok()
            }
            _ => false,
        }
    }
}

/// A key that may have signed a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// RSA modulus and exponent, big-endian, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point on P-256.
    P256(Vec<u8>),
}

impl PublicKey {
    /// Reads a JWK (RFC 7517); none for kinds that sign no token here.
    pub(crate) fn from_jwk(jwk: &Value) -> Option<Self> {
        let octets = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str()?).ok();
        match (jwk["kty"].as_str()?, jwk["crv"].as_str()) {
            ("RSA", _) => Some(Self::Rsa {
                n: bare(&octets("n")?),
                e: bare(&octets("e")?),
            }),
            ("EC", Some("P-256")) => {
                Some(Self::P256([vec![4], octets("x")?, octets("y")?].concat()))
            }
            _ => None,
        }
    }

    /// Reads the key of a certificate (DER).
    pub(crate) fn from_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        match certificate.public_key().parsed().ok()? {
            x509_parser::public_key::PublicKey::RSA(key) => Some(Self::Rsa {
                n: bare(key.modulus),
                e: bare(key.exponent),
            }),
            x509_parser::public_key::PublicKey::EC(point) => {
                Some(Self::P256(point.data().to_vec()))
            }
            _ => None,
        }
    }
}

fn bare(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    number[zeros..].to_vec()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::entra::keys;

    #[test]
    fn a_token_of_our_key_verifies_and_a_changed_one_does_not() {
        let key = keys::get(jiff::Timestamp::UNIX_EPOCH);
        let text = key.sign(&json!({"alg":"RS256"}), &json!({"sub":"x","exp":1.5}));
        let public = PublicKey::from_jwk(&key.jwk(None)).unwrap();
        let jwt = Jwt::parse(&text).unwrap();
        assert!(jwt.signed_by(&public));
        assert!(key.verifies(jwt.signed.as_bytes(), &jwt.signature));
        assert_eq!(jwt.date("exp"), Some(1));

        let mut changed = Jwt::parse(&text).unwrap();
        changed.signature[3] ^= 1;
        assert!(!changed.signed_by(&public));
        changed.header["alg"] = "none".into();
        assert!(!changed.signed_by(&public));
    }

    #[test]
    fn what_is_no_token_is_not_taken_apart() {
        for text in [
            "",
            "a.b",
            "a.b.c",
            "e30.e30",
            "e30.W10.AA",
            "....",
            "e30.e30.!",
        ] {
            assert!(Jwt::parse(text).is_none(), "{text}");
        }
        assert!(Jwt::parse("e30.e30.").is_some());
    }
}
