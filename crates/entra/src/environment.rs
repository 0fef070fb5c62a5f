//! The variables of the process, handed in by the binary.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;

use zeroize::Zeroizing;

/// A copy of the environment variables that a library call may look at.
///
/// The library never reads the process environment; a binary makes this value from
/// `std::env::vars_os()` and hands it in. Values are wiped from memory on drop and never printed.
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<String, Zeroizing<String>>,
}

impl Environment {
    /// An environment without variables.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The value, unless the variable is unset or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(|value| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of the first of these variables that is set and not empty.
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }
}

/// Takes pairs of name and value; a later pair wins. Pairs that are not UTF-8 are left out: no
/// variable that sendas knows may hold other octets.
impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let variables = pairs
            .into_iter()
            .filter_map(|(name, value)| {
                let name = name.into().into_string().ok()?;
                let value = value.into().into_string().ok()?;
                Some((name, Zeroizing::new(value)))
            })
            .collect();
        Self { variables }
    }
}

/// Shows names only.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.variables.keys().collect();
        names.sort();
        f.debug_struct("Environment")
            .field("names", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_count_as_unset_and_values_are_not_printed() {
        let environment: Environment = [("A", "canary-a"), ("B", ""), ("C", "c")]
            .into_iter()
            .collect();
        assert_eq!(environment.get("A"), Some("canary-a"));
        assert_eq!(environment.get("B"), None);
        assert_eq!(environment.first(&["B", "C", "A"]), Some("c"));
        assert!(!format!("{environment:?}").contains("canary"));
    }
}
