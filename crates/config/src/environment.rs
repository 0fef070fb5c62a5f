//! Settings from the environment.
//!
//! One rule names the variable of every setting: `SENDAS_`, then the path in capitals with
//! `_` between its parts and the number of the list element, from 0, where the path has a
//! list: `principal[0].client_id` is `SENDAS_PRINCIPAL_0_CLIENT_ID`. A list is written with
//! commas, or as TOML when it starts with `[`.
//!
//! The variables of the Azure SDKs make one principal when nothing else names one.

use crate::complaint::Complaint;
use crate::kind::Kind;
use crate::reference::{self, Key};
use crate::suggest;
use crate::tree::{self, Node, Place, Source, SourceName, Table, Value};

/// Variables that belong to the program and are no settings.
const OWN: &[&str] = &["SENDAS_CONFIG", "SENDAS_LOG"];

/// Prefixes that Kubernetes gives to the variables of a service named `sendas`.
const FOREIGN: &[&str] = &["SENDAS_SERVICE_", "SENDAS_PORT"];

/// Reads the `SENDAS_…` variables into the tree.
pub(crate) fn overlay(
    variables: &[(String, String)],
    tree: &mut Table,
    sources: &mut Vec<Source>,
    errors: &mut Vec<Complaint>,
    warnings: &mut Vec<Complaint>,
) {
    let mut named: Vec<&(String, String)> = variables
        .iter()
        .filter(|(name, _)| name.starts_with("SENDAS_") && !OWN.contains(&name.as_str()))
        .filter(|(name, _)| !FOREIGN.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    // Element 2 comes before element 10, so that a list is filled in order.
    named.sort_by_key(|(name, _)| (indexes(name), name.clone()));
    let mut layer = Table::default();
    for (name, value) in named {
        match find(name) {
            None => {
                // A name that resembles no setting belongs to somebody else.
                if let Some(near) = resembles(name) {
                    let place = hidden_source(sources, name);
                    let title = format!("unknown variable `{name}`");
                    warnings.push(
                        Complaint::at(&place, title, "has no effect")
                            .help(format!("did you mean `{near}`?")),
                    );
                }
            }
            Some((key, _)) if key.kind == Kind::Variable && !key.kind.takes(value) => {
                // Most likely the secret itself: the value is not shown.
                let place = hidden_source(sources, name);
                errors.push(
                    Complaint::at(
                        &place,
                        format!("`{name}` is not valid"),
                        "not a variable's name",
                    )
                    .help("set it to the name of the variable that holds the secret"),
                );
            }
            Some((key, indexes)) => {
                let source = push(sources, name, value);
                if let Err(complaint) = set(&mut layer, tree, key, &indexes, source, name, value) {
                    errors.push(complaint);
                }
            }
        }
    }
    apply(tree, "", layer);
}

/// What the Azure SDKs' variables say.
pub(crate) struct Azure {
    pub(crate) principal: Node,
    /// The authority's address, if one is named.
    pub(crate) authority: Option<Node>,
}

/// Makes a principal of the Azure SDKs' variables.
///
/// The secret goes before the certificate, the certificate before the federated token, as in
/// the SDKs. None when no principal is named by them.
pub(crate) fn azure(
    variables: &[(String, String)],
    sources: &mut Vec<Source>,
    errors: &mut Vec<Complaint>,
) -> Option<Azure> {
    let get = |wanted: &str| {
        variables
            .iter()
            .find(|(name, value)| name == wanted && !value.is_empty())
            .map(|(_, value)| value.as_str())
    };
    let tenant = get("AZURE_TENANT_ID");
    let client = get("AZURE_CLIENT_ID");
    let (Some(tenant), Some(client)) = (tenant, client) else {
        if let Some((name, missing)) = match (tenant, client) {
            (Some(_), None) => Some(("AZURE_TENANT_ID", "AZURE_CLIENT_ID")),
            (None, Some(_)) => Some(("AZURE_CLIENT_ID", "AZURE_TENANT_ID")),
            _ => None,
        } {
            let source = push(sources, name, get(name).unwrap_or_default());
            errors.push(
                Complaint::at(
                    &whole(sources, source.0),
                    format!("`{missing}` is missing"),
                    "makes a principal only together with it",
                )
                .help(format!(
                    "set `{missing}` too, or write a configuration file"
                )),
            );
        }
        return None;
    };
    let tenant_source = push(sources, "AZURE_TENANT_ID", tenant);
    let client_source = push(sources, "AZURE_CLIENT_ID", client);
    let place = whole(sources, tenant_source.0);
    let mut principal = Table::default();
    put(
        &mut principal,
        "name",
        &place,
        Value::Text("azure".to_owned()),
    );
    put(&mut principal, "tenant", &tenant_source.1, text(tenant));
    put(&mut principal, "client_id", &client_source.1, text(client));
    let mut credential = Table::default();
    if get("AZURE_CLIENT_SECRET").is_some() {
        let place = hidden_source(sources, "AZURE_CLIENT_SECRET");
        put(
            &mut credential,
            "secret",
            &place,
            pointer(&place, "AZURE_CLIENT_SECRET"),
        );
    } else if let Some(path) = get("AZURE_CLIENT_CERTIFICATE_PATH") {
        let source = push(sources, "AZURE_CLIENT_CERTIFICATE_PATH", path);
        put(&mut credential, "certificate", &source.1, text(path));
        if get("AZURE_CLIENT_CERTIFICATE_PASSWORD").is_some() {
            let place = hidden_source(sources, "AZURE_CLIENT_CERTIFICATE_PASSWORD");
            let value = pointer(&place, "AZURE_CLIENT_CERTIFICATE_PASSWORD");
            put(&mut credential, "password", &place, value);
        }
    } else if let Some(path) = get("AZURE_FEDERATED_TOKEN_FILE") {
        let source = push(sources, "AZURE_FEDERATED_TOKEN_FILE", path);
        let place = source.1;
        let mut federated = Table::default();
        put(&mut federated, "file", &place, text(path));
        put(
            &mut credential,
            "federated",
            &place,
            Value::Table(federated),
        );
    }
    if !credential.entries.is_empty() {
        put(
            &mut principal,
            "credential",
            &place,
            Value::Table(credential),
        );
    }
    let authority = get("AZURE_AUTHORITY_HOST").map(|host| {
        let (_, place) = push(sources, "AZURE_AUTHORITY_HOST", host);
        Node {
            value: text(host),
            place,
        }
    });
    Some(Azure {
        principal: Node {
            value: Value::Table(principal),
            place,
        },
        authority,
    })
}

/// Finds the setting that a variable overrides, and the list indexes in its name.
fn find(name: &str) -> Option<(&'static Key, Vec<usize>)> {
    reference::KEYS
        .iter()
        .filter(|key| reference::has_variable(key.path))
        .find_map(|key| {
            let pattern = reference::variable(key.path);
            let (mut wanted, mut given) = (pattern.split('_'), name.split('_'));
            let mut indexes = Vec::new();
            loop {
                match (wanted.next(), given.next()) {
                    (None, None) => return Some((key, indexes)),
                    (Some("N"), Some(number)) => indexes.push(number.parse().ok()?),
                    (Some(left), Some(right)) if left == right => {}
                    _ => return None,
                }
            }
        })
}

fn indexes(name: &str) -> Vec<usize> {
    find(name).map(|(_, indexes)| indexes).unwrap_or_default()
}

/// Writes one variable's value into the layer.
fn set(
    layer: &mut Table,
    below: &Table,
    key: &'static Key,
    indexes: &[usize],
    source: (usize, Place),
    name: &str,
    value: &str,
) -> Result<(), Complaint> {
    let (source, place) = source;
    let mut indexes = indexes.iter();
    let mut table = layer;
    let mut below = Some(below);
    let mut segments = key.path.split('.').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if let Some(list) = segment.strip_suffix("[]") {
            let index = *indexes
                .next()
                .expect("each [] of the path took one number of the name");
            let known = below.map_or(0, |below| below.list(list).len());
            let node = table.entry(list, &place, Value::List(Vec::new()));
            let Value::List(nodes) = &mut node.value else {
                return Err(clash(&place, name));
            };
            if index > known.max(nodes.len()) {
                return Err(Complaint::at(
                    &place,
                    format!("`{name}` leaves a gap in `{list}`"),
                    format!("the next free number is {}", known.max(nodes.len())),
                ));
            }
            while nodes.len() <= index {
                let value = Value::Table(Table::default());
                nodes.push(Node {
                    value,
                    place: place.clone(),
                });
            }
            below = below.and_then(|below| match &below.list(list).get(index)?.value {
                Value::Table(table) => Some(table),
                _ => None,
            });
            let Value::Table(inner) = &mut nodes[index].value else {
                return Err(clash(&place, name));
            };
            table = inner;
        } else if last {
            if table.get(segment).is_some() {
                return Err(clash(&place, name));
            }
            let node = parse(key.kind, source, &place, name, value)?;
            *table.entry(segment, &place, Value::Other("nothing")) = node;
        } else {
            let node = table.entry(segment, &place, Value::Table(Table::default()));
            let Value::Table(inner) = &mut node.value else {
                return Err(clash(&place, name));
            };
            below = below.and_then(|below| below.table(segment));
            table = inner;
        }
    }
    Ok(())
}

