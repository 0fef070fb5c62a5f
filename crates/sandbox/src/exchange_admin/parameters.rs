//! Parameters of a cmdlet: names without regard to case, values of the type the cmdlet asks for.

use serde_json::{Map, Value};

use super::error::{self, CmdletError};

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, or `null` for none.
    Text,
    /// `$true` or `$false`.
    Flag,
    /// `$true`, `$false` or `$null`.
    NullableFlag,
    /// A whole number or `Unlimited`.
    Number,
    /// One text or several; a hashtable with `Add` and `Remove` changes what is there.
    Texts,
    /// A switch that has no effect here.
    Ignored,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "System.String",
            Self::Flag => "System.Boolean",
            Self::NullableFlag => "System.Nullable`1[System.Boolean]",
            Self::Number => "Microsoft.Exchange.Data.Unlimited`1[System.Int32]",
            Self::Texts => "Microsoft.Exchange.Data.MultiValuedProperty`1[System.String]",
            Self::Ignored => "System.Management.Automation.SwitchParameter",
        }
    }

    fn takes(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string() || value.is_null() || value.is_number(),
            Self::Flag => flag(value).is_some(),
            Self::NullableFlag => value.is_null() || flag(value).is_some(),
            Self::Number => number(value).is_some(),
            Self::Texts => texts(value).is_some() || value.is_object() || value.is_null(),
            Self::Ignored => true,
        }
    }
}

/// Parameters every cmdlet takes.
const COMMON: [(&str, Kind); 8] = [
    ("Confirm", Kind::Ignored),
    ("WhatIf", Kind::Flag),
    ("ErrorAction", Kind::Ignored),
    ("WarningAction", Kind::Ignored),
    ("Verbose", Kind::Ignored),
    ("Debug", Kind::Ignored),
    ("Force", Kind::Ignored),
    ("Organization", Kind::Ignored),
];

/// The parameters of one call, of the right types.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(Map<String, Value>);

/// A number, or none of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Unlimited,
    Of(u64),
}

/// A change of a list: the whole, or additions and removals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Whole(Vec<String>),
    Parts {
        add: Vec<String>,
        remove: Vec<String>,
    },
}

impl Parameters {
    /// Binds what was given to what a cmdlet takes.
    pub(super) fn bind(
        given: &Map<String, Value>,
        taken: &[(&'static str, Kind)],
        needed: &[&str],
    ) -> Result<Self, CmdletError> {
        let mut bound = Map::new();
        for (name, value) in given {
            if name.starts_with("@odata.") {
                continue;
            }
            let known = taken
                .iter()
                .chain(&COMMON)
                .find(|(known, _)| known.eq_ignore_ascii_case(name));
            let Some((known, kind)) = known else {
                return Err(error::PARAMETER_UNKNOWN.with(&[name]));
            };
            if !kind.takes(value) {
                return Err(error::PARAMETER_VALUE.with(&[known, &shown(value), kind.name()]));
            }
            bound.insert((*known).to_owned(), value.clone());
        }
        let missing: Vec<&str> = needed
            .iter()
            .filter(|name| bound.get(**name).is_none_or(Value::is_null))
            .copied()
            .collect();
        if missing.is_empty() {
            Ok(Self(bound))
        } else {
            Err(error::PARAMETER_MISSING.with(&[&missing.join(" ")]))
        }
    }

    /// Whether a parameter was given, be it with `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text; none when it is absent or `null`.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A text that [`Parameters::bind`] has seen.
    pub(super) fn needed(&self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    /// A switch; none when it is absent or `null`.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        flag(self.0.get(name)?)
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Option<Number> {
        number(self.0.get(name)?)
    }

    /// A list.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.0.get(name).and_then(texts).unwrap_or_default()
    }

    /// A change of a list; none when the parameter is absent.
    pub(super) fn change(&self, name: &str) -> Option<Change> {
        let value = self.0.get(name)?;
        let Some(table) = value.as_object() else {
            return Some(Change::Whole(texts(value).unwrap_or_default()));
        };
        let part = |wanted: &str| {
            table
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .and_then(|(_, value)| texts(value))
                .unwrap_or_default()
        };
        Some(Change::Parts {
            add: part("Add"),
            remove: part("Remove"),
        })
    }
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(word) => match word.to_ascii_lowercase().as_str() {
            "true" | "$true" => Some(true),
            "false" | "$false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => number.as_u64().map(Number::Of),
        Value::String(text) if text.eq_ignore_ascii_case("unlimited") => Some(Number::Unlimited),
        Value::String(text) => text.parse().ok().map(Number::Of),
        _ => None,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        // PowerShell splits nothing, but its REST client joins lists with commas.
        Value::String(text) => Some(text.split(',').map(|t| t.trim().to_owned()).collect()),
        Value::Array(all) => all
            .iter()
            .map(|one| one.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TAKEN: [(&str, Kind); 4] = [
        ("Identity", Kind::Text),
        ("Off", Kind::NullableFlag),
        ("Limit", Kind::Number),
        ("Addresses", Kind::Texts),
    ];

    fn bind(given: &Value) -> Result<Parameters, CmdletError> {
        Parameters::bind(given.as_object().unwrap(), &TAKEN, &["Identity"])
    }

    #[test]
    fn values_are_converted_and_names_have_no_case() {
        let bound = bind(&json!({
            "identity": "a", "OFF": null, "Limit": "Unlimited", "Confirm": false,
            "Addresses": {"@odata.type": "#Exchange.GenericHashTable", "add": "x, y"},
        }))
        .unwrap();
        assert_eq!(bound.needed("Identity"), "a");
        assert!(bound.has("Off"));
        assert_eq!(bound.flag("Off"), None);
        assert_eq!(bound.number("Limit"), Some(Number::Unlimited));
        assert_eq!(
            bound.change("Addresses"),
            Some(Change::Parts {
                add: vec!["x".into(), "y".into()],
                remove: vec![]
            })
        );
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for (given, row) in [
            (json!({}), &error::PARAMETER_MISSING),
            (json!({"Identity": null}), &error::PARAMETER_MISSING),
            (json!({"Identity": "a", "No": 1}), &error::PARAMETER_UNKNOWN),
            (
                json!({"Identity": "a", "Off": "x"}),
                &error::PARAMETER_VALUE,
            ),
            (
                json!({"Identity": "a", "Limit": -1}),
                &error::PARAMETER_VALUE,
            ),
        ] {
            assert_eq!(bind(&given).unwrap_err().row, row, "{given}");
        }
    }
}
