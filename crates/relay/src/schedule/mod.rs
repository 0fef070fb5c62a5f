//! When what is sent: pure. Time and seed are handed in; a run replays from them.
//!
//! Each mailbox has a lane of its own, and no lane waits for another. What concerns more than
//! one mailbox (a principal's token, a host of the service) closes a gate in front of all of them;
//! when its time has come one message goes first, and only if it succeeds do the others follow.

mod backoff;
mod gate;
mod pace;
mod split;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use sendas_envelope::{Class, Mailbox, Status};
use sendas_exchange::{Explanation, Scope};

pub use backoff::{Backoff, Chance};
pub use gate::Cause;
use gate::Gate;
pub use pace::Pace;
use pace::Window;
pub use split::split;

/// Recipients reserved for one send at most, so that sends at once share a day that ends: more
/// than any envelope has.
const RECIPIENTS_PER_GRANT: u32 = 2_000;

/// The lanes and gates of one relay.
#[derive(Debug)]
pub struct Schedule {
    pace: Pace,
    chance: Chance,
    lanes: HashMap<Mailbox, Lane>,
    principals: HashMap<Arc<str>, Gate>,
    services: HashMap<Arc<str>, Gate>,
}

/// What a mailbox shares with others on its way to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The principal, by its name: its place in the settings may change.
    pub principal: Arc<str>,
    /// The service, by its host and port: each cloud is its own.
    pub service: Arc<str>,
}

/// One mailbox.
#[derive(Debug)]
struct Lane {
    window: Window,
    gate: Gate,
    running: u32,
    /// Messages and recipients granted and not yet sent.
    reserved: (u32, u32),
}

/// What a mailbox may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send, and say [`Schedule::ended`] afterwards.
    Go(Grant),
    /// Ask again then.
    Later(Timestamp),
    /// Ask again when a running send has ended.
    Busy,
}

/// The room for one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Messages, at least one.
    pub messages: u32,
    /// Recipients of all of them, at least one.
    pub recipients: u32,
    /// One message to try the way; everything else waits for it.
    pub is_probe: bool,
}

/// Something that was learned from a failure about more than its message.
#[derive(Clone, Copy, Debug)]
pub struct Lesson<'a> {
    /// Who is concerned.
    pub scope: Scope,
    /// What the reply means, where there was one.
    pub explanation: Option<&'a Explanation>,
    /// What it was.
    pub cause: &'a Cause,
    /// Whether no session could be opened.
    pub is_opening: bool,
}

/// Why a mailbox waits, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Who is concerned by what it waits for.
    pub scope: Scope,
    /// The cause; its reason is [`PACE`] when only the mailbox's pace holds it back.
    pub cause: Cause,
    /// When one message tries the way again.
    pub until: Timestamp,
}

/// The reason of a mailbox that has sent as much as it may for now.
pub const PACE: &str = "pace";

/// What a schedule wants noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// What mailboxes have sent; empty for nothing that matters.
    pub paces: Vec<(Mailbox, String)>,
    /// Gates by whom they are for: a service, a principal's name, a mailbox; none for an open one.
    pub gates: Vec<(Scope, Arc<str>, Option<Held>)>,
}

/// A closed gate as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub since: Timestamp,
    /// When one message tries the way again.
    pub until: Timestamp,
}

impl Schedule {
    /// A schedule without history.
    pub fn new(pace: Pace, seed: u64) -> Self {
        Self {
            pace,
            chance: Chance::new(seed),
            lanes: HashMap::new(),
            principals: HashMap::new(),
            services: HashMap::new(),
        }
    }

    /// Whether a mailbox may send, and how much of `wanted` messages. A [`Answer::Go`] takes a
    /// place and reserves its room until [`Schedule::ended`].
    pub fn ask(&mut self, mailbox: &Mailbox, way: &Way, wanted: u32, now: Timestamp) -> Answer {
        let pace = self.pace;
        let lane = self
            .lanes
            .entry(mailbox.clone())
            .or_insert_with(|| Lane::new(pace));
        let principal = self
            .principals
            .entry(Arc::clone(&way.principal))
            .or_default();
        let service = self.services.entry(Arc::clone(&way.service)).or_default();
        let gates = [&*service, &*principal, &lane.gate];
        let mut is_probe = false;
        for gate in gates {
            match gate.ask(now) {
                gate::Answer::Open => {}
                gate::Answer::Probe => is_probe = true,
                other => return other.into(),
            }
        }
        if lane.running >= lane.window.sends_at_once(now) || (is_probe && lane.running > 0) {
            return Answer::Busy;
        }
        let (messages, recipients) = match lane.window.room(now) {
            Ok(room) => room,
            Err(until) => return Answer::Later(until),
        };
        let messages = messages.saturating_sub(lane.reserved.0).min(wanted);
        let messages = if is_probe { messages.min(1) } else { messages };
        let recipients = recipients.saturating_sub(lane.reserved.1);
        let recipients = recipients.min(RECIPIENTS_PER_GRANT);
        if messages == 0 || recipients == 0 {
            return Answer::Busy;
        }
        if is_probe {
            for gate in [service, principal, &mut lane.gate] {
                gate.probe(now);
            }
        }
        lane.running += 1;
        lane.reserved.0 = lane.reserved.0.saturating_add(messages);
        lane.reserved.1 = lane.reserved.1.saturating_add(recipients);
        Answer::Go(Grant {
            messages,
            recipients,
            is_probe,
        })
    }

