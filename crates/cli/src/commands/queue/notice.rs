//! The notice that a message was given up by hand: the relay's own, with a person's words. Pure.

use jiff::Timestamp;
use sendas_config::Settings;
use sendas_envelope::{Address, Mailbox, Notify, Status};
use sendas_relay::dsn::{Action, Facts, Fate, Notice, Original};
use sendas_spool::{Claim, MessageId};

/// Who writes notices here.
#[derive(Debug)]
pub(super) struct Desk {
    /// What the relay calls itself.
    pub(super) hostname: String,
    /// Who notices are from, and the mailbox that sends them; none: the message's own.
    pub(super) postmaster: Option<(Address, Mailbox)>,
}

impl Desk {
    /// As the relay of these settings would write; `hostname` where they name none.
    pub(super) fn new(settings: &Settings, hostname: String) -> Self {
        let relay = settings.relay.as_ref();
        let postmaster = relay
            .and_then(|relay| relay.postmaster.as_deref())
            .and_then(|address| {
                let entries = settings.principals.iter().map(|p| p.mailboxes.as_slice());
                let coverage = sendas_config::coverage(entries, address)?;
                Some((address.parse().ok()?, coverage.mailbox.parse().ok()?))
            });
        Self {
            hostname: relay
                .and_then(|relay| relay.hostname.clone())
                .unwrap_or(hostname),
            postmaster,
        }
    }

    /// The notice for a claim's recipients that failed; none for those whose sender asked for
    /// none (RFC 3461 §4.1).
    pub(super) fn failure(
        &self,
        claim: &Claim,
        to: Address,
        id: MessageId,
        original: Original<'_>,
        (text, status): (&str, Status),
        now: Timestamp,
    ) -> Option<Notice> {
        let fates: Vec<Fate> = claim
            .envelope
            .recipients()
            .iter()
            .filter(|recipient| recipient.notify.is_none_or(Notify::failure))
            .map(|recipient| Fate {
                recipient: recipient.clone(),
                action: Action::Failed,
                status,
                reply: text.to_owned(),
                is_from_service: false,
                until: None,
            })
            .collect();
        if fates.is_empty() {
            return None;
        }
        let (from, mailbox) = self
            .postmaster
            .clone()
            .unwrap_or_else(|| (claim.mailbox.address().clone(), claim.mailbox.clone()));
        let facts = Facts {
            id: id.to_string(),
            hostname: self.hostname.clone(),
            from,
            to,
            now,
            arrived_at: claim.accepted_at,
            queue_id: claim.id.to_string(),
            message_id: claim.message_id.clone(),
            envelope_id: claim.envelope.envelope_id.clone(),
            service: String::new(),
        };
        Some(Notice::new(&facts, id, mailbox, &fates, original))
    }
}
