//! `sendas completions`: a completion script for a shell.

use clap::Args;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::output;
use crate::report::{Failure, Outcome};

#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  sendas completions bash > /usr/share/bash-completion/completions/sendas
  sendas completions zsh > ~/.zfunc/_sendas
  sendas completions fish > ~/.config/fish/completions/sendas.fish")]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Prints the script for the whole command line.
pub(crate) fn run(command: &Completions, mut whole: clap::Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut whole, "sendas", &mut script);
    output::octets(&script)
        .map_err(|error| Failure::machine("the completion script was not written", &error))?;
    Ok(Exit::Done)
}
