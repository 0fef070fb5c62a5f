//! The personalities of sendmail: `sendmail`, `mailq`, `newaliases`, also by the name the binary
//! is called by.
//!
//! Callers are programs that were written for another sendmail decades ago. They get its
//! options, its codes (`sysexits.h`) and its silence; what the configuration asks for otherwise
//! is told on standard error.

mod compose;
mod dialogue;
mod handover;
mod input;
mod letter;
mod options;
mod outgoing;
mod senders;
mod sysexits;
#[cfg(test)]
mod tests;
mod user;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use sendas_config::Settings;
use sendas_spool::{Change, Filter, State};

use crate::commands::queue;
use crate::global::Global;
use crate::machine::Machine;
use crate::{clock, configuration, log, output, runtime};

use compose::Parcel;
use input::Input;
use options::{Call, Flush, Mode};
use outgoing::Exits;
use senders::Senders;
use sysexits::Trouble;
use user::User;

pub(crate) use sysexits::Sysexit;

/// Whom the binary stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Personality {
    Sendmail,
    Mailq,
    Newaliases,
    /// `sendmail -q`.
    Runq,
    /// A program that came with sendmail and has no counterpart here.
    Unknown,
}

const HELP: &str = "\
Sends the message on standard input, as sendmail does.

Usage: sendmail [OPTIONS] [RECIPIENT]...

  -t           recipients from To, Cc and Bcc (of Resent- fields where there are any), besides
               those given; Bcc is removed
  -i, -oi      a line that holds one dot does not end the message
  -f ADDRESS   where failure notices go; <> or nothing: nowhere
  -F NAME      who it is from, where the message has no From field
  -N WORDS     notices: never, or success, failure, delay with commas
  -R WORD      what a notice returns: full or hdrs
  -V TEXT      the name of this message in notices
  -B WORD      7BIT or 8BITMIME
  -v           show the dialogue on standard error
  -bm          send (that is what it does without -b)
  -bs          speak SMTP on standard input and output
  -bp          list the queue, as mailq does
  -bv          say what would become of the recipients; nothing is sent
  -bi, -I      nothing, as newaliases does: there is no alias database
  -q           try everything in the queue now; -qI ID, -qR RECIPIENT, -qS SENDER: a part of it
  --           what follows are recipients

Other options of sendmail are accepted and change nothing. Exit codes are those of sysexits.h:
0, 64 usage, 65 the message, 67 a recipient, 69 refused, 73 and 74 this machine, 75 not now, 77 not
allowed, 78 configuration.
";

impl Personality {
    /// The personality that a program's name stands for; none for our own names.
    pub(crate) fn of_name(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_stem()?.to_str()?;
        Some(match name {
            "sendmail" => Self::Sendmail,
            "mailq" => Self::Mailq,
            "newaliases" => Self::Newaliases,
            "runq" => Self::Runq,
            "hoststat" | "purgestat" | "smtpd" | "praliases" | "mailstats" | "makemap" => {
                Self::Unknown
            }
            _ => return None,
        })
    }

    /// The personality that a subcommand stands for.
    pub(crate) fn of_command(word: &OsStr) -> Option<Self> {
        match word.to_str()? {
            "sendmail" => Some(Self::Sendmail),
            "mailq" => Some(Self::Mailq),
            "newaliases" => Some(Self::Newaliases),
            _ => None,
        }
    }
}

/// Does what a call asks for.
pub(crate) fn run(
    personality: Personality,
    arguments: impl IntoIterator<Item = OsString>,
    global: &Global,
    machine: &Machine,
) -> Sysexit {
    let parsed = match personality {
        Personality::Unknown => {
            output::say(HELP);
            return Sysexit::Usage;
        }
        _ => options::parse(arguments),
    };
    let mut call = match parsed {
        Ok(call) => call,
        Err(error) => return told(&Trouble::new(Sysexit::Usage, error.to_string())),
    };
    match personality {
        Personality::Mailq if call.mode == Mode::Send => call.mode = Mode::List,
        Personality::Newaliases if call.mode != Mode::Help => call.mode = Mode::Aliases,
        Personality::Runq => call.mode = Mode::Flush(Flush::All),
        _ => {}
    }
    for remark in &call.remarks {
        output::line(&format!("sendmail: {}", output::visible(remark)));
    }
    log::start(u8::from(call.verbose), machine);
    serve(&call, global, machine).unwrap_or_else(|trouble| told(&trouble))
}

fn told(trouble: &Trouble) -> Sysexit {
    output::line(&format!("sendmail: {}", output::visible(&trouble.text)));
    trouble.code
}

fn serve(call: &Call, global: &Global, machine: &Machine) -> Result<Sysexit, Trouble> {
    match &call.mode {
        Mode::Help => {
            output::data(HELP).map_err(broken)?;
            return Ok(Sysexit::Ok);
        }
        // There is no alias database that could be rebuilt: whoever asks is content with that.
        Mode::Aliases => return Ok(Sysexit::Ok),
        _ => {}
    }
    let loaded = configuration::load(global, machine).map_err(|failure| Trouble::of(&failure))?;
    let settings = &loaded.settings;
    match &call.mode {
        Mode::List => list(settings),
        Mode::Flush(flush) => retry(settings, flush),
        Mode::Interval => {
            output::line("sendmail: a relay retries by itself; no queue runner is needed");
            Ok(Sysexit::Ok)
        }
        Mode::Daemon => daemon(settings),
        mode => {
            let user = User::look_up(machine);
            let senders = Senders::new(settings)?;
            let exits = Exits {
                settings,
                machine,
                user: &user,
                verbose: call.verbose,
            };
            match mode {
                Mode::Dialogue => hold_dialogue(&exits, &senders),
                Mode::Verify => verify(call, &user, &senders),
                _ => send(call, &exits, &senders),
            }
        }
    }
}

