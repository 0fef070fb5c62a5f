//! One Exchange cmdlet with its parameters: run over HTTP, or written as PowerShell.

use std::fmt;

/// A cmdlet with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cmdlet {
    name: &'static str,
    parameters: Vec<(&'static str, Parameter)>,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// A text.
    Text(String),
    /// `$true` or `$false`.
    Switch(bool),
    /// `$null`.
    Null,
    /// A variable of a script; the value does not exist before the script runs.
    Variable(&'static str),
}

impl Cmdlet {
    /// A cmdlet without parameters.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            parameters: Vec::new(),
        }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Parameter>) -> Self {
        self.parameters.push((name, value.into()));
        self
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its parameters, in order.
    pub fn parameters(&self) -> &[(&'static str, Parameter)] {
        &self.parameters
    }
}

impl Default for Parameter {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl From<&Self> for Parameter {
    fn from(value: &Self) -> Self {
        value.clone()
    }
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Parameter {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Parameter {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Parameter {
    fn from(on: bool) -> Self {
        Self::Switch(on)
    }
}

impl From<Option<bool>> for Parameter {
    fn from(on: Option<bool>) -> Self {
        on.map_or(Self::Null, Self::Switch)
    }
}

/// The cmdlet as a line of PowerShell.
impl fmt::Display for Cmdlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        for (name, value) in &self.parameters {
            match value {
                // A switch parameter takes its value with a colon; Confirm is the one we use.
                Parameter::Switch(on) if *name == "Confirm" => write!(f, " -{name}:${on}")?,
                Parameter::Switch(on) => write!(f, " -{name} ${on}")?,
                Parameter::Null => write!(f, " -{name} $null")?,
                Parameter::Variable(variable) => write!(f, " -{name} ${variable}")?,
                Parameter::Text(text) => write!(f, " -{name} {}", quoted(text))?,
            }
        }
        Ok(())
    }
}

/// A PowerShell literal: single quotes, in which nothing is expanded.
///
/// PowerShell takes typographic single quotes for quotes too; each kind is doubled. Control
/// characters cannot stand in a line and are left out.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_quotes() {
        for (text, expected) in [
            ("plain", "'plain'"),
            ("O'Brien", "'O''Brien'"),
            ("a\u{2019}; Remove-Item", "'a\u{2019}\u{2019}; Remove-Item'"),
            ("$(x) `n \"y\"", "'$(x) `n \"y\"'"),
            ("a\r\nb\0", "'ab'"),
        ] {
            assert_eq!(quoted(text), expected);
        }
        let cmdlet = Cmdlet::new("Set-CASMailbox")
            .with("Identity", "a@b.c")
            .with("SmtpClientAuthenticationDisabled", None)
            .with("Confirm", false);
        assert_eq!(
            cmdlet.to_string(),
            "Set-CASMailbox -Identity 'a@b.c' -SmtpClientAuthenticationDisabled $null -Confirm:$false"
        );
    }
}
