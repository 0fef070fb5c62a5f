//! How a later file or variable lies over an earlier one.

use crate::reference;
use crate::tree::{Node, Table, Value, join};

impl Table {
    /// Lays a later file over this one.
    ///
    /// Tables join key by key, lists of named sections join by name, every other value is
    /// replaced; a section of alternatives keeps only the later file's.
    pub(crate) fn merge(&mut self, path: &str, later: Self) {
        self.make_room(path, &later);
        for entry in later.entries {
            let below = join(path, &entry.key);
            match self.entries.iter_mut().find(|own| own.key == entry.key) {
                None => self.entries.push(entry),
                Some(own) => own.node.merge(&below, entry.node),
            }
        }
    }

    /// Removes the alternatives that a later source replaces by another.
    pub(crate) fn make_room(&mut self, path: &str, later: &Self) {
        let alternatives = reference::section(path).map_or(&[][..], |section| section.alternatives);
        let chosen = |key: &str| alternatives.contains(&key);
        if later.entries.iter().any(|entry| chosen(&entry.key)) {
            self.entries
                .retain(|own| !chosen(&own.key) || later.get(&own.key).is_some());
        }
    }
}

impl Node {
    pub(crate) fn merge(&mut self, path: &str, later: Self) {
        match (&mut self.value, later.value) {
            (Value::Table(own), Value::Table(table)) => own.merge(path, table),
            (Value::List(own), Value::List(nodes)) if named(path) => {
                for node in nodes {
                    let same = own
                        .iter_mut()
                        .find(|known| known.given_name() == node.given_name());
                    match same {
                        Some(known) if node.given_name().is_some() => {
                            known.merge(&format!("{path}[]"), node);
                        }
                        _ => own.push(node),
                    }
                }
            }
            (value, replaced) => {
                *value = replaced;
                self.place = later.place;
            }
        }
    }

    fn given_name(&self) -> Option<&str> {
        match &self.value {
            Value::Table(table) => table.text("name"),
            _ => None,
        }
    }
}

/// Says whether the elements of a list are sections with a `name`.
fn named(path: &str) -> bool {
    reference::key(&format!("{path}[].name")).is_some()
}
