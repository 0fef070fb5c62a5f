//! The state of a set-up: what was made here, so that a run can be taken up again and undone.
//!
//! A record is written **before** the request that makes its thing, and completed after the answer;
//! a run that dies in between finds a record that has begun and looks for the thing. The file holds
//! ids, names and places, never a secret.

mod thing;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::thing::Thing;
use crate::kept::LockedFile;
pub use crate::kept::StateError;

use crate::store::Place;
use crate::wish::{CredentialWish, Method};

/// The version of the form below; another one is refused.
const VERSION: u32 = 1;

/// What a set-up made in one tenant, and what it uses there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// The tenant id.
    pub tenant_id: String,
    /// How the application is authorized.
    pub method: Method,
    /// The mailboxes it may send as.
    pub mailboxes: Vec<String>,
    /// Tells our secrets from others in the same application.
    pub marker: String,
    /// The application, once known.
    pub application: Option<Known>,
    /// The moment of the last change of rights.
    pub changed: Option<Timestamp>,
    /// What was made, in order.
    pub records: Vec<Record>,
    /// What proves the application, as the last run was asked; see [`State::credential`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<CredentialWish>,
    /// The name that everything made begins with, as the last run was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tenant's verified domains, lower case: other spellings of the tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Where this machine finds the tokens of a foreign issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The configuration files that name the principal because of this set-up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configured: Vec<Configured>,
}

/// A configuration file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// The file.
    pub path: PathBuf,
    /// The name of the principal in it.
    pub name: String,
    /// Whether the principal was added; else it was there and was changed.
    pub added: bool,
}

/// The ids of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Object id of the registration.
    pub object_id: String,
    /// Client id.
    pub client_id: String,
    /// Object id of the enterprise application.
    pub principal_id: Option<String>,
}

/// One thing that was made, or was about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What.
    #[serde(flatten)]
    pub thing: Thing,
    /// When its making began.
    pub begun: Timestamp,
    /// Whether it was surely made.
    pub done: bool,
}

/// Where a state is kept, locked for one run at a time.
#[derive(Debug)]
pub struct StateFile(LockedFile);

impl State {
    /// A state of nothing made yet.
    pub fn new(tenant_id: &str, method: Method) -> Self {
        let marker = Uuid::new_v4().simple().to_string();
        Self {
            version: VERSION,
            tenant_id: tenant_id.to_owned(),
            method,
            mailboxes: Vec::new(),
            marker: marker[..8].to_owned(),
            application: None,
            changed: None,
            records: Vec::new(),
            asked: None,
            name: None,
            domains: Vec::new(),
            token_file: None,
            configured: Vec::new(),
        }
    }

    /// What proves the application: as the last run was asked, else what the records show.
    pub fn credential(&self) -> Option<CredentialWish> {
        self.asked.clone().or_else(|| {
            self.records
                .iter()
                .rev()
                .find_map(|record| match &record.thing {
                    Thing::Certificate { .. } => Some(CredentialWish::Certificate),
                    Thing::Secret { .. } => Some(CredentialWish::Secret),
                    _ => None,
                })
        })
    }

    /// When the making of the credential began, if it was made here.
    pub fn credential_begun(&self) -> Option<Timestamp> {
        let is = |thing: &Thing| match self.credential() {
            Some(CredentialWish::Certificate) => matches!(thing, Thing::Certificate { .. }),
            Some(CredentialWish::Secret) => matches!(thing, Thing::Secret { .. }),
            Some(CredentialWish::Federated(_)) => matches!(thing, Thing::Federated { .. }),
            Some(CredentialWish::Keep) | None => false,
        };
        let begun = self.records.iter().filter(|record| is(&record.thing));
        begun.map(|record| record.begun).max()
    }

    /// Whether this is the state of a tenant that is spelt so: its id or one of its domains.
    pub fn is_of(&self, tenant: &str) -> bool {
        self.tenant_id.eq_ignore_ascii_case(tenant)
            || self
                .domains
                .iter()
                .any(|domain| domain.eq_ignore_ascii_case(tenant))
    }

    /// Notes what a run is asked for, so that later ones need not be told again.
    pub(crate) fn remember(&mut self, wish: &crate::wish::Wish, domains: &[String]) {
        self.method = wish.method;
        self.mailboxes.clone_from(&wish.mailboxes);
        self.asked = Some(wish.credential.clone());
        self.name = Some(wish.names.application.clone());
        self.domains = domains.to_vec();
    }

