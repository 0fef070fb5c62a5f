//! The decision what to do when somebody wants a token: pure, time handed in.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{self, Digest, SHA256};
use jiff::{SignedDuration, Timestamp};

use crate::limits::{
    ACCEPTED_LATELY_S, COOL_DOWN_PERMANENT_S, COOL_DOWN_S_FIRST, COOL_DOWN_S_MAX,
    COOL_DOWN_YOUNG_CREDENTIAL_S, REFUSED_COOL_DOWN_S_FIRST, REFUSED_COOL_DOWN_S_MAX,
    REFUSED_FRESH_S, TOKEN_LEFT_S_MIN,
};
use crate::{Generation, Moment, Token, TokenError};

/// One token and what is known about getting the next one.
#[derive(Debug)]
pub(crate) struct Slot {
    held: Option<Held>,
    flight: Option<Generation>,
    last: u64,
    pause: Option<Pause>,
    failures: u32,
    refusals: u32,
    refused_text: Option<Digest>,
    accepted: Option<(Generation, Duration)>,
    chance: Chance,
}

/// What the caller must do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Hand out this token.
    Use(Token),
    /// Hand out this token and start a request in the background.
    UseAndFetch(Token, Generation),
    /// Start a request and wait for it.
    Fetch(Generation),
    /// Wait for the request that is under way.
    Wait,
    /// Send nothing; this is why.
    CoolDown(TokenError),
}

#[derive(Debug)]
struct Held {
    token: Token,
    since: Moment,
    usable: Span,
    fresh: Span,
}

/// An end on both clocks; it has come when either says so.
#[derive(Clone, Copy, Debug)]
struct Span {
    wall: Timestamp,
    steady: Duration,
}

#[derive(Debug)]
struct Pause {
    until: Duration,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Failed(TokenError),
    Refused,
}

