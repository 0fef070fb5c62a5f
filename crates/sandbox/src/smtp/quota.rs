//! What mailboxes have used up: sends at once, messages in a minute, recipients in a day.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::limits;

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The use of every mailbox.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    mailboxes: HashMap<String, Use>,
    external: Window,
}

#[derive(Debug, Default)]
struct Use {
    sending: u32,
    messages: VecDeque<Timestamp>,
    recipients: Window,
}

/// A sum over a sliding day.
#[derive(Debug, Default)]
struct Window {
    parts: VecDeque<(Timestamp, u64)>,
    sum: u64,
}

impl Window {
    fn sum(&mut self, now: Timestamp) -> u64 {
        while let Some((at, part)) = self.parts.front().copied() {
            if now.duration_since(at) < DAY {
                break;
            }
            self.sum -= part;
            self.parts.pop_front();
        }
        self.sum
    }

    fn add(&mut self, part: u64, now: Timestamp) {
        self.sum += part;
        self.parts.push_back((now, part));
    }
}

/// A send under way; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Sending {
    quotas: Arc<Quotas>,
    mailbox: String,
    /// Whether there were too many at once when it began.
    pub(crate) crowded: bool,
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(used) = self.quotas.lock().mailboxes.get_mut(&self.mailbox) {
            used.sending = used.sending.saturating_sub(1);
        }
    }
}

/// Which sum is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsedUp {
    Recipients,
    External,
}

impl Quotas {
    /// Begins a send.
    pub(crate) fn begin(self: &Arc<Self>, mailbox: &str) -> Sending {
        let mut used = self.lock();
        let used = used.of(mailbox);
        used.sending += 1;
        let crowded = used.sending > limits::SENDS_AT_ONCE;
        Sending {
            quotas: Arc::clone(self),
            mailbox: mailbox.to_owned(),
            crowded,
        }
    }

    /// Counts a message against the minute; how long until there is room when there is none.
    pub(crate) fn message(&self, mailbox: &str, now: Timestamp) -> Result<(), Duration> {
        let mut used = self.lock();
        let messages = &mut used.of(mailbox).messages;
        while messages
            .front()
            .is_some_and(|at| now.duration_since(*at) >= MINUTE)
        {
            messages.pop_front();
        }
        match messages.front() {
            Some(oldest) if messages.len() >= limits::MESSAGES_PER_MINUTE => {
                let left = MINUTE - now.duration_since(*oldest);
                Err(left.unsigned_abs())
            }
            _ => {
                messages.push_back(now);
                Ok(())
            }
        }
    }

    /// Counts recipients against the mailbox's day and the tenant's; nothing is counted when one
    /// is used up.
    pub(crate) fn recipients(
        &self,
        mailbox: &str,
        all: u64,
        external: u64,
        external_max: u64,
        now: Timestamp,
    ) -> Result<(), UsedUp> {
        let mut used = self.lock();
        if used.of(mailbox).recipients.sum(now) + all > limits::RECIPIENTS_PER_DAY {
            return Err(UsedUp::Recipients);
        }
        if used.external.sum(now) + external > external_max {
            return Err(UsedUp::External);
        }
        used.of(mailbox).recipients.add(all, now);
        used.external.add(external, now);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn of(&mut self, mailbox: &str) -> &mut Use {
        if !self.mailboxes.contains_key(mailbox) {
            self.mailboxes.insert(mailbox.to_owned(), Use::default());
        }
        self.mailboxes.get_mut(mailbox).expect("inserted above")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn three_sends_at_once_and_no_more() {
        let quotas = Arc::new(Quotas::default());
        let mut sends: Vec<Sending> = (0..4).map(|_| quotas.begin("a")).collect();
        let crowded: Vec<bool> = sends.iter().map(|send| send.crowded).collect();
        assert_eq!(crowded, [false, false, false, true]);
        assert!(
            !quotas.begin("b").crowded,
            "another mailbox counts for itself"
        );
        sends.truncate(2);
        assert!(!quotas.begin("a").crowded);
    }

    #[test]
    fn thirty_messages_in_a_sliding_minute() {
        let quotas = Quotas::default();
        for second in 0..30 {
            quotas.message("a", at(second)).unwrap();
        }
        assert_eq!(quotas.message("a", at(30)), Err(Duration::from_secs(30)));
        assert_eq!(quotas.message("a", at(60)), Ok(()));
        assert!(quotas.message("a", at(60)).is_err());
    }

    #[test]
    fn ten_thousand_recipients_in_a_sliding_day() {
        let quotas = Quotas::default();
        let count = |all, external, second| quotas.recipients("a", all, external, 20, at(second));
        assert_eq!(count(9_999, 10, 0), Ok(()));
        assert_eq!(count(2, 0, 10), Err(UsedUp::Recipients));
        assert_eq!(count(1, 11, 10), Err(UsedUp::External));
        assert_eq!(count(1, 1, 10), Ok(()));
        assert_eq!(count(9_999, 0, 86_400), Ok(()));
    }
}
