//! What the Exchange admin interface answers: rows, or refusals sorted by exception and text.

use sendas_entra::{HttpError, Response};
use serde_json::Value;

use crate::trouble::{CallError, Refused, Service, Trouble};
use crate::wire::{retry_after, words};

/// The rows of one page, and where the next one is.
pub(super) struct Page {
    pub(super) rows: Vec<Value>,
    pub(super) next: Option<String>,
}

/// Reads an answer. A cmdlet without output answers no body.
pub(super) fn read(asked: &str, answer: Result<Response, HttpError>) -> Result<Page, CallError> {
    let answer = answer.map_err(|source| CallError::NoAnswer {
        service: Service::Exchange,
        asked: asked.to_owned(),
        source,
    })?;
    if !answer.status.is_success() {
        return Err(CallError::Refused(Box::new(refusal(asked, &answer))));
    }
    if answer.body.is_empty() {
        return Ok(Page {
            rows: Vec::new(),
            next: None,
        });
    }
    let mut body: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| not_understood(asked, &error.to_string()))?;
    let next = body["@odata.nextLink"].as_str().map(str::to_owned);
    let rows = match body["value"].take() {
        Value::Array(rows) => rows,
        Value::Null => Vec::new(),
        one => vec![one],
    };
    Ok(Page { rows, next })
}

pub(super) fn not_understood(asked: &str, reason: &str) -> CallError {
    CallError::NotUnderstood {
        service: Service::Exchange,
        asked: asked.to_owned(),
        reason: words(reason),
    }
}

/// Takes a refusal apart. The useful text stands in `details[].message`, as hash, exception and
/// words joined by `|`; a body that is not JSON is quoted as it is.
fn refusal(asked: &str, answer: &Response) -> Refused {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let error = &body["error"];
    let code = error["code"].as_str().unwrap_or_default();
    let details = error["details"].as_array().map_or(&[][..], Vec::as_slice);
    let detail = details
        .iter()
        .filter_map(|detail| detail["message"].as_str())
        .find(|message| message.contains('|'))
        .or_else(|| details.first()?["message"].as_str());
    let inner = error["innererror"]["internalexception"]["message"].as_str();
    let message = error["message"].as_str();
    let (exception, text) = match detail {
        Some(detail) => split(detail),
        None => ("", inner.or(message).unwrap_or_default()),
    };
    let raw = String::from_utf8_lossy(&answer.body);
    let text = if text.is_empty() { &*raw } else { text };
    let header = answer
        .headers
        .get("x-exceptiontype")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let status = answer.status.as_u16();
    let request_id = answer
        .headers
        .get("request-id")
        .and_then(|value| value.to_str().ok());
    let short = exception.rsplit('.').next().unwrap_or_default();
    Refused {
        service: Service::Exchange,
        asked: asked.to_owned(),
        status,
        code: words(if short.is_empty() { code } else { short }),
        words: words(text),
        request_id: request_id.map(words),
        trouble: sort(status, code, &format!("{exception} {header}"), text),
        retry_after: retry_after(&answer.headers),
    }
}

/// Hash, exception and words; the words may hold further bars.
fn split(detail: &str) -> (&str, &str) {
    let mut parts = detail.splitn(3, '|');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(exception), Some(words)) => (exception, words),
        (Some(_), Some(words), None) | (Some(words), None, _) => ("", words),
        _ => ("", ""),
    }
}

fn sort(status: u16, code: &str, exception: &str, text: &str) -> Trouble {
    let text = text.to_ascii_lowercase();
    if text.contains("maximum number of concurrent requests") {
        return Trouble::Throttled;
    }
    // An accepted write that could not be passed on at once: look before doing it again.
    if exception.contains("UnableToWriteToAad") {
        return Trouble::Temporary;
    }
    match status {
        401 => return Trouble::Unauthorized,
        408 | 500..=599 => return Trouble::Temporary,
        429 => return Trouble::Throttled,
        _ => {}
    }
    if text.contains("not present in the role definition of the current user") {
        return Trouble::RoleMissing;
    }
    if text.contains("already exist")
        || text.contains("already enabled for customization")
        || exception.contains("AlreadyExist")
    {
        return Trouble::Exists;
    }
    if status == 404
        || code.contains("NotFound")
        || exception.contains("NotFound")
        || text.contains("couldn't be found")
    {
        return Trouble::NotFound;
    }
    if status == 403 {
        return Trouble::Forbidden;
    }
    Trouble::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_captured_refusal_is_taken_apart() {
        let body = r#"{"error":{"code":"NotFound","message":"Error executing cmdlet","details":[{"code":"Context","target":"","message":"Ex6F9304|Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException|The operation couldn't be performed because object 'a|b' couldn't be found on 'X'."}],"innererror":{"message":"Error executing cmdlet"}}}"#;
        let refused = refusal(
            "Get-CASMailbox",
            &Response {
                status: http::StatusCode::NOT_FOUND,
                headers: http::HeaderMap::new(),
                body: body.into(),
            },
        );
        assert_eq!(refused.code, "ManagementObjectNotFoundException");
        assert_eq!(refused.trouble, Trouble::NotFound);
        assert!(refused.words.contains("'a|b'"), "{}", refused.words);
    }

    #[test]
    fn refusals_are_sorted() {
        for (status, exception, text, expected) in [
            (400, "", "The name \"x\" already exists.", Trouble::Exists),
            (400, "A.ADObjectAlreadyExistsException", "", Trouble::Exists),
            (
                403,
                "",
                "The command 'x' is not present in the role definition of the current user.",
                Trouble::RoleMissing,
            ),
            (403, "", "no", Trouble::Forbidden),
            (
                400,
                "A.MemberNotFoundException",
                "The recipient isn't a member",
                Trouble::NotFound,
            ),
            (401, "", "", Trouble::Unauthorized),
            (
                400,
                "",
                "You have reached the maximum number of concurrent requests per tenant. Please wait and try again",
                Trouble::Throttled,
            ),
            (400, "UnableToWriteToAadException", "", Trouble::Temporary),
            (503, "", "<html>", Trouble::Temporary),
            (400, "", "something", Trouble::Other),
        ] {
            assert_eq!(
                sort(status, "", exception, text),
                expected,
                "{status} {text}"
            );
        }
    }
}
