//! Entra over HTTPS: metadata, tokens, error answers against recorded ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use sendas_sandbox::{Effect, Fault, Options, Preset, Running, Sandbox, Step};
use serde_json::{Value, json};

use crate::https::{Answer, Https, form};

pub(crate) async fn start(tenant: Preset) -> (Running, Https) {
    let sandbox = Sandbox::start(Options {
        tenant,
        ..Options::default()
    })
    .await
    .unwrap();
    let https = Https::to(&sandbox);
    (sandbox, https)
}

pub(crate) fn token_url(sandbox: &Running) -> String {
    let details = sandbox.details();
    format!(
        "{}/{}/oauth2/v2.0/token",
        details.authority, details.tenant.id
    )
}

pub(crate) const SCOPE: &str = "https://outlook.office365.com/.default";

pub(crate) async fn ask(sandbox: &Running, https: &Https, changed: &[(&str, &str)]) -> Answer {
    let client = sandbox.details().client.expect("a client was made");
    let id = client.id.to_string();
    let mut parameters = vec![
        ("client_id", id.as_str()),
        ("scope", SCOPE),
        ("grant_type", "client_credentials"),
        ("client_secret", client.secret.as_str()),
    ];
    for (name, value) in changed {
        parameters.retain(|(n, _)| n != name);
        if !value.is_empty() {
            parameters.push((name, value));
        }
    }
    https.form(&token_url(sandbox), &parameters).await
}

pub(crate) fn claims(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap_or_default())
            .unwrap_or_default()
    });
    (parts.next().unwrap(), parts.next().unwrap())
}

fn code(answer: &Answer) -> u64 {
    answer.json()["error_codes"][0].as_u64().unwrap_or_default()
}

/// Compares with a recorded answer: same members, same values but for what stands in braces.
fn compare(answer: &Answer, recorded: &str, named: &[(&str, &str)]) {
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let response = &recorded["response"];
    assert_eq!(
        u64::from(answer.status.as_u16()),
        response["status"],
        "{recorded}"
    );
    let (found, wanted) = (answer.json(), response["body"].as_object().unwrap().clone());
    let members: Vec<&String> = found.as_object().unwrap().keys().collect();
    assert_eq!(members, wanted.keys().collect::<Vec<_>>(), "{found}");
    for (name, value) in wanted {
        let Value::String(text) = value else {
            assert_eq!(found[&name], value, "{name}");
            continue;
        };
        let shown = found[&name]
            .as_str()
            .map_or(found[&name].to_string(), str::to_owned);
        assert!(
            fits(&shown, &text, named),
            "{name}: {shown} does not fit {text}"
        );
    }
}

/// Whether `text` fits a pattern whose blanks stand in braces.
fn fits(text: &str, pattern: &str, named: &[(&str, &str)]) -> bool {
    let Some((before, rest)) = pattern.split_once('{') else {
        return text == pattern;
    };
    let (name, after) = rest.split_once('}').unwrap();
    let Some(left) = text.strip_prefix(before) else {
        return false;
    };
    if let Some((_, value)) = named.iter().find(|(n, _)| *n == name) {
        return left
            .strip_prefix(value)
            .is_some_and(|left| fits(left, after, named));
    }
    let octets = match name {
        "guid" => 36,
        "timestamp" => "2026-08-13 21:24:29Z".len(),
        _ => left.len() - after.len().min(left.len()),
    };
    left.len() >= octets && fits(&left[octets..], after, named)
}

#[tokio::test]
async fn a_granted_request_has_the_recorded_members() {
    let (sandbox, https) = start(Preset::Classic).await;
    let answer = ask(&sandbox, &https, &[]).await;
    compare(
        &answer,
        include_str!("vectors/token-client-credentials.json"),
        &[],
    );
    assert_eq!(answer.json()["expires_in"], 3599);
    sandbox.stop().await;
}

