//! The catalogue of cmdlets, and how one is run for a caller.

use serde_json::{Map, Value};

use super::cmdlet::{Cmdlet, Invocation, Output};
use super::error::{self, CmdletError};
use super::parameters::Parameters;
use super::{access, groups, mailboxes, organization, permissions, principals, roles};
use crate::bearer::Caller;
use crate::world::World;

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