fn send(call: &Call, exits: &Exits<'_>, senders: &Senders<'_>) -> Result<Sysexit, Trouble> {
    if call.recipients.is_empty() && !call.extract {
        return Err(Trouble::new(
            Sysexit::Usage,
            "nobody is to get it: give recipients, or -t to take those of the header",
        ));
    }
    let packed = compose::parcel(
        &Parcel {
            call,
            user: exits.user,
            senders,
            octets_max: exits.settings.send.message_size_octets_max,
            envelope: None,
        },
        Input::new(io::stdin().lock(), !call.dots_are_text),
    )?;
    for remark in &packed.remarks {
        output::line(&format!("sendmail: {}", output::visible(remark)));
    }
    exits.hand_on(packed.outgoing)?;
    Ok(Sysexit::Ok)
}

fn hold_dialogue(exits: &Exits<'_>, senders: &Senders<'_>) -> Result<Sysexit, Trouble> {
    let socket = exits
        .settings
        .relay
        .as_ref()
        .and_then(|relay| relay.spool.socket());
    let door = socket.map_or(Ok(None), |path| handover::connect(&path))?;
    let held = match door {
        Some(stream) => dialogue::tunnel(stream),
        None => dialogue::hold(io::stdin().lock(), io::stdout().lock(), exits, senders),
    };
    held.map_err(broken)
}

/// `-bv`: says for each recipient what it means, and who would send.
fn verify(call: &Call, user: &User, senders: &Senders<'_>) -> Result<Sysexit, Trouble> {
    if call.recipients.is_empty() {
        return Err(Trouble::new(Sysexit::Usage, "-bv wants addresses"));
    }
    let sender = call.sender.as_deref().unwrap_or(&user.name);
    let sender = match sender {
        "" => senders.fallback().cloned(),
        text => letter::argument(text, senders.domain())?.into_iter().next(),
    };
    let through = match sender {
        Some(sender) if senders.covers(&sender) => sender,
        Some(sender) => senders.instead_of(&sender)?,
        None => {
            return Err(Trouble::new(
                Sysexit::Configuration,
                "no mailbox sends for <>",
            ));
        }
    };
    let (mut out, mut code) = (String::new(), Sysexit::Ok);
    for text in &call.recipients {
        match letter::argument(text, senders.domain()) {
            Ok(addresses) => {
                for address in addresses {
                    _ = writeln!(out, "{address}... deliverable, sent as {through}");
                }
            }
            Err(trouble) => {
                _ = writeln!(out, "{}", output::visible(&trouble.text));
                code = trouble.code;
            }
        }
    }
    output::data(&out).map_err(broken)?;
    Ok(code)
}

/// `-bp`: the queue in the layout of Postfix.
fn list(settings: &Settings) -> Result<Sysexit, Trouble> {
    let Some(index) = spool_that_exists(settings)? else {
        output::data("Mail queue is empty\n").map_err(broken)?;
        return Ok(Sysexit::Ok);
    };
    let spool = queue::open(&index).map_err(|failure| Trouble::of(&failure))?;
    runtime::run(Box::pin(async {
        let listed = queue::mailq(&spool, settings).await;
        spool.close().await;
        listed
    }))
    .and_then(|listed| listed)
    .map_err(|failure| Trouble::of(&failure))?;
    Ok(Sysexit::Ok)
}

/// `-q`: everything, or a part, is due now; a running relay takes it from there.
fn retry(settings: &Settings, flush: &Flush) -> Result<Sysexit, Trouble> {
    let Some(index) = spool_that_exists(settings)? else {
        return Ok(Sysexit::Ok);
    };
    let spool = queue::open(&index).map_err(|failure| Trouble::of(&failure))?;
    let part = |text: &str| Some(format!("*{text}*"));
    let retried = runtime::run(Box::pin(async {
        let mut filter = Filter::state(State::Waiting);
        match flush {
            Flush::All => {}
            Flush::Recipient(text) => filter.recipient = part(text),
            Flush::Sender(text) => filter.sender = part(text),
            Flush::Id(text) => {
                let text = text.clone();
                filter = Filter::id(spool.read(move |view| view.find(&text)).await?);
            }
        }
        let retried = spool.change(&filter, &Change::Retry, clock::now()).await;
        spool.close().await;
        retried
    }))
    .map_err(|failure| Trouble::of(&failure))?;
    retried.map_err(|error| {
        let code = if error.is_temporary() {
            Sysexit::Temporary
        } else {
            Sysexit::Unavailable
        };
        Trouble::new(code, error.to_string())
    })?;
    Ok(Sysexit::Ok)
}

/// `-bd`: init scripts of another age. A running relay is what they want to have.
fn daemon(settings: &Settings) -> Result<Sysexit, Trouble> {
    let socket = settings
        .relay
        .as_ref()
        .and_then(|relay| relay.spool.socket());
    let door = socket.map_or(Ok(None), |path| handover::connect(&path))?;
    if door.is_some() {
        output::line("sendmail: the relay is running already");
        return Ok(Sysexit::Ok);
    }
    Err(Trouble::new(
        Sysexit::Unavailable,
        "the server is a service of its own: run `sendas relay`",
    ))
}

/// The spool's file; none where none is configured or nobody has made it yet.
fn spool_that_exists(settings: &Settings) -> Result<Option<std::path::PathBuf>, Trouble> {
    if settings.relay.is_none() {
        return Ok(None);
    }
    let index = queue::index(settings).map_err(|failure| Trouble::of(&failure))?;
    Ok(index.exists().then_some(index))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn broken(error: io::Error) -> Trouble {
    Trouble::new(Sysexit::Io, error.to_string())
}
