//! When the set-up of the examined application last changed something.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sendas_tenant::State;
use sendas_tenant::doctor::Subject;

use super::read;
use crate::machine::Machine;
use crate::report::Failure;

/// The time of the last change: as the named state says, or that of the set-up of this application
/// in the usual folder.
///
/// # Errors
/// A named file that cannot be read, is no state, or that of another application or tenant: its
/// time would excuse a refusal that has nothing to do with it.
pub(super) fn last_change(
    named: Option<&Path>,
    subject: &Subject,
    machine: &Machine,
) -> Result<Option<Timestamp>, Box<Failure>> {
    let Some(path) = named else {
        let states = usual(&machine.state_folder());
        return Ok(states
            .iter()
            .filter_map(|path| load(path).ok())
            .filter(|state| {
                is_of_application(state, subject) && difference(state, subject).is_none()
            })
            .filter_map(|state| state.changed)
            .max());
    };
    let wrong = |words: String| {
        Box::new(Failure::usage(format!(
            "nothing was looked at: {}: {words}",
            path.display()
        )))
    };
    let state = load(path).map_err(wrong)?;
    match difference(&state, subject) {
        None => Ok(state.changed),
        Some(words) => Err(wrong(words)),
    }
}

fn usual(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("setup-"))
                && path.extension().is_some_and(|kind| kind == "json")
        })
        .collect()
}

fn load(path: &Path) -> Result<State, String> {
    let octets = read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&octets).map_err(|error| format!("it is no state of a set-up: {error}"))
}

fn is_of_application(state: &State, subject: &Subject) -> bool {
    match (&state.application, &subject.client_id) {
        (Some(known), Some(mine)) => known.client_id.eq_ignore_ascii_case(mine.as_str()),
        _ => false,
    }
}

/// What shows that a state is about somebody else.
fn difference(state: &State, subject: &Subject) -> Option<String> {
    let tenant = subject.tenant.as_ref().filter(|tenant| tenant.is_id());
    if let Some(tenant) = tenant
        && !tenant.as_str().eq_ignore_ascii_case(&state.tenant_id)
    {
        return Some(format!(
            "it is the state of a set-up in the tenant {}, and `{}` belongs to {tenant}",
            state.tenant_id, subject.name
        ));
    }
    match (&state.application, &subject.client_id) {
        (Some(known), Some(mine)) if !is_of_application(state, subject) => Some(format!(
            "it is the state of the application {}, and `{}` is {}",
            known.client_id,
            subject.name,
            mine.as_str()
        )),
        _ => None,
    }
}
