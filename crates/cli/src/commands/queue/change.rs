//! `queue retry`, `hold`, `release`, `remove`: changes to whatever was chosen.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sendas_spool::limits::PAGE_MESSAGES_MAX;
use sendas_spool::{Change, Filter, MessageId, Spool, SpoolError, State, Verdict};
use serde_json::json;

use super::limits::{FLUSH_WARN_MIN, UNDO_WINDOW};
use super::postfix::{self, Style};
use super::{Changing, Confirmed, Hold, confirm, refused, unwritten};
use crate::exit::Exit;
use crate::report::{Failure, Outcome};
use crate::{clock, output};

/// What a command does, in words.
pub(super) struct Deed {
    /// `retry`.
    pub(super) verb: &'static str,
    /// `retried`.
    pub(super) done: &'static str,
    /// In which states it means something, where nothing else was chosen.
    pub(super) states: &'static [State],
}

const RETRY: Deed = Deed {
    verb: "retry",
    done: "retried",
    states: &[State::Waiting],
};
const HOLD: Deed = Deed {
    verb: "hold",
    done: "held",
    states: &[State::Waiting, State::Claimed, State::Suspect],
};
const RELEASE: Deed = Deed {
    verb: "release",
    done: "released",
    states: &[State::Held],
};
const REMOVE: Deed = Deed {
    verb: "remove",
    done: "removed",
    states: &[State::Waiting, State::Claimed, State::Suspect, State::Held],
};

pub(super) async fn retry(spool: &Spool, changing: &Changing) -> Outcome {
    let now = clock::now();
    let filter = chosen(spool, changing, &RETRY, now).await?;
    let count = count(spool, &filter).await?;
    if changing.dry_run {
        return rehearse(spool, &filter, count, changing, &RETRY).await;
    }
    if count >= FLUSH_WARN_MIN {
        output::line(&format!(
            "note: {count} messages become due at once; the relay still paces them, and what was \
             refused for a lasting reason is only refused again"
        ));
    }
    let mut changed = change(spool, &filter, &Change::Retry, &RETRY, now).await?;
    // A suspect message may be there already: only whoever names it sends it again.
    if !filter.ids.is_empty() || filter.states.contains(&State::Suspect) {
        for id in in_state(spool, &filter, State::Suspect).await? {
            spool
                .judge(id, Verdict::Resend, now)
                .await
                .map_err(|error| refused(format!("{id} was not retried"), &error))?;
            output::line(&format!("note: {id} may arrive twice"));
            changed += 1;
        }
    }
    tell(changing, &RETRY, count, changed, None)
}

pub(super) async fn hold(spool: &Spool, hold: &Hold) -> Outcome {
    let now = clock::now();
    let changing = &hold.changing;
    let filter = chosen(spool, changing, &HOLD, now).await?;
    let count = count(spool, &filter).await?;
    if changing.dry_run {
        return rehearse(spool, &filter, count, changing, &HOLD).await;
    }
    let until = hold
        .lasting
        .and_then(|lasting| now.checked_add(lasting).ok());
    let wish = Change::Hold {
        reason: hold.because.clone(),
        until,
    };
    let changed = change(spool, &filter, &wish, &HOLD, now).await?;
    tell(
        changing,
        &HOLD,
        count,
        changed,
        until.map(|until| ("until", until)),
    )
}

pub(super) async fn release(spool: &Spool, changing: &Changing) -> Outcome {
    let now = clock::now();
    let filter = chosen(spool, changing, &RELEASE, now).await?;
    let count = count(spool, &filter).await?;
    if changing.dry_run {
        return rehearse(spool, &filter, count, changing, &RELEASE).await;
    }
    // A removed message may hold held recipients again: it is brought back first, and stays as
    // it was when it was removed.
    let removed = in_state(spool, &filter, State::Removed).await?;
    let mut changed = 0;
    if !removed.is_empty() {
        let restored = Filter {
            ids: removed.clone(),
            ..Filter::default()
        };
        changed += change(spool, &restored, &Change::Restore, &RELEASE, now).await?;
    }
    let held: Vec<MessageId> = in_state(spool, &filter, State::Held)
        .await?
        .into_iter()
        .filter(|id| !removed.contains(id))
        .collect();
    for ids in held.chunks(PAGE_MESSAGES_MAX) {
        let held = Filter {
            ids: ids.to_vec(),
            ..Filter::default()
        };
        changed += change(spool, &held, &Change::Release, &RELEASE, now).await?;
    }
    tell(changing, &RELEASE, count, changed, None)
}

pub(super) async fn remove(spool: &Spool, confirmed: &Confirmed) -> Outcome {
    let now = clock::now();
    let changing = &confirmed.changing;
    let filter = chosen(spool, changing, &REMOVE, now).await?;
    let count = count(spool, &filter).await?;
    if changing.dry_run {
        return rehearse(spool, &filter, count, changing, &REMOVE).await;
    }
    let damaged = in_state(spool, &filter, State::Damaged).await?;
    let grade = confirm::grade(count, damaged.is_empty());
    if !confirmed.yes && !confirm::ask(grade, &format!("remove {}", messages(count)))? {
        output::line("nothing was removed");
        return Ok(Exit::Failed);
    }
    let undo_until = now.checked_add(UNDO_WINDOW).unwrap_or(now);
    let mut changed = change(spool, &filter, &Change::Remove { undo_until }, &REMOVE, now).await?;
    for id in damaged {
        spool
            .discard(id)
            .await
            .map_err(|error| refused(format!("{id} was not removed"), &error))?;
        output::line(&format!("note: {id} was damaged and is gone for good"));
        changed += 1;
    }
    tell(
        changing,
        &REMOVE,
        count,
        changed,
        Some(("undo_until", undo_until)),
    )
}

