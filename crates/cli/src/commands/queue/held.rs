//! Messages whose mailbox cannot send, as a running relay notes it: each waits for more than its
//! own date, tried or not.

use jiff::Timestamp;
use sendas_config::Settings;
use sendas_relay::Gates;
use sendas_spool::{RecipientState, Spool, SpoolError, State, Summary};

/// What holds mailboxes back.
pub(super) struct Held<'a> {
    gates: Gates,
    settings: &'a Settings,
}

impl<'a> Held<'a> {
    /// Reads what the relay has noted.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(super) async fn read(spool: &Spool, settings: &'a Settings) -> Result<Self, SpoolError> {
        let gates = spool.read(Gates::read).await?;
        Ok(Self { gates, settings })
    }

    /// Puts the cause and the next attempt where the message would have them, had it been tried.
    pub(super) fn explain(&self, summary: &mut Summary, now: Timestamp) {
        if self.gates.is_empty() || summary.state != State::Waiting {
            return;
        }
        let principal = self.settings.principal_of(&summary.mailbox);
        let principal = principal.map(|principal| principal.name.as_str());
        let Some((_, held)) = self.gates.of(&summary.mailbox, principal) else {
            return;
        };
        let until = held.until.max(now);
        for delivery in &mut summary.deliveries {
            let is_later = delivery.due.is_some_and(|due| due > until);
            if delivery.state == RecipientState::Waiting && !is_later {
                delivery.due = Some(until);
                delivery.reason.clone_from(&held.cause.reason);
                delivery.reply.clone_from(&held.cause.text);
                delivery.status = Some(held.cause.status);
            }
        }
        if summary.due.is_none_or(|due| due <= until) {
            summary.due = Some(until);
            summary.reason.clone_from(&held.cause.reason);
        }
    }
}
