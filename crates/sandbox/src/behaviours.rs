//! Every behaviour of the sandbox, and the page that lists them.

use crate::mark::{Mark, MarkedBehaviour};

/// Every behaviour of the sandbox: what it decides, then its answers.
pub fn behaviours() -> Vec<MarkedBehaviour> {
    let decided = DECISIONS
        .iter()
        .map(|&(area, when, does, mark)| MarkedBehaviour {
            area,
            when: when.into(),
            does: does.into(),
            mark,
        });
    let refused = crate::entra::failure::ROWS
        .iter()
        .map(|row| MarkedBehaviour {
            area: "Token and sign-in errors",
            when: format!("`AADSTS{}`", row.code),
            does: format!("{} `{}`: {}", row.status, row.error, blank(row.text)),
            mark: row.mark,
        });
    let replied = crate::smtp::reply::ROWS.iter().map(|row| MarkedBehaviour {
        area: "SMTP replies",
        when: row.when.into(),
        does: format!("`{} {}`", row.code, blank(row.text).replace('\n', " / ")),
        mark: row.mark,
    });
    let graph = crate::graph::error::ROWS.iter().map(|row| MarkedBehaviour {
        area: "Microsoft Graph errors",
        when: row.when.into(),
        does: format!(
            "{} `{}`: {}",
            row.status,
            row.code,
            blank(row.text.trim_end())
        ),
        mark: row.mark,
    });
    let cmdlets = crate::exchange_admin::error::ROWS
        .iter()
        .map(|row| MarkedBehaviour {
            area: "Exchange admin errors",
            when: row.when.into(),
            does: format!(
                "{} `{}`, `{}`: {}",
                row.status,
                row.code,
                row.exception_name(),
                blank(row.text)
            ),
            mark: row.mark,
        });
    decided
        .chain(refused)
        .chain(graph)
        .chain(cmdlets)
        .chain(replied)
        .collect()
}

fn blank(text: &str) -> String {
    text.replace("{}", "…")
}

/// The page of behaviours, in Markdown.
pub fn page() -> String {
    let behaviours = behaviours();
    let count = |mark: Mark| behaviours.iter().filter(|b| b.mark == mark).count();
    let mut page = format!(
        "# Behaviours of the sandbox\n\n\
         Written by `cargo xtask generate`. What the sandbox does, and how sure we are that the \
         service does so: {} documented, {} observed, {} assumed.\n\n\
         *Documented*: a page of Microsoft's says so. *Observed*: seen in a transcript, a recorded \
         answer or a report. *Assumed*: nobody has written it down; the likeliest reading.\n",
        count(Mark::Documented),
        count(Mark::Observed),
        count(Mark::Assumed)
    );
    let mut area = "";
    for behaviour in &behaviours {
        if behaviour.area != area {
            area = behaviour.area;
            page.push_str("\n## ");
            page.push_str(area);
            page.push_str("\n\n| When | The sandbox | Mark |\n|---|---|---|\n");
        }
        let cells = [&behaviour.when, &behaviour.does].map(|cell| cell.replace('|', "\\|"));
        for part in [
            "| ",
            &cells[0],
            " | ",
            &cells[1],
            " | ",
            behaviour.mark.word(),
            " |\n",
        ] {
            page.push_str(part);
        }
    }
    page
}

