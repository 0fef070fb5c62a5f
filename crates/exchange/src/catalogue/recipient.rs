//! Replies about recipients: too many of them, or one that does not take the message.
//!
//! Most of the second kind come as a bounce after a `250`; the rows are there because nothing
//! keeps the service from saying them in the dialogue.

use std::time::Duration;

use sendas_envelope::Class::Permanent as P;
use sendas_envelope::Status;

use super::{MESSAGE, RCPT, RCPT_AND_MESSAGE, retry_after};
use crate::entry::{Cause, Entry, Matcher, Source};
use crate::fix::Fix;
use crate::meaning::{Persistence, Scope};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "S-DOMAIN-RECIPIENTS",
        samples: &["452 4.5.3 Too many recipients", "452 Too many recipients"],
        matchers: &[
            Matcher::temporary(5, 3),
            Matcher::bare(452).with(&["Too many recipients"]),
        ],
        stages: RCPT_AND_MESSAGE,
        scope: Scope::Recipient,
        persistence: retry_after(Duration::from_secs(10)),
        title: "the recipient did not fit into this envelope any more",
        causes: &[Cause::documented(
            "the envelope has more than 200 recipients of one domain",
        )],
        fix: Fix::advice("nothing: the rest goes in an envelope of its own"),
        sources: &[Source::documented("NDR", "4.5.3")],
    },
    Entry {
        id: "S-ENVELOPE-FULL",
        samples: &["550 5.5.3 RESOLVER.ADR.RecipLimit; too many recipients"],
        matchers: &[Matcher::exact(550, P, 5, 3), Matcher::text(&["RecipLimit"])],
        stages: RCPT,
        scope: Scope::Recipient,
        persistence: retry_after(Duration::from_secs(10)),
        title: "the recipient did not fit into this envelope any more",
        causes: &[Cause::unsure(
            "the envelope has more recipients than the mailbox may give one message: 500, or what `RecipientLimits` says, 1,000 at most",
        )],
        fix: Fix::command(
            "nothing: the rest goes in an envelope of its own; for larger ones raise the mailbox's limit",
            "Set-Mailbox -Identity {mailbox} -RecipientLimits 1000",
        ),
        sources: &[
            Source::unsure("ONPREM", "a text of Exchange Server"),
            Source::documented("PS", "Set-Mailbox"),
        ],
    },
    Entry {
        id: "S-TOO-MANY-RECIPIENTS",
        samples: &["550 5.5.3 RESOLVER.ADR.RecipLimit; too many recipients"],
        matchers: &[Matcher::exact(550, P, 5, 3), Matcher::text(&["RecipLimit"])],
        stages: MESSAGE,
        scope: Scope::Message,
        persistence: Persistence::Permanent,
        title: "the message has too many recipients",
        causes: &[Cause::unsure(
            "more than the mailbox may give one message: 500, or what `RecipientLimits` says, 1,000 at most; groups count by their members",
        )],
        fix: Fix::command(
            "send to fewer at a time, or raise the mailbox's limit",
            "Set-Mailbox -Identity {mailbox} -RecipientLimits 1000",
        ),
        sources: &[
            Source::unsure("ONPREM", "a text of Exchange Server"),
            Source::documented("PS", "Set-Mailbox"),
        ],
    },
    // 5xx, but counted by the hour.
    Entry {
        id: "S-RECIPIENT-PAIR-RATE",
        samples: &[
            "554 5.2.121 Recipient's per hour message receive limit from specific sender exceeded",
        ],
        matchers: &[Matcher::permanent(2, 121)],
        stages: RCPT_AND_MESSAGE,
        scope: Scope::Recipient,
        persistence: retry_after(Duration::from_hours(1)),
        title: "the recipient has got too much from this sender within the hour",
        causes: &[Cause::documented(
            "one sender gave a third of the 3,600 messages that a mailbox takes in an hour",
        )],
        fix: Fix::advice("wait an hour; send fewer messages to one address"),
        sources: &[Source::documented("NDR", "5.2.121")],
    },
    Entry {
        id: "S-RECIPIENT-RATE",
        samples: &[
            "554 5.2.122 The recipient has exceeded their limit for the number of messages they can receive per hour",
        ],
        matchers: &[Matcher::permanent(2, 122)],
        stages: RCPT_AND_MESSAGE,
        scope: Scope::Recipient,
        persistence: retry_after(Duration::from_hours(1)),
        title: "the recipient has got too much within the hour",
        causes: &[Cause::documented(
            "a mailbox takes 3,600 messages in an hour",
        )],
        fix: Fix::advice("wait an hour; write such reports to several mailboxes"),
        sources: &[Source::documented("NDR", "5.2.122")],
    },
    Entry {
        id: "S-RECIPIENT-ADDRESS",
        samples: &["501 5.1.3 Invalid address", "501 5.5.4 Invalid arguments"],
        matchers: &[Matcher::permanent(1, 3), Matcher::exact(501, P, 5, 4)],
        stages: RCPT,
        scope: Scope::Recipient,
        persistence: Persistence::Permanent,
        title: "the recipient's address was refused",
        causes: &[
            Cause::observed("the service cannot read the address"),
            Cause::unsure("it does not take a parameter of RCPT, such as `ORCPT`"),
        ],
        fix: Fix::advice("correct the address"),
        sources: &[
            Source::observed("USERS", "seen for 501 5.1.3"),
            Source::unsure("ONPREM", "501 5.5.4, a text of Exchange Server"),
        ],
    },
    Entry {
        id: "S-RECIPIENT-UNKNOWN",
        samples: &[
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient nobody@contoso.com not found by SMTP address lookup",
            "550 5.1.1 RESOLVER.ADR.RecipNotFound; not found",
        ],
        matchers: &[Matcher::permanent(1, 10), Matcher::permanent(1, 1)],
        stages: RCPT_AND_MESSAGE,
        scope: Scope::Recipient,
        persistence: Persistence::Permanent,
        title: "the recipient does not exist",
        causes: &[Cause::documented(
            "the address is misspelt, or its owner has gone",
        )],
        fix: Fix::advice("correct the address, or take it out"),
        sources: &[Source::documented(
            "NDR",
            "5.1.1 and 5.1.10, mostly as a bounce",
        )],
    },
    Entry {
        id: "S-RECIPIENT-DOMAIN",
        samples: &["550 5.4.1 Recipient address rejected: Access denied"],
        matchers: &[Matcher::permanent(4, 1)],
        stages: RCPT_AND_MESSAGE,
        scope: Scope::Recipient,
        persistence: Persistence::Permanent,
        title: "the recipient's domain does not take the address",
        causes: &[Cause::documented(
            "the address does not exist in a domain that refuses unknown ones, or the domain's mail records are wrong",
        )],
        fix: Fix::advice("correct the address, or tell whoever runs the domain"),
        sources: &[Source::documented("NDR", "5.4.1, mostly as a bounce")],
    },
    Entry {
        id: "S-RECIPIENT-INTERNAL",
        samples: &[
            "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check failed because the sender was not authenticated when sending to this group",
            "550 5.7.134 RESOLVER.RST.SenderNotAuthenticatedForMailbox; authentication required",
        ],
        matchers: &[Matcher::details(Status::new(P, 7, 133), 134)],
        stages: RCPT_AND_MESSAGE,
        scope: Scope::Recipient,
        persistence: Persistence::Permanent,
        title: "the recipient takes mail from inside its organisation only",
        causes: &[Cause::documented(
            "the group or mailbox asks for authenticated senders of its own organisation",
        )],
        fix: Fix::advice("ask the owner of the group or mailbox to take mail from outside"),
        sources: &[Source::documented(
            "NDR",
            "5.7.133 and 5.7.134, mostly as a bounce",
        )],
    },
    Entry {
        id: "S-RECIPIENT-RESTRICTED",
        samples: &[
            "550 5.7.124 RESOLVER.RST.NotAuthorized; not authorized; the sender is not in the group's allowed-senders list",
            "550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized",
        ],
        matchers: &[Matcher::permanent(7, 124), Matcher::permanent(7, 1)],
        stages: RCPT_AND_MESSAGE,
        scope: Scope::Recipient,
        persistence: Persistence::Permanent,
        title: "the recipient does not take mail from this sender",
        causes: &[
            Cause::documented("the group or mailbox has a list of permitted senders"),
            Cause::documented("a mail flow rule forbids the message"),
        ],
        fix: Fix::advice("ask the owner of the group or mailbox to permit the sender"),
        sources: &[Source::documented(
            "NDR",
            "5.7.1 and 5.7.124, mostly as a bounce",
        )],
    },
];
