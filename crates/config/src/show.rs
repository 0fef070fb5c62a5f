//! Every setting with its value and where it came from.

use std::path::PathBuf;

use crate::complaint;
use crate::convert;
use crate::reference;
use crate::tree::{Node, Place, Source, SourceName, Table, Value, join};

/// One setting as it holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// Its path with list numbers: `principal[0].tenant`.
    pub path: String,
    /// Its value as a file would hold it.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A file and the line in it, from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// Nobody said otherwise.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Lists every setting that holds, in the order of the file, defaults last in each section.
pub(crate) fn shown(tree: &Table, authority: Option<&Node>, sources: &[Source]) -> Vec<Shown> {
    let mut list = List {
        sources,
        out: Vec::new(),
    };
    list.section("", "", tree);
    for (name, node) in [("network", tree.get("network")), ("send", tree.get("send"))] {
        if node.is_none() {
            list.defaults(name, name, &Table::default());
        }
    }
    if let Some(node) = authority
        && let Some(default) = list
            .out
            .iter_mut()
            .find(|shown| shown.path == "principal[0].cloud")
        && let Value::Text(host) = &node.value
    {
        default.value = quoted(host);
        default.origin = origin(&node.place, sources);
    }
    list.out
}

struct List<'a> {
    sources: &'a [Source],
    out: Vec<Shown>,
}

impl List<'_> {
    fn section(&mut self, path: &str, pattern: &str, table: &Table) {
        for entry in &table.entries {
            let path = join(path, &entry.key);
            let pattern = join(pattern, &entry.key);
            match &entry.node.value {
                Value::Table(table) => {
                    if table.entries.is_empty() {
                        self.push(&path, "{}".to_owned(), &entry.node.place);
                    }
                    self.section(&path, &pattern, table);
                }
                Value::List(nodes) if reference::key(&pattern).is_none() => {
                    for (index, node) in nodes.iter().enumerate() {
                        if let Value::Table(table) = &node.value {
                            let path = format!("{path}[{index}]");
                            self.section(&path, &format!("{pattern}[]"), table);
                        }
                    }
                }
                value => self.push(&path, written(value), &entry.node.place),
            }
        }
        self.defaults(path, pattern, table);
    }

    fn defaults(&mut self, path: &str, pattern: &str, table: &Table) {
        for key in reference::KEYS {
            let Some((parent, name)) = key.path.rsplit_once('.') else {
                continue;
            };
            if parent == pattern
                && table.get(name).is_none()
                && let Some(value) = convert::default_of(key.kind, key.presence)
            {
                self.out.push(Shown {
                    path: join(path, name),
                    value,
                    origin: Origin::Default,
                });
            }
        }
    }

    fn push(&mut self, path: &str, value: String, place: &Place) {
        let origin = origin(place, self.sources);
        self.out.push(Shown {
            path: path.to_owned(),
            value,
            origin,
        });
    }
}

fn origin(place: &Place, sources: &[Source]) -> Origin {
    let source = &sources[place.source];
    match &source.name {
        SourceName::File(path) => Origin::File {
            path: path.clone(),
            line: complaint::position(&source.text, place.span.start).0,
        },
        SourceName::Variable(name) => Origin::Variable(name.clone()),
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::List(nodes) => {
            let parts: Vec<String> = nodes.iter().map(|node| written(&node.value)).collect();
            format!("[{}]", parts.join(", "))
        }
        Value::Table(table) => {
            let parts: Vec<String> = table
                .entries
                .iter()
                .map(|entry| format!("{} = {}", entry.key, written(&entry.node.value)))
                .collect();
            format!("{{ {} }}", parts.join(", "))
        }
        Value::Number(digits) => digits.clone(),
        Value::Other(name) => (*name).to_owned(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
