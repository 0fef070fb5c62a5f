//! Writes the principal of a set-up into a configuration file, and leaves the rest as it is.

use std::path::{Path, PathBuf};

use sendas_tenant::state::Configured;
use sendas_tenant::{CredentialWish, Place, State, Wish};
use serde_json::{Value as Json, json};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use super::desk::Desk;
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
pub(super) fn credential(desk: &Desk<'_>, state: &State) -> Option<Kept> {
    let (kind, place) = match desk.credential().ok()? {
        CredentialWish::Certificate => (
            "certificate and key",
            state.certificate().map(|(_, place)| place.clone()),
        ),
        CredentialWish::Secret => (
            "client secret",
            state.secret().map(|(_, place)| place.clone()),
        ),
        CredentialWish::Federated(_) => (
            "federated",
            desk.token_file().map(|path| Place::File(path.to_owned())),
        ),
        CredentialWish::Keep => return None,
    };
    Some(Kept { kind, place })
}

/// Sees, before anything is done in the tenant, that the principal can be written there.
///
/// # Errors
/// When it cannot; nothing was done then.
pub(super) fn check(path: &Path, desk: &Desk<'_>, wish: &Wish) -> Result<(), Box<Failure>> {
    let what = format!(
        "nothing was changed in the tenant: the principal cannot be written into {}",
        path.display()
    );
    let document = read(path, &what)?;
    if path.exists()
        && let Some(wrong) = complaint(path)
    {
        return Err(Box::new(
            Failure::configuration(what)
                .id("T-CONFIGURATION")
                .cause(wrong, Some("mend it first: sendas config check".into())),
        ));
    }
    let known = desk.known().and_then(|known| known.application.as_ref());
    let client_id = wish
        .client_id
        .as_ref()
        .map(|id| id.as_str().to_owned())
        .or_else(|| known.map(|known| known.client_id.clone()));
    match &wish.credential {
        CredentialWish::Keep => {
            let list = document.get("principal").and_then(Item::as_array_of_tables);
            let has = list.into_iter().flatten().any(|table| {
                is_of(table, client_id.as_deref()) && table.contains_key("credential")
            });
            if has {
                return Ok(());
            }
            Err(Box::new(
                Failure::usage(what)
                    .id("T-CREDENTIAL-UNKNOWN")
                    .cause(
                        "with --credential keep nobody here knows the credential, and the file names none for this client id",
                        Some("leave --write-config out, or write the principal with its credential into the file first".into()),
                    ),
            ))
        }
        CredentialWish::Federated(_) if desk.token_file().is_none() => Err(Box::new(
            Failure::usage(what).id("T-CREDENTIAL-UNKNOWN").cause(
                "where this machine finds the tokens of the issuer is not known",
                Some("add --federated-token-file".into()),
            ),
        )),
        _ => Ok(()),
    }
}

/// Adds the principal, or replaces the one of the same application, or of the same name and tenant.
///
/// # Errors
/// When the file is no configuration, or would be none, or cannot be written; then it is as it was.
pub(super) fn write(
    path: &Path,
    desk: &Desk<'_>,
    wish: &Wish,
    state: &State,
) -> Result<Configured, Box<Failure>> {
    let what = format!(
        "the set-up is complete, but {} was not written",
        path.display()
    );
    let mut document = read(path, &what)?;
    let Some(mut principal) = principal(desk, wish, state) else {
        return Err(Box::new(
            Failure::configuration(what)
                .id("T-CREDENTIAL-UNKNOWN")
                .cause(
                    "where the credential is, is not known here",
                    Some("name it in the file by hand".into()),
                ),
        ));
    };
    let item = document
        .entry("principal")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let list = item
        .as_array_of_tables_mut()
        .expect("reading refuses any other form");
    let client_id = text(&principal, "client_id").map(str::to_owned);
    let name = wish.names.application.as_str();
    let found = list
        .iter()
        .position(|table| is_of(table, client_id.as_deref()))
        .or_else(|| {
            list.iter().position(|table| {
                text(table, "name") == Some(name)
                    && text(table, "tenant").is_some_and(|tenant| state.is_of(tenant))
            })
        });
    let added = found.is_none();
    let name = if let Some(table) = found.and_then(|at| list.get_mut(at)) {
        for (key, item) in &principal {
            // The name that others refer to stays.
            if key != "name" {
                table.insert(key, item.clone());
            }
        }
        if !principal.contains_key("cloud") {
            table.remove("cloud");
        }
        text(table, "name").unwrap_or(name).to_owned()
    } else {
        let name = free_name(list, name);
        principal.insert("name", value(name.clone()));
        list.push(principal);
        name
    };
    save(path, &document, what)?;
    Ok(Configured {
        path: absolute(path),
        name,
        added,
    })
}

/// What became of a configuration file when a set-up was undone.
pub(super) struct Left {
    path: PathBuf,
    name: String,
    fate: Fate,
}

enum Fate {
    /// The principal is out of it.
    Removed,
    /// It was there before the set-up, and stays.
    Stays,
    /// It could not be taken out.
    Stuck(String),
}

