//! How much of a body may come, counted before anything is kept.

use crate::limits::OVERSIZE_OCTETS_MAX;

/// Counts one message's octets against its limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gauge {
    octets: u64,
    max: u64,
}

/// What the next octets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// To be kept.
    Inside,
    /// Too many: read on and forget them.
    Beyond,
    /// Far too many: close.
    FarBeyond,
}

impl Gauge {
    pub(super) const fn new(max: u64) -> Self {
        Self { octets: 0, max }
    }

    /// Octets have come.
    pub(super) const fn take(&mut self, octets: usize) -> Room {
        self.octets = self.octets.saturating_add(octets as u64);
        self.room(0)
    }

    /// Octets are announced.
    pub(super) const fn announce(&self, octets: u64) -> Room {
        self.room(octets)
    }

    const fn room(&self, more: u64) -> Room {
        let octets = self.octets.saturating_add(more);
        if octets <= self.max {
            Room::Inside
        } else if octets <= self.max.saturating_add(OVERSIZE_OCTETS_MAX) {
            Room::Beyond
        } else {
            Room::FarBeyond
        }
    }
}
