//! Everything the interfaces of one sandbox share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::entra::desk::Desk;
use crate::entra::keys::{self, SigningKey};
use crate::faults::Faults;
use crate::journal::{Channel, Entry, Journal};
use crate::mailroom::Mailroom;
use crate::smtp::quota::Quotas;
use crate::state::history::History;
use crate::state::preset::Made;
use crate::state::view::View;
use crate::state::{PatchError, Tenant};

/// Where the interfaces listen, as clients are told.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The authority's address, without a slash at the end.
    pub(crate) authority: String,
    pub(crate) graph: String,
    pub(crate) exchange_admin: String,
    pub(crate) smtp_host: String,
    pub(crate) smtp: SocketAddr,
    pub(crate) control: SocketAddr,
}

/// One sandbox.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) mailroom: Mailroom,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) desk: Desk,
    pub(crate) places: Places,
    pub(crate) made: Made,
    pub(crate) control_token: String,
    pub(crate) ca_pem: String,
    pub(crate) folder: PathBuf,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) history: RwLock<History>,
    pub(crate) connections: AtomicU64,
}

impl World {
    /// The tenant as it acts now, and the time that is now.
    pub(crate) fn view(&self) -> (View, Timestamp) {
        let now = self.clock.now();
        let history = self.history.read().unwrap_or_else(PoisonError::into_inner);
        (View::new(history.acting(now)), now)
    }

    /// The tenant as it was last written.
    pub(crate) fn written(&self) -> Arc<Tenant> {
        Arc::clone(
            self.history
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .written(),
        )
    }

    /// Changes the tenant by a merge patch.
    pub(crate) fn patch(&self, patch: &Value) -> Result<Arc<Tenant>, PatchError> {
        let mut history = self.history.write().unwrap_or_else(PoisonError::into_inner);
        let tenant = history.written().patched(patch)?;
        history.write(tenant, self.clock.now());
        Ok(Arc::clone(history.written()))
    }

    /// Changes the tenant by `act`, which sees what acts now beside the document; an error changes
    /// nothing.
    pub(crate) fn change<T, E>(
        &self,
        act: impl FnOnce(&mut Tenant, &View, Timestamp) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut history = self.history.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let view = View::new(history.acting(now));
        let mut tenant = Tenant::clone(history.written());
        let done = act(&mut tenant, &view, now)?;
        if tenant != **history.written() {
            debug_assert_eq!(
                tenant.problems(),
                Vec::new(),
                "a change keeps the tenant whole"
            );
            history.write(tenant, now);
        }
        Ok(done)
    }

    /// When the last change will act; none when everything acts.
    pub(crate) fn settled_at(&self) -> Option<Timestamp> {
        let history = self.history.read().unwrap_or_else(PoisonError::into_inner);
        history.settled_at(self.clock.now())
    }

    /// The key that signs tokens; waits for it at first use.
    pub(crate) fn key(&self) -> &'static SigningKey {
        keys::get(self.clock.now())
    }

    /// The number of a new connection.
    pub(crate) fn connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Writes a line into the journal.
    pub(crate) fn note(&self, channel: Channel, connection: u64, asked: String, outcome: Outcome) {
        self.journal.write(Entry {
            id: 0,
            at: self.clock.now(),
            channel,
            connection,
            asked,
            answered: outcome.answered,
            cause: outcome.cause,
            fault: outcome.fault,
        });
    }
}

/// How a request ended, for the journal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answered: String,
    pub(crate) cause: Option<String>,
    pub(crate) fault: Option<u64>,
}

impl From<String> for Outcome {
    fn from(answered: String) -> Self {
        Self {
            answered,
            ..Self::default()
        }
    }
}
