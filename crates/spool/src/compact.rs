//! Compaction: a few long-lived messages shall not keep large segments on the disk.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::accept::Lie;
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::limits::{COMPACT_BELOW, COMPACT_MESSAGES_MAX, COMPACT_OCTETS_MIN};
use crate::message::State;
use crate::spool::{Spool, blocking, one};
use crate::stage::Stage;

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Messages whose body was moved.
    pub messages: u64,
    /// Octets of these bodies.
    pub octets: u64,
}

/// A message that keeps a segment alive.
struct Tenant {
    id: i64,
    segment: i64,
}

impl Spool {
    /// Moves bodies out of segments of which little is needed any more; the segments then go.
    ///
    /// Each body is compared with its checksum on the way, synced at its new place, and only then
    /// does the index point there. Reads all messages' places when there is something to move:
    /// meant for every hour or so, and when the disk is nearly full.
    ///
    /// # Errors
    /// As for every change; what was moved before stays moved.
    pub async fn compact(&self, now: Timestamp) -> Result<Compacted, SpoolError> {
        let spool = self.clone();
        blocking(move || compact(&spool, now)).await
    }
}

fn compact(spool: &Spool, now: Timestamp) -> Result<Compacted, SpoolError> {
    let tenants = spool.read_blocking(|view| Ok(tenants(view.index())?))?;
    let mut done = Compacted::default();
    for Tenant { id, segment } in tenants {
        let Ok(id) = MessageId::from_number(id) else {
            continue;
        };
        let mut body = match spool.open_body(id) {
            Ok(body) => body,
            Err(SpoolError::NotFound(_) | SpoolError::BodyGone(_)) => continue,
            // It stays where it is; whoever wants to send it sets it aside.
            Err(SpoolError::Damaged { id, what }) => {
                tracing::warn!(%id, what, "a damaged body was not moved");
                continue;
            }
            Err(other) => return Err(other),
        };
        let mut stage = Stage::new(spool.shared().clone());
        while let Some(piece) = body.piece_blocking()? {
            stage.write(&piece)?;
        }
        let octets = body.octets();
        let moved = spool.submit_blocking(vec![stage.finish()?], move |work, placed| {
            let placed = one(placed);
            let loaded = work.load(id, now)?;
            let Lie::Shared(place) = placed.lie else {
                return Ok(false);
            };
            // Whoever holds a claim may be reading at the old place.
            let same = loaded.message.segment == Some(segment)
                && loaded.message.digest == placed.digest
                && !matches!(loaded.message.state, State::Claimed | State::Damaged);
            if same {
                let mut moved = loaded.message.clone();
                moved.segment = Some(place.segment);
                moved.place = place.at;
                work.update(&loaded.message, &moved)?;
            }
            Ok(same)
        });
        match moved {
            Ok(true) => {
                done.messages += 1;
                done.octets += octets;
            }
            Ok(false) | Err(SpoolError::NotFound(_) | SpoolError::Damaged { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(done)
}

/// The messages in segments that hold little else; large bodies have files of their own and none.
fn tenants(index: &Connection) -> rusqlite::Result<Vec<Tenant>> {
    let sparse: Vec<Value> = index
        .prepare_cached(
            "SELECT id FROM segments WHERE open = 0 AND live > 0 AND octets >= ?1 \
             AND live_octets < octets / ?2 ORDER BY live_octets LIMIT 100",
        )?
        .query_map((COMPACT_OCTETS_MIN, COMPACT_BELOW), |r| r.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if sparse.is_empty() {
        return Ok(Vec::new());
    }
    let marks = vec!["?"; sparse.len()].join(", ");
    let mut statement = index.prepare(&format!(
        "SELECT id, segment FROM messages WHERE segment IN ({marks}) AND state <> 'claimed' \
         ORDER BY segment LIMIT {COMPACT_MESSAGES_MAX}"
    ))?;
    let rows = statement.query_map(params_from_iter(sparse), |r| {
        Ok(Tenant {
            id: r.get(0)?,
            segment: r.get(1)?,
        })
    })?;
    rows.collect()
}
