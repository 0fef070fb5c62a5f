//! The integrity check: does the index agree with itself and with the bodies?

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::error::{OpenError, SpoolError};
use crate::filter::Filter;
use crate::id::MessageId;
use crate::limits::{FINDINGS_MAX, PAGE_MESSAGES_MAX};
use crate::read::View;
use crate::recover;
use crate::rows::{MessageRow, RecipientRow};
use crate::schema;
use crate::spool::{Spool, blocking};

/// What an integrity check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Whether the check came to its end within its time.
    pub complete: bool,
    /// Messages whose records were compared with their checksums.
    pub records: u64,
    /// Bodies that were compared with their checksums.
    pub bodies: u64,
    /// What does not match, in words.
    pub findings: Vec<String>,
}

/// How thorough an integrity check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckDepth {
    /// The index's pages, counters and segments.
    Index,
    /// Also every message's record and recipients.
    Records,
    /// Also every body.
    Bodies,
}

impl Spool {
    /// Compares the index with itself and with the bodies; what is damaged is set aside.
    ///
    /// Reads beside the writer; with [`CheckDepth::Bodies`] it reads everything there is.
    ///
    /// # Errors
    /// When the index or the disk cannot be read.
    pub async fn check(
        &self,
        depth: CheckDepth,
        now: Timestamp,
    ) -> Result<CheckReport, SpoolError> {
        let spool = self.clone();
        blocking(move || spool.check_blocking(depth, now)).await
    }

    /// Counts anew what the counters should say, after a check found them wrong.
    ///
    /// # Errors
    /// As for every change.
    pub async fn recount(&self) -> Result<(), SpoolError> {
        self.change_with(|work| {
            work.index.execute_batch(
                "DELETE FROM counts; \
                 INSERT INTO counts SELECT state, mailbox, reason, count(*), sum(octets) \
                 FROM messages GROUP BY 1, 2, 3; \
                 UPDATE segments SET \
                 live = (SELECT count(*) FROM messages WHERE segment = segments.id), \
                 live_octets = (SELECT coalesce(sum(octets), 0) FROM messages \
                 WHERE segment = segments.id);",
            )?;
            Ok(())
        })
        .await
    }

    fn check_blocking(&self, depth: CheckDepth, now: Timestamp) -> Result<CheckReport, SpoolError> {
        let shared = self.shared();
        let mut index = schema::open_reader(&shared.index).map_err(|error| match error {
            OpenError::Index(error) => SpoolError::from_index(error),
            other => SpoolError::Disk(Arc::new(std::io::Error::other(other))),
        })?;
        let (complete, mut findings) = check_pages(&mut index, None)?;
        findings.extend(check_counters(&index)?);
        let missing = recover::missing(&index, shared)?;
        findings.extend(
            missing
                .into_iter()
                .map(|name| format!("segment {name} is gone or cut")),
        );
        let mut report = CheckReport {
            complete,
            findings,
            ..CheckReport::default()
        };
        if depth == CheckDepth::Index {
            return Ok(report);
        }
        let view = View::new(index);
        let mut after = None;
        loop {
            let ids = view.ids(&Filter::default(), after, PAGE_MESSAGES_MAX)?;
            let Some(last) = ids.last() else { break };
            after = Some(*last);
            for id in ids {
                let damage = match self.check_one(view.index(), id, depth, &mut report) {
                    Err(SpoolError::Damaged { what, .. }) => what,
                    Ok(()) | Err(SpoolError::NotFound(_) | SpoolError::BodyGone(_)) => continue,
                    Err(other) => return Err(other),
                };
                if report.findings.len() < FINDINGS_MAX {
                    report.findings.push(format!("message {id}: {damage}"));
                }
                self.submit_blocking(Vec::new(), move |work, _| {
                    Ok(work.set_aside(id, &damage, now)?)
                })?;
            }
        }
        Ok(report)
    }

    fn check_one(
        &self,
        index: &Connection,
        id: MessageId,
        depth: CheckDepth,
        report: &mut CheckReport,
    ) -> Result<(), SpoolError> {
        let message = MessageRow::load(index, id.number()).map_err(|e| e.into_error(id))?;
        RecipientRow::load_all(index, &message).map_err(|e| e.into_error(id))?;
        report.records += 1;
        if depth == CheckDepth::Bodies && message.segment.is_some() {
            self.open_body(id)?;
            report.bodies += 1;
        }
        Ok(())
    }
}

/// SQLite's own check of pages and indexes, given up when the time is over.
///
/// Says whether it came to its end, and what it found.
pub(crate) fn check_pages(
    index: &mut Connection,
    within: Option<Duration>,
) -> rusqlite::Result<(bool, Vec<String>)> {
    let over = Arc::new(AtomicBool::new(false));
    // The timer ends as soon as the check does: its channel closes.
    let (done, timer) = mpsc::channel::<()>();
    if let Some(within) = within {
        let flag = Arc::clone(&over);
        let started = std::thread::Builder::new()
            .name("spool-check".to_owned())
            .spawn(move || {
                if timer.recv_timeout(within) == Err(mpsc::RecvTimeoutError::Timeout) {
                    flag.store(true, Ordering::Relaxed);
                }
            });
        if started.is_err() {
            return Ok((false, Vec::new()));
        }
    }
    let flag = Arc::clone(&over);
    index.progress_handler(10_000, Some(move || flag.load(Ordering::Relaxed)))?;
    let answer = pages(index);
    index.progress_handler(0, None::<fn() -> bool>)?;
    drop(done);
    match answer {
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
        {
            Ok((false, Vec::new()))
        }
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
            Ok((true, vec![error.to_string()]))
        }
        Err(error) => Err(error),
        Ok(findings) => Ok((true, findings)),
    }
}

/// Compares the counters with the rows.
pub(crate) fn check_counters(index: &Connection) -> Result<Vec<String>, SpoolError> {
    let mut findings = Vec::new();
    for (what, sql) in [
        (
            "the counters of",
            "SELECT state || ' ' || mailbox || ' ' || reason FROM (SELECT state, mailbox, reason, \
             count(*), sum(octets) FROM messages GROUP BY 1, 2, 3 EXCEPT SELECT state, mailbox, \
             reason, messages, octets FROM counts) LIMIT 20",
        ),
        (
            "the needs of segment",
            "SELECT name FROM segments AS s WHERE live <> (SELECT count(*) FROM messages \
             WHERE segment = s.id) LIMIT 20",
        ),
        (
            "a recipient without message",
            "SELECT DISTINCT message FROM recipients WHERE NOT EXISTS \
             (SELECT 1 FROM messages WHERE id = message) LIMIT 20",
        ),
    ] {
        let mut statement = index.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let name = match row.get_ref(0)? {
                rusqlite::types::ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
                other => format!("{other:?}"),
            };
            findings.push(format!("{what} {name} do not match"));
        }
    }
    Ok(findings)
}

fn pages(index: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = index.prepare("PRAGMA integrity_check(100)")?;
    let lines = statement
        .query_map([], |r| r.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}