type Decision = (&'static str, &'static str, &'static str, Mark);

/// What is decided beyond a single answer.
// One line each, as in the page.
#[rustfmt::skip]
const DECISIONS: &[Decision] = &[
    ("Tokens", "a client credentials request is granted", "answers exactly `token_type`, `expires_in` (a number), `ext_expires_in`, `access_token`", Mark::Observed),
    ("Tokens", "the v1.0 endpoint is asked", "takes `resource`, writes its numbers as text, adds `expires_on`, `not_before`, `resource`", Mark::Observed),
    ("Tokens", "the resource is Microsoft's own", "the token is v1.0 (`iss` of sts.windows.net, `appid`), whatever the endpoint", Mark::Observed),
    ("Tokens", "the resource is an application of the tenant", "the token is v2.0 with the recorded claim list", Mark::Observed),
    ("Tokens", "no application permission is granted", "issues the token without `roles`", Mark::Documented),
    ("Tokens", "`iat` and `nbf` are written", "dates them back by five minutes", Mark::Assumed),
    ("Tokens", "a secret or certificate was just made", "refuses it until `propagation_s.credential` has passed", Mark::Observed),
    ("Tokens", "a secret comes in the body or by HTTP Basic", "takes either; refuses both at once", Mark::Documented),
    ("Tokens", "an assertion is signed with a registered certificate", "takes RS256 with `x5t` and PS256 with `x5t#S256`", Mark::Documented),
    ("Tokens", "an assertion's key is EC", "refuses it", Mark::Assumed),
    ("Tokens", "the assertion is of a foreign issuer", "fetches the issuer's metadata and keys anew each time, trusting its own CA and the one in `issuers`; asks this machine only", Mark::Assumed),
    ("Tokens", "an assertion's dates are off", "allows five minutes; takes lives longer than ten minutes", Mark::Assumed),
    ("Tokens", "an assertion of a foreign issuer is presented", "compares issuer, audience, subject with the federated credentials, case sensitive", Mark::Documented),
    ("Tokens", "several things are wrong", "checks in the order form, tenant, grant, client, scope, credential, policy, resource", Mark::Assumed),
    ("Tokens", "a token request is throttled by a fault", "429 with `Retry-After` in whole seconds", Mark::Observed),
    ("Discovery", "instance discovery asks for an unknown host", "refuses with `invalid_instance`", Mark::Observed),
    ("Discovery", "metadata of an unknown tenant is asked", "answers 400 with Entra's error body", Mark::Observed),
    ("AUTH", "EHLO after TLS", "offers `AUTH LOGIN XOAUTH2`; before TLS no AUTH at all", Mark::Observed),
    ("AUTH", "the token is for another resource, of another tenant, expired, of a person, or not signed by the tenant's key", "bare `535 5.7.3`; there is never a JSON challenge", Mark::Observed),
    ("AUTH", "Exchange holds no service principal under the token's `oid` and `appid`", "bare `535 5.7.3`, also when it was registered with the application's object id", Mark::Documented),
    ("AUTH", "the token has the role `SMTP.SendAsApp`", "checks the mailbox permission, also when the service principal holds the Exchange role", Mark::Documented),
    ("AUTH", "the token has no such role", "needs the Exchange role with a scope that holds the mailbox", Mark::Documented),
    ("AUTH", "the mailbox permission is missing", "`535` at AUTH, or `430` at the end of data when `behaviour.permission_missing` says so: sources disagree", Mark::Assumed),
    ("AUTH", "which mailbox permission is needed", "`FullAccess`; `behaviour.classic_needs` chooses another reading", Mark::Assumed),
    ("AUTH", "a scope's filter asks for group members", "counts direct members only", Mark::Documented),
    ("AUTH", "the mailbox has its own SMTP AUTH value", "it wins over the organisation's; without one, the organisation's counts", Mark::Documented),
    ("AUTH", "several things are wrong", "checks token, service principal, mailbox, SMTP AUTH switch, right to the mailbox, in this order", Mark::Assumed),
    ("AUTH", "`user=` is an alias", "takes it for the mailbox", Mark::Assumed),
    ("Messages", "From differs from the mailbox of the AUTH", "the mailbox needs `SendAs` on the From mailbox; MAIL FROM is not looked at", Mark::Observed),
    ("Messages", "From is an alias of the mailbox", "takes it and rewrites nothing", Mark::Documented),
    ("Messages", "a message is accepted", "answers with its Message-ID and the mailbox server, by DATA and BDAT alike", Mark::Observed),
    ("Messages", "a message is accepted", "keeps its octets as received; adds nothing", Mark::Assumed),
    ("Limits", "more than 3 sends at once in a mailbox", "refuses at the end of data, after the transfer", Mark::Observed),
    ("Limits", "more than 30 messages in a minute", "refuses MAIL FROM, or delays the final reply: documents disagree, `behaviour.message_rate` chooses", Mark::Assumed),
    ("Limits", "recipients in a sliding day", "10,000 for a mailbox", Mark::Documented),
    ("Limits", "external recipients in a sliding day", "500 × licences^0.7 + 9,500 for a tenant, 5,000 for a trial", Mark::Documented),
    ("Limits", "an error reply with `--tarpit`", "waits five seconds", Mark::Observed),
    ("Limits", "nothing is heard for five minutes", "closes the connection with 421", Mark::Assumed),
    ("Sign-in", "a client asks for a code", "needs a registered redirect address, octet by octet; on loopback the port is free", Mark::Documented),
    ("Sign-in", "the redirect address is not registered, or the client is unknown", "shows a page and sends nothing to the address", Mark::Documented),
    ("Sign-in", "a public client sends no S256 challenge", "refuses it", Mark::Assumed),
    ("Sign-in", "a person has `mfa` set", "asks for six digits on a second page; they are `admin.mfa_code` of `sandbox.json`", Mark::Assumed),
    ("Sign-in", "a browser signed in before", "shows no password page until `prompt=login`; a cookie tells", Mark::Observed),
    ("Sign-in", "`prompt=none` finds nobody signed in", "`login_required`", Mark::Documented),
    ("Sign-in", "permissions are missing", "asks an administrator to consent for everybody, a person for `User.Read` alone", Mark::Documented),
    ("Sign-in", "a client of Microsoft's asks for a resource it is not made for", "AADSTS65002", Mark::Documented),
    ("Sign-in", "Azure CLI, Azure PowerShell or the Exchange module ask for their own resource", "have its scopes without consent; Microsoft Graph Command Line Tools ask", Mark::Observed),
    ("Sign-in", "consent is given to a client without enterprise application", "makes one", Mark::Documented),
    ("Sign-in", "several resources stand in one `scope`", "refuses it", Mark::Documented),
    ("Sign-in", "a code is redeemed", "once, within ten minutes, with its verifier, its redirect address and its client", Mark::Documented),
    ("Sign-in", "a refresh token is used", "gives a token for another resource too; lives 90 days; ends when the password changes", Mark::Documented),
    ("Sign-in", "a device polls faster than its interval", "`slow_down`; `behaviour.device_code_interval_s` sets the interval", Mark::Assumed),
    ("Sign-in", "the device code flow is blocked by policy", "the person sees AADSTS53003, and polling hears it", Mark::Assumed),
    ("Sign-in", "`/adminconsent` is opened", "grants all the registration asks for and goes back with `admin_consent=True`", Mark::Documented),
    ("Sign-in", "the resource of a person's token is Microsoft's own", "the token is v1.0 with `scp`, `upn`, `wids`", Mark::Documented),
    ("Microsoft Graph", "an application is made", "gives it two ids: `id` (object id) and `appId` (client id); takes no secret in the same request", Mark::Documented),
    ("Microsoft Graph", "an object is addressed", "by its object id, or as `applications(appId='…')` and `servicePrincipals(appId='…')`", Mark::Documented),
    ("Microsoft Graph", "the app role of `SMTP.SendAsApp` is looked up", "finds it by value in `appRoles` of Office 365 Exchange Online; its id is another in every sandbox", Mark::Documented),
    ("Microsoft Graph", "an object was just made", "answers 404 for it until `propagation_s.replication` has passed, lists it from `propagation_s.listing` on", Mark::Observed),
    ("Microsoft Graph", "a service principal is made for a new application", "refuses it until the application is replicated", Mark::Observed),
    ("Microsoft Graph", "a grant names a new object", "refuses it until the object is replicated", Mark::Observed),
    ("Microsoft Graph", "a secret is added", "shows `secretText` once, and a `hint` for ever; two years unless asked otherwise", Mark::Documented),
    ("Microsoft Graph", "`keyCredentials` is patched", "replaces the collection; an entry without `key` keeps the registered one of its `keyId`", Mark::Assumed),
    ("Microsoft Graph", "a key is shown", "`key` is null, but for a single object whose `keyCredentials` are selected", Mark::Documented),
    ("Microsoft Graph", "a certificate's thumbprint is shown", "`customKeyIdentifier` is SHA-1 in 40 upper-case hexadecimal digits", Mark::Observed),
    ("Microsoft Graph", "`addKey` or `removeKey` is called", "needs a proof signed by a valid key of the application; `exp` is exactly ten minutes after `nbf`", Mark::Observed),
    ("Microsoft Graph", "an application rolls its own keys", "needs no permission", Mark::Documented),
    ("Microsoft Graph", "an application is deleted", "moves it and its service principal to the deleted items for 30 days; grants are gone", Mark::Documented),
    ("Microsoft Graph", "a deleted application is restored", "its service principal is restored by a request of its own", Mark::Assumed),
    ("Microsoft Graph", "a service principal known to Exchange is deleted", "Exchange keeps its reference", Mark::Assumed),
    ("Microsoft Graph", "the id of a grant is shown", "an opaque text, no GUID", Mark::Documented),
    ("Microsoft Graph", "a person without a directory role writes", "refuses it, also for applications they would be allowed to register elsewhere", Mark::Assumed),
    ("Microsoft Graph", "permissions of Microsoft Graph itself are granted", "needs a Global or Privileged Role Administrator; others an Application Administrator", Mark::Documented),
    ("Microsoft Graph", "a directory role is not active", "404 for its members until `POST /directoryRoles`", Mark::Documented),
    ("Microsoft Graph", "a property is not modelled", "takes known ones and forgets them; refuses unknown ones", Mark::Assumed),
    ("Exchange admin", "a cmdlet is called", "`POST /adminapi/beta/{tenant}/InvokeCommand`, or `v1.0`; names of cmdlets and parameters have no case", Mark::Observed),
    ("Exchange admin", "a cmdlet writes nothing", "204 without a body", Mark::Assumed),
    ("Exchange admin", "an error is answered", "the triple hash, exception type, text, with bars between, in `details[0].message`", Mark::Observed),
    ("Exchange admin", "`Get-ServicePrincipal` finds nothing", "answers all service principals", Mark::Documented),
    ("Exchange admin", "`New-ServicePrincipal` is given an object id", "takes any, also the application registration's", Mark::Documented),
    ("Exchange admin", "a service principal is removed", "its mailbox permissions stay under a security identifier, its role assignments stay", Mark::Assumed),
    ("Exchange admin", "`SmtpClientAuthenticationDisabled` is `null`", "clears the mailbox's own value", Mark::Observed),
    ("Exchange admin", "a permission is there already, or is not there", "succeeds with a warning in `@adminapi.warnings`", Mark::Assumed),
    ("Exchange admin", "`Add-MailboxPermission` is asked for `SendAs`", "refuses the value: that right is `Add-RecipientPermission`'s", Mark::Documented),
    ("Exchange admin", "`Test-ServicePrincipalAuthorization` runs", "tells what is configured at once, `Not Run` without `-Resource`", Mark::Documented),
    ("Exchange admin", "a person calls", "needs the scope `Exchange.Manage`; Global and Exchange Administrators may run everything", Mark::Assumed),
    ("Exchange admin", "an application calls", "needs `Exchange.ManageAsApp` and a directory role", Mark::Observed),
    ("Exchange admin", "a Recipient Administrator calls", "may not run service principal, scope, role and organisation cmdlets", Mark::Observed),
    ("Exchange admin", "more objects than `odata.maxpagesize` are found", "`@odata.nextLink`, to which the same body is posted", Mark::Observed),
    ("Exchange admin", "several calls go in one request", "`$batch` takes ten", Mark::Observed),
    ("Changes", "anything in the tenant changes", "acts after the seconds of its kind in `propagation_s` (0 unless set), in both directions", Mark::Observed),
];