impl Left {
    pub(super) fn json(&self) -> Json {
        let (fate, why) = match &self.fate {
            Fate::Removed => ("removed", None),
            Fate::Stays => ("stays", None),
            Fate::Stuck(why) => ("stuck", Some(why)),
        };
        json!({ "path": self.path, "principal": self.name, "fate": fate, "why": why })
    }

    /// As an operator would say it.
    pub(super) fn words(&self) -> String {
        let place = format!("the principal {:?} in {}", self.name, self.path.display());
        match &self.fate {
            Fate::Removed => format!("Removed {place}."),
            Fate::Stays => {
                format!(
                    "! {place} was there before the set-up and stays: its credential may be gone"
                )
            }
            Fate::Stuck(why) => format!("! {place} was not removed: {why}; remove it by hand"),
        }
    }
}

/// Takes the principal of a set-up that was undone out of the files it was written into.
pub(super) fn take_back(state: &State) -> Vec<Left> {
    let known = state.application.as_ref();
    let files = state.configured.iter();
    files
        .filter_map(|file| {
            let client_id = known.map(|known| known.client_id.as_str());
            let fate = remove(file, client_id).transpose()?;
            Some(Left {
                path: file.path.clone(),
                name: file.name.clone(),
                fate: fate.unwrap_or_else(|failure| {
                    Fate::Stuck(
                        failure
                            .causes
                            .first()
                            .map_or(failure.what.clone(), |first| first.cause.clone()),
                    )
                }),
            })
        })
        .collect()
}

/// None when the file no longer names the principal.
fn remove(file: &Configured, client_id: Option<&str>) -> Result<Option<Fate>, Box<Failure>> {
    let what = format!("{} was not changed", file.path.display());
    let mut document = read(&file.path, &what)?;
    let Some(list) = document
        .get_mut("principal")
        .and_then(Item::as_array_of_tables_mut)
    else {
        return Ok(None);
    };
    let Some(at) = list.iter().position(|table| is_of(table, client_id)) else {
        return Ok(None);
    };
    if !file.added {
        return Ok(Some(Fate::Stays));
    }
    list.remove(at);
    if list.is_empty() {
        document.remove("principal");
    }
    save(&file.path, &document, what)?;
    Ok(Some(Fate::Removed))
}

/// Reads a configuration file whose principals can be changed; a missing one is empty.
fn read(path: &Path, what: &str) -> Result<DocumentMut, Box<Failure>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Box::new(Failure::machine(what, &error))),
    };
    let wrong = |cause: String, fix: Option<String>| {
        Box::new(
            Failure::configuration(what)
                .id("T-CONFIGURATION")
                .cause(cause, fix),
        )
    };
    let document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| wrong(error.to_string(), None))?;
    match document.get("principal") {
        Some(item) if !item.is_array_of_tables() => Err(wrong(
            "`principal` is there in another form".to_owned(),
            Some("write it as [[principal]]".to_owned()),
        )),
        _ => Ok(document),
    }
}

/// Writes the file when it is a configuration that loads.
fn save(path: &Path, document: &DocumentMut, what: String) -> Result<(), Box<Failure>> {
    let machine = |what: String, error: &std::io::Error| Box::new(Failure::machine(what, error));
    let text = document.to_string();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let trial = std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::NamedTempFile::new_in(folder))
        .and_then(|mut trial| {
            std::io::Write::write_all(&mut trial, text.as_bytes())?;
            Ok(trial)
        })
        .map_err(|error| machine(what.clone(), &error))?;
    if let Some(wrong) = complaint(trial.path()) {
        return Err(Box::new(
            Failure::configuration(what).id("T-CONFIGURATION").cause(
                format!("it would not be a configuration any more: {wrong}"),
                Some("change it by hand".into()),
            ),
        ));
    }
    crate::whole_file::write(path, text.as_bytes()).map_err(|error| machine(what, &error))
}

/// The first thing that is wrong with a configuration file, by itself.
fn complaint(path: &Path) -> Option<String> {
    let search = sendas_config::Search {
        option: Some(path.to_owned()),
        ..sendas_config::Search::default()
    };
    let complaints = sendas_config::load(&search).err()?;
    let first = complaints.errors().into_iter().next()?;
    let line = first.line.map(|line| format!("line {line}: "));
    Some(format!("{}{}", line.unwrap_or_default(), first.title))
}

fn text<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Item::as_str)
}

fn is_of(table: &Table, client_id: Option<&str>) -> bool {
    let own = text(table, "client_id");
    own.zip(client_id)
        .is_some_and(|(own, wanted)| own.eq_ignore_ascii_case(wanted))
}

/// The name, or the first with a number behind it that no principal has.
fn free_name(list: &ArrayOfTables, name: &str) -> String {
    let is_taken = |name: &str| list.iter().any(|table| text(table, "name") == Some(name));
    if !is_taken(name) {
        return name.to_owned();
    }
    (2..list.len() + 3)
        .map(|number| format!("{name}-{number}"))
        .find(|name| !is_taken(name))
        .expect("there are more numbers than names")
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
            let file = desk.token_file()?;
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
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
