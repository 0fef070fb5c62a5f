//! A scenario: what to change before anything is served, from a file in TOML or JSON.
//!
//! ```toml
//! clock_ahead_s = 0
//! [tenant.exchange.transport]
//! smtp_client_authentication_disabled = true
//! [[fault]]
//! at = "token"
//! effect = { kind = "throttle", retry_after_s = 30 }
//! count = 2
//! ```

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::faults::Fault;
use crate::sandbox::StartError;
use crate::world::World;

/// What to change at the start.
///
/// TOML has no `null`: to remove something from the tenant, write the scenario in JSON.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// A merge patch of the tenant's document.
    pub tenant: Option<Value>,
    /// Faults that wait from the start.
    pub fault: Vec<Fault>,
    /// Seconds the clock is ahead from the start.
    pub clock_ahead_s: u64,
}

/// Why a scenario could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// It is no TOML, or has members nobody knows.
    #[error("the scenario cannot be read as TOML: {0}")]
    Toml(#[from] toml::de::Error),
    /// It is no JSON, or has members nobody knows.
    #[error("the scenario cannot be read as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Scenario {
    /// Reads a scenario: JSON when it begins with a brace, TOML otherwise.
    ///
    /// # Errors
    /// With the place of the mistake.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        if text.trim_start().starts_with('{') {
            Ok(serde_json::from_str(text)?)
        } else {
            Ok(toml::from_str(text)?)
        }
    }

    pub(crate) fn play(self, world: &World) -> Result<(), StartError> {
        if self.clock_ahead_s > 0 {
            world.clock.advance(Duration::from_secs(self.clock_ahead_s));
        }
        if let Some(patch) = &self.tenant {
            world.patch(patch)?;
        }
        for fault in self.fault {
            world.faults.add(fault)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = "clock_ahead_s = 60\n[tenant.exchange.transport]\n\
            smtp_client_authentication_disabled = false\n[[fault]]\nat = \"end\"\n\
            effect = { kind = \"reply\", code = 451, text = \"4.7.0 later\" }\n";
        let json = r#"{"clock_ahead_s":60,"tenant":{"exchange":{"transport":
            {"smtp_client_authentication_disabled":false}}},
            "fault":[{"at":"end","effect":{"kind":"reply","code":451,"text":"4.7.0 later"}}]}"#;
        assert_eq!(
            Scenario::parse(toml).unwrap(),
            Scenario::parse(json).unwrap()
        );
    }

    #[test]
    fn unknown_members_are_refused() {
        assert!(Scenario::parse("clock = 1\n").is_err());
        assert!(Scenario::parse("{\"clock\":1}").is_err());
    }
}
