//! `sandbox`: a stand-in for Microsoft on this machine.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sendas_sandbox::{Options, Ports, Preset, Sandbox, Scenario};
use serde_json::Value;

use crate::exit::Exit;
use crate::report::{Failure, Outcome, chain};
use crate::{output, runtime};

/// The sandbox.
#[derive(Debug, Subcommand)]
#[command(
    disable_help_subcommand = true,
    before_help = "\
Examples:
  sendas sandbox run --dir /tmp/sandbox --tenant classic
  . /tmp/sandbox/env                                point this shell's programs at it
  sendas send --config /tmp/sandbox/sendas.toml …
  sendas sandbox env --dir /tmp/sandbox             the same exports, printed"
)]
pub(crate) enum Command {
    /// Run a sandbox until it is interrupted; prints one line of JSON when it is ready.
    Run(Run),
    /// Print the shell exports of a running sandbox.
    Env(Env),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The folder for its files; left out, a temporary one that goes with the sandbox.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The tenant to begin with.
    #[arg(long, value_enum, default_value_t = Tenant::Rbac)]
    tenant: Tenant,
    /// Free ports, or 443 and 587 under Microsoft's own host names (inside a container).
    #[arg(long, value_enum, default_value_t = PortChoice::Auto)]
    ports: PortChoice,
    /// What to change before anything is served: a file in TOML or JSON.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Make ids and secrets from this number, the same in every run.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Slow error replies of SMTP down by five seconds, as the service does.
    #[arg(long)]
    tarpit: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tenant {
    /// An organisation of today: SMTP AUTH off, no application.
    Fresh,
    /// Set up by the permission in Entra and mailbox rights.
    Classic,
    /// Set up by a role assignment in Exchange.
    Rbac,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PortChoice {
    /// Free ports.
    Auto,
    /// 443 and 587.
    Takeover,
}

#[derive(Debug, Args)]
pub(crate) struct Env {
    /// The sandbox's folder.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Answer in JSON: the variables by name.
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) fn json(&self) -> bool {
        matches!(self, Self::Env(env) if env.json)
    }
}

pub(crate) fn run(command: &Command) -> Outcome {
    match command {
        Command::Run(run) => run_sandbox(run),
        Command::Env(env) => print_env(env),
    }
}

fn run_sandbox(run: &Run) -> Outcome {
    let options = Options {
        folder: run.dir.clone(),
        tenant: match run.tenant {
            Tenant::Fresh => Preset::Fresh,
            Tenant::Classic => Preset::Classic,
            Tenant::Rbac => Preset::Rbac,
        },
        ports: match run.ports {
            PortChoice::Auto => Ports::Auto,
            PortChoice::Takeover => Ports::Takeover,
        },
        seed: run.seed,
        tarpit: run.tarpit,
        scenario: run.scenario.as_ref().map(scenario).transpose()?,
        ..Options::default()
    };
    runtime::run(async {
        let stopped =
            stopped().map_err(|error| Failure::machine("the sandbox did not start", &error))?;
        let sandbox = Sandbox::start(options).await.map_err(|error| {
            let failure = Failure::machine_trouble("the sandbox did not start", chain(&error));
            match run.ports {
                PortChoice::Takeover => failure.command("sendas sandbox run --ports auto"),
                PortChoice::Auto => failure,
            }
        })?;
        output::data(&format!("{}\n", sandbox.ready_line())).map_err(|error| {
            Failure::machine("the sandbox did not say that it is ready", &error)
        })?;
        stopped.await;
        sandbox.stop().await;
        Ok(Exit::Done)
    })?
}

fn scenario(path: &PathBuf) -> Result<Scenario, Box<Failure>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::machine(
            format!("the scenario {} was not read", path.display()),
            &error,
        )
    })?;
    Scenario::parse(&text).map_err(|error| {
        Box::new(
            Failure::usage(format!("the scenario {} cannot be used", path.display()))
                .cause(chain(&error), None),
        )
    })
}

/// Listens for the signals that end the sandbox; the future ends with the first one.
#[cfg(unix)]
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Listens for the signal that ends the sandbox.
#[cfg(not(unix))]
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        drop(tokio::signal::ctrl_c().await);
    })
}

fn print_env(env: &Env) -> Outcome {
    let path = env.dir.join("env");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::machine(format!("{} was not read", path.display()), &error)
            .command(format!("sendas sandbox run --dir {}", env.dir.display()))
    })?;
    let written = if env.json {
        output::json(&variables(&text))
    } else {
        output::data(&text)
    };
    written.map_err(|error| Failure::machine("the exports were not written", &error))?;
    Ok(Exit::Done)
}

/// The variables of a file of shell exports.
fn variables(exports: &str) -> Value {
    let pairs = exports.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        let bare = value
            .strip_prefix('\'')
            .and_then(|value| value.strip_suffix('\''));
        let value = bare.map_or_else(|| value.to_owned(), |value| value.replace(r"'\''", "'"));
        Some((name.to_owned(), Value::String(value)))
    });
    Value::Object(pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn exports_are_read_as_a_shell_reads_them() {
        let found = variables("# a\nexport A=1\nexport B='it'\\''s b'\nC=2\n");
        assert_eq!(found, serde_json::json!({ "A": "1", "B": "it's b" }));
    }
}
