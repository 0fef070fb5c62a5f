//! Replies about who sends and what, mostly at the end of the message.

use std::time::Duration;

use sendas_envelope::Class::Permanent;

use super::{MAIL, MESSAGE, TRANSACTION, administrator};
use crate::entry::{Cause, Entry, Matcher, Source};
use crate::fix::Fix;
use crate::meaning::{Persistence, Scope};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "S-SEND-AS-DENIED",
        samples: &[
            "554 5.2.252 SendAsDenied; scan@contoso.com not allowed to send as ceo@contoso.com; STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception with message [BeginDiagnosticData]Cannot submit message. 0.35250:0A003282 [EndDiagnosticData] [Hostname=PS2PR06MB3510.apcprd06.prod.outlook.com]",
            "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception with message Cannot submit message. 0.35250:0A003282 [Hostname=PS2PR06MB3510.apcprd06.prod.outlook.com]",
            "550 5.7.60 SMTP; Client does not have permissions to send as this sender [PS2PR06MB3510.apcprd06.prod.outlook.com]",
        ],
        matchers: &[
            Matcher::permanent(2, 252),
            Matcher::text(&["SendAsDenied"]),
            Matcher::permanent(7, 60),
            Matcher::text(&["not have permissions to send as"]),
        ],
        stages: MESSAGE,
        scope: Scope::Message,
        persistence: Persistence::TransientThenPermanent {
            attempts_max: 4,
            first_retry: Duration::from_mins(5),
        },
        title: "the mailbox may not send under the address in the From header",
        causes: &[
            Cause::observed(
                "the From header names another mailbox, on which the mailbox of `user=` has no SendAs right; a right of the principal alone does not count",
            ),
            Cause::unsure(
                "the From header names an alias, and the organisation does not send from aliases",
            ),
            Cause::observed("the service errs for a moment, with nothing changed"),
        ],
        fix: Fix::command(
            "log in as the mailbox of the From header, or give the mailbox SendAs on it",
            "Add-RecipientPermission -Identity {from} -Trustee {mailbox} -AccessRights SendAs -Confirm:$false",
        ),
        sources: &[
            Source::documented("FIX", "the form with 5.7.60"),
            Source::observed(
                "USERS",
                "gophish issue 2900, rss2email issue 147: the header decides",
            ),
            Source::observed("LOGS", "5.7.60 as the reply to BDAT"),
            Source::observed("MK", "issue 1176: it comes and goes"),
        ],
    },
    // The code says 4xx, and no report tells of a cure by waiting.
    Entry {
        id: "S-LOGON-FAILURE",
        samples: &[
            "430 4.2.0 STOREDRV; mailbox logon failure; STOREDRV.Submission.Exception:ConnectionFailedTransientException.MapiExceptionLogonFailed; Failed to process message due to a transient exception with message [BeginDiagnosticData]Cannot open mailbox. Server = PS2PR06MB3510 [Hostname=PS2PR06MB3510.apcprd06.prod.outlook.com]",
        ],
        matchers: &[
            Matcher::text(&["mailbox logon failure"]),
            Matcher::text(&["MapiExceptionLogonFailed"]),
        ],
        stages: MESSAGE,
        scope: Scope::Mailbox,
        persistence: administrator(),
        title: "the login went well, and then the mailbox did not open",
        causes: &[
            Cause::unsure(
                "the principal has no FullAccess on the mailbox, which the classic way needs",
            ),
            Cause::unsure(
                "the principal holds SMTP.SendAsApp besides its role in Exchange, which brings the mailbox check back",
            ),
        ],
        fix: Fix::command(
            "give the principal FullAccess, or go the way of application RBAC without SMTP.SendAsApp",
            "Add-MailboxPermission -Identity {mailbox} -User {object} -AccessRights FullAccess",
        ),
        sources: &[
            Source::observed("EOP", "issue 271: it did not heal by waiting"),
            Source::documented("RBAC", "both ways together bring the check back"),
        ],
    },
    Entry {
        id: "S-FROM-MISSING",
        samples: &["550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant"],
        matchers: &[
            Matcher::permanent(7, 512),
            Matcher::text(&["must be RFC 5322 section 3.6.2 compliant"]),
        ],
        stages: MESSAGE,
        scope: Scope::Message,
        persistence: Persistence::Permanent,
        title: "the message was refused for its From header",
        causes: &[Cause::documented(
            "the From header is missing, is there twice, or cannot be read",
        )],
        fix: Fix::advice("write one From header with one address"),
        sources: &[Source::documented("NDR", "5.7.512")],
    },
    Entry {
        id: "S-FROM-SEVERAL",
        samples: &["550 5.1.20 Multiple From addresses are not allowed without Sender address"],
        matchers: &[Matcher::permanent(1, 20)],
        stages: MESSAGE,
        scope: Scope::Message,
        persistence: Persistence::Permanent,
        title: "the message was refused for several addresses in its From header",
        causes: &[Cause::documented(
            "the From header has more than one address, and there is no Sender header",
        )],
        fix: Fix::advice("write one address in From, or add a Sender header"),
        sources: &[Source::documented("SUPPORT", "page on 5.1.20")],
    },
    Entry {
        id: "S-BARE-LINE-FEED",
        samples: &["550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal; Invalid characters"],
        matchers: &[
            Matcher::permanent(6, 11),
            Matcher::text(&["BareLinefeedsAreIllegal"]),
        ],
        stages: MESSAGE,
        scope: Scope::Message,
        persistence: Persistence::Permanent,
        title: "the message was refused for its line ends",
        causes: &[Cause::documented(
            "a line feed without carriage return stands in the message",
        )],
        fix: Fix::advice("end every line of the message with CR LF"),
        sources: &[Source::documented("NDR", "5.6.11")],
    },
    Entry {
        id: "S-MESSAGE-TOO-LARGE",
        samples: &[
            "552 5.3.4 Message size exceeds fixed maximum message size",
            "552 Message size exceeds fixed limit",
        ],
        matchers: &[Matcher::permanent(3, 4), Matcher::bare(552)],
        stages: TRANSACTION,
        scope: Scope::Message,
        persistence: Persistence::Permanent,
        title: "the message is too large",
        causes: &[
            Cause::unsure("it is larger than the mailbox may send (`MaxSendSize`)"),
            Cause::observed("it is larger than the service takes: 150 MiB on the wire"),
        ],
        fix: Fix::command(
            "send less, or raise the mailbox's limit; base64 makes attachments a third larger",
            "Set-Mailbox -Identity {mailbox} -MaxSendSize 150MB",
        ),
        sources: &[
            Source::unsure("ONPREM", "a text of Exchange Server"),
            Source::observed("MK", "issue 1770 for the announced size"),
        ],
    },
    Entry {
        id: "S-SENDER-ADDRESS",
        samples: &["501 5.1.3 Invalid address", "501 5.1.7 Invalid address"],
        matchers: &[
            Matcher::exact(501, Permanent, 1, 3),
            Matcher::exact(501, Permanent, 1, 7),
        ],
        stages: MAIL,
        scope: Scope::Message,
        persistence: Persistence::Permanent,
        title: "the reverse-path was refused",
        causes: &[Cause::observed("the service cannot read the address")],
        fix: Fix::advice("correct the address that bounces go to"),
        sources: &[Source::observed("USERS", "seen for 501 5.1.3")],
    },
    Entry {
        id: "S-ARGUMENTS",
        samples: &["501 5.5.4 Invalid arguments"],
        matchers: &[Matcher::exact(501, Permanent, 5, 4)],
        stages: MAIL,
        scope: Scope::Message,
        persistence: Persistence::Permanent,
        title: "the envelope was refused",
        causes: &[
            Cause::unsure("the service cannot read the reverse-path"),
            Cause::unsure("it does not take a parameter of MAIL, such as `ENVID` or `BODY`"),
        ],
        fix: Fix::command(
            "send without delivery-status options; look at the dialogue",
            "sendas probe --quit-after mail",
        ),
        sources: &[Source::unsure("ONPREM", "a text of Exchange Server")],
    },
];
