//! One request to Graph or Exchange with an administrator's token: sent, repeated when the service
//! is busy, and never when the repetition could act twice.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method};
use sendas_entra::{HttpClient, HttpError, Request, Response};
use serde_json::Value;

use crate::admin::AdminToken;
use crate::apply::{Event, Progress};
use crate::limits::{REPEATS_MAX, RETRY_AFTER_S_DEFAULT, RETRY_AFTER_S_MAX};
use crate::timer::Timer;

/// What carries requests. The product's is [`HttpClient`]; a test counts, answers or stops them.
pub trait Transport: Send + Sync {
    /// One exchange.
    fn call(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, HttpError>> + Send + '_>>;
}

impl Transport for HttpClient {
    fn call(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, HttpError>> + Send + '_>> {
        Box::pin(Self::call(self, request))
    }
}

/// The way to one of the two services.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) timer: Arc<dyn Timer>,
    pub(crate) token: AdminToken,
    /// Who hears of the pauses.
    pub(crate) progress: Arc<dyn Progress>,
}

/// Whether the same request may act twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It changes nothing, or sets what it set before: repeated whenever the service is in trouble.
    Repeatable,
    /// It makes something new each time: repeated only after 429, which did nothing.
    Once,
}

impl Wire {
    /// Sends, and repeats within bounds. Any status comes back as an answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        extra: &HeaderMap,
        body: Option<&Value>,
        effect: Effect,
    ) -> Result<Response, HttpError> {
        let mut headers = extra.clone();
        headers.insert(AUTHORIZATION, self.token.header());
        if !headers.contains_key(ACCEPT) {
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        }
        let octets = match body {
            Some(body) => {
                headers.insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static("application/json; charset=utf-8"),
                );
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let mut repeats = 0;
        loop {
            let answer = self
                .transport
                .call(Request {
                    method: method.clone(),
                    url: url.to_owned(),
                    headers: headers.clone(),
                    body: octets.clone(),
                })
                .await;
            let Some(pause) = pause(&answer, effect, repeats) else {
                return answer;
            };
            repeats += 1;
            self.progress.tell(&Event::Waiting {
                what: reason(&answer, url),
                pause,
            });
            self.timer.wait(pause).await;
        }
    }
}

/// How long to wait before the same request is sent again; none when its answer counts.
fn pause(answer: &Result<Response, HttpError>, effect: Effect, repeats: u32) -> Option<Duration> {
    if repeats >= REPEATS_MAX {
        return None;
    }
    let growing = Duration::from_secs(1 << repeats.min(4));
    match answer {
        // Where nobody listens, nobody begins to within seconds.
        Err(error) if error.nobody_listens() => None,
        Err(error) => {
            let again = match effect {
                Effect::Repeatable => error.is_temporary(),
                Effect::Once => is_unsent(error),
            };
            again.then_some(growing)
        }
        Ok(answer) => {
            let status = answer.status.as_u16();
            let again = status == 429
                || (effect == Effect::Repeatable && matches!(status, 408 | 500 | 502 | 503 | 504));
            if !again {
                return None;
            }
            let asked = retry_after(&answer.headers);
            match asked {
                Some(asked) if asked > Duration::from_secs(RETRY_AFTER_S_MAX) => None,
                Some(asked) => Some(asked),
                None if status == 429 => Some(Duration::from_secs(RETRY_AFTER_S_DEFAULT)),
                None => Some(growing),
            }
        }
    }
}

/// Why the same request is sent again, for a person.
fn reason(answer: &Result<Response, HttpError>, url: &str) -> String {
    let host = url.split('/').nth(2).unwrap_or(url);
    match answer {
        Ok(answer) if answer.status == 429 => {
            format!("{host} asks to be left alone (HTTP 429)")
        }
        Ok(answer) => format!("{host} is in trouble (HTTP {})", answer.status.as_u16()),
        Err(error) => error.to_string(),
    }
}

/// Whether nothing of the request was sent.
pub(crate) fn is_unsent(error: &HttpError) -> bool {
    matches!(error, HttpError::Connect { .. } | HttpError::Proxy { .. })
}

/// The seconds of a `Retry-After`.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Percent-encodes everything but unreserved characters (RFC 3986 §2.3).
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            for half in [octet >> 4, octet & 0xf] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(half)]));
            }
            // The sign stands before both digits.
            out.insert(out.len() - 2, '%');
        }
    }
    out
}

