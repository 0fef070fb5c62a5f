//! The set-up itself: look, compare, change, look again.
//!
//! Every change is recorded before its request is sent and completed after its answer, so that a
//! run that dies anywhere can be taken up again: what has begun is looked for before it is made.

mod changes;
mod error;
mod look;
mod settle;
mod undo;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sendas_entra::{Cloud, Tenant};

pub use self::error::SetupError;
pub use self::undo::{UndoPlan, Undone};
use crate::admin::AdminTokens;
use crate::exchange_admin::ExchangeAdmin;
use crate::graph::{AppRoleAssignment, Graph};
use crate::limits::REPLICATION_S_MAX;
use crate::observed::Observed;
use crate::plan::{Action, Plan, Step};
use crate::state::{State, StateFile};
use crate::store::{Place, SecretStore};
use crate::timer::{Backoff, Timer};
use crate::wire::{Transport, Wire};
use crate::wish::Wish;

/// What a run tells while it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A step begins.
    Step {
        /// Counted from 1.
        number: usize,
        /// Of how many.
        total: usize,
        /// What it does.
        title: String,
    },
    /// A secret was kept.
    Kept {
        /// What it is.
        what: &'static str,
        /// Where.
        place: Place,
    },
    /// The service does not show something yet.
    Waiting {
        /// For what.
        what: String,
        /// How long until the next look.
        pause: Duration,
    },
    /// Something may begin to act later, and is tried again until then.
    Patience {
        /// What does not act yet.
        what: String,
        /// How long until the next trial.
        pause: Duration,
        /// How long it will be tried at most.
        left: Duration,
    },
}

/// Who hears of a run.
pub trait Progress: Send + Sync {
    /// Hears one event.
    fn tell(&self, event: &Event);
}

/// Nobody hears of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn tell(&self, _: &Event) {}
}

/// A set-up of one tenant, with an administrator's tokens.
#[derive(Clone)]
pub struct Setup {
    cloud: Cloud,
    tenant: Option<Tenant>,
    graph: Graph,
    exchange: Wire,
    timer: Arc<dyn Timer>,
    store: Arc<dyn SecretStore>,
    progress: Arc<dyn Progress>,
    frame: Arc<Mutex<Option<look::Frame>>>,
}

/// A plan that is ready to be carried out.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What is to be done.
    pub plan: Plan,
    observed: Observed,
    state: State,
}

/// What a run ended with.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The tenant, as it is now.
    pub observed: Observed,
    /// What was done.
    pub steps: Vec<Step>,
    /// The state after it.
    pub state: State,
    /// The plan after it: nothing to do, with notices.
    pub plan: Plan,
}

impl Setup {
    /// A set-up through this transport. `tenant` guards against a sign-in elsewhere.
    pub fn new(
        cloud: &Cloud,
        tenant: Option<Tenant>,
        tokens: &AdminTokens,
        transport: &Arc<dyn Transport>,
        timer: Arc<dyn Timer>,
        store: Arc<dyn SecretStore>,
    ) -> Self {
        let wire = |token: &crate::admin::AdminToken| Wire {
            transport: Arc::clone(transport),
            timer: Arc::clone(&timer),
            token: token.clone(),
            progress: Arc::new(Silent),
        };
        Self {
            cloud: cloud.clone(),
            tenant,
            graph: Graph::new(wire(&tokens.graph), cloud),
            exchange: wire(&tokens.exchange),
            timer,
            store,
            progress: Arc::new(Silent),
            frame: Arc::default(),
        }
    }

