//! Judging a message at the end of data: pure, from its header and the tenant as it acts now.

use sendas_envelope::header::Header;
use sendas_envelope::list;

use super::auth::Sender;
use super::reply::{self, Said};
use crate::limits;
use crate::state::exchange::MailboxTrouble;
use crate::state::view::View;

/// What the header says of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heading {
    /// The addresses of From.
    pub(crate) from: Vec<String>,
    /// The subject as it stands.
    pub(crate) subject: String,
    /// The Message-ID, if there is one.
    pub(crate) message_id: Option<String>,
    has_sender: bool,
}

/// What arrived, besides the header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The message's length in octets.
    pub(crate) octets: u64,
    /// Whether a bare CR, LF or NUL stood in it.
    pub(crate) bare_line_end: bool,
    /// Whether the mailbox had more sends at once than allowed.
    pub(crate) crowded: bool,
}

/// Reads the heading; none when From is missing or cannot be read.
pub(crate) fn read_heading(head: &[u8]) -> Option<Heading> {
    let header = Header::scan(head).ok()?;
    let mut heading = Heading {
        subject: header.first("Subject").map(Into::into).unwrap_or_default(),
        message_id: header
            .first("Message-ID")
            .map(Into::into)
            .filter(|id: &String| !id.is_empty()),
        has_sender: header.first("Sender").is_some(),
        from: Vec::new(),
    };
    for field in header.named("From") {
        let entries = list::parse(&header.value(field)).ok()?;
        heading
            .from
            .extend(entries.into_iter().map(|entry| entry.address.to_string()));
    }
    (!heading.from.is_empty()).then_some(heading)
}

/// Judges a message; the order of the checks is assumed: size, characters, From, the mailbox's
/// state, sends at once, the store's logon, `SendAs`.
pub(crate) fn judge_message(
    view: &View,
    sender: &Sender,
    heading: Option<&Heading>,
    arrival: Arrival,
    host: &str,
) -> Result<(), Said> {
    if arrival.octets > limits::MESSAGE_OCTETS_MAX {
        return Err(reply::TOO_LARGE.said());
    }
    if arrival.bare_line_end {
        return Err(reply::BARE_LINE_FEED.said());
    }
    let heading = heading.ok_or_else(|| reply::FROM_MISSING.said())?;
    if heading.from.len() > 1 && !heading.has_sender {
        return Err(reply::FROM_MANY.said());
    }
    let Some(found) = view.mailbox(&sender.mailbox) else {
        return Err(logon_failure(host, "the mailbox is gone since the AUTH"));
    };
    match found.mailbox.trouble {
        None => {}
        Some(MailboxTrouble::Full) => return Err(reply::MAILBOX_FULL.said()),
        Some(MailboxTrouble::OutboundSpam) => return Err(reply::OUTBOUND_SPAM.said()),
        Some(MailboxTrouble::Restricted) => return Err(reply::RESTRICTED.said()),
        Some(MailboxTrouble::TenantBlocked) => return Err(reply::TENANT_BLOCKED.said()),
        Some(MailboxTrouble::LogonFailure) => {
            return Err(logon_failure(host, "the mailbox's trouble says so"));
        }
    }
    if arrival.crowded {
        return Err(reply::TOO_MANY_SENDS.said());
    }
    if found
        .mailbox
        .send_size_octets_max
        .is_some_and(|max| arrival.octets > max)
    {
        return Err(reply::TOO_LARGE_MAILBOX.said());
    }
    if sender.store_refuses {
        return Err(logon_failure(
            host,
            "the service principal has no FullAccess",
        ));
    }
    judge_from(view, sender, heading)
}

// The From header decides, not the envelope; the right must be the mailbox's, not the service
// principal's. An alias of the mailbox itself is its own address (nothing is rewritten).
fn judge_from(view: &View, sender: &Sender, heading: &Heading) -> Result<(), Said> {
    for from in &heading.from {
        let denied = |cause: &str| {
            reply::SEND_AS_DENIED
                .with(&[&sender.mailbox, from])
                .because(cause)
        };
        match view.mailbox(from) {
            Some(owner) if owner.address == sender.mailbox => {}
            Some(owner) if view.send_as(owner.address, &sender.mailbox) => {}
            Some(_) => return Err(denied("the mailbox of the AUTH has no SendAs on it")),
            None => {
                return Err(denied(
                    "the From address belongs to no mailbox of the tenant",
                ));
            }
        }
    }
    Ok(())
}

fn logon_failure(host: &str, cause: &str) -> Said {
    reply::LOGON_FAILURE.with(&[host]).because(cause)
}
