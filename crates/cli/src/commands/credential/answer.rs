//! What a rotation says: before, after, and when it stopped.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use sendas_tenant::credentials::days_left;
use sendas_tenant::rotation::stage::Fresh;
use sendas_tenant::rotation::{EndOfOld, Host as _, Journal, Old, Rotated, RotationError};
use sendas_tenant::trouble::Service;
use sendas_tenant::{CallError, Place};
use serde_json::{Value, json};

use super::case::Case;
use super::program::Program;
use crate::commands::setup::tell::{exit, kind};
use crate::exit::Exit;
use crate::output::{self, visible};
use crate::report::{Failure, Kind, Lasting, Outcome, chain};

/// What would be done, line by line.
pub(super) fn plan_text(case: &Case, program: &Program, is_open: bool) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut line = |head: &str, words: &str| {
        _ = writeln!(text, "{head:<14} {}", visible(words));
    };
    line(
        "Principal",
        &format!("{} ({})", case.principal, program.client_id()),
    );
    if is_open {
        line("Goes on", "a rotation that was begun earlier");
    }
    line(
        "New",
        &format!(
            "{}, valid for {} days, in {}",
            case.kind.name(),
            case.days,
            case.folder.display()
        ),
    );
    line("Registered by", case.asker());
    line(
        "Proven by",
        &format!("tokens, and a login as {}", case.mailbox),
    );
    line("Then named in", &program.file.display().to_string());
    let old = describe(&case.old);
    line(
        "Then removed",
        &if case.keep_old {
            format!("nothing; {old} stays")
        } else {
            old
        },
    );
    line("Recorded in", &case.journal.display().to_string());
    text
}