fn clash(place: &Place, name: &str) -> Complaint {
    Complaint::at(
        place,
        format!("`{name}` sets what another variable sets too"),
        "two variables for one setting",
    )
}

fn parse(
    kind: Kind,
    source: usize,
    place: &Place,
    name: &str,
    value: &str,
) -> Result<Node, Complaint> {
    if !matches!(kind, Kind::List(_)) {
        return Ok(Node {
            value: text(value),
            place: place.clone(),
        });
    }
    let start = name.len() + 1;
    if value.trim_start().starts_with('[') {
        let parsed = toml::de::DeValue::parse(value).map_err(|error| {
            let span = error.span().unwrap_or(0..value.len());
            let place = Place {
                source,
                span: start + span.start..start + span.end,
            };
            Complaint::at(
                &place,
                format!("`{name}` is not a TOML list"),
                error.message(),
            )
        })?;
        let mut node = tree::node(source, &parsed);
        shift(&mut node, start);
        return Ok(node);
    }
    let mut nodes = Vec::new();
    let mut at = start;
    for part in value.split(',') {
        let trimmed = part.trim();
        let lead = at + part.len() - part.trim_start().len();
        if !trimmed.is_empty() {
            let span = lead..lead + trimmed.len();
            nodes.push(Node {
                value: text(trimmed),
                place: Place { source, span },
            });
        }
        at += part.len() + 1;
    }
    Ok(Node {
        value: Value::List(nodes),
        place: place.clone(),
    })
}

