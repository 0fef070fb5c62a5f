//! Reading values of a tree that `check` had nothing against.

use std::path::{Path, PathBuf};

use crate::complaint::Complaint;
use crate::reference::{self, Presence};
use crate::tree::{Node, Place, Source, SourceName, Table, Value};

/// Why `expect` holds below.
pub(crate) const CHECKED: &str = "the tree was checked against the table";

/// Reads values that depend on where they stand.
pub(crate) struct Reader<'a> {
    sources: &'a [Source],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(sources: &'a [Source]) -> Self {
        Self { sources }
    }

    /// The source in which a place lies.
    pub(crate) fn source(&self, place: &Place) -> &Source {
        &self.sources[place.source]
    }

    /// The path under a key that must be there.
    pub(crate) fn path_in(&self, table: &Table, key: &str) -> PathBuf {
        self.path(table.get(key).expect(CHECKED))
    }

    /// A path, seen from the folder of the file it stands in; one from a variable is left as
    /// it is and so means the working folder.
    pub(crate) fn path(&self, node: &Node) -> PathBuf {
        let Value::Text(path) = &node.value else {
            unreachable!("{CHECKED}")
        };
        match &self.source(&node.place).name {
            SourceName::File(file) => file.parent().unwrap_or(Path::new("")).join(path),
            SourceName::Variable(_) => PathBuf::from(path),
        }
    }
}

/// The text of a setting, or its default from the table.
pub(crate) fn text(own: &Table, path: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    if let Some(text) = own.text(name) {
        return text.to_owned();
    }
    match reference::key(path).map(|key| key.presence) {
        Some(Presence::Default(value)) => value.trim_matches('"').to_owned(),
        _ => unreachable!("{path} has a default in the table"),
    }
}

pub(crate) fn table(node: &Node) -> &Table {
    match &node.value {
        Value::Table(table) => table,
        _ => unreachable!("{CHECKED}"),
    }
}

pub(crate) fn element(node: &Node) -> &str {
    match &node.value {
        Value::Text(text) => text,
        _ => unreachable!("{CHECKED}"),
    }
}

/// The name a section goes by: `name`, else `tenant`.
pub(crate) fn given_name(own: &Table) -> Option<String> {
    own.text("name")
        .or_else(|| own.text("tenant"))
        .map(str::to_owned)
}

pub(crate) fn duplicates(nodes: &[Node], section: &str, errors: &mut Vec<Complaint>) {
    for (at, node) in nodes.iter().enumerate() {
        let name = given_name(table(node));
        let earlier = nodes[..at]
            .iter()
            .any(|other| given_name(table(other)) == name);
        if let Some(name) = name.filter(|_| earlier) {
            let place = table(node)
                .get("name")
                .map_or(&node.place, |node| &node.place);
            errors.push(
                Complaint::at(
                    place,
                    format!("two `{section}` sections are named `{name}`"),
                    "the name is taken by an earlier section",
                )
                .help("give each a `name` of its own"),
            );
        }
    }
}
