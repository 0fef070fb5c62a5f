//! The token source that many tasks share: one request in flight, refreshed ahead, quiet after a
//! failure. The decisions are in [`crate::slot`]; here are the lock and the task.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::requester::Fetch;
use crate::slot::{Action, Slot};
use crate::{
    Audience, Clock, Generation, HttpClient, Moment, Principal, Requester, Token, TokenError,
    TokenFuture, TokenSource,
};

/// Tokens of one principal for one audience.
///
/// Clones share everything. Needs a tokio runtime with time and I/O. A request runs in a task of
/// its own: a caller that goes away does not end it, and everybody who waits gets its answer.
#[derive(Clone)]
pub struct EntraTokenSource {
    inner: Arc<Inner>,
}

struct Inner {
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    slot: Slot,
    flight: watch::Receiver<Landing>,
}

type Landing = Option<Result<Token, TokenError>>;

/// How often a caller joins another request after one was lost with its runtime.
const LOST_MAX: u32 = 2;

impl EntraTokenSource {
    /// Tokens for Exchange Online. `seed` drives the jitter of pauses after failures.
    pub fn new(principal: Principal, http: HttpClient, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self::with_audience(principal, Audience::Exchange, http, clock, seed)
    }

    /// Tokens for another service.
    pub fn with_audience(
        principal: Principal,
        audience: Audience,
        http: HttpClient,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Self {
        let requester = Requester::new(principal, audience, http, Arc::clone(&clock));
        Self::with_fetch(Arc::new(requester), clock, seed)
    }

    fn with_fetch(fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>, seed: u64) -> Self {
        let (_, flight) = watch::channel(None);
        let state = Mutex::new(State {
            slot: Slot::new(seed),
            flight,
        });
        Self {
            inner: Arc::new(Inner {
                fetch,
                clock,
                state,
            }),
        }
    }

    async fn get(&self) -> Result<Token, TokenError> {
        for _ in 0..LOST_MAX {
            let mut flight = match self.inner.step() {
                Step::Done(answer) => return answer,
                Step::Wait(flight) => flight,
            };
            // An error here means that the task vanished with its runtime: ask anew.
            if let Ok(landing) = flight.wait_for(Option::is_some).await
                && let Some(answer) = landing.clone()
            {
                return answer;
            }
        }
        Err(TokenError::Interrupted)
    }
}

enum Step {
    Done(Result<Token, TokenError>),
    Wait(watch::Receiver<Landing>),
}

impl Inner {
    fn step(self: &Arc<Self>) -> Step {
        let now = self.clock.now();
        let mut state = self.state();
        match state.slot.ask(now) {
            Action::Use(token) => Step::Done(Ok(token)),
            Action::UseAndFetch(token, generation) => {
                self.start(&mut state, generation, now);
                Step::Done(Ok(token))
            }
            Action::Fetch(generation) => {
                self.start(&mut state, generation, now);
                Step::Wait(state.flight.clone())
            }
            Action::Wait => Step::Wait(state.flight.clone()),
            Action::CoolDown(error) => Step::Done(Err(error)),
        }
    }

    /// Starts the request as a task; it ends within the deadline of one HTTP exchange (two for Arc).
    fn start(self: &Arc<Self>, state: &mut State, generation: Generation, asked: Moment) {
        let (landing, flight) = watch::channel(None);
        state.flight = flight;
        let guard = Flight {
            inner: Arc::clone(self),
            generation,
            landing: Some(landing),
        };
        let fetch = Arc::clone(&self.fetch);
        tokio::spawn(async move {
            let answer = fetch.fetch(generation, asked).await;
            guard.land(answer, asked);
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way. Dropped without landing (its runtime was shut down), it clears the way for
/// the next one.
struct Flight {
    inner: Arc<Inner>,
    generation: Generation,
    landing: Option<watch::Sender<Landing>>,
}

impl Flight {
    fn land(mut self, answer: Result<Token, TokenError>, asked: Moment) {
        if let Err(error) = &answer {
            tracing::warn!(error = %error.full_text(), "token request failed");
        }
        let now = self.inner.clock.now();
        let answer = self
            .inner
            .state()
            .slot
            .land(self.generation, answer, asked, now);
        if let Some(landing) = self.landing.take() {
            landing.send_replace(Some(answer));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.landing.is_some() {
            self.inner.state().slot.lost(self.generation);
        }
    }
}

impl TokenSource for EntraTokenSource {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(self.get())
    }

    fn refused(&self, generation: Generation) {
        let now = self.inner.clock.now();
        self.inner.state().slot.refuse(generation, now);
    }

    fn accepted(&self, generation: Generation) {
        let now = self.inner.clock.now();
        self.inner.state().slot.accept(generation, now);
    }
}

impl fmt::Debug for EntraTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntraTokenSource")
    }
}

#[cfg(test)]
mod tests;
