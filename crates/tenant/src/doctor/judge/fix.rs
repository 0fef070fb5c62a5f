//! Commands that hang on what was read, where a table's own would mend nothing.

use crate::cmdlet::Cmdlet;
use crate::doctor::facts::Facts;
use crate::graph::EXCHANGE_APP_ID;
use crate::plan::SEND_ROLE;

/// The command that mends a cause in this tenant; none when the table's own does.
pub(in crate::doctor) fn fitted(id: &str, facts: &Facts) -> Option<String> {
    match id {
        "S-TOKEN-NO-ROLE" => permission(facts),
        "S-OUT-OF-SCOPE" => scope(facts),
        "S-ROLE-MISSING" => role(facts),
        _ => None,
    }
}

/// Consent gives what the application asks for, so it has to ask first.
fn permission(facts: &Facts) -> Option<String> {
    if facts.directory.is_permission_requested != Some(false) {
        return None;
    }
    let (client, role) = (facts.client_id.as_ref()?, &facts.directory.permission_id);
    let role = role.as_ref()?;
    Some(format!(
        "az ad app permission add --id {client} --api {EXCHANGE_APP_ID} --api-permissions {role}=Role; az ad app permission admin-consent --id {client}"
    ))
}

fn scope(facts: &Facts) -> Option<String> {
    let (scope, mailbox) = (facts.exchange.scope.as_ref()?, facts.mailbox.as_ref()?);
    if !scope.is_there || scope.is_group_there == Some(false) {
        return setup(facts);
    }
    let command = match (&scope.group, &scope.name) {
        (Some(group), _) => Cmdlet::new("Add-DistributionGroupMember")
            .with("Identity", group.as_str())
            .with("Member", mailbox.as_str()),
        (None, Some(name)) => Cmdlet::new("Get-ManagementScope").with("Identity", name.as_str()),
        (None, None) => return None,
    };
    Some(command.to_string())
}

fn role(facts: &Facts) -> Option<String> {
    match (facts.exchange.scopes.as_slice(), &facts.object_id) {
        ([only], Some(object)) => Some(
            Cmdlet::new("New-ManagementRoleAssignment")
                .with("App", object.as_str())
                .with("Role", SEND_ROLE)
                .with("CustomResourceScope", only.as_str())
                .to_string(),
        ),
        _ if facts.exchange.has_role == Some(false) => setup(facts),
        _ => None,
    }
}

/// The set-up makes what is missing, or shows what it would make.
fn setup(facts: &Facts) -> Option<String> {
    let (tenant, mailbox) = (facts.tenant.as_ref()?, facts.mailbox.as_ref()?);
    let client = facts.client_id.as_ref()?;
    Some(format!(
        "sendas setup plan --tenant {tenant} --mailbox {mailbox} --method rbac --client-id {client}"
    ))
}
