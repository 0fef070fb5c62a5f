//! The journal of a rotation: written before each step that acts and after it, so that a run that
//! dies anywhere finds what it had begun. Holds ids, thumbprints and places, never a secret.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::stage::{Begun, Finished, Fresh, Kind, Stage};
use crate::kept::LockedFile;
use crate::state::StateError;
use crate::store::Place;

/// The version of the form below; another one is refused.
const VERSION: u32 = 1;

/// Characters of a principal's name in a label.
const LABEL_NAME_MAX: usize = 40;

/// One rotation of one principal's credential, and after it what is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    version: u32,
    /// The principal's client id.
    pub client_id: String,
    /// Its name in the configuration.
    pub principal: String,
    /// Tells this rotation's credential from all others, in its label and its file name.
    pub marker: String,
    /// When it began.
    pub begun: Timestamp,
    /// What it leads to.
    pub kind: Kind,
    /// Days the new credential is valid.
    pub days: i64,
    /// Whether the old credential stays.
    pub keep_old: bool,
    /// What is replaced.
    pub old: Old,
    /// What the rotation before this one left in use.
    #[serde(default)]
    pub before: Option<Fresh>,
    /// Where it stands.
    pub stage: Stage,
    /// Whether the way back was chosen.
    #[serde(default)]
    pub is_going_back: bool,
}

/// The credential that is replaced, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Old {
    /// Which kind.
    pub kind: Kind,
    /// Where it is, when it is a file that only this configuration uses.
    pub place: Option<Place>,
    /// A certificate's thumbprint.
    pub thumbprint: Option<String>,
    /// Its id in Entra, once known.
    pub key_id: Option<String>,
    /// The end of its life, once known.
    pub end: Option<Timestamp>,
}

/// A credential that takes the place of another.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'a> {
    /// The client id of the application.
    pub client_id: &'a str,
    /// The old one.
    pub old: &'a Old,
    /// The new one.
    pub fresh: &'a Fresh,
}

/// Keeps a journal. What was saved is on disk when the call returns.
pub trait Ledger: Send + Sync {
    /// Reads it; none when no rotation was ever begun here.
    ///
    /// # Errors
    /// [`StateError`].
    fn load(&self) -> Result<Option<Journal>, StateError>;

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// [`StateError::NotWritten`]; then it is as it was.
    fn save(&self, journal: &Journal) -> Result<(), StateError>;

    /// Removes it; what is gone is no error.
    ///
    /// # Errors
    /// [`StateError::NotWritten`].
    fn remove(&self) -> Result<(), StateError>;

    /// How an operator finds it.
    fn path(&self) -> &Path;
}

/// A journal in a file, locked for one run at a time.
#[derive(Debug)]
pub struct JournalFile(LockedFile);

impl Journal {
    /// A rotation that begins.
    pub(crate) fn new(
        client_id: &str,
        principal: &str,
        kind: Kind,
        days: i64,
        old: Old,
        now: Timestamp,
    ) -> Self {
        let marker = Uuid::new_v4().simple().to_string();
        Self {
            version: VERSION,
            client_id: client_id.to_owned(),
            principal: principal.to_owned(),
            marker: marker[..8].to_owned(),
            begun: now,
            kind,
            days,
            keep_old: false,
            old,
            before: None,
            stage: Stage::Begun(Begun::default()),
            is_going_back: false,
        }
    }

    /// What the portal shows beside the new credential.
    pub fn label(&self) -> String {
        let name: String = self.principal.chars().take(LABEL_NAME_MAX).collect();
        format!(
            "sendas {name} {} {}",
            self.begun.strftime("%Y-%m-%d"),
            self.marker
        )
    }

    /// What the last rotation left in use, when it has finished.
    pub fn current(&self) -> Option<&Fresh> {
        match &self.stage {
            Stage::Finished(finished) => Some(&finished.0),
            _ => None,
        }
    }

