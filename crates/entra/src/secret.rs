//! The client secret, from wherever it is kept.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::file::{self, Readers};
use crate::limits::SECRET_OCTETS_MAX;
use crate::{CredentialError, Environment};

/// A secret text: a client secret, or the password of a file.
///
/// Cannot be printed, is wiped on drop, and leaves through [`expose`](Self::expose) only.
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<String>,
    origin: SecretOrigin,
}

/// Where a secret came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretOrigin {
    /// A file readable by its owner only.
    File(PathBuf),
    /// A systemd credential of this name.
    Systemd(String),
    /// An environment variable of this name; other processes of the same user can read it.
    Environment(String),
    /// Handed over by the caller, for instance from standard input.
    Given,
}

/// Where systemd tells a service the folder of its credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

impl Secret {
    /// Reads a file that only its owner can read; one final line break is taken off.
    ///
    /// # Errors
    /// [`CredentialError`]: unreadable, open to others (with the `chmod` that mends it), larger than
    /// [`SECRET_OCTETS_MAX`], empty, or holding NUL, CR or LF.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, CredentialError> {
        let path = path.as_ref();
        let octets = file::read(path, SECRET_OCTETS_MAX, Readers::OwnerOnly)?;
        Self::check(
            octets,
            &path.display().to_string(),
            SecretOrigin::File(path.to_owned()),
        )
    }

    /// Reads the systemd credential of this name (`LoadCredential=`, `SetCredentialEncrypted=`)
    /// from the folder that `CREDENTIALS_DIRECTORY` names.
    ///
    /// # Errors
    /// [`CredentialError`] as [`from_file`](Self::from_file); also when the variable is unset (the
    /// program was not started by systemd with that credential) or the name is a path.
    pub fn from_systemd(name: &str, environment: &Environment) -> Result<Self, CredentialError> {
        let bad =
            name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']);
        if bad {
            return Err(CredentialError::SystemdName {
                name: name.to_owned(),
            });
        }
        let folder = environment.get(CREDENTIALS_DIRECTORY).ok_or_else(|| {
            CredentialError::NoSystemdFolder {
                name: name.to_owned(),
            }
        })?;
        let path = Path::new(folder).join(name);
        let octets = file::read(&path, SECRET_OCTETS_MAX, Readers::NotWorld)?;
        Self::check(
            octets,
            &path.display().to_string(),
            SecretOrigin::Systemd(name.to_owned()),
        )
    }

    /// Takes the value of an environment variable; see [`warning`](Self::warning).
    ///
    /// # Errors
    /// [`CredentialError`] when the variable is unset or empty, or holds NUL, CR or LF.
    pub fn from_environment(
        variable: &str,
        environment: &Environment,
    ) -> Result<Self, CredentialError> {
        let value = environment
            .get(variable)
            .ok_or_else(|| CredentialError::VariableUnset {
                name: variable.to_owned(),
            })?;
        let octets = Zeroizing::new(value.as_bytes().to_vec());
        let place = format!("the environment variable {variable}");
        Self::check(
            octets,
            &place,
            SecretOrigin::Environment(variable.to_owned()),
        )
    }

    /// Takes octets, for instance what was read from standard input; one final line break is taken
    /// off.
    ///
    /// # Errors
    /// [`CredentialError`] when they are empty, too long, not UTF-8, or hold NUL, CR or LF.
    pub fn from_bytes(octets: Vec<u8>) -> Result<Self, CredentialError> {
        Self::check(
            Zeroizing::new(octets),
            "the given secret",
            SecretOrigin::Given,
        )
    }

    /// The text. The only way out; for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Where it came from.
    pub fn origin(&self) -> &SecretOrigin {
        &self.origin
    }

    /// What an operator should hear about the place this secret is kept in, if anything.
    pub fn warning(&self) -> Option<String> {
        match &self.origin {
            SecretOrigin::Environment(name) => Some(format!(
                "the secret comes from the environment variable {name}, which every process of \
                 the same user can read; a file or a systemd credential is safer"
            )),
            _ => None,
        }
    }

    fn check(
        mut octets: Zeroizing<Vec<u8>>,
        place: &str,
        origin: SecretOrigin,
    ) -> Result<Self, CredentialError> {
        let place = || place.to_owned();
        if octets.last() == Some(&b'\n') {
            octets.pop();
            if octets.last() == Some(&b'\r') {
                octets.pop();
            }
        }
        if octets.is_empty() {
            return Err(CredentialError::Empty { place: place() });
        }
        if octets.len() as u64 > SECRET_OCTETS_MAX {
            return Err(CredentialError::SecretTooLong { place: place() });
        }
        for (octet, name) in [(0, "NUL"), (b'\r', "CR"), (b'\n', "LF")] {
            if let Some(index) = octets.iter().position(|&found| found == octet) {
                return Err(CredentialError::ForbiddenOctet {
                    place: place(),
                    octet: name,
                    position: index + 1,
                });
            }
        }
        let text = std::str::from_utf8(&octets)
            .map_err(|_| CredentialError::NotUtf8 { place: place() })?;
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            origin,
        })
    }
}

