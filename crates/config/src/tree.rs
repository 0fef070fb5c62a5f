//! What stands in the files and the environment, each value with its place.

use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a value stands: a source and the octets in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index into the list of sources.
    pub(crate) source: usize,
    /// Octets of the source's text.
    pub(crate) span: Range<usize>,
}

/// One text that settings are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) name: SourceName,
    /// The file's text; for a variable, `NAME=value`.
    pub(crate) text: String,
}

/// What a source is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceName {
    File(PathBuf),
    Variable(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    List(Vec<Node>),
    Table(Table),
    /// A whole number, as its digits.
    Number(String),
    /// A fraction, truth value or date: no setting is one, so only its name is kept.
    Other(&'static str),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) node: Node,
}

impl Value {
    /// Names the kind of value for a reader.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Number(_) => "a number",
            Self::Other(name) => name,
        }
    }
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Value::Text(text) | Value::Number(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn table(&self, key: &str) -> Option<&Self> {
        match &self.get(key)?.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The elements of a list; empty when the key is missing.
    pub(crate) fn list(&self, key: &str) -> &[Node] {
        match self.get(key).map(|node| &node.value) {
            Some(Value::List(nodes)) => nodes,
            _ => &[],
        }
    }

    /// The node under a key, made by `new` when it is missing.
    pub(crate) fn entry(&mut self, key: &str, place: &Place, new: Value) -> &mut Node {
        let at = self
            .entries
            .iter()
            .position(|entry| entry.key == key)
            .unwrap_or_else(|| {
                self.entries.push(Entry {
                    key: key.to_owned(),
                    key_place: place.clone(),
                    node: Node {
                        value: new,
                        place: place.clone(),
                    },
                });
                self.entries.len() - 1
            });
        &mut self.entries[at].node
    }
}

/// Puts a key behind a path.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Takes over what the TOML parser read.
pub(crate) fn table(source: usize, parsed: &DeTable<'_>) -> Table {
    let entries = parsed
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_place: Place {
                source,
                span: key.span(),
            },
            node: node(source, value),
        })
        .collect::<Vec<_>>();
    let mut table = Table { entries };
    // The parser sorts by name; the reader wrote them in order.
    table
        .entries
        .sort_by_key(|entry| entry.key_place.span.start);
    table
}

/// Takes over one value.
pub(crate) fn node(source: usize, value: &Spanned<DeValue<'_>>) -> Node {
    let place = Place {
        source,
        span: value.span(),
    };
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Array(values) => {
            Value::List(values.iter().map(|value| node(source, value)).collect())
        }
        DeValue::Table(entries) => Value::Table(table(source, entries)),
        DeValue::Integer(digits) => Value::Number(digits.to_string()),
        DeValue::Float(_) => Value::Other("a number"),
        DeValue::Boolean(_) => Value::Other("a truth value"),
        DeValue::Datetime(_) => Value::Other("a date"),
    };
    Node { value, place }
}