fn describe(old: &Old) -> String {
    let mut words = format!("the {}", old.kind.name());
    if let Some(thumbprint) = &old.thumbprint {
        _ = write!(words, " {thumbprint}");
    }
    if let Some(place) = &old.place {
        _ = write!(words, " in {place}");
    }
    if let Some(end) = old.end {
        _ = write!(words, ", which ends {}", day(end));
    }
    words
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// After `--dry-run`.
pub(super) fn planned(case: &Case, program: &Program, is_json: bool) -> Outcome {
    let written = if is_json {
        output::json(&json!({
            "ok": true, "done": false,
            "principal": case.principal, "client_id": program.client_id().as_str(),
            "new": { "kind": case.kind.name(), "days": case.days, "folder": case.folder },
            "mailbox": case.mailbox, "config": program.file, "keep_old": case.keep_old,
            "old": old_json(&case.old), "state": case.journal,
            "present": program.present().err().map(|error| error.words),
        }))
    } else {
        output::data(&plan_text(case, program, false))
    };
    printed(written)
}

/// What `--dry-run` says of a rotation that is under way.
pub(super) fn open(open: Option<&Journal>, is_json: bool) -> Outcome {
    let Some(open) = open else {
        return Ok(Exit::Done);
    };
    let stage = serde_json::to_value(&open.stage).unwrap_or_default();
    let written = if is_json {
        output::json(&json!({
            "ok": true, "done": false, "begun": open.begun.to_string(),
            "stage": stage["stage"], "old": old_json(&open.old),
        }))
    } else {
        output::data(&format!(
            "A rotation to a {} was begun at {} and stands at `{}`.\nThe same command without --dry-run goes on; with --back it goes back.\n",
            open.kind.name(),
            open.begun.strftime("%Y-%m-%d %H:%M UTC"),
            stage["stage"].as_str().unwrap_or_default(),
        ))
    };
    printed(written)
}

/// With `--within`: nothing is to be done yet.
pub(super) fn not_yet(end: Timestamp, now: Timestamp, is_json: bool) -> Result<Exit, Box<Failure>> {
    let left = days_left(end, now);
    if is_json {
        return printed(output::json(
            &json!({ "ok": true, "rotated": false, "end": end.to_string(), "days_left": left }),
        ));
    }
    output::line(&format!(
        "Nothing to do: the credential ends {}, in {left} days.",
        day(end)
    ));
    Ok(Exit::Done)
}

/// After `--back`.
pub(super) fn taken_back(is_json: bool) -> Outcome {
    if is_json {
        return printed(output::json(&json!({ "ok": true, "rotated": false })));
    }
    output::line("Taken back: the new credential is removed; the configuration names the old one.");
    Ok(Exit::Done)
}

/// After a rotation.
pub(super) fn rotated(done: &Rotated, config: &Path, is_json: bool) -> Outcome {
    let fresh = &done.fresh;
    if is_json {
        return printed(output::json(&json!({
            "ok": true, "rotated": true, "resumed": done.is_resumed,
            "new": fresh_json(fresh), "old": old_json(&done.old),
            "old_is": match done.end_of_old {
                EndOfOld::Removed => "removed",
                EndOfOld::Kept => "kept",
                EndOfOld::LeftInEntra => "left-in-entra",
            },
            "config": config,
        })));
    }
    output::line("Done: the new credential is proven and in use.");
    output::line(&format!(
        "New            {} in {}",
        fresh.kind.name(),
        fresh.place
    ));
    if let Some(end) = fresh.end {
        output::line(&format!("Ends           {}", day(end)));
    }
    output::line(&format!("Configuration  {}", config.display()));
    let old = match done.end_of_old {
        EndOfOld::Removed => "removed from Entra and from this machine".to_owned(),
        EndOfOld::Kept => "kept, as was wanted".to_owned(),
        EndOfOld::LeftInEntra => {
            let until = done
                .old
                .end
                .map(|end| format!(" until {}", day(end)))
                .unwrap_or_default();
            format!(
                "removed from this machine; still registered in Entra{until}, because its id is not known here. An administrator sees it with: sendas credential list --sign-in"
            )
        }
    };
    output::line(&format!("Old            {old}"));
    output::line("A running relay takes the new one by itself within a few seconds.");
    Ok(Exit::Done)
}

fn fresh_json(fresh: &Fresh) -> Value {
    json!({
        "kind": fresh.kind.name(), "place": fresh.place.path(), "key_id": fresh.key_id,
        "thumbprint": fresh.thumbprint, "end": fresh.end.map(|at| at.to_string()),
    })
}

fn old_json(old: &Old) -> Value {
    json!({
        "kind": old.kind.name(), "place": old.place.as_ref().map(Place::path),
        "key_id": old.key_id, "thumbprint": old.thumbprint,
        "end": old.end.map(|at| at.to_string()),
    })
}

fn printed(written: std::io::Result<()>) -> Outcome {
    match written {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(Box::new(Failure::machine(
            "the answer was not printed",
            &error,
        ))),
    }
}

/// A rotation that stopped.
pub(super) fn failed(what: &str, error: &RotationError, journal: &Path) -> Box<Failure> {
    let call = error.call();
    let mut failure = match error {
        RotationError::NeedsAdministrator(_)
        | RotationError::UnknownKey
        | RotationError::NoOwnToken { .. }
        | RotationError::PresentRefused { .. }
        | RotationError::LoginRefused { .. } => {
            Failure::new(Kind::Identity, Exit::Authentication, what)
        }
        RotationError::NotEffective { .. }
        | RotationError::NotShown
        | RotationError::PresentUntried { .. } => {
            Failure::new(Kind::Service, Exit::Temporary, what).lasting(Lasting::Passes)
        }
        RotationError::OtherPrincipal { .. }
        | RotationError::NoApplication { .. }
        | RotationError::NoWayBack
        | RotationError::NothingBegun => Failure::usage(what),
        _ => match call {
            Some(_) if error.is_temporary() => {
                Failure::new(Kind::Service, Exit::Temporary, what).lasting(Lasting::Passes)
            }
            Some(call) => Failure::new(kind(call), exit(call), what),
            None => Failure::new(Kind::Machine, Exit::Failed, what),
        },
    };
    failure = failure.cause(chain(error), fix(error));
    if let Some(CallError::Refused(refused)) = call {
        let who = match refused.service {
            Service::Graph => "Microsoft Graph",
            Service::Exchange => "Exchange Online",
        };
        failure = failure.quote(who, visible(&refused.words));
    }
    Box::new(what_now(failure, error, journal))
}

fn fix(error: &RotationError) -> Option<String> {
    let words = match error {
        RotationError::NeedsAdministrator(_) => {
            "let an administrator do it: add --sign-in; or give the application Application.ReadWrite.OwnedBy and make it its own owner"
        }
        RotationError::UnknownKey => "add --sign-in: an administrator can see and remove it",
        RotationError::NoOwnToken { .. } => {
            "the old certificate proves nothing any more: let an administrator do it with --sign-in"
        }
        RotationError::NoApplication { .. } => {
            "check client_id and tenant; an application of another tenant is rotated there"
        }
        RotationError::PresentRefused { .. } | RotationError::LoginRefused { .. } => {
            "a new credential mends no right of a mailbox: run sendas doctor first, or name another mailbox with --mailbox"
        }
        RotationError::NotEffective { .. } | RotationError::NotShown => {
            "Entra's servers learn late: run the same command again in some minutes"
        }
        RotationError::NoWayBack => "rotate again to replace the new one",
        _ => return error.call().and_then(CallError::advice).map(str::to_owned),
    };
    Some(words.to_owned())
}

/// What exists now, and how to go on or back.
fn what_now(failure: Failure, error: &RotationError, journal: &Path) -> Failure {
    let is_before = matches!(
        error,
        RotationError::OtherPrincipal { .. }
            | RotationError::NothingBegun
            | RotationError::NoWayBack
            | RotationError::PresentRefused { .. }
            | RotationError::PresentUntried { .. }
    );
    if is_before {
        return failure;
    }
    let left = std::fs::read(journal)
        .ok()
        .and_then(|text| serde_json::from_slice::<Journal>(&text).ok());
    let Some(open) = left.filter(Journal::is_open) else {
        return failure.evidence(
            "the configuration names the old credential, and nothing is left of the new one",
        );
    };
    let failure = match open.stage.retreat(false) {
        Some(_) => failure
            .evidence("the configuration names the old credential")
            .evidence("the same command goes on from here; --back takes the new credential back")
            .command("sendas credential rotate --back"),
        None => failure
            .evidence("the configuration names the new credential, which is proven")
            .evidence("the same command goes on from here, and removes the old one"),
    };
    failure.evidence(format!("recorded in {}", journal.display()))
}