fn shift(node: &mut Node, by: usize) {
    node.place.span = node.place.span.start + by..node.place.span.end + by;
    match &mut node.value {
        Value::List(nodes) => nodes.iter_mut().for_each(|node| shift(node, by)),
        Value::Table(table) => {
            for entry in &mut table.entries {
                let span = &mut entry.key_place.span;
                *span = span.start + by..span.end + by;
                shift(&mut entry.node, by);
            }
        }
        Value::Text(_) | Value::Number(_) | Value::Other(_) => {}
    }
}

/// Lays the variables over the files: like a later file, but list elements join by number.
fn apply(own: &mut Table, path: &str, layer: Table) {
    own.make_room(path, &layer);
    for entry in layer.entries {
        let below = tree::join(path, &entry.key);
        let Some(known) = own.entries.iter_mut().find(|known| known.key == entry.key) else {
            own.entries.push(entry);
            continue;
        };
        match (&mut known.node.value, entry.node.value) {
            (Value::Table(own), Value::Table(layer)) => apply(own, &below, layer),
            (Value::List(own), Value::List(nodes)) if sections(&below) => {
                for (index, node) in nodes.into_iter().enumerate() {
                    match (own.get_mut(index), node.value) {
                        (
                            Some(Node {
                                value: Value::Table(own),
                                ..
                            }),
                            Value::Table(layer),
                        ) => {
                            apply(own, &format!("{below}[]"), layer);
                        }
                        (Some(own), value) => {
                            *own = Node {
                                value,
                                place: node.place,
                            }
                        }
                        (None, value) => own.push(Node {
                            value,
                            place: node.place,
                        }),
                    }
                }
            }
            (value, replaced) => {
                *value = replaced;
                known.node.place = entry.node.place;
            }
        }
    }
}

/// Says whether the elements of a list at a path are sections set one by one.
fn sections(path: &str) -> bool {
    reference::key(path).is_none() && reference::section(&format!("{path}[]")).is_some()
}

/// The variable that a mistyped name most likely means.
fn resembles(name: &str) -> Option<String> {
    let parts = name
        .split('_')
        .map(|part| if number(part) { "N" } else { part });
    let plain = parts.collect::<Vec<_>>().join("_");
    let names: Vec<String> = reference::KEYS
        .iter()
        .map(|key| reference::variable(key.path))
        .collect();
    suggest::nearest(&plain, names.iter().map(String::as_str)).map(str::to_owned)
}

fn number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_digit())
}

/// Keeps a variable as a source; answers its index and the place of its value.
fn push(sources: &mut Vec<Source>, name: &str, value: &str) -> (usize, Place) {
    let text = format!("{name}={value}");
    let place = Place {
        source: sources.len(),
        span: name.len() + 1..text.len(),
    };
    sources.push(Source {
        name: SourceName::Variable(name.to_owned()),
        text,
    });
    (place.source, place)
}

/// Keeps a variable that may hold a secret as a source: its name only.
fn hidden_source(sources: &mut Vec<Source>, name: &str) -> Place {
    let source = sources.len();
    sources.push(Source {
        name: SourceName::Variable(name.to_owned()),
        text: name.to_owned(),
    });
    Place {
        source,
        span: 0..name.len(),
    }
}

fn whole(sources: &[Source], source: usize) -> Place {
    Place {
        source,
        span: 0..sources[source].text.len(),
    }
}

fn put(table: &mut Table, key: &str, place: &Place, value: Value) {
    table.entry(key, place, value);
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// `{ env = "NAME" }`.
fn pointer(place: &Place, name: &str) -> Value {
    let mut table = Table::default();
    put(&mut table, "env", place, text(name));
    Value::Table(table)
}
