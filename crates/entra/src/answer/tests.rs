use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::TokenErrorKind;

const NOW: i64 = 1_770_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn ask(status: u16, body: &Value) -> Result<Grant, Unusable> {
    parse(status, body.to_string().as_bytes(), None, now())
}

fn refused(status: u16, body: &[u8], retry_after: Option<&str>) -> Refusal {
    match parse(status, body, retry_after, now()) {
        Err(Unusable::Refused(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}

/// A recorded answer with its placeholders filled in.
fn recorded(text: &str) -> (u16, Vec<u8>) {
    let filled = text
        .replace("\"{seconds}\"", "3599")
        .replace("{redacted-jwt}", "eyJ.eyJ.sig")
        .replace("{guid}", "7d5a3a36-6b1f-4c55-9d13-3f5f1f0f0e00")
        .replace("{timestamp}", "2026-08-13 21:24:29Z");
    let file: Value = serde_json::from_str(&filled).unwrap();
    let status = file["response"]["status"].as_u64().unwrap();
    (
        u16::try_from(status).unwrap(),
        file["response"]["body"].to_string().into_bytes(),
    )
}

#[test]
fn the_recorded_grant_is_understood() {
    let (status, body) = recorded(include_str!(
        "../../tests/data/recorded/token-client-credentials.json"
    ));
    let grant = parse(status, &body, None, now()).unwrap();
    assert_eq!(grant.text.as_str(), "eyJ.eyJ.sig");
    assert_eq!(grant.life, Duration::from_secs(3599));
    assert_eq!(grant.refresh_in, None);
}

#[test]
fn the_recorded_refusals_are_understood() {
    let cases = [
        (
            include_str!("../../tests/data/recorded/token-error-invalid-client.json"),
            (401, "invalid_client", 7_000_215, TokenErrorKind::Credential),
        ),
        (
            include_str!("../../tests/data/recorded/token-error-invalid-scope.json"),
            (400, "invalid_resource", 500_011, TokenErrorKind::Request),
        ),
        (
            include_str!("../../tests/data/recorded/token-error-unknown-client.json"),
            (
                400,
                "unauthorized_client",
                700_038,
                TokenErrorKind::Application,
            ),
        ),
        (
            include_str!("../../tests/data/recorded/token-error-unsupported-grant-type.json"),
            (
                400,
                "unsupported_grant_type",
                70_003,
                TokenErrorKind::Request,
            ),
        ),
    ];
    for (text, (status, error, code, kind)) in cases {
        let (sent, body) = recorded(text);
        let refusal = refused(sent, &body, None);
        assert_eq!((refusal.status, refusal.error.as_str()), (status, error));
        assert_eq!(refusal.codes, [code]);
        assert_eq!(
            refusal.trace_id.as_deref(),
            Some("7d5a3a36-6b1f-4c55-9d13-3f5f1f0f0e00")
        );
        assert!(refusal.correlation_id.is_some());
        assert!(refusal.words.starts_with(&format!("AADSTS{code}: ")));
        assert!(!refusal.is_temporary());
        assert_eq!(refusal.entry().unwrap().code, code);
        assert_eq!(
            crate::TokenError::Refused(std::sync::Arc::new(refusal)).kind(),
            kind
        );
    }
}

#[test]
fn numbers_come_as_numbers_or_as_text() {
    for (body, life) in [
        (json!({"access_token": "t", "expires_in": 3599}), 3599),
        (
            json!({"access_token": "t", "expires_in": "3599", "token_type": "Bearer"}),
            3599,
        ),
        (
            json!({"access_token": "t", "expires_on": (NOW + 600).to_string()}),
            600,
        ),
        (
            json!({"access_token": "t", "expires_on": NOW + 600, "token_type": "bearer"}),
            600,
        ),
        (
            json!({"access_token": "t", "expires_in": "86399", "expires_on": "1"}),
            86_399,
        ),
        (
            json!({"access_token": "t", "expires_in": u64::MAX}),
            TOKEN_LIFE_S_MAX,
        ),
    ] {
        assert_eq!(
            ask(200, &body).unwrap().life,
            Duration::from_secs(life),
            "{body}"
        );
    }
}

#[test]
fn refresh_in_is_taken_when_it_lies_within_the_life() {
    let refresh = |value: Value| {
        ask(
            200,
            &json!({"access_token": "t", "expires_in": 86399, "refresh_in": value}),
        )
        .unwrap()
        .refresh_in
    };
    assert_eq!(refresh(json!(43199)), Some(Duration::from_secs(43_199)));
    assert_eq!(refresh(json!("43199")), Some(Duration::from_secs(43_199)));
    for odd in [json!(86399), json!(-1), json!("soon"), json!(null)] {
        assert_eq!(refresh(odd.clone()), None, "{odd}");
    }
}

#[test]
fn what_is_no_grant_is_not_understood() {
    for body in [
        json!([]),
        json!({}),
        json!({"access_token": "t"}),
        json!({"access_token": "", "expires_in": 1}),
        json!({"access_token": 7, "expires_in": 1}),
        json!({"access_token": "a b", "expires_in": 1}),
        json!({"access_token": "a\r\nb", "expires_in": 1}),
        json!({"access_token": "\u{e9}", "expires_in": 1}),
        json!({"access_token": "x".repeat(TOKEN_OCTETS_MAX + 1), "expires_in": 1}),
        json!({"access_token": "t", "expires_in": 0}),
        json!({"access_token": "t", "expires_in": -5}),
        json!({"access_token": "t", "expires_in": "soon"}),
        json!({"access_token": "t", "expires_on": NOW - 1}),
        json!({"access_token": "t", "expires_in": 3599, "token_type": "pop"}),
        json!({"access_token": "t", "expires_in": 3599, "token_type": 1}),
    ] {
        let result = ask(200, &body);
        assert!(
            matches!(result, Err(Unusable::NotUnderstood { .. })),
            "{body}"
        );
    }
    let html = parse(200, b"<html>", None, now());
    assert!(matches!(html, Err(Unusable::NotUnderstood { .. })));
    let disguised = ask(
        200,
        &json!({"error": "invalid_client", "error_codes": [7_000_215]}),
    );
    assert!(matches!(disguised, Err(Unusable::Refused(_))));
}

#[test]
fn other_shapes_of_refusal_are_quoted() {
    for (status, body, error, words) in [
        (
            500,
            r#"{"statusCode":500,"message":"ExceptionMessage"}"#,
            "",
            "ExceptionMessage",
        ),
        (
            404,
            r#"{"error":{"code":"ManagedIdentityNotFound","message":"none"}}"#,
            "ManagedIdentityNotFound",
            "none",
        ),
        (
            400,
            r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
            "invalid_request",
            "Identity not found",
        ),
        (
            502,
            "<html>\r\n<b>Bad gateway</b>\u{0}",
            "",
            "<html>  <b>Bad gateway</b>",
        ),
        (400, "", "", ""),
    ] {
        let refusal = refused(status, body.as_bytes(), None);
        assert_eq!(
            (refusal.error.as_str(), refusal.words.as_str()),
            (error, words)
        );
    }
}

#[test]
fn an_answer_cannot_forge_lines() {
    let body = json!({"error": "x\ny", "error_description": "a\r\nb\u{2028}c\u{1b}[2J"});
    let refusal = refused(400, body.to_string().as_bytes(), None);
    let text = refusal.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(!text.contains('\u{2028}'));
}

#[test]
fn retry_after_is_seconds_or_a_date_within_bounds() {
    let date = Timestamp::from_second(NOW + 90).unwrap();
    let date = rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&date)
        .unwrap();
    let cases: [(u16, Option<&str>, Option<u64>); 12] = [
        (429, Some("17"), Some(17)),
        (429, Some(" 17 "), Some(17)),
        (429, None, Some(RETRY_AFTER_S_DEFAULT)),
        (429, Some("soon"), Some(RETRY_AFTER_S_DEFAULT)),
        (429, Some("86400"), Some(RETRY_AFTER_S_MAX)),
        (
            429,
            Some("99999999999999999999999"),
            Some(RETRY_AFTER_S_MAX),
        ),
        (429, Some(&date), Some(90)),
        (429, Some("0"), Some(0)),
        (503, None, Some(RETRY_AFTER_S_DEFAULT)),
        (500, None, None),
        (500, Some("30"), Some(30)),
        (400, Some("30"), None),
    ];
    for (status, header, seconds) in cases {
        let refusal = refused(status, b"{}", header);
        assert_eq!(
            refusal.retry_after,
            seconds.map(Duration::from_secs),
            "{status} {header:?}"
        );
    }
}

#[test]
fn temporary_is_decided_by_status_error_and_codes() {
    for (status, body, temporary) in [
        (429, json!({}), true),
        (500, json!({}), true),
        (503, json!({"error_codes": [7_000_215]}), true),
        (400, json!({"error_codes": [90033]}), true),
        (400, json!({"error_codes": ["90024"]}), true),
        (400, json!({"error": "temporarily_unavailable"}), true),
        (
            400,
            json!({"error": "temporarily_unavailable", "error_codes": [7_000_222]}),
            false,
        ),
        (
            400,
            json!({"error": "invalid_request", "error_codes": [1]}),
            false,
        ),
        (
            401,
            json!({"error": "invalid_client", "error_description": "AADSTS90033: temporary"}),
            false,
        ),
        (404, json!({}), false),
    ] {
        let refusal = refused(status, body.to_string().as_bytes(), None);
        assert_eq!(refusal.is_temporary(), temporary, "{status} {body}");
    }
}

proptest! {
    #[test]
    fn any_octets_are_read_without_panic(
        status in 100_u16..600,
        body in proptest::collection::vec(any::<u8>(), 0..600),
        header in proptest::option::of(".{0,40}"),
    ) {
        if let Err(Unusable::Refused(refusal)) = parse(status, &body, header.as_deref(), now()) {
            prop_assert!(!refusal.to_string().chars().any(char::is_control));
            prop_assert!(refusal.retry_after.is_none_or(|wait| wait.as_secs() <= RETRY_AFTER_S_MAX));
        }
    }

    #[test]
    fn any_grant_is_within_bounds(
        token in "[!-~]{1,80}",
        life in any::<i64>(),
        on in any::<i64>(),
        refresh in any::<i64>(),
        text in any::<bool>(),
    ) {
        let number = |value: i64| if text { json!(value.to_string()) } else { json!(value) };
        let both = json!({
            "access_token": token.clone(), "expires_in": number(life), "expires_on": number(on),
            "refresh_in": number(refresh),
        });
        let only = json!({"access_token": token.clone(), "expires_on": number(on)});
        for body in [both, only] {
            if let Ok(grant) = ask(200, &body) {
                prop_assert_eq!(grant.text.as_str(), token.as_str());
                prop_assert!((1..=TOKEN_LIFE_S_MAX).contains(&grant.life.as_secs()));
                prop_assert!(grant.refresh_in.is_none_or(|refresh| refresh < grant.life));
            }
        }
    }

    #[test]
    fn any_object_of_known_keys_is_read_without_panic(
        status in prop_oneof![Just(200_u16), Just(400), Just(429), Just(500)],
        pairs in proptest::collection::vec((key(), value()), 0..8),
    ) {
        let body = Value::Object(pairs.into_iter().collect());
        let answer = ask(status, &body);
        prop_assert!(status == 200 || answer.is_err());
    }
}

fn key() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "access_token",
        "expires_in",
        "expires_on",
        "refresh_in",
        "token_type",
        "error",
        "error_description",
        "error_codes",
        "trace_id",
        "correlation_id",
        "message",
    ])
    .prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
