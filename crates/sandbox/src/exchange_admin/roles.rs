//! Management scopes, role assignments of applications, and what they add up to.

use serde_json::{Value, json};
use uuid::Uuid;

use super::cmdlet::{Cmdlet, Invocation, Needs, Output};
use super::error::{self, CmdletError, not_found};
use super::identity;
use super::parameters::Kind;
use crate::state::Tenant;
use crate::state::exchange::{ManagementScope, RoleAssignment};
use crate::state::{filter, view};

const ASSIGNMENT: &[(&str, Kind)] = &[
    ("Name", Kind::Text),
    ("Role", Kind::Text),
    ("App", Kind::Text),
    ("CustomResourceScope", Kind::Text),
    ("RecipientGroupScope", Kind::Text),
    ("RecipientAdministrativeUnitScope", Kind::Text),
];

pub(super) const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "New-ManagementScope",
        needs: Needs::Organization,
        parameters: &[
            ("Name", Kind::Text),
            ("RecipientRestrictionFilter", Kind::Text),
        ],
        mandatory: &["Name", "RecipientRestrictionFilter"],
        run: create_scope,
    },
    Cmdlet {
        name: "Get-ManagementScope",
        needs: Needs::Organization,
        parameters: &[("Identity", Kind::Text)],
        mandatory: &[],
        run: read_scopes,
    },
    Cmdlet {
        name: "Set-ManagementScope",
        needs: Needs::Organization,
        parameters: &[
            ("Identity", Kind::Text),
            ("RecipientRestrictionFilter", Kind::Text),
        ],
        mandatory: &["Identity", "RecipientRestrictionFilter"],
        run: update_scope,
    },
    Cmdlet {
        name: "Remove-ManagementScope",
        needs: Needs::Organization,
        parameters: &[("Identity", Kind::Text)],
        mandatory: &["Identity"],
        run: remove_scope,
    },
    Cmdlet {
        name: "New-ManagementRoleAssignment",
        needs: Needs::Organization,
        parameters: ASSIGNMENT,
        mandatory: &["Role", "App"],
        run: create_assignment,
    },
    Cmdlet {
        name: "Get-ManagementRoleAssignment",
        needs: Needs::Organization,
        parameters: &[
            ("Identity", Kind::Text),
            ("Role", Kind::Text),
            ("RoleAssignee", Kind::Text),
            ("RoleAssigneeType", Kind::Text),
        ],
        mandatory: &[],
        run: read_assignments,
    },
    Cmdlet {
        name: "Set-ManagementRoleAssignment",
        needs: Needs::Organization,
        parameters: &[
            ("Identity", Kind::Text),
            ("CustomResourceScope", Kind::Text),
            ("RecipientGroupScope", Kind::Text),
            ("RecipientAdministrativeUnitScope", Kind::Text),
        ],
        mandatory: &["Identity"],
        run: update_assignment,
    },
    Cmdlet {
        name: "Remove-ManagementRoleAssignment",
        needs: Needs::Organization,
        parameters: &[("Identity", Kind::Text)],
        mandatory: &["Identity"],
        run: remove_assignment,
    },
    Cmdlet {
        name: "Test-ServicePrincipalAuthorization",
        needs: Needs::Organization,
        parameters: &[("Identity", Kind::Text), ("Resource", Kind::Text)],
        mandatory: &["Identity"],
        run: test,
    },
];

/// Roles an application can be given. Source: page on RBAC for applications.
const ROLES: [&str; 12] = [
    "Application SMTP.SendAsApp",
    "Application Mail.Send",
    "Application Mail.Read",
    "Application Mail.ReadBasic",
    "Application Mail.ReadWrite",
    "Application MailboxSettings.Read",
    "Application MailboxSettings.ReadWrite",
    "Application Calendars.Read",
    "Application Calendars.ReadWrite",
    "Application Contacts.Read",
    "Application Contacts.ReadWrite",
    "Application Exchange Full Access",
];

