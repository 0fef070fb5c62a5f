//! `sendas setup`: the tenant side, from an administrator's sign-in to the first accepted mail.

mod desk;
mod options;
mod prover;
pub(crate) mod tell;
mod written;

use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use sendas_tenant::{Applied, Setup, Verification};
use serde_json::{Value, json};

use self::desk::Desk;
use self::options::Options;
use crate::administrator::agree;
use crate::exit::Exit;
use crate::global::Global;
use crate::machine::Machine;
use crate::report::{Failure, Outcome};
use crate::{output, runtime};

/// The tenant side of sending.
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  sendas setup plan --tenant contoso.com --mailbox noreply@contoso.com
  sendas setup plan --tenant contoso.com --mailbox noreply@contoso.com --powershell > setup.ps1
  sendas setup apply --tenant contoso.com --mailbox noreply@contoso.com --write-config sendas.toml
  sendas setup verify --tenant contoso.com --wait 120
  sendas setup undo --tenant contoso.com")]
pub(crate) enum Command {
    /// Show what would be made or changed in the tenant, and why; changes nothing.
    Plan(Plan),
    /// Make it so: every step recorded, resumable, safe to run twice.
    Apply(Apply),
    /// Prove it: token, claims, login for each mailbox, one message.
    Verify(Verify),
    /// Remove what apply made and restore what it changed, Exchange first.
    Undo(Undo),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    options: Options,
    /// Print the Exchange half as a PowerShell script, for an administrator elsewhere.
    #[arg(long, conflicts_with = "json")]
    powershell: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    options: Options,
    /// Send the one message to this address instead of back to the mailbox itself.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "no_message")]
    to: Option<String>,
    /// Send no message: stop after the login.
    #[arg(long)]
    no_message: bool,
    /// Try again for this many minutes while a change may not act yet; 120 is always enough.
    #[arg(long, value_name = "MINUTES", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=180))]
    wait: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Undo {
    #[command(flatten)]
    options: Options,
}

impl Command {
    /// Whether the answer is to be JSON.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Plan(plan) => plan.options.json,
            Self::Apply(apply) => apply.options.json,
            Self::Verify(verify) => verify.options.json,
            Self::Undo(undo) => undo.options.json,
        }
    }
}

pub(crate) fn run(command: &Command, global: &Global, machine: &Machine) -> Outcome {
    runtime::run(async {
        match command {
            Command::Plan(command) => Box::pin(plan(command, global, machine)).await,
            Command::Apply(command) => Box::pin(apply(command, global, machine)).await,
            Command::Verify(command) => Box::pin(verify(command, global, machine)).await,
            Command::Undo(command) => Box::pin(undo(command, global, machine)).await,
        }
    })?
}

