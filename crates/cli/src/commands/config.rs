//! `sendas config`: check, show, describe.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use sendas_config::{Finding, Loaded, Origin, Shown};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::global::Global;
use crate::machine::Machine;
use crate::output;
use crate::report::{Failure, Outcome};
use crate::{configuration, identity};

/// The configuration.
#[derive(Debug, Subcommand)]
#[command(
    disable_help_subcommand = true,
    before_help = "\
Examples:
  sendas config check
  sendas config show --json
  sendas config schema > sendas.schema.json"
)]
pub(crate) enum Config {
    /// Check the configuration and everything it names on this machine; nothing is sent.
    Check(Check),
    /// Show every setting with its value and origin.
    Show(Show),
    /// Print the JSON schema of the configuration file, for editors.
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Config {
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Check(check) => check.json,
            Self::Show(show) => show.json,
            Self::Schema => false,
        }
    }
}

pub(crate) fn run(command: &Config, global: &Global, machine: &Machine) -> Outcome {
    match command {
        Config::Check(check) => run_check(check, global, machine),
        Config::Show(show) => run_show(show, global, machine),
        Config::Schema => {
            output::json(&sendas_config::schema()).map_err(unwritten)?;
            Ok(Exit::Done)
        }
    }
}

fn run_check(check: &Check, global: &Global, machine: &Machine) -> Outcome {
    let loaded = match configuration::read(global, machine) {
        Ok(loaded) => loaded,
        Err(complaints) => {
            if check.json {
                output::json(&json!({
                    "ok": false,
                    "errors": findings(&complaints.errors()),
                    "warnings": findings(&complaints.warnings()),
                }))
                .map_err(unwritten)?;
            }
            output::say(&complaints.render(output::talk_has_colour()));
            return Ok(Exit::Usage);
        }
    };
    if loaded.settings.principals.is_empty() {
        return Err(Box::new(configuration::nothing_configured(&loaded)));
    }
    output::say(&loaded.warnings.render(output::talk_has_colour()));
    identity::check(&loaded.settings, machine).map_err(|mut failure| {
        // It names this very command.
        failure.command = None;
        failure
    })?;
    let names: Vec<&str> = loaded
        .settings
        .principals
        .iter()
        .map(|principal| principal.name.as_str())
        .collect();
    if check.json {
        output::json(&json!({
            "ok": true,
            "files": files(&loaded),
            "principals": names,
            "errors": [],
            "warnings": findings(&loaded.warnings.warnings()),
        }))
        .map_err(unwritten)?;
    } else {
        let from = match files(&loaded).join(", ") {
            files if files.is_empty() => "the environment".to_owned(),
            files => files,
        };
        output::data(&format!("ok: {from}; principals: {}\n", names.join(", ")))
            .map_err(unwritten)?;
    }
    Ok(Exit::Done)
}

fn run_show(show: &Show, global: &Global, machine: &Machine) -> Outcome {
    let loaded = configuration::load(global, machine)?;
    if show.json {
        let settings: Vec<Value> = loaded.shown.iter().map(shown_json).collect();
        output::json(&json!({ "files": files(&loaded), "settings": settings }))
            .map_err(unwritten)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<(String, String)> = loaded
        .shown
        .iter()
        .map(|shown| {
            (
                format!("{} = {}", shown.path, shown.value),
                shown.origin.to_string(),
            )
        })
        .collect();
    let width = rows
        .iter()
        .map(|(left, _)| left.chars().count())
        .max()
        .unwrap_or(0)
        .min(72);
    let mut text = String::new();
    for (left, origin) in &rows {
        _ = writeln!(text, "{:<width$}  # {origin}", output::visible(left));
    }
    output::data(&text).map_err(unwritten)?;
    Ok(Exit::Done)
}

fn shown_json(shown: &Shown) -> Value {
    let origin = match &shown.origin {
        Origin::File { path, line } => json!({ "file": path, "line": line }),
        Origin::Variable(name) => json!({ "variable": name }),
        Origin::Default => json!("default"),
    };
    json!({ "path": shown.path, "value": shown.value, "origin": origin })
}

fn files(loaded: &Loaded) -> Vec<String> {
    loaded
        .files
        .iter()
        .map(|path: &PathBuf| path.display().to_string())
        .collect()
}

fn findings(findings: &[Finding]) -> Vec<Value> {
    findings
        .iter()
        .map(|finding| {
            json!({
                "title": finding.title,
                "detail": finding.detail,
                "file": finding.file,
                "variable": finding.variable,
                "line": finding.line,
                "column": finding.column,
                "help": finding.help,
            })
        })
        .collect()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "map_err hands the error over"
)]
fn unwritten(error: std::io::Error) -> Box<Failure> {
    Box::new(Failure::machine("the answer was not written", &error))
}
