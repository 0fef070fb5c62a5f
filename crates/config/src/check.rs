//! Compares what was written with the table: unknown keys, wrong kinds, missing settings.

use crate::complaint::Complaint;
use crate::kind::Kind;
use crate::reference::{self, Presence};
use crate::suggest;
use crate::tree::{Entry, Node, Place, Table, Value, join};

/// Names under which people write a secret itself.
const SECRET_NAMES: &[&str] = &[
    "secret",
    "client_secret",
    "password",
    "passwd",
    "token",
    "access_token",
    "private_key",
];

/// Checks the whole tree; every complaint is an error.
pub(crate) fn check(tree: &Table, errors: &mut Vec<Complaint>) {
    entries("", tree, errors);
}

fn entries(path: &str, table: &Table, errors: &mut Vec<Complaint>) {
    for entry in &table.entries {
        let below = join(path, &entry.key);
        let key =
            reference::key(&below).is_some() || reference::key(&format!("{below}[]")).is_some();
        if key || !reference::children(&below).is_empty() || list_of_sections(&below) {
            node(&below, &entry.node, &entry.key_place, errors);
        } else {
            errors.push(unknown(path, entry));
        }
    }
}

fn node(path: &str, node: &Node, key_place: &Place, errors: &mut Vec<Complaint>) {
    let key = reference::key(path);
    match (&node.value, key) {
        (Value::Table(table), _) if !reference::children(path).is_empty() => {
            section(path, table, key_place, errors);
        }
        (Value::List(nodes), Some(key)) => match key.kind {
            Kind::List(inner) => {
                for element in nodes {
                    list_element(path, element, *inner, errors);
                }
            }
            kind => errors.push(wrong_shape(path, node, &kind.to_string())),
        },
        (Value::List(nodes), None) if list_of_sections(path) => {
            for element in nodes {
                match &element.value {
                    Value::Table(table) => {
                        section(&format!("{path}[]"), table, &element.place, errors);
                    }
                    _ => errors.push(wrong_shape(&format!("{path}[]"), element, "a table")),
                }
            }
        }
        (_, Some(key)) => match key.kind {
            Kind::List(_) => errors.push(
                wrong_shape(path, node, "a list").help("put the value into brackets: `[\"…\"]`"),
            ),
            kind => value(path, kind, node, errors),
        },
        (Value::Text(_), None) if is_secret(path) => errors.push(literal_secret(path, &node.place)),
        (_, None) if list_of_sections(path) => errors
            .push(wrong_shape(path, node, "a list of tables").help(format!("write `[[{path}]]`"))),
        (_, None) => errors.push(
            wrong_shape(path, node, "a table")
                .help(format!("it holds {}", listed(&reference::children(path)))),
        ),
    }
}

fn list_element(path: &str, element: &Node, inner: Kind, errors: &mut Vec<Complaint>) {
    let below = format!("{path}[]");
    match &element.value {
        Value::Table(table) if !reference::children(&below).is_empty() => {
            section(&below, table, &element.place, errors);
        }
        _ => value(&below, inner, element, errors),
    }
}

/// Checks the members of a section that is there.
fn section(path: &str, table: &Table, place: &Place, errors: &mut Vec<Complaint>) {
    let before = errors.len();
    entries(path, table, errors);
    let alternatives = reference::section(path).map_or(&[][..], |section| section.alternatives);
    if !alternatives.is_empty() {
        let chosen: Vec<&Entry> = table
            .entries
            .iter()
            .filter(|entry| alternatives.contains(&entry.key.as_str()))
            .collect();
        match chosen.as_slice() {
            [_] => {}
            [] if errors.len() > before => {}
            [] => errors.push(Complaint::at(
                place,
                format!("`{}` is empty", shown(path)),
                format!("name one of {}", listed(alternatives)),
            )),
            [_, second, ..] => errors.push(Complaint::at(
                &second.key_place,
                format!("`{}` names more than one", shown(path)),
                format!("exactly one of {} is allowed", listed(alternatives)),
            )),
        }
    }
    for key in reference::KEYS {
        let Some((parent, name)) = key.path.rsplit_once('.') else {
            continue;
        };
        let missing =
            parent == path && key.presence == Presence::Required && table.get(name).is_none();
        // A mistyped name has been complained about already; saying it twice helps nobody.
        let mistyped = errors[before..].iter().any(|complaint| {
            complaint
                .help
                .iter()
                .any(|help| help.contains(&format!("`{name}`")))
        });
        if missing && !mistyped {
            errors.push(
                Complaint::at(
                    place,
                    format!("`{}` is missing", shown(key.path)),
                    "not complete",
                )
                .help(format!("add `{name} = {}`", key.example)),
            );
        }
    }
}

fn value(path: &str, kind: Kind, node: &Node, errors: &mut Vec<Complaint>) {
    if let Err(wrong) = kind.check(node) {
        let title = format!("`{}` is not valid", shown(path));
        let complaint = Complaint::at(&node.place, title, wrong.label);
        errors.push(match wrong.help {
            Some(help) => complaint.help(help),
            None => complaint,
        });
    }
}

fn unknown(path: &str, entry: &Entry) -> Complaint {
    if is_secret(&entry.key) && matches!(entry.node.value, Value::Text(_)) {
        return literal_secret(&entry.key, &entry.node.place);
    }
    let known = reference::children(path);
    let place = if path.is_empty() {
        "at the top".to_owned()
    } else {
        format!("in `{}`", shown(path))
    };
    let title = format!("unknown key `{}` {place}", entry.key);
    let complaint = Complaint::at(&entry.key_place, title, "not a setting");
    match suggest::nearest(&entry.key, known.iter().copied()) {
        Some(near) => complaint.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => complaint,
        None => complaint.help(format!("known here: {}", listed(&known))),
    }
}

fn is_secret(path: &str) -> bool {
    let name = path
        .rsplit('.')
        .next()
        .unwrap_or(path)
        .replace('-', "_")
        .to_ascii_lowercase();
    SECRET_NAMES.contains(&name.as_str())
}

fn literal_secret(path: &str, place: &Place) -> Complaint {
    let name = path.rsplit('.').next().unwrap_or(path);
    let table = if name == "password" {
        "password"
    } else {
        "secret"
    };
    Complaint::at(
        place,
        format!("`{name}` holds a secret itself"),
        "a secret is not written into the configuration file",
    )
    .help(
        "the file is copied, shown and kept under version control; say where the secret is kept: \
         a file of its own with mode 0600, a systemd credential, or an environment variable",
    )
    .help(format!(
        "`{table} = {{ file = \"/etc/sendas/contoso.{table}\" }}`"
    ))
}

fn wrong_shape(path: &str, node: &Node, expected: &str) -> Complaint {
    Complaint::at(
        &node.place,
        format!("`{}` is not valid", shown(path)),
        format!("expected {expected}, found {}", node.value.name()),
    )
}

fn list_of_sections(path: &str) -> bool {
    reference::section(&format!("{path}[]")).is_some() && reference::key(path).is_none()
}

/// A path as a reader writes it.
fn shown(path: &str) -> String {
    path.replace("[]", "")
}

fn listed(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
