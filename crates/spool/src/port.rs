//! Export and import: messages as a stream that any tool can cut apart.
//!
//! Shape: lines of JSON. The first says `{"sendas":"spool-export","v":1,"at":…}`. Each message is
//! one line with `"sendas":"message"`, all its states and history, and `"octets":N`; after the
//! line's LF follow exactly N octets, the body, and one more LF. The last line,
//! `{"sendas":"end","v":1,"messages":N}`, says that nothing is missing. Times are milliseconds
//! of the Unix epoch.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::accept::{self, Placed};
use crate::error::SpoolError;
use crate::fate::{self, NEVER};
use crate::filter::Filter;
use crate::form::EnvelopeForm;
use crate::id::MessageId;
use crate::limits::{CHUNK_OCTETS, EXPORT_LINE_OCTETS_MAX, PAGE_MESSAGES_MAX};
use crate::message::{EventKind, RecipientState, State};
use crate::rows::{MessageRow, RecipientRow};
use crate::spool::{Spool, blocking, one};
use crate::stage::Stage;
use crate::work::{JobResult, Work};

/// What an export or import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortReport {
    /// Messages written or stored.
    pub messages: u64,
    /// Messages passed over by an import because they are in the spool already.
    pub known: u64,
    /// Messages that an export could not write because they are damaged.
    pub damaged: Vec<MessageId>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "sendas", rename_all = "kebab-case")]
enum Line {
    SpoolExport { v: u8, at: i64 },
    Message(Box<MessageForm>),
    End { v: u8, messages: u64 },
}

/// A message in an export. Version 1.
#[derive(Serialize, Deserialize)]
struct MessageForm {
    v: u8,
    id: String,
    octets: u64,
    sha256: String,
    mailbox: String,
    sender: String,
    accepted_at: i64,
    attempts: i64,
    undo_until: Option<i64>,
    envelope: EnvelopeForm,
    memo: String,
    recipients: Vec<RecipientForm>,
    history: Vec<AttemptForm>,
    events: Vec<EventForm>,
}

#[derive(Serialize, Deserialize)]
struct RecipientForm {
    path: String,
    options: String,
    state: String,
    due: Option<i64>,
    reason: String,
    dot_at: Option<i64>,
    changed_at: i64,
    status: String,
    reply: String,
}

#[derive(Serialize, Deserialize)]
struct AttemptForm {
    number: i64,
    started_at: i64,
    ended_at: i64,
    route: String,
    report: String,
}

#[derive(Serialize, Deserialize)]
struct EventForm {
    at: i64,
    kind: String,
    text: String,
}

impl Spool {
    /// Writes the chosen messages that still have a body; the spool keeps them.
    ///
    /// Gives the writer back, for the caller to end or sync it.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when the writer fails.
    pub async fn export<W: Write + Send + 'static>(
        &self,
        filter: &Filter,
        mut to: W,
        now: Timestamp,
    ) -> Result<(PortReport, W), SpoolError> {
        let (spool, filter) = (self.clone(), filter.clone());
        blocking(move || {
            let report = export(&spool, &filter, &mut to, now)?;
            Ok((report, to))
        })
        .await
    }

    /// Stores the messages of an export, each durable before the next is read.
    ///
    /// A message that is here already (same id, same body) is passed over, so that a broken
    /// import can be repeated; an id that another message has is replaced by a new one. What was
    /// claimed when it was exported waits again, or is suspect if its final dot may be out.
    ///
    /// # Errors
    /// [`SpoolError::Import`] when the stream has another form or ends early; what came before
    /// stays.
    pub async fn import<R: Read + Send + 'static>(
        &self,
        from: R,
        now: Timestamp,
    ) -> Result<PortReport, SpoolError> {
        let spool = self.clone();
        blocking(move || import(&spool, from, now)).await
    }
}

fn export(
    spool: &Spool,
    filter: &Filter,
    to: &mut dyn Write,
    now: Timestamp,
) -> Result<PortReport, SpoolError> {
    let mut report = PortReport::default();
    let first = Line::SpoolExport {
        v: 1,
        at: now.as_millisecond(),
    };
    write_line(to, &first)?;
    let mut after = None;
    loop {
        let ids = spool.read_blocking(|view| view.ids(filter, after, PAGE_MESSAGES_MAX))?;
        let Some(last) = ids.last() else { break };
        after = Some(*last);
        for id in ids {
            match export_one(spool, id, to) {
                Ok(written) => report.messages += u64::from(written),
                Err(SpoolError::Damaged { .. }) => report.damaged.push(id),
                // Forgotten or settled since the page was read.
                Err(SpoolError::NotFound(_) | SpoolError::BodyGone(_)) => {}
                Err(other) => return Err(other),
            }
        }
    }
    let end = Line::End {
        v: 1,
        messages: report.messages,
    };
    write_line(to, &end)?;
    to.flush().map_err(SpoolError::from_disk)?;
    Ok(report)
}

