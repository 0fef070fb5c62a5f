//! What a rotation asks of the program whose credential it is.

use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::journal::Replacement;
use super::stage::Kind;
use crate::admin::AdminToken;
use crate::store::Place;
use crate::verify::{Prover, Refusal};

/// The program whose credential is rotated: it reads and writes the configuration, and sends.
pub trait Host: Send + Sync {
    /// What tries the credential that the configuration names now.
    ///
    /// # Errors
    /// [`HostError`] when that credential cannot be loaded.
    fn present(&self) -> Result<Box<dyn Prover>, HostError>;

    /// What tries the credential kept there. Each call makes new connections, so that each token
    /// may come from another server.
    ///
    /// # Errors
    /// [`HostError`] when it cannot be loaded.
    fn fresh(&self, kind: Kind, place: &Place) -> Result<Box<dyn Prover>, HostError>;

    /// A token for Microsoft Graph by the credential that the configuration names now.
    fn own_token(&self) -> Pin<Box<dyn Future<Output = Result<AdminToken, Refusal>> + Send + '_>>;

    /// The proof that the key of the certificate which the configuration names now is held here.
    ///
    /// # Errors
    /// [`HostError`] when that credential is no certificate, or cannot be loaded.
    fn own_proof(&self, now: Timestamp) -> Result<Zeroizing<String>, HostError>;

    /// Whether the secret that the configuration names now begins so.
    fn secret_begins_with(&self, hint: &str) -> bool;

    /// Whether the configuration names the credential kept there.
    ///
    /// # Errors
    /// [`HostError`] when the configuration cannot be read.
    fn names(&self, kind: Kind, place: &Place) -> Result<bool, HostError>;

    /// Makes the configuration name the credential kept there, at once and whole, and leaves
    /// everything else in it as it is. Naming it already is success.
    ///
    /// # Errors
    /// [`HostError`]; then the configuration is as it was.
    fn switch(&self, kind: Kind, place: &Place) -> Result<(), HostError>;

    /// What else keeps a record of the old credential gets the new one's. May be called again.
    ///
    /// # Errors
    /// [`HostError`].
    fn record(&self, change: &Replacement<'_>) -> Result<(), HostError>;

    /// How long programs that run may still use the old credential after the switch.
    fn handover(&self) -> Duration;
}

/// Why the program could not do its part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct HostError {
    /// What, and why.
    pub words: String,
}

impl HostError {
    /// With these words.
    pub fn new(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
        }
    }
}
