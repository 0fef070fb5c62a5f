//! Graph's answers: values, or refusals sorted by code.

use sendas_entra::{HttpError, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::SERVICE;
use crate::trouble::{CallError, Refused, Trouble};
use crate::wire::{retry_after, words};

/// Reads the value of a successful answer.
pub(super) fn read<T: DeserializeOwned>(
    asked: &str,
    answer: Result<Response, HttpError>,
) -> Result<T, CallError> {
    let answer = accept(asked, answer)?;
    serde_json::from_slice(&answer.body).map_err(|error| not_understood(asked, &error.to_string()))
}

/// Takes a 2xx, and sorts everything else.
pub(super) fn accept(
    asked: &str,
    answer: Result<Response, HttpError>,
) -> Result<Response, CallError> {
    match answer {
        Ok(answer) if answer.status.is_success() => Ok(answer),
        Ok(answer) => Err(CallError::Refused(Box::new(refusal(asked, &answer)))),
        Err(source) => Err(CallError::NoAnswer {
            service: SERVICE,
            asked: asked.to_owned(),
            source,
        }),
    }
}

/// Takes the answer of a write that has nothing to tell: empty (204), or JSON.
pub(super) fn done(asked: &str, answer: Result<Response, HttpError>) -> Result<(), CallError> {
    let answer = accept(asked, answer)?;
    if answer.body.is_empty() {
        return Ok(());
    }
    serde_json::from_slice::<Value>(&answer.body)
        .map(drop)
        .map_err(|error| not_understood(asked, &error.to_string()))
}

pub(super) fn not_understood(asked: &str, reason: &str) -> CallError {
    CallError::NotUnderstood {
        service: SERVICE,
        asked: asked.to_owned(),
        reason: words(reason),
    }
}

fn refusal(asked: &str, answer: &Response) -> Refused {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let error = &body["error"];
    let code = error["code"].as_str().unwrap_or_default();
    let message = error["message"].as_str().unwrap_or_default();
    let status = answer.status.as_u16();
    let request_id = error["innerError"]["request-id"]
        .as_str()
        .or_else(|| answer.headers.get("request-id")?.to_str().ok());
    Refused {
        service: SERVICE,
        asked: asked.to_owned(),
        status,
        code: words(code),
        words: words(message),
        request_id: request_id.map(words),
        trouble: sort(status, code, message),
        retry_after: retry_after(&answer.headers),
    }
}

/// What a refusal means: by status and code; by words only where Graph gives one code to
/// everything (`Request_BadRequest`).
fn sort(status: u16, code: &str, message: &str) -> Trouble {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    match status {
        401 => return Trouble::Unauthorized,
        404 => return Trouble::NotFound,
        408 | 500..=599 => return Trouble::Temporary,
        409 => return Trouble::Exists,
        429 => return Trouble::Throttled,
        _ => {}
    }
    if code.contains("ResourceNotFound") || says(&["no credentials found to be removed"]) {
        return Trouble::NotFound;
    }
    if code.contains("MultipleObjectsWithSameKeyValue")
        || says(&["already exist", "being assigned already", "already in use"])
    {
        return Trouble::Exists;
    }
    if says(&[
        "does not reference a valid application object",
        "not a valid reference update",
        "one of its queried reference-property objects are not present",
    ]) {
        return Trouble::NotReplicated;
    }
    if code.contains("Policy") || says(&["app management policy", "policy"]) && status != 403 {
        return Trouble::Policy;
    }
    if status == 403 {
        return if says(&["policy"]) {
            Trouble::Policy
        } else {
            Trouble::Forbidden
        };
    }
    Trouble::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_sorted() {
        for (status, code, message, expected) in [
            (
                401,
                "InvalidAuthenticationToken",
                "Access token has expired",
                Trouble::Unauthorized,
            ),
            (
                403,
                "Authorization_RequestDenied",
                "Insufficient privileges",
                Trouble::Forbidden,
            ),
            (
                404,
                "Request_ResourceNotFound",
                "Resource 'x' does not exist or one of its queried reference-property objects are not present.",
                Trouble::NotFound,
            ),
            (
                400,
                "Request_BadRequest",
                "The appId 'x' of the service principal does not reference a valid application object.",
                Trouble::NotReplicated,
            ),
            (
                400,
                "Request_BadRequest",
                "Not a valid reference update",
                Trouble::NotReplicated,
            ),
            (
                400,
                "Request_BadRequest",
                "Permission being assigned already exists on the object",
                Trouble::Exists,
            ),
            (
                409,
                "Request_MultipleObjectsWithSameKeyValue",
                "the service principal name x is already in use",
                Trouble::Exists,
            ),
            (
                400,
                "Request_BadRequest",
                "No credentials found to be removed.",
                Trouble::NotFound,
            ),
            (
                400,
                "CredentialTypeNotAllowedAsPerAppPolicy",
                "Credential type is not allowed",
                Trouble::Policy,
            ),
            (429, "TooManyRequests", "", Trouble::Throttled),
            (503, "", "", Trouble::Temporary),
            (
                400,
                "Request_BadRequest",
                "Invalid credential value. Error: Cannot find the requested object.\r\n",
                Trouble::Other,
            ),
        ] {
            assert_eq!(
                sort(status, code, message),
                expected,
                "{status} {code} {message}"
            );
        }
    }
}