#[tokio::test]
async fn recorded_errors_are_given_word_by_word() {
    let (sandbox, https) = start(Preset::Classic).await;
    let details = sandbox.details();
    let (app, tenant) = (
        details.client.unwrap().id.to_string(),
        details.tenant.id.to_string(),
    );
    let named = [
        ("daemon-app-id", app.as_str()),
        ("tenant-id", tenant.as_str()),
    ];
    let zero = uuid::Uuid::nil().to_string();
    for (changed, recorded) in [
        (
            ("client_secret", "CANARY-SECRET wrong"),
            include_str!("vectors/token-error-invalid-client.json"),
        ),
        (
            ("scope", "api://not-a-registered-resource/.default"),
            include_str!("vectors/token-error-invalid-scope.json"),
        ),
        (
            ("client_id", zero.as_str()),
            include_str!("vectors/token-error-unknown-client.json"),
        ),
        (
            ("grant_type", "no_such_grant"),
            include_str!("vectors/token-error-unsupported-grant-type.json"),
        ),
    ] {
        let answer = ask(&sandbox, &https, &[changed]).await;
        compare(&answer, recorded, &named);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn exchange_tokens_are_v1_with_roles_only_after_consent() {
    for (preset, roles) in [
        (Preset::Classic, json!(["SMTP.SendAsApp"])),
        (Preset::Rbac, Value::Null),
    ] {
        let (sandbox, https) = start(preset).await;
        let details = sandbox.details();
        let client = details.client.unwrap();
        let answer = ask(&sandbox, &https, &[]).await.json();
        let (header, claims) = claims(answer["access_token"].as_str().unwrap());
        assert_eq!(header["alg"], "RS256");
        assert_eq!(header["x5t"], header["kid"]);
        assert_eq!(claims["aud"], "https://outlook.office365.com");
        assert_eq!(
            claims["iss"],
            format!("https://sts.windows.net/{}/", details.tenant.id)
        );
        assert_eq!(claims["tid"], details.tenant.id.to_string());
        assert_eq!(claims["appid"], client.id.to_string());
        assert_eq!(claims["appidacr"], "1");
        assert_eq!(claims["oid"], client.service_principal_id.to_string());
        assert_eq!(claims["sub"], claims["oid"]);
        assert_eq!(claims["ver"], "1.0");
        assert_eq!(claims["roles"], roles);
        for absent in ["scp", "upn", "unique_name", "name"] {
            assert!(claims.get(absent).is_none(), "{absent}");
        }
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn an_applications_own_token_has_the_recorded_v2_claims() {
    let (sandbox, https) = start(Preset::Classic).await;
    let client = sandbox.details().client.unwrap();
    let scope = format!("{}/.default", client.id);
    let answer = ask(&sandbox, &https, &[("scope", &scope)]).await.json();
    let (header, claims) = claims(answer["access_token"].as_str().unwrap());
    let recorded: Value =
        serde_json::from_str(include_str!("vectors/token-claims-client-credentials.json")).unwrap();
    let mut names: Vec<&str> = claims
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(json!(names), recorded["claimNames"]);
    assert!(header.get("x5t").is_none());
    assert_eq!(claims["ver"], "2.0");
    assert_eq!(claims["aud"], client.id.to_string());
    sandbox.stop().await;
}

#[tokio::test]
async fn metadata_leads_to_keys_that_verify_the_token() {
    let (sandbox, https) = start(Preset::Rbac).await;
    let details = sandbox.details();
    for version in ["/v2.0", ""] {
        let url = format!(
            "{}/{}{version}/.well-known/openid-configuration",
            details.authority, details.tenant.domain
        );
        let metadata = https.get(&url).await.json();
        let keys = https
            .get(metadata["jwks_uri"].as_str().unwrap())
            .await
            .json();
        let key = &keys["keys"][0];
        assert_eq!(key["x5t"], key["kid"]);
        assert_eq!(key["kty"], "RSA");
        let issuer = metadata["issuer"].as_str().unwrap();
        assert!(issuer.contains(&details.tenant.id.to_string()), "{issuer}");
        let token = metadata["token_endpoint"].as_str().unwrap();
        assert!(token.starts_with(&details.authority) && token.ends_with("/token"));
    }
    let unknown = format!(
        "{}/nowhere.example/v2.0/.well-known/openid-configuration",
        details.authority
    );
    let answer = https.get(&unknown).await;
    assert_eq!(
        (answer.status, code(&answer)),
        (StatusCode::BAD_REQUEST, 90002)
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn instance_discovery_knows_its_own_host_only() {
    let (sandbox, https) = start(Preset::Rbac).await;
    let authority = sandbox.details().authority;
    let host = authority.trim_start_matches("https://");
    for version in ["1.0", "1.1"] {
        let url = format!(
            "{authority}/common/discovery/instance?api-version={version}&authorization_endpoint=https://{host}/t/oauth2/v2.0/authorize"
        );
        let answer = https.get(&url).await.json();
        assert_eq!(
            answer["tenant_discovery_endpoint"],
            format!("{authority}/t/v2.0/.well-known/openid-configuration")
        );
        assert_eq!(answer.get("metadata").is_some(), version == "1.1");
    }
    let url = format!(
        "{authority}/common/discovery/instance?api-version=1.1&authorization_endpoint=https://elsewhere.example/t/oauth2/v2.0/authorize"
    );
    let answer = https.get(&url).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["error"], "invalid_instance");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_secret_may_come_by_basic_and_v1_writes_numbers_as_text() {
    let (sandbox, https) = start(Preset::Rbac).await;
    let details = sandbox.details();
    let client = details.client.unwrap();
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!(
        "{}:{}",
        client.id,
        client.secret.replace('~', "%7E")
    ));
    let url = format!(
        "{}/{}/oauth2/token",
        details.authority, details.tenant.domain
    );
    let mut request = form(
        &url,
        &[
            ("grant_type", "client_credentials"),
            ("resource", "https://outlook.office365.com"),
        ],
    );
    let value = format!("Basic {credentials}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    let answer = https.send(request).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["expires_in"], "3599");
    assert_eq!(answer.json()["resource"], "https://outlook.office365.com");
    sandbox.stop().await;
}

#[tokio::test]
async fn faults_strike_token_requests() {
    let (sandbox, https) = start(Preset::Rbac).await;
    sandbox
        .fault(Fault::once(
            Step::Token,
            Effect::Throttle { retry_after_s: 17 },
        ))
        .unwrap();
    let answer = ask(&sandbox, &https, &[]).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers["retry-after"], "17");

    sandbox
        .fault(Fault::once(Step::Token, Effect::Garbage))
        .unwrap();
    let answer = ask(&sandbox, &https, &[]).await;
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());

    sandbox
        .fault(Fault::once(
            Step::Token,
            Effect::Oversize { octets: 2_000_000 },
        ))
        .unwrap();
    assert_eq!(ask(&sandbox, &https, &[]).await.body.len(), 2_000_000);

    for effect in [Effect::Close, Effect::Reset] {
        sandbox.fault(Fault::always(Step::Token, effect)).unwrap();
        let request = form(
            &token_url(&sandbox),
            &[("grant_type", "client_credentials")],
        );
        assert!(https.try_send(request).await.is_err());
        sandbox.clear_faults();
    }
    assert_eq!(ask(&sandbox, &https, &[]).await.status, StatusCode::OK);
    sandbox.stop().await;
}
