//! What the schedule keeps in the spool: the mailboxes' pace over a restart, and the closed gates
//! for whoever asks why a message waits.

use sendas_envelope::Mailbox;
use sendas_exchange::Scope;
use sendas_spool::SpoolError;

use super::Delivery;
use crate::held;
use crate::log;

/// Under which a mailbox's pace is kept.
const PACE_PREFIX: &str = "pace/";

impl Delivery {
    /// Takes up what the mailboxes sent before the start. A start tries every way anew: gates of
    /// an earlier run are forgotten.
    pub(super) async fn recall(&self) -> Result<(), SpoolError> {
        let (paces, gates) = self
            .spool
            .read(|view| Ok((view.notes(PACE_PREFIX)?, view.notes(held::PREFIX)?)))
            .await?;
        {
            let mut schedule = self.schedule();
            for (key, note) in paces {
                let mailbox = key.strip_prefix(PACE_PREFIX).map(str::parse::<Mailbox>);
                if let (Some(Ok(mailbox)), Ok(note)) = (mailbox, std::str::from_utf8(&note)) {
                    schedule.take_up(&mailbox, note);
                }
            }
        }
        if gates.is_empty() {
            return Ok(());
        }
        let gone = gates.into_iter().map(|(key, _)| (key, None)).collect();
        let now = self.clock.now().wall;
        self.spool.put_notes(gone, now).await
    }

    /// Keeps what has changed, in one commit.
    pub(super) async fn remember(&self) {
        let _turn = self.noting.lock().await;
        let now = self.clock.now().wall;
        let notes = self.schedule().notes(now);
        if notes.paces.is_empty() && notes.gates.is_empty() {
            return;
        }
        let roads = std::sync::Arc::clone(&self.ways.borrow().roads);
        let paces = notes.paces.iter().map(|(mailbox, note)| {
            let key = format!("{PACE_PREFIX}{}", mailbox.address().key());
            (key, (!note.is_empty()).then(|| note.clone().into_bytes()))
        });
        let gates = notes.gates.iter().map(|(scope, name, closed)| {
            let principals = roads
                .iter()
                .filter(|way| *scope == Scope::Service && way.service == *name)
                .map(|way| way.principal.to_string());
            let note = closed
                .as_ref()
                .map(|closed| held::to_note(closed, principals.collect()));
            (held::key(*scope, name), note)
        });
        let all = paces.chain(gates).collect();
        if let Err(error) = self.spool.put_notes(all, now).await {
            log::spool_trouble(&error);
            self.schedule().notes_lost(&notes);
        }
    }
}
