//! What proves the principal.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::limits::SECRET_OCTETS_MAX;
use crate::{Certificate, Environment, FederatedFile, ManagedIdentity, Secret};

/// What proves the principal to Entra: one of four kinds. Cannot be printed.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credential {
    /// A client secret.
    Secret(Secret),
    /// A certificate whose private key signs an assertion for each request.
    Certificate(Certificate),
    /// A token of a foreign issuer in a file, read again for each request.
    Federated(FederatedFile),
    /// The identity that Azure gives the machine; nothing is stored.
    ManagedIdentity(ManagedIdentity),
}

impl Credential {
    /// A secret from a file only its owner can read. See [`Secret::from_file`].
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn secret_file(path: impl AsRef<Path>) -> Result<Self, CredentialError> {
        Secret::from_file(path).map(Self::Secret)
    }

    /// A secret that systemd hands to the service. See [`Secret::from_systemd`].
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn secret_systemd(name: &str, environment: &Environment) -> Result<Self, CredentialError> {
        Secret::from_systemd(name, environment).map(Self::Secret)
    }

    /// A secret from an environment variable, with a [`warning`](Self::warning).
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn secret_environment(
        variable: &str,
        environment: &Environment,
    ) -> Result<Self, CredentialError> {
        Secret::from_environment(variable, environment).map(Self::Secret)
    }

    /// A secret already in memory, for instance read from standard input.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn secret_bytes(octets: Vec<u8>) -> Result<Self, CredentialError> {
        Secret::from_bytes(octets).map(Self::Secret)
    }

    /// A PEM file that holds certificate and private key. See [`Certificate::from_file`].
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn certificate_file(path: impl AsRef<Path>) -> Result<Self, CredentialError> {
        Certificate::from_file(path).map(Self::Certificate)
    }

    /// Certificate and private key in two PEM files. See [`Certificate::from_files`].
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn certificate_files(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, CredentialError> {
        Certificate::from_files(certificate, key).map(Self::Certificate)
    }

    /// A PKCS#12 file and its password. See [`Certificate::from_pfx_file`].
    ///
    /// # Errors
    /// [`CredentialError`].
    #[cfg(feature = "pfx")]
    pub fn pfx_file(
        path: impl AsRef<Path>,
        password: Option<&Secret>,
    ) -> Result<Self, CredentialError> {
        Certificate::from_pfx_file(path, password).map(Self::Certificate)
    }

    /// A token file of a workload identity federation, read at each request.
    pub fn federated_file(path: impl Into<PathBuf>) -> Self {
        Self::Federated(FederatedFile::new(path))
    }

    /// The identity of the machine.
    pub fn managed_identity(identity: ManagedIdentity) -> Self {
        Self::ManagedIdentity(identity)
    }

    /// `secret`, `certificate`, `federated` or `managed identity`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "secret",
            Self::Certificate(_) => "certificate",
            Self::Federated(_) => "federated",
            Self::ManagedIdentity(_) => "managed identity",
        }
    }

    /// What an operator should hear about where this credential is kept, if anything.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Secret(secret) => secret.warning(),
            _ => None,
        }
    }
}

/// Shows the kind only.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.kind())
    }
}

