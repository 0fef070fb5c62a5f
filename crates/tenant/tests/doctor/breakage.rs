//! Everything the chain depends on, broken one at a time.

use sendas_entra::{ClientId, Cloud, Proxy, Tenant};
use sendas_sandbox::Preset;
use sendas_smtp::Reply;
use sendas_smtp::client::Stage as Step;
use sendas_tenant::doctor::Case;
use sendas_tls::{TlsPolicy, Trust};

use crate::stage::{Stage, mailbox, secret};

/// A change of the tenant.
pub(crate) struct Breakage {
    pub(crate) name: &'static str,
    pub(crate) preset: Preset,
    pub(crate) cause: &'static str,
    pub(crate) patches: &'static [&'static str],
}

/// A change of the configuration, of the network, or of an answer.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) preset: Preset,
    pub(crate) cause: &'static str,
    pub(crate) set: fn(&mut Stage, &mut Case),
}

macro_rules! patches {
    ($($preset:ident $cause:literal $name:literal: $($patch:literal),+;)*) => {
        pub(crate) const PATCHES: &[Breakage] = &[$(Breakage {
            name: $name, preset: Preset::$preset, cause: $cause, patches: &[$($patch),+],
        }),*];
    };
}

patches! {
    Classic "S-SECRET-WRONG" "secret removed": r#"{"applications":{"REGISTRATION":{"secrets":{"SECRET":null}}}}"#;
    Classic "S-SECRET-ENDED" "secret expired": r#"{"applications":{"REGISTRATION":{"secrets":{"SECRET":{"ends":"2020-01-01T00:00:00Z"}}}}}"#;
    Classic "S-SECRET-WRONG" "secret of the future": r#"{"applications":{"REGISTRATION":{"secrets":{"SECRET":{"starts":"2098-01-01T00:00:00Z","ends":"2099-01-01T00:00:00Z"}}}}}"#;
    Classic "S-ENTERPRISE-APPLICATION-MISSING" "enterprise application missing": r#"{"service_principals":{"PRINCIPAL":null},"app_role_assignments":{"CONSENT":null},"exchange":{"service_principals":{"PRINCIPAL":null}}}"#;
    Classic "S-APPLICATION-DISABLED" "sign-in disabled": r#"{"service_principals":{"PRINCIPAL":{"enabled":false}}}"#;
    Classic "S-APPLICATION-PUBLIC" "public client": r#"{"applications":{"REGISTRATION":{"public_client":true}}}"#;
    Classic "S-APPLICATION-UNKNOWN" "application deleted": r#"{"applications":{"REGISTRATION":null},"service_principals":{"PRINCIPAL":null},"app_role_assignments":{"CONSENT":null}}"#;
    Classic "S-WORKLOAD-POLICY" "policy for workload identities": r#"{"policies":{"blocked_service_principals":["PRINCIPAL"]}}"#;
    Classic "S-TOKEN-NO-ROLE" "consent missing": r#"{"app_role_assignments":{"CONSENT":null}}"#;
    Classic "S-TOKEN-NO-ROLE" "consent to another permission": r#"{"app_role_assignments":{"CONSENT":{"app_role_id":"OTHERROLE"}}}"#;
    Classic "S-PRINCIPAL-MISSING" "not registered in Exchange": r#"{"exchange":{"service_principals":{"PRINCIPAL":null}}}"#;
    Classic "S-PRINCIPAL-OBJECT-ID" "registered with the registration's id": r#"{"exchange":{"service_principals":{"PRINCIPAL":null,"REGISTRATION":{"app_id":"CLIENT"}}}}"#;
    Classic "S-PRINCIPAL-MISSING" "registered under another client id": r#"{"exchange":{"service_principals":{"PRINCIPAL":{"app_id":"99999999-2222-3333-4444-555555555555"}}}}"#;
    Classic "S-MAILBOX-RIGHT" "no right on the mailbox": r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"full_access":[],"send_as":[]}}}}"#;
    Classic "S-MAILBOX-RIGHT" "SendAs without FullAccess": r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"full_access":[]}}}}"#;
    Classic "S-SMTP-AUTH-OFF-MAILBOX" "switched off for the mailbox": r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"smtp_client_authentication_disabled":true}}}}"#;
    Classic "S-SMTP-AUTH-OFF-TENANT" "switched off for the organisation": r#"{"exchange":{"transport":{"smtp_client_authentication_disabled":true},"mailboxes":{"noreply@contoso.onmicrosoft.com":{"smtp_client_authentication_disabled":null}}}}"#;
    Classic "S-MAILBOX-MISSING" "mailbox deleted": r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":null}}}"#;
    Classic "S-STARTTLS-MISSING" "no STARTTLS": r#"{"behaviour":{"ehlo_without":["STARTTLS"]}}"#;
    Classic "S-XOAUTH2-MISSING" "no AUTH": r#"{"behaviour":{"ehlo_without":["AUTH"]}}"#;
    Classic "S-TLS-TOO-OLD" "TLS called too old": r#"{"behaviour":{"tls_too_old":true}}"#;
    Classic "S-PROPAGATING" "right granted a moment ago": r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"full_access":[],"send_as":[]}}}}"#, r#"{"propagation_s":{"permission":3600}}"#, r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"full_access":["PRINCIPAL"],"send_as":["PRINCIPAL"]}}}}"#;
    Rbac "S-ROLE-MISSING" "no role assignment": r#"{"exchange":{"role_assignments":{"smtp-sender":null}}}"#;
    Rbac "S-ROLE-MISSING" "another role": r#"{"exchange":{"role_assignments":{"smtp-sender":{"role":"Application Mail.Send"}}}}"#;
    Rbac "S-OUT-OF-SCOPE" "not in the group": r#"{"groups":{"GROUP":{"members":["printer@contoso.onmicrosoft.com"]}}}"#;
    Rbac "S-OUT-OF-SCOPE" "scope of another group": r#"{"exchange":{"scopes":{"smtp-senders":{"recipient_filter":"MemberOfGroup -eq 'CN=others,DC=COM'"}}}}"#;
    Rbac "S-OUT-OF-SCOPE" "scope deleted": r#"{"exchange":{"scopes":{"smtp-senders":null}}}"#;
    Rbac "S-OUT-OF-SCOPE" "group deleted": r#"{"groups":{"GROUP":null}}"#;
    Rbac "S-OUT-OF-SCOPE" "in a group of the group": r#"{"groups":{"GROUP":{"members":["66666666-2222-3333-4444-555555555555"]},"66666666-2222-3333-4444-555555555555":{"display_name":"inner","mail":"inner@contoso.onmicrosoft.com","distinguished_name":"CN=inner,DC=COM","members":["noreply@contoso.onmicrosoft.com"]}}}"#;
    Rbac "S-ROLE-MISSING" "assignment of another principal": r#"{"exchange":{"service_principals":{"99999999-2222-3333-4444-555555555556":{"app_id":"99999999-2222-3333-4444-555555555555"}},"role_assignments":{"smtp-sender":{"app":"99999999-2222-3333-4444-555555555556"}}}}"#;
    Rbac "S-ASSIGNMENT-REQUIRED" "assignment required": r#"{"service_principals":{"EXCHANGE":{"assignment_required":true}}}"#;
    Rbac "S-TOKEN-ROLE-BESIDE-RBAC" "permission beside the role": r#"{"app_role_assignments":{"77777777-2222-3333-4444-555555555555":{"principal_id":"PRINCIPAL","resource_id":"EXCHANGE","app_role_id":"SENDASAPP"}}}"#;
    Rbac "S-PRINCIPAL-MISSING" "not registered in Exchange": r#"{"exchange":{"service_principals":{"PRINCIPAL":null},"role_assignments":{"smtp-sender":null}}}"#;
    Rbac "S-PRINCIPAL-OBJECT-ID" "registered with the registration's id": r#"{"exchange":{"service_principals":{"PRINCIPAL":null,"REGISTRATION":{"app_id":"CLIENT"}},"role_assignments":{"smtp-sender":{"app":"REGISTRATION"}}}}"#;
    Rbac "S-SMTP-AUTH-OFF-MAILBOX" "switched off for the mailbox": r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"smtp_client_authentication_disabled":true}}}}"#;
    Rbac "S-SMTP-AUTH-OFF-TENANT" "switched off for the organisation": r#"{"exchange":{"transport":{"smtp_client_authentication_disabled":true},"mailboxes":{"noreply@contoso.onmicrosoft.com":{"smtp_client_authentication_disabled":null}}}}"#;
    Rbac "S-MAILBOX-MISSING" "mailbox deleted": r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":null}}}"#;
    Rbac "S-SECRET-ENDED" "secret expired": r#"{"applications":{"REGISTRATION":{"secrets":{"SECRET":{"ends":"2020-01-01T00:00:00Z"}}}}}"#;
    Rbac "S-APPLICATION-DISABLED" "sign-in disabled": r#"{"service_principals":{"PRINCIPAL":{"enabled":false}}}"#;
    Rbac "S-PROPAGATING" "role given a moment ago": r#"{"exchange":{"role_assignments":{"smtp-sender":{"role":"Application Mail.Send"}}}}"#, r#"{"propagation_s":{"rbac":3600}}"#, r#"{"exchange":{"role_assignments":{"smtp-sender":{"role":"Application SMTP.SendAsApp"}}}}"#;
}