impl Slot {
    /// An empty slot; `seed` drives the jitter of its pauses.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            held: None,
            flight: None,
            last: 0,
            pause: None,
            failures: 0,
            refusals: 0,
            refused_text: None,
            accepted: None,
            chance: Chance(seed),
        }
    }

    /// Somebody wants a token.
    pub(crate) fn ask(&mut self, now: Moment) -> Action {
        let usable = self.held.as_ref().filter(|held| !held.usable.has_come(now));
        if let Some(held) = usable {
            let token = held.token.clone();
            let due = held.fresh.has_come(now);
            if due && self.flight.is_none() && self.pause_left(now).is_none() {
                return Action::UseAndFetch(token, self.take_off());
            }
            return Action::Use(token);
        }
        if self.flight.is_some() {
            return Action::Wait;
        }
        match self.pause_left(now) {
            Some((wait, reason)) => Action::CoolDown(match reason {
                Reason::Failed(cause) => TokenError::CoolingDown {
                    wait,
                    cause: Arc::new(cause.clone()),
                },
                Reason::Refused => TokenError::RefusedRepeatedly {
                    count: self.refusals,
                    wait,
                },
            }),
            None => Action::Fetch(self.take_off()),
        }
    }

    /// A request has ended. `asked` is the moment it was sent. Returns what its waiters get.
    ///
    /// An answer older than the token held is dropped.
    pub(crate) fn land(
        &mut self,
        generation: Generation,
        answer: Result<Token, TokenError>,
        asked: Moment,
        now: Moment,
    ) -> Result<Token, TokenError> {
        if self.flight == Some(generation) {
            self.flight = None;
        }
        let newer = self
            .held
            .as_ref()
            .is_some_and(|held| held.token.generation() > generation);
        let answer = answer.and_then(|token| match &self.refused_text {
            Some(refused) if *refused.as_ref() == *fingerprint(&token).as_ref() => {
                Err(TokenError::SameTokenAgain)
            }
            _ => Ok(token),
        });
        match answer {
            Ok(token) => {
                if !newer {
                    self.hold(token.clone(), asked);
                    self.failures = 0;
                    self.pause = None;
                }
                Ok(token)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let until = now.steady + self.pause_after(&error);
                self.pause = Some(Pause {
                    until,
                    reason: Reason::Failed(error.clone()),
                });
                Err(error)
            }
        }
    }

    /// A request has vanished without an answer.
    pub(crate) fn lost(&mut self, generation: Generation) {
        if self.flight == Some(generation) {
            self.flight = None;
        }
    }

    /// The service refused the token of this generation.
    ///
    /// The first refusal lets the next call fetch at once; fresh tokens that are refused one after
    /// another bring a growing pause, because the cause is then not the token. A token that has
    /// logged in lately stays: the mailbox is at fault.
    pub(crate) fn refuse(&mut self, generation: Generation, now: Moment) {
        let lately = secs(ACCEPTED_LATELY_S);
        if self.accepted.is_some_and(|(accepted, at)| {
            accepted == generation && now.steady.saturating_sub(at) < lately
        }) {
            return;
        }
        let Some(held) = self
            .held
            .take_if(|held| held.token.generation() == generation)
        else {
            return;
        };
        let served = now.steady.saturating_sub(held.since.steady);
        self.refused_text = Some(fingerprint(&held.token));
        self.refusals = if served >= secs(REFUSED_FRESH_S) {
            1
        } else {
            self.refusals.saturating_add(1)
        };
        if self.refusals > 1 {
            let pause = doubled(
                REFUSED_COOL_DOWN_S_FIRST,
                self.refusals - 2,
                REFUSED_COOL_DOWN_S_MAX,
            );
            let until = now.steady + self.chance.stretch(pause);
            self.pause = Some(Pause {
                until,
                reason: Reason::Refused,
            });
        }
    }

    /// A login with the token of this generation succeeded.
    pub(crate) fn accept(&mut self, generation: Generation, now: Moment) {
        if self
            .held
            .as_ref()
            .is_some_and(|held| held.token.generation() == generation)
        {
            self.accepted = Some((generation, now.steady));
        }
    }

    fn take_off(&mut self) -> Generation {
        self.last += 1;
        let generation = Generation(self.last);
        self.flight = Some(generation);
        generation
    }

    fn hold(&mut self, token: Token, asked: Moment) {
        let life = token.expires_at().duration_since(asked.wall);
        let margin = SignedDuration::from_secs(TOKEN_LEFT_S_MIN.cast_signed()).min(life / 2);
        let usable = Span::after(asked, life - margin);
        let fresh = Span::after(asked, token.refresh_at().duration_since(asked.wall));
        self.held = Some(Held {
            token,
            since: asked,
            usable,
            fresh,
        });
    }

    fn pause_left(&self, now: Moment) -> Option<(Duration, &Reason)> {
        let pause = self.pause.as_ref()?;
        let left = pause
            .until
            .checked_sub(now.steady)
            .filter(|left| !left.is_zero())?;
        Some((left, &pause.reason))
    }

    /// How long to be quiet after this failure. Never shorter than the service asked for.
    fn pause_after(&mut self, error: &TokenError) -> Duration {
        let before = self.failures.saturating_sub(1);
        let own = if error.is_temporary() {
            doubled(COOL_DOWN_S_FIRST, before, COOL_DOWN_S_MAX)
        } else if error.may_be_too_young() {
            doubled(COOL_DOWN_YOUNG_CREDENTIAL_S, before, COOL_DOWN_PERMANENT_S)
        } else {
            secs(COOL_DOWN_PERMANENT_S)
        };
        let asked_for = error.retry_after();
        match asked_for {
            Some(wait) => self.chance.stretch(wait.max(Duration::from_secs(1))),
            None => self.chance.stretch(own),
        }
    }
}

impl Span {
    fn after(start: Moment, life: SignedDuration) -> Self {
        let steady = Duration::try_from(life).unwrap_or(Duration::ZERO);
        Self {
            wall: start.wall.saturating_add(life).unwrap_or(Timestamp::MAX),
            steady: start.steady.saturating_add(steady),
        }
    }

    fn has_come(self, now: Moment) -> bool {
        now.wall >= self.wall || now.steady >= self.steady
    }
}

/// Chance from a seed (SplitMix64): good enough to keep many processes apart.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    /// The pause, or up to a quarter more; never less.
    fn stretch(&mut self, pause: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let part = u32::try_from(mixed % 1024).unwrap_or(0);
        pause + pause / 4 * part / 1024
    }
}

fn doubled(first_s: u64, times: u32, max_s: u64) -> Duration {
    secs(first_s.saturating_mul(1 << times.min(20)).min(max_s))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fingerprint(token: &Token) -> Digest {
    digest::digest(&SHA256, token.expose().as_bytes())
}

#[cfg(test)]
mod tests;