    /// A transaction of a grant is about to leave: it counts against the mailbox from here on.
    pub fn sending(
        &mut self,
        mailbox: &Mailbox,
        grant: &mut Grant,
        recipients: u32,
        now: Timestamp,
    ) {
        if let Some(lane) = self.lanes.get_mut(mailbox) {
            lane.give_back(grant.messages.min(1), grant.recipients.min(recipients));
            lane.window.sent(recipients, now);
        }
        grant.messages = grant.messages.saturating_sub(1);
        grant.recipients = grant.recipients.saturating_sub(recipients);
    }

    /// The next envelope has more recipients than the day has left: the mailbox waits for room.
    pub fn starved(&mut self, mailbox: &Mailbox, now: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(mailbox) {
            lane.window.starve(now);
        }
    }

    /// The service has taken a message of the mailbox: every gate before it is open.
    pub fn succeeded(&mut self, mailbox: &Mailbox, way: &Way) {
        self.gates(mailbox, way).for_each(Gate::open);
        if let Some(lane) = self.lanes.get_mut(mailbox) {
            lane.window.succeeded();
        }
    }

    /// The service has let the mailbox in: what kept it from that is over, whatever becomes of
    /// the message.
    pub fn logged_in(&mut self, mailbox: &Mailbox, way: &Way) {
        self.gates(mailbox, way).for_each(Gate::logged_in);
    }

    /// Somebody has asked for the mailbox's messages to be tried: unless one was since, one goes.
    pub fn hurry(&mut self, mailbox: &Mailbox, way: &Way, asked_at: Timestamp, now: Timestamp) {
        self.gates(mailbox, way)
            .for_each(|gate| gate.hurry(asked_at, now));
    }

    /// The configuration is another: what was learned about the way to the service is forgotten.
    pub fn open_all(&mut self) {
        let lanes = self.lanes.values_mut().map(|lane| &mut lane.gate);
        self.principals
            .values_mut()
            .chain(self.services.values_mut())
            .chain(lanes)
            .for_each(Gate::open);
    }

    /// Whether something waits for more than its own date.
    pub fn is_any_closed(&self) -> bool {
        let lanes = self.lanes.values().map(|lane| &lane.gate);
        self.principals
            .values()
            .chain(self.services.values())
            .chain(lanes)
            .any(|gate| gate.closed().is_some())
    }

    /// Something was refused or broke. Says until when what is concerned waits, when that is more
    /// than one message.
    pub fn failed(
        &mut self,
        mailbox: &Mailbox,
        way: &Way,
        lesson: Lesson<'_>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let lane = self.lanes.get_mut(mailbox)?;
        if lane.window.learn(&lesson.cause.reason, now) {
            // The pace is changed; the gate need not close for it.
            return Some(lane.window.resumes_at(now));
        }
        let persistence = lesson.explanation.map(|e| e.persistence);
        let gate = match lesson.scope {
            Scope::Recipient | Scope::Message => {
                lane.window.refused();
                return None;
            }
            Scope::Mailbox => &mut lane.gate,
            Scope::Principal | Scope::Tenant => self
                .principals
                .entry(Arc::clone(&way.principal))
                .or_default(),
            Scope::Service => self.services.entry(Arc::clone(&way.service)).or_default(),
        };
        let chance = &mut self.chance;
        Some(gate.close(lesson.cause, lesson.is_opening, persistence, now, chance))
    }

    /// A send has ended, however, with what is left of its grant.
    pub fn ended(&mut self, mailbox: &Mailbox, way: &Way, left: Grant) {
        if left.is_probe {
            self.gates(mailbox, way).for_each(Gate::probe_ended);
        }
        if let Some(lane) = self.lanes.get_mut(mailbox) {
            lane.running = lane.running.saturating_sub(1);
            lane.give_back(left.messages, left.recipients);
        }
    }

    /// The gates in front of a mailbox.
    fn gates(&mut self, mailbox: &Mailbox, way: &Way) -> impl Iterator<Item = &mut Gate> {
        let lane = self.lanes.get_mut(mailbox).map(|lane| &mut lane.gate);
        let principal = self.principals.get_mut(&way.principal);
        let service = self.services.get_mut(&way.service);
        [service, principal, lane].into_iter().flatten()
    }

    /// The wall clock was set back: no date that was set before counts any more. What was sent
    /// within the day still does.
    pub fn clock_set_back(&mut self, now: Timestamp) {
        for gate in self.services.values_mut() {
            gate.clock_set_back(now);
        }
        for gate in self.principals.values_mut() {
            gate.clock_set_back(now);
        }
        for lane in self.lanes.values_mut() {
            lane.gate.clock_set_back(now);
            lane.window.clock_set_back(now);
        }
    }