    /// Tells this one how a run goes.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.graph = self.graph.with_progress(Arc::clone(&progress));
        self.exchange.progress = Arc::clone(&progress);
        self.progress = progress;
        self
    }

    /// The Graph client, with the same sign-in.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The Exchange admin client of this tenant id, with the same sign-in.
    pub fn exchange_admin(&self, tenant_id: &str) -> ExchangeAdmin {
        ExchangeAdmin::new(self.exchange.clone(), &self.cloud, tenant_id)
    }

    /// Looks and compares; changes nothing.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn plan(
        &self,
        wish: &Wish,
        file: &StateFile,
    ) -> Result<(Plan, Observed), SetupError> {
        let state = file.load()?;
        self.forget_frame();
        let observed = Box::pin(self.observe(wish, state.as_ref(), None)).await?;
        Ok((Plan::new(wish, &observed), observed))
    }

    /// Brings the tenant to what is wished, and reads back until it shows.
    ///
    /// # Errors
    /// [`SetupError`], which says what was done before it; the same call goes on from there.
    pub async fn apply(&self, wish: &Wish, file: &StateFile) -> Result<Applied, SetupError> {
        let prepared = Box::pin(self.prepare(wish, file)).await?;
        Box::pin(self.carry_out(prepared, wish, file)).await
    }

    /// The first half of [`apply`](Self::apply): finds what an interrupted run left, looks and
    /// compares. Changes nothing in the tenant; the plan can be shown before it is carried out.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn prepare(&self, wish: &Wish, file: &StateFile) -> Result<Prepared, SetupError> {
        self.forget_frame();
        let mut state = self.open_state(wish, file).await?;
        Box::pin(self.recover(&mut state, file)).await?;
        let observed = Box::pin(self.observe(wish, Some(&state), None)).await?;
        Ok(Prepared {
            plan: Plan::new(wish, &observed),
            observed,
            state,
        })
    }

    /// The second half: takes the steps, and reads back until they show.
    ///
    /// # Errors
    /// [`SetupError`], which says what was done before it; the same call goes on from there.
    pub async fn carry_out(
        &self,
        prepared: Prepared,
        wish: &Wish,
        file: &StateFile,
    ) -> Result<Applied, SetupError> {
        let Prepared {
            plan,
            observed,
            mut state,
        } = prepared;
        if !plan.blocks.is_empty() {
            return Err(SetupError::Blocked {
                blocks: plan.blocks,
            });
        }
        state.remember(wish, &observed.domains);
        file.save(&state)?;
        let total = plan.steps.len();
        let mut run = changes::Run::new(self, &observed, &mut state, file, wish);
        for (index, step) in plan.steps.iter().enumerate() {
            let title = step.action.title();
            self.progress.tell(&Event::Step {
                number: index + 1,
                total,
                title: title.clone(),
            });
            Box::pin(run.take(&step.action))
                .await
                .map_err(|source| SetupError::Step {
                    title,
                    done: plan.steps[..index]
                        .iter()
                        .map(|step| step.action.title())
                        .collect(),
                    state: file.path().to_owned(),
                    source: Box::new(source),
                })?;
        }
        if plan.steps.is_empty() {
            return Ok(Applied {
                observed,
                steps: Vec::new(),
                state,
                plan,
            });
        }
        let mut done = plan.steps.iter().map(|step| &step.action);
        if done.any(|action| *action == Action::EnableCustomization) {
            self.forget_frame();
        }
        let (observed, after) = Box::pin(self.confirm(wish, &state, &observed)).await?;
        let certificates = observed
            .application()
            .map_or_else(Vec::new, crate::graph::Application::certificates);
        if state.note_key_ids(&certificates) {
            file.save(&state)?;
        }
        Ok(Applied {
            observed,
            steps: plan.steps,
            state,
            plan: after,
        })
    }

    /// What undoing would remove; asks nobody.
    ///
    /// # Errors
    /// [`SetupError`] when there is no state.
    pub fn undo_plan(file: &StateFile) -> Result<UndoPlan, SetupError> {
        let state = file.load()?.ok_or_else(|| SetupError::NoState {
            path: file.path().to_owned(),
        })?;
        Ok(UndoPlan::new(&state))
    }

    /// Removes what [`apply`](Self::apply) made and restores what it changed, Exchange first; then
    /// removes the state file.
    ///
    /// # Errors
    /// [`SetupError`]; what was removed is forgotten, and the same call goes on from there.
    pub async fn undo(&self, file: &StateFile) -> Result<Undone, SetupError> {
        self.forget_frame();
        Box::pin(undo::run(self, file)).await
    }

    /// Reads back, with growing pauses, until nothing is left to do. Changes nothing.
    async fn confirm(
        &self,
        wish: &Wish,
        state: &State,
        before: &Observed,
    ) -> Result<(Observed, Plan), SetupError> {
        // The slowest to show are asked for alone, before everything is read once more.
        if let Some(known) = &state.application {
            let principal = self
                .await_principal(&known.client_id, self.window())
                .await?;
            if let (Some(principal), Some(role)) = (principal, state.granted_role()) {
                self.await_sight("the permission", self.window(), async || {
                    let granted = self.graph.app_role_assignments(&principal.id).await?;
                    let is_role =
                        |row: &AppRoleAssignment| row.app_role_id.eq_ignore_ascii_case(role);
                    Ok(granted.iter().any(is_role).then_some(()))
                })
                .await?;
            }
        }
        let mut backoff = Backoff::new(Duration::from_secs(REPLICATION_S_MAX));
        loop {
            let observed = Box::pin(self.observe(wish, Some(state), Some(before))).await?;
            let plan = Plan::new(wish, &observed);
            if plan.is_done() {
                return Ok((observed, plan));
            }
            let missing: Vec<String> = plan
                .steps
                .iter()
                .map(|step| step.action.title())
                .chain(plan.blocks)
                .collect();
            let Some(pause) = backoff.pause() else {
                return Err(SetupError::NotShown { missing });
            };
            self.pause(missing.join("; "), pause).await;
        }
    }

    async fn open_state(&self, wish: &Wish, file: &StateFile) -> Result<State, SetupError> {
        let frame = self.frame().await?;
        let state = match file.load()? {
            None => State::new(&frame.tenant_id, wish.method),
            Some(state) => state,
        };
        look::check_state(&state, wish, &frame)?;
        Ok(state)
    }

    /// Waits, and says for what.
    async fn pause(&self, what: String, pause: Duration) {
        self.progress.tell(&Event::Waiting { what, pause });
        self.timer.wait(pause).await;
    }

    fn forget_frame(&self) {
        *self.frame.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("cloud", &self.cloud.name())
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}
