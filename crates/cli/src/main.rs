//! The sendas command: parse, call, report.

mod arguments;
mod clock;
mod commands;
mod configuration;
mod exit;
mod identity;
mod log;
mod machine;
mod message;
mod output;
mod recorder;
mod report;
mod runtime;
mod token_text;

use std::process::ExitCode;

use clap::FromArgMatches as _;

use arguments::{Arguments, Command};
use exit::Exit;
use machine::Machine;

fn main() -> ExitCode {
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
    log::start(arguments.global.verbose, &machine);
    run(arguments, &machine).into()
}

fn run(arguments: Arguments, machine: &Machine) -> Exit {
    let global = &arguments.global;
    let (json, outcome) = match arguments.command {
        Command::Demo(demo) => (demo.json, commands::demo::run(&demo)),
        Command::Send(send) => (send.json, commands::send::run(&send, global, machine)),
        Command::Doctor(doctor) => (doctor.json, commands::doctor::run(&doctor, global, machine)),
        Command::Probe(probe) => (probe.json, commands::probe::run(&probe, global, machine)),
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
        Command::Sandbox(command) => (command.json(), commands::sandbox::run(&command)),
        Command::Completions(command) => (false, commands::completions::run(&command)),
    };
    outcome.unwrap_or_else(|failure| failure.tell(json))
}
