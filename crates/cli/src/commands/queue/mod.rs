//! `sendas queue`: what waits in the spool, why, and what people do about it.
//!
//! The spool is opened beside a running relay; both may change it at any time.

mod bounce;
mod change;
mod confirm;
mod count;
mod held;
mod limits;
mod list;
mod notice;
mod port;
mod postfix;
mod selection;
mod show;
#[cfg(test)]
mod tests;
mod why;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use sendas_config::Settings;
use sendas_spool::{OpenError, Options, Spool, SpoolError};

use crate::configuration;
use crate::exit::Exit;
use crate::global::Global;
use crate::machine::Machine;
use crate::report::{Failure, Kind, Outcome, chain};
use crate::{clock, runtime};

use selection::Selection;

pub(crate) use postfix::Style;

/// The spool: what waits and why, and what to do about it.
#[derive(Debug, Subcommand)]
#[command(
    disable_help_subcommand = true,
    before_help = "\
Examples:
  sendas queue list                                what waits, why, and when it is tried again
  sendas queue show 6tk                            all that happened to one message
  sendas queue retry --mailbox noreply@contoso.com
  sendas queue remove --recipient '*@examlpe.com' --dry-run"
)]
pub(crate) enum Queue {
    /// List messages, as mailq does, with the reason in plain words.
    List(List),
    /// Show one message: its recipients, its history, its header.
    Show(Show),
    /// Try waiting messages again now; suspect ones too when they are named.
    Retry(Changing),
    /// Take messages out of delivery until they are released.
    Hold(Hold),
    /// Let held messages go; bring removed ones back within ten minutes.
    Release(Changing),
    /// Take messages out of the queue; `queue release` brings them back within ten minutes.
    Remove(Confirmed),
    /// Give messages up and tell their senders; cannot be undone.
    Bounce(Bounce),
    /// Count messages.
    Count(Count),
    /// Write messages with their history to a file; the spool keeps them.
    Export(Export),
    /// Store the messages of an export.
    Import(Import),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    selection: Selection,
    /// Answer in JSON lines, with the members of `postqueue -j` and more.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The message's id, or its first characters.
    #[arg(value_name = "ID")]
    id: String,
    /// Print the message itself, octet for octet, and nothing else.
    #[arg(long, conflicts_with = "json")]
    body: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Changing {
    #[command(flatten)]
    selection: Selection,
    /// Choose every message that the command can change.
    #[arg(long)]
    all: bool,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Confirmed {
    #[command(flatten)]
    changing: Changing,
    /// Ask nothing.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Hold {
    #[command(flatten)]
    changing: Changing,
    /// Why: a word or a few for lists and counters.
    #[arg(long = "because", value_name = "TEXT", default_value = "held by hand")]
    because: String,
    /// Let them go by themselves after this time: `30m`, `2h`, `1d`.
    #[arg(long = "for", value_name = "DURATION", value_parser = selection::duration)]
    lasting: Option<std::time::Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Bounce {
    #[command(flatten)]
    confirmed: Confirmed,
    /// What the sender is told.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "The message was given up by an administrator"
    )]
    text: String,
    /// Tell nobody.
    #[arg(long)]
    silent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Count {
    #[command(flatten)]
    selection: Selection,
    /// Count apart by these: state, mailbox, reason, sender-domain; with commas.
    #[arg(
        long,
        value_name = "WORDS",
        value_delimiter = ',',
        default_value = "state"
    )]
    by: Vec<count::By>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    selection: Selection,
    /// The file to be made; standard output without it.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Queue {
    /// Whether the answer is JSON.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::List(list) => list.json,
            Self::Show(show) => show.json,
            Self::Retry(changing) | Self::Release(changing) => changing.json,
            Self::Hold(hold) => hold.changing.json,
            Self::Remove(confirmed) => confirmed.changing.json,
            Self::Bounce(bounce) => bounce.confirmed.changing.json,
            Self::Count(count) => count.json,
            Self::Export(_) => false,
            Self::Import(import) => import.json,
        }
    }
}

pub(crate) fn run(command: &Queue, global: &Global, machine: &Machine) -> Outcome {
    let loaded = configuration::load(global, machine)?;
    let index = index(&loaded.settings)?;
    if !index.exists() && !matches!(command, Queue::Import(_)) {
        return without_spool(command, &index);
    }
    let spool = open(&index)?;
    let desk = notice::Desk::new(&loaded.settings, machine.hostname());
    let outcome = runtime::run(Box::pin(async {
        let outcome = serve(command, &spool, &loaded.settings, &desk).await;
        spool.close().await;
        outcome
    }))?;
    // Somebody may have shut the pipe; what was done is done.
    outcome
}

