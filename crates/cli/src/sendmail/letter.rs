//! From a caller's message to one that can be sent: recipients and sender found, hidden
//! recipients removed, missing fields added, senders that nobody covers replaced. Pure.
//!
//! The body is not looked at, and a field that needs nothing stays octet for octet.

use std::fmt::Write as _;
use std::ops::Range;

use jiff::Timestamp;
use sendas_envelope::header::{Field, Header};
use sendas_envelope::list::{self, Entry};
use sendas_envelope::{Address, Mailbox, ReversePath};

use super::options::Call;
use super::senders::Senders;
use super::sysexits::{Sysexit, Trouble};
use super::user::User;
use crate::clock;

/// Everything a message is judged with.
pub(super) struct Circumstances<'a> {
    pub(super) call: &'a Call,
    pub(super) user: &'a User,
    pub(super) senders: &'a Senders<'a>,
    pub(super) now: Timestamp,
    /// Whether the recipients are known from elsewhere.
    pub(super) has_envelope: bool,
    /// What stands before the `@` of a Message-ID that is added.
    pub(super) unique: String,
}

/// A message that can be sent.
#[derive(Debug)]
pub(super) struct Letter {
    /// The header with its empty line.
    pub(super) head: Vec<u8>,
    /// Where the body begins in what was read.
    pub(super) body_start: usize,
    pub(super) sender: ReversePath,
    pub(super) mailbox: Mailbox,
    pub(super) recipients: Vec<Address>,
    pub(super) subject: String,
    pub(super) message_id: String,
    /// What was changed, for the caller to know.
    pub(super) remarks: Vec<String>,
}

/// Fields that name hidden recipients.
const HIDDEN: [&str; 2] = ["Bcc", "Resent-Bcc"];

/// Fields with addresses that may lack a domain.
const LISTS: [&str; 7] = [
    "To",
    "Cc",
    "Reply-To",
    "Sender",
    "Resent-From",
    "Resent-To",
    "Resent-Cc",
];

/// Completes a message of which the header, and perhaps more, has been read.
///
/// # Errors
/// When nobody is to get it, an address is none, or nobody could send it.
pub(super) fn write(start: &[u8], given: &Circumstances<'_>) -> Result<Letter, Trouble> {
    let parts = split(start);
    let block = &start[parts.header.clone()];
    let header = Header::scan(block).map_err(Trouble::data)?;
    let recipients = recipients(&header, given)?;
    let mut remarks = Vec::new();
    let authors = addresses(&header, "From", given.senders.domain());
    let sender = sender(&header, authors.as_deref().ok(), given, &mut remarks)?;
    let (envelope_sender, visible) = sender;
    let mailbox = given.senders.mailbox(&visible).ok_or_else(|| {
        Trouble::new(
            Sysexit::Configuration,
            format!("no principal sends for {visible}"),
        )
    })?;

    let mut out = Vec::with_capacity(block.len() + 512);
    let mut at = 0;
    for field in header.fields() {
        out.extend_from_slice(&block[at..field.range.start]);
        at = field.range.end;
        match replacement(&header, field, &authors, &visible, given, &mut remarks) {
            Fate::Kept => {
                out.extend_from_slice(&block[field.range.clone()]);
                if !out.ends_with(b"\r\n") {
                    out.extend_from_slice(b"\r\n");
                }
            }
            Fate::Gone => {}
            Fate::Replaced(fields) => out.extend_from_slice(fields.as_bytes()),
        }
    }
    let mut add = |name: &str, value: &str| {
        if let Some(found) = header.first(name).filter(|found| !found.is_empty()) {
            return found.into_owned();
        }
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        value.to_owned()
    };
    if header.named("From").next().is_none() {
        let name = given
            .call
            .name
            .as_deref()
            .or(given.user.full_name.as_deref());
        add("From", &written(name, &visible));
    }
    add("Date", &clock::date_field(given.now));
    let id = format!("<{}@{}>", given.unique, visible.domain());
    let message_id = add("Message-ID", &id);
    out.extend_from_slice(b"\r\n");
    Ok(Letter {
        head: out,
        body_start: parts.body,
        sender: envelope_sender,
        mailbox,
        recipients,
        subject: header
            .first("Subject")
            .map(std::borrow::Cow::into_owned)
            .unwrap_or_default(),
        message_id,
        remarks,
    })
}

/// Reads one argument that names recipients, as `a@b.c`, `root`, or several with commas.
///
/// # Errors
/// When it is no address.
pub(super) fn argument(text: &str, domain: &str) -> Result<Vec<Address>, Trouble> {
    let entries = list::parse_local(text, domain)
        .map_err(|error| Trouble::new(Sysexit::NoUser, format!("{text}: {error}")))?;
    if entries.is_empty() {
        return Err(Trouble::new(
            Sysexit::NoUser,
            format!("\u{201c}{text}\u{201d} names nobody"),
        ));
    }
    Ok(entries.into_iter().map(|entry| entry.address).collect())
}