/// The filter of a change: something must have been chosen.
pub(super) async fn chosen(
    spool: &Spool,
    changing: &Changing,
    deed: &Deed,
    now: Timestamp,
) -> Result<Filter, Box<Failure>> {
    if changing.selection.is_empty() && !changing.all {
        return Err(Box::new(
            Failure::usage(format!(
                "nothing was done: no message was chosen to {}",
                deed.verb
            ))
            .cause("there is neither an id nor a condition", None)
            .command(format!("sendas queue {} --all --dry-run", deed.verb)),
        ));
    }
    changing.selection.filter(spool, deed.states, now).await
}

pub(super) async fn count(spool: &Spool, filter: &Filter) -> Result<u64, Box<Failure>> {
    let filter = filter.clone();
    spool
        .read(move |view| view.count(&filter).map(|(messages, _)| messages))
        .await
        .map_err(|error| refused("nothing was done", &error))
}

/// The chosen messages in one state, in order.
pub(super) async fn in_state(
    spool: &Spool,
    filter: &Filter,
    state: State,
) -> Result<Vec<MessageId>, Box<Failure>> {
    if !filter.states.is_empty() && !filter.states.contains(&state) {
        return Ok(Vec::new());
    }
    let filter = Filter {
        states: vec![state],
        ..filter.clone()
    };
    all_ids(spool, filter)
        .await
        .map_err(|error| refused("nothing was done", &error))
}

/// Every id that a filter chooses.
pub(super) async fn all_ids(spool: &Spool, filter: Filter) -> Result<Vec<MessageId>, SpoolError> {
    spool
        .read(move |view| {
            let mut all: Vec<MessageId> = Vec::new();
            loop {
                let page = view.ids(&filter, all.last().copied(), PAGE_MESSAGES_MAX)?;
                if page.is_empty() {
                    return Ok(all);
                }
                all.extend(page);
            }
        })
        .await
}

async fn change(
    spool: &Spool,
    filter: &Filter,
    change: &Change,
    deed: &Deed,
    now: Timestamp,
) -> Result<u64, Box<Failure>> {
    spool
        .change(filter, change, now)
        .await
        .map_err(|error| refused(format!("not every message was {}", deed.done), &error))
}

/// Shows what would be done, and does nothing.
pub(super) async fn rehearse(
    spool: &Spool,
    filter: &Filter,
    count: u64,
    changing: &Changing,
    deed: &Deed,
) -> Outcome {
    if changing.json {
        let ids: Vec<String> = all_ids(spool, filter.clone())
            .await
            .map_err(|error| refused("nothing was done", &error))?
            .iter()
            .map(ToString::to_string)
            .collect();
        output::json(&json!({
            "ok": true, "verb": deed.verb, "dry_run": true, "matched": count, "changed": 0, "ids": ids,
        }))
        .map_err(unwritten)?;
        return Ok(Exit::Done);
    }
    let (now, zone) = (clock::now(), TimeZone::system());
    let mut after = None;
    loop {
        let asked = filter.clone();
        let page = spool
            .read(move |view| view.list(&asked, after, PAGE_MESSAGES_MAX))
            .await
            .map_err(|error| refused("nothing was done", &error))?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let rows: String = page
            .iter()
            .map(|summary| postfix::row(summary, Style::Words, now, &zone))
            .collect();
        output::data(&rows).map_err(unwritten)?;
    }
    output::line(&format!(
        "would {} {}; nothing was done",
        deed.verb,
        messages(count)
    ));
    Ok(Exit::Done)
}

/// Says what was done.
pub(super) fn tell(
    changing: &Changing,
    deed: &Deed,
    matched: u64,
    changed: u64,
    time: Option<(&'static str, Timestamp)>,
) -> Outcome {
    let time = time.map(|(name, time)| (name, clock::whole_seconds(time)));
    if changing.json {
        let mut answer = json!({
            "ok": true, "verb": deed.verb, "dry_run": false, "matched": matched, "changed": changed,
        });
        if let (Some((name, time)), Some(members)) = (time, answer.as_object_mut()) {
            members.insert(name.to_owned(), time.to_string().into());
        }
        output::json(&answer).map_err(unwritten)?;
    } else {
        let behind = match time {
            Some(("undo_until", time)) if changed > 0 => {
                format!("; `sendas queue release` brings back until {time}")
            }
            Some(("until", time)) => format!(" until {time}"),
            _ => String::new(),
        };
        output::data(&format!("{} {}{behind}\n", deed.done, messages(changed)))
            .map_err(unwritten)?;
        if changed < matched {
            output::line(&format!(
                "note: for {} it meant nothing",
                messages(matched - changed)
            ));
        }
    }
    Ok(Exit::Done)
}

pub(super) fn messages(count: u64) -> String {
    if count == 1 {
        "1 message".to_owned()
    } else {
        format!("{count} messages")
    }
}
