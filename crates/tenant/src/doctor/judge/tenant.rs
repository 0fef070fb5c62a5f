//! What Exchange holds, where an administrator's token let us look.

use sendas_exchange::diagnosis::SUSPECTS;
use sendas_exchange::{Certainty, Fix, Method, Roles, catalogue};

use super::{Court, Verdict};
use crate::doctor::facts::{Login, TokenAnswer};

use Certainty::Certain;

/// What is wrong in the tenant, whether or not the way came so far: mending one thing should
/// not uncover the next.
pub(super) fn judge(court: &mut Court<'_>) {
    let facts = court.facts;
    if matches!(facts.login, Login::In) {
        return;
    }
    let state = &facts.exchange;
    if state.is_principal_registered == Some(false) {
        let seen = "Exchange lists no service principal with this client id";
        court.add_suspect("S-PRINCIPAL-MISSING", Certain, seen.to_owned());
    } else if state.is_object_id_right == Some(false) {
        let seen = format!(
            "Exchange's object id is {}; the enterprise application's is {}",
            state.registered_object.as_deref().unwrap_or("another"),
            facts.object_id.as_deref().unwrap_or("not known")
        );
        court.add_suspect("S-PRINCIPAL-OBJECT-ID", Certain, seen);
    }
    if state.is_mailbox_there == Some(false) {
        let seen = "Exchange knows no mailbox with this address".to_owned();
        court.add_suspect("S-MAILBOX-MISSING", Certain, seen);
        return;
    }
    match (state.is_off_for_mailbox, state.is_off_for_organisation) {
        (Some(Some(true)), _) => court.add_entry(
            "S-SMTP-AUTH-OFF-MAILBOX",
            "SmtpClientAuthenticationDisabled of the mailbox is true",
        ),
        (Some(None), Some(true)) => court.add_entry(
            "S-SMTP-AUTH-OFF-TENANT",
            "SmtpClientAuthenticationDisabled of the organisation is true, and the mailbox has no value of its own",
        ),
        _ => {}
    }
    rights(court);
}

fn rights(court: &mut Court<'_>) {
    let facts = court.facts;
    let state = &facts.exchange;
    // Without a registration there is nobody who could hold a right.
    if state.is_principal_registered == Some(false) || state.is_object_id_right == Some(false) {
        return;
    }
    let has_permission = match &facts.token {
        TokenAnswer::Issued(claims) => claims.roles == Roles::SendAsApp,
        _ => facts.directory.is_permission_granted == Some(true),
    };
    let way = facts.way_of_authorization();
    let lacks_access = state.has_full_access == Some(false);
    if way == Method::Rbac && has_permission && lacks_access {
        let seen = "SMTP.SendAsApp is granted beside the role in Exchange, and there is no FullAccess on the mailbox";
        court.add_suspect("S-TOKEN-ROLE-BESIDE-RBAC", Certain, seen.to_owned());
    } else if way == Method::Classic && lacks_access {
        let seen = "Get-MailboxPermission lists no FullAccess of the principal";
        court.add_suspect("S-MAILBOX-RIGHT", Certain, seen.to_owned());
    }
    if way != Method::Rbac {
        return;
    }
    if state.has_role == Some(false) {
        court.add(
            "S-ROLE-MISSING",
            Certain,
            "no role assignment gives the principal Application SMTP.SendAsApp",
        );
    } else if state.is_in_scope == Some(false) {
        let mut seen = "Test-ServicePrincipalAuthorization says InScope: false".to_owned();
        match &state.scope {
            Some(scope) if !scope.is_there => seen.push_str("; the scope itself does not exist"),
            Some(scope) if scope.is_group_there == Some(false) => {
                seen.push_str("; the group of its scope does not exist");
            }
            _ => {}
        }
        court.add_suspect("S-OUT-OF-SCOPE", Certain, seen);
    }
}

impl Court<'_> {
    /// Adds a cause that the diagnosis of a bare refusal knows.
    pub(super) fn add_suspect(&mut self, id: &'static str, certainty: Certainty, seen: String) {
        let suspect = SUSPECTS
            .iter()
            .find(|suspect| suspect.id == id)
            .expect("every rule names a suspect");
        let fix = Fix::command("", suspect.mend);
        self.verdicts.push(Verdict {
            id,
            certainty,
            cause: suspect.cause.to_owned(),
            evidence: vec![seen],
            command: fix.command_for(&self.subjects()),
            remaining: None,
        });
    }

    /// Adds a cause that the catalogue of replies knows.
    fn add_entry(&mut self, id: &'static str, seen: &str) {
        let entry = catalogue::find(id).expect("every rule names a row of the catalogue");
        self.verdicts.push(Verdict {
            id,
            certainty: Certain,
            cause: entry.title.to_owned(),
            evidence: vec![seen.to_owned()],
            command: entry.fix.command_for(&self.subjects()),
            remaining: None,
        });
    }
}
