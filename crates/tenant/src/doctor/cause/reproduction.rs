//! How each cause can be seen in the sandbox.

use sendas_exchange::{catalogue, explain};
use sendas_smtp::client::Stage;

/// How a cause comes about in the sandbox, and the command that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reproduction {
    /// The kind of tenant.
    pub tenant: &'static str,
    /// What is changed, in this order.
    pub steps: Vec<Step>,
    /// What names the cause.
    pub run: Run,
}

/// One change. Names in capitals stand for ids of `GET tenant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A merge patch for `PATCH tenant`.
    Patch(&'static str),
    /// A fault for `POST faults`.
    Fault(&'static str),
    /// A fault with a reply's own words, for `POST faults`.
    Reply(serde_json::Value),
    /// A change of the clock for `POST clock`.
    Clock(&'static str),
    /// A variable of the command's environment, as `NAME=value`.
    Variable(&'static str),
    /// A file where the command runs: its name and its text.
    File(&'static str, &'static str),
    /// A key of the sandbox's `cloud.toml`, and its new value: a text, or a table in braces.
    Cloud(&'static str, &'static str),
    /// A key of the sandbox's `cloud.toml` that is taken out.
    CloudWithout(&'static str),
    /// Something to do by hand.
    Words(&'static str),
}

/// The command that names the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// `sendas doctor` with these options.
    Doctor(&'static str),
    /// `sendas doctor` with an administrator's tokens.
    Examined,
    /// `sendas send` with these options and a text of its own.
    Send(&'static str),
    /// `sendas send` with these options and the message in this file.
    Sent(&'static str, &'static str),
}

/// Causes that nothing but the bare refusal shows: the doctor names them among others.
pub const AMONG: &[&str] = &["S-SECURITY-DEFAULTS-TOKEN"];

const DOCTOR: Run = Run::Doctor("");
const EXAMINED: Run = Run::Examined;
const SEND: Run = Run::Send("--from noreply@contoso.onmicrosoft.com --to a@example.com");
/// The way to see a cause in the sandbox.
pub fn reproduction(id: &str) -> Reproduction {
    match TABLE.iter().find(|(known, ..)| *known == id) {
        Some((_, tenant, steps, run)) => Reproduction {
            tenant,
            steps: steps.to_vec(),
            run: *run,
        },
        None => reply(id),
    }
}

/// A reply that no change of the tenant brings about: laid as a fault with its own words.
fn reply(id: &str) -> Reproduction {
    let entry = catalogue::find(id);
    let (stage, code, text) = match (entry, unlisted(id)) {
        (Some(entry), _) => {
            let sample = entry.samples.first().copied().unwrap_or_default();
            let (code, text) = sample.split_at_checked(3).unwrap_or_default();
            let stage = entry.stages.last().copied().unwrap_or(Stage::End);
            (
                stage,
                code.parse().unwrap_or(550),
                text.trim_start_matches([' ', '-']),
            )
        }
        (None, Some((stage, code))) => (stage, code, "something that nobody has heard of"),
        (None, None) => (Stage::End, 550, "something that nobody has heard of"),
    };
    let at = match stage {
        Stage::Auth => "auth",
        Stage::Mail => "mail",
        Stage::Rcpt => "rcpt",
        stage if stage < Stage::Auth => "greeting",
        _ => "end",
    };
    let fault = serde_json::json!({
        "at": at, "effect": { "kind": "reply", "code": code, "text": text },
    });
    Reproduction {
        tenant: "classic",
        steps: vec![Step::Reply(fault)],
        // Behind the bare refusal the doctor looks for what it stands for.
        run: if stage <= Stage::Auth && id != "S-AUTH-REFUSED" {
            DOCTOR
        } else {
            SEND
        },
    }
}

/// Where a reply that no row knows is given, and its code.
fn unlisted(id: &str) -> Option<(Stage, u16)> {
    explain::by_class().find(|(known, ..)| *known == id)?;
    Some(match id {
        "S-SERVICE-OTHER" => (Stage::Greeting, 554),
        "S-AUTH-DEFERRED" => (Stage::Auth, 459),
        "S-AUTH-OTHER" => (Stage::Auth, 559),
        "S-MAIL-DEFERRED" => (Stage::Mail, 459),
        "S-RECIPIENT-DEFERRED" => (Stage::Rcpt, 459),
        "S-RECIPIENT-REFUSED" => (Stage::Rcpt, 559),
        "S-MESSAGE-DEFERRED" => (Stage::End, 459),
        "S-OUT-OF-STEP" => (Stage::Mail, 503),
        _ => (Stage::End, 559),
    })
}

type Row = (&'static str, &'static str, &'static [Step], Run);

const TABLE: &[Row] = &[
    (
        "S-CONFIGURATION",
        "classic",
        &[Step::Variable("SENDAS_PRINCIPAL_0_METHOD=both")],
        DOCTOR,
    ),
    (
        "S-NOTHING-CONFIGURED",
        "classic",
        &[
            Step::File("empty.toml", ""),
            Step::Variable("SENDAS_CONFIG=empty.toml"),
            Step::Variable("AZURE_TENANT_ID="),
            Step::Variable("AZURE_CLIENT_ID="),
            Step::Variable("AZURE_CLIENT_SECRET="),
            Step::Variable("AZURE_AUTHORITY_HOST="),
        ],
        DOCTOR,
    ),
    (
        "S-MAILBOX-UNNAMED",
        "classic",
        &[Step::Variable(
            "SENDAS_PRINCIPAL_0_MAILBOXES=*@contoso.onmicrosoft.com",
        )],
        DOCTOR,
    ),
    (
        "S-MAILBOX-UNCOVERED",
        "classic",
        &[],
        Run::Doctor("--mailbox somebody@example.com --principal sandbox"),
    ),
    (
        "S-CREDENTIAL-UNREADABLE",
        "classic",
        &[Step::Variable(
            "SENDAS_PRINCIPAL_0_CREDENTIAL_SECRET_FILE=none",
        )],
        DOCTOR,
    ),
    (
        "S-SECRET-ID",
        "classic",
        &[
            Step::File("secret", "0b7c8a52-31c5-4b0e-9a33-6a3a3f1d2c11"),
            Step::Variable("SENDAS_PRINCIPAL_0_CREDENTIAL_SECRET_FILE=secret"),
        ],
        DOCTOR,
    ),
    (
        "S-CERTIFICATE-ENDED",
        "classic",
        &[
            Step::Words(
                "put a certificate and its key whose notAfter has passed into the file ended.pem",
            ),
            Step::Variable("SENDAS_PRINCIPAL_0_CREDENTIAL_CERTIFICATE=ended.pem"),
        ],
        DOCTOR,
    ),
    (
        "S-FEDERATED-TOKEN-ENDED",
        "classic",
        &[
            Step::File(
                "assertion",
                "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwic3ViIjoicmVsYXkiLCJhdWQiOiJhcGk6Ly9BenVyZUFEVG9rZW5FeGNoYW5nZSIsImV4cCI6MTU3NzgzNjgwMH0.eA",
            ),
            Step::Variable("SENDAS_PRINCIPAL_0_CREDENTIAL_FEDERATED_FILE=assertion"),
        ],
        DOCTOR,
    ),
    (
        "S-CLOCK",
        "classic",
        &[Step::Clock(r#"{"advance_s":3600}"#)],
        DOCTOR,
    ),
    (
        "S-TENANT-UNKNOWN",
        "classic",
        &[Step::Variable("SENDAS_PRINCIPAL_0_TENANT=nobody.example")],
        DOCTOR,
    ),
    (
        "S-TENANT-OTHER-CLOUD",
        "classic",
        &[
            Step::Patch(r#"{"policies":{"other_clouds":{"gov.example":"microsoftonline.us"}}}"#),
            Step::Variable("SENDAS_PRINCIPAL_0_TENANT=gov.example"),
        ],
        DOCTOR,
    ),
    (
        "S-TENANT-COMMON",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":50194,"error":"invalid_request"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-APPLICATION-UNKNOWN",
        "classic",
        &[Step::Variable(
            "SENDAS_PRINCIPAL_0_CLIENT_ID=11111111-2222-3333-4444-555555555555",
        )],
        DOCTOR,
    ),
    (
        "S-ENTERPRISE-APPLICATION-MISSING",
        "classic",
        &[Step::Patch(
            r#"{"service_principals":{"PRINCIPAL":null},"app_role_assignments":{"CONSENT":null},"exchange":{"service_principals":{"PRINCIPAL":null}}}"#,
        )],
        EXAMINED,
    ),
    (
        "S-APPLICATION-DISABLED",
        "classic",
        &[Step::Patch(
            r#"{"service_principals":{"PRINCIPAL":{"enabled":false}}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-APPLICATION-PUBLIC",
        "classic",
        &[Step::Patch(
            r#"{"applications":{"REGISTRATION":{"public_client":true}}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-SECRET-WRONG",
        "classic",
        &[Step::Patch(
            r#"{"applications":{"REGISTRATION":{"secrets":{"SECRET":null}}}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-SECRET-ENDED",
        "classic",
        &[Step::Patch(
            r#"{"applications":{"REGISTRATION":{"secrets":{"SECRET":{"ends":"2020-01-01T00:00:00Z"}}}}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-CERTIFICATE-UNKNOWN",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":700027,"error":"invalid_request"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-FEDERATION-MISMATCH",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":700213,"error":"invalid_request"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-CREDENTIAL-LOST",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":7000218,"error":"invalid_request"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-RESOURCE-UNKNOWN",
        "classic",
        &[Step::Cloud("resource", "https://exchange.example")],
        DOCTOR,
    ),
    (
        "S-ASSIGNMENT-REQUIRED",
        "rbac",
        &[Step::Patch(
            r#"{"service_principals":{"EXCHANGE":{"assignment_required":true}}}"#,
        )],
        EXAMINED,
    ),
    (
        "S-SCOPE",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":70011,"error":"invalid_request"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-WORKLOAD-POLICY",
        "classic",
        &[Step::Patch(
            r#"{"policies":{"blocked_service_principals":["PRINCIPAL"]}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-CONSENT-USER",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":65001,"error":"invalid_request"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-ENTRA-NOT-YET",
        "classic",
        &[
            Step::Patch(r#"{"app_role_assignments":{"CONSENT":null}}"#),
            Step::Patch(r#"{"propagation_s":{"consent":3600}}"#),
            Step::Patch(
                r#"{"app_role_assignments":{"CONSENT":{"principal_id":"PRINCIPAL","resource_id":"EXCHANGE","app_role_id":"SENDASAPP"}}}"#,
            ),
        ],
        EXAMINED,
    ),
    (
        "S-ENTRA-BUSY",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"throttle","retry_after_s":30}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-ENTRA-REFUSED",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":1,"error":"invalid_request"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-NAME-UNRESOLVED",
        "classic",
        &[Step::Cloud("authority", "https://login.invalid")],
        DOCTOR,
    ),
    (
        "S-PROXY-REFUSED",
        "classic",
        &[
            Step::Cloud("authority", "https://login.invalid"),
            Step::Variable("HTTPS_PROXY=http://127.0.0.1:9"),
        ],
        DOCTOR,
    ),
    (
        "S-ENTRA-UNREACHABLE",
        "classic",
        &[Step::Cloud("authority", "https://127.0.0.1:9")],
        DOCTOR,
    ),
    (
        "S-TRUST-ROOTS",
        "classic",
        &[
            Step::File("empty.pem", ""),
            Step::CloudWithout("ca"),
            Step::Variable("SSL_CERT_FILE=empty.pem"),
        ],
        DOCTOR,
    ),
    (
        "S-TLS-UNTRUSTED",
        "classic",
        &[Step::Words(
            "put the certificate of another CA in the place of the sandbox's own, ca.pem in its folder",
        )],
        DOCTOR,
    ),
    (
        "S-STRANGER-ANSWERS",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"answer","status":200,"body":"<html>sign in to the network</html>"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-SERVICE-UNREACHABLE",
        "classic",
        &[Step::Cloud("smtp", "{ host = \"localhost\", port = 9 }")],
        DOCTOR,
    ),
    (
        "S-STARTTLS-MISSING",
        "classic",
        &[Step::Patch(
            r#"{"behaviour":{"ehlo_without":["STARTTLS"]}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-XOAUTH2-MISSING",
        "classic",
        &[Step::Patch(r#"{"behaviour":{"ehlo_without":["AUTH"]}}"#)],
        DOCTOR,
    ),
    (
        "S-CONNECTION-LOST",
        "classic",
        &[Step::Fault(r#"{"at":"auth","effect":{"kind":"close"}}"#)],
        DOCTOR,
    ),
    (
        "S-ROLE-MISSING",
        "rbac",
        &[Step::Patch(
            r#"{"exchange":{"role_assignments":{"smtp-sender":null}}}"#,
        )],
        EXAMINED,
    ),
    (
        "S-PROPAGATING",
        "classic",
        &[
            Step::Patch(
                r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"full_access":[],"send_as":[]}}}}"#,
            ),
            Step::Patch(r#"{"propagation_s":{"permission":3600}}"#),
            Step::Patch(
                r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"full_access":["PRINCIPAL"],"send_as":["PRINCIPAL"]}}}}"#,
            ),
        ],
        EXAMINED,
    ),
    (
        "S-PRINCIPAL-OBJECT-ID",
        "classic",
        &[Step::Patch(
            r#"{"exchange":{"service_principals":{"PRINCIPAL":null,"REGISTRATION":{"app_id":"CLIENT"}}}}"#,
        )],
        EXAMINED,
    ),
    (
        "S-PRINCIPAL-MISSING",
        "classic",
        &[Step::Patch(
            r#"{"exchange":{"service_principals":{"PRINCIPAL":null}}}"#,
        )],
        EXAMINED,
    ),
    (
        "S-MAILBOX-RIGHT",
        "classic",
        &[Step::Patch(
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"full_access":[],"send_as":[]}}}}"#,
        )],
        EXAMINED,
    ),
    (
        "S-OUT-OF-SCOPE",
        "rbac",
        &[Step::Patch(
            r#"{"groups":{"GROUP":{"members":["printer@contoso.onmicrosoft.com"]}}}"#,
        )],
        EXAMINED,
    ),
    (
        "S-TOKEN-NO-ROLE",
        "classic",
        &[Step::Patch(r#"{"app_role_assignments":{"CONSENT":null}}"#)],
        EXAMINED,
    ),
    (
        "S-TOKEN-ROLE-BESIDE-RBAC",
        "rbac",
        &[Step::Patch(
            r#"{"app_role_assignments":{"77777777-2222-3333-4444-555555555555":{"principal_id":"PRINCIPAL","resource_id":"EXCHANGE","app_role_id":"SENDASAPP"}}}"#,
        )],
        EXAMINED,
    ),
    (
        "S-TOKEN-AUDIENCE",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"answer","status":200,"headers":{"content-type":"application/json"},"body":"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"eyJhbGciOiJub25lIn0.eyJhdWQiOiJodHRwczovL2dyYXBoLm1pY3Jvc29mdC5jb20iLCJleHAiOjQxMDI0NDQ4MDB9.eA\"}"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-TOKEN-TENANT",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"answer","status":200,"headers":{"content-type":"application/json"},"body":"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"eyJhbGciOiJub25lIn0.eyJhdWQiOiJodHRwczovL291dGxvb2sub2ZmaWNlMzY1LmNvbSIsImV4cCI6NDEwMjQ0NDgwMCwidGlkIjoiOTk5OTk5OTktMjIyMi0zMzMzLTQ0NDQtNTU1NTU1NTU1NTU1In0.eA\"}"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-TOKEN-CLIENT",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"answer","status":200,"headers":{"content-type":"application/json"},"body":"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"eyJhbGciOiJub25lIn0.eyJhdWQiOiJodHRwczovL291dGxvb2sub2ZmaWNlMzY1LmNvbSIsImV4cCI6NDEwMjQ0NDgwMCwiYXBwaWQiOiI5OTk5OTk5OS0yMjIyLTMzMzMtNDQ0NC01NTU1NTU1NTU1NTUifQ.eA\"}"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-TOKEN-TIME",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"answer","status":200,"headers":{"content-type":"application/json"},"body":"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"eyJhbGciOiJub25lIn0.eyJhdWQiOiJodHRwczovL291dGxvb2sub2ZmaWNlMzY1LmNvbSIsIm5iZiI6MTU3NzgzMzIwMCwiZXhwIjoxNTc3ODM2ODAwfQ.eA\"}"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-TOKEN-DELEGATED",
        "classic",
        &[Step::Fault(
            r#"{"at":"token","effect":{"kind":"answer","status":200,"headers":{"content-type":"application/json"},"body":"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"eyJhbGciOiJub25lIn0.eyJhdWQiOiJodHRwczovL291dGxvb2sub2ZmaWNlMzY1LmNvbSIsImV4cCI6NDEwMjQ0NDgwMCwic2NwIjoiU01UUC5TZW5kIiwidXBuIjoibWVnYW5AY29udG9zby5vbm1pY3Jvc29mdC5jb20ifQ.eA\"}"}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-MAILBOX-MISSING",
        "classic",
        &[Step::Variable(
            "SENDAS_PRINCIPAL_0_MAILBOXES=nobody@contoso.onmicrosoft.com",
        )],
        EXAMINED,
    ),
    (
        "S-SECURITY-DEFAULTS-TOKEN",
        "classic",
        &[Step::Fault(
            r#"{"at":"auth","effect":{"kind":"reply","code":535,"text":"5.7.3 Authentication unsuccessful"}}"#,
        )],
        EXAMINED,
    ),
    (
        "S-SMTP-AUTH-OFF-TENANT",
        "classic",
        &[Step::Patch(
            r#"{"exchange":{"transport":{"smtp_client_authentication_disabled":true},"mailboxes":{"noreply@contoso.onmicrosoft.com":{"smtp_client_authentication_disabled":null}}}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-SMTP-AUTH-OFF-MAILBOX",
        "classic",
        &[Step::Patch(
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"smtp_client_authentication_disabled":true}}}}"#,
        )],
        DOCTOR,
    ),
    (
        "S-TLS-TOO-OLD",
        "classic",
        &[Step::Patch(r#"{"behaviour":{"tls_too_old":true}}"#)],
        DOCTOR,
    ),
    (
        "S-MAILBOX-FULL",
        "classic",
        &[Step::Patch(
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"trouble":"full"}}}}"#,
        )],
        SEND,
    ),
    (
        "S-OUTBOUND-SPAM",
        "classic",
        &[Step::Patch(
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"trouble":"outbound-spam"}}}}"#,
        )],
        SEND,
    ),
    (
        "S-SENDER-RESTRICTED",
        "classic",
        &[Step::Patch(
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"trouble":"restricted"}}}}"#,
        )],
        SEND,
    ),
    (
        "S-LOGON-FAILURE",
        "classic",
        &[Step::Patch(
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"trouble":"logon-failure"}}}}"#,
        )],
        SEND,
    ),
    (
        "S-TENANT-THRESHOLD",
        "classic",
        &[Step::Patch(
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"trouble":"tenant-blocked"}}}}"#,
        )],
        SEND,
    ),
    (
        "S-MESSAGE-TOO-LARGE",
        "classic",
        &[Step::Patch(
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"send_size_octets_max":64}}}}"#,
        )],
        SEND,
    ),
    (
        "S-SEND-AS-DENIED",
        "classic",
        &[Step::File(
            "message",
            "From: megan@contoso.onmicrosoft.com\r\nTo: a@example.com\r\nSubject: x\r\n\r\nHello\r\n",
        )],
        Run::Sent(
            "-f noreply@contoso.onmicrosoft.com a@example.com",
            "message",
        ),
    ),
    (
        "S-FROM-SEVERAL",
        "classic",
        &[Step::File(
            "message",
            "From: noreply@contoso.onmicrosoft.com, megan@contoso.onmicrosoft.com\r\nTo: a@example.com\r\nSubject: x\r\n\r\nHello\r\n",
        )],
        Run::Sent(
            "-f noreply@contoso.onmicrosoft.com a@example.com",
            "message",
        ),
    ),
];