/// Characters of a name at most; a longer one is refused. Source: directory schema.
const NAME_CHARACTERS_MAX: usize = 64;

fn customised(tenant: &Tenant) -> Result<(), CmdletError> {
    if tenant.exchange.organization.dehydrated {
        return Err(error::DEHYDRATED.with(&[]));
    }
    Ok(())
}

fn judge_name(name: &str) -> Result<(), CmdletError> {
    if name.is_empty() || name.chars().count() > NAME_CHARACTERS_MAX {
        let kind = "a name of 1 to 64 characters";
        return Err(error::PARAMETER_VALUE.with(&["Name", name, kind]));
    }
    Ok(())
}

fn filter_asked(call: &Invocation<'_>) -> Result<String, CmdletError> {
    let text = call.parameters.needed("RecipientRestrictionFilter");
    filter::parse(&text).map_err(|why| error::FILTER.with(&[&text, &why]))?;
    Ok(text)
}

fn shown_scope(name: &str, scope: &ManagementScope) -> Value {
    json!({
        "Identity": name,
        "Id": name,
        "Name": name,
        "Guid": scope.guid,
        "RecipientFilter": scope.recipient_filter,
        "RecipientRoot": null,
        "ScopeRestrictionType": "RecipientScope",
        "Exclusive": false,
        "IsValid": true,
    })
}

fn find_scope(tenant: &Tenant, identity: &str) -> Result<String, CmdletError> {
    tenant
        .exchange
        .scopes
        .iter()
        .find(|(name, scope)| {
            name.eq_ignore_ascii_case(identity)
                || (identity.parse() == Ok(scope.guid) && !scope.guid.is_nil())
        })
        .map(|(name, _)| name.clone())
        .ok_or_else(|| not_found(identity))
}

fn create_scope(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    customised(call.tenant)?;
    let name = call.parameters.needed("Name");
    judge_name(&name)?;
    let recipient_filter = filter_asked(call)?;
    if find_scope(call.tenant, &name).is_ok() {
        return Err(error::EXISTS.with(&[&name]));
    }
    let scope = ManagementScope {
        guid: call.chance.guid(),
        recipient_filter,
    };
    let object = shown_scope(&name, &scope);
    call.tenant.exchange.scopes.insert(name, scope);
    Ok(Output::one(object))
}

fn read_scopes(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let scopes = &call.tenant.exchange.scopes;
    if let Some(identity) = call.parameters.text("Identity") {
        let name = find_scope(call.tenant, &identity)?;
        return Ok(Output::one(shown_scope(&name, &scopes[&name])));
    }
    let objects = scopes.iter().map(|(name, scope)| shown_scope(name, scope));
    Ok(Output::all(objects.collect()))
}

fn update_scope(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let name = find_scope(call.tenant, &call.parameters.needed("Identity"))?;
    let recipient_filter = filter_asked(call)?;
    if let Some(scope) = call.tenant.exchange.scopes.get_mut(&name) {
        scope.recipient_filter = recipient_filter;
    }
    Ok(Output::default())
}

fn remove_scope(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let name = find_scope(call.tenant, &call.parameters.needed("Identity"))?;
    let user = call
        .tenant
        .exchange
        .role_assignments
        .iter()
        .find(|(_, a)| a.custom_resource_scope.as_ref() == Some(&name));
    if let Some((user, _)) = user {
        return Err(error::SCOPE_IN_USE.with(&[&name, user]));
    }
    call.tenant.exchange.scopes.remove(&name);
    Ok(Output::default())
}

