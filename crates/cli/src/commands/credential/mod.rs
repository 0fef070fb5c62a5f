//! `sendas credential`: until when it acts, and how it is replaced.

mod answer;
mod case;
mod list;
mod program;
mod rotate;
mod setups;
mod who;
mod written;

use clap::Subcommand;

use crate::global::Global;
use crate::machine::Machine;
use crate::report::Outcome;
use crate::runtime;

/// The credential of a principal: until when it acts, and its rotation.
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  sendas credential list                           until when does it act?
  sendas credential list --sign-in                 every credential of the application, from Entra
  sendas credential rotate                         a new certificate, without an administrator
  sendas credential rotate --within 30 --yes       the same for a timer: only near its end
  sendas credential rotate --to secret --sign-in   a new secret, by an administrator")]
pub(crate) enum Command {
    /// Show until when each credential acts, and which one is in use here.
    List(list::List),
    /// Replace the credential: add a new one, prove it, switch, remove the old one.
    Rotate(rotate::Rotate),
}

impl Command {
    /// Whether the answer is to be JSON.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::List(list) => list.json,
            Self::Rotate(rotate) => rotate.json,
        }
    }
}

pub(crate) fn run(command: &Command, global: &Global, machine: &Machine) -> Outcome {
    runtime::run(async {
        match command {
            Command::List(command) => Box::pin(list::run(command, global, machine)).await,
            Command::Rotate(command) => Box::pin(rotate::run(command, global, machine)).await,
        }
    })?
}
