//! Replies to a mailbox or an organisation that the service no longer lets send.
//!
//! All of them are 5xx, and most are not final here: while a tenant or a mailbox is blocked, no
//! notice could be sent to anybody either, so the mail is held until the block is lifted.

use std::time::Duration;

use sendas_envelope::{Class, Status};

use super::{TRANSACTION, administrator_slowly, retry_after};
use crate::entry::{Cause, Entry, Matcher, Source};
use crate::fix::Fix;
use crate::meaning::{Persistence, Scope};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "S-OUTBOUND-SPAM",
        samples: &[
            "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message due to a permanent exception with message WASCL UserAction verdict is not None. Actual verdict is HipNotify, ShowTierUpgrade. OutboundSpamException: WASCL UserAction verdict is not None. [Hostname=PS2PR06MB3510.apcprd06.prod.outlook.com]",
        ],
        matchers: &[
            Matcher::text(&["OutboundSpamException"]),
            Matcher::text(&["WASCL UserAction verdict"]),
        ],
        stages: TRANSACTION,
        scope: Scope::Mailbox,
        persistence: administrator_slowly(),
        title: "the service holds what this mailbox sends for spam, and stopped it",
        causes: &[
            Cause::observed("the outbound spam control flagged the account"),
            Cause::unsure("somebody else sends in its name"),
        ],
        fix: Fix::command(
            "find out what was sent, then take the mailbox off the list of restricted senders",
            "Remove-BlockedSenderAddress -SenderAddress {mailbox}",
        ),
        sources: &[Source::observed(
            "USERS",
            "nodemailer issue 1486, lua-resty-mail issue 5",
        )],
    },
    Entry {
        id: "S-SENDER-RESTRICTED",
        samples: &["550 5.1.8 Access denied, bad outbound sender"],
        matchers: &[
            Matcher::permanent(1, 8),
            Matcher::text(&["bad outbound sender"]),
        ],
        stages: TRANSACTION,
        scope: Scope::Mailbox,
        persistence: administrator_slowly(),
        title: "the mailbox is on the list of restricted senders",
        causes: &[Cause::documented(
            "it sent what looked like spam, or far more than usual",
        )],
        fix: Fix::command(
            "find out what was sent, then take the mailbox off the list",
            "Remove-BlockedSenderAddress -SenderAddress {mailbox}",
        ),
        sources: &[
            Source::documented("NDR", "5.1.8"),
            Source::documented("FIX", "the same for programs"),
            Source::documented("PS", "Remove-BlockedSenderAddress"),
        ],
    },
    Entry {
        id: "S-SENDER-BANNED",
        samples: &[
            "550 5.7.501 Access denied, spam abuse detected",
            "550 5.7.502 Access denied, banned sender",
            "550 5.7.503 Access denied, banned sender",
            "550 5.7.511 Access denied, banned sender",
        ],
        matchers: &[
            Matcher::details(Status::new(Class::Permanent, 7, 501), 503),
            Matcher::permanent(7, 511),
        ],
        stages: TRANSACTION,
        scope: Scope::Mailbox,
        persistence: administrator_slowly(),
        title: "the service has banned the account for spam",
        causes: &[
            Cause::documented("the account was found to send spam"),
            Cause::documented("the whole organisation was"),
        ],
        fix: Fix::advice(
            "find out what was sent and stop it, then open a case with Microsoft support",
        ),
        sources: &[Source::documented("NDR", "5.7.501 to 5.7.503, 5.7.511")],
    },
    Entry {
        id: "S-RECIPIENT-LISTED",
        samples: &[
            "550 5.7.703 Your message can't be delivered because messages to fabrikam.com are blocked by your organization using Tenant Allow Block List.",
        ],
        matchers: &[Matcher::permanent(7, 703)],
        stages: TRANSACTION,
        scope: Scope::Message,
        persistence: Persistence::Permanent,
        title: "the organisation's own block list forbids a recipient, and with it the message",
        causes: &[Cause::documented(
            "one recipient is on the Tenant Allow/Block List; the others get nothing either",
        )],
        fix: Fix::command(
            "send without that recipient, or take it off the list",
            "Get-TenantAllowBlockListItems -ListType Sender -Block",
        ),
        sources: &[Source::documented("SUPPORT", "page on 5.7.703")],
    },
    Entry {
        id: "S-TENANT-THRESHOLD",
        samples: &["550 5.7.705 Access denied, tenant has exceeded threshold"],
        matchers: &[
            Matcher::permanent(7, 705),
            Matcher::text(&["tenant has exceeded threshold"]),
        ],
        stages: TRANSACTION,
        scope: Scope::Tenant,
        persistence: administrator_slowly(),
        title: "the organisation may not send for now",
        causes: &[Cause::documented(
            "too much of what its mailboxes sent was spam, or too much was sent at all",
        )],
        fix: Fix::advice(
            "find the mailbox that sends it and stop it, then open a case with Microsoft support",
        ),
        sources: &[
            Source::documented("NDR", "5.7.705"),
            Source::documented("SUPPORT", "page on 5.7.700 to 5.7.750"),
        ],
    },
    Entry {
        id: "S-TENANT-NEW",
        samples: &["550 5.7.708 Access denied, traffic not accepted from this IP"],
        matchers: &[
            Matcher::permanent(7, 708),
            Matcher::text(&["traffic not accepted from this IP"]),
        ],
        stages: TRANSACTION,
        scope: Scope::Tenant,
        persistence: administrator_slowly(),
        title: "the service does not take mail from this organisation's addresses",
        causes: &[
            Cause::documented("the organisation is on trial, or new and without standing"),
            Cause::documented("the addresses it sends from have a bad standing"),
        ],
        fix: Fix::advice("buy a licence if it is a trial, else open a case with Microsoft support"),
        sources: &[
            Source::documented("NDR", "5.7.708"),
            Source::documented("SUPPORT", "page on 5.7.708"),
        ],
    },
    Entry {
        id: "S-DOMAIN-UNREGISTERED",
        samples: &["550 5.7.750 Client blocked from sending from unregistered domain(s)"],
        matchers: &[
            Matcher::permanent(7, 750),
            Matcher::text(&["sending from unregistered domain"]),
        ],
        stages: TRANSACTION,
        scope: Scope::Message,
        persistence: Persistence::Permanent,
        title: "the domain of the sender does not belong to the organisation",
        causes: &[Cause::documented(
            "much mail went out under domains that the organisation has not registered",
        )],
        fix: Fix::command(
            "register the domain in the Microsoft 365 admin centre, or send under one of these",
            "Get-AcceptedDomain",
        ),
        sources: &[
            Source::documented("NDR", "5.7.750"),
            Source::documented("SUPPORT", "page on 5.7.700 to 5.7.750"),
        ],
    },
    Entry {
        id: "S-SUSPICIOUS-TRAFFIC",
        samples: &[
            "451 4.7.500 Access denied, please try again later. For more information please go to http://go.microsoft.com/fwlink/?LinkId=526653. (AS112201) [AM0PR02CA0134.eurprd02.prod.outlook.com]",
            "450 4.7.699 Access denied, please try again later",
        ],
        matchers: &[Matcher::details(Status::new(Class::Temporary, 7, 500), 699)],
        stages: TRANSACTION,
        scope: Scope::Tenant,
        persistence: retry_after(Duration::from_hours(1)),
        title: "the service holds the traffic for suspicious, and slows it down",
        causes: &[Cause::documented(
            "the pattern of sending changed: much more than usual, from a new place, or to many unknown addresses",
        )],
        fix: Fix::advice(
            "send less for some hours; if it stays, open a case with Microsoft support",
        ),
        sources: &[
            Source::documented("NDR", "4.7.500 to 4.7.699"),
            Source::observed("MK", "issue 1502, at RCPT"),
        ],
    },
];