/// Why a credential could not be loaded or used; nothing has been sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others than the owner can reach the file.
    #[error(
        "{} can be read or changed by others (mode {mode:04o}); run: chmod 600 {}",
        path.display(),
        path.display()
    )]
    Unprotected {
        /// The file as it was named.
        path: PathBuf,
        /// The rights it has.
        mode: u32,
    },
    /// The file is larger than anything of its kind.
    #[error("{} is larger than {limit} octets; this is another kind of file", path.display())]
    TooLarge {
        /// The file as it was named.
        path: PathBuf,
        /// The limit, in octets.
        limit: u64,
    },
    /// There is nothing in it.
    #[error("{place} is empty")]
    Empty {
        /// The file or variable.
        place: String,
    },
    /// A secret is longer than any secret.
    #[error("{place} is longer than {SECRET_OCTETS_MAX} octets; this is no client secret")]
    SecretTooLong {
        /// The file or variable.
        place: String,
    },
    /// A secret holds an octet that no secret holds.
    #[error("{place} holds {octet} at position {position}; a secret is one line of text")]
    ForbiddenOctet {
        /// The file or variable.
        place: String,
        /// `NUL`, `CR` or `LF`.
        octet: &'static str,
        /// Counted from 1.
        position: usize,
    },
    /// Not text.
    #[error("{place} is not UTF-8 text")]
    NotUtf8 {
        /// The file or variable.
        place: String,
    },
    /// The name of a systemd credential is a path.
    #[error("{name:?} is not the name of a systemd credential: it must be a plain file name")]
    SystemdName {
        /// The name given.
        name: String,
    },
    /// The program was not started by systemd with a credential.
    #[error(
        "no systemd credential {name:?}: CREDENTIALS_DIRECTORY is not set; start the program as a \
         service with LoadCredential={name}:/path"
    )]
    NoSystemdFolder {
        /// The name given.
        name: String,
    },
    /// The environment variable is unset or empty.
    #[error("the environment variable {name} is not set, or empty")]
    VariableUnset {
        /// The variable.
        name: String,
    },
    /// No certificate in the file.
    #[error(
        "{place} holds no certificate (a section that begins with -----BEGIN CERTIFICATE-----)"
    )]
    NoCertificate {
        /// The file.
        place: String,
    },
    /// No private key in the file.
    #[error(
        "{place} holds no private key (a section that begins with -----BEGIN PRIVATE KEY-----)"
    )]
    NoKey {
        /// The file.
        place: String,
    },
    /// More than one private key in the file.
    #[error(
        "{place} holds more than one private key; leave the one that belongs to the certificate"
    )]
    ManyKeys {
        /// The file.
        place: String,
    },
    /// The private key is encrypted with a passphrase.
    #[error(
        "the private key in {place} is encrypted with a passphrase, which a service cannot type; \
         write it without one and protect the file instead: openssl pkey -in {place} -out key.pem"
    )]
    EncryptedKey {
        /// The file.
        place: String,
    },
    /// The private key is not an RSA key.
    #[error(
        "the private key in {place} is not an RSA key; Entra documents RSA only for client \
         certificates, so make one with an RSA key of 2048 bits or more"
    )]
    NotRsa {
        /// The file.
        place: String,
    },
    /// The private key cannot be used.
    #[error("the private key in {place} cannot be used: {reason}")]
    KeyUnusable {
        /// The file.
        place: String,
        /// What the cryptography library found.
        reason: String,
    },
    /// The private key belongs to none of the certificates.
    #[error("the private key in {place} does not belong to the certificate beside it")]
    KeyMismatch {
        /// The file or files.
        place: String,
    },
    /// The text is not PEM.
    #[error("{place} is not valid PEM: {reason}")]
    NotPem {
        /// The file.
        place: String,
        /// What the reader found.
        reason: String,
    },
    /// The certificate cannot be parsed.
    #[error("the certificate in {place} cannot be read: {reason}")]
    NotCertificate {
        /// The file.
        place: String,
        /// What the parser found.
        reason: String,
    },
    /// The PKCS#12 file cannot be opened with this password, or at all.
    #[error("the PKCS#12 file {place} cannot be opened: {reason}")]
    Pfx {
        /// The file.
        place: String,
        /// What the reader found.
        reason: String,
    },
    /// The federated token file holds no token.
    #[error("{} holds no token: three parts of base64url text joined by dots are wanted", path.display())]
    NotToken {
        /// The file as it was named.
        path: PathBuf,
    },
    /// An assertion could not be signed.
    #[error("the assertion could not be signed with the certificate's key")]
    NotSigned,
}
