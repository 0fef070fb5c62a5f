//! Programs that fetch tokens: curl, MSAL for Python and Node, azure-identity.

use sendas_sandbox::canary;
use serde_json::{Value, json};

use crate::stage::{SCOPE, Stage, claims};

fn ask(stage: &Stage) -> Value {
    json!({
        "authority": stage.authority(),
        "client_id": stage.client.id,
        "scope": SCOPE,
    })
}

fn with(mut ask: Value, members: &Value) -> Value {
    let (Some(all), Some(more)) = (ask.as_object_mut(), members.as_object()) else {
        panic!("both are objects");
    };
    all.extend(more.clone());
    ask
}

/// The token is one of this client for Exchange, got by the given kind of credential.
fn check(stage: &Stage, token: &str, kind: &str) {
    let claims = claims(token);
    assert_eq!(claims["aud"], "https://outlook.office365.com", "{claims}");
    assert_eq!(claims["appid"], json!(stage.client.id), "{claims}");
    assert_eq!(
        claims["oid"],
        json!(stage.client.service_principal_id),
        "{claims}"
    );
    assert_eq!(claims["tid"], json!(stage.details.tenant.id), "{claims}");
    assert_eq!(claims["roles"], json!(["SMTP.SendAsApp"]), "{claims}");
    assert_eq!(claims["appidacr"], kind, "{claims}");
    assert!(
        claims["aio"]
            .as_str()
            .is_some_and(|aio| aio.starts_with(canary::TOKEN_MARK)),
        "{claims}"
    );
}

#[test]
fn the_marks_are_those_that_are_searched_for() {
    assert_eq!(canary::SECRET_MARK, sendas_testkit::canary::SECRET);
    assert_eq!(canary::TOKEN_MARK, sendas_testkit::canary::TOKEN);
}

const BY_SECRET: &str = "1";
const BY_CERTIFICATE: &str = "2";

#[tokio::test]
async fn curl_with_the_documented_request() {
    let stage = Stage::set().await;
    let request = stage.token_request(&stage.client.secret);
    let answer = request.stdout_is_secret().run().await.success();
    let answer: Value = serde_json::from_str(&answer.out()).unwrap();
    let mut members: Vec<&str> = answer
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    members.sort_unstable();
    assert_eq!(
        members,
        ["access_token", "expires_in", "ext_expires_in", "token_type"]
    );
    assert_eq!(answer["token_type"], "Bearer");
    assert!(
        answer["expires_in"]
            .as_u64()
            .is_some_and(|seconds| seconds >= 3500)
    );
    check(&stage, answer["access_token"].as_str().unwrap(), BY_SECRET);
    stage.strike().await;
}

#[tokio::test]
async fn curl_with_a_wrong_secret() {
    let stage = Stage::set().await;
    let wrong = sendas_testkit::canary::secret("wrong");
    let answer = stage
        .token_request(&wrong)
        .args(["--write-out", "\n%{http_code}"])
        .run()
        .await;
    let text = answer.success().out();
    let (body, status) = text.rsplit_once('\n').unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((status, &body["error"]), ("401", &json!("invalid_client")));
    assert_eq!(body["error_codes"], json!([7_000_215]));
    stage.strike().await;
}

#[tokio::test]
async fn msal_for_python_with_a_secret() {
    let stage = Stage::set().await;
    let ask = with(ask(&stage), &json!({ "secret": stage.client.secret }));
    let token = stage
        .python("msal_token.py", &ask)
        .stdout_is_secret()
        .run()
        .await
        .success();
    check(&stage, &token.out(), BY_SECRET);
    stage.strike().await;
}

#[tokio::test]
async fn msal_for_python_with_a_wrong_secret() {
    let stage = Stage::set().await;
    let wrong = sendas_testkit::canary::secret("wrong");
    let ask = with(ask(&stage), &json!({ "secret": wrong }));
    let answer = stage.python("msal_token.py", &ask).run().await;
    assert_eq!(answer.status.code(), Some(1), "{}", answer.err());
    let answer: Value = serde_json::from_str(&answer.out()).unwrap();
    assert_eq!(
        answer,
        json!({ "error": "invalid_client", "error_codes": [7_000_215] })
    );
    stage.strike().await;
}

