//! The directory's side of a rotation: adding, finding and removing credentials, with an
//! administrator's token or as the application itself.
//!
//! An application may roll its own certificates without any permission, with a proof of the key it
//! holds; it may read itself and make secrets only with a permission of its own
//! (`Application.ReadWrite.OwnedBy`).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use sendas_entra::Cloud;
use serde_json::Value;

use super::error::RotationError;
use super::host::Host;
use super::journal::{Journal, Old};
use super::stage::{Fresh, Kept, Kind};
use super::waits::Waits;
use crate::admin::AdminToken;
use crate::graph::{Application, Graph, NewSecret};
use crate::key::key_entry;
use crate::limits::{REPLICATION_S_MAX, YOUNG_CREDENTIAL_S_MAX};
use crate::timer::{Backoff, Timer};
use crate::trouble::{CallError, Trouble};
use crate::verify::About;
use crate::wire::Transport;

/// As whom Microsoft Graph is asked.
#[derive(Clone)]
pub struct Access {
    cloud: Cloud,
    transport: Arc<dyn Transport>,
    timer: Arc<dyn Timer>,
    administrator: Option<AdminToken>,
}

impl Access {
    /// As an administrator, or as the application itself when there is none.
    pub fn new(
        cloud: &Cloud,
        administrator: Option<AdminToken>,
        transport: Arc<dyn Transport>,
        timer: Arc<dyn Timer>,
    ) -> Self {
        Self {
            cloud: cloud.clone(),
            transport,
            timer,
            administrator,
        }
    }

    pub(super) fn timer(&self) -> Arc<dyn Timer> {
        Arc::clone(&self.timer)
    }

    /// Whether an administrator asks.
    pub fn is_administrator(&self) -> bool {
        self.administrator.is_some()
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("cloud", &self.cloud.name())
            .field("is_administrator", &self.is_administrator())
            .finish_non_exhaustive()
    }
}

/// The application in the directory.
pub(super) struct Directory<'a> {
    pub(super) access: &'a Access,
    pub(super) host: &'a dyn Host,
    pub(super) waits: &'a Waits,
    /// `appId=` and the client id.
    pub(super) key: String,
    pub(super) client_id: &'a str,
}