/// Shows the type's name only.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_final_line_break_is_taken_off() {
        for (given, kept) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            (" a b ", " a b "),
        ] {
            assert_eq!(
                Secret::from_bytes(given.into()).unwrap().expose(),
                kept,
                "{given:?}"
            );
        }
    }

    #[test]
    fn broken_secrets_are_refused_and_not_cleaned() {
        for (given, octet, position) in [
            ("a\nb", "LF", 2),
            ("a\n\n", "LF", 2),
            ("ab\r", "CR", 3),
            ("\0", "NUL", 1),
            ("a\r\nb\n", "CR", 2),
        ] {
            match Secret::from_bytes(given.into()) {
                Err(CredentialError::ForbiddenOctet {
                    octet: o,
                    position: p,
                    ..
                }) => {
                    assert_eq!((o, p), (octet, position), "{given:?}");
                }
                other => panic!("{given:?}: {other:?}"),
            }
        }
        for empty in ["", "\n", "\r\n"] {
            assert!(matches!(
                Secret::from_bytes(empty.into()),
                Err(CredentialError::Empty { .. })
            ));
        }
        assert!(matches!(
            Secret::from_bytes(vec![0xff]),
            Err(CredentialError::NotUtf8 { .. })
        ));
        assert!(matches!(
            Secret::from_bytes(vec![b'a'; 5000]),
            Err(CredentialError::SecretTooLong { .. })
        ));
    }

    #[test]
    fn variables_give_a_warning() {
        let environment: Environment = [("S", "value")].into_iter().collect();
        let secret = Secret::from_environment("S", &environment).unwrap();
        assert!(secret.warning().unwrap().contains("variable S"));
        assert!(matches!(
            Secret::from_environment("T", &environment),
            Err(CredentialError::VariableUnset { .. })
        ));
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[cfg(unix)]
    #[test]
    fn files_open_to_others_are_refused_with_the_command() {
        use std::fs::{self, Permissions};
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "s3cret\n").unwrap();
        let environment: Environment = [("CREDENTIALS_DIRECTORY", folder.path())]
            .into_iter()
            .collect();
        for (mode, file, systemd) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o640, false, true),
            (0o620, false, true),
            (0o604, false, false),
            (0o644, false, false),
            (0o601, false, false),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let read = Secret::from_file(&path);
            assert_eq!(read.is_ok(), file, "{mode:o}");
            if let Err(error) = read {
                let text = error.to_string();
                assert!(
                    text.contains("chmod 600") && text.contains("secret"),
                    "{text}"
                );
            }
            assert_eq!(
                Secret::from_systemd("secret", &environment).is_ok(),
                systemd,
                "{mode:o}"
            );
        }
    }

    #[test]
    fn systemd_credentials_stay_in_their_folder() {
        let environment: Environment = [("CREDENTIALS_DIRECTORY", "/run/c")].into_iter().collect();
        for name in ["", ".", "..", "../x", "a/b", "a\0b"] {
            assert!(matches!(
                Secret::from_systemd(name, &environment),
                Err(CredentialError::SystemdName { .. })
            ));
        }
        assert!(matches!(
            Secret::from_systemd("x", &Environment::empty()),
            Err(CredentialError::NoSystemdFolder { .. })
        ));
    }
}
