use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::ClaimsError;

const NOW: i64 = 1_770_000_000;
const TENANT: &str = "aaaaaaaa-0000-0000-0000-000000000001";
const CLIENT: &str = "bbbbbbbb-0000-0000-0000-000000000002";

/// The claims of a good token, with some of them changed; `null` takes a claim out.
fn claims(changes: &Value) -> Claims {
    let mut payload = json!({
        "aud": "https://outlook.office365.com",
        "iss": format!("https://sts.windows.net/{TENANT}/"),
        "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 3590,
        "appid": CLIENT, "appidacr": "1", "oid": "cccccccc-0000-0000-0000-000000000003",
        "sub": "cccccccc-0000-0000-0000-000000000003", "tid": TENANT, "ver": "1.0",
        "roles": ["SMTP.SendAsApp"],
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => payload.as_object_mut().unwrap().remove(name),
            value => payload
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    decode(&payload)
}

fn decode(payload: &Value) -> Claims {
    Claims::decode(&jwt(payload)).unwrap()
}

fn jwt(payload: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.c2ln",
        part(&json!({"alg": "RS256", "typ": "JWT"})),
        part(payload)
    )
}

fn judge(changes: &Value, method: Method) -> Vec<(Severity, Finding)> {
    let wanted = Expectation {
        resource: "https://outlook.office365.com".to_owned(),
        tenant: Some(Tenant::parse(TENANT).unwrap()),
        client_id: Some(ClientId::parse(CLIENT).unwrap()),
        method,
    };
    let judgements = claims(changes).judge(&wanted, Timestamp::from_second(NOW).unwrap());
    for judgement in &judgements {
        assert!(!judgement.meaning.is_empty() && !judgement.fix.is_empty());
    }
    judgements
        .into_iter()
        .map(|judgement| (judgement.severity, judgement.finding))
        .collect()
}

#[test]
fn a_good_token_has_no_findings() {
    assert_eq!(judge(&json!({}), Method::Classic), []);
    assert_eq!(
        judge(
            &json!({"aud": "https://outlook.office365.com/"}),
            Method::Classic
        ),
        []
    );
    assert_eq!(
        judge(
            &json!({"aud": ["https://outlook.office.com"]}),
            Method::Classic
        ),
        []
    );
    assert_eq!(judge(&json!({"roles": null}), Method::Rbac), []);
    assert_eq!(
        judge(&json!({"nbf": NOW + 200}), Method::Classic),
        [],
        "clocks differ by minutes"
    );
}

#[test]
fn each_wrong_claim_is_named() {
    use Finding::{
        Expired, MissingRole, NoExpiry, NoObjectId, NoRoles, NotYetValid, OtherRolesOnly,
        RoleBesideRbac, UserToken, WrongAudience, WrongClient, WrongTenant,
    };
    use Severity::{Doubtful, Note, Wrong};
    let c = Method::Classic;
    let cases = [
        (
            json!({"aud": "https://graph.microsoft.com"}),
            c,
            vec![(Wrong, WrongAudience)],
        ),
        (
            json!({"aud": "00000002-0000-0ff1-ce00-000000000000"}),
            c,
            vec![(Wrong, WrongAudience)],
        ),
        (
            json!({"aud": "https://outlook.office365.us"}),
            c,
            vec![(Wrong, WrongAudience)],
        ),
        (json!({"aud": null}), c, vec![(Wrong, WrongAudience)]),
        (
            json!({"tid": "dddddddd-0000-0000-0000-000000000004"}),
            c,
            vec![(Wrong, WrongTenant)],
        ),
        (json!({"tid": TENANT.to_uppercase()}), c, vec![]),
        (
            json!({"appid": "dddddddd-0000-0000-0000-000000000004"}),
            c,
            vec![(Wrong, WrongClient)],
        ),
        (
            json!({"appid": null, "azp": "dddddddd-0000-0000-0000-000000000004"}),
            c,
            vec![(Wrong, WrongClient)],
        ),
        (json!({"exp": NOW}), c, vec![(Wrong, Expired)]),
        (
            json!({"exp": (NOW - 1).to_string()}),
            c,
            vec![(Wrong, Expired)],
        ),
        (json!({"exp": null}), c, vec![(Doubtful, NoExpiry)]),
        (json!({"nbf": NOW + 301}), c, vec![(Wrong, NotYetValid)]),
        (json!({"oid": null}), c, vec![(Doubtful, NoObjectId)]),
        (json!({"roles": null}), c, vec![(Wrong, MissingRole)]),
        (json!({"roles": []}), c, vec![(Wrong, MissingRole)]),
        (
            json!({"roles": ["IMAP.AccessAsApp"]}),
            c,
            vec![(Wrong, OtherRolesOnly)],
        ),
        (
            json!({"roles": ["IMAP.AccessAsApp"]}),
            Method::Unknown,
            vec![(Doubtful, OtherRolesOnly)],
        ),
        (
            json!({"roles": null}),
            Method::Unknown,
            vec![(Doubtful, NoRoles)],
        ),
        (json!({}), Method::Rbac, vec![(Doubtful, RoleBesideRbac)]),
        (
            json!({"roles": null, "scp": "SMTP.Send"}),
            c,
            vec![(Wrong, UserToken)],
        ),
        (json!({"upn": "a@b.c"}), c, vec![(Wrong, UserToken)]),
        (json!({"idtyp": "user"}), c, vec![(Wrong, UserToken)]),
        (json!({"idtyp": "app"}), c, vec![]),
        (
            json!({"xms_mirid": "/subscriptions/x"}),
            c,
            vec![(Note, Finding::ManagedIdentity)],
        ),
        (
            json!({"xms_mirid": "/x", "oid": null, "exp": 1}),
            c,
            vec![
                (Wrong, Expired),
                (Doubtful, NoObjectId),
                (Note, Finding::ManagedIdentity),
            ],
        ),
    ];
    for (changes, method, wanted) in cases {
        assert_eq!(judge(&changes, method), wanted, "{changes} {method:?}");
    }
}

#[test]
fn a_domain_is_not_compared_with_an_id() {
    let wanted = Expectation {
        resource: "https://outlook.office365.com".to_owned(),
        tenant: Some(Tenant::parse("contoso.com").unwrap()),
        client_id: None,
        method: Method::Classic,
    };
    assert_eq!(
        claims(&json!({})).judge(&wanted, Timestamp::from_second(NOW).unwrap()),
        []
    );
}

#[test]
fn the_recorded_v2_claims_are_understood() {
    let text = include_str!("../../tests/data/recorded/token-claims-client-credentials.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let mut payload = json!({});
    for name in file["claimNames"].as_array().unwrap() {
        payload[name.as_str().unwrap()] = json!("opaque");
    }
    for (name, value) in file["structural"].as_object().unwrap() {
        if !value.is_null() {
            payload[name] = json!(value.as_str().unwrap().replace("{tenant-id}", TENANT));
        }
    }
    payload["azp"] = json!(CLIENT);
    for name in ["exp", "nbf", "iat"] {
        payload[name] = json!(NOW + 5);
    }
    let claims = decode(&payload);
    assert_eq!(claims.client_id(), Some(CLIENT));
    assert_eq!(claims.tenant_id(), Some(TENANT));
    assert_eq!(claims.user_clue(), None);
    assert_eq!(claims.proof(), Some("opaque"));
    assert!(claims.roles().is_empty());
    let wanted = Expectation {
        resource: "https://outlook.office365.com".to_owned(),
        tenant: None,
        client_id: None,
        method: Method::Rbac,
    };
    let found = claims.judge(&wanted, Timestamp::from_second(NOW).unwrap());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].finding, Finding::WrongAudience);
}

#[test]
fn what_is_no_jwt_is_named() {
    for (text, error) in [
        ("", ClaimsError::Parts { parts: 1 }),
        ("a.b", ClaimsError::Parts { parts: 2 }),
        ("a.b.c.d.e", ClaimsError::Parts { parts: 5 }),
        ("!.b.c", ClaimsError::NotBase64 { part: "header" }),
        ("e30.!.c", ClaimsError::NotBase64 { part: "payload" }),
        ("e30.W10.c", ClaimsError::NotObject { part: "payload" }),
        ("YQ.e30.c", ClaimsError::NotObject { part: "header" }),
    ] {
        assert_eq!(Claims::decode(text).unwrap_err(), error, "{text}");
    }
    let long = "a".repeat(crate::limits::TOKEN_OCTETS_MAX + 1);
    assert_eq!(Claims::decode(&long).unwrap_err(), ClaimsError::TooLong);
}

proptest::proptest! {
    #[test]
    fn any_text_is_judged_without_panic(text in "\\PC{0,80}", payload in "\\PC{0,80}") {
        drop(Claims::decode(&text));
        drop(Claims::decode(&format!("e30.{}.", URL_SAFE_NO_PAD.encode(payload))));
    }
}
