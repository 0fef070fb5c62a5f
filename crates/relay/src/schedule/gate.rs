//! A gate in front of everything that one failure concerns.

use std::time::Duration;

use jiff::Timestamp;
use sendas_envelope::Status;
use sendas_exchange::Persistence;

use super::backoff::{Backoff, Chance};
use crate::limits::GATE_LONGEST;

/// The wait after the connection broke before anything was said.
const CONNECTION_RETRY: Duration = Duration::from_secs(5);

/// What a failure was, for people and for notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// A name of the catalogue, or a word.
    pub reason: String,
    /// Its status.
    pub status: Status,
    /// The service's reply, or our own words.
    pub text: String,
    /// Whether the text is a reply of the service.
    pub is_reply: bool,
}

/// Open, closed until a time, or passed by one message that tries the way.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: Option<Closed>,
    /// What is noted of it is not what it is.
    is_changed: bool,
}

/// A closed gate.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    pub(super) cause: Cause,
    pub(super) until: Timestamp,
    /// Since when, whatever the cause was then.
    pub(super) since: Timestamp,
    /// When the way was tried last.
    tried_at: Timestamp,
    /// Closings without a success between them.
    times: u32,
    is_probed: bool,
    /// It was met before a message could be named: a login proves that it is over.
    is_opening: bool,
}

pub(super) enum Answer {
    Open,
    /// One message may pass.
    Probe,
    Later(Timestamp),
    /// One is passing now.
    Busy,
}

impl Gate {
    pub(super) fn ask(&self, now: Timestamp) -> Answer {
        match &self.closed {
            None => Answer::Open,
            Some(closed) if now < closed.until => Answer::Later(closed.until),
            Some(closed) if closed.is_probed => Answer::Busy,
            Some(_) => Answer::Probe,
        }
    }

    /// Why and until when it is closed.
    pub(super) const fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Whether what is noted of it has to be written again.
    pub(super) const fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// It has been noted, or what was noted is lost.
    pub(super) const fn set_changed(&mut self, is_changed: bool) {
        self.is_changed = is_changed;
    }

    /// One message passes a gate whose time has come.
    pub(super) fn probe(&mut self, now: Timestamp) {
        if let Some(closed) = &mut self.closed
            && now >= closed.until
        {
            closed.is_probed = true;
        }
    }

    pub(super) const fn probe_ended(&mut self) {
        if let Some(closed) = &mut self.closed {
            closed.is_probed = false;
        }
    }

    pub(super) fn open(&mut self) {
        self.is_changed |= self.closed.take().is_some();
    }

    /// A login has succeeded.
    pub(super) fn logged_in(&mut self) {
        if self.closed.as_ref().is_some_and(|closed| closed.is_opening) {
            self.open();
        }
    }

    /// Somebody has asked for an attempt: unless there was one since, one message may go now.
    pub(super) fn hurry(&mut self, asked_at: Timestamp, now: Timestamp) {
        if let Some(closed) = &mut self.closed
            && closed.tried_at < asked_at
            && now < closed.until
        {
            closed.until = now;
            self.is_changed = true;
        }
    }

    /// Dates that lie ahead mean nothing any more: the way is tried now.
    pub(super) fn clock_set_back(&mut self, now: Timestamp) {
        if let Some(closed) = &mut self.closed {
            closed.until = closed.until.min(now);
            closed.since = closed.since.min(now);
            closed.tried_at = closed.tried_at.min(now);
            self.is_changed = true;
        }
    }

    /// Closes, or stays closed longer.
    pub(super) fn close(
        &mut self,
        cause: &Cause,
        is_opening: bool,
        persistence: Option<Persistence>,
        now: Timestamp,
        chance: &mut Chance,
    ) -> Timestamp {
        let times = match &self.closed {
            // Several sends that were under way fail of one cause: it counts once.
            Some(closed) if now < closed.until && !closed.is_probed => closed.times,
            Some(closed) => closed.times + 1,
            None => 1,
        };
        let until = backoff(persistence).at(times, now, chance);
        let until = self
            .closed
            .as_ref()
            .filter(|closed| !closed.is_probed)
            .map_or(until, |closed| closed.until.max(until));
        self.closed = Some(Closed {
            cause: cause.clone(),
            until,
            since: self.closed.as_ref().map_or(now, |closed| closed.since),
            tried_at: now,
            times,
            is_probed: false,
            is_opening,
        });
        self.is_changed = true;
        until
    }
}

/// A probe costs next to nothing, and what it finds mended lets everything go: gates never wait
/// as long as a single message does.
fn backoff(persistence: Option<Persistence>) -> Backoff {
    let first = match persistence {
        // What a person must mend is looked at evenly: it may be mended any minute.
        Some(Persistence::NeedsAdministrator { probe_every }) => {
            return Backoff {
                first: probe_every,
                longest: probe_every,
            };
        }
        Some(other) => other.first_retry().unwrap_or(Backoff::default().first),
        None => CONNECTION_RETRY,
    };
    Backoff {
        first,
        longest: GATE_LONGEST.max(first),
    }
}
