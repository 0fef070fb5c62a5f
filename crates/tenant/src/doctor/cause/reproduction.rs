//! How each cause can be seen in the sandbox.

/// How a cause comes about in the sandbox; all in JSON, sent to its control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reproduction {
    /// A tenant of this kind, and a merge patch for `PATCH tenant`. Names in capitals stand for
    /// ids: see the page on the sandbox.
    Patch(&'static str, &'static str),
    /// A fault for `POST faults`.
    Fault(&'static str),
    /// A setting of the environment, or of the command, that is wrong.
    Setting(&'static str),
    /// A reply that no patch produces: laid as a fault with the reply's own words.
    Reply,
}

use Reproduction::{Fault, Patch, Reply, Setting};

/// The way to see a cause in the sandbox.
pub fn reproduction(id: &str) -> Reproduction {
    TABLE
        .iter()
        .find(|(known, _)| *known == id)
        .map_or(Reply, |(_, how)| *how)
}

const TABLE: &[(&str, Reproduction)] = &[
    ("S-CONFIGURATION", Setting("SENDAS_PRINCIPAL_0_METHOD=both")),
    (
        "S-NOTHING-CONFIGURED",
        Setting("SENDAS_CONFIG=empty.toml, with an empty file"),
    ),
    (
        "S-MAILBOX-UNNAMED",
        Setting("SENDAS_PRINCIPAL_0_MAILBOXES=[\"*@contoso.onmicrosoft.com\"]"),
    ),
    (
        "S-MAILBOX-UNCOVERED",
        Setting("--mailbox somebody@example.com"),
    ),
    (
        "S-CREDENTIAL-UNREADABLE",
        Setting("SENDAS_PRINCIPAL_0_CREDENTIAL_SECRET_FILE=none"),
    ),
    (
        "S-SECRET-ID",
        Setting("a secret file that holds 0b7c8a52-31c5-4b0e-9a33-6a3a3f1d2c11"),
    ),
    (
        "S-CERTIFICATE-ENDED",
        Setting("a certificate file whose notAfter has passed"),
    ),
    (
        "S-FEDERATED-TOKEN-ENDED",
        Setting("a federated token file whose exp has passed"),
    ),
    ("S-CLOCK", Setting("POST clock with {\"advance_s\": 3600}")),
    (
        "S-TENANT-UNKNOWN",
        Setting("SENDAS_PRINCIPAL_0_TENANT=nobody.example"),
    ),
    (
        "S-TENANT-OTHER-CLOUD",
        Patch(
            "classic",
            r#"{"policies":{"other_clouds":{"gov.example":"microsoftonline.us"}}}"#,
        ),
    ),
    (
        "S-TENANT-COMMON",
        Setting("SENDAS_PRINCIPAL_0_TENANT=common"),
    ),
    (
        "S-APPLICATION-UNKNOWN",
        Setting("SENDAS_PRINCIPAL_0_CLIENT_ID=11111111-2222-3333-4444-555555555555"),
    ),
    (
        "S-ENTERPRISE-APPLICATION-MISSING",
        Patch(
            "classic",
            r#"{"service_principals":{"PRINCIPAL":null},"app_role_assignments":{"CONSENT":null},"exchange":{"service_principals":{"PRINCIPAL":null}}}"#,
        ),
    ),
    (
        "S-APPLICATION-DISABLED",
        Patch(
            "classic",
            r#"{"service_principals":{"PRINCIPAL":{"enabled":false}}}"#,
        ),
    ),
    (
        "S-APPLICATION-PUBLIC",
        Patch(
            "classic",
            r#"{"applications":{"REGISTRATION":{"public_client":true}}}"#,
        ),
    ),
    (
        "S-SECRET-WRONG",
        Patch(
            "classic",
            r#"{"applications":{"REGISTRATION":{"secrets":{"SECRET":null}}}}"#,
        ),
    ),
    (
        "S-SECRET-ENDED",
        Patch(
            "classic",
            r#"{"applications":{"REGISTRATION":{"secrets":{"SECRET":{"ends":"2020-01-01T00:00:00Z"}}}}}"#,
        ),
    ),
    (
        "S-CERTIFICATE-UNKNOWN",
        Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":700027,"error":"invalid_request"}}"#,
        ),
    ),
    (
        "S-FEDERATION-MISMATCH",
        Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":700213,"error":"invalid_request"}}"#,
        ),
    ),
    (
        "S-CREDENTIAL-LOST",
        Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":7000218,"error":"invalid_request"}}"#,
        ),
    ),
    (
        "S-RESOURCE-UNKNOWN",
        Setting("a cloud file whose resource is https://exchange.example"),
    ),
    (
        "S-ASSIGNMENT-REQUIRED",
        Patch(
            "rbac",
            r#"{"service_principals":{"EXCHANGE":{"assignment_required":true}}}"#,
        ),
    ),
    (
        "S-SCOPE",
        Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":70011,"error":"invalid_request"}}"#,
        ),
    ),
    (
        "S-WORKLOAD-POLICY",
        Patch(
            "classic",
            r#"{"policies":{"blocked_service_principals":["PRINCIPAL"]}}"#,
        ),
    ),
    (
        "S-CONSENT-USER",
        Fault(
            r#"{"at":"token","effect":{"kind":"aadsts","code":65001,"error":"invalid_request"}}"#,
        ),
    ),
    (
        "S-ENTRA-NOT-YET",
        Patch("classic", r#"{"propagation_s":{"consent":3600}}"#),
    ),
    (
        "S-ENTRA-BUSY",
        Fault(r#"{"at":"token","effect":{"kind":"throttle","retry_after_s":30}}"#),
    ),
    (
        "S-ENTRA-REFUSED",
        Fault(r#"{"at":"token","effect":{"kind":"aadsts","code":1,"error":"invalid_request"}}"#),
    ),
    (
        "S-NAME-UNRESOLVED",
        Setting("a cloud file whose authority is https://login.invalid"),
    ),
    ("S-PROXY-REFUSED", Setting("HTTPS_PROXY=http://127.0.0.1:9")),
    (
        "S-ENTRA-UNREACHABLE",
        Setting("a cloud file whose authority is https://127.0.0.1:9"),
    ),
    (
        "S-TRUST-ROOTS",
        Setting("a cloud file whose ca is an empty file"),
    ),
    ("S-TLS-UNTRUSTED", Setting("a cloud file without its ca")),
    (
        "S-STRANGER-ANSWERS",
        Fault(
            r#"{"at":"token","effect":{"kind":"answer","status":200,"body":"<html>sign in to the network</html>"}}"#,
        ),
    ),
    (
        "S-SERVICE-UNREACHABLE",
        Setting("a cloud file whose smtp.port is 9"),
    ),
    (
        "S-STARTTLS-MISSING",
        Patch("classic", r#"{"behaviour":{"ehlo_without":["STARTTLS"]}}"#),
    ),
    (
        "S-XOAUTH2-MISSING",
        Patch("classic", r#"{"behaviour":{"ehlo_without":["AUTH"]}}"#),
    ),
    (
        "S-CONNECTION-LOST",
        Fault(r#"{"at":"auth","effect":{"kind":"close"}}"#),
    ),
    (
        "S-ROLE-MISSING",
        Patch(
            "rbac",
            r#"{"exchange":{"role_assignments":{"smtp-sender":null}}}"#,
        ),
    ),
    (
        "S-PROPAGATING",
        Patch("classic", r#"{"propagation_s":{"permission":3600}}"#),
    ),
    (
        "S-PRINCIPAL-OBJECT-ID",
        Patch(
            "classic",
            r#"{"exchange":{"service_principals":{"PRINCIPAL":null,"REGISTRATION":{"app_id":"CLIENT"}}}}"#,
        ),
    ),
    (
        "S-PRINCIPAL-MISSING",
        Patch(
            "classic",
            r#"{"exchange":{"service_principals":{"PRINCIPAL":null}}}"#,
        ),
    ),
    (
        "S-MAILBOX-RIGHT",
        Patch(
            "classic",
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"full_access":[],"send_as":[]}}}}"#,
        ),
    ),
    (
        "S-OUT-OF-SCOPE",
        Setting("--mailbox megan@contoso.onmicrosoft.com, in a tenant of the kind rbac"),
    ),
    (
        "S-TOKEN-NO-ROLE",
        Patch("classic", r#"{"app_role_assignments":{"CONSENT":null}}"#),
    ),
    (
        "S-TOKEN-ROLE-BESIDE-RBAC",
        Setting("PATCH tenant with a grant of SMTP.SendAsApp, in a tenant of the kind rbac"),
    ),
    (
        "S-TOKEN-AUDIENCE",
        Setting("sendas probe --token-file FILE, with a token for Microsoft Graph"),
    ),
    (
        "S-TOKEN-TENANT",
        Setting("sendas probe --token-file FILE, with a token of another tenant"),
    ),
    (
        "S-TOKEN-CLIENT",
        Setting("sendas probe --token-file FILE, with a token of another application"),
    ),
    (
        "S-TOKEN-TIME",
        Setting("sendas probe --token-file FILE, with a token that has expired"),
    ),
    (
        "S-TOKEN-DELEGATED",
        Setting("sendas probe --token-file FILE, with a token of a user"),
    ),
    (
        "S-MAILBOX-MISSING",
        Setting("--mailbox nobody@contoso.onmicrosoft.com --principal sandbox"),
    ),
    (
        "S-SECURITY-DEFAULTS-TOKEN",
        Fault(
            r#"{"at":"auth","effect":{"kind":"reply","code":535,"text":"5.7.3 Authentication unsuccessful"}}"#,
        ),
    ),
    (
        "S-SMTP-AUTH-OFF-TENANT",
        Patch(
            "classic",
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"smtp_client_authentication_disabled":null}}}}"#,
        ),
    ),
    (
        "S-SMTP-AUTH-OFF-MAILBOX",
        Patch(
            "classic",
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"smtp_client_authentication_disabled":true}}}}"#,
        ),
    ),
    (
        "S-TLS-TOO-OLD",
        Patch("classic", r#"{"behaviour":{"tls_too_old":true}}"#),
    ),
    (
        "S-MAILBOX-FULL",
        Patch(
            "classic",
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"trouble":"full"}}}}"#,
        ),
    ),
    (
        "S-OUTBOUND-SPAM",
        Patch(
            "classic",
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"trouble":"outbound-spam"}}}}"#,
        ),
    ),
    (
        "S-SENDER-RESTRICTED",
        Patch(
            "classic",
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"trouble":"restricted"}}}}"#,
        ),
    ),
    (
        "S-LOGON-FAILURE",
        Patch(
            "classic",
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"trouble":"logon-failure"}}}}"#,
        ),
    ),
    (
        "S-TENANT-THRESHOLD",
        Patch(
            "classic",
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"trouble":"tenant-blocked"}}}}"#,
        ),
    ),
    (
        "S-MESSAGE-TOO-LARGE",
        Patch(
            "classic",
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"send_size_octets_max":64}}}}"#,
        ),
    ),
    (
        "S-TOO-MANY-RECIPIENTS",
        Patch(
            "classic",
            r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"recipient_limit":1}}}}"#,
        ),
    ),
    (
        "S-SEND-AS-DENIED",
        Setting("a From field that names megan@contoso.onmicrosoft.com"),
    ),
    (
        "S-FROM-SEVERAL",
        Setting("a From field with two addresses and no Sender field"),
    ),
    ("S-FROM-MISSING", Setting("a message without a From field")),
];
