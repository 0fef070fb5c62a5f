//! Who may run which cmdlet: scope or role of the token, then role groups.

use super::cmdlet::{Cmdlet, Needs};
use super::error::{self, CmdletError};
use crate::bearer::Caller;
use crate::state::roles;
use crate::state::view::View;

/// Judges whether a caller may run a cmdlet.
///
/// Global and Exchange Administrators are in Organization Management; Exchange Recipient
/// Administrators in Recipient Management; Global Readers read.
pub(super) fn judge(view: &View, caller: &Caller, cmdlet: &Cmdlet) -> Result<(), CmdletError> {
    let denied = || error::DENIED.with(&[cmdlet.name]);
    let permission = match caller.person {
        Some(_) => "Exchange.Manage",
        None => "Exchange.ManageAsApp",
    };
    if !caller.may(&[permission]) {
        return Err(denied());
    }
    let held = view.directory_roles(caller.object_id);
    let groups = &view.directory().exchange.role_groups;
    let member = |name: &str| {
        groups.iter().any(|(group, members)| {
            group.eq_ignore_ascii_case(name) && members.contains(&caller.object_id)
        })
    };
    let organization = held.contains(&roles::GLOBAL_ADMINISTRATOR)
        || held.contains(&roles::EXCHANGE_ADMINISTRATOR)
        || member("Organization Management");
    let recipients =
        held.contains(&roles::RECIPIENT_ADMINISTRATOR) || member("Recipient Management");
    let reader = held.contains(&roles::GLOBAL_READER);
    if caller.person.is_none() && !(organization || recipients || reader) {
        return Err(error::APPLICATION_ROLE.with(&[&caller.app_id.to_string()]));
    }
    let allowed = match cmdlet.needs {
        Needs::Organization => organization || (reader && cmdlet.reads()),
        Needs::Recipients => organization || recipients || (reader && cmdlet.reads()),
    };
    if allowed { Ok(()) } else { Err(denied()) }
}
