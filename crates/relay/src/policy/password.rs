//! Passwords as argon2id hashes: made once, compared in constant time.

use std::fmt;
use std::sync::LazyLock;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

/// A hash as it stands in the settings, parsed once.
#[derive(Clone)]
pub(crate) struct PasswordHash(phc::PasswordHash);

/// Why a text is no hash, or a password cannot be hashed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PasswordError(String);

/// Memory in KiB that one check may take: more would let a setting exhaust the machine.
const MEMORY_KIB_MAX: u32 = 256 * 1024;

impl PasswordHash {
    /// Reads a PHC string.
    pub(crate) fn parse(text: &str) -> Result<Self, PasswordError> {
        let hash = phc::PasswordHash::new(text).map_err(|e| PasswordError(e.to_string()))?;
        let params = Params::try_from(&hash).map_err(|e| PasswordError(e.to_string()))?;
        if params.m_cost() > MEMORY_KIB_MAX {
            return Err(PasswordError(format!(
                "it asks for more than {MEMORY_KIB_MAX} KiB of memory"
            )));
        }
        Ok(Self(hash))
    }

    /// Whether the password is the one; takes some milliseconds and the memory that the hash
    /// asks for.
    pub(crate) fn verify(&self, password: &str) -> bool {
        Argon2::default()
            .verify_password(password.as_bytes(), &self.0)
            .is_ok()
    }
}

/// Takes as long as a check and says no: a user name that does not exist must not be told by
/// the clock.
pub(crate) fn verify_nobody(password: &str) -> bool {
    static NOBODY: LazyLock<Option<PasswordHash>> = LazyLock::new(|| {
        let hash = hash_password("a password that nobody is told").ok()?;
        PasswordHash::parse(&hash).ok()
    });
    if let Some(nobody) = &*NOBODY {
        nobody.verify(password);
    }
    false
}

/// Makes the hash of a password with a fresh salt: 19 MiB, two passes (OWASP's first choice).
///
/// # Errors
/// When the password is empty or the system has no randomness.
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError("the password is empty".to_owned()));
    }
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|e| PasswordError(e.to_string()))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|e| PasswordError(e.to_string()))
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_only() {
        let text = hash_password("sesame").unwrap();
        assert!(
            text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{text}"
        );
        let hash = PasswordHash::parse(&text).unwrap();
        assert!(hash.verify("sesame") && !hash.verify("Sesame") && !hash.verify(""));
        assert!(!verify_nobody("sesame"));
        assert_eq!(format!("{hash:?}"), "PasswordHash");
        assert!(hash_password("").is_err());
    }

    #[test]
    fn what_cannot_be_used() {
        for text in ["", "sesame", "$argon2id$v=19$m=19456,t=2,p=1$$"] {
            assert!(PasswordHash::parse(text).is_err(), "{text}");
        }
    }
}
