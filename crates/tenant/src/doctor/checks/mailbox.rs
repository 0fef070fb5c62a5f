//! The mailbox.

use sendas_exchange::Method;

use super::checks;
use crate::doctor::check::{good_or, known, of, ok, problem, warning};
use crate::doctor::judge::fitted;
use crate::doctor::seen::Logged;

checks! { CHECKS, Mailbox:
    "D-MBX-01" AdminToken Exchange ["D-EXO-06", "D-CFG-08"] "the address is that of a mailbox"
        tests "Get-Mailbox"
        why "nobody can log in as a group, a contact or a misspelt address"
        fix "Get-Recipient -Identity {mailbox}"
        look |scene| {
            let state = &of(&scene.seen.exchange)?.state;
            Ok(good_or(known(state.is_mailbox_there, "Exchange")?, "it is", "Exchange knows no mailbox with this address"))
        };
    "D-MBX-02" AdminToken Exchange ["D-MBX-01"] "the address is the mailbox's first"
        tests "PrimarySmtpAddress against the configured address"
        why "an alias logs in, and then counts, copies and refusals appear under another name"
        fix "write the primary address as `mailbox`"
        look |scene| {
            let seen = of(&scene.seen.exchange)?;
            let primary = seen.primary.as_deref().ok_or("waits for D-MBX-01: there is no mailbox")?;
            let mine = scene.facts.mailbox.as_deref().unwrap_or_default();
            Ok(if primary.eq_ignore_ascii_case(mine) { ok("it is") } else { warning(format!("the first is {primary}")) })
        };
    "D-MBX-03" AdminToken Exchange ["D-MBX-01"] "SMTP AUTH is on for the mailbox"
        tests "SmtpClientAuthenticationDisabled of Get-CASMailbox, and the organisation's where it has none"
        why "the switch holds for tokens as it does for passwords"
        fix "Set-CASMailbox -Identity {mailbox} -SmtpClientAuthenticationDisabled $false"
        look |scene| {
            let state = &of(&scene.seen.exchange)?.state;
            let own = state.is_off_for_mailbox.ok_or("waits for D-MBX-01: there is no mailbox")?;
            Ok(match (own, state.is_off_for_organisation) {
                (Some(false), _) => ok("the mailbox says so"),
                (Some(true), _) => problem("the mailbox's own value is off"),
                (None, Some(false)) => ok("the organisation says so"),
                (None, Some(true)) => problem("the organisation's value is off, and the mailbox has none of its own"),
                (None, None) => return Err("Exchange did not say the organisation's value".to_owned()),
            })
        };
    "D-MBX-04" AdminToken Exchange ["D-MBX-01", "D-EXO-08"] "the principal has FullAccess, or needs none"
        tests "Get-MailboxPermission"
        why "with SMTP.SendAsApp in the token, the mailbox's own permissions are checked"
        fix "Add-MailboxPermission -Identity {mailbox} -User {object} -AccessRights FullAccess"
        look |scene| {
            let state = &of(&scene.seen.exchange)?.state;
            let has = known(state.has_full_access, "Exchange")?;
            let way = scene.facts.way_of_authorization();
            let has_permission = scene.facts.directory.is_permission_granted == Some(true);
            Ok(match (has, way) {
                (true, _) => ok("it has"),
                (false, Method::Classic) => problem("it has none"),
                (false, Method::Rbac) if has_permission => problem("it has none, and SMTP.SendAsApp asks for it"),
                (false, _) => ok("it has none, and needs none"),
            })
        };
    "D-MBX-05" AdminToken Exchange ["D-MBX-01", "D-EXO-08"] "the principal may send as the mailbox"
        tests "Get-RecipientPermission"
        why "on the classic way, granting SendAs beside FullAccess is the safe form"
        fix "Add-RecipientPermission -Identity {mailbox} -Trustee {object} -AccessRights SendAs -Confirm:$false"
        look |scene| {
            let state = &of(&scene.seen.exchange)?.state;
            let has = known(state.has_send_as, "Exchange")?;
            Ok(match (has, scene.facts.way_of_authorization()) {
                (true, _) => ok("it has SendAs"),
                (false, Method::Rbac) => ok("it has no SendAs, and needs none"),
                (false, _) => warning("it has no SendAs"),
            })
        };
    "D-MBX-06" AdminToken Exchange ["D-MBX-01", "D-EXO-09"] "the mailbox is in scope, or no scope counts"
        tests "Test-ServicePrincipalAuthorization"
        why "a role reaches the mailboxes of its scope; a group counts its direct members only"
        fix "Add-DistributionGroupMember -Identity <group> -Member {mailbox}"
        look |scene| {
            let state = &of(&scene.seen.exchange)?.state;
            if scene.facts.way_of_authorization() == Method::Classic {
                return Ok(ok("no scope counts on the classic way"));
            }
            if state.has_role == Some(false) {
                return Err("waits for D-EXO-09: there is no role".to_owned());
            }
            let fix = fitted("S-OUT-OF-SCOPE", scene.facts);
            let found = good_or(known(state.is_in_scope, "Exchange")?, "it is", "Exchange says that it is not");
            Ok(match fix {
                Some(fix) => found.fix(fix),
                None => found,
            })
        };
    "D-MBX-07" Token Login ["D-EXO-02"] "the answer is no quota and no block"
        tests "the reply to AUTH"
        why "a mailbox that sends too much is refused for a while, whatever it may do"
        fix "see what else sends as {mailbox}"
        look |scene| Ok(match of(&scene.seen.login)? {
            Logged::Refused(reply) if reply.is_temporary() => problem(reply.to_string()),
            Logged::Broken(words) => return Err(words.clone()),
            _ => ok("it is none"),
        });
}
