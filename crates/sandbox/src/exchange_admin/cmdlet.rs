//! A cmdlet: name, parameters, who may run it, what it does.

use serde_json::Value;

use super::error::CmdletError;
use super::parameters::{Kind, Parameters};
use crate::chance::Chance;
use crate::state::Tenant;

/// Which role group a cmdlet needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Organization Management.
    Organization,
    /// Recipient Management, or Organization Management.
    Recipients,
}

/// One call of a cmdlet, its parameters bound.
pub(super) struct Invocation<'a> {
    pub(super) tenant: &'a mut Tenant,
    pub(super) parameters: Parameters,
    pub(super) chance: &'a Chance,
}

/// What a cmdlet writes.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Objects; none when the cmdlet writes nothing.
    pub(super) objects: Option<Vec<Value>>,
    /// Warnings.
    pub(super) warnings: Vec<String>,
}

impl Output {
    /// One object.
    pub(super) fn one(object: Value) -> Self {
        Self::all(vec![object])
    }

    /// Several objects.
    pub(super) fn all(objects: Vec<Value>) -> Self {
        Self {
            objects: Some(objects),
            warnings: Vec::new(),
        }
    }

    /// A warning only.
    pub(super) fn warning(text: String) -> Self {
        Self {
            objects: None,
            warnings: vec![text],
        }
    }
}

type Run = fn(&mut Invocation<'_>) -> Result<Output, CmdletError>;

/// One cmdlet.
#[derive(Debug)]
pub(super) struct Cmdlet {
    pub(super) name: &'static str,
    pub(super) needs: Needs,
    pub(super) parameters: &'static [(&'static str, Kind)],
    pub(super) mandatory: &'static [&'static str],
    pub(super) run: Run,
}

impl Cmdlet {
    /// Whether it only reads.
    pub(super) fn reads(&self) -> bool {
        self.name.starts_with("Get-") || self.name.starts_with("Test-")
    }
}
