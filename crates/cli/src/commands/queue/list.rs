//! `queue list` and `mailq`: page by page, so that a long queue costs no memory.

use jiff::tz::TimeZone;
use sendas_config::Settings;
use sendas_spool::limits::PAGE_MESSAGES_MAX;
use sendas_spool::{Spool, State};

use super::held::Held;
use super::postfix::{self, Style};
use super::selection::Selection;
use super::{refused, unwritten};
use crate::exit::Exit;
use crate::report::Outcome;
use crate::{clock, output};

/// What a list without conditions shows: everything that is still to be done, and what can be
/// brought back.
const OPEN: [State; 6] = [
    State::Waiting,
    State::Claimed,
    State::Suspect,
    State::Held,
    State::Removed,
    State::Damaged,
];

/// What `mailq` shows: what Postfix would have.
const QUEUED: [State; 5] = [
    State::Waiting,
    State::Claimed,
    State::Suspect,
    State::Held,
    State::Damaged,
];

pub(super) async fn run(
    spool: &Spool,
    settings: &Settings,
    selection: &Selection,
    style: Style,
) -> Outcome {
    let now = clock::now();
    let zone = TimeZone::system();
    let states: &[State] = if style == Style::Mailq {
        &QUEUED
    } else {
        &OPEN
    };
    let filter = selection.filter(spool, states, now).await?;
    let held = Held::read(spool, settings)
        .await
        .map_err(|error| refused("the queue was not listed", &error))?;
    let (mut messages, mut octets) = (0_u64, 0_u64);
    let mut after = None;
    loop {
        let asked = filter.clone();
        let mut page = spool
            .read(move |view| view.list(&asked, after, PAGE_MESSAGES_MAX))
            .await
            .map_err(|error| refused("the queue was not listed", &error))?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let mut out = String::new();
        for summary in &mut page {
            held.explain(summary, now);
            if style == Style::Json {
                out.push_str(&postfix::json_line(summary, now));
                continue;
            }
            if messages == 0 {
                out.push_str(postfix::HEAD);
            }
            messages += 1;
            octets += summary.octets;
            out.push_str(&postfix::row(summary, style, now, &zone));
        }
        output::data(&out).map_err(unwritten)?;
    }
    match (style, messages) {
        (Style::Json, _) => {}
        (_, 0) => return tell_empty(style),
        _ => output::data(&postfix::foot(messages, octets)).map_err(unwritten)?,
    }
    Ok(Exit::Done)
}

/// Says that there is nothing; in JSON by saying nothing.
pub(super) fn tell_empty(style: Style) -> Outcome {
    if style != Style::Json {
        output::data(postfix::EMPTY).map_err(unwritten)?;
    }
    Ok(Exit::Done)
}
