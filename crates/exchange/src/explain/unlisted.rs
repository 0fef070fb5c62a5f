//! Replies that no row of the catalogue knows: read by class and stage alone.

use std::time::Duration;

use sendas_smtp::Reply;
use sendas_smtp::client::Stage;

use super::Explanation;
use crate::entry::{Cause, Mark};
use crate::fix::Fix;
use crate::meaning::{PROBE_EVERY, Persistence, Scope};

/// The words for one way of not knowing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unlisted {
    pub(crate) id: &'static str,
    pub(crate) when: &'static str,
    pub(crate) scope: &'static str,
    pub(crate) consequence: &'static str,
    pub(crate) title: &'static str,
    pub(crate) causes: &'static [Cause],
    pub(crate) fix: Fix,
}

const RETRY: Persistence = Persistence::Temporary {
    first_retry: Duration::from_mins(1),
};
const RETRY_LATER: Persistence = Persistence::Temporary {
    first_retry: Duration::from_mins(5),
};
const PROBE: Persistence = Persistence::NeedsAdministrator {
    probe_every: PROBE_EVERY,
};

pub(crate) const SERVICE: Unlisted = Unlisted {
    id: "S-SERVICE-OTHER",
    when: "any refusal before AUTH, and `421` anywhere",
    scope: "service",
    consequence: "tried again",
    title: "the service did not open a session",
    causes: &[Cause::unsure(
        "the service, or something between it and this machine, takes no session now",
    )],
    fix: Fix::command(
        "look at the dialogue, and at whose words they are",
        "sendas probe --quit-after secure-ehlo",
    ),
};

pub(crate) const AUTH_DEFERRED: Unlisted = Unlisted {
    id: "S-AUTH-DEFERRED",
    when: "another 4xx to AUTH",
    scope: "service",
    consequence: "tried again",
    title: "the service could not check the token now",
    causes: &[Cause::unsure(
        "the service does not reach what it checks tokens with",
    )],
    fix: Fix::advice("wait; it is tried again"),
};

pub(crate) const AUTH_OTHER: Unlisted = Unlisted {
    id: "S-AUTH-OTHER",
    when: "another 5xx to AUTH",
    scope: "mailbox",
    consequence: "held and probed",
    title: "the service did not let the principal act for this mailbox",
    causes: &[Cause::unsure(
        "a setting of mailbox, principal or tenant that the reply's own words name",
    )],
    fix: Fix::command("look into the token first", "sendas token inspect"),
};

pub(crate) const MAIL_DEFERRED: Unlisted = Unlisted {
    id: "S-MAIL-DEFERRED",
    when: "another 4xx to MAIL",
    scope: "mailbox",
    consequence: "tried again",
    title: "the mailbox cannot send now",
    causes: &[Cause::unsure(
        "the service is busy, or slows the mailbox down",
    )],
    fix: Fix::advice("wait; it is tried again"),
};

pub(crate) const RECIPIENT_DEFERRED: Unlisted = Unlisted {
    id: "S-RECIPIENT-DEFERRED",
    when: "another 4xx to RCPT",
    scope: "recipient",
    consequence: "tried again",
    title: "the recipient was not taken now",
    causes: &[Cause::unsure(
        "the service is busy, or slows the mailbox down",
    )],
    fix: Fix::advice("wait; it is tried again"),
};

pub(crate) const RECIPIENT_REFUSED: Unlisted = Unlisted {
    id: "S-RECIPIENT-REFUSED",
    when: "another 5xx to RCPT",
    scope: "recipient",
    consequence: "refused",
    title: "the recipient was refused",
    causes: &[Cause::unsure("the reply's own words name it")],
    fix: Fix::advice("correct the recipient's address, or take it out"),
};

pub(crate) const MESSAGE_DEFERRED: Unlisted = Unlisted {
    id: "S-MESSAGE-DEFERRED",
    when: "another 4xx to the message",
    scope: "message",
    consequence: "tried again",
    title: "the message was not taken now",
    causes: &[Cause::unsure(
        "the service is busy, or slows the mailbox down",
    )],
    fix: Fix::advice("wait; it is tried again"),
};

pub(crate) const MESSAGE_REFUSED: Unlisted = Unlisted {
    id: "S-MESSAGE-REFUSED",
    when: "another 5xx to MAIL or to the message",
    scope: "message",
    consequence: "refused",
    title: "the message was refused",
    causes: &[Cause::unsure("the reply's own words name it")],
    fix: Fix::advice("change the message as the reply says, and send it again"),
};

pub(crate) const OUT_OF_STEP: Unlisted = Unlisted {
    id: "S-OUT-OF-STEP",
    when: "`503`, or a 2xx or 3xx where none belongs",
    scope: "as the stage has it",
    consequence: "tried again",
    title: "client and service lost step with each other",
    causes: &[Cause::unsure(
        "the reply answers an earlier refusal, or something in between changes the dialogue",
    )],
    fix: Fix::command("look at the dialogue", "sendas probe"),
};

/// Every way of not knowing, for the page.
pub(crate) const ALL: [&Unlisted; 9] = [
    &SERVICE,
    &AUTH_DEFERRED,
    &AUTH_OTHER,
    &MAIL_DEFERRED,
    &RECIPIENT_DEFERRED,
    &RECIPIENT_REFUSED,
    &MESSAGE_DEFERRED,
    &MESSAGE_REFUSED,
    &OUT_OF_STEP,
];

pub(super) fn explain(stage: Stage, reply: &Reply) -> Explanation {
    let is_temporary = reply.is_temporary();
    // 421 closes the channel (RFC 5321 §3.8): whatever it was said to, it is about the session.
    if reply.code() == 421 {
        return say(&SERVICE, Scope::Service, RETRY);
    }
    // 503 says that the command does not belong there, which is mostly the echo of an earlier
    // refusal in a pipeline: it condemns nothing.
    if reply.code() == 503 || !(is_temporary || reply.is_permanent()) {
        let scope = match stage {
            Stage::Rcpt => Scope::Recipient,
            _ => Scope::Message.at(stage),
        };
        return say(&OUT_OF_STEP, scope, RETRY_LATER);
    }
    match stage {
        Stage::Connect
        | Stage::Greeting
        | Stage::Ehlo
        | Stage::StartTls
        | Stage::Tls
        | Stage::SecureEhlo
        | Stage::Quit => {
            let persistence = if is_temporary { RETRY } else { RETRY_LATER };
            say(&SERVICE, Scope::Service, persistence)
        }
        Stage::Auth if is_temporary => say(&AUTH_DEFERRED, Scope::Service, RETRY),
        Stage::Auth => say(&AUTH_OTHER, Scope::Mailbox, PROBE),
        Stage::Mail if is_temporary => say(&MAIL_DEFERRED, Scope::Mailbox, RETRY),
        Stage::Rcpt if is_temporary => say(&RECIPIENT_DEFERRED, Scope::Recipient, RETRY_LATER),
        Stage::Rcpt => say(&RECIPIENT_REFUSED, Scope::Recipient, Persistence::Permanent),
        Stage::Body | Stage::End if is_temporary => {
            say(&MESSAGE_DEFERRED, Scope::Message, RETRY_LATER)
        }
        Stage::Mail | Stage::Body | Stage::End => {
            say(&MESSAGE_REFUSED, Scope::Message, Persistence::Permanent)
        }
    }
}

const fn say(words: &Unlisted, scope: Scope, persistence: Persistence) -> Explanation {
    Explanation {
        id: words.id,
        scope,
        persistence,
        title: words.title,
        causes: words.causes,
        fix: words.fix,
        mark: Mark::Unsure,
        entry: None,
    }
}
