//! What the start does after a crash: ends dead processes' claims, frees their leftovers.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use crate::claim;
use crate::disk::Disk;
use crate::error::OpenError;
use crate::id::MessageId;
use crate::message::State;
use crate::shared::{SEAT_SUFFIX, SEGMENT_SUFFIX, Shared};
use crate::work::{JobError, Work};

/// Milliseconds a dead process's name is remembered, so that its leftovers are known as its own.
const SEAT_MEMORY_MS: i64 = 30 * 24 * 3600 * 1000;

/// What was found and done when the spool was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Processes that had ended without closing the spool.
    pub dead: u64,
    /// Claims of theirs that wait again.
    pub interrupted: u64,
    /// Claims of theirs whose final dot may have gone out: somebody must judge.
    pub suspect: u64,
    /// Body files that no message refers to, removed.
    pub orphans: u64,
    /// Body files that nobody knows; left where they are.
    pub unknown: Vec<String>,
    /// Body files that messages refer to and that are gone or too short.
    pub missing: Vec<String>,
}

/// Puts the spool in order; the caller holds the door's lock.
pub(crate) fn recover(
    index: &Connection,
    shared: &Shared,
    now: Timestamp,
) -> Result<Recovery, OpenError> {
    let disk = &*shared.disk;
    let names: BTreeSet<String> = disk
        .names(&shared.folder)
        .map_err(trouble(&shared.folder, "list"))?
        .into_iter()
        .collect();
    let mut recovery = Recovery::default();
    let seats = seats(index)?;
    let mut dead = Vec::new();
    for (seat, opened_at) in &seats {
        if *seat != shared.seat && is_dead(disk, &shared.folder, &names, seat)? {
            dead.push((seat.as_str(), *opened_at));
        }
    }
    index.execute_batch("BEGIN IMMEDIATE")?;
    let mut freed = end_claims(index, shared, &seats, &dead, now, &mut recovery)?;
    for (seat, _) in &dead {
        freed.extend(close_segments(index, shared, seat)?);
    }
    let mut orphans = Vec::new();
    for name in names.iter().filter(|n| n.ends_with(SEGMENT_SUFFIX)) {
        let seat = name.split('-').next().unwrap_or_default();
        if seat == shared.seat || is_known(index, name)? {
            continue;
        }
        if dead.iter().any(|(d, _)| *d == seat) {
            orphans.push(name.clone());
        } else if !seats.iter().any(|(s, _)| s == seat) {
            recovery.unknown.push(name.clone());
        }
    }
    for (seat, opened_at) in &dead {
        let leftovers = names.iter().any(|n| n.starts_with(seat));
        if !leftovers && now.as_millisecond() - opened_at > SEAT_MEMORY_MS {
            index.execute("DELETE FROM seats WHERE seat = ?1", [seat])?;
        }
    }
    index.execute_batch("COMMIT")?;
    recovery.missing = missing(index, shared)?;
    recovery.orphans = orphans.len() as u64;
    for name in freed.iter().chain(&orphans) {
        shared.remove_segment(name);
    }
    for (seat, _) in &dead {
        let lock = format!("{seat}{SEAT_SUFFIX}");
        if names.contains(&lock) {
            shared.remove_segment(&lock);
            recovery.dead += 1;
        }
    }
    Ok(recovery)
}

/// Turns an error of a file call into one of opening.
pub(crate) fn trouble(path: &Path, what: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Disk {
        path: path.to_owned(),
        what,
        source,
    }
}

fn seats(index: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut statement = index.prepare("SELECT seat, opened_at FROM seats")?;
    let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
    rows.collect()
}

fn is_dead(
    disk: &dyn Disk,
    folder: &Path,
    names: &BTreeSet<String>,
    seat: &str,
) -> Result<bool, OpenError> {
    let name = format!("{seat}{SEAT_SUFFIX}");
    if !names.contains(&name) {
        return Ok(true);
    }
    let path = folder.join(name);
    let lock = disk.lock(&path, false).map_err(trouble(&path, "lock"))?;
    Ok(lock.is_some())
}

fn end_claims(
    index: &Connection,
    shared: &Shared,
    seats: &[(String, i64)],
    dead: &[(&str, i64)],
    now: Timestamp,
    recovery: &mut Recovery,
) -> Result<Vec<String>, OpenError> {
    let mut statement = index
        .prepare("SELECT id, seat FROM messages WHERE state <> 'waiting' AND state = 'claimed'")?;
    let claims = statement
        .query_map([], |r| {
            Ok((r.get::<_, i64>(0)?, r.get::<_, Option<String>>(1)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut work = Work::new(index, shared);
    for (id, seat) in claims {
        let seat = seat.unwrap_or_default();
        let alive = seats.iter().any(|(s, _)| *s == seat) && !dead.iter().any(|(d, _)| *d == seat);
        let Ok(id) = MessageId::from_number(id) else {
            continue;
        };
        if alive {
            continue;
        }
        match claim::interrupt(&mut work, id, "the process ended", now) {
            Ok(State::Suspect) => recovery.suspect += 1,
            Ok(_) => recovery.interrupted += 1,
            // Set aside on the way, or not to be read: it is told where it is shown.
            Err(JobError::Say(error)) => tracing::warn!(%id, %error, "a claim was not ended"),
            Err(JobError::Abort(error)) => return Err(error.into()),
        }
    }
    Ok(work.finish()?)
}

fn close_segments(
    index: &Connection,
    shared: &Shared,
    seat: &str,
) -> Result<Vec<String>, OpenError> {
    index.execute(
        "UPDATE segments SET open = 0 WHERE seat = ?1 AND open = 1",
        [seat],
    )?;
    let mut statement = index.prepare("SELECT id FROM segments WHERE seat = ?1 AND live <= 0")?;
    let ids = statement
        .query_map([seat], |r| r.get::<_, i64>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let work = Work::new(index, shared);
    let mut freed = Vec::new();
    for id in ids {
        freed.extend(work.free_segment(id)?);
    }
    Ok(freed)
}

fn is_known(index: &Connection, name: &str) -> rusqlite::Result<bool> {
    let known: Option<i64> = index
        .prepare_cached("SELECT id FROM segments WHERE name = ?1")?
        .query_row([name], |r| r.get(0))
        .optional()?;
    Ok(known.is_some())
}

/// The segments whose file cannot hold what the index says.
pub(crate) fn missing(index: &Connection, shared: &Shared) -> rusqlite::Result<Vec<String>> {
    let mut statement = index.prepare("SELECT name, octets FROM segments WHERE live > 0")?;
    let mut rows = statement.query([])?;
    let mut missing = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, octets): (String, i64) = (row.get(0)?, row.get(1)?);
        let length = shared
            .disk
            .open(&shared.folder.join(&name))
            .and_then(|file| file.length());
        if !length.is_ok_and(|length| length >= u64::try_from(octets).unwrap_or_default()) {
            tracing::error!(name, "a segment with bodies is gone or too short");
            missing.push(name);
        }
    }
    Ok(missing)
}