fn shown_assignment(tenant: &Tenant, name: &str, assignment: &RoleAssignment) -> Value {
    let assignee = assignment.app.to_string();
    let principal = tenant.exchange.service_principals.get(&assignment.app);
    json!({
        "Identity": name,
        "Id": name,
        "Name": name,
        "Guid": assignment.guid,
        "Role": assignment.role,
        "RoleAssignee": assignee,
        "RoleAssigneeName": assignee,
        "RoleAssigneeType": "ServicePrincipal",
        "App": principal.map(|principal| principal.app_id),
        "AssignmentMethod": "Direct",
        "EffectiveUserName": "All Service Principals",
        "Enabled": true,
        "CustomResourceScope": assignment.custom_resource_scope,
        "RecipientGroupScope": assignment.recipient_group_scope,
        "RecipientAdministrativeUnitScope": assignment.recipient_administrative_unit_scope,
        "RecipientReadScope": "Organization",
        "RecipientWriteScope": scope_type(assignment),
        "IsValid": true,
    })
}

fn scope_type(assignment: &RoleAssignment) -> &'static str {
    if assignment.custom_resource_scope.is_some() {
        "CustomRecipientScope"
    } else if assignment.recipient_group_scope.is_some() {
        "Group"
    } else if assignment.recipient_administrative_unit_scope.is_some() {
        "AdministrativeUnit"
    } else {
        "Organization"
    }
}

fn find_assignment(tenant: &Tenant, identity: &str) -> Result<String, CmdletError> {
    tenant
        .exchange
        .role_assignments
        .iter()
        .find(|(name, assignment)| {
            name.eq_ignore_ascii_case(identity)
                || (identity.parse() == Ok(assignment.guid) && !assignment.guid.is_nil())
        })
        .map(|(name, _)| name.clone())
        .ok_or_else(|| not_found(identity))
}

/// The scope parameters of a call, resolved; at most one of them may be given.
#[derive(Default)]
struct Reach {
    custom: Option<String>,
    group: Option<String>,
    unit: Option<Uuid>,
}

fn reach(call: &Invocation<'_>) -> Result<Reach, CmdletError> {
    let names = [
        "CustomResourceScope",
        "RecipientGroupScope",
        "RecipientAdministrativeUnitScope",
    ];
    let given: Vec<&str> = names
        .into_iter()
        .filter(|name| call.parameters.text(name).is_some())
        .collect();
    if given.len() > 1 {
        return Err(error::PARAMETER_SET.with(&[&given.join(", ")]));
    }
    let mut reach = Reach::default();
    if let Some(scope) = call.parameters.text(names[0]) {
        reach.custom = Some(find_scope(call.tenant, &scope)?);
    }
    if let Some(group) = call.parameters.text(names[1]) {
        let id = identity::group(call.tenant, &group)?;
        reach.group = Some(call.tenant.groups[&id].distinguished_name.clone());
    }
    if let Some(unit) = call.parameters.text(names[2]) {
        let units = call.tenant.exchange.administrative_units.iter();
        let found = units
            .filter(|(id, u)| {
                unit.parse() == Ok(**id) || u.display_name.eq_ignore_ascii_case(&unit)
            })
            .map(|(id, _)| *id)
            .next();
        reach.unit = Some(found.ok_or_else(|| not_found(&unit))?);
    }
    Ok(reach)
}

fn create_assignment(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    customised(call.tenant)?;
    let asked = call.parameters.needed("Role");
    let role = ROLES
        .iter()
        .find(|role| role.eq_ignore_ascii_case(&asked))
        .ok_or_else(|| not_found(&asked))?;
    let app = call.parameters.needed("App");
    let (object_id, _) = identity::principal(call.tenant, &app).ok_or_else(|| not_found(&app))?;
    let reach = reach(call)?;
    let name = match call.parameters.text("Name") {
        Some(name) => name,
        None => unused_name(call.tenant, &format!("{role}-{object_id}")),
    };
    judge_name(&name)?;
    if find_assignment(call.tenant, &name).is_ok() {
        return Err(error::EXISTS.with(&[&name]));
    }
    let assignment = RoleAssignment {
        guid: call.chance.guid(),
        role: (*role).into(),
        app: object_id,
        custom_resource_scope: reach.custom,
        recipient_group_scope: reach.group,
        recipient_administrative_unit_scope: reach.unit,
    };
    let object = shown_assignment(call.tenant, &name, &assignment);
    call.tenant
        .exchange
        .role_assignments
        .insert(name, assignment);
    Ok(Output::one(object))
}

