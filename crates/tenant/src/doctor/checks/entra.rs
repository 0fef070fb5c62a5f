//! Entra ID, and the token.

use std::time::Duration;

use sendas_entra::{Claims, Finding as Claimed, Severity, TokenError};
use sendas_exchange::Method;

use super::checks;
use crate::doctor::cause_of;
use crate::doctor::check::{
    Found, Scene, good_or, is_refused, known, of, ok, problem, waited_for, warning,
};
use crate::doctor::look::service::words;
use crate::plan::reach;

/// A token that takes longer is told.
const SLOW: Duration = Duration::from_secs(3);

/// Octets of a token from which the AUTH line gets long, though the protocol takes it.
const TOKEN_OCTETS_TOLD: usize = 8 * 1024;

/// Whether the token endpoint refused for one of these causes.
fn unless_refused(scene: &Scene<'_>, causes: &[&str], good: &str) -> Found {
    match of(&scene.seen.token)? {
        Ok(_) => Ok(ok(good.to_owned())),
        Err(error) => {
            let codes = error.refusal().map(|refusal| refusal.codes.as_slice());
            let cause = codes
                .unwrap_or_default()
                .iter()
                .find_map(|code| cause_of(*code));
            match cause {
                Some(cause) if causes.contains(&cause) => {
                    let said = error
                        .refusal()
                        .map_or_else(|| words(error), ToString::to_string);
                    Ok(problem(format!("{cause}: {said}")))
                }
                _ => Err("waits for D-ENTRA-03: Entra said something else before".to_owned()),
            }
        }
    }
}

/// What the administrator's view says first, the token request where nobody looked.
fn seen_or_said(
    scene: &Scene<'_>,
    fact: Option<bool>,
    words: (&str, &str),
    causes: &[&str],
) -> Found {
    match fact {
        Some(is_right) => Ok(good_or(is_right, words.0, words.1)),
        None => unless_refused(scene, causes, words.0),
    }
}

fn claims<'a>(scene: &Scene<'a>) -> Result<&'a Claims, String> {
    let claims = scene.issued()?.claims.as_ref();
    claims.ok_or_else(|| "the token is no JWT, and cannot be read".to_owned())
}

/// The first judgement of the token among these.
fn judged(scene: &Scene<'_>, wanted: &[Claimed], good: String) -> Found {
    claims(scene)?;
    let judgements = &scene.issued()?.judgements;
    let first = judgements
        .iter()
        .find(|judgement| wanted.contains(&judgement.finding));
    Ok(match first {
        None => ok(good),
        Some(judgement) if judgement.severity == Severity::Wrong => {
            problem(format!("{}: {}", judgement.meaning, judgement.found))
                .fix(judgement.fix.clone())
        }
        Some(judgement) => warning(judgement.meaning.clone()).fix(judgement.fix.clone()),
    })
}

