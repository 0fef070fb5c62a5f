//! The token endpoint's answer: what it grants, or why it refuses.
//!
//! Pure: octets and a moment in, a value out. Decisions rest on `error` and `error_codes`, never on
//! the text of a description.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::aadsts::{self, Aadsts};
use crate::limits::{RETRY_AFTER_S_DEFAULT, RETRY_AFTER_S_MAX, TOKEN_LIFE_S_MAX, TOKEN_OCTETS_MAX};

/// What a token answer grants. The text cannot be printed.
pub struct Grant {
    /// The access token.
    pub text: Zeroizing<String>,
    /// How long it lives, counted from the request; at most [`TOKEN_LIFE_S_MAX`].
    pub life: Duration,
    /// When to fetch the next one, counted from the request, where the answer says so.
    pub refresh_in: Option<Duration>,
}

/// The refusal of a token request, with the service's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The OAuth error (`invalid_client`), or the code of another error shape; empty when the
    /// answer holds none.
    pub error: String,
    /// The numbers of `error_codes`, the first one being the cause.
    pub codes: Vec<u32>,
    /// The service's own words, control characters replaced by spaces, cut at 2,000 characters.
    pub words: String,
    /// What Microsoft's support asks for first.
    pub trace_id: Option<String>,
    /// What joins the logs of several services.
    pub correlation_id: Option<String>,
    /// A finer cause, where given.
    pub suberror: Option<String>,
    /// How long the service wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The service refused.
    Refused(Box<Refusal>),
    /// Status 200, but not a token answer.
    NotUnderstood {
        /// What is missing or wrong.
        reason: &'static str,
    },
}

/// Characters of a description that are kept.
const WORDS_MAX: usize = 2000;

/// Reads an answer. `retry_after` is the header of that name; `now` turns dates into durations.
///
/// # Errors
/// [`Unusable`] for everything but a token answer with status 200.
pub fn parse(
    status: u16,
    body: &[u8],
    retry_after: Option<&str>,
    now: Timestamp,
) -> Result<Grant, Unusable> {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let object = json.as_ref().and_then(Value::as_object);
    if status != 200 {
        let wait = wait(status, retry_after, now);
        return Err(Unusable::Refused(Box::new(refusal(
            status, object, body, wait,
        ))));
    }
    let not = |reason| Unusable::NotUnderstood { reason };
    let object = object.ok_or(not("the answer is not a JSON object"))?;
    if object.contains_key("error") && !object.contains_key("access_token") {
        return Err(Unusable::Refused(Box::new(refusal(
            status,
            Some(object),
            body,
            None,
        ))));
    }
    grant(object, now).map_err(not)
}

impl Refusal {
    /// What the catalogue knows of the first code it knows.
    pub fn entry(&self) -> Option<&'static Aadsts> {
        self.codes.iter().find_map(|&code| aadsts::lookup(code))
    }

    /// Whether asking again later helps without anybody acting.
    ///
    /// 408, 429 and 5xx are temporary, and so are the codes the catalogue calls temporary, and
    /// OAuth's `temporarily_unavailable` and `server_error`.
    pub fn is_temporary(&self) -> bool {
        match self.entry() {
            Some(entry) if entry.is_temporary() => return true,
            Some(_) if self.status < 500 && self.status != 429 => return false,
            _ => {}
        }
        matches!(self.status, 408 | 429 | 500..=599)
            || matches!(
                self.error.as_str(),
                "temporarily_unavailable" | "server_error"
            )
    }

    /// Whether a credential or object made minutes ago explains it.
    pub fn may_be_too_young(&self) -> bool {
        self.entry().is_some_and(Aadsts::may_be_too_young)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if !self.error.is_empty() {
            write!(f, " {}", self.error)?;
        }
        if !self.words.is_empty() {
            write!(f, ": {}", self.words)?;
        }
        Ok(())
    }
}

/// Shows the times only.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("life", &self.life)
            .field("refresh_in", &self.refresh_in)
            .finish_non_exhaustive()
    }
}

