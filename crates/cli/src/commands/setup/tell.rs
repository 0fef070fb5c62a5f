//! What the set-up says, and how its failures are told.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use sendas_tenant::trouble::Service;
use sendas_tenant::verify::CheckResult;
use sendas_tenant::{
    Applied, CallError, Event, Plan, Progress, SetupError, State, UndoPlan, Verification,
};

use super::desk::Desk;
use super::written::Kept;
use crate::exit::Exit;
use crate::output::{line, say, visible};
use crate::report::{Failure, Kind, Lasting, chain};

/// Tells a run on standard error while it goes.
#[derive(Debug)]
pub(crate) struct Talk {
    /// Whether a person watches: one line then counts down in place.
    is_watched: bool,
    /// The minute that was told last.
    told: AtomicU64,
}

impl Talk {
    pub(crate) fn new() -> Self {
        Self {
            is_watched: std::io::stderr().is_terminal(),
            told: AtomicU64::new(u64::MAX),
        }
    }

    /// Tells what is waited for and how long at most: in place, or once a minute as a line.
    fn count_down(&self, what: &str, pause: Duration, left: Duration) {
        let (minutes, seconds) = (left.as_secs() / 60, left.as_secs() % 60);
        let text = format!(
            "waiting, {minutes}:{seconds:02} left at most: {} (again in {} s)",
            visible(what),
            pause.as_secs()
        );
        if self.is_watched {
            self.told.store(minutes, Relaxed);
            say(&format!("\r\u{1b}[K{text}"));
        } else if self.told.swap(minutes, Relaxed) != minutes {
            line(&text);
        }
    }
}

impl Progress for Talk {
    fn tell(&self, event: &Event) {
        match event {
            Event::Step {
                number,
                total,
                title,
            } => line(&format!("[{number}/{total}] {}", visible(title))),
            Event::Kept { what, place } => line(&format!("      {what}: {place}")),
            Event::Waiting { what, pause } => line(&format!(
                "      waiting {} s: {}",
                pause.as_secs(),
                visible(what)
            )),
            Event::Patience { what, pause, left } => self.count_down(what, *pause, *left),
            _ => {}
        }
    }
}

/// Ends the line that counted down.
impl Drop for Talk {
    fn drop(&mut self) {
        if self.is_watched && self.told.load(Relaxed) != u64::MAX {
            say("\n");
        }
    }
}

/// After a run.
pub(super) fn applied(
    desk: &Desk<'_>,
    applied: &Applied,
    credential: Option<&Kept>,
    config: Option<&str>,
) {
    if applied.steps.is_empty() {
        line("Nothing was to be done.");
    } else {
        line("Done; the tenant shows every change.");
    }
    if let Some(known) = &applied.state.application {
        line(&format!("Client id      {}", known.client_id));
    }
    line(&format!("Tenant         {}", applied.plan.tenant_id));
    if let Some(credential) = credential {
        line(&format!("Credential     {}", credential.words()));
    }
    line(&format!("State          {}", desk.state_path().display()));
    if let Some(config) = config {
        line(&format!("Configuration  {config}"));
    }
    for notice in applied
        .plan
        .notices
        .iter()
        .filter(|notice| notice.is_excess)
    {
        line(&format!("! {}", visible(&notice.text)));
    }
    if !applied.steps.is_empty() {
        line("Rights in Exchange can take up to two hours to act. Next:");
        line(&format!("  {}", desk.again("verify", &["--wait", "120"])));
    }
}

/// Before undoing.
pub(super) fn undo_plan(plan: &UndoPlan, known: Option<&State>) {
    line(&format!("Tenant {}", plan.tenant_id));
    if plan.things.is_empty() {
        line("Nothing was made here; only the state file goes.");
    }
    for thing in &plan.things {
        line(&format!("  take back {}", visible(thing)));
    }
    for file in known.into_iter().flat_map(|known| &known.configured) {
        let place = format!("the principal {:?} in {}", file.name, file.path.display());
        line(&if file.added {
            format!("  take back {}", visible(&place))
        } else {
            format!("  leave {}, which was there before", visible(&place))
        });
    }
}

/// After verifying; the answer itself, so on standard output.
pub(super) fn verified(verification: &Verification, configured: Option<&Plan>) {
    let mut text = String::new();
    if let Some(plan) = configured {
        text.push_str(if plan.is_done() {
            "configured  yes: the tenant holds everything\n"
        } else {
            "configured  no: run sendas setup plan to see what is missing\n"
        });
    }
    for check in &verification.checks {
        let result = match check.result {
            CheckResult::Effective => "works".to_owned(),
            CheckResult::NotYet { until } => format!(
                "not yet (changes act by {})",
                until.strftime("%Y-%m-%d %H:%M UTC")
            ),
            CheckResult::Failed => "fails".to_owned(),
        };
        let mailbox = check.mailbox.as_deref().unwrap_or_default();
        let subject = format!("{} {mailbox}", check.id);
        let words = visible(&check.words);
        // Writing to a String cannot fail.
        _ = writeln!(text, "{:<11} {result}: {words}", subject.trim());
    }
    text.push_str(if verification.is_effective() {
        "effective   yes\n"
    } else if verification.has_failed() {
        "effective   no\n"
    } else {
        "effective   not yet: run the same command again, or add --wait 120\n"
    });
    drop(crate::output::data(&text));
}

/// A run of apply that stopped half-way, with the way back.
pub(super) fn stopped(desk: &Desk<'_>, what: &str, error: &SetupError) -> Box<Failure> {
    let failure = failed(what, error);
    match error {
        SetupError::Step { .. } => Box::new(failure.command(desk.again("undo", &[]))),
        _ => failure,
    }
}

/// A set-up that stopped.
pub(super) fn failed(what: &str, error: &SetupError) -> Box<Failure> {
    let call = error.call();
    let mut failure = match call {
        Some(call) => Failure::new(kind(call), exit(call), what),
        None => match error {
            SetupError::WrongTenant { .. }
            | SetupError::OtherState { .. }
            | SetupError::NoState { .. } => Failure::usage(what),
            SetupError::NotShown { .. } => {
                Failure::new(Kind::Service, Exit::Temporary, what).lasting(Lasting::Passes)
            }
            _ => Failure::new(Kind::Machine, Exit::Failed, what),
        },
    };
    failure = failure.stop(chain(error), &error.stop());
    if let Some(CallError::Refused(refused)) = call {
        let who = match refused.service {
            Service::Graph => "Microsoft Graph",
            Service::Exchange => "Exchange Online",
        };
        failure = failure.quote(who, visible(&refused.words));
    }
    match error {
        SetupError::Step { done, .. } => {
            for step in done {
                failure = failure.evidence(format!("done before: {step}"));
            }
            failure = failure.evidence("the same command goes on from here");
        }
        SetupError::Undo { left, .. } => {
            for thing in left {
                failure = failure.evidence(format!("still there: {thing}"));
            }
        }
        _ => {}
    }
    Box::new(failure)
}

/// Who must act on a request that failed.
pub(crate) fn kind(call: &CallError) -> Kind {
    match call {
        _ if call.is_about_rights() => Kind::Identity,
        CallError::NoAnswer { .. } => Kind::Network,
        _ => Kind::Service,
    }
}

/// The exit code of a request that failed.
pub(crate) fn exit(call: &CallError) -> Exit {
    if call.is_about_rights() {
        Exit::Authentication
    } else {
        Exit::Failed
    }
}
