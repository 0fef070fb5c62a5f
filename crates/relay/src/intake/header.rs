//! The header: judged, completed, and otherwise left as it is.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use bytes::{BufMut as _, Bytes, BytesMut};
use sendas_envelope::header::{Field, Header, HeaderError};

use super::author::{self, Author};
use super::{Facts, IntakeError};
use crate::limits::{HOPS_MAX, OWN_HOPS_MAX};

/// A header that may go on.
pub(super) struct Edited {
    pub(super) octets: Bytes,
    pub(super) message_id: String,
    pub(super) subject: String,
}

/// The fields that name hidden recipients.
const HIDDEN: [&str; 2] = ["Bcc", "Resent-Bcc"];

/// The fields that are given when missing; an empty one is missing too, and goes.
const GIVEN: [&str; 2] = ["Date", "Message-ID"];

/// Judges and completes a header without its empty line.
pub(super) fn edit(octets: &[u8], facts: &Facts) -> Result<Edited, IntakeError> {
    let header = Header::scan(octets).map_err(|error| match error {
        HeaderError::NotAField(line) => IntakeError::NotAField(line),
        HeaderError::LineEnd(line) => IntakeError::LineEnd(line),
        _ => IntakeError::HeaderTooLong,
    })?;
    check_hops(&header, facts)?;
    let author = author::judge(&header, facts)?;
    let message_id = header
        .named("Message-ID")
        .find(|field| !is_empty(&header, field))
        .map(|field| String::from_utf8_lossy(raw_value(&header, field).trim_ascii()));
    let added_id = message_id
        .is_none()
        .then(|| format!("<{}@{}>", facts.id, facts.hostname));
    let mut out = BytesMut::with_capacity(octets.len() + 1024);
    received(facts, &mut out);
    if header.named("Date").all(|field| is_empty(&header, field)) {
        put(&mut out, "Date", &date(facts));
    }
    if let Some(id) = &added_id {
        put(&mut out, "Message-ID", id);
    }
    let removed = rewrite(&header, &author, facts, &mut out);
    copy(octets, &header, &removed, &mut out);
    Ok(Edited {
        octets: out.freeze(),
        message_id: added_id
            .or_else(|| message_id.map(Cow::into_owned))
            .unwrap_or_default(),
        subject: header
            .first("Subject")
            .map(Cow::into_owned)
            .unwrap_or_default(),
    })
}

/// Whether a line has the form of a field: a name of printable ASCII, and a colon.
pub(super) fn is_field(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else {
        return false;
    };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

/// Adds the fields that the judgement asks for; says which old ones go.
fn rewrite(
    header: &Header<'_>,
    author: &Author,
    facts: &Facts,
    out: &mut BytesMut,
) -> Vec<Range<usize>> {
    let mut removed: Vec<Range<usize>> = HIDDEN
        .iter()
        .flat_map(|name| header.named(name))
        .chain(
            GIVEN
                .iter()
                .flat_map(|name| header.named(name))
                .filter(|field| is_empty(header, field)),
        )
        .map(|field| field.range.clone())
        .collect();
    match author {
        Author::Kept => {}
        Author::Missing(address) => put(out, "From", &address.to_string()),
        Author::Replaced(address) => {
            put(out, "From", &address.to_string());
            let has_reply_to = header.named("Reply-To").next().is_some();
            for (at, field) in header.named("From").enumerate() {
                let value = raw_value(header, field);
                if at == 0 && !has_reply_to && author::is_list(header, field) {
                    put_raw(out, "Reply-To", value);
                }
                put_raw(out, "X-Original-From", value);
                removed.push(field.range.clone());
            }
            for name in ["Sender", "Resent-From", "Resent-Sender"] {
                for field in header.named(name) {
                    if !author::is_allowed(header, field, facts) {
                        put_raw(out, &format!("X-Original-{name}"), raw_value(header, field));
                        removed.push(field.range.clone());
                    }
                }
            }
        }
    }
    removed.sort_by_key(|range| range.start);
    removed
}

/// Whether a field says nothing.
fn is_empty(header: &Header<'_>, field: &Field) -> bool {
    raw_value(header, field).trim_ascii().is_empty()
}

/// Copies every field that stays, octet for octet.
fn copy(octets: &[u8], header: &Header<'_>, removed: &[Range<usize>], out: &mut BytesMut) {
    let mut at = 0;
    for range in removed {
        out.put_slice(&octets[at..range.start]);
        at = range.end;
    }
    out.put_slice(&octets[at..]);
    if !header.fields().is_empty() && !out.ends_with(b"\r\n") {
        out.put_slice(b"\r\n");
    }
}

fn raw_value<'a>(header: &Header<'a>, field: &Field) -> &'a [u8] {
    let whole = header.octets();
    &whole[field.value.clone()]
}

/// RFC 5321 §4.4. No `for`: it would tell each recipient about the others.
fn received(facts: &Facts, out: &mut BytesMut) {
    let mut text = String::with_capacity(160);
    _ = write!(
        text,
        "from {} ({})\r\n\tby {} (sendas) with {} id {};\r\n\t{}",
        word(&facts.greeting),
        facts.peer,
        facts.hostname,
        facts.protocol,
        facts.id,
        date(facts)
    );
    put(out, "Received", &text);
}

/// A client's own name as it may stand in Received: anything that could end a word or open a
/// comment there becomes a question mark.
fn word(greeting: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if greeting.is_empty() {
        return "unknown".to_owned();
    }
    greeting
        .chars()
        .map(|c| if plain(c) { c } else { '?' })
        .collect()
}

/// RFC 5322 §3.3, in UTC.
pub(super) fn date(facts: &Facts) -> String {
    facts
        .now
        .strftime("%a, %d %b %Y %H:%M:%S +0000")
        .to_string()
}

fn put(out: &mut BytesMut, name: &str, value: &str) {
    put_raw(out, name, format!(" {value}").as_bytes());
}

/// Writes a field with a value as it stood in another: folds and all.
fn put_raw(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.put_slice(name.as_bytes());
    out.put_u8(b':');
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

fn check_hops(header: &Header<'_>, facts: &Facts) -> Result<(), IntakeError> {
    let own = format!("by {} (sendas)", facts.hostname);
    let (mut hops, mut own_hops) = (0, 0);
    for field in header.named("Received") {
        hops += 1;
        own_hops += usize::from(header.value(field).contains(&own));
    }
    if hops > HOPS_MAX || own_hops >= OWN_HOPS_MAX {
        return Err(IntakeError::Loop);
    }
    Ok(())
}
