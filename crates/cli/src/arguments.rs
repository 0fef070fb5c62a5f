//! The command line: what may be written, and the help about it.

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::commands::{
    completions, config, credential, demo, doctor, probe, queue, relay, sandbox, send, setup, token,
};
use crate::global::Global;

/// Sends mail through Microsoft 365 as a service principal: no user, no password, no browser.
#[derive(Debug, Parser)]
#[command(
    name = "sendas",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    before_help = "\
Examples:
  sendas demo                                      see the whole chain work, without a tenant
  sendas send -f noreply@contoso.com boss@contoso.com < message.eml
  sendas doctor                                    why is it refused?
  sendas token inspect                             what the token says, and what is wrong in it",
    after_help = "\
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done with warnings (doctor,
credential list), 4 authentication needed, 75 failed for now (send, credential rotate)."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See the whole chain work on this machine: no tenant, no network, no configuration.
    Demo(demo::Demo),
    /// Send one message, from standard input or composed of options.
    Send(Box<send::Send>),
    /// Check everything from this machine to the mailbox, and name the cause of a refusal.
    Doctor(Box<doctor::Doctor>),
    /// Show one conversation with the service stage by stage; nothing is sent.
    Probe(probe::Probe),
    /// Give printers and programs a plain SMTP server that never loses a message.
    Relay(relay::Relay),
    #[command(subcommand)]
    Queue(queue::Queue),
    /// Send as sendmail does, for programs that know no other way; its own options and codes.
    Sendmail(Words),
    /// List the queue as Postfix does.
    Mailq(Words),
    /// Do nothing, successfully: there is no alias database.
    Newaliases(Words),
    /// Tokens: get one, see what one says.
    #[command(subcommand)]
    Token(token::Command),
    /// The tenant side: plan, apply, verify, undo.
    #[command(subcommand)]
    Setup(Box<setup::Command>),
    #[command(subcommand)]
    Credential(Box<credential::Command>),
    /// A stand-in for Microsoft on this machine: Entra ID and SMTP submission.
    #[command(subcommand)]
    Sandbox(sandbox::Command),
    /// The configuration: check it, show it, describe it.
    #[command(subcommand)]
    Config(config::Config),
    /// Print a completion script for a shell.
    Completions(completions::Completions),
}

/// Words that another command line reads.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Words {
    /// The options and recipients of sendmail; `sendas sendmail --help` names them.
    #[arg(
        value_name = "WORDS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<std::ffi::OsString>,
}

/// Order of a help page: what it is, examples, usage, options.
const TEMPLATE: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

/// The whole command line, with the same order in every help page.
pub(crate) fn command() -> clap::Command {
    ordered(Arguments::command())
}

fn ordered(command: clap::Command) -> clap::Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    names
        .into_iter()
        .fold(command.help_template(TEMPLATE), |command, name| {
            command.mut_subcommand(name, ordered)
        })
}
