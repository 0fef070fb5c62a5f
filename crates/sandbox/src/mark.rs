//! Where a behaviour comes from.

use serde::Serialize;
use utoipa::ToSchema;

/// How sure we are that the service behaves so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// A page of Microsoft's says so.
    Documented,
    /// Seen in a transcript, a recorded answer, a log or a report.
    Observed,
    /// Nobody has written it down; the likeliest reading.
    Assumed,
}

impl Mark {
    /// The mark as a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Observed => "observed",
            Self::Assumed => "assumed",
        }
    }
}

/// One behaviour of the sandbox and where it comes from.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MarkedBehaviour {
    /// The interface: Entra, SMTP, state, ….
    pub area: &'static str,
    /// When.
    pub when: String,
    /// What the sandbox does.
    pub does: String,
    /// How sure we are that the service does so.
    pub mark: Mark,
}

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
            area: "Token errors",
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
    decided.chain(refused).chain(replied).collect()
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
    ("Changes", "anything in the tenant changes", "acts after the seconds of its kind in `propagation_s` (0 unless set), in both directions", Mark::Observed),
];
