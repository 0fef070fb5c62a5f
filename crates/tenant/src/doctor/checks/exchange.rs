//! Exchange Online.

use super::checks;
use crate::doctor::check::{is_refused, known, of, ok, problem, waited_for, warning};
use crate::doctor::facts::Facts;
use crate::doctor::judge::{fitted, minutes, remaining};
use crate::doctor::limits::AUTH;
use crate::doctor::seen::Logged;

/// The largest message that Exchange Online announces, in octets (observed).
const SIZE_OCTETS: u64 = 157_286_400;

/// Whether authorization hangs on a role in Exchange.
fn hangs_on_role(facts: &Facts) -> bool {
    facts.way_of_authorization() == sendas_exchange::Method::Rbac
}

checks! { CHECKS, Exchange:
    "D-EXO-01" Network Service ["D-TLS-03"] "XOAUTH2 is offered"
        tests "the AUTH line inside TLS"
        why "a token is presented by nothing else"
        fix "compare the host's name with smtp.office365.com"
        look |scene| {
            let offered = of(&scene.seen.service)?.capabilities.as_ref();
            let offered = offered.ok_or("waits for D-TLS-03: nothing was offered inside TLS")?;
            let shown = format!("AUTH {}", offered.auth.join(" "));
            Ok(if offered.offers_auth("XOAUTH2") { ok(shown) } else { problem(shown) })
        };
    "D-EXO-02" Token Login ["D-ENTRA-03", "D-EXO-01", "D-CFG-08"] "the principal may log in as the mailbox"
        tests "AUTH, and nothing after it"
        why "this is the answer that everything else leads to"
        fix "see the cause above"
        look |scene| Ok(match waited_for(&scene.seen.login)? {
            Err(late) => warning(format!("{late}; Exchange may take {} s over it", AUTH.as_secs()))
                .fix("ask again, then see the whole dialogue: sendas probe --quit-after auth"),
            Ok(Logged::In) => ok("235: it may"),
            Ok(Logged::Broken(words)) => problem(words.clone()),
            Ok(Logged::Refused(reply)) => {
                let first = scene.verdicts.first();
                match first.and_then(|verdict| verdict.remaining) {
                    Some(left) => warning(format!("not effective yet, for {} at most: {reply}", minutes(left)))
                        .fix("wait, then ask again: sendas doctor"),
                    None => problem(match first {
                        Some(verdict) => format!("{}: {reply}", verdict.id),
                        None => reply.to_string(),
                    }),
                }
            }
        });
    "D-EXO-03" Network Service ["D-EXO-01"] "large messages are taken"
        tests "SIZE is 157,286,400 or more, as Exchange Online announces"
        why "a smaller number is that of a device in between"
        fix "sendas probe --quit-after secure-ehlo"
        look |scene| {
            let offered = of(&scene.seen.service)?.capabilities.as_ref();
            let offered = offered.ok_or("waits for D-TLS-03: nothing was offered inside TLS")?;
            Ok(match offered.size_octets_max() {
                Some(octets) if octets >= SIZE_OCTETS => ok(format!("{octets} octets")),
                Some(octets) => warning(format!("{octets} octets")),
                None => warning("no size is told"),
            })
        };
    "D-EXO-04" Network Service ["D-EXO-01"] "messages travel in one flight, octet by octet"
        tests "PIPELINING, CHUNKING and 8BITMIME are offered"
        why "without them each message takes more round trips; a device in between takes such lines out"
        fix "sendas probe --quit-after secure-ehlo"
        look |scene| {
            let offered = of(&scene.seen.service)?.capabilities.as_ref();
            let offered = offered.ok_or("waits for D-TLS-03: nothing was offered inside TLS")?;
            let missing: Vec<&str> = [("PIPELINING", offered.pipelining), ("CHUNKING", offered.chunking), ("8BITMIME", offered.eightbitmime)]
                .into_iter()
                .filter_map(|(name, is_there)| (!is_there).then_some(name))
                .collect();
            Ok(if missing.is_empty() { ok("all three") } else { warning(format!("{} missing", missing.join(", "))) })
        };
    "D-EXO-05" Nothing Given [] "the last change is effective"
        tests "the time of the last change of rights or registration is two hours past"
        why "changes take up to 90 minutes, in both directions: a refusal before proves nothing"
        fix "wait, then ask again: sendas doctor"
        look |scene| {
            let age = scene.facts.last_change_age;
            let age = age.ok_or("nobody said when it was: --state or --changed-at does")?;
            Ok(match remaining(age) {
                None => ok(format!("it is {} old", minutes(age))),
                Some(left) => warning(format!("it is {} old and may take {} more", minutes(age), minutes(left))),
            })
        };
    "D-EXO-06" AdminToken Exchange [] "the administrator's token opens Exchange"
        tests "Get-ServicePrincipal"
        why "everything below is read with it"
        fix "give a token of an Exchange administrator for Exchange's own resource"
        look |scene| Ok(match &scene.seen.exchange {
            Ok(_) => ok("it does"),
            Err(blank) if is_refused(blank) => problem(blank.to_string()),
            Err(blank) => return Err(blank.to_string()),
        });
    "D-EXO-07" AdminToken Exchange ["D-EXO-06"] "Exchange has a service principal for the application"
        tests "Get-ServicePrincipal by the client id"
        why "Entra's enterprise application is not known to Exchange by itself"
        fix "New-ServicePrincipal -AppId {principal} -ObjectId {object}"
        look |scene| {
            let seen = of(&scene.seen.exchange)?;
            Ok(match seen.registrations.as_slice() {
                [] => problem("Exchange lists none"),
                [one] => ok(one.clone()),
                several => warning(format!("{} are registered under one client id", several.len()))
                    .fix("Remove-ServicePrincipal -Identity <the wrong object id>"),
            })
        };
    "D-EXO-08" AdminToken Exchange ["D-EXO-07"] "its object id is the enterprise application's"
        tests "ObjectId of Get-ServicePrincipal against the token's `oid`"
        why "the object id of the app registration looks alike, and is the commonest mistake; it cannot be changed afterwards"
        fix "Remove-ServicePrincipal -Identity {principal}; New-ServicePrincipal -AppId {principal} -ObjectId {object}"
        look |scene| {
            let state = &of(&scene.seen.exchange)?.state;
            let is_right = state.is_object_id_right.ok_or("waits for D-EXO-07, or for the token's `oid`")?;
            let shown = state.registered_object.clone().unwrap_or_default();
            Ok(if is_right { ok(shown) } else {
                problem(format!("{shown}, where {} is needed", scene.facts.object_id.as_deref().unwrap_or("another")))
            })
        };
    "D-EXO-09" AdminToken Exchange ["D-EXO-07"] "the principal holds the role it needs"
        tests "Get-ManagementRoleAssignment for Application SMTP.SendAsApp"
        why "on the way of application RBAC nothing else lets it in"
        fix "New-ManagementRoleAssignment -App {object} -Role 'Application SMTP.SendAsApp' -CustomResourceScope <scope>"
        look |scene| {
            let seen = of(&scene.seen.exchange)?;
            let has = known(seen.state.has_role, "Exchange")?;
            Ok(match (hangs_on_role(scene.facts), has) {
                (false, true) if scene.facts.directory.is_permission_granted == Some(true) => {
                    warning(format!("{}, besides SMTP.SendAsApp: grants add up, so it reaches more than the mailboxes granted one by one", seen.roles.join(", ")))
                        .fix("Get-ManagementRoleAssignment -Role 'Application SMTP.SendAsApp', then Remove-ManagementRoleAssignment the one of this principal")
                }
                (_, true) => ok(seen.roles.join(", ")),
                (true, false) => {
                    let found = problem("no assignment gives it the role");
                    match fitted("S-ROLE-MISSING", scene.facts) {
                        Some(fix) => found.fix(fix),
                        None => found,
                    }
                }
                (false, false) => ok("none, and none is needed"),
            })
        };
    "D-EXO-10" AdminToken Exchange ["D-EXO-06"] "the organisation's switch is known"
        tests "SmtpClientAuthenticationDisabled of Get-TransportConfig"
        why "it counts for mailboxes without a value of their own; off is the safer value"
        fix "Set-TransportConfig -SmtpClientAuthenticationDisabled $true"
        look |scene| {
            let state = &of(&scene.seen.exchange)?.state;
            let is_off = known(state.is_off_for_organisation, "Exchange")?;
            Ok(ok(if is_off { "SMTP AUTH is off, except where a mailbox says otherwise" } else { "SMTP AUTH is on for every mailbox without a value of its own" }))
        };
}
