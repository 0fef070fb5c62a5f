//! `queue show`: one message with everything that happened to it.

use std::fmt::Write as _;

use jiff::Timestamp;
use sendas_config::Settings;
use sendas_spool::{Body, Message, MessageId, Spool, SpoolError, State, Step};
use serde_json::{Value, json};

use super::held::Held;
use super::limits::HEADER_SHOWN_OCTETS_MAX;
use super::why::{self, Why, one_line};
use super::{Show, postfix, refused, unwritten};
use crate::clock;
use crate::exit::Exit;
use crate::output::{self, visible};
use crate::report::{Failure, Outcome};

pub(super) async fn run(spool: &Spool, settings: &Settings, show: &Show) -> Outcome {
    let asked = show.id.clone();
    let mut message = spool
        .read(move |view| view.message(view.find(&asked)?))
        .await
        .map_err(|error| refused("no message was shown", &error))?;
    let id = message.summary.id;
    if show.body {
        return whole_body(spool, id).await;
    }
    let now = clock::now();
    let held = Held::read(spool, settings)
        .await
        .map_err(|error| refused("no message was shown", &error))?;
    held.explain(&mut message.summary, now);
    let header = header(spool, &message).await;
    let written = if show.json {
        output::json(&in_json(&message, header.as_deref(), now))
    } else {
        output::data(&in_text(&message, header.as_deref(), now))
    };
    written.map_err(unwritten)?;
    Ok(Exit::Done)
}

/// The header as it stands in the body; none when the body is gone or damaged.
async fn header(spool: &Spool, message: &Message) -> Option<String> {
    if matches!(message.summary.state, State::Settled | State::Damaged) {
        return None;
    }
    let mut body = spool.body(message.summary.id, clock::now()).await.ok()?;
    let octets = start(&mut body).await.ok()?;
    Some(String::from_utf8_lossy(header_of(&octets)).into_owned())
}

/// The first octets of a body, at least its header where that is of bearable length.
pub(super) async fn start(body: &mut Body) -> Result<Vec<u8>, SpoolError> {
    let mut octets = Vec::new();
    while octets.len() < HEADER_SHOWN_OCTETS_MAX {
        let Some(piece) = body.piece().await? else {
            break;
        };
        octets.extend_from_slice(&piece);
        if memchr::memmem::find(&octets, b"\r\n\r\n").is_some() {
            break;
        }
    }
    Ok(octets)
}

/// The header of a message without its empty line.
pub(super) fn header_of(octets: &[u8]) -> &[u8] {
    if octets.starts_with(b"\r\n") {
        return b"";
    }
    let end = memchr::memmem::find(octets, b"\r\n\r\n").map_or(octets.len(), |at| at + 2);
    &octets[..end.min(HEADER_SHOWN_OCTETS_MAX)]
}

async fn whole_body(spool: &Spool, id: MessageId) -> Outcome {
    let what = || format!("the body of {id} was not shown");
    let mut body = spool
        .body(id, clock::now())
        .await
        .map_err(|error| refused(what(), &error))?;
    while let Some(piece) = body
        .piece()
        .await
        .map_err(|error| refused(what(), &error))?
    {
        output::octets(&piece)
            .map_err(|error| Box::new(Failure::machine("the body was not written", &error)))?;
    }
    Ok(Exit::Done)
}

fn in_text(message: &Message, header: Option<&str>, now: Timestamp) -> String {
    let summary = &message.summary;
    let mut out = String::new();
    let mut row = |label: &str, text: &str| {
        if !text.is_empty() {
            _ = writeln!(out, "{label:<12} {}", visible(text));
        }
    };
    row("id", &summary.id.to_string());
    row("state", summary.state.as_str());
    let Why {
        text,
        next,
        who,
        id: _,
        fix,
    } = why::of_message(summary, now);
    row("why", &text);
    row("next", &next);
    row("who can act", &who);
    row("what helps", fix.as_deref().unwrap_or_default());
    row("sender", &format!("<{}>", summary.sender));
    row("mailbox", &summary.mailbox);
    row("subject", &summary.subject);
    row("message-id", &summary.message_id);
    row("octets", &summary.octets.to_string());
    row("accepted", &time(summary.accepted_at));
    row("attempts", &summary.attempts.to_string());
    row("client", &summary.origin.client);
    row("peer", &summary.origin.peer);
    row("login", &summary.origin.login);
    row("damage", summary.damage.as_deref().unwrap_or_default());
    out.push_str("\nrecipients\n");
    for delivery in &summary.deliveries {
        _ = writeln!(
            out,
            "  {:<9} {}",
            delivery.state.as_str(),
            visible(delivery.recipient.path.as_str())
        );
        if !delivery.reply.is_empty() {
            _ = writeln!(out, "            {}", visible(&one_line(&delivery.reply)));
        }
    }
    out.push_str("\nhistory\n");
    for (at, step) in message.timeline() {
        _ = writeln!(out, "  {}  {}", time(at), visible(&step_in_words(&step)));
        if let Step::Attempted(attempt) = step {
            for reply in &attempt.replies {
                let to = summary
                    .deliveries
                    .iter()
                    .find(|delivery| delivery.number == reply.number)
                    .map_or("?", |delivery| delivery.recipient.path.as_str());
                _ = writeln!(
                    out,
                    "    {:<9} {} {}",
                    visible(&reply.outcome),
                    visible(to),
                    visible(&one_line(&reply.reply))
                );
            }
        }
    }
    if let Some(header) = header {
        out.push_str("\nheader\n");
        for line in header.lines() {
            _ = writeln!(out, "  {}", visible(line));
        }
    }
    out
}

fn step_in_words(step: &Step<'_>) -> String {
    match step {
        Step::Accepted => "accepted".to_owned(),
        Step::Attempted(attempt) if attempt.route.is_empty() => {
            format!("attempt {}", attempt.number)
        }
        Step::Attempted(attempt) => format!("attempt {} by {}", attempt.number, attempt.route),
        Step::Happened(event) if event.text.is_empty() => event.kind.to_string(),
        Step::Happened(event) => format!("{}: {}", event.kind, one_line(&event.text)),
    }
}

fn in_json(message: &Message, header: Option<&str>, now: Timestamp) -> Value {
    let mut value = postfix::json_value(&message.summary, now);
    let attempts: Vec<Value> = message
        .attempts
        .iter()
        .map(|attempt| {
            let replies: Vec<Value> = attempt
                .replies
                .iter()
                .map(|reply| {
                    json!({
                        "recipient": reply.number,
                        "outcome": reply.outcome,
                        "reason": reply.reason,
                        "status": reply.status.map(|status| status.to_string()),
                        "reply": reply.reply,
                    })
                })
                .collect();
            json!({
                "number": attempt.number,
                "started_at": attempt.started_at.to_string(),
                "ended_at": attempt.ended_at.to_string(),
                "route": attempt.route,
                "replies": replies,
            })
        })
        .collect();
    let events: Vec<Value> = message
        .events
        .iter()
        .map(|event| {
            json!({ "at": event.at.to_string(), "kind": event.kind.as_str(), "text": event.text })
        })
        .collect();
    if let Some(members) = value.as_object_mut() {
        members.insert("history".to_owned(), attempts.into());
        members.insert("events".to_owned(), events.into());
        members.insert("header".to_owned(), header.into());
    }
    value
}

fn time(time: Timestamp) -> String {
    clock::whole_seconds(time).to_string()
}