    /// Notes a configuration file; one that is noted already was added then or not.
    pub fn note_configured(&mut self, written: Configured) {
        match self
            .configured
            .iter_mut()
            .find(|known| known.path == written.path)
        {
            Some(known) => known.name = written.name,
            None => self.configured.push(written),
        }
    }

    /// What the labels of our secrets begin with.
    pub fn label(&self) -> String {
        format!("sendas {}", self.marker)
    }

    /// The certificate whose key is in the store, if one was made.
    pub fn certificate(&self) -> Option<(&str, &Place)> {
        self.records
            .iter()
            .rev()
            .find_map(|record| match &record.thing {
                Thing::Certificate {
                    thumbprint, place, ..
                } => Some((thumbprint.as_str(), place)),
                _ => None,
            })
    }

    /// The id in Entra of the credential kept there, where it is known.
    pub fn key_id_at(&self, place: &Path) -> Option<&str> {
        self.records.iter().find_map(|record| match &record.thing {
            Thing::Certificate {
                key_id, place: own, ..
            }
            | Thing::Secret { key_id, place: own }
                if own.path() == place =>
            {
                key_id.as_deref()
            }
            _ => None,
        })
    }

    /// Notes that the credential kept at `old` was replaced by another one: undoing removes that
    /// one, and verifying tries it. Answers whether there was such a record.
    pub fn replace_credential(&mut self, old: &Path, thing: &Thing) -> bool {
        let mut is_changed = false;
        for record in &mut self.records {
            if let Thing::Certificate { place, .. } | Thing::Secret { place, .. } = &record.thing
                && place.path() == old
            {
                record.thing = thing.clone();
                is_changed = true;
            }
        }
        if is_changed && self.asked.is_some() {
            self.asked = match thing {
                Thing::Certificate { .. } => Some(CredentialWish::Certificate),
                Thing::Secret { .. } => Some(CredentialWish::Secret),
                _ => self.asked.take(),
            };
        }
        is_changed
    }

    /// Notes the ids of certificates that were seen.
    pub(crate) fn note_key_ids(&mut self, seen: &[crate::graph::KeyCredential]) -> bool {
        let mut is_changed = false;
        for record in &mut self.records {
            if let Thing::Certificate {
                thumbprint, key_id, ..
            } = &mut record.thing
                && let Some(found) = seen.iter().find(|seen| seen.thumbprint == *thumbprint)
                && key_id.as_deref() != Some(&found.key_id)
            {
                *key_id = Some(found.key_id.clone());
                is_changed = true;
            }
        }
        is_changed
    }

    /// The secret whose text is in the store, if one was made and kept.
    pub fn secret(&self) -> Option<(&str, &Place)> {
        self.records
            .iter()
            .rev()
            .find_map(|record| match &record.thing {
                Thing::Secret {
                    key_id: Some(key_id),
                    place,
                } if record.done => Some((key_id.as_str(), place)),
                _ => None,
            })
    }

    /// The id of the permission that was granted here, if one was.
    pub(crate) fn granted_role(&self) -> Option<&str> {
        self.records.iter().find_map(|record| match &record.thing {
            Thing::Permission { role, .. } => Some(role.as_str()),
            _ => None,
        })
    }

    /// Whether the application was made here.
    pub fn made_application(&self) -> bool {
        self.find(|thing| matches!(thing, Thing::Application { .. }))
            .is_some()
    }

    /// The first record of such a thing.
    pub(crate) fn find(&self, is: impl Fn(&Thing) -> bool) -> Option<&Record> {
        self.records.iter().find(|record| is(&record.thing))
    }

    /// Notes that a thing is about to be made. A record of the same thing stays as it is: what it
    /// says of the time before is older and right.
    pub(crate) fn begin(&mut self, thing: Thing, now: Timestamp) {
        if !self.records.iter().any(|record| record.thing == thing) {
            self.records.push(Record {
                thing,
                begun: now,
                done: false,
            });
        }
    }

    /// Notes that the thing was made; `thing` replaces what was known of it.
    pub(crate) fn complete(&mut self, begun: &Thing, thing: Thing) {
        for record in &mut self.records {
            if record.thing == *begun {
                record.thing = thing;
                record.done = true;
                return;
            }
        }
    }

    pub(crate) fn forget(&mut self, thing: &Thing) {
        self.records.retain(|record| record.thing != *thing);
    }
}

