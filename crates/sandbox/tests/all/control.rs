//! The control interface.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use sendas_sandbox::{Preset, Running};
use serde_json::{Value, json};

use crate::entra::{ask, start};
use crate::https::{Answer, Https};

async fn control(
    sandbox: &Running,
    https: &Https,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let details = sandbox.details().control;
    let request = Request::builder()
        .method(method)
        .uri(format!("{}/{path}", details.url))
        .header("authorization", format!("Bearer {}", details.token))
        .header("content-type", "application/json")
        .body(body.map_or_else(Full::default, |b| Full::from(b.to_string())))
        .unwrap();
    https.send(request).await
}

fn request(url: &str) -> http::request::Builder {
    Request::get(url)
}

#[tokio::test]
async fn a_token_and_the_own_host_are_needed() {
    let (sandbox, https) = start(Preset::Rbac).await;
    let details = sandbox.details().control;
    let url = format!("{}/messages", details.url);
    let empty = Full::<Bytes>::default;
    assert_eq!(https.get(&url).await.status, StatusCode::UNAUTHORIZED);
    let foreign = request(&url)
        .header("host", "rebound.example")
        .header("authorization", format!("Bearer {}", details.token))
        .body(empty())
        .unwrap();
    let answer = https.send(foreign).await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
    assert!(answer.headers.get("access-control-allow-origin").is_none());

    let root = url.split("/sandbox").next().unwrap();
    for page in ["/", "/page.js", "/page.css"] {
        let answer = https.get(&format!("{root}{page}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn the_tenant_is_read_and_changed_one_thing_at_a_time() {
    let (sandbox, https) = start(Preset::Rbac).await;
    let mailbox = sandbox.details().mailboxes[0].clone();
    let patch = json!({"exchange":{"mailboxes":{(mailbox.clone()):
        {"smtp_client_authentication_disabled": null}}}});
    let answer = control(&sandbox, &https, Method::PATCH, "tenant", Some(patch)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let read = control(&sandbox, &https, Method::GET, "tenant", None)
        .await
        .json();
    assert_eq!(read, answer.json());
    let mailbox = &read["exchange"]["mailboxes"][&mailbox];
    assert!(mailbox.get("smtp_client_authentication_disabled").is_none());

    let wrong = json!({"exchange":{"mailboxes":{"x@elsewhere.example":{}}}});
    let answer = control(&sandbox, &https, Method::PATCH, "tenant", Some(wrong)).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer.json()["problems"][0]["at"],
        "exchange/mailboxes/x@elsewhere.example"
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn the_journal_tells_requests_without_secrets() {
    let (sandbox, https) = start(Preset::Rbac).await;
    ask(&sandbox, &https, &[("client_secret", "CANARY-SECRET")]).await;
    let answer = control(&sandbox, &https, Method::GET, "journal?channel=entra", None).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(!text.contains("CANARY-SECRET"), "{text}");
    let entry = &answer.json()["entries"][0];
    assert_eq!(entry["answered"], "401 AADSTS7000215");
    assert!(
        entry["asked"]
            .as_str()
            .unwrap()
            .contains("client_secret=[13 octets]"),
        "{entry}"
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn the_clock_moves_forward_and_secrets_end() {
    let (sandbox, https) = start(Preset::Rbac).await;
    let body = json!({"advance_s": 3 * 365 * 86_400});
    let answer = control(&sandbox, &https, Method::POST, "clock", Some(body))
        .await
        .json();
    assert_eq!(answer["ahead_s"], 3 * 365 * 86_400);
    let answer = ask(&sandbox, &https, &[]).await.json();
    assert_eq!(answer["error_codes"][0], 7_000_222);
    sandbox.stop().await;
}

#[tokio::test]
async fn faults_are_added_listed_and_cleared() {
    let (sandbox, https) = start(Preset::Rbac).await;
    let fault = json!({"at":"token","effect":{"kind":"aadsts","code":90033,"status":503}});
    let answer = control(&sandbox, &https, Method::POST, "faults", Some(fault)).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(
        ask(&sandbox, &https, &[]).await.json()["error_codes"][0],
        90033
    );
    let id = answer.json()["faults"][0]["id"].as_u64().unwrap();
    let gone = control(
        &sandbox,
        &https,
        Method::DELETE,
        &format!("faults/{id}"),
        None,
    )
    .await;
    assert_eq!(gone.json()["removed"], 1);
    let wrong = json!([{"at":"token","effect":{"kind":"close"}},
        {"at":"mail","effect":{"kind":"throttle","retry_after_s":1}}]);
    let answer = control(&sandbox, &https, Method::POST, "faults", Some(wrong)).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let left = control(&sandbox, &https, Method::GET, "faults", None).await;
    assert_eq!(left.json(), json!({"faults":[]}), "all or none");
    let nowhere = json!({"at":"nowhere","effect":{"kind":"close"}});
    let answer = control(&sandbox, &https, Method::POST, "faults", Some(nowhere)).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.json()["error"].is_string());
    sandbox.stop().await;
}

#[tokio::test]
async fn the_description_names_every_route() {
    let (sandbox, https) = start(Preset::Fresh).await;
    let answer = control(&sandbox, &https, Method::GET, "openapi.json", None)
        .await
        .json();
    assert!(answer["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in [
        "messages",
        "messages/{id}/raw",
        "tenant",
        "faults",
        "clock",
        "admin/tokens",
        "journal",
    ] {
        assert!(
            answer["paths"].get(format!("/sandbox/v1/{path}")).is_some(),
            "{path}"
        );
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn waiting_without_mail_ends_in_time() {
    let (sandbox, https) = start(Preset::Fresh).await;
    let found = sandbox
        .wait(
            &sendas_sandbox::Filter::default(),
            1,
            Duration::from_millis(20),
        )
        .await;
    assert!(found.is_empty());
    let answer = control(
        &sandbox,
        &https,
        Method::GET,
        "messages/wait?timeout_s=0",
        None,
    )
    .await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.json()["count"], 0);
    sandbox.stop().await;
}
