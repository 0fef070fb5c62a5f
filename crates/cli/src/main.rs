//! The sendas command: parse, call, report.

mod administrator;
mod arguments;
mod clock;
mod commands;
mod configuration;
mod exit;
mod global;
mod identity;
mod log;
mod machine;
mod message;
mod output;
mod prover;
mod recorder;
mod report;
mod runtime;
mod sendmail;
mod shell;
mod token_text;
mod whole_file;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches as _;

use arguments::{Arguments, Command};
use exit::Exit;
use global::Global;
use machine::Machine;
use sendmail::Personality;

fn main() -> ExitCode {
    if let Some(code) = stand_in() {
        return code;
    }
    let arguments = arguments::command()
        .try_get_matches()
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => {
            drop(error.print());
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            return exit.into();
        }
    };
    let machine = Machine::read();
    // A server tells what it does without being asked.
    let least = u8::from(matches!(arguments.command, Command::Relay(_)));
    log::start(arguments.global.verbose.max(least), &machine);
    run(arguments, &machine)
}

/// Answers for another program, when that is what the binary was called as.
fn stand_in() -> Option<ExitCode> {
    let mut words = std::env::args_os();
    let program = words.next()?;
    let personality = Personality::of_name(&program)
        .or_else(|| words.next().and_then(|word| Personality::of_command(&word)))?;
    let code = sendmail::run(personality, words, &Global::default(), &Machine::read());
    Some(code.into())
}

/// The words behind a command, as they were written.
fn words_behind(command: &str) -> impl Iterator<Item = OsString> {
    let mut words = std::env::args_os().skip_while(move |word| word != command);
    words.next();
    words
}

fn run(arguments: Arguments, machine: &Machine) -> ExitCode {
    let global = &arguments.global;
    let stand_in = match arguments.command {
        Command::Sendmail(_) => Some((Personality::Sendmail, "sendmail")),
        Command::Mailq(_) => Some((Personality::Mailq, "mailq")),
        Command::Newaliases(_) => Some((Personality::Newaliases, "newaliases")),
        _ => None,
    };
    match stand_in {
        Some((personality, word)) => {
            sendmail::run(personality, words_behind(word), global, machine).into()
        }
        None => run_own(arguments, machine).into(),
    }
}

fn run_own(arguments: Arguments, machine: &Machine) -> Exit {
    let global = &arguments.global;
    let (json, outcome) = match arguments.command {
        Command::Demo(demo) => (demo.json, commands::demo::run(&demo)),
        Command::Send(send) => (send.json, commands::send::run(&send, global, machine)),
        Command::Doctor(doctor) => (doctor.json, commands::doctor::run(&doctor, global, machine)),
        Command::Probe(probe) => (probe.json, commands::probe::run(&probe, global, machine)),
        Command::Relay(relay) => (false, commands::relay::run(&relay, global, machine)),
        Command::Queue(command) => (
            command.json(),
            commands::queue::run(&command, global, machine),
        ),
        Command::Token(command) => (
            command.json(),
            commands::token::run(&command, global, machine),
        ),
        Command::Config(command) => (
            command.json(),
            commands::config::run(&command, global, machine),
        ),
        Command::Setup(command) => (
            command.json(),
            commands::setup::run(&command, global, machine),
        ),
        Command::Credential(command) => (
            command.json(),
            commands::credential::run(&command, global, machine),
        ),
        Command::Sandbox(command) => (command.json(), commands::sandbox::run(&command)),
        Command::Completions(command) => (
            false,
            commands::completions::run(&command, arguments::command()),
        ),
        Command::Sendmail(_) | Command::Mailq(_) | Command::Newaliases(_) => {
            unreachable!("they have a command line and codes of their own")
        }
    };
    outcome.unwrap_or_else(|failure| failure.tell(json))
}
