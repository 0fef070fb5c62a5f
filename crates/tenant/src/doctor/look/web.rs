//! The tenant's metadata at the token endpoint: does it answer, is it Entra, what time is it there.

use http::header::DATE;
use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use sendas_entra::{Clock as _, HttpClient, Request, Response, SystemClock};
use serde_json::Value;

use crate::doctor::case::Subject;
use crate::doctor::seen::{Look, Metadata, Web};

/// Fetches the metadata.
pub(in crate::doctor) async fn look(subject: &Subject, http: &HttpClient) -> Look<Web> {
    let tenant = match &subject.tenant {
        Some(tenant) => tenant.as_str(),
        None => "common",
    };
    let url = format!(
        "{}/{tenant}/v2.0/.well-known/openid-configuration",
        subject.cloud.authority()
    );
    let before = SystemClock::new().now();
    let answer = http
        .call(Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
        })
        .await;
    let took = SystemClock::new()
        .now()
        .steady
        .saturating_sub(before.steady);
    let half = SignedDuration::try_from(took / 2).unwrap_or_default();
    let local = before.wall.checked_add(half).unwrap_or(before.wall);
    Ok(Web {
        took,
        answer: answer.map(|answer| read(&answer, local)),
    })
}

fn read(answer: &Response, local: Timestamp) -> Metadata {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let date = answer
        .headers
        .get(DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
        .map(|date| date.timestamp());
    Metadata {
        status: answer.status.as_u16(),
        is_json: body.is_object(),
        codes: body["error_codes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect(),
        date,
        local,
        tenant_id: body["issuer"].as_str().and_then(tenant_of),
    }
}

/// The tenant id in an issuer's address.
fn tenant_of(issuer: &str) -> Option<String> {
    issuer
        .split('/')
        .find(|part| part.len() == 36 && part.bytes().filter(|octet| *octet == b'-').count() == 4)
        .map(str::to_owned)
}
