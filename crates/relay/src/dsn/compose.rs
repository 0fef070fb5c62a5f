//! The text of a notice: for people, for programs, and what is returned.

use std::fmt::Write as _;

use jiff::Timestamp;
use memchr::memmem;
use sendas_envelope::header::Header;
use sendas_envelope::{Address, EnvelopeId, ForwardPath};

use super::{Action, Fate};

/// What a notice says about its message.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The notice's own name, for its Message-ID and its boundary.
    pub id: String,
    /// The relay's name.
    pub hostname: String,
    /// Who it is from.
    pub from: Address,
    /// Who reads it.
    pub to: Address,
    /// When it is written.
    pub now: Timestamp,
    /// When the message was accepted.
    pub arrived_at: Timestamp,
    /// The message's name in the queue.
    pub queue_id: String,
    /// The message's own Message-ID; empty without one.
    pub message_id: String,
    /// The sender's name for the transaction.
    pub envelope_id: Option<EnvelopeId>,
    /// The host of the service.
    pub service: String,
}

/// What is returned of the message.
#[derive(Clone, Copy, Debug)]
pub enum Original<'a> {
    /// Its header.
    Header(&'a [u8]),
    /// All of it.
    Whole(&'a [u8]),
}

/// Writes a notice about one or more recipients, which share one action.
pub fn compose(facts: &Facts, fates: &[Fate], original: Original<'_>) -> Vec<u8> {
    let action = fates.first().map_or(Action::Failed, |fate| fate.action);
    let (kind, returned) = match original {
        Original::Header(octets) => ("text/rfc822-headers", header_of(octets)),
        Original::Whole(octets) => ("message/rfc822", octets),
    };
    let boundary = boundary(&facts.id, returned);
    let mut out = String::with_capacity(2048);
    head(facts, action, &boundary, &mut out);
    _ = write!(
        out,
        "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n"
    );
    for_people(facts, action, fates, &mut out);
    _ = write!(
        out,
        "\r\n--{boundary}\r\nContent-Type: message/delivery-status\r\n\r\n"
    );
    for_programs(facts, fates, &mut out);
    let encoding = if returned.is_ascii() { "7bit" } else { "8bit" };
    _ = write!(
        out,
        "\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    );
    let mut out = out.into_bytes();
    out.extend_from_slice(returned);
    if !returned.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out
}

fn head(facts: &Facts, action: Action, boundary: &str, out: &mut String) {
    let subject = match action {
        Action::Failed => "Undelivered mail",
        Action::Delayed => "Delayed mail",
        Action::Relayed => "Mail passed on",
    };
    _ = write!(
        out,
        "From: Mail relay <{}>\r\nTo: <{}>\r\nSubject: {subject}\r\nDate: {}\r\n\
         Message-ID: <{}@{}>\r\n",
        facts.from,
        facts.to,
        date(facts.now),
        facts.id,
        facts.hostname
    );
    if is_message_id(&facts.message_id) {
        _ = write!(
            out,
            "In-Reply-To: {0}\r\nReferences: {0}\r\n",
            facts.message_id
        );
    }
    _ = write!(
        out,
        "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\r\n\
         This is a notice about a mail message, in MIME format.\r\n\r\n"
    );
}

fn for_people(facts: &Facts, action: Action, fates: &[Fate], out: &mut String) {
    let first = match action {
        Action::Failed => "This message could not be delivered to:",
        Action::Delayed => {
            "This message has not been delivered yet; it is tried again. It waits for:"
        }
        Action::Relayed => {
            "This message was passed on to a system that does not tell about delivery, for:"
        }
    };
    _ = write!(out, "{first}\r\n");
    for fate in fates {
        _ = write!(out, "\r\n  {}\r\n", fate.recipient.path.as_str());
        let whose = if fate.is_from_service {
            "Microsoft's answer: "
        } else {
            "Reason: "
        };
        wrapped(&format!("{whose}{}", plain(&fate.reply)), out);
        if let Some(until) = fate.until {
            let is = if action == Action::Failed {
                "was"
            } else {
                "is"
            };
            _ = write!(out, "    It {is} tried until {}.\r\n", date(until));
        }
    }
    _ = write!(
        out,
        "\r\nIt was handed to {} on {} and is known there as {}.\r\n",
        facts.hostname,
        date(facts.arrived_at),
        facts.queue_id
    );
}

fn for_programs(facts: &Facts, fates: &[Fate], out: &mut String) {
    if let Some(id) = &facts.envelope_id {
        _ = write!(out, "Original-Envelope-Id: {}\r\n", id.as_str());
    }
    _ = write!(
        out,
        "Reporting-MTA: dns; {}\r\nArrival-Date: {}\r\n",
        facts.hostname,
        date(facts.arrived_at)
    );
    for fate in fates {
        out.push_str("\r\n");
        if let Some(original) = &fate.recipient.original {
            _ = write!(
                out,
                "Original-Recipient: {};{}\r\n",
                original.kind(),
                original.as_str()
            );
        }
        _ = write!(
            out,
            "Final-Recipient: {}\r\nAction: {}\r\nStatus: {}\r\n",
            typed(&fate.recipient.path),
            fate.action.as_str(),
            fate.status
        );
        if fate.is_from_service {
            _ = write!(
                out,
                "Remote-MTA: dns; {}\r\nDiagnostic-Code: smtp; {}\r\n",
                facts.service,
                folded(&fate.reply)
            );
        } else {
            _ = write!(
                out,
                "Diagnostic-Code: x-sendas; {}\r\n",
                folded(&fate.reply)
            );
        }
        _ = write!(out, "Last-Attempt-Date: {}\r\n", date(facts.now));
        if let Some(until) = fate.until
            && fate.action == Action::Delayed
        {
            _ = write!(out, "Will-Retry-Until: {}\r\n", date(until));
        }
    }
}

/// RFC 3464 §2.1.2; an address beyond ASCII as RFC 6533 §3 writes it where only ASCII may stand.
fn typed(path: &ForwardPath) -> String {
    let text = path.as_str();
    if text.is_ascii() {
        return format!("rfc822;{text}");
    }
    let mut out = String::from("utf-8;");
    for c in text.chars() {
        if c.is_ascii_graphic() && !matches!(c, '\\' | '+' | '=') {
            out.push(c);
        } else {
            _ = write!(out, "\\x{{{:X}}}", u32::from(c));
        }
    }
    out
}

/// One line of printable ASCII: a reply may hold anything.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
        .take(1000)
        .collect()
}

/// Cut into continuation lines, none of them long (RFC 5322 §2.1.1).
fn folded(text: &str) -> String {
    words_in_lines(&plain(text)).join("\r\n\t")
}

fn wrapped(text: &str, out: &mut String) {
    for line in words_in_lines(text) {
        _ = write!(out, "    {line}\r\n");
    }
}

fn words_in_lines(text: &str) -> Vec<String> {
    const COLUMNS: usize = 70;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + word.len() < COLUMNS {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// The header block with its last line's CRLF.
fn header_of(octets: &[u8]) -> &[u8] {
    match Header::scan(octets) {
        Ok(header) => {
            let end = header.fields().last().map_or(0, |field| field.range.end);
            &octets[..end]
        }
        Err(_) => memmem::find(octets, b"\r\n\r\n").map_or(&[][..], |end| &octets[..end + 2]),
    }
}

/// A boundary that does not occur in what is returned.
fn boundary(id: &str, returned: &[u8]) -> String {
    let mut n = 0u32;
    loop {
        let boundary = format!("=_sendas_{id}_{n}");
        if memmem::find(returned, boundary.as_bytes()).is_none() {
            return boundary;
        }
        n += 1;
    }
}

fn is_message_id(text: &str) -> bool {
    text.starts_with('<')
        && text.ends_with('>')
        && text.len() <= 250
        && text.bytes().all(|b| b.is_ascii_graphic())
}

fn date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}