impl Directory<'_> {
    async fn graph(&self) -> Result<Graph, RotationError> {
        let Access {
            cloud,
            transport,
            timer,
            administrator,
        } = self.access;
        let connected = |token: &AdminToken| {
            let graph = Graph::connect(cloud, token, transport, timer);
            graph.with_progress(Arc::clone(&self.waits.progress))
        };
        if let Some(token) = administrator {
            return Ok(connected(token));
        }
        // After the switch the credential is a new one, and servers for other resources learn of
        // it at another time than Exchange's.
        let mut patience = Backoff::new(Duration::from_secs(YOUNG_CREDENTIAL_S_MAX));
        loop {
            let refusal = match self.host.own_token().await {
                Ok(token) => return Ok(connected(&token)),
                Err(refusal) => refusal,
            };
            let waits = matches!(
                refusal.about,
                About::Credential {
                    may_be_too_young: true
                } | About::Trouble
            );
            let Some(pause) = patience.pause().filter(|_| waits) else {
                return Err(RotationError::NoOwnToken {
                    words: refusal.words,
                });
            };
            self.waits.pause("a token for Microsoft Graph", pause).await;
        }
    }

    /// The application, when whoever asks may see it.
    async fn look(&self) -> Result<Option<Application>, RotationError> {
        match self.graph().await?.application(&self.key).await {
            Ok(Some(application)) => Ok(Some(application)),
            Ok(None) => Err(RotationError::NoApplication {
                client_id: self.client_id.to_owned(),
            }),
            Err(error) if !self.access.is_administrator() && error.is_about_rights() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The application; who may not see it is told to ask an administrator.
    async fn see(&self) -> Result<Application, RotationError> {
        let found = self.graph().await?.application(&self.key).await;
        match found.map_err(|error| self.sorted(error))? {
            Some(application) => Ok(application),
            None => Err(RotationError::NoApplication {
                client_id: self.client_id.to_owned(),
            }),
        }
    }

    /// Completes what is known of the old credential.
    pub(super) async fn learn(&self, old: &mut Old) -> Result<(), RotationError> {
        if old.key_id.is_some() && old.end.is_some() {
            return Ok(());
        }
        let Some(application) = self.look().await? else {
            return Ok(());
        };
        match old.kind {
            Kind::Certificate => {
                let found = application
                    .certificates()
                    .into_iter()
                    .find(|found| Some(&found.thumbprint) == old.thumbprint.as_ref());
                if let Some(found) = found {
                    old.key_id = Some(found.key_id);
                    old.end = found.end.or(old.end);
                }
            }
            Kind::Secret => {
                let known = old.key_id.clone();
                let mut matching = application.password_credentials.iter().filter(|found| {
                    match (&known, &found.hint) {
                        (Some(known), _) => found.key_id == *known,
                        (None, Some(hint)) => {
                            !hint.is_empty() && self.host.secret_begins_with(hint)
                        }
                        (None, None) => false,
                    }
                });
                // Two secrets that begin alike: nobody can tell which one is in use.
                if let (Some(found), None) = (matching.next(), matching.next()) {
                    old.key_id = Some(found.key_id.clone());
                    old.end = found.end_date_time;
                }
            }
        }
        Ok(())
    }

    /// Registers the certificate; answers its id where that can be known.
    pub(super) async fn add_certificate(
        &self,
        kept: &Kept,
        label: &str,
        is_resumed: bool,
    ) -> Result<Option<String>, RotationError> {
        let der = STANDARD.decode(&kept.der).unwrap_or_default();
        let entry = key_entry(&der, label);
        if self.access.is_administrator() {
            return self.add_as_administrator(kept, &entry).await;
        }
        if is_resumed && self.gets_token(kept).await? {
            return Ok(None);
        }
        loop {
            let (graph, proof) = (self.graph().await?, self.host.own_proof(self.waits.now())?);
            match graph.add_key(&self.key, &entry, &proof).await {
                Ok(added) => return Ok(Some(added.key_id).filter(|id| !id.is_empty())),
                Err(error) if error.may_have_acted() => {
                    if self.gets_token(kept).await? {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(self.sorted(error)),
            }
        }
    }

    /// Whether Entra knows the certificate, found out without any right: by a token.
    async fn gets_token(&self, kept: &Kept) -> Result<bool, RotationError> {
        let mut patience = Backoff::new(Duration::from_secs(YOUNG_CREDENTIAL_S_MAX));
        loop {
            let prover = self.host.fresh(Kind::Certificate, &kept.place)?;
            if prover.token().await.is_ok() {
                return Ok(true);
            }
            let Some(pause) = patience.pause() else {
                return Ok(false);
            };
            self.waits.pause("the new certificate", pause).await;
        }
    }

    async fn add_as_administrator(
        &self,
        kept: &Kept,
        entry: &Value,
    ) -> Result<Option<String>, RotationError> {
        let mut change = Change::new();
        loop {
            let application = self.see().await?;
            let found = application
                .certificates()
                .into_iter()
                .find(|found| found.thumbprint == kept.thumbprint);
            if let Some(found) = found {
                return Ok(Some(found.key_id));
            }
            let mut entries = sendable(application.key_credentials);
            entries.push(entry.clone());
            self.change(&mut change, &entries, "the new certificate")
                .await?;
        }
    }

    /// Has a secret made. One of this rotation's label whose text was lost is removed before.
    pub(super) async fn add_secret(
        &self,
        journal: &Journal,
        lost_since: Option<Timestamp>,
    ) -> Result<NewSecret, RotationError> {
        let label = journal.label();
        let end = self.waits.now() + SignedDuration::from_hours(24 * journal.days);
        if let Some(since) = lost_since {
            self.remove_strays(&label, since).await?;
        }
        let mut window = window();
        loop {
            let asked = self.waits.now();
            let error = match self
                .graph()
                .await?
                .add_password(&self.key, &label, end)
                .await
            {
                Ok(made) => return Ok(made),
                Err(error) => error,
            };
            let pause = window.pause();
            match pause {
                Some(pause) if error.is_early() => {
                    self.waits.pause("the application", pause).await;
                }
                Some(_) if error.may_have_acted() => self.remove_strays(&label, asked).await?,
                _ => return Err(self.sorted(error)),
            }
        }
    }

    /// Removes secrets of this label, which show within the time that servers take to learn.
    pub(super) async fn remove_strays(
        &self,
        label: &str,
        since: Timestamp,
    ) -> Result<(), RotationError> {
        let age = self.waits.now().duration_since(since);
        let left = Duration::from_secs(REPLICATION_S_MAX)
            .saturating_sub(Duration::try_from(age).unwrap_or_default());
        let mut window = Backoff::new(left);
        loop {
            let application = self.see().await?;
            let strays: Vec<&str> = application
                .password_credentials
                .iter()
                .filter(|found| found.display_name.as_deref() == Some(label))
                .map(|found| found.key_id.as_str())
                .collect();
            if !strays.is_empty() {
                let graph = self.graph().await?;
                for key_id in strays {
                    let removed = graph.remove_password(&self.key, key_id).await;
                    removed.map_err(|error| self.sorted(error))?;
                }
                return Ok(());
            }
            let Some(pause) = window.pause() else {
                return Ok(());
            };
            self.waits
                .pause("a secret whose answer was lost", pause)
                .await;
        }
    }

    /// Removes the old credential; `stays` must be registered all the while. Answers whether it is
    /// surely gone.
    pub(super) async fn remove_old(&self, old: &Old, stays: &Fresh) -> Result<bool, RotationError> {
        if old.key_id.is_some() && old.key_id == stays.key_id {
            return Ok(false);
        }
        match (old.kind, &old.key_id) {
            (Kind::Secret, Some(key_id)) => {
                let removed = self.graph().await?.remove_password(&self.key, key_id).await;
                removed.map_err(|error| self.sorted(error))?;
                Ok(true)
            }
            (Kind::Certificate, _) if self.access.is_administrator() => {
                let thumbprint = old.thumbprint.as_deref().unwrap_or_default();
                self.remove_certificate(thumbprint, stays.thumbprint.as_deref())
                    .await
            }
            // With a proof of the key that stays; a secret proves nothing there.
            (Kind::Certificate, Some(key_id)) if stays.kind == Kind::Certificate => {
                self.remove_by_proof(key_id).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Removes the new credential again. `since` is when it may have been registered, where that
    /// is not known for sure.
    pub(super) async fn take_back(
        &self,
        fresh: &Fresh,
        since: Option<Timestamp>,
    ) -> Result<(), RotationError> {
        match (fresh.kind, &fresh.key_id) {
            (Kind::Secret, Some(key_id)) => {
                let removed = self.graph().await?.remove_password(&self.key, key_id).await;
                removed.map_err(|error| self.sorted(error))
            }
            (Kind::Secret, None) => Ok(()),
            (Kind::Certificate, _) if self.access.is_administrator() => {
                let thumbprint = fresh.thumbprint.as_deref().unwrap_or_default();
                let mut window = match since {
                    Some(_) => window(),
                    None => Backoff::new(Duration::ZERO),
                };
                while !self.is_shown(thumbprint).await? {
                    let Some(pause) = window.pause() else {
                        return Ok(());
                    };
                    self.waits.pause("the new certificate", pause).await;
                }
                self.remove_certificate(thumbprint, None).await.map(drop)
            }
            (Kind::Certificate, Some(key_id)) => self.remove_by_proof(key_id).await,
            (Kind::Certificate, None) => {
                let prover = self.host.fresh(Kind::Certificate, &fresh.place);
                match prover {
                    // Its key is gone, so that nobody can use it.
                    Err(_) => Ok(()),
                    Ok(prover) if prover.token().await.is_err() => Ok(()),
                    Ok(_) => Err(RotationError::UnknownKey),
                }
            }
        }
    }

    async fn is_shown(&self, thumbprint: &str) -> Result<bool, RotationError> {
        let shown = self.see().await?.certificates();
        Ok(shown.iter().any(|found| found.thumbprint == thumbprint))
    }

    /// Takes one entry out of the collection, which is replaced whole: a reading that does not
    /// show `stays` yet is too old to write back.
    async fn remove_certificate(
        &self,
        thumbprint: &str,
        stays: Option<&str>,
    ) -> Result<bool, RotationError> {
        let mut change = Change::new();
        loop {
            let application = self.see().await?;
            let shown = application.certificates();
            let is_shown = |wanted: &str| shown.iter().any(|found| found.thumbprint == wanted);
            if stays.is_some_and(|stays| !is_shown(stays)) {
                let Some(pause) = change.window.pause() else {
                    return Err(RotationError::NotShown);
                };
                self.waits.pause("the new certificate", pause).await;
                continue;
            }
            if !is_shown(thumbprint) {
                return Ok(true);
            }
            let left = application
                .key_credentials
                .into_iter()
                .zip(&shown)
                .filter(|(_, found)| found.thumbprint != thumbprint)
                .map(|(entry, _)| entry)
                .collect();
            self.change(&mut change, &sendable(left), "the removal")
                .await?;
        }
    }

    /// Removes a key with a proof. The key that signs may be new to the server that is asked.
    async fn remove_by_proof(&self, key_id: &str) -> Result<(), RotationError> {
        let mut window = window();
        loop {
            let (graph, proof) = (self.graph().await?, self.host.own_proof(self.waits.now())?);
            let error = match graph.remove_key(&self.key, key_id, &proof).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let Some(pause) = window.pause() else {
                return Err(self.sorted(error));
            };
            self.waits.pause("the removal", pause).await;
        }
    }

    /// Replaces the collection once, and waits at the turns after that until it shows.
    async fn change(
        &self,
        change: &mut Change,
        entries: &[Value],
        what: &str,
    ) -> Result<(), RotationError> {
        let mut refusal = None;
        if !change.is_accepted {
            let graph = self.graph().await?;
            match graph.set_key_credentials(&self.key, entries).await {
                Ok(()) => {
                    change.is_accepted = true;
                    return Ok(());
                }
                Err(error) if error.is_early() || error.may_have_acted() => refusal = Some(error),
                Err(error) => return Err(self.sorted(error)),
            }
        }
        match (change.window.pause(), refusal) {
            (Some(pause), _) => {
                self.waits.pause(what, pause).await;
                Ok(())
            }
            (None, Some(error)) => Err(self.sorted(error)),
            (None, None) => Err(RotationError::NotShown),
        }
    }

    /// A refusal of rights means something else for an application than for an administrator.
    fn sorted(&self, error: CallError) -> RotationError {
        let denied = matches!(error.trouble(), Some(Trouble::Forbidden));
        if denied && !self.access.is_administrator() {
            RotationError::NeedsAdministrator(error)
        } else {
            RotationError::Call(error)
        }
    }
}

/// A change of the collection of certificates under way.
struct Change {
    is_accepted: bool,
    window: Backoff,
}

impl Change {
    fn new() -> Self {
        Self {
            is_accepted: false,
            window: window(),
        }
    }
}

fn window() -> Backoff {
    Backoff::new(Duration::from_secs(REPLICATION_S_MAX))
}

/// Entries as they may go back: an old key is not shown, and an explicit null would remove it.
fn sendable(mut entries: Vec<Value>) -> Vec<Value> {
    for entry in &mut entries {
        if let Some(entry) = entry.as_object_mut()
            && entry.get("key").is_some_and(Value::is_null)
        {
            entry.remove("key");
        }
    }
    entries
}