checks! { CHECKS, Entra:
    "D-ENTRA-01" Network Web ["D-NET-02"] "the tenant exists"
        tests "its OpenID metadata"
        why "the tenant is part of the address that tokens come from"
        fix "write the tenant's id into `tenant` of the principal"
        look |scene| {
            let answer = of(&scene.seen.web)?.answer.as_ref();
            let found = answer.map_err(|_| "waits for D-NET-01: the token endpoint did not answer".to_owned())?;
            Ok(match (found.status, found.is_json) {
                (200, true) => ok(found.tenant_id.clone().unwrap_or_else(|| "it does".to_owned())),
                (400..500, true) => problem(match found.codes.first() {
                    Some(code) => format!("AADSTS{code}"),
                    None => format!("HTTP {}", found.status),
                }),
                _ => return Err("waits for D-NET-02: it is not Entra that answers".to_owned()),
            })
        };
    "D-ENTRA-02" Network Token ["D-ENTRA-01"] "the tenant lives in this cloud"
        tests "the token endpoint does not point to another cloud"
        why "national clouds have their own Entra and Exchange"
        fix "set `cloud` of the principal"
        look |scene| unless_refused(scene, &["S-TENANT-OTHER-CLOUD", "S-TENANT-UNKNOWN", "S-TENANT-COMMON"], "it does");
    "D-ENTRA-03" Token Token ["D-SEC-01", "D-NET-01"] "a token is given"
        tests "one token request with the configured credential"
        why "the token is what lets the principal in"
        fix "sendas token get"
        look |scene| Ok(match waited_for(&scene.seen.token)? {
            Err(late) => problem(late),
            Ok(Ok(issued)) => ok(format!("{} octets, good until {}", issued.octets, issued.expires_at)),
            Ok(Err(error)) => {
                let said = error.refusal().map_or_else(|| words(error), ToString::to_string);
                let is_young = scene.verdicts.first().is_some_and(|verdict| verdict.id == "S-ENTRA-NOT-YET");
                if is_young { warning(said) } else { problem(said) }
            }
        });
    "D-ENTRA-04" Token Token ["D-ENTRA-01"] "the application is known in the tenant"
        tests "the token request, and with an administrator's token the list of applications"
        why "a client id of another tenant, or an object id, is nobody here"
        fix "copy \u{201c}Application (client) ID\u{201d} of the app registration into `client_id`"
        look |scene| seen_or_said(
            scene,
            scene.facts.directory.has_application.filter(|has| *has || scene.facts.directory.has_enterprise_application == Some(false)),
            ("it is", "Entra lists no application with this client id"),
            &["S-APPLICATION-UNKNOWN"],
        );
    "D-ENTRA-05" Token Token ["D-ENTRA-04"] "the application has an enterprise application"
        tests "the token request, and with an administrator's token the list of service principals"
        why "that is who logs in; the registration is its blueprint"
        fix "az ad sp create --id {principal}"
        look |scene| seen_or_said(
            scene,
            scene.facts.directory.has_enterprise_application,
            ("it has", "Entra lists none"),
            &["S-ENTERPRISE-APPLICATION-MISSING"],
        );
    "D-ENTRA-06" Token Token ["D-ENTRA-05"] "sign-in is enabled for it"
        tests "the token request, and with an administrator's token `accountEnabled`"
        why "a disabled application gets no token"
        fix "az ad sp update --id {principal} --set accountEnabled=true"
        look |scene| seen_or_said(
            scene,
            scene.facts.directory.is_enabled,
            ("it is", "`accountEnabled` is false"),
            &["S-APPLICATION-DISABLED"],
        );
    "D-ENTRA-07" Token Token ["D-ENTRA-04"] "the application is no public client"
        tests "the token request, and with an administrator's token `isFallbackPublicClient`"
        why "a public client may not prove itself by a secret or certificate"
        fix "az ad app update --id {principal} --set isFallbackPublicClient=false"
        look |scene| seen_or_said(
            scene,
            scene.facts.directory.is_public.map(|is_public| !is_public),
            ("it is none", "`isFallbackPublicClient` is true"),
            &["S-APPLICATION-PUBLIC"],
        );
    "D-ENTRA-08" Token Token ["D-ENTRA-04"] "the credential is accepted"
        tests "the token request is not refused for secret, certificate or assertion"
        why "what is configured here has to be what the application knows"
        fix "sendas credential rotate"
        look |scene| unless_refused(scene, &[
            "S-SECRET-WRONG", "S-SECRET-ENDED", "S-CERTIFICATE-UNKNOWN", "S-FEDERATION-MISMATCH", "S-CREDENTIAL-LOST", "S-CLOCK",
        ], "it is");
    "D-ENTRA-09" Token Token ["D-ENTRA-08"] "no policy stands in the way"
        tests "the token request is not refused by Conditional Access"
        why "a policy for workload identities can bind the principal to networks"
        fix "read the sign-in logs of service principals in Entra"
        look |scene| unless_refused(scene, &["S-WORKLOAD-POLICY"], "none does");
    "D-ENTRA-10" Token Token ["D-ENTRA-08"] "Exchange Online serves this application"
        tests "the token request is not refused for the resource"
        why "Exchange has to exist in the tenant, and not to be kept for assigned applications"
        fix "look at \u{201c}Assignment required\u{201d} of Office 365 Exchange Online"
        look |scene| unless_refused(scene, &["S-RESOURCE-UNKNOWN", "S-ASSIGNMENT-REQUIRED", "S-SCOPE"], "it does");
    "D-ENTRA-11" Token Token ["D-NET-01"] "Entra is not busy"
        tests "the token request is not answered by 429 or 5xx"
        why "who asks for a token for each message is slowed down"
        fix "wait as long as the answer says"
        look |scene| Ok(match of(&scene.seen.token)? {
            Err(error @ (TokenError::Refused(_) | TokenError::CoolingDown { .. })) if error.is_temporary() => {
                let wait = error.retry_after().map_or(0, |wait| wait.as_secs());
                problem(format!("it wants to be left alone for {wait} s"))
            }
            _ => ok("it is not"),
        });
    "D-ENTRA-12" Token Token ["D-ENTRA-03"] "the token is given quickly"
        tests "the token request takes less than three seconds"
        why "the first message of each hour waits for it"
        fix "look at the proxy, and at the route"
        look |scene| {
            let took = scene.issued()?.took;
            let seen = format!("{} ms", took.as_millis());
            Ok(if took < SLOW { ok(seen) } else { warning(seen) })
        };
    "D-ENTRA-13" Token Token ["D-ENTRA-03"] "the token is for Exchange"
        tests "`aud`"
        why "Exchange refuses a token for Graph by a bare 535"
        fix "sendas token inspect"
        look |scene| judged(scene, &[Claimed::WrongAudience], claims(scene)?.audiences().join(", "));
    "D-ENTRA-14" Token Token ["D-ENTRA-03"] "the token is of the right tenant"
        tests "`tid` against the configured tenant"
        why "a token of another tenant opens no mailbox of this one"
        fix "sendas token inspect"
        look |scene| judged(scene, &[Claimed::WrongTenant], claims(scene)?.tenant_id().unwrap_or("not told").to_owned());
    "D-ENTRA-15" Token Token ["D-ENTRA-03"] "the token is of the right application"
        tests "`appid` against the configured client id"
        why "Exchange knows the principal by it"
        fix "sendas token inspect"
        look |scene| judged(scene, &[Claimed::WrongClient], claims(scene)?.client_id().unwrap_or("not told").to_owned());
    "D-ENTRA-16" Token Token ["D-ENTRA-03"] "the token is in its time"
        tests "`nbf` and `exp` against the local clock"
        why "a token out of its time is refused by a bare 535"
        fix "timedatectl set-ntp true"
        look |scene| judged(scene, &[Claimed::Expired, Claimed::NotYetValid, Claimed::NoExpiry], format!("until {}", scene.issued()?.expires_at));
    "D-ENTRA-17" Token Token ["D-ENTRA-03"] "no user stands behind the token"
        tests "`scp`, `upn`, `idtyp`"
        why "a user's token cannot log in as a shared mailbox"
        fix "sendas token inspect"
        look |scene| judged(scene, &[Claimed::UserToken], "an application's".to_owned());
    "D-ENTRA-18" Token Token ["D-ENTRA-03"] "the token has the permissions that its way needs"
        tests "`roles`: SMTP.SendAsApp on the classic way, nothing on the way of application RBAC"
        why "the classic way needs it, and beside a role in Exchange it brings the check of mailbox rights back"
        fix "az ad app permission admin-consent --id {principal}"
        look |scene| {
            let roles = claims(scene)?.roles();
            let has = roles.contains(&"SMTP.SendAsApp");
            let shown = if roles.is_empty() { "no roles".to_owned() } else { roles.join(", ") };
            Ok(match (scene.facts.way_of_authorization(), has) {
                (Method::Classic, false) => problem(format!("{shown}, where SMTP.SendAsApp is needed")),
                (Method::Rbac, true) => {
                    warning(format!("{shown}, beside a role in Exchange: mailbox rights are checked again"))
                        .fix("take the permission SMTP.SendAsApp away from the application")
                }
                _ => ok(shown),
            })
        };
    "D-ENTRA-19" Token Token ["D-ENTRA-03"] "the token fits the AUTH line"
        tests "its length"
        why "a login line longer than 12,288 octets is refused (RFC 4954 §4)"
        fix "take permissions that nobody needs away from the application"
        look |scene| {
            let octets = scene.issued()?.octets;
            let seen = format!("{octets} octets");
            Ok(if octets < TOKEN_OCTETS_TOLD { ok(seen) } else { warning(seen) })
        };
    "D-ENTRA-20" AdminToken Directory ["D-ENTRA-05"] "the permission is granted, or not needed"
        tests "the grant of SMTP.SendAsApp as Entra lists it"
        why "asking for a permission is not having it: an administrator consents"
        fix "az ad app permission admin-consent --id {principal}"
        look |scene| {
            let facts = &of(&scene.seen.directory)?.facts;
            let is_granted = known(facts.is_permission_granted, "Entra")?;
            Ok(match (scene.facts.way_of_authorization(), is_granted) {
                (Method::Classic, false) => problem("Entra lists no grant of SMTP.SendAsApp"),
                (Method::Rbac, true) => {
                    warning("SMTP.SendAsApp is granted beside a role in Exchange")
                        .fix("take the permission SMTP.SendAsApp away from the application")
                }
                (_, true) => ok("SMTP.SendAsApp is granted"),
                (_, false) => ok("SMTP.SendAsApp is not granted, and not needed"),
            })
        };
    "D-ENTRA-21" AdminToken Directory ["D-ENTRA-05"] "the application may do no more than it needs"
        tests "every application permission besides SMTP.SendAsApp, of any resource"
        why "such a permission reaches every mailbox of the organisation, whatever Exchange's scope says"
        fix "take these permissions away from the application"
        look |scene| {
            let much: Vec<String> = of(&scene.seen.directory)?
                .others
                .iter()
                .map(|one| format!("{} of {}: it may {}", one.value, one.resource, reach(&one.value)))
                .collect();
            Ok(if much.is_empty() { ok("nothing of that kind") } else { warning(much.join("; ")) })
        };
    "D-ENTRA-22" AdminToken Directory ["D-NET-01"] "Exchange exists in the tenant, for every application"
        tests "its enterprise application, and that no assignment is required"
        why "a token for Exchange is not given otherwise"
        fix "az ad sp update --id 00000002-0000-0ff1-ce00-000000000000 --set appRoleAssignmentRequired=false"
        look |scene| {
            let seen = of(&scene.seen.directory)?;
            if seen.has_exchange == Some(false) {
                return Ok(problem("Entra lists no enterprise application of Office 365 Exchange Online"));
            }
            let is_required = known(seen.facts.is_assignment_required, "Entra")?;
            let is_granted = seen.facts.is_permission_granted == Some(true);
            Ok(match (is_required, is_granted || scene.issued().is_ok()) {
                (false, _) => ok("it does"),
                (true, true) => warning("an assignment is required, and this application has one"),
                (true, false) => problem("an assignment is required, and this application has none"),
            })
        };
    "D-ENTRA-23" AdminToken Directory [] "the administrator's token opens Microsoft Graph"
        tests "the lists of applications and service principals"
        why "what Entra holds is read with it, and without it causes there can only be guessed"
        fix "give a token of an administrator of this tenant for Microsoft Graph"
        look |scene| Ok(match &scene.seen.directory {
            Ok(_) => ok("it does"),
            Err(blank) if is_refused(blank) => problem(blank.to_string()),
            Err(blank) => return Err(blank.to_string()),
        });
}
