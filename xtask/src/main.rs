//! Project tasks, run as `cargo xtask TASK`: the one door for people and machines.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to the terminal"
)]

mod bench;
mod book;
mod canary;
mod counts;
mod dist;
mod house;
mod interop;
mod run;
mod supply;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use workspace::Workspace;

const HELP: &str = "\
cargo xtask TASK

  test       install what the tests drive, then run every check and every test
  ci         the same as test
  check      only the checks that build nothing: format, crates, licences, links
  tools      only install what the tests drive
  foreign    only the tests with foreign programs (curl, msmtp, swaks, Python, Node, PHP)
  interop    Azure CLI, curl, msmtp, cron with unmodified host names, in a network of their own
  generate   write the generated pages of docs/reference anew
  bench      run the benches, or those named, and print their ratios
  deny       run cargo-deny with a current advisory database (needs the network)
  dist       build the release archive into target/archive
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match task(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn task(arguments: &[String]) -> Result<()> {
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", arguments),
    };
    if !["bench", interop::INSIDE].contains(&task) && !rest.is_empty() {
        bail!("`{task}` takes no arguments\n\n{HELP}");
    }
    match task {
        "test" | "ci" => test::everything(&Workspace::load()?),
        "check" => test::quick(&Workspace::load()?),
        "tools" => tools::install(&Workspace::load()?),
        "foreign" => test::foreign(&Workspace::load()?),
        "interop" => interop::run(&Workspace::load()?),
        interop::INSIDE => interop::inside(rest),
        "generate" => test::generate(&Workspace::load()?),
        "bench" => bench::run(&Workspace::load()?, rest),
        "deny" => supply::cargo_deny(&Workspace::load()?),
        "dist" => dist::archive(&Workspace::load()?),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        unknown => bail!("there is no task `{unknown}`\n\n{HELP}"),
    }
}
