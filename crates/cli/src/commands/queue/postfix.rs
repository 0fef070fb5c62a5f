//! Messages as Postfix shows them: the table of `mailq`, the lines of `postqueue -j`. Pure.
//!
//! The columns are those Postfix uses for long queue ids, since ours have twelve characters:
//! scripts that cut its table by column or by word read this one too.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sendas_spool::{Delivery, RecipientState, State, Summary};
use serde_json::{Value, json};

use super::why::{self, Why};
use crate::output::visible;

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Postfix's table, reasons in the service's own words.
    Mailq,
    /// Postfix's table, reasons in plain words.
    Words,
    /// JSON lines.
    Json,
}

/// What Postfix says of a queue without messages.
pub(super) const EMPTY: &str = "Mail queue is empty\n";

/// The first line of the table.
pub(super) const HEAD: &str =
    "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n";

/// The column at which a reason ends, where it is short enough.
const REASON_COLUMNS: usize = 76;

/// Who sends what has no reverse-path.
const NOBODY: &str = "MAILER-DAEMON";

/// Whether a recipient still belongs into a list of the queue.
fn is_open(state: State, delivery: &Delivery) -> bool {
    use RecipientState as R;
    match state {
        // Whoever asks for settled or damaged messages wants to see everybody.
        State::Settled | State::Damaged => true,
        State::Removed => delivery.state == R::Removed,
        _ => matches!(delivery.state, R::Waiting | R::Suspect | R::Held),
    }
}

/// One message of the table, with the empty line behind it.
pub(super) fn row(summary: &Summary, style: Style, now: Timestamp, zone: &TimeZone) -> String {
    let mark = match summary.state {
        State::Claimed => "*",
        State::Held => "!",
        _ => "",
    };
    let mut out = String::with_capacity(200);
    _ = writeln!(
        out,
        "{:<17} {:>8} {:.19} {}",
        format!("{}{mark}", summary.id),
        summary.octets,
        summary
            .accepted_at
            .to_zoned(zone.clone())
            .strftime("%a %b %e %H:%M:%S"),
        visible(sender(summary)),
    );
    let mut told = String::new();
    for delivery in &summary.deliveries {
        if !is_open(summary.state, delivery) {
            continue;
        }
        let reason = match style {
            Style::Words => words(summary, delivery, now).line(),
            _ => delay_reason(delivery).unwrap_or_default(),
        };
        if !reason.is_empty() && reason != told {
            let reason = visible(&reason).into_owned();
            _ = writeln!(
                out,
                "{:>width$}",
                format!("({reason})"),
                width = REASON_COLUMNS + 2
            );
        }
        told = reason;
        _ = writeln!(
            out,
            "{:<17} {:>8} {:<19} {}",
            "",
            "",
            "",
            visible(delivery.recipient.path.as_str())
        );
    }
    if let (Style::Words, Some(damage)) = (style, &summary.damage) {
        _ = writeln!(out, "({})", visible(damage));
    }
    out.push('\n');
    out
}

/// The last line of the table.
pub(super) fn foot(messages: u64, octets: u64) -> String {
    let plural = if messages == 1 { "" } else { "s" };
    format!(
        "-- {} Kbytes in {messages} Request{plural}.\n",
        octets / 1024
    )
}

/// One message as a line of JSON: the members of `postqueue -j`, then ours.
pub(super) fn json_line(summary: &Summary, now: Timestamp) -> String {
    format!("{}\n", json_value(summary, now))
}

/// The same as a value.
pub(super) fn json_value(summary: &Summary, now: Timestamp) -> Value {
    let recipients: Vec<Value> = summary
        .deliveries
        .iter()
        .map(|delivery| recipient(summary, delivery, now))
        .collect();
    let message_why = why::of_message(summary, now);
    json!({
        "queue_name": queue_name(summary),
        "queue_id": summary.id.to_string(),
        "arrival_time": summary.accepted_at.as_second(),
        "message_size": summary.octets,
        "forced_expire": false,
        "sender": sender(summary),
        "recipients": recipients,
        "state": summary.state.as_str(),
        "reverse_path": summary.sender,
        "mailbox": summary.mailbox,
        "reason": summary.reason,
        "attempts": summary.attempts,
        "due": summary.due.map(|due| due.to_string()),
        "accepted_at": summary.accepted_at.to_string(),
        "subject": summary.subject,
        "message_id": summary.message_id,
        "client": summary.origin.client,
        "damage": summary.damage,
        "why": why_value(&message_why),
    })
}

fn recipient(summary: &Summary, delivery: &Delivery, now: Timestamp) -> Value {
    let mut value = json!({
        "address": delivery.recipient.path.as_str(),
        "state": delivery.state.as_str(),
        "reason": delivery.reason,
        "status": delivery.status.map(|status| status.to_string()),
        "reply": delivery.reply,
        "due": delivery.due.map(|due| due.to_string()),
        "why": why_value(&words(summary, delivery, now)),
    });
    // Postfix leaves the member out where there is nothing to say.
    if let (Some(reason), Some(members)) = (delay_reason(delivery), value.as_object_mut()) {
        members.insert("delay_reason".to_owned(), reason.into());
    }
    value
}

/// The explanation for programs.
pub(super) fn why_value(why: &Why) -> Value {
    json!({ "text": why.text, "next": why.next, "who": why.who, "id": why.id, "fix": why.fix })
}

/// What stands between the parentheses of `mailq`: the last words about a recipient.
fn delay_reason(delivery: &Delivery) -> Option<String> {
    let text = match (delivery.reply.as_str(), delivery.reason.as_str()) {
        ("", "") => return None,
        ("", reason) => reason,
        (reply, _) => reply,
    };
    Some(why::one_line(text))
}

/// A claimed message's recipients are on their way whatever was said before.
fn words(summary: &Summary, delivery: &Delivery, now: Timestamp) -> Why {
    let is_claimed = summary.state == State::Claimed && delivery.state == RecipientState::Waiting;
    if is_claimed || matches!(summary.state, State::Removed | State::Damaged) {
        why::of_message(summary, now)
    } else {
        why::of_delivery(summary, delivery, now)
    }
}

/// The queue of Postfix that is nearest; `removed` and `settled` are ours alone.
fn queue_name(summary: &Summary) -> &'static str {
    match summary.state {
        State::Claimed => "active",
        State::Waiting if summary.attempts == 0 => "incoming",
        State::Waiting | State::Suspect => "deferred",
        State::Held => "hold",
        State::Damaged => "corrupt",
        State::Removed => "removed",
        _ => "settled",
    }
}

fn sender(summary: &Summary) -> &str {
    if summary.sender.is_empty() {
        NOBODY
    } else {
        &summary.sender
    }
}

/// A text without what could act on a terminal, cut to a length.
pub(super) fn cut(text: &str, characters: usize) -> Cow<'_, str> {
    if text.chars().count() <= characters {
        return visible(text);
    }
    let head: String = text.chars().take(characters.saturating_sub(1)).collect();
    Cow::Owned(format!("{}…", visible(&head)))
}
