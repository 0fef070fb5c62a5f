//! Connections at a time: over all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::STRESS_PERCENT;
use crate::session::Patience;

/// The seats of a relay; whoever has one gives it back by dropping it.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    max: u32,
    per_address_max: u32,
    total: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// One connection's place.
#[derive(Debug)]
pub(crate) struct Place {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Seats {
    pub(crate) fn new(max: u32, per_address_max: u32) -> Self {
        Self {
            taken: Mutex::new(Taken {
                max,
                per_address_max,
                total: 0,
                by_address: HashMap::new(),
            }),
        }
    }

    /// Other caps from here on; nobody loses a place.
    pub(crate) fn resize(&self, max: u32, per_address_max: u32) {
        let mut taken = self.lock();
        taken.max = max;
        taken.per_address_max = per_address_max;
    }

    /// A place for a connection from that address; none when there are too many.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = self.lock();
        if taken.total >= taken.max {
            return None;
        }
        let per_address_max = taken.per_address_max;
        let own = taken.by_address.entry(address).or_insert(0);
        if *own >= per_address_max {
            return None;
        }
        *own += 1;
        taken.total += 1;
        drop(taken);
        Some(Place {
            seats: Arc::clone(self),
            address,
        })
    }

    /// Connections now.
    pub(crate) fn count(&self) -> u32 {
        self.lock().total
    }

    /// How patient sessions are to be.
    pub(crate) fn patience(&self) -> Patience {
        let taken = self.lock();
        if u64::from(taken.total) * 100 >= u64::from(taken.max) * u64::from(STRESS_PERCENT)
            && taken.total > 1
        {
            Patience::Stressed
        } else {
            Patience::Normal
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.total -= 1;
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_and_stress() {
        let seats = Arc::new(Seats::new(5, 2));
        let of = |n: u8| IpAddr::from([192, 0, 2, n]);
        let mut places = vec![seats.take(of(1)).unwrap(), seats.take(of(1)).unwrap()];
        assert!(seats.take(of(1)).is_none(), "two from one address");
        places.push(seats.take(of(2)).unwrap());
        assert_eq!(seats.patience(), Patience::Normal);
        places.push(seats.take(of(3)).unwrap());
        assert_eq!(seats.patience(), Patience::Stressed);
        places.push(seats.take(of(4)).unwrap());
        assert!(seats.take(of(5)).is_none(), "five in all");
        places.clear();
        assert_eq!(seats.count(), 0);
        assert!(seats.take(of(1)).is_some() && seats.lock().by_address.is_empty());
    }
}