async fn plan(command: &Plan, global: &Global, machine: &Machine) -> Outcome {
    let desk = Desk::open(&command.options, global, machine)?;
    let wish = desk.wish()?;
    let setup = Box::pin(desk.setup(wish.method)).await?;
    let setup = setup.with_progress(Arc::new(tell::Talk::new()));
    let file = desk.state_reading();
    let (plan, _) = Box::pin(setup.plan(&wish, &file))
        .await
        .map_err(|error| tell::failed("no plan was made", &error))?;
    let written = if command.powershell {
        output::data(&plan.powershell())
    } else if command.options.json {
        let mut answer = plan.json();
        answer["contradictions"] = json!(desk.contradictions());
        output::json(&answer)
    } else {
        output::data(&output::visible(&plan.to_string()))
    };
    written.map_err(|error| Box::new(Failure::machine("the plan was not printed", &error)))?;
    Ok(if plan.blocks.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn apply(command: &Apply, global: &Global, machine: &Machine) -> Outcome {
    const NOT: &str = "nothing was changed in the tenant";

    let options = &command.options;
    let desk = Desk::open(options, global, machine)?;
    let wish = desk.wish()?;
    if let Some(path) = &options.write_config {
        written::check(path, &desk, &wish)?;
    }
    let setup = Box::pin(desk.setup(wish.method)).await?;
    let setup = setup.with_progress(Arc::new(tell::Talk::new()));
    let file = desk.state_file()?;
    let prepared = Box::pin(setup.prepare(&wish, &file))
        .await
        .map_err(|error| tell::failed(NOT, &error))?;
    output::say(&output::visible(&prepared.plan.to_string()));
    if !prepared.plan.blocks.is_empty() {
        let causes = prepared.plan.blocks.iter();
        let failure = Failure::new(crate::report::Kind::Service, Exit::Failed, NOT)
            .id("T-BLOCKED")
            .lasting(crate::report::Lasting::UntilChanged)
            .all_causes();
        return Err(Box::new(causes.fold(failure, |failure, block| {
            // A block ends with what mends it.
            match block.rsplit_once(": ") {
                Some((cause, fix)) => failure.cause(cause, Some(fix.to_owned())),
                None => failure.cause(block.clone(), None),
            }
        })));
    }
    let steps = prepared.plan.steps.len();
    if steps > 0 {
        agree(
            options.yes,
            &format!("Do these {steps} steps in the tenant?"),
        )?;
    }
    let mut applied = Box::pin(setup.carry_out(prepared, &wish, &file))
        .await
        .map_err(|error| tell::stopped(&desk, "the set-up is not complete", &error))?;
    if let Some(path) = desk.token_file() {
        applied.state.token_file = Some(written::absolute(path));
    }
    let mut config = None;
    if let Some(path) = &options.write_config {
        let done = written::write(path, &desk, &wish, &applied.state)?;
        applied.state.note_configured(done);
        config = Some(path.display().to_string());
    }
    file.save(&applied.state)
        .map_err(|error| tell::failed("the set-up is complete, but not recorded", &error.into()))?;
    report_applied(&desk, &applied, config.as_deref())
}

fn report_applied(desk: &Desk<'_>, applied: &Applied, config: Option<&str>) -> Outcome {
    let known = applied.state.application.as_ref();
    let credential = written::credential(desk, &applied.state);
    if desk.options.json {
        let steps: Vec<Value> = applied
            .steps
            .iter()
            .map(|step| json!({ "id": step.action.id(), "title": step.action.title() }))
            .collect();
        let answer = json!({
            "ok": true,
            "tenant": { "id": applied.plan.tenant_id, "name": applied.plan.tenant_name },
            "method": applied.plan.method.name(),
            "client_id": known.map(|known| &known.client_id),
            "service_principal_id": known.and_then(|known| known.principal_id.as_ref()),
            "application_object_id": known.map(|known| &known.object_id),
            "credential": credential.as_ref().map(written::Kept::json),
            "mailboxes": applied.state.mailboxes,
            "steps": steps,
            "notices": applied.plan.json()["notices"],
            "state": desk.state_path(),
            "config": config,
            "contradictions": desk.contradictions(),
            "next": desk.again("verify", &["--wait", "120"]),
        });
        output::json(&answer)
            .map_err(|error| Box::new(Failure::machine("the answer was not printed", &error)))?;
    } else {
        tell::applied(desk, applied, credential.as_ref(), config);
    }
    Ok(Exit::Done)
}

async fn verify(command: &Verify, global: &Global, machine: &Machine) -> Outcome {
    let desk = Desk::open(&command.options, global, machine)?;
    let file = desk.state_reading();
    let state = desk.known().cloned();
    let prover = prover::Candidate::open(&desk, state.as_ref(), global, machine)?;
    // What the tenant is configured to allow, where an administrator lets us look.
    let mut configured = None;
    if command.options.has_tokens() {
        let wish = desk.wish()?;
        let setup: Setup = Box::pin(desk.setup(wish.method)).await?;
        let setup = setup.with_progress(Arc::new(tell::Talk::new()));
        let (plan, _) = Box::pin(setup.plan(&wish, &file))
            .await
            .map_err(|error| tell::failed("the tenant could not be read", &error))?;
        configured = Some(plan);
    }
    let trial = prover.trial(
        state.as_ref(),
        &desk,
        command.to.as_deref(),
        !command.no_message,
        Duration::from_secs(command.wait * 60),
    )?;
    let verification =
        Verification::run(&trial, &prover.service, desk.timer(), &tell::Talk::new()).await;
    if command.options.json {
        let mut answer = verification.json();
        answer["configured"] = json!(configured.as_ref().map(sendas_tenant::Plan::is_done));
        answer["missing"] = configured
            .as_ref()
            .map_or(Value::Null, |plan| plan.json()["steps"].clone());
        answer["contradictions"] = json!(desk.contradictions());
        output::json(&answer)
            .map_err(|error| Box::new(Failure::machine("the answer was not printed", &error)))?;
    } else {
        tell::verified(&verification, configured.as_ref());
    }
    let complete = configured.is_none_or(|plan| plan.is_done());
    Ok(
        match (verification.is_effective(), verification.has_failed()) {
            (true, _) if complete => Exit::Done,
            (false, false) => Exit::Temporary,
            _ => Exit::Failed,
        },
    )
}

async fn undo(command: &Undo, global: &Global, machine: &Machine) -> Outcome {
    const NOT: &str = "nothing was taken back";

    let desk = Desk::open(&command.options, global, machine)?;
    let plan =
        Setup::undo_plan(&desk.state_reading()).map_err(|error| tell::failed(NOT, &error))?;
    let file = desk.state_file()?;
    tell::undo_plan(&plan, desk.known());
    if !plan.things.is_empty() {
        agree(command.options.yes, "Take these back?")?;
    }
    let state = file
        .load()
        .map_err(|error| tell::failed(NOT, &error.into()))?;
    let method = state.as_ref().map(|state| state.method).unwrap_or_default();
    let setup = Box::pin(desk.setup(method)).await?;
    let setup = setup.with_progress(Arc::new(tell::Talk::new()));
    let undone = Box::pin(setup.undo(&file))
        .await
        .map_err(|error| tell::failed("not everything was taken back", &error))?;
    let left = state.map_or_else(Vec::new, |state| written::take_back(&state));
    if command.options.json {
        let files: Vec<Value> = left.iter().map(written::Left::json).collect();
        output::json(&json!({ "ok": true, "undone": undone.things, "configured": files }))
            .map_err(|error| Box::new(Failure::machine("the answer was not printed", &error)))?;
    } else {
        for file in &left {
            output::line(&output::visible(&file.words()));
        }
        output::line(
            "The tenant is as it was. A deleted application stays in the recycle bin of Entra for 30 days.",
        );
    }
    Ok(Exit::Done)
}
