//! Authenticated sessions kept for reuse: by mailbox, bounded, and no longer than their token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sendas_entra::{Clock, TokenSource};
use sendas_envelope::{Envelope, Mailbox};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, Instant};

use crate::connector::Connector;
use crate::error::SubmitError;
use crate::limits::{OPENINGS_MAX, PoolLimits};
use crate::message::Message;
use crate::outcome::Attempt;
use crate::session::Session;
use crate::verdict;

/// Sessions of one principal at one host. Clones share them.
///
/// One AUTH chooses one mailbox, so sessions are kept by mailbox; no mailbox has more of them
/// than [`PoolLimits::sessions_per_mailbox`], and whoever wants one more waits.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    tokens: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    limits: PoolLimits,
    mailboxes: Mutex<HashMap<Mailbox, Arc<Slot>>>,
    /// Turns at opening a connection.
    openings: Semaphore,
}

struct Slot {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Kept>>,
}

/// A session with its bounds.
struct Kept {
    session: Session,
    idle_since: Instant,
    token_ends: Instant,
}

/// A session lent out; it goes back when dropped, if it is still of use.
pub struct Lease {
    kept: Option<Kept>,
    is_reused: bool,
    slot: Arc<Slot>,
    limits: PoolLimits,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool without sessions.
    pub fn new(
        connector: Connector,
        tokens: Arc<dyn TokenSource>,
        clock: Arc<dyn Clock>,
        limits: PoolLimits,
    ) -> Self {
        let mailboxes = Mutex::default();
        Self {
            shared: Arc::new(Shared {
                connector,
                tokens,
                clock,
                limits,
                mailboxes,
                openings: Semaphore::new(OPENINGS_MAX),
            }),
        }
    }

    /// The connector that opens its sessions.
    pub fn connector(&self) -> &Connector {
        &self.shared.connector
    }

    /// Submits one message as a mailbox, on a kept session where there is one.
    ///
    /// A service that turns out not to understand BDAT gets the message again by DATA.
    ///
    /// # Errors
    /// [`SubmitError`] when there is no session; nothing was submitted.
    pub async fn submit(
        &self,
        mailbox: &Mailbox,
        envelope: &Envelope,
        message: &Message,
    ) -> Result<Attempt, SubmitError> {
        let attempt = self
            .lease(mailbox)
            .await?
            .session()
            .send(envelope, message)
            .await;
        if !attempt.is_chunking_refused {
            return Ok(attempt);
        }
        Ok(self
            .lease(mailbox)
            .await?
            .session()
            .send(envelope, message)
            .await)
    }

    /// Lends a session of the mailbox, kept or new.
    ///
    /// # Errors
    /// [`SubmitError`]; a token that may be at fault for it is reported to its source.
    ///
    /// # Panics
    /// Never: the semaphore is not closed while the pool lives.
    pub async fn lease(&self, mailbox: &Mailbox) -> Result<Lease, SubmitError> {
        let slot = self.slot(mailbox);
        let permits = Arc::clone(&slot.permits);
        let permit = permits
            .acquire_owned()
            .await
            .expect("the semaphore lives as long as its slot");
        let reused = self.reuse(&slot);
        let is_reused = reused.is_some();
        let kept = match reused {
            Some(kept) => kept,
            None => self.open(mailbox).await?,
        };
        let limits = self.shared.limits;
        Ok(Lease {
            kept: Some(kept),
            is_reused,
            slot,
            limits,
            _permit: permit,
        })
    }

    /// Says QUIT on every idle session and keeps none.
    pub async fn close_idle(&self) {
        let slots: Vec<_> = lock(&self.shared.mailboxes).values().cloned().collect();
        for slot in slots {
            let idle = std::mem::take(&mut *lock(&slot.idle));
            for kept in idle {
                kept.session.quit().await;
            }
        }
    }

    /// Ends the sessions that are of no further use, and forgets mailboxes without any.
    pub async fn tidy(&self) {
        let now = Instant::now();
        let mut worn = Vec::new();
        lock(&self.shared.mailboxes).retain(|_, slot| {
            let mut idle = lock(&slot.idle);
            worn.extend(idle.extract_if(.., |kept| !kept.is_fresh(now, self.shared.limits.idle)));
            // Whoever else holds the slot has a session of it, or waits for one.
            !idle.is_empty() || Arc::strong_count(slot) > 1
        });
        let quits = worn.into_iter().map(|kept| kept.session.quit());
        futures_util::future::join_all(quits).await;
    }

    fn slot(&self, mailbox: &Mailbox) -> Arc<Slot> {
        let mut mailboxes = lock(&self.shared.mailboxes);
        if let Some(slot) = mailboxes.get(mailbox) {
            return Arc::clone(slot);
        }
        let permits = Arc::new(Semaphore::new(
            self.shared.limits.sessions_per_mailbox.max(1) as usize,
        ));
        let slot = Arc::new(Slot {
            permits,
            idle: Mutex::default(),
        });
        mailboxes.insert(mailbox.clone(), Arc::clone(&slot));
        slot
    }

    /// The session that was idle for the shortest time; those of no further use are dropped.
    fn reuse(&self, slot: &Slot) -> Option<Kept> {
        let now = Instant::now();
        let mut idle = lock(&slot.idle);
        idle.retain_mut(|kept| {
            kept.is_fresh(now, self.shared.limits.idle) && kept.session.is_usable()
        });
        idle.pop()
    }

    /// Opens a session; the token is fetched while TCP and TLS are on their way.
    async fn open(&self, mailbox: &Mailbox) -> Result<Kept, SubmitError> {
        let Shared {
            connector,
            tokens,
            clock,
            openings,
            ..
        } = &*self.shared;
        let token = async { tokens.token().await.map_err(SubmitError::from) };
        let opened = async {
            let _turn = openings.acquire().await;
            connector.open().await
        };
        let (token, opened) = futures_util::future::try_join(token, opened).await?;
        let session = match opened.authenticate(mailbox, token.expose()).await {
            Ok(session) => {
                tokens.accepted(token.generation());
                session
            }
            Err(error) => {
                if let SubmitError::Auth { reply, .. } = &error
                    && verdict::doubts_token(reply)
                {
                    tokens.refused(token.generation());
                }
                return Err(error);
            }
        };
        let life = token.expires_at().duration_since(clock.now().wall);
        let life = Duration::try_from(life).unwrap_or(Duration::ZERO);
        let now = Instant::now();
        Ok(Kept {
            session,
            idle_since: now,
            token_ends: now + life,
        })
    }
}

impl Lease {
    /// The session.
    ///
    /// # Panics
    /// Never: it is taken out only when the lease ends.
    pub fn session(&mut self) -> &mut Session {
        &mut self
            .kept
            .as_mut()
            .expect("a lease has its session until it ends")
            .session
    }

    /// Whether it has submitted before.
    pub const fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Ends the session instead of keeping it.
    pub async fn quit(mut self) {
        if let Some(kept) = self.kept.take() {
            kept.session.quit().await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut kept) = self.kept.take() else {
            return;
        };
        let is_worn = kept.session.messages() >= self.limits.messages_per_session;
        if !is_worn && kept.session.is_usable() {
            kept.idle_since = Instant::now();
            lock(&self.slot.idle).push(kept);
        }
    }
}

impl Kept {
    fn is_fresh(&self, now: Instant, idle_max: Duration) -> bool {
        now < self.token_ends && now.duration_since(self.idle_since) <= idle_max
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("connector", &self.shared.connector)
            .finish_non_exhaustive()
    }
}

/// A panic elsewhere leaves nothing half-done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