macro_rules! settings {
    ($($preset:ident $cause:literal $name:literal: $set:expr;)*) => {
        pub(crate) const SETTINGS: &[Setting] = &[$(Setting {
            name: $name, preset: Preset::$preset, cause: $cause, set: $set,
        }),*];
    };
}

settings! {
    Classic "S-APPLICATION-UNKNOWN" "client id of nobody": |_, case| {
        subject(case).client_id = Some(ClientId::parse("11111111-2222-3333-4444-555555555555").unwrap());
    };
    Classic "S-APPLICATION-UNKNOWN" "client id of zeros": |_, case| {
        subject(case).client_id = Some(ClientId::parse("00000000-0000-0000-0000-000000000000").unwrap());
    };
    Classic "S-TENANT-UNKNOWN" "tenant of nobody": |_, case| {
        subject(case).tenant = Some(Tenant::parse("nobody.example").unwrap());
    };
    Classic "S-TENANT-OTHER-CLOUD" "tenant of another cloud": |stage, case| {
        let patch = r#"{"policies":{"other_clouds":{"gov.example":"microsoftonline.us"}}}"#;
        stage.sandbox.patch(&serde_json::from_str(patch).unwrap()).unwrap();
        subject(case).tenant = Some(Tenant::parse("gov.example").unwrap());
    };
    Classic "S-SECRET-WRONG" "secret mistyped": |_, case| {
        subject(case).credential = Ok(secret("zzzmistyped~mistyped~mistyped~mistyped"));
    };
    Classic "S-SECRET-ID" "id of the secret": |_, case| {
        subject(case).credential = Ok(secret("0b7c8a52-31c5-4b0e-9a33-6a3a3f1d2c11"));
    };
    Classic "S-CREDENTIAL-UNREADABLE" "no credential": |_, case| {
        subject(case).credential = Err("cannot read none.pem".into());
    };
    Classic "S-MAILBOX-MISSING" "mailbox misspelt": |_, case| {
        subject(case).mailbox = Some(mailbox("nobody@contoso.onmicrosoft.com"));
    };
    Classic "S-MAILBOX-RIGHT" "mailbox of somebody else": |stage, case| {
        let patch = r#"{"exchange":{"mailboxes":{"megan@contoso.onmicrosoft.com":{"smtp_client_authentication_disabled":false}}}}"#;
        stage.sandbox.patch(&serde_json::from_str(patch).unwrap()).unwrap();
        subject(case).mailbox = Some(mailbox("megan@contoso.onmicrosoft.com"));
    };
    Classic "S-MAILBOX-UNCOVERED" "mailbox that is not covered": |_, case| subject(case).is_covered = false;
    Classic "S-MAILBOX-UNNAMED" "no mailbox": |_, case| subject(case).mailbox = None;
    Classic "S-CONFIGURATION" "configuration with errors": |_, case| {
        case.configuration.errors.push("sendas.toml:3: unknown key".into());
        case.subject = None;
    };
    Classic "S-NOTHING-CONFIGURED" "no configuration": |_, case| {
        case.configuration.principals.clear();
        case.subject = None;
    };
    Classic "S-ENTRA-UNREACHABLE" "authority that is closed": |stage, case| {
        cloud(stage, case, |toml| replace(toml, "authority", "\"https://127.0.0.1:9\""));
    };
    Classic "S-ENTRA-UNREACHABLE" "authority that is silent": |stage, _| {
        stage.fault(r#"{"at":"metadata","effect":{"kind":"stall"}}"#);
        stage.fault(r#"{"at":"token","effect":{"kind":"stall"}}"#);
    };
    Classic "S-ENTRA-UNREACHABLE" "token request that is not answered": |stage, _| {
        stage.fault(r#"{"at":"token","effect":{"kind":"stall"}}"#);
    };
    Classic "S-AUTH-DEFERRED" "AUTH later than the deadline": |stage, _| {
        stage.fault(r#"{"at":"auth","effect":{"kind":"delay","ms":30000}}"#);
    };
    Classic "S-NAME-UNRESOLVED" "authority without address": |stage, case| {
        cloud(stage, case, |toml| replace(toml, "authority", "\"https://login.invalid\""));
    };
    Classic "S-SERVICE-UNREACHABLE" "submission port closed": |stage, case| {
        cloud(stage, case, |toml| {
            let start = toml.find("port").unwrap();
            let rest = &toml[start..];
            let end = rest.find(['\n', '}', ',']).unwrap();
            format!("{}port = 9{}", &toml[..start], &rest[end..])
        });
    };
    Classic "S-TLS-UNTRUSTED" "CA that is not known": |_, case| {
        let other = sendas_tls::Authority::from_pem(OTHER_CA.as_bytes()).unwrap();
        subject(case).tls = TlsPolicy::new(Trust::Only(vec![other]));
    };
    Classic "S-PROXY-REFUSED" "proxy that is closed": |_, case| {
        let environment: sendas_entra::Environment =
            [("HTTPS_PROXY", "http://127.0.0.1:9")].into_iter().collect();
        subject(case).proxy = Ok(Proxy::from_environment(&environment).unwrap());
        // A loopback host is reached past any proxy.
        subject(case).cloud = Cloud::global();
    };
    Classic "S-ENTRA-BUSY" "throttled": |stage, _| stage.fault(r#"{"at":"token","effect":{"kind":"throttle","retry_after_s":30}}"#);
    Classic "S-STRANGER-ANSWERS" "a page instead of a token": |stage, _| {
        stage.fault(r#"{"at":"token","effect":{"kind":"answer","status":200,"body":"<html>sign in</html>"}}"#);
    };
    Classic "S-RESOURCE-UNKNOWN" "Exchange not in the tenant": |stage, _| aadsts(stage, 500_011);
    Classic "S-SCOPE" "scope": |stage, _| aadsts(stage, 70_011);
    Classic "S-CREDENTIAL-LOST" "credential lost on the way": |stage, _| aadsts(stage, 7_000_218);
    Classic "S-CONSENT-USER" "user's consent": |stage, _| aadsts(stage, 65_001);
    Classic "S-ENTRA-REFUSED" "unheard-of number": |stage, _| aadsts(stage, 1);
    Classic "S-SERVICE-UNAVAILABLE" "service busy": |stage, _| {
        stage.fault(r#"{"at":"greeting","effect":{"kind":"reply","code":421,"text":"4.3.2 Service not available"}}"#);
    };
    Classic "S-CONNECTION-LOST" "connection lost at AUTH": |stage, _| stage.fault(r#"{"at":"auth","effect":{"kind":"close"}}"#);
    Classic "S-CONDITIONAL-ACCESS" "policy at AUTH": |stage, _| {
        stage.fault(r#"{"at":"auth","effect":{"kind":"reply","code":535,"text":"5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator."}}"#);
    };
    Classic "S-MAILBOX-FULL" "a reply seen elsewhere": |_, case| {
        case.reply = Some((Step::End, Reply::new(554, "5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded")));
    };
    Rbac "S-OUT-OF-SCOPE" "mailbox outside of the scope": |stage, case| {
        let patch = r#"{"exchange":{"mailboxes":{"megan@contoso.onmicrosoft.com":{"smtp_client_authentication_disabled":false}}}}"#;
        stage.sandbox.patch(&serde_json::from_str(patch).unwrap()).unwrap();
        subject(case).mailbox = Some(mailbox("megan@contoso.onmicrosoft.com"));
    };
    Rbac "S-CLOCK" "clock an hour behind": |stage, _| {
        stage.sandbox.advance(std::time::Duration::from_hours(1));
    };
}

/// A CA of nobody; the certificate of a test that was run once.
const OTHER_CA: &str = include_str!("other-ca.pem");

pub(crate) fn subject(case: &mut Case) -> &mut sendas_tenant::doctor::Subject {
    case.subject.as_mut().unwrap()
}

fn aadsts(stage: &Stage, code: u32) {
    stage.fault(&format!(
        r#"{{"at":"token","effect":{{"kind":"aadsts","code":{code},"error":"invalid_request"}}}}"#
    ));
}

/// Another cloud file.
fn cloud(stage: &Stage, case: &mut Case, change: impl Fn(&str) -> String) {
    let folder = stage.sandbox.folder();
    let toml = std::fs::read_to_string(folder.join("cloud.toml")).unwrap();
    subject(case).cloud = Cloud::from_toml(&change(&toml), folder).unwrap();
}

/// Replaces the value of a key at the beginning of a line.
fn replace(toml: &str, key: &str, value: &str) -> String {
    toml.lines()
        .map(|line| match line.strip_prefix(key) {
            Some(rest) if rest.trim_start().starts_with('=') => format!("{key} = {value}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}
