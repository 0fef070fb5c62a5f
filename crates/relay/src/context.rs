//! What the sessions of one relay share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sendas_entra::Clock;
use sendas_spool::Spool;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::limits::{PASSWORD_CHECKS_MAX, ROOM_MESSAGES_MIN};
use crate::listener::Seats;
use crate::log;
use crate::policy::{Guard, Meter};

/// What the sessions of one relay share.
pub(crate) struct Context {
    pub(crate) spool: Spool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) hostname: Arc<str>,
    pub(crate) seats: Arc<Seats>,
    /// Passwords that may be reckoned at a time.
    pub(crate) checks: Semaphore,
    /// Cancelled when the relay is about to end.
    pub(crate) drain: CancellationToken,
    pub(crate) counters: Arc<Counters>,
    /// The spool's disk has no room for what may come.
    is_short_of_room: AtomicBool,
    meter: Mutex<Meter>,
    guard: Mutex<Guard>,
}

/// What happened since the start; read by the view.
#[derive(Debug, Default)]
pub struct Counters {
    connections: AtomicU64,
    refused_connections: AtomicU64,
    accepted_messages: AtomicU64,
    accepted_octets: AtomicU64,
    refused_logins: AtomicU64,
    delivered: AtomicU64,
    deferred: AtomicU64,
    failed: AtomicU64,
    notices: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections taken.
    pub connections: u64,
    /// Connections refused because there were too many.
    pub refused_connections: u64,
    /// Messages accepted from clients.
    pub accepted_messages: u64,
    /// Their octets.
    pub accepted_octets: u64,
    /// Logins refused.
    pub refused_logins: u64,
    /// Recipients that the service took.
    pub delivered: u64,
    /// Recipients deferred.
    pub deferred: u64,
    /// Recipients that failed.
    pub failed: u64,
    /// Notices written.
    pub notices: u64,
}

impl Context {
    pub(crate) fn new(
        spool: Spool,
        clock: Arc<dyn Clock>,
        hostname: Arc<str>,
        seats: Arc<Seats>,
        counters: Arc<Counters>,
        drain: CancellationToken,
    ) -> Self {
        Self {
            spool,
            clock,
            hostname,
            seats,
            checks: Semaphore::new(PASSWORD_CHECKS_MAX),
            drain,
            counters,
            is_short_of_room: AtomicBool::new(false),
            meter: Mutex::default(),
            guard: Mutex::default(),
        }
    }

    /// Asks how much room the spool's disk has for messages of that size. Blocks.
    pub(crate) fn look_for_room(&self, message_octets_max: u64) {
        let wanted = message_octets_max.saturating_mul(ROOM_MESSAGES_MIN);
        // A file system that cannot be asked says so when it is written to.
        let room = self.spool.room().ok().flatten();
        let is_short = room.is_some_and(|octets| octets < wanted);
        if self.is_short_of_room.swap(is_short, Ordering::Relaxed) != is_short {
            log::room(room, wanted, is_short);
        }
    }

    pub(crate) fn is_short_of_room(&self) -> bool {
        self.is_short_of_room.load(Ordering::Relaxed)
    }

    /// Takes one message off a client's share of a minute.
    pub(crate) fn take(&self, client: &str, per_minute: u32) -> bool {
        let now = self.clock.now().steady;
        lock(&self.meter).take(client, per_minute, now)
    }

    /// How long the answer to a login is kept back.
    pub(crate) fn login_delay(&self, peer: IpAddr, user: &str) -> Duration {
        let now = self.clock.now().steady;
        lock(&self.guard).delay(peer, user, now)
    }

    /// Remembers how a login ended.
    pub(crate) fn login_ended(&self, peer: IpAddr, user: &str, is_right: bool) {
        let now = self.clock.now().steady;
        let mut guard = lock(&self.guard);
        if is_right {
            guard.accepted(peer);
        } else {
            guard.refused(peer, user, now);
            drop(guard);
            add(&self.counters.refused_logins, 1);
        }
    }
}

impl Counters {
    /// All of them now.
    pub fn read(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            connections: get(&self.connections),
            refused_connections: get(&self.refused_connections),
            accepted_messages: get(&self.accepted_messages),
            accepted_octets: get(&self.accepted_octets),
            refused_logins: get(&self.refused_logins),
            delivered: get(&self.delivered),
            deferred: get(&self.deferred),
            failed: get(&self.failed),
            notices: get(&self.notices),
        }
    }

    pub(crate) fn connected(&self, is_taken: bool) {
        add(
            if is_taken {
                &self.connections
            } else {
                &self.refused_connections
            },
            1,
        );
    }

    pub(crate) fn accepted(&self, octets: u64) {
        add(&self.accepted_messages, 1);
        add(&self.accepted_octets, octets);
    }

    pub(crate) fn settled(&self, delivered: u64, deferred: u64, failed: u64, notices: u64) {
        add(&self.delivered, delivered);
        add(&self.deferred, deferred);
        add(&self.failed, failed);
        add(&self.notices, notices);
    }
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// A panic elsewhere leaves nothing half-done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