async fn serve(
    command: &Queue,
    spool: &Spool,
    settings: &Settings,
    desk: &notice::Desk,
) -> Outcome {
    match command {
        Queue::List(list) => {
            let style = if list.json { Style::Json } else { Style::Words };
            list::run(spool, settings, &list.selection, style).await
        }
        Queue::Show(show) => show::run(spool, settings, show).await,
        Queue::Retry(changing) => change::retry(spool, changing).await,
        Queue::Hold(hold) => change::hold(spool, hold).await,
        Queue::Release(changing) => change::release(spool, changing).await,
        Queue::Remove(confirmed) => change::remove(spool, confirmed).await,
        Queue::Bounce(bounce) => bounce::run(spool, bounce, desk).await,
        Queue::Count(count) => count::run(spool, count).await,
        Queue::Export(export) => port::export(spool, export).await,
        Queue::Import(import) => port::import(spool, import).await,
    }
}

/// The list of another personality: `mailq`, `sendmail -bp`.
pub(crate) async fn mailq(spool: &Spool, settings: &Settings) -> Outcome {
    list::run(spool, settings, &Selection::default(), Style::Mailq).await
}

/// The spool's file, as configured.
///
/// # Errors
/// When there is none on this machine.
pub(crate) fn index(settings: &Settings) -> Result<PathBuf, Box<Failure>> {
    match settings.relay.as_ref().map(|relay| &relay.spool) {
        Some(sendas_config::Spool::Sqlite(path)) => Ok(path.clone()),
        Some(sendas_config::Spool::Postgres(_)) => Err(Box::new(
            Failure::configuration("nothing was done: the spool is not on this machine").cause(
                "relay.spool names a PostgreSQL database, and this version keeps spools in files",
                Some("write `spool = \"sqlite:///var/lib/sendas/spool.db\"`".to_owned()),
            ),
        )),
        None => Err(Box::new(
            Failure::configuration("nothing was done: no spool is configured").cause(
                "the configuration has no `relay` section",
                Some(
                    "add `[relay]` with `spool = \"sqlite:///var/lib/sendas/spool.db\"`".to_owned(),
                ),
            ),
        )),
    }
}

/// Opens the spool beside whoever else has it open.
///
/// # Errors
/// When it cannot be opened, with the likely reason.
pub(crate) fn open(index: &Path) -> Result<Spool, Box<Failure>> {
    Spool::open(&Options::new(index), clock::now()).map_err(|error| {
        let what = format!(
            "nothing was done: the spool {} was not opened",
            index.display()
        );
        let fix = match &error {
            OpenError::Disk { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Some("run it as the relay's user, or as root".to_owned())
            }
            _ => None,
        };
        Box::new(Failure::new(Kind::Machine, Exit::Failed, what).cause(chain(&error), fix))
    })
}

/// Tells what the spool would not do.
fn refused(what: impl Into<String>, error: &SpoolError) -> Box<Failure> {
    let (exit, fix) = match error {
        SpoolError::NoMatch(_) | SpoolError::NotFound(_) => {
            (Exit::Failed, Some("see `sendas queue list`".to_owned()))
        }
        SpoolError::Ambiguous(_) => (Exit::Failed, Some("give more of its characters".to_owned())),
        error if error.is_temporary() => (Exit::Temporary, None),
        _ => (Exit::Failed, None),
    };
    Box::new(Failure::new(Kind::Machine, exit, what).cause(chain(error), fix))
}

/// A spool that nobody has made yet holds nothing; making it here would give it the wrong owner.
fn without_spool(command: &Queue, index: &Path) -> Outcome {
    match command {
        Queue::List(list) => list::tell_empty(if list.json { Style::Json } else { Style::Words }),
        Queue::Count(count) => count::tell_empty(count),
        _ => Err(Box::new(
            Failure::new(
                Kind::Machine,
                Exit::Failed,
                "nothing was done: there is no spool yet",
            )
            .cause(format!("{} does not exist", index.display()), None)
            .command("sendas relay"),
        )),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn unwritten(error: std::io::Error) -> Box<Failure> {
    Box::new(Failure::machine("the answer was not written", &error))
}
