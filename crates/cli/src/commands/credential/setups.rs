//! The state files of set-ups, which record credentials too.

use std::path::{Path, PathBuf};

use sendas_entra::Certificate;
use sendas_tenant::rotation::stage::Kind;
use sendas_tenant::rotation::{HostError, Replacement};
use sendas_tenant::state::Thing;
use sendas_tenant::{State, StateFile};

use crate::machine::Machine;
use crate::report::chain;

/// The state files that may know an application: the one that was named, and those of set-ups in
/// their usual folder.
#[derive(Debug, Clone)]
pub(super) struct Setups(Vec<PathBuf>);

impl Setups {
    pub(super) fn find(named: Option<&Path>, machine: &Machine) -> Self {
        let mut paths: Vec<PathBuf> = named.map(Path::to_owned).into_iter().collect();
        if let Ok(entries) = std::fs::read_dir(machine.state_folder()) {
            let mut usual: Vec<PathBuf> = entries
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .filter(|path| {
                    let name = path.file_name().and_then(|name| name.to_str());
                    name.is_some_and(|name| name.starts_with("setup-"))
                        && path.extension().is_some_and(|kind| kind == "json")
                })
                .collect();
            usual.sort();
            paths.extend(usual);
        }
        Self(paths)
    }

    /// The id in Entra of the credential kept there, where a set-up recorded it.
    pub(super) fn key_id(&self, client_id: &str, place: &Path) -> Option<String> {
        self.0.iter().find_map(|path| {
            let text = std::fs::read(path).ok()?;
            let state: State = serde_json::from_slice(&text).ok()?;
            is_of(&state, client_id).then_some(())?;
            state.key_id_at(place).map(str::to_owned)
        })
    }

    /// Puts the new credential into the place of the old one, wherever that is recorded.
    pub(super) fn record(&self, change: &Replacement<'_>) -> Result<(), HostError> {
        let Some(old) = &change.old.place else {
            return Ok(());
        };
        let wrong = |error: &dyn std::error::Error| HostError::new(chain(error));
        for path in self.0.iter().filter(|path| path.exists()) {
            let file = StateFile::open(path).map_err(|error| wrong(&error))?;
            // What is no state of a set-up is none of ours.
            let Ok(Some(mut state)) = file.load() else {
                continue;
            };
            if is_of(&state, change.client_id)
                && state.replace_credential(old.path(), &thing(change)?)
            {
                file.save(&state).map_err(|error| wrong(&error))?;
            }
        }
        Ok(())
    }
}

fn is_of(state: &State, client_id: &str) -> bool {
    let known = state.application.as_ref();
    known.is_some_and(|known| known.client_id.eq_ignore_ascii_case(client_id))
}

fn thing(change: &Replacement<'_>) -> Result<Thing, HostError> {
    let (key_id, place) = (change.fresh.key_id.clone(), change.fresh.place.clone());
    Ok(match change.fresh.kind {
        Kind::Secret => Thing::Secret { key_id, place },
        Kind::Certificate => {
            let certificate = Certificate::from_file(place.path())
                .map_err(|error| HostError::new(chain(&error)))?;
            Thing::certificate(&certificate, place, key_id)
        }
    })
}
