//! Replies about how much and how fast.

use std::time::Duration;

use sendas_envelope::Class::Temporary;

use super::{MESSAGE, SESSION, TRANSACTION, administrator_slowly, retry_after};
use crate::entry::{Cause, Entry, Matcher, Source};
use crate::fix::Fix;
use crate::meaning::Scope;

pub(super) const ENTRIES: &[Entry] = &[
    // It comes after the whole message was carried over, so each repetition is expensive.
    Entry {
        id: "S-CONCURRENCY",
        samples: &[
            "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information. [Hostname=OS0PR01MB6099.jpnprd01.prod.outlook.com]",
            "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
            "432 4.3.2 Try again later",
        ],
        matchers: &[
            Matcher::text(&["Concurrent connections limit exceeded"]),
            Matcher::text(&["sender thread limit exceeded"]),
            Matcher::exact(432, Temporary, 3, 2),
        ],
        stages: SESSION,
        scope: Scope::Mailbox,
        persistence: retry_after(Duration::from_secs(15)),
        title: "the mailbox already has as many sends under way as it may",
        causes: &[
            Cause::documented("more than three messages were sent as this mailbox at once"),
            Cause::observed("other programs send as the same mailbox"),
        ],
        fix: Fix::advice(
            "let fewer connections send as this mailbox, two at most; give each busy program a mailbox of its own",
        ),
        sources: &[
            Source::documented("IMPROVE", "the limit, with an older wording"),
            Source::observed("USERS", "fastapi-mail issue 75, nodemailer issue 1613"),
        ],
    },
    // 5xx, but it passes with the sliding day.
    Entry {
        id: "S-QUOTA",
        samples: &[
            "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due to a permanent exception with message The message can't be submitted because the sender's submission quota was exceeded. [Hostname=PS2PR06MB3510.apcprd06.prod.outlook.com]",
            "554 5.2.2 Submission quota exceeded",
            "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
        ],
        matchers: &[
            Matcher::text(&["SubmissionQuotaExceeded"]),
            Matcher::text(&["submission quota", "exceeded"]),
            Matcher::permanent(1, 90),
        ],
        stages: TRANSACTION,
        scope: Scope::Mailbox,
        persistence: retry_after(Duration::from_hours(1)),
        title: "the mailbox has reached its number of recipients for a day",
        causes: &[
            Cause::documented("10,000 recipients within 24 hours; the window slides"),
            Cause::documented("the mailbox has a smaller quota of its own"),
        ],
        fix: Fix::advice(
            "wait: the oldest hours leave the window one by one; spread the load over several mailboxes",
        ),
        sources: &[
            Source::documented("IMPROVE", "the exception"),
            Source::documented("NDR", "5.2.2 and 5.1.90"),
        ],
    },
    Entry {
        id: "S-MAILBOX-FULL",
        samples: &[
            "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded; Failed to process message due to a permanent exception [Hostname=PS2PR06MB3510.apcprd06.prod.outlook.com]",
            "554 5.2.0 STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionQuotaExceeded; Failed to process message due to a permanent exception [Hostname=PS2PR06MB3510.apcprd06.prod.outlook.com]",
            "554 5.2.2 mailbox full",
        ],
        matchers: &[
            Matcher::text(&["MapiExceptionShutoffQuotaExceeded"]),
            Matcher::text(&["MapiExceptionQuotaExceeded"]),
            Matcher::permanent(2, 2).with(&["mailbox full"]),
        ],
        stages: MESSAGE,
        scope: Scope::Mailbox,
        persistence: administrator_slowly(),
        title: "the sending mailbox is full, and a full mailbox cannot send",
        causes: &[
            Cause::documented("copies in Sent Items have filled it"),
            Cause::observed("a shared mailbox without licence ends at 50 GB"),
        ],
        fix: Fix::command(
            "empty it, and let it keep no copies of what is submitted",
            "Set-Mailbox -Identity {mailbox} -MessageCopyForSMTPClientSubmissionEnabled $false",
        ),
        sources: &[
            Source::documented("IMPROVE", "both exceptions"),
            Source::documented("PS", "Set-Mailbox"),
        ],
    },
    Entry {
        id: "S-TENANT-EXTERNAL-LIMIT",
        samples: &[
            "550 5.7.233 - Your message can't be sent because your tenant has exceeded its daily limit for sending email to external recipients (tenant external recipient rate limit)",
        ],
        matchers: &[
            Matcher::permanent(7, 233),
            Matcher::text(&["tenant external recipient rate limit"]),
        ],
        stages: TRANSACTION,
        scope: Scope::Tenant,
        persistence: retry_after(Duration::from_hours(1)),
        title: "the organisation has reached its number of external recipients for a day",
        causes: &[
            Cause::documented("all mailboxes together reached what the number of licences allows"),
            Cause::documented("a trial tenant has 5,000"),
        ],
        fix: Fix::command(
            "wait, send bulk mail another way, or buy licences; the threshold and how near it is",
            "Get-LimitsEnforcementStatus",
        ),
        sources: &[
            Source::documented("TERRL", "the announcement"),
            Source::observed("USERS", "the reply, in questions to Microsoft"),
        ],
    },
    Entry {
        id: "S-RATE",
        samples: &[
            "421 4.4.2 Message submission rate for this client has exceeded the configured limit",
        ],
        matchers: &[Matcher::text(&["submission rate", "exceeded"])],
        stages: TRANSACTION,
        scope: Scope::Mailbox,
        persistence: retry_after(Duration::from_mins(1)),
        title: "the mailbox sends too fast",
        causes: &[Cause::unsure(
            "more than 30 messages within a minute; what Exchange Online answers to that is not published",
        )],
        fix: Fix::advice("send fewer messages a minute as this mailbox"),
        sources: &[Source::unsure("ONPREM", "a text of Exchange Server")],
    },
];
