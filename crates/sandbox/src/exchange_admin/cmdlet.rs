//! The catalogue of cmdlets: name, parameters, who may run it, what it does.

use serde_json::{Map, Value};

use super::error::{self, CmdletError};
use super::parameters::{Kind, Parameters};
use super::{access, groups, mailboxes, organization, permissions, principals, roles};
use crate::bearer::Caller;
use crate::chance::Chance;
use crate::state::Tenant;
use crate::world::World;

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

/// Every cmdlet.
pub(super) fn all() -> impl Iterator<Item = &'static Cmdlet> {
    [
        principals::CMDLETS,
        organization::CMDLETS,
        mailboxes::CMDLETS,
        permissions::CMDLETS,
        roles::CMDLETS,
        groups::CMDLETS,
    ]
    .into_iter()
    .flatten()
}

/// Runs a cmdlet for a caller.
pub(super) fn run(
    world: &World,
    caller: &Caller,
    name: &str,
    given: &Map<String, Value>,
) -> Result<Output, CmdletError> {
    let cmdlet = all()
        .find(|cmdlet| cmdlet.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| error::DENIED.with(&[name]))?;
    // `WhatIf` leaves by the way of an error, which changes nothing.
    let done = world.change(|tenant, view, _| {
        access::judge(view, caller, cmdlet).map_err(Left::Refused)?;
        let parameters =
            Parameters::bind(given, cmdlet.parameters, cmdlet.mandatory).map_err(Left::Refused)?;
        let what_if = parameters.flag("WhatIf").unwrap_or_default();
        let output = (cmdlet.run)(&mut Invocation {
            tenant,
            parameters,
            chance: &world.chance,
        })
        .map_err(Left::Refused)?;
        if what_if {
            Err(Left::WhatIf)
        } else {
            Ok(output)
        }
    });
    match done {
        Ok(output) => Ok(output),
        Err(Left::WhatIf) => Ok(Output::default()),
        Err(Left::Refused(error)) => Err(error),
    }
}

enum Left {
    WhatIf,
    Refused(CmdletError),
}
