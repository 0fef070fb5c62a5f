//! What Exchange holds, read with an administrator's token; `Get-` and `Test-` cmdlets only.

use serde_json::Value;

use crate::cmdlet::Cmdlet;
use crate::doctor::facts::ScopeFacts;
use crate::doctor::seen::{Blank, Exchange, Look};
use crate::exchange_admin::{ExchangeAdmin, RoleAssignment};
use crate::trouble::{CallError, Trouble};

/// The role that lets an application send.
const ROLE: &str = "Application SMTP.SendAsApp";

/// Reads everything that the way of one mailbox hangs on.
pub(in crate::doctor) async fn look(
    admin: &ExchangeAdmin,
    client_id: Option<&str>,
    object_id: Option<&str>,
    mailbox: Option<&str>,
) -> Look<Exchange> {
    let wrong = |error: CallError| Blank::from(format!("the administrator's token: {error}"));
    let client_id = client_id.ok_or("waits for D-CFG-07: no client id is known")?;
    let objects: Vec<&str> = object_id.into_iter().collect();
    let (principals, organisation) = tokio::join!(
        admin.principals(client_id, &objects),
        admin.is_submission_off(),
    );
    let principals = principals.map_err(wrong)?;
    let mut seen = Exchange::default();
    let registered: Vec<_> = principals
        .iter()
        .filter(|found| found.app_id.eq_ignore_ascii_case(client_id))
        .collect();
    let right = registered
        .iter()
        .find(|found| object_id.is_some_and(|wanted| found.object_id.eq_ignore_ascii_case(wanted)));
    let principal = right.or_else(|| registered.first()).copied();
    seen.registrations = registered
        .iter()
        .map(|found| found.object_id.clone())
        .collect();
    let state = &mut seen.state;
    state.is_principal_registered = Some(!registered.is_empty());
    state.registered_object = principal.map(|found| found.object_id.clone());
    if object_id.is_some() && principal.is_some() {
        state.is_object_id_right = Some(right.is_some());
    }
    state.is_off_for_organisation = organisation.ok();
    let Some(mailbox) = mailbox else {
        return Ok(seen);
    };
    let get_mailbox = Cmdlet::new("Get-Mailbox").with("Identity", mailbox);
    let assignments = async {
        match principal {
            Some(_) => Some(admin.role_assignments(ROLE).await),
            None => None,
        }
    };
    let scope = async {
        match principal {
            Some(found) => admin
                .is_in_scope(&found.object_id, mailbox, ROLE)
                .await
                .ok()
                .flatten(),
            None => None,
        }
    };
    let (settings, there, access, send_as, assignments, scope) = tokio::join!(
        admin.mailbox(mailbox),
        admin.run(&get_mailbox),
        admin.mailbox_permissions(mailbox),
        admin.recipient_permissions(mailbox),
        assignments,
        scope,
    );
    seen.primary = match &there {
        Ok(rows) => rows.iter().find_map(primary),
        Err(_) => None,
    };
    seen.state.is_mailbox_there = match (&there, &settings) {
        (Ok(rows), _) => Some(!rows.is_empty()),
        (Err(error), _) if error.trouble() == Some(Trouble::NotFound) => Some(false),
        (_, Ok(Some(_))) => Some(true),
        _ => None,
    };
    if let Ok(Some(settings)) = &settings {
        seen.state.is_off_for_mailbox = Some(settings.submission_off);
        seen.primary.get_or_insert_with(|| settings.address.clone());
    }
    if let Some(principal) = principal {
        let holds = |entries: Result<Vec<crate::exchange_admin::PermissionEntry>, CallError>,
                     right: &str| {
            entries.ok().map(|entries| {
                entries.iter().any(|entry| {
                    !entry.denies
                        && principal.is_called(&entry.holder)
                        && entry
                            .rights
                            .iter()
                            .any(|held| held.eq_ignore_ascii_case(right))
                })
            })
        };
        seen.state.has_full_access = holds(access, "FullAccess");
        seen.state.has_send_as = holds(send_as, "SendAs");
    } else {
        seen.state.has_full_access = Some(false);
    }
    if let (Some(principal), Some(Ok(assignments))) = (principal, assignments) {
        let held: Vec<String> = assignments
            .iter()
            .filter(|assignment| {
                assignment
                    .holders
                    .iter()
                    .any(|holder| principal.is_called(holder))
            })
            .map(|assignment| assignment.role.clone())
            .collect();
        seen.state.has_role = Some(!held.is_empty());
        let mine = assignments.iter().find(|assignment| {
            let mut holders = assignment.holders.iter();
            holders.any(|holder| principal.is_called(holder))
        });
        match mine {
            Some(mine) => seen.state.scope = scope_of(admin, mine).await,
            None => seen.state.scopes = scopes(admin).await,
        }
        seen.roles = held;
        seen.state.is_in_scope = match seen.state.has_role {
            Some(false) => Some(false),
            _ => scope,
        };
    } else if principal.is_none() {
        seen.state.has_role = Some(false);
    }
    Ok(seen)
}

/// What an assignment is bound to; none when it is bound to nothing, or nobody says.
async fn scope_of(admin: &ExchangeAdmin, assignment: &RoleAssignment) -> Option<ScopeFacts> {
    let (is_there, group) = match (&assignment.scope, &assignment.other_scope) {
        (Some(name), _) => {
            let found = admin.scope(name).await.ok()?;
            let filter = found.as_ref().map(|scope| scope.filter.as_str());
            (found.is_some(), filter.and_then(group_of))
        }
        (None, Some(group)) => (true, Some(group.clone())),
        (None, None) => return None,
    };
    let is_group_there = match &group {
        Some(group) => admin.group(group).await.ok().map(|found| found.is_some()),
        None => None,
    };
    Some(ScopeFacts {
        name: assignment.scope.clone(),
        is_there,
        group,
        is_group_there,
    })
}

async fn scopes(admin: &ExchangeAdmin) -> Vec<String> {
    let rows = admin.look(&Cmdlet::new("Get-ManagementScope")).await;
    let rows = rows.unwrap_or_default();
    let names = rows.iter().filter_map(|row| row["Name"].as_str());
    names.map(crate::wire::words).collect()
}

/// The group in a filter such as `MemberOfGroup -eq 'CN=…'`.
fn group_of(filter: &str) -> Option<String> {
    let (_, rest) = filter.split_once("MemberOfGroup -eq ")?;
    let quoted = rest.trim_start().strip_prefix('\'')?;
    // A quote inside is written twice.
    let end = quoted.replace("''", "\0\0").find('\'')?;
    Some(quoted[..end].replace("''", "'"))
}

fn primary(row: &Value) -> Option<String> {
    row["PrimarySmtpAddress"].as_str().map(str::to_lowercase)
}