/// The service's own words for a person: no control characters, cut.
pub(crate) fn words(text: &str) -> String {
    text.chars()
        .take(crate::limits::WORDS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The beginning of the service's own words, for a line of progress.
pub(crate) fn cut(text: &str) -> String {
    let max = crate::limits::WORDS_SHORT_MAX;
    let mut short: String = words(text).chars().take(max).collect();
    if text.chars().count() > max {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn answer(status: u16, after: Option<&'static str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
        }
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::new(),
        }
    }

    #[test]
    fn what_may_act_twice_is_repeated_only_after_429() {
        let seconds = |answer: Result<Response, HttpError>, effect, repeats| {
            pause(&answer, effect, repeats).map(|pause| pause.as_secs())
        };
        let (again, once) = (Effect::Repeatable, Effect::Once);
        for (status, after, effect, repeats, expected) in [
            (200, None, again, 0, None),
            (429, Some("7"), again, 0, Some(7)),
            (429, Some("7"), once, 0, Some(7)),
            (429, None, once, 3, Some(RETRY_AFTER_S_DEFAULT)),
            (429, Some("7"), once, REPEATS_MAX, None),
            (429, Some("3600"), once, 0, None),
            (503, Some("2"), again, 0, Some(2)),
            (503, Some("2"), once, 0, None),
            (504, None, again, 2, Some(4)),
            (500, None, once, 0, None),
            (400, Some("2"), again, 0, None),
        ] {
            assert_eq!(
                seconds(Ok(answer(status, after)), effect, repeats),
                expected,
                "{status} {after:?} {effect:?}"
            );
        }
        let broken = || Err(HttpError::Interrupted);
        assert_eq!(seconds(broken(), again, 1), Some(2));
        assert_eq!(seconds(broken(), once, 0), None);
    }

    #[tokio::test]
    async fn a_port_nobody_listens_on_is_told_at_once_and_other_trouble_is_told_while_it_waits() {
        use std::sync::Mutex;

        use sendas_entra::{Cloud, Proxy};

        #[derive(Default)]
        struct Ear(Mutex<Vec<String>>);
        impl Progress for Ear {
            fn tell(&self, event: &Event) {
                if let Event::Waiting { what, .. } = event {
                    self.0.lock().unwrap().push(what.clone());
                }
            }
        }
        struct Hurry;
        impl Timer for Hurry {
            fn now(&self) -> jiff::Timestamp {
                jiff::Timestamp::UNIX_EPOCH
            }
            fn wait(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
                Box::pin(std::future::ready(()))
            }
        }
        struct Throttling;
        impl Transport for Throttling {
            fn call(
                &self,
                _: Request,
            ) -> Pin<Box<dyn Future<Output = Result<Response, HttpError>> + Send + '_>>
            {
                Box::pin(std::future::ready(Ok(answer(429, Some("7")))))
            }
        }

        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/v1.0/organization", free.local_addr().unwrap());
        drop(free);
        let tls = Cloud::global().tls_policy().unwrap();
        let ear = Arc::new(Ear::default());
        let mut wire = Wire {
            transport: Arc::new(HttpClient::new(tls, Proxy::none())),
            timer: Arc::new(Hurry),
            token: AdminToken::new("t".to_owned().into(), "Graph").unwrap(),
            progress: Arc::<Ear>::clone(&ear),
        };
        let send = async |wire: &Wire| {
            let none = HeaderMap::new();
            wire.send(Method::GET, &url, &none, None, Effect::Repeatable)
                .await
        };
        let error = send(&wire).await.unwrap_err();
        assert!(matches!(error, HttpError::Connect { .. }), "{error}");
        let told = std::mem::take(&mut *ear.0.lock().unwrap());
        assert!(told.is_empty(), "{told:?}");
        wire.transport = Arc::new(Throttling);
        assert_eq!(send(&wire).await.unwrap().status, 429);
        let told = ear.0.lock().unwrap();
        assert_eq!(told.len(), usize::try_from(REPEATS_MAX).unwrap());
        assert!(
            told[0].contains("127.0.0.1") && told[0].contains("429"),
            "{told:?}"
        );
    }

    #[test]
    fn urls_are_escaped() {
        assert_eq!(escape("appId eq 'ä'"), "appId%20eq%20%27%C3%A4%27");
    }
}