struct Parts {
    header: Range<usize>,
    body: usize,
}

/// Finds the header: behind the separator lines of a mailbox file, up to an empty line or to one
/// that is no field. What begins without a field is body from its first line on.
fn split(start: &[u8]) -> Parts {
    let line = |at: usize| {
        memchr::memmem::find(&start[at..], b"\r\n").map_or(start.len(), |length| at + length + 2)
    };
    let mut first = 0;
    while start[first..].starts_with(b"From ") || start[first..].starts_with(b">From ") {
        first = line(first);
    }
    let mut at = first;
    while at < start.len() {
        let next = line(at);
        let text = &start[at..next];
        if text == b"\r\n" {
            return Parts {
                header: first..at,
                body: next,
            };
        }
        let is_folded = at > first && matches!(text[0], b' ' | b'\t');
        if !is_folded && !is_field(text) {
            break;
        }
        at = next;
    }
    Parts {
        header: first..at,
        body: at,
    }
}

fn is_field(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else {
        return false;
    };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

/// Arguments first, then what the header names; each once. A message that is sent on again goes
/// to those it is sent on to, and to nobody else.
fn recipients(header: &Header<'_>, given: &Circumstances<'_>) -> Result<Vec<Address>, Trouble> {
    if given.has_envelope {
        return Ok(Vec::new());
    }
    let domain = given.senders.domain();
    let mut all: Vec<Address> = Vec::new();
    let mut add = |more: Vec<Address>| {
        for address in more {
            if !all.iter().any(|known| known.same_mailbox(&address)) {
                all.push(address);
            }
        }
    };
    for text in &given.call.recipients {
        add(argument(text, domain)?);
    }
    if given.call.extract {
        let resent = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
        let is_resent = resent
            .iter()
            .any(|name| header.named(name).next().is_some());
        let names = if is_resent {
            resent
        } else {
            ["To", "Cc", "Bcc"]
        };
        for name in names {
            let entries = addresses(header, name, domain)?;
            add(entries.into_iter().map(|entry| entry.address).collect());
        }
    }
    if all.is_empty() {
        return Err(if given.call.extract {
            Trouble::data("neither the arguments nor the header name a recipient")
        } else {
            Trouble::new(
                Sysexit::Usage,
                "nobody is to get it: no recipient, and no -t",
            )
        });
    }
    Ok(all)
}

/// The reverse-path, and the address that stands for it where one is seen.
///
/// Who gives none is the author of the header if a principal covers it, else the calling user.
/// One that nobody covers gives way to the first mailbox that is named in full, since a cron job
/// cannot be asked again.
fn sender(
    header: &Header<'_>,
    authors: Option<&[Entry]>,
    given: &Circumstances<'_>,
    remarks: &mut Vec<String>,
) -> Result<(ReversePath, Address), Trouble> {
    let senders = given.senders;
    let covered_author = || {
        let own = addresses(header, "Sender", senders.domain()).unwrap_or_default();
        own.iter()
            .chain(authors.unwrap_or_default())
            .map(|entry| &entry.address)
            .find(|address| senders.covers(address))
            .cloned()
    };
    let user = || {
        list::parse_local(&given.user.name, senders.domain())
            .ok()
            .and_then(|entries| entries.into_iter().next())
            .map(|entry| entry.address)
    };
    let wanted = match given.call.sender.as_deref() {
        Some("") => {
            let visible = covered_author()
                .or_else(|| senders.fallback().cloned())
                .or_else(user)
                .ok_or_else(|| Trouble::new(Sysexit::Configuration, "no mailbox sends for <>"))?;
            return Ok((ReversePath::Null, visible));
        }
        Some(text) => match list::parse_local(text, senders.domain()) {
            Ok(entries) if entries.len() == 1 => entries[0].address.clone(),
            Ok(_) => return Err(Trouble::data(format!("-f {text}: not one address"))),
            Err(error) => return Err(Trouble::data(format!("-f {text}: {error}"))),
        },
        None => match covered_author().or_else(user) {
            Some(address) => address,
            None => return Err(Trouble::data("nobody says who sends it; give -f")),
        },
    };
    if senders.covers(&wanted) {
        return Ok((wanted.clone().into(), wanted));
    }
    let instead = senders.instead_of(&wanted)?;
    remarks.push(format!(
        "no principal sends for {wanted}; it is sent as {instead}"
    ));
    Ok((instead.clone().into(), instead))
}

enum Fate {
    Kept,
    Gone,
    Replaced(String),
}

/// What becomes of one field.
fn replacement(
    header: &Header<'_>,
    field: &Field,
    authors: &Result<Vec<Entry>, Trouble>,
    visible: &Address,
    given: &Circumstances<'_>,
    remarks: &mut Vec<String>,
) -> Fate {
    let name = String::from_utf8_lossy(header.name(field)).into_owned();
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    if HIDDEN.iter().any(|hidden| is(hidden)) {
        return Fate::Gone;
    }
    if is("From") {
        return author(header, field, authors, visible, given, remarks);
    }
    for (added, value) in [("Date", ""), ("Message-ID", "")] {
        // An empty one is written anew below.
        if is(added) && header.value(field) == value {
            return Fate::Gone;
        }
    }
    if LISTS.iter().any(|list| is(list)) {
        let value = header.value(field);
        if list::parse(&value).is_err()
            && let Ok(entries) = list::parse_local(&value, given.senders.domain())
        {
            return Fate::Replaced(format!("{name}: {}\r\n", all_written(&entries)));
        }
    }
    Fate::Kept
}

/// From: kept where a principal covers it; the service refuses every other (S-SEND-AS-DENIED).
fn author(
    header: &Header<'_>,
    field: &Field,
    authors: &Result<Vec<Entry>, Trouble>,
    visible: &Address,
    given: &Circumstances<'_>,
    remarks: &mut Vec<String>,
) -> Fate {
    let value = header.value(field).into_owned();
    let is_first = header.named("From").next() == Some(field);
    let entries = match authors {
        Ok(entries) if !entries.is_empty() && is_first => entries.as_slice(),
        _ => &[],
    };
    let is_covered = !entries.is_empty()
        && entries
            .iter()
            .all(|entry| given.senders.covers(&entry.address));
    let is_whole = list::parse(&value).is_ok();
    if is_covered && is_whole {
        return Fate::Kept;
    }
    if is_covered {
        return Fate::Replaced(format!("From: {}\r\n", all_written(entries)));
    }
    let display = entries
        .first()
        .and_then(|entry| entry.display.clone())
        .or_else(|| comment(&value))
        .or_else(|| given.call.name.clone());
    let mut fields = String::new();
    if is_first {
        _ = write!(fields, "From: {}\r\n", written(display.as_deref(), visible));
        if is_whole && !entries.is_empty() && header.named("Reply-To").next().is_none() {
            _ = write!(fields, "Reply-To: {}\r\n", all_written(entries));
        }
        remarks.push(format!(
            "no principal sends for From: {value}; it says {visible} now"
        ));
    }
    _ = write!(fields, "X-Original-From: {value}\r\n");
    Fate::Replaced(fields)
}

/// The only comment at the end, which is how cron writes names: `root (Cron Daemon)`.
fn comment(value: &str) -> Option<String> {
    let inner = value.strip_suffix(')')?.split_once('(')?.1;
    (!inner.is_empty() && !inner.contains(['(', ')', '\\'])).then(|| inner.to_owned())
}

fn addresses(header: &Header<'_>, name: &str, domain: &str) -> Result<Vec<Entry>, Trouble> {
    let mut all = Vec::new();
    for field in header.named(name) {
        let value = header.value(field);
        let entries = list::parse_local(&value, domain)
            .map_err(|error| Trouble::data(format!("the {name} field: {error}")))?;
        all.extend(entries);
    }
    Ok(all)
}

fn all_written(entries: &[Entry]) -> String {
    entries
        .iter()
        .map(|entry| written(entry.display.as_deref(), &entry.address))
        .collect::<Vec<_>>()
        .join(", ")
}

/// An address with a display name (RFC 5322 §3.4), encoded where it is not ASCII (RFC 2047).
fn written(display: Option<&str>, address: &Address) -> String {
    let Some(name) = display.map(str::trim).filter(|name| !name.is_empty()) else {
        return address.to_string();
    };
    if !name.is_ascii() {
        return format!("{} <{address}>", encoded(name));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
    if name.chars().all(is_plain) {
        return format!("{name} <{address}>");
    }
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\" <{address}>")
}

/// Encoded words of at most 75 characters, none of which cuts a character.
fn encoded(name: &str) -> String {
    const OCTETS_MAX: usize = 63;
    let mut words: Vec<String> = vec![String::new()];
    for c in name.chars() {
        let mut buffer = [0; 4];
        let text: String = c
            .encode_utf8(&mut buffer)
            .bytes()
            .map(|b| match b {
                b' ' => "_".to_owned(),
                b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
                b => format!("={b:02X}"),
            })
            .collect();
        if words
            .last()
            .is_some_and(|word| word.len() + text.len() > OCTETS_MAX)
        {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push_str(&text);
        }
    }
    words
        .iter()
        .map(|word| format!("=?utf-8?Q?{word}?="))
        .collect::<Vec<_>>()
        .join(" ")
}