// Cuts a made-up name to its limit and numbers it when it is taken.
fn unused_name(tenant: &Tenant, wanted: &str) -> String {
    let room = NAME_CHARACTERS_MAX - 4;
    let stem: String = wanted.chars().take(room).collect();
    let mut name = stem.clone();
    let mut number = 1;
    while tenant.exchange.role_assignments.contains_key(&name) {
        name = format!("{stem}-{number}");
        number += 1;
    }
    name
}

fn read_assignments(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let tenant = &*call.tenant;
    let all = &tenant.exchange.role_assignments;
    if let Some(identity) = call.parameters.text("Identity") {
        let name = find_assignment(tenant, &identity)?;
        return Ok(Output::one(shown_assignment(tenant, &name, &all[&name])));
    }
    let role = call.parameters.text("Role");
    let assignee = match call.parameters.text("RoleAssignee") {
        Some(who) => match identity::principal(tenant, &who) {
            Some((id, _)) => Some(id),
            None => return Err(not_found(&who)),
        },
        None => None,
    };
    let kind = call.parameters.text("RoleAssigneeType");
    let objects = all
        .iter()
        .filter(|(_, assignment)| {
            role.as_deref()
                .is_none_or(|role| assignment.role.eq_ignore_ascii_case(role))
                && assignee.is_none_or(|id| assignment.app == id)
                && kind
                    .as_deref()
                    .is_none_or(|k| k.eq_ignore_ascii_case("ServicePrincipal"))
        })
        .map(|(name, assignment)| shown_assignment(tenant, name, assignment));
    Ok(Output::all(objects.collect()))
}

fn update_assignment(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let name = find_assignment(call.tenant, &call.parameters.needed("Identity"))?;
    let reach = reach(call)?;
    if let Some(assignment) = call.tenant.exchange.role_assignments.get_mut(&name) {
        assignment.custom_resource_scope = reach.custom;
        assignment.recipient_group_scope = reach.group;
        assignment.recipient_administrative_unit_scope = reach.unit;
    }
    Ok(Output::default())
}

fn remove_assignment(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let name = find_assignment(call.tenant, &call.parameters.needed("Identity"))?;
    call.tenant.exchange.role_assignments.remove(&name);
    Ok(Output::default())
}

// Bypasses the delay of changes: it tells what is configured, not what acts.
fn test(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let tenant = &*call.tenant;
    let wanted = call.parameters.needed("Identity");
    let (id, _) = identity::principal(tenant, &wanted).ok_or_else(|| not_found(&wanted))?;
    let resource = match call.parameters.text("Resource") {
        Some(resource) => Some(identity::mailbox(tenant, &resource)?),
        None => None,
    };
    let held = tenant
        .exchange
        .role_assignments
        .values()
        .filter(|a| a.app == id);
    let objects = held.map(|assignment| {
        let in_scope = match &resource {
            None => "Not Run",
            Some(mailbox) if view::reaches(tenant, assignment, mailbox) => "True",
            Some(_) => "False",
        };
        let scope = assignment
            .custom_resource_scope
            .clone()
            .or_else(|| assignment.recipient_group_scope.clone())
            .or_else(|| {
                let unit = assignment.recipient_administrative_unit_scope?;
                Some(unit.to_string())
            });
        let granted = assignment.role.strip_prefix("Application ");
        json!({
            "RoleName": assignment.role,
            "GrantedPermissions": granted.unwrap_or(&assignment.role),
            "AllowedResourceScope": scope,
            "ScopeType": scope_type(assignment),
            "InScope": in_scope,
        })
    });
    Ok(Output::all(objects.collect()))
}