fn export_one(spool: &Spool, id: MessageId, to: &mut dyn Write) -> Result<bool, SpoolError> {
    let form = spool.read_blocking(|view| {
        let index = view.index();
        let damaged = |what: String| SpoolError::Damaged { id, what };
        let message = MessageRow::load(index, id.number()).map_err(|e| e.into_error(id))?;
        if matches!(message.state, State::Settled | State::Damaged) {
            return Ok(None);
        }
        let rows = RecipientRow::load_all(index, &message).map_err(|e| e.into_error(id))?;
        let envelope = EnvelopeForm::parse(&message.envelope).map_err(|e| damaged(e.0))?;
        let mut history = index.prepare_cached(
            "SELECT number, started_at, ended_at, route, report FROM attempts \
             WHERE message = ?1 ORDER BY number",
        )?;
        let history = history
            .query_map([message.id], |r| {
                Ok(AttemptForm {
                    number: r.get(0)?,
                    started_at: r.get(1)?,
                    ended_at: r.get(2)?,
                    route: r.get(3)?,
                    report: r.get(4)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut events = index.prepare_cached(
            "SELECT at, kind, text FROM events WHERE message = ?1 ORDER BY number",
        )?;
        let events = events
            .query_map([message.id], |r| {
                Ok(EventForm {
                    at: r.get(0)?,
                    kind: r.get(1)?,
                    text: r.get(2)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Some(MessageForm {
            v: 1,
            id: id.to_string(),
            octets: u64::try_from(message.octets).unwrap_or_default(),
            sha256: BASE64_STANDARD.encode(message.digest),
            mailbox: message.mailbox,
            sender: message.sender,
            accepted_at: message.accepted_at,
            attempts: message.attempts,
            undo_until: message.undo_until,
            envelope,
            memo: message.memo,
            recipients: rows.into_iter().map(recipient_form).collect(),
            history,
            events,
        }))
    })?;
    let Some(form) = form else { return Ok(false) };
    // Opened, hence compared, before anything of the message is written.
    let mut body = spool.open_body(id)?;
    write_line(to, &Line::Message(Box::new(form)))?;
    while let Some(piece) = body.piece_blocking()? {
        to.write_all(&piece).map_err(SpoolError::from_disk)?;
    }
    to.write_all(b"\n").map_err(SpoolError::from_disk)?;
    Ok(true)
}

fn write_line(to: &mut dyn Write, line: &Line) -> Result<(), SpoolError> {
    let mut text = serde_json::to_vec(line).expect("texts and numbers always become JSON");
    text.push(b'\n');
    to.write_all(&text).map_err(SpoolError::from_disk)
}

fn import(spool: &Spool, from: impl Read, now: Timestamp) -> Result<PortReport, SpoolError> {
    let mut from = BufReader::with_capacity(CHUNK_OCTETS, from);
    let mut report = PortReport::default();
    let stop = |report: &PortReport, what: &str| SpoolError::Import {
        messages: report.messages,
        what: what.to_owned(),
    };
    match read_line(&mut from).map_err(|e| stop(&report, &e))? {
        Line::SpoolExport { v: 1, .. } => {}
        _ => return Err(stop(&report, "it does not begin as an export of version 1")),
    }
    loop {
        let form = match read_line(&mut from).map_err(|e| stop(&report, &e))? {
            Line::Message(form) if form.v == 1 => form,
            Line::End { messages, .. } if messages == report.messages + report.known => {
                return Ok(report);
            }
            Line::End { .. } => return Err(stop(&report, "messages are missing")),
            _ => return Err(stop(&report, "a message of another version")),
        };
        let mut stage = Stage::new(Arc::clone(spool.shared()));
        let mut rest = (&mut from).take(form.octets);
        let mut piece = vec![0; CHUNK_OCTETS];
        loop {
            match rest.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => stage.write(&piece[..n])?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(stop(&report, &e.to_string())),
            }
        }
        let body = stage.finish()?;
        let mut lf = [0];
        let ends = from.read_exact(&mut lf).is_ok() && lf == *b"\n";
        if !ends || body.octets() != form.octets {
            return Err(stop(&report, "it ends within a body"));
        }
        if BASE64_STANDARD.encode(body.digest()) != form.sha256 {
            return Err(stop(&report, "a body does not match its checksum"));
        }
        let (message, recipients) = rows(&form).map_err(|what| stop(&report, what))?;
        let stored = spool.submit_blocking(vec![body], move |work, placed| {
            store(work, message, &recipients, &form, one(placed), now)
        })?;
        if stored {
            report.messages += 1;
        } else {
            report.known += 1;
        }
    }
}

/// Stores an imported message; `false` when it is here already.
fn store(
    work: &mut Work<'_>,
    mut message: MessageRow,
    recipients: &[RecipientRow],
    form: &MessageForm,
    placed: Placed,
    now: Timestamp,
) -> JobResult<bool> {
    message.digest = placed.digest;
    if let Ok(present) = MessageRow::load(work.index, message.id)
        && present.digest == message.digest
    {
        return Ok(false);
    }
    let old = message.id;
    let taken = MessageId::from_number(old).map_or(Ok(true), |id| accept::is_taken(work, id))?;
    if taken {
        message.id = accept::free_id(work, now)?.number();
    }
    let id = message.id;
    accept::insert(work, message, recipients, placed.lie)?;
    for attempt in &form.history {
        work.index
            .prepare_cached(
                "INSERT OR REPLACE INTO attempts (message, number, started_at, ended_at, route, \
                 report) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                id,
                attempt.number,
                attempt.started_at,
                attempt.ended_at,
                &attempt.route,
                &attempt.report,
            ))?;
    }
    for event in &form.events {
        if let (Some(kind), Ok(at)) = (
            EventKind::from_word(&event.kind),
            Timestamp::from_millisecond(event.at),
        ) {
            work.event(id, at, kind, &event.text)?;
        }
    }
    let text = if taken {
        format!("was {}", form.id)
    } else {
        String::new()
    };
    work.event(id, now, EventKind::Imported, &text)?;
    Ok(true)
}

/// The rows of an exported message; its parts are parsed before any is believed.
fn rows(form: &MessageForm) -> Result<(MessageRow, Vec<RecipientRow>), &'static str> {
    let id: MessageId = form.id.parse().map_err(|_| "an id that is none")?;
    form.envelope
        .options()
        .map_err(|_| "an envelope that cannot be read")?;
    sendas_envelope::ReversePath::parse(&form.sender).map_err(|_| "a sender that is none")?;
    let mailbox: sendas_envelope::Mailbox =
        form.mailbox.parse().map_err(|_| "a mailbox that is none")?;
    let mut recipients = Vec::with_capacity(form.recipients.len());
    for (number, r) in (0..).zip(&form.recipients) {
        crate::form::recipient(&r.path, &r.options).map_err(|_| "a recipient that is none")?;
        let mut state =
            RecipientState::from_word(&r.state).ok_or("a recipient in an unknown state")?;
        let mut due = r.due.unwrap_or(NEVER);
        if state == RecipientState::Waiting && r.dot_at.is_some() {
            (state, due) = (RecipientState::Suspect, NEVER);
        }
        recipients.push(RecipientRow {
            number,
            path: r.path.clone(),
            options: r.options.clone(),
            state,
            due,
            reason: crate::form::reason(&r.reason),
            dot_at: r.dot_at,
            changed_at: r.changed_at,
            status: r.status.clone(),
            reply: r.reply.clone(),
        });
    }
    if recipients.is_empty() || recipients.len() > sendas_envelope::limits::RECIPIENTS_MAX {
        return Err("a message without recipients, or with too many");
    }
    let fate = fate::judge(recipients.iter().map(RecipientRow::slot), form.undo_until);
    if fate.state == State::Settled {
        return Err("a message that is settled");
    }
    let message = MessageRow {
        id: id.number(),
        state: fate.state,
        mailbox: mailbox.address().key(),
        due: fate.due,
        reason: fate.reason,
        sender: form.sender.clone(),
        accepted_at: form.accepted_at,
        octets: i64::try_from(form.octets).map_err(|_| "a body that is too long")?,
        recipients: i64::try_from(recipients.len()).expect("they are counted in memory"),
        attempts: form.attempts,
        fence: 0,
        seat: None,
        started_at: None,
        segment: None,
        place: 0,
        undo_until: form.undo_until,
        digest: [0; 32],
        envelope: form.envelope.to_text(),
        memo: form.memo.clone(),
    };
    Ok((message, recipients))
}

fn recipient_form(row: RecipientRow) -> RecipientForm {
    RecipientForm {
        path: row.path,
        options: row.options,
        state: row.state.as_str().to_owned(),
        due: (row.due != NEVER).then_some(row.due),
        reason: row.reason,
        dot_at: row.dot_at,
        changed_at: row.changed_at,
        status: row.status,
        reply: row.reply,
    }
}

fn read_line(from: &mut impl BufRead) -> Result<Line, String> {
    let mut line = Vec::new();
    from.take(EXPORT_LINE_OCTETS_MAX as u64)
        .read_until(b'\n', &mut line)
        .map_err(|e| e.to_string())?;
    if line.last() != Some(&b'\n') {
        return Err("it ends early".to_owned());
    }
    serde_json::from_slice(&line).map_err(|e| e.to_string())
}
