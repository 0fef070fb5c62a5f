//! How fast one mailbox may send: the service's limits, and what its refusals taught.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use sendas_exchange::limits::{
    DAY, MESSAGES_PER_MINUTE_MAX, RECIPIENTS_PER_DAY_MAX, SENDS_AT_ONCE_MAX,
};

use super::backoff::later;

/// The limits of one mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Sends under way together.
    pub sends_at_once: u32,
    /// Messages within any minute.
    pub messages_per_minute: u32,
    /// Recipients within any 24 hours.
    pub recipients_per_day: u32,
}

impl Default for Pace {
    /// The service's own limits.
    fn default() -> Self {
        Self {
            sends_at_once: SENDS_AT_ONCE_MAX,
            messages_per_minute: MESSAGES_PER_MINUTE_MAX,
            recipients_per_day: RECIPIENTS_PER_DAY_MAX,
        }
    }
}

impl Pace {
    /// Without limits: for a service that has none.
    pub const fn unlimited() -> Self {
        Self {
            sends_at_once: SENDS_AT_ONCE_MAX,
            messages_per_minute: u32::MAX,
            recipients_per_day: u32::MAX,
        }
    }
}

/// The service's clock and ours may differ in when a message counts; this much is left between.
const MARGIN: Duration = Duration::from_millis(500);

const MINUTE: Duration = Duration::from_mins(1);

/// The grain of the day's count, so that it stays small.
const GRAIN: Duration = Duration::from_mins(5);

/// How long a lesson is heeded.
const LESSON: Duration = Duration::from_hours(1);

/// The wait after a refusal for too many sends at once.
const CONCURRENCY_WAIT: Duration = Duration::from_secs(10);

/// Refusals in a row after which sends go one by one: each is slowed by the service's tarpit, and
/// three slow sessions bring no more than one.
const REFUSALS_IN_A_ROW: u32 = 5;

/// What one mailbox has sent, and what it has learned.
#[derive(Debug)]
pub(super) struct Window {
    pace: Pace,
    /// When the last messages left, oldest first; not kept without a limit.
    minute: VecDeque<Timestamp>,
    /// Recipients by grain, oldest first.
    day: VecDeque<(Timestamp, u32)>,
    day_total: u32,
    /// Fewer sends at once, until then.
    fewer: Option<(u32, Timestamp)>,
    /// Fewer messages a minute, until then.
    slower: Option<(u32, Timestamp)>,
    /// Nothing at all until then.
    pause: Option<Timestamp>,
    refusals: u32,
    /// What is noted of it is not what it is.
    is_changed: bool,
}

