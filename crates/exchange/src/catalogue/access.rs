//! Replies to TLS, EHLO, AUTH, and to MAIL without AUTH.

use std::time::Duration;

use sendas_envelope::Class::{Permanent, Temporary};

use super::{AUTH, AUTH_AND_MAIL, MAIL, SESSION, administrator, retry_after};
use crate::entry::{Cause, Entry, Matcher, Source};
use crate::fix::Fix;
use crate::meaning::Scope;

pub(super) const ENTRIES: &[Entry] = &[
    // The organisation's switch is overridden by the mailbox's own value, so another mailbox of
    // the same tenant may well send: the scope is the mailbox although the reply says Tenant.
    Entry {
        id: "S-SMTP-AUTH-OFF-TENANT",
        samples: &[
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information. [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[Matcher::text(&[
            "SmtpClientAuthentication",
            "disabled for the Tenant",
        ])],
        stages: AUTH,
        scope: Scope::Mailbox,
        persistence: administrator(),
        title: "SMTP AUTH is off for this mailbox, because it is off for the organisation",
        causes: &[
            Cause::observed(
                "the organisation's switch is off and the mailbox has no value of its own; the switch holds for tokens as it does for passwords",
            ),
            Cause::documented("organisations made since January 2020 begin with it off"),
        ],
        fix: Fix::command(
            "switch SMTP AUTH on for this one mailbox; the organisation's switch can stay off",
            "Set-CASMailbox -Identity {mailbox} -SmtpClientAuthenticationDisabled $false",
        ),
        sources: &[
            Source::documented("AUTH", "the two switches"),
            Source::observed("EOP", "issue 193, with a token"),
        ],
    },
    Entry {
        id: "S-SMTP-AUTH-OFF-MAILBOX",
        samples: &[
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information. [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[Matcher::text(&[
            "SmtpClientAuthentication",
            "disabled for the Mailbox",
        ])],
        stages: AUTH,
        scope: Scope::Mailbox,
        persistence: administrator(),
        title: "SMTP AUTH is off for this mailbox",
        causes: &[Cause::observed(
            "the mailbox's own value is off, which wins over the organisation's",
        )],
        fix: Fix::command(
            "switch SMTP AUTH on for the mailbox",
            "Set-CASMailbox -Identity {mailbox} -SmtpClientAuthenticationDisabled $false",
        ),
        sources: &[
            Source::documented("PS", "Set-CASMailbox: the mailbox's value wins"),
            Source::observed("ZS", "list of errors"),
        ],
    },
    Entry {
        id: "S-BASIC-AUTH-OFF",
        samples: &[
            "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[Matcher::text(&["basic authentication is disabled"])],
        stages: AUTH,
        scope: Scope::Mailbox,
        persistence: administrator(),
        title: "the login with a password was refused",
        causes: &[
            Cause::observed("an authentication policy forbids passwords for SMTP"),
            Cause::observed("passwords for SMTP have been retired for this organisation"),
        ],
        fix: Fix::advice(
            "log in with a token; if that was done, something in between turned it into a password login",
        ),
        sources: &[Source::observed("ZS", "list of errors")],
    },
    Entry {
        id: "S-PASSWORD-REFUSED",
        samples: &[
            "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect. [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[Matcher::text(&["user credentials were incorrect"])],
        stages: AUTH,
        scope: Scope::Mailbox,
        persistence: administrator(),
        title: "the login with a password was refused",
        causes: &[Cause::observed(
            "the password is wrong, or the account asks for a second factor",
        )],
        fix: Fix::advice("log in with a token"),
        sources: &[Source::observed("USERS", "transcripts of password logins")],
    },
    Entry {
        id: "S-SECURITY-DEFAULTS",
        samples: &[
            "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. Contact your administrator. [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[Matcher::text(&["security defaults policy"])],
        stages: AUTH,
        scope: Scope::Mailbox,
        persistence: administrator(),
        title: "the organisation's security defaults refused the login",
        causes: &[
            Cause::observed("security defaults forbid logins with a password"),
            Cause::unsure("that they touch a principal's token is told once and not shown"),
        ],
        fix: Fix::advice(
            "log in with a token; with one, let an administrator look at security defaults in Entra",
        ),
        sources: &[
            Source::documented("AUTH", "security defaults count as SMTP AUTH off"),
            Source::observed("USERS", "transcripts of password logins"),
            Source::unsure("SX2", "issue 69, one report with a token"),
        ],
    },
    Entry {
        id: "S-CONDITIONAL-ACCESS",
        samples: &[
            "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator. [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[Matcher::text(&["did not meet the criteria"])],
        stages: AUTH,
        scope: Scope::Principal,
        persistence: administrator(),
        title: "a Conditional Access policy refused the login",
        causes: &[
            Cause::observed("a policy against old kinds of login, which sees users only"),
            Cause::unsure("a policy for workload identities that covers this principal"),
        ],
        fix: Fix::advice(
            "find the sign-in in Entra's sign-in logs, read which policy failed, and except the principal or change the policy",
        ),
        sources: &[Source::observed("USERS", "set-up guides")],
    },
    Entry {
        id: "S-FEDERATION-UNREACHABLE",
        samples: &[
            "535 5.7.139 Authentication unsuccessful, the federated STS service was unreachable. [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[Matcher::text(&["federated STS service", "unreachable"])],
        stages: AUTH,
        scope: Scope::Tenant,
        persistence: retry_after(Duration::from_mins(5)),
        title: "the organisation's own sign-in server did not answer Exchange",
        causes: &[Cause::documented(
            "a password login of a federated user needs that server, and it is down",
        )],
        fix: Fix::advice("log in with a token, which does not need that server"),
        sources: &[Source::documented(
            "STS",
            "SMTP AUTH with federated sign-in",
        )],
    },
    Entry {
        id: "S-FEDERATION-PLAIN",
        samples: &[
            "535 5.7.139 Authentication unsuccessful, the federated STS URL does not support HTTPS. [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[Matcher::text(&["federated STS URL", "HTTPS"])],
        stages: AUTH,
        scope: Scope::Tenant,
        persistence: administrator(),
        title: "Exchange does not trust the address of the organisation's own sign-in server",
        causes: &[Cause::documented(
            "a password login of a federated user needs that server over HTTPS",
        )],
        fix: Fix::advice("log in with a token, which does not need that server"),
        sources: &[Source::documented(
            "STS",
            "SMTP AUTH with federated sign-in",
        )],
    },
    Entry {
        id: "S-BASIC-AUTH-RETIRED",
        samples: &["550 5.7.30 Basic authentication is not supported for Client Submission."],
        matchers: &[
            Matcher::exact(550, Permanent, 7, 30),
            Matcher::text(&["Basic authentication is not supported"]),
        ],
        stages: AUTH_AND_MAIL,
        scope: Scope::Mailbox,
        persistence: administrator(),
        title: "the login with a password was refused, and will always be",
        causes: &[Cause::documented(
            "Exchange Online has ended passwords for SMTP",
        )],
        fix: Fix::advice(
            "log in with a token; if that was done, something in between turned it into a password login",
        ),
        sources: &[
            Source::documented("RETIRE", "the announced reply"),
            Source::observed("USERS", "seen since"),
        ],
    },
    // Nearly every mistake gives this one; `diagnosis` ranks them. The mailbox is the narrowest
    // scope that is right for all of them: a principal's other mailboxes may work.
    Entry {
        id: "S-AUTH-REFUSED",
        samples: &[
            "535 5.7.3 Authentication unsuccessful [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
            "535 Authentication unsuccessful",
        ],
        matchers: &[
            Matcher::exact(535, Permanent, 7, 3),
            Matcher::bare(535).with(&["Authentication unsuccessful"]),
        ],
        stages: AUTH,
        scope: Scope::Mailbox,
        persistence: administrator(),
        title: "Exchange did not let the principal act for this mailbox",
        causes: &[
            Cause::observed(
                "the last change of rights is younger than two hours and does not act yet",
            ),
            Cause::observed("the principal has no right on the mailbox, or it is out of scope"),
            Cause::documented(
                "the service principal was made in Exchange with the object id of the app registration instead of the enterprise application",
            ),
            Cause::documented("the service principal was never made in Exchange"),
            Cause::observed("the token is for another resource or another tenant"),
            Cause::observed("the name in `user=` is no mailbox of this tenant"),
        ],
        fix: Fix::command(
            "look into the token, then ask Exchange what the principal may do; a change takes up to two hours",
            "Test-ServicePrincipalAuthorization -Identity {principal} -Resource {mailbox}",
        ),
        sources: &[
            Source::documented("OAUTH", "the reply, and the wrong object id"),
            Source::observed("SG", "probe and records"),
            Source::observed("SX2", "issues 43 and 69"),
        ],
    },
    Entry {
        id: "S-NOT-AUTHENTICATED",
        samples: &[
            "530 5.7.57 Client not authenticated to send mail. [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
            "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
            "530 Client was not authenticated",
        ],
        matchers: &[
            Matcher::exact(530, Permanent, 7, 57),
            Matcher::text(&["not authenticated"]).code(530),
        ],
        stages: MAIL,
        scope: Scope::Mailbox,
        persistence: administrator(),
        title: "the service does not hold the session for authenticated",
        causes: &[
            Cause::observed("AUTH was left out, or was refused before"),
            Cause::unsure("something in between ended the authenticated session"),
        ],
        fix: Fix::command(
            "look at the dialogue up to AUTH",
            "sendas probe --quit-after auth",
        ),
        sources: &[
            Source::documented("FIX", "the reply"),
            Source::observed("EOP", "issues 295 and 315"),
        ],
    },
    Entry {
        id: "S-AUTH-MECHANISM",
        samples: &[
            "504 5.7.4 Unrecognized authentication type [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[
            Matcher::exact(504, Permanent, 7, 4),
            Matcher::text(&["Unrecognized authentication type"]),
        ],
        stages: AUTH,
        scope: Scope::Service,
        persistence: administrator(),
        title: "the host does not take this way of logging in",
        causes: &[
            Cause::observed("AUTH came before STARTTLS"),
            Cause::observed("the mechanism is another than LOGIN or XOAUTH2"),
        ],
        fix: Fix::command(
            "check that the host is Exchange's submission host, and nothing stands in between",
            "sendas probe --quit-after secure-ehlo",
        ),
        sources: &[Source::observed("USERS", "transcripts of AUTH PLAIN")],
    },
    Entry {
        id: "S-HELLO-MISSING",
        samples: &[
            "503 5.5.2 Send hello first [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[Matcher::text(&["Send hello first"])],
        stages: SESSION,
        scope: Scope::Service,
        persistence: retry_after(Duration::from_mins(5)),
        title: "the service has seen no EHLO in this session",
        causes: &[
            Cause::observed("EHLO was not sent again after STARTTLS"),
            Cause::unsure("something in between lost or changed it"),
        ],
        fix: Fix::command(
            "look at the dialogue",
            "sendas probe --quit-after secure-ehlo",
        ),
        sources: &[Source::observed("USERS", "smtpmailer issue 23")],
    },
    Entry {
        id: "S-COMMAND-UNKNOWN",
        samples: &[
            "500 5.3.3 Unrecognized command 'XCLIENT' [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[
            Matcher::exact(500, Permanent, 3, 3),
            Matcher::text(&["Unrecognized command"]),
        ],
        stages: SESSION,
        scope: Scope::Service,
        persistence: retry_after(Duration::from_mins(5)),
        title: "the service did not understand a command",
        causes: &[
            Cause::observed("the verb is unknown to it"),
            Cause::unsure("something in between changed the command"),
        ],
        fix: Fix::command("look at the dialogue", "sendas probe"),
        sources: &[Source::observed("EOP", "issues 234 and 251")],
    },
    Entry {
        id: "S-TLS-TOO-OLD",
        samples: &[
            "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2. Visit https://aka.ms/smtp_auth_tls",
        ],
        matchers: &[
            Matcher::temporary(7, 66),
            Matcher::text(&["TLS 1.0 and 1.1 are not supported"]),
        ],
        stages: SESSION,
        scope: Scope::Service,
        persistence: administrator(),
        title: "the service refused the TLS version",
        causes: &[Cause::documented(
            "the session came with TLS 1.0 or 1.1; sendas speaks 1.2 and 1.3 only, so something in between opens the TLS and makes its own",
        )],
        fix: Fix::command(
            "find out whose certificate answers, and take the machine in between out of the way",
            "sendas probe --quit-after tls",
        ),
        sources: &[
            Source::documented("TLS", "announcement of the end of TLS 1.0 and 1.1"),
            Source::observed("USERS", "articles that quote the reply"),
        ],
    },
    Entry {
        id: "S-STARTTLS-NEEDED",
        samples: &["451 5.7.3 STARTTLS is required to send mail"],
        matchers: &[Matcher::text(&["STARTTLS is required"])],
        stages: MAIL,
        scope: Scope::Service,
        persistence: administrator(),
        title: "the service holds the session for unencrypted",
        causes: &[Cause::unsure(
            "STARTTLS was left out; sendas never does, so something in between opens the TLS",
        )],
        fix: Fix::command(
            "find out whose certificate answers",
            "sendas probe --quit-after tls",
        ),
        sources: &[Source::unsure("ONPREM", "a text of Exchange Server")],
    },
    Entry {
        id: "S-HVE-TOKEN-LIFE",
        samples: &["501 5.5.127 Invalid XOAUTH2 auth data - Token will expire soon error"],
        matchers: &[
            Matcher::exact(501, Permanent, 5, 127),
            Matcher::text(&["Token will expire soon"]),
        ],
        stages: AUTH,
        scope: Scope::Principal,
        persistence: retry_after(Duration::from_secs(10)),
        title: "the High Volume Email host wants a token with more time left",
        causes: &[Cause::observed(
            "the token has less than some ten minutes left",
        )],
        fix: Fix::command("take a fresh token", "sendas token get"),
        sources: &[Source::observed("SX2", "its README")],
    },
    Entry {
        id: "S-HVE-AUTH-DATA",
        samples: &["501 5.5.124 Invalid XOAUTH2 auth data"],
        matchers: &[
            Matcher::exact(501, Permanent, 5, 124),
            Matcher::text(&["Invalid XOAUTH2 auth data"]),
        ],
        stages: AUTH,
        scope: Scope::Mailbox,
        persistence: administrator(),
        title: "the High Volume Email host could not use the login",
        causes: &[
            Cause::observed("the response is not in XOAUTH2's form"),
            Cause::unsure("the token is not one of Exchange's"),
        ],
        fix: Fix::command(
            "look into the token, and check that the mailbox is a High Volume Email account",
            "sendas token inspect",
        ),
        sources: &[Source::observed("SX2", "issue 110")],
    },
    Entry {
        id: "S-MAILBOX-SERVER-AWAY",
        samples: &[
            "451 4.7.0 Temporary server error. Please try again later. PRX4 [AM0PR02CA0134.eurprd02.prod.outlook.com 2026-03-02T08:00:00.000Z 08DE77A1B2C3D4E5]",
        ],
        matchers: &[
            Matcher::exact(451, Temporary, 7, 0).with(&["Temporary server error"]),
            Matcher::text(&["Temporary server error", "PRX"]).code(451),
        ],
        stages: AUTH_AND_MAIL,
        scope: Scope::Mailbox,
        persistence: retry_after(Duration::from_mins(1)),
        title: "the service did not reach the server that holds the mailbox",
        causes: &[Cause::observed(
            "the front end did not get through to the mailbox server",
        )],
        fix: Fix::advice("wait; it is tried again"),
        sources: &[
            Source::observed("SX2", "issue 69"),
            Source::observed("SFM", "collected replies"),
        ],
    },
];