#[tokio::test]
async fn msal_for_python_with_a_certificate() {
    let stage = Stage::set().await;
    let certificate = stage.certificate();
    // With a SHA-1 thumbprint it signs RS256, without one PS256.
    for more in [json!({}), json!({ "thumbprint": certificate.sha1 })] {
        let ask = with(
            with(ask(&stage), &json!({ "certificate": certificate.file })),
            &more,
        );
        let token = stage
            .python("msal_token.py", &ask)
            .stdout_is_secret()
            .run()
            .await
            .success();
        check(&stage, &token.out(), BY_CERTIFICATE);
    }
    stage.strike().await;
}

#[tokio::test]
async fn azure_identity_for_python_with_a_secret() {
    let stage = Stage::set().await;
    let more = json!({
        "authority": stage.details.authority,
        "tenant": stage.details.tenant.id,
        "secret": stage.client.secret,
    });
    let ask = with(ask(&stage), &more);
    let token = stage
        .python("azure_identity_token.py", &ask)
        .stdout_is_secret()
        .run()
        .await;
    check(&stage, &token.success().out(), BY_SECRET);
    stage.strike().await;
}

#[tokio::test]
async fn azure_identity_for_python_with_a_certificate() {
    let stage = Stage::set().await;
    let certificate = stage.certificate();
    let more = json!({
        "authority": stage.details.authority,
        "tenant": stage.details.tenant.domain,
        "certificate": certificate.file,
    });
    let ask = with(ask(&stage), &more);
    let token = stage
        .python("azure_identity_token.py", &ask)
        .stdout_is_secret()
        .run()
        .await;
    check(&stage, &token.success().out(), BY_CERTIFICATE);
    stage.strike().await;
}

/// As in a cluster: the platform writes the token, the application knows the issuer and subject.
#[tokio::test]
async fn azure_identity_for_python_with_a_federated_token() {
    let stage = Stage::set().await;
    let subject = "system:serviceaccount:mail:relay";
    let application = stage.client.application_object_id.to_string();
    let credential =
        json!({ "name": "cluster", "issuer": stage.details.issuer, "subject": subject });
    let key_id = "00000000-0000-4000-8000-0000000000fc";
    let patch = json!({ "applications": { application: { "federated": { key_id: credential } } } });
    stage.sandbox.patch(&patch).unwrap();
    let file = stage
        .folder
        .write("token", stage.sandbox.issuer_token(subject));
    let more = json!({
        "authority": stage.details.authority,
        "tenant": stage.details.tenant.id,
        "token_file": file,
    });
    let ask = with(ask(&stage), &more);
    let token = stage
        .python("azure_identity_token.py", &ask)
        .stdout_is_secret()
        .run()
        .await;
    check(&stage, &token.success().out(), BY_CERTIFICATE);
    stage.strike().await;
}

#[tokio::test]
async fn msal_for_node_with_a_secret() {
    let stage = Stage::set().await;
    let host = stage.details.authority.trim_start_matches("https://");
    let more = json!({ "host": host, "secret": stage.client.secret });
    let ask = with(ask(&stage), &more);
    let token = stage
        .node("msal_token.cjs", &ask)
        .stdout_is_secret()
        .run()
        .await
        .success();
    check(&stage, &token.out(), BY_SECRET);
    stage.strike().await;
}

#[tokio::test]
async fn msal_for_node_with_a_certificate() {
    let stage = Stage::set().await;
    let certificate = stage.certificate();
    let host = stage.details.authority.trim_start_matches("https://");
    let more = json!({
        "host": host,
        "certificate": certificate.file,
        "thumbprint_sha256": certificate.sha256,
    });
    let ask = with(ask(&stage), &more);
    let token = stage
        .node("msal_token.cjs", &ask)
        .stdout_is_secret()
        .run()
        .await
        .success();
    check(&stage, &token.out(), BY_CERTIFICATE);
    stage.strike().await;
}