fn grant(object: &Map<String, Value>, now: Timestamp) -> Result<Grant, &'static str> {
    let text = object
        .get("access_token")
        .and_then(Value::as_str)
        .ok_or("the answer has no access_token")?;
    if text.is_empty() || text.len() > TOKEN_OCTETS_MAX {
        return Err("the access_token is empty, or longer than any token");
    }
    if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err("the access_token holds other octets than visible ASCII");
    }
    let bearer = |kind: &str| kind.eq_ignore_ascii_case("Bearer");
    if object
        .get("token_type")
        .is_some_and(|kind| !kind.as_str().is_some_and(bearer))
    {
        return Err("the token_type is not Bearer");
    }
    let seconds = match (number(object, "expires_in"), number(object, "expires_on")) {
        (Some(seconds), _) => seconds,
        (None, Some(epoch)) => epoch.saturating_sub(now.as_second()),
        (None, None) => return Err("the answer says neither expires_in nor expires_on"),
    };
    let seconds = u64::try_from(seconds).unwrap_or(0);
    if seconds == 0 {
        return Err("the token has already expired; is the clock of this machine right?");
    }
    let seconds = seconds.min(TOKEN_LIFE_S_MAX);
    let refresh_in = number(object, "refresh_in")
        .and_then(|refresh| u64::try_from(refresh).ok())
        .filter(|&refresh| refresh < seconds)
        .map(Duration::from_secs);
    Ok(Grant {
        text: Zeroizing::new(text.to_owned()),
        life: Duration::from_secs(seconds),
        refresh_in,
    })
}

/// A whole number, as JSON number or as text; v1.0 endpoints and managed identities send text.
fn number(object: &Map<String, Value>, key: &str) -> Option<i64> {
    match object.get(key)? {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_u64().map(|_| i64::MAX)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Three shapes exist: OAuth's flat one, Graph's and Service Fabric's `error` object, and the
/// `message` of App Service. Anything else is quoted as it is.
fn refusal(
    status: u16,
    object: Option<&Map<String, Value>>,
    body: &[u8],
    retry_after: Option<Duration>,
) -> Refusal {
    let text = |object: &Map<String, Value>, key: &str| {
        object
            .get(key)
            .and_then(Value::as_str)
            .map(printable)
            .filter(|text| !text.is_empty())
    };
    let empty = Map::new();
    let flat = object.unwrap_or(&empty);
    let nested = flat.get("error").and_then(Value::as_object);
    let error = match nested {
        Some(nested) => text(nested, "code"),
        None => text(flat, "error"),
    };
    let words = text(flat, "error_description")
        .or_else(|| nested.and_then(|nested| text(nested, "message")))
        .or_else(|| text(flat, "message"))
        .or_else(|| text(flat, "Message"));
    let quoted = || {
        let cut = body.get(..WORDS_MAX.min(body.len())).unwrap_or_default();
        printable(&String::from_utf8_lossy(cut))
    };
    Refusal {
        status,
        words: words.unwrap_or_else(|| {
            if error.is_some() {
                String::new()
            } else {
                quoted()
            }
        }),
        error: error.unwrap_or_default(),
        codes: codes(flat),
        trace_id: text(flat, "trace_id"),
        correlation_id: text(flat, "correlation_id"),
        suberror: text(flat, "suberror"),
        retry_after,
    }
}

fn codes(object: &Map<String, Value>) -> Vec<u32> {
    let code = |value: &Value| match value {
        Value::Number(number) => number.as_u64().and_then(|code| u32::try_from(code).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let list = object.get("error_codes").and_then(Value::as_array);
    list.map(|list| list.iter().take(16).filter_map(code).collect())
        .unwrap_or_default()
}

/// One line: control characters become spaces, so that an answer cannot forge lines of a log.
fn printable(text: &str) -> String {
    let line: String = text
        .chars()
        .take(WORDS_MAX)
        .map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                c
            }
        })
        .collect();
    line.trim().to_owned()
}

/// How long to leave the service alone: the header (seconds or a date), else a default for 429 and
/// 503.
fn wait(status: u16, header: Option<&str>, now: Timestamp) -> Option<Duration> {
    let throttled = matches!(status, 429 | 503);
    if !throttled && !(500..=599).contains(&status) {
        return None;
    }
    let seconds = header
        .map(str::trim)
        .and_then(|header| match header.parse::<u64>() {
            Ok(seconds) => Some(seconds),
            Err(_) if !header.is_empty() && header.bytes().all(|octet| octet.is_ascii_digit()) => {
                Some(u64::MAX)
            }
            Err(_) => {
                let date = rfc2822::DateTimeParser::new()
                    .parse_timestamp(header)
                    .ok()?;
                Some(u64::try_from(date.as_second().saturating_sub(now.as_second())).unwrap_or(0))
            }
        });
    let seconds = seconds.or(throttled.then_some(RETRY_AFTER_S_DEFAULT))?;
    Some(Duration::from_secs(seconds.min(RETRY_AFTER_S_MAX)))
}

#[cfg(test)]
mod tests;
