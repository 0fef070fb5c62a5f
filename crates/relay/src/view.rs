//! What others may read of a running relay: dashboard, metrics, status text. Changes nothing.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use sendas_envelope::Mailbox;
use sendas_spool::{Count, Filter, Spool, SpoolError, State};

use crate::context::{Context, Counts};
use crate::schedule::Waiting;
use crate::session::Health;
use crate::worker::Delivery;

/// A window on a running relay. Clones show the same one.
#[derive(Clone)]
pub struct View {
    context: Arc<Context>,
    delivery: Arc<Delivery>,
}

/// The queue at one moment.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Messages by state, mailbox and reason.
    pub counts: Vec<Count>,
    /// When the oldest message that is still in the queue was accepted.
    pub oldest: Option<Timestamp>,
}

/// One mailbox with waiting messages.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The mailbox.
    pub mailbox: Mailbox,
    /// Messages that wait.
    pub messages: u64,
    /// The earliest attempt.
    pub due: Timestamp,
    /// Sends under way.
    pub running: u32,
    /// Whether a principal sends for it.
    pub has_principal: bool,
    /// What holds it back, beyond the messages' own dates.
    pub waiting: Option<Waiting>,
}

impl View {
    pub(crate) const fn new(context: Arc<Context>, delivery: Arc<Delivery>) -> Self {
        Self { context, delivery }
    }

    /// What happened since the start.
    pub fn counts(&self) -> Counts {
        self.context.counters.read()
    }

    /// Connections now.
    pub fn connections(&self) -> u32 {
        self.context.seats.count()
    }

    /// Whether messages are taken now.
    pub fn is_ready(&self) -> bool {
        self.context.health() == Health::Ready
    }

    /// The queue itself, for lists and single messages.
    pub fn spool(&self) -> &Spool {
        &self.context.spool
    }

    /// The queue in numbers; costs nothing, however long it is.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn queue(&self) -> Result<Queue, SpoolError> {
        let open = Filter::open();
        let ask = move |view: &sendas_spool::View| {
            Ok(Queue {
                counts: view.counts()?,
                oldest: view.oldest(&open)?,
            })
        };
        self.context.spool.read(ask).await
    }

    /// Every mailbox with waiting messages, and what it waits for.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn lanes(&self) -> Result<Vec<Lane>, SpoolError> {
        let due = self
            .context
            .spool
            .read(sendas_spool::View::mailboxes_due)
            .await?;
        let now = self.context.clock.now().wall;
        let ways = self.delivery.ways.borrow().clone();
        let schedule = self.delivery.schedule();
        let lanes = due.into_iter().filter_map(|entry| {
            let mailbox: Mailbox = entry.mailbox.parse().ok()?;
            let way = ways.way_of(&mailbox);
            Some(Lane {
                messages: entry.messages,
                due: entry.due,
                running: schedule.running(&mailbox),
                has_principal: way.is_some(),
                waiting: way.and_then(|(_, way)| schedule.waiting(&mailbox, way, now)),
                mailbox,
            })
        });
        Ok(lanes.collect())
    }

    /// One line for a service manager: `14 queued, 2 held, 3 connections`.
    pub async fn status(&self) -> String {
        let Ok(queue) = self.queue().await else {
            return "the spool cannot be read".to_owned();
        };
        let of = |states: &[State]| -> u64 {
            queue
                .counts
                .iter()
                .filter(|count| states.contains(&count.state))
                .map(|count| count.messages)
                .sum()
        };
        let waiting = of(&[State::Waiting, State::Claimed]);
        let mut text = format!("{waiting} queued");
        for (count, word) in [
            (of(&[State::Held, State::Suspect]), "held"),
            (of(&[State::Damaged]), "damaged"),
        ] {
            if count > 0 {
                _ = write!(text, ", {count} {word}");
            }
        }
        let stranded = self.delivery.stranded();
        if stranded > 0 {
            _ = write!(text, ", notices in {stranded} mailboxes that cannot send");
        }
        _ = write!(text, ", {} connections", self.connections());
        text
    }
}
