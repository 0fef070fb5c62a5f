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
}

/// A closed gate.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    pub(super) cause: Cause,
    pub(super) until: Timestamp,
    /// Since when, whatever the cause was then.
    pub(super) since: Timestamp,
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
        self.closed = None;
    }

    /// A login has succeeded.
    pub(super) fn logged_in(&mut self) {
        if self.closed.as_ref().is_some_and(|closed| closed.is_opening) {
            self.open();
        }
    }

    /// Somebody wants to know now: one message may try the way.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        if let Some(closed) = &mut self.closed
            && now < closed.until
        {
            closed.until = now;
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
            times,
            is_probed: false,
            is_opening,
        });
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
