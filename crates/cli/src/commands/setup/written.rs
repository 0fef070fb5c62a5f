//! Writes the principal of a set-up into a configuration file, and leaves the rest as it is.

use std::path::Path;

use sendas_tenant::{CredentialWish, Place, State, Wish};
use serde_json::{Value as Json, json};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use super::desk::Desk;
use super::options::Options;
use crate::report::Failure;

/// Where the credential of a set-up is.
pub(super) struct Kept {
    kind: &'static str,
    place: Option<Place>,
}

impl Kept {
    pub(super) fn json(&self) -> Json {
        json!({
            "kind": self.kind,
            "place": self.place.as_ref().map(Place::path),
        })
    }

    /// As an operator would say it.
    pub(super) fn words(&self) -> String {
        match &self.place {
            Some(place) => format!("{} in {place}", self.kind),
            None => self.kind.to_owned(),
        }
    }
}

/// The credential a set-up made or trusts; none when the application keeps its own.
pub(super) fn credential(options: &Options, state: &State) -> Option<Kept> {
    use super::options::CredentialChoice::{Certificate, Federated, Keep, Secret};

    let (kind, place) = match options.credential {
        Certificate => (
            "certificate and key",
            state.certificate().map(|(_, place)| place.clone()),
        ),
        Secret => (
            "client secret",
            state.secret().map(|(_, place)| place.clone()),
        ),
        Federated => (
            "federated",
            options.federated_token_file.clone().map(Place::File),
        ),
        Keep => return None,
    };
    Some(Kept { kind, place })
}

/// Adds the principal, or replaces the one with its client id. Answers the file.
///
/// # Errors
/// When the file is no TOML, or cannot be written; then it is as it was.
pub(super) fn write(
    path: &Path,
    desk: &Desk<'_>,
    wish: &Wish,
    state: &State,
) -> Result<String, Box<Failure>> {
    let what = format!(
        "the set-up is complete, but {} was not written",
        path.display()
    );
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Box::new(Failure::machine(what, &error))),
    };
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        Box::new(Failure::configuration(what.clone()).cause(error.to_string(), None))
    })?;
    let Some(principal) = principal(desk, wish, state) else {
        return Err(Box::new(Failure::configuration(what).cause(
            "where the credential is, is not known here",
            Some("name it in the file by hand".into()),
        )));
    };
    let item = document
        .entry("principal")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let Some(list) = item.as_array_of_tables_mut() else {
        return Err(Box::new(Failure::configuration(what).cause(
            "`principal` is there in another form",
            Some("write it as [[principal]]".into()),
        )));
    };
    let own = |table: &Table| {
        let id = |table: &Table| Some(table.get("client_id")?.as_str()?.to_ascii_lowercase());
        id(table).is_some() && id(table) == id(&principal)
    };
    let found = list.iter().position(own);
    match found.and_then(|at| list.get_mut(at)) {
        Some(table) => {
            for (key, item) in &principal {
                // The name that others refer to stays.
                if key != "name" {
                    table.insert(key, item.clone());
                }
            }
        }
        None => list.push(principal),
    }
    crate::whole_file::write(path, document.to_string().as_bytes())
        .map_err(|error| Box::new(Failure::machine(what, &error)))?;
    Ok(path.display().to_string())
}

fn principal(desk: &Desk<'_>, wish: &Wish, state: &State) -> Option<Table> {
    let known = state.application.as_ref()?;
    let mut table = Table::new();
    table.insert("name", value(wish.names.application.clone()));
    table.insert("tenant", value(state.tenant_id.clone()));
    table.insert("client_id", value(known.client_id.clone()));
    table.insert("method", value(wish.method.name()));
    let mut mailboxes = Array::new();
    mailboxes.extend(wish.mailboxes.iter().cloned());
    table.insert("mailboxes", value(mailboxes));
    let mut credential = InlineTable::new();
    let path = |path: &Path| Value::from(absolute(path).display().to_string());
    let inner = |key: &str, place: &Place| {
        let mut inner = InlineTable::new();
        match place {
            Place::File(file) => inner.insert(key, path(file)),
            Place::Systemd { name, .. } => inner.insert("systemd", name.as_str().into()),
        };
        inner
    };
    match &wish.credential {
        CredentialWish::Certificate => {
            let (_, place) = state.certificate()?;
            credential = inner("certificate", place);
        }
        CredentialWish::Secret => {
            let (_, place) = state.secret()?;
            credential.insert("secret", inner("file", place).into());
        }
        CredentialWish::Federated(_) => {
            let file = desk.options.federated_token_file.as_deref()?;
            let place = Place::File(file.to_owned());
            credential.insert("federated", inner("file", &place).into());
        }
        CredentialWish::Keep => {}
    }
    if !credential.is_empty() {
        table.insert("credential", value(credential));
    }
    match &desk.options.cloud_file {
        Some(file) => {
            let mut cloud = InlineTable::new();
            cloud.insert("file", path(file));
            table.insert("cloud", value(cloud));
        }
        None if desk.options.cloud != "global" => {
            table.insert("cloud", value(desk.options.cloud.clone()));
        }
        None => {}
    }
    Some(table)
}

/// A path that means the same from any folder.
fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