    /// When a message is tried again after its `attempt`th attempt.
    pub fn retry_at(&mut self, backoff: Backoff, attempt: u32, now: Timestamp) -> Timestamp {
        backoff.at(attempt, now, &mut self.chance)
    }

    /// Why the mailbox waits, if something holds it back.
    pub fn waiting(&self, mailbox: &Mailbox, way: &Way, now: Timestamp) -> Option<Waiting> {
        let lane = self.lanes.get(mailbox);
        let gates = [
            (Scope::Service, self.services.get(&way.service)),
            (Scope::Principal, self.principals.get(&way.principal)),
            (Scope::Mailbox, lane.map(|lane| &lane.gate)),
        ];
        for (scope, gate) in gates {
            if let Some(closed) = gate.and_then(Gate::closed) {
                return Some(Waiting {
                    scope,
                    cause: closed.cause.clone(),
                    until: closed.until.max(now),
                });
            }
        }
        let until = lane?.window.room(now).err()?;
        Some(Waiting {
            scope: Scope::Mailbox,
            cause: Cause {
                reason: PACE.to_owned(),
                // X.3.2: the system takes no more for now.
                status: Status::new(Class::Temporary, 3, 2),
                text: "the mailbox has sent as much as it may for now".to_owned(),
                is_reply: false,
            },
            until,
        })
    }

    /// Sends of a mailbox under way.
    pub fn running(&self, mailbox: &Mailbox) -> u32 {
        self.lanes.get(mailbox).map_or(0, |lane| lane.running)
    }

    /// Takes up what [`Schedule::notes`] gave for a mailbox's pace.
    pub fn take_up(&mut self, mailbox: &Mailbox, note: &str) {
        self.lane(mailbox).window.take_up(note);
    }

    /// Whether a gate in front of the mailbox is not what was noted of it.
    pub fn is_noteworthy(&mut self, mailbox: &Mailbox, way: &Way) -> bool {
        self.gates(mailbox, way).any(|gate| gate.is_changed())
    }

    /// What has changed since the last time, as it should be noted; lanes in which nothing
    /// matters any more are forgotten.
    pub fn notes(&mut self, now: Timestamp) -> Notes {
        let mut notes = Notes::default();
        for (mailbox, lane) in &mut self.lanes {
            if let Some(note) = lane.window.note(now) {
                notes.paces.push((mailbox.clone(), note));
            }
        }
        for (scope, name, gate) in self.all_gates() {
            if gate.is_changed() {
                gate.set_changed(false);
                let held = gate.closed().map(|closed| Held {
                    cause: closed.cause.clone(),
                    since: closed.since,
                    until: closed.until,
                });
                notes.gates.push((scope, name, held));
            }
        }
        self.lanes.retain(|_, lane| !lane.is_idle(now));
        notes
    }

    /// What [`Schedule::notes`] gave could not be noted: it gives it again.
    pub fn notes_lost(&mut self, notes: &Notes) {
        for (mailbox, _) in &notes.paces {
            self.lane(mailbox).window.change();
        }
        for (scope, name, _) in &notes.gates {
            let gate = match scope {
                Scope::Service => self.services.entry(Arc::clone(name)).or_default(),
                Scope::Principal | Scope::Tenant => {
                    self.principals.entry(Arc::clone(name)).or_default()
                }
                _ => match name.parse() {
                    Ok(mailbox) => &mut self.lane(&mailbox).gate,
                    Err(_) => continue,
                },
            };
            gate.set_changed(true);
        }
    }

    fn lane(&mut self, mailbox: &Mailbox) -> &mut Lane {
        let pace = self.pace;
        self.lanes
            .entry(mailbox.clone())
            .or_insert_with(|| Lane::new(pace))
    }

    /// Every gate, with whom it is for.
    fn all_gates(&mut self) -> impl Iterator<Item = (Scope, Arc<str>, &mut Gate)> {
        let lanes = self.lanes.iter_mut().map(|(mailbox, lane)| {
            let name: Arc<str> = mailbox.address().key().into();
            (Scope::Mailbox, name, &mut lane.gate)
        });
        let principals = self
            .principals
            .iter_mut()
            .map(|(name, gate)| (Scope::Principal, Arc::clone(name), gate));
        let services = self
            .services
            .iter_mut()
            .map(|(name, gate)| (Scope::Service, Arc::clone(name), gate));
        services.chain(principals).chain(lanes)
    }
}

impl Lane {
    fn new(pace: Pace) -> Self {
        Self {
            window: Window::new(pace),
            gate: Gate::default(),
            running: 0,
            reserved: (0, 0),
        }
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        let is_open = self.gate.closed().is_none() && !self.gate.is_changed();
        self.running == 0 && is_open && self.window.is_idle(now)
    }

    const fn give_back(&mut self, messages: u32, recipients: u32) {
        self.reserved.0 = self.reserved.0.saturating_sub(messages);
        self.reserved.1 = self.reserved.1.saturating_sub(recipients);
    }
}

impl From<gate::Answer> for Answer {
    fn from(answer: gate::Answer) -> Self {
        match answer {
            gate::Answer::Later(until) => Self::Later(until),
            _ => Self::Busy,
        }
    }
}
