//! The JSON schema of the configuration file, made of the table.

use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::reference::{self, Key, Presence};

/// Makes the JSON schema (draft 2020-12) that editors check a file with.
pub fn schema() -> Value {
    let mut root = object("");
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sendas configuration",
    });
    if let (Value::Object(root), Value::Object(head)) = (&mut root, head) {
        for (key, value) in head {
            root.insert(key, value);
        }
    }
    root
}

/// The schema of a section's table.
fn object(path: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for name in reference::children(path) {
        let below = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        if reference::key(&below).is_some_and(|key| key.presence == Presence::Required) {
            required.push(name);
        }
        properties.insert(name.to_owned(), property(&below));
    }
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if let Some(section) = reference::section(path) {
        schema["description"] = json!(section.sentence);
        if !section.alternatives.is_empty() {
            let each: Vec<Value> = section
                .alternatives
                .iter()
                .map(|name| json!({ "required": [name] }))
                .collect();
            schema["oneOf"] = json!(each);
        }
    }
    schema
}

/// The schema of one name: a value, a table, a list of tables, or either of two.
fn property(path: &str) -> Value {
    let key = reference::key(path);
    let list = format!("{path}[]");
    let table = reference::section(path).map(|_| object(path));
    match (key, table) {
        (Some(key), Some(table)) => {
            let mut schema = json!({ "anyOf": [value(key.kind), table] });
            describe(&mut schema, key);
            schema
        }
        (Some(key), None) => {
            let mut schema = match key.kind {
                Kind::List(inner) if reference::section(&list).is_some() => json!({
                    "type": "array",
                    "items": { "anyOf": [value(*inner), object(&list)] },
                }),
                kind => value(kind),
            };
            describe(&mut schema, key);
            schema
        }
        (None, Some(table)) => table,
        (None, None) => json!({ "type": "array", "items": object(&list) }),
    }
}

fn describe(schema: &mut Value, key: &Key) {
    schema["description"] = json!(key.sentence);
    if let Presence::Default(value) = key.presence {
        schema["default"] = json!(value.trim_matches('"'));
    }
}

fn value(kind: Kind) -> Value {
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match kind {
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::List(inner) => json!({ "type": "array", "items": value(*inner) }),
        Kind::Guid => {
            pattern("^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$")
        }
        Kind::Variable => pattern("^[A-Za-z_][A-Za-z0-9_]*$"),
        Kind::CredentialName => pattern("^[A-Za-z0-9._@-]+$"),
        Kind::Address => pattern("^[^*@\\s]+@[^@\\s]+$"),
        Kind::MailboxPattern => pattern("^(\\*|(\\*|[^*@\\s]+)@[^@\\s]+)$"),
        Kind::Duration => pattern("^[0-9]+ *(ms|s|m|h|d)$"),
        Kind::Size => pattern("^[0-9]+ *(B|KiB|MiB|GiB)$"),
        Kind::SocketAddress => pattern("^(\\[[0-9A-Fa-f:.]+\\]|[0-9.]+):[0-9]{1,5}$"),
        Kind::Count => json!({ "type": "integer", "minimum": 1 }),
        Kind::PasswordHash => pattern("^\\$argon2id\\$"),
        Kind::SpoolUrl => pattern("^(sqlite:///|postgres(ql)?://)"),
        Kind::Name | Kind::Tenant | Kind::Path | Kind::EhloName | Kind::Network => {
            json!({ "type": "string", "minLength": 1 })
        }
    }
}