impl Window {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            minute: VecDeque::new(),
            day: VecDeque::new(),
            day_total: 0,
            fewer: None,
            slower: None,
            pause: None,
            refusals: 0,
            is_changed: false,
        }
    }

    /// Whatever lies in the future now has happened just now.
    pub(super) fn clock_set_back(&mut self, now: Timestamp) {
        for at in &mut self.minute {
            *at = now.min(*at);
        }
        for (at, _) in &mut self.day {
            *at = now.min(*at);
        }
        let lessons = [
            self.fewer.as_mut().map(|(_, until)| until),
            self.slower.as_mut().map(|(_, until)| until),
            self.pause.as_mut(),
        ];
        for until in lessons.into_iter().flatten() {
            *until = now.min(*until);
        }
    }

    /// Sends that may be under way together.
    pub(super) fn sends_at_once(&self, now: Timestamp) -> u32 {
        if self.refusals >= REFUSALS_IN_A_ROW {
            return 1;
        }
        current(self.fewer, now).unwrap_or(self.pace.sends_at_once)
    }

    /// Messages and recipients that may leave now, or when some may.
    pub(super) fn room(&self, now: Timestamp) -> Result<(u32, u32), Timestamp> {
        if let Some(until) = self.pause.filter(|until| now < *until) {
            return Err(until);
        }
        let mut messages = u32::MAX;
        if let Some(max) = self.per_minute(now) {
            let gone = |at: &&Timestamp| later(**at, MINUTE + MARGIN) > now;
            let sent = self.minute.iter().rev().take_while(gone).count();
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            if sent >= max {
                let oldest = self.minute[self.minute.len() - max];
                return Err(later(oldest, MINUTE + MARGIN));
            }
            messages = u32::try_from(max - sent).unwrap_or(u32::MAX);
        }
        let gone = |(at, _): &&(Timestamp, u32)| later(*at, DAY + GRAIN) <= now;
        let past: u32 = self.day.iter().take_while(gone).map(|(_, n)| *n).sum();
        let left = self
            .pace
            .recipients_per_day
            .saturating_sub(self.day_total - past);
        if left == 0 {
            return Err(self.day_moves(now));
        }
        Ok((messages, left))
    }

    /// When the oldest recipients leave the day.
    fn day_moves(&self, now: Timestamp) -> Timestamp {
        let times = self.day.iter().map(|(at, _)| later(*at, DAY + GRAIN));
        times.into_iter().find(|at| *at > now).unwrap_or(now)
    }

    /// Waits until the day has moved on.
    pub(super) fn starve(&mut self, now: Timestamp) {
        self.pause = Some(self.day_moves(now));
    }

    /// A message leaves.
    pub(super) fn sent(&mut self, recipients: u32, now: Timestamp) {
        if self.pace.messages_per_minute != u32::MAX {
            let keep = usize::try_from(self.pace.messages_per_minute).unwrap_or(usize::MAX);
            while self.minute.len() >= keep {
                self.minute.pop_front();
            }
            self.minute.push_back(now);
        }
        self.forget(now);
        self.is_changed = true;
        self.day_total = self.day_total.saturating_add(recipients);
        match self.day.back_mut() {
            Some((at, count)) if later(*at, GRAIN) > now => {
                *count = count.saturating_add(recipients);
            }
            _ => self.day.push_back((now, recipients)),
        }
    }

    /// Takes a refusal as a lesson about the pace; says whether it was one.
    pub(super) fn learn(&mut self, reason: &str, now: Timestamp) -> bool {
        let until = later(now, LESSON);
        // What was under way together, and every recipient of it, brings one lesson once.
        let is_known = self.pause.is_some_and(|until| now < until);
        match reason {
            "S-CONCURRENCY" | "S-RATE" if is_known => {}
            "S-CONCURRENCY" => {
                let fewer = self.sends_at_once(now).saturating_sub(1).max(1);
                self.fewer = Some((fewer, until));
                self.pause = Some(later(now, CONCURRENCY_WAIT));
            }
            "S-RATE" => {
                let slower = self.per_minute(now).unwrap_or(MESSAGES_PER_MINUTE_MAX) / 2;
                self.slower = Some((slower.max(1), until));
                self.pause = Some(later(now, MINUTE));
            }
            // Somebody else sends as this mailbox too, or its limit is lower than we know.
            "S-QUOTA" => self.pause = Some(until),
            _ => return false,
        }
        true
    }

    /// When sending goes on after a lesson.
    pub(super) fn resumes_at(&self, now: Timestamp) -> Timestamp {
        self.pause.unwrap_or(now).max(now)
    }

    pub(super) const fn refused(&mut self) {
        self.refusals = self.refusals.saturating_add(1);
    }

    pub(super) const fn succeeded(&mut self) {
        self.refusals = 0;
    }

    /// What a restart must not forget, if it is not what was noted last: the recipients of the
    /// last day as `milliseconds:count` words, the messages of the last minute as
    /// `@milliseconds:count`; empty when there is nothing.
    pub(super) fn note(&mut self, now: Timestamp) -> Option<String> {
        self.forget(now);
        if !std::mem::replace(&mut self.is_changed, false) {
            return None;
        }
        let day = self
            .day
            .iter()
            .map(|(at, count)| format!("{}:{count}", at.as_millisecond()));
        let minute = self.seconds(now);
        let minute = minute
            .iter()
            .map(|(at, count)| format!("@{}:{count}", at.as_millisecond()));
        Some(day.chain(minute).collect::<Vec<_>>().join(" "))
    }

    /// What was noted is lost.
    pub(super) const fn change(&mut self) {
        self.is_changed = true;
    }

    /// Takes up a note; a word that is none is left out.
    pub(super) fn take_up(&mut self, note: &str) {
        let pair = |word: &str| -> Option<(Timestamp, u32)> {
            let (at, count) = word.split_once(':')?;
            let at = Timestamp::from_millisecond(at.parse().ok()?).ok()?;
            Some((at, count.parse().ok()?))
        };
        self.day = note.split(' ').filter_map(pair).collect();
        self.day_total = self
            .day
            .iter()
            .fold(0, |total: u32, (_, count)| total.saturating_add(*count));
        self.minute.clear();
        if self.pace.messages_per_minute != u32::MAX {
            let keep = usize::try_from(self.pace.messages_per_minute).unwrap_or(usize::MAX);
            let seconds = note.split(' ').filter_map(|word| word.strip_prefix('@'));
            for (at, count) in seconds.filter_map(pair) {
                let count = usize::try_from(count).unwrap_or(usize::MAX).min(keep);
                self.minute.extend(std::iter::repeat_n(at, count));
            }
            let over = self.minute.len().saturating_sub(keep);
            self.minute.drain(..over);
        }
    }

    /// Whether nothing of it matters any more.
    pub(super) fn is_idle(&self, now: Timestamp) -> bool {
        let is_past = |until: Option<Timestamp>| until.is_none_or(|until| until <= now);
        self.day.is_empty()
            && !self.is_changed
            && self.seconds(now).is_empty()
            && is_past(self.pause)
            && is_past(self.fewer.map(|(_, until)| until))
            && is_past(self.slower.map(|(_, until)| until))
    }

    /// The messages of the last minute by second, each at the last of its second.
    fn seconds(&self, now: Timestamp) -> Vec<(Timestamp, u32)> {
        let mut seconds: Vec<(Timestamp, u32)> = Vec::new();
        for at in &self.minute {
            if later(*at, MINUTE + MARGIN) <= now {
                continue;
            }
            match seconds.last_mut() {
                Some((last, count)) if last.as_second() == at.as_second() => {
                    *last = *at;
                    *count += 1;
                }
                _ => seconds.push((*at, 1)),
            }
        }
        seconds
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((at, count)) = self.day.front().copied()
            && later(at, DAY + GRAIN) <= now
        {
            self.day.pop_front();
            self.day_total = self.day_total.saturating_sub(count);
            self.is_changed = true;
        }
    }

    fn per_minute(&self, now: Timestamp) -> Option<u32> {
        current(self.slower, now).or_else(|| {
            let max = self.pace.messages_per_minute;
            (max != u32::MAX).then_some(max)
        })
    }
}

/// A lesson that is still heeded.
fn current(lesson: Option<(u32, Timestamp)>, now: Timestamp) -> Option<u32> {
    lesson.filter(|(_, until)| now < *until).map(|(max, _)| max)
}