    /// The journal as it was before this rotation; none when there was none.
    pub(crate) fn undone(self) -> Option<Self> {
        let before = self.before?;
        Some(Self {
            stage: Stage::Finished(Finished(before)),
            before: None,
            is_going_back: false,
            ..self
        })
    }

    /// Whether a rotation is under way.
    pub fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Finished(_))
    }

    /// The file name of the new credential, made from that of the old one.
    pub fn file_name(&self) -> String {
        let old = self
            .old
            .place
            .as_ref()
            .and_then(|old| old.path().file_stem());
        let stem = old
            .and_then(|stem| stem.to_str())
            .unwrap_or(&self.principal);
        let stem: String = without_marker(stem)
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "._".contains(c) {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let extension = match self.kind {
            Kind::Certificate => "pem",
            Kind::Secret => "secret",
        };
        format!("{stem}-{}.{extension}", self.marker)
    }
}

/// A file's stem without the eight hexadecimal digits that an earlier rotation or set-up put there.
fn without_marker(stem: &str) -> &str {
    match stem.rsplit_once('-') {
        Some((name, marker))
            if !name.is_empty()
                && marker.len() == 8
                && marker.bytes().all(|octet| octet.is_ascii_hexdigit()) =>
        {
            name
        }
        _ => stem,
    }
}

impl JournalFile {
    /// Opens the file, which need not exist, for one run; a file beside it (`.lock`) keeps others
    /// out until this value is dropped.
    ///
    /// # Errors
    /// [`StateError::Busy`] while another run holds it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        LockedFile::open(path.into()).map(Self)
    }
}

impl Ledger for JournalFile {
    fn load(&self) -> Result<Option<Journal>, StateError> {
        let Some(journal) = self.0.load::<Journal>()? else {
            return Ok(None);
        };
        self.0.check_version(journal.version, VERSION)?;
        Ok(Some(journal))
    }

    fn save(&self, journal: &Journal) -> Result<(), StateError> {
        self.0.save(journal)
    }

    fn remove(&self) -> Result<(), StateError> {
        self.0.remove()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(place: &str) -> Journal {
        let old = Old {
            kind: Kind::Certificate,
            place: Some(Place::File(place.into())),
            thumbprint: Some("AB".into()),
            key_id: None,
            end: None,
        };
        let now = "2026-11-23T08:00:00Z".parse().unwrap();
        let mut journal = Journal::new("id", "con/toso", Kind::Certificate, 365, old, now);
        journal.marker = "0123abcd".into();
        journal
    }

    #[test]
    fn names_do_not_grow_from_rotation_to_rotation() {
        for (old, name) in [
            ("/etc/sendas/contoso.pem", "contoso-0123abcd.pem"),
            ("/etc/sendas/contoso-deadbeef.pem", "contoso-0123abcd.pem"),
            ("/etc/sendas/a-b.pfx", "a-b-0123abcd.pem"),
            ("/etc/sendas/-deadbeef.pem", "-deadbeef-0123abcd.pem"),
            ("/etc/sendas/a b.pem", "a-b-0123abcd.pem"),
        ] {
            assert_eq!(journal(old).file_name(), name, "{old}");
        }
        let mut without = journal("x");
        without.old.place = None;
        without.kind = Kind::Secret;
        assert_eq!(without.file_name(), "con-toso-0123abcd.secret");
        assert_eq!(without.label(), "sendas con/toso 2026-11-23 0123abcd");
    }

    #[test]
    fn a_journal_comes_back_as_it_was_and_only_its_own_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.json");
        let file = JournalFile::open(&path).unwrap();
        assert_eq!(file.load().unwrap(), None);
        file.save(&journal("a")).unwrap();
        assert_eq!(file.load().unwrap(), Some(journal("a")));
        assert!(matches!(
            JournalFile::open(&path),
            Err(StateError::Busy { .. })
        ));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        assert!(matches!(file.load(), Err(StateError::NotState { .. })));
    }
}
