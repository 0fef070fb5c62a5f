//! A gate in front of everything that one failure concerns.

use std::time::Duration;

use jiff::Timestamp;
use sendas_exchange::Persistence;

use super::backoff::{Backoff, Chance};

/// The wait after the connection broke before anything was said.
const CONNECTION_RETRY: Duration = Duration::from_secs(5);

/// Open, closed until a time, or passed by one message that tries the way.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: Option<Closed>,
}

#[derive(Debug)]
struct Closed {
    reason: String,
    until: Timestamp,
    /// Closings without a success between them.
    times: u32,
    is_probed: bool,
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
    pub(super) fn closed(&self, now: Timestamp) -> Option<(&str, Timestamp)> {
        let closed = self.closed.as_ref()?;
        Some((&closed.reason, closed.until.max(now)))
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

    /// Closes, or stays closed longer.
    pub(super) fn close(
        &mut self,
        reason: &str,
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
        let backoff = match persistence {
            // What a person must mend is looked at evenly: it may be mended any minute.
            Some(Persistence::NeedsAdministrator { probe_every }) => Backoff {
                first: probe_every,
                longest: probe_every,
            },
            Some(other) => other
                .first_retry()
                .map_or_else(Backoff::default, Backoff::from),
            None => Backoff {
                first: CONNECTION_RETRY,
                ..Backoff::default()
            },
        };
        let until = backoff.at(times, now, chance);
        let until = self
            .closed
            .as_ref()
            .filter(|closed| !closed.is_probed)
            .map_or(until, |closed| closed.until.max(until));
        self.closed = Some(Closed {
            reason: reason.to_owned(),
            until,
            times,
            is_probed: false,
        });
        until
    }
}