impl StateFile {
    /// Opens the file, which need not exist, for one run; a file beside it (`.lock`) keeps others
    /// out until this value is dropped.
    ///
    /// # Errors
    /// [`StateError::Busy`] while another run holds it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        LockedFile::open(path.into()).map(Self)
    }

    /// The file for reading only: it keeps nobody out, and leaves nothing behind.
    pub fn reading(path: impl Into<PathBuf>) -> Self {
        Self(LockedFile::reading(path.into()))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Reads the state; none when there is no file.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn load(&self) -> Result<Option<State>, StateError> {
        let Some(state) = self.0.load::<State>()? else {
            return Ok(None);
        };
        self.0.check_version(state.version, VERSION)?;
        Ok(Some(state))
    }

    /// Writes the state whole: on disk when the call returns.
    ///
    /// # Errors
    /// [`StateError::NotWritten`].
    ///
    /// # Panics
    /// Never: a state is plain data.
    pub fn save(&self, state: &State) -> Result<(), StateError> {
        self.0.save(state)
    }

    /// Removes the file: nothing is left of the set-up.
    ///
    /// # Errors
    /// [`StateError::NotWritten`].
    pub fn remove(&self) -> Result<(), StateError> {
        self.0.remove()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_state_is_found_by_any_name_of_its_tenant_and_by_what_was_asked() {
        let mut state = State::new("1111-Aa", Method::Rbac);
        state.domains = vec!["contoso.onmicrosoft.com".into(), "contoso.com".into()];
        for (tenant, expected) in [
            ("1111-aA", true),
            ("Contoso.com", true),
            ("contoso.onmicrosoft.com", true),
            ("fabrikam.com", false),
        ] {
            assert_eq!(state.is_of(tenant), expected, "{tenant}");
        }
        // A file of an earlier version says nothing of the credential but in its records.
        assert_eq!(state.credential(), None);
        state.begin(
            Thing::Secret {
                key_id: None,
                place: Place::File("x".into()),
            },
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(state.credential(), Some(CredentialWish::Secret));
        assert_eq!(state.credential_begun(), Some(Timestamp::UNIX_EPOCH));
        let old = serde_json::json!({ "version": 1, "tenant_id": "t", "method": "rbac",
            "mailboxes": [], "marker": "m", "application": null, "changed": null, "records": [] });
        let old: State = serde_json::from_value(old).unwrap();
        assert_eq!((old.name, old.domains.len()), (None, 0));
    }

    #[test]
    fn a_lock_without_a_state_goes_and_the_folder_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/state.json");
        let locks = || fs::read_dir(path.parent().unwrap()).unwrap().count();
        let file = StateFile::open(&path).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            for above in [path.parent().unwrap(), &folder.path().join("deep")] {
                let mode = fs::metadata(above).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o700);
            }
        }
        drop(file);
        assert_eq!(locks(), 0);
        let file = StateFile::open(&path).unwrap();
        file.save(&State::new("t", Method::Rbac)).unwrap();
        drop(file);
        assert_eq!(locks(), 2);
        // After the state went, its lock goes too.
        let file = StateFile::open(&path).unwrap();
        file.remove().unwrap();
        drop(file);
        assert_eq!(locks(), 0);
        // Reading makes nothing.
        assert_eq!(StateFile::reading(&path).load().unwrap(), None);
        assert_eq!(locks(), 0);
    }

    #[test]
    fn a_state_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::open(folder.path().join("a/state.json")).unwrap();
        assert_eq!(file.load().unwrap(), None);
        let mut state = State::new("t", Method::Classic);
        let thing = Thing::Submission {
            mailbox: "a@b.c".into(),
            before: None,
        };
        state.begin(thing.clone(), Timestamp::UNIX_EPOCH);
        state.begin(thing.clone(), Timestamp::MAX);
        assert_eq!(state.records.len(), 1);
        file.save(&state).unwrap();
        assert_eq!(file.load().unwrap(), Some(state.clone()));
        state.complete(&thing, thing.clone());
        assert!(state.records[0].done);
        file.remove().unwrap();
        file.remove().unwrap();
    }

    #[test]
    fn one_run_at_a_time_and_only_its_own_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let file = StateFile::open(&path).unwrap();
        assert!(matches!(
            StateFile::open(&path),
            Err(StateError::Busy { .. })
        ));
        for text in ["", "{}", r#"{"version":2}"#] {
            fs::write(&path, text).unwrap();
            assert!(
                matches!(file.load(), Err(StateError::NotState { .. })),
                "{text}"
            );
        }
        drop(file);
        StateFile::open(&path).unwrap();
    }
}
