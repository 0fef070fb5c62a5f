//! Microsoft Graph: secrets, keys with proof, federated credentials.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use sendas_sandbox::Preset;
use serde_json::{Value, json};

use crate::directory::{Graph, refused, text};
use crate::entra::ask;

#[tokio::test]
async fn secrets_follow_policy_and_can_be_removed() {
    let graph = Graph::start(Preset::Classic).await;
    let client = graph.sandbox.details().client.unwrap();
    let path = format!("applications/{}", client.application_object_id);
    let add = format!("{path}/addPassword");
    let secret = |end: &str| json!({"passwordCredential": {"endDateTime": end}});
    for (policy, body, code) in [
        (
            json!({"secret_days_max": 90}),
            secret("2099-01-01T00:00:00Z"),
            "CredentialInvalidLifetimeAsPerAppPolicy",
        ),
        (
            json!({"secrets_forbidden": true}),
            Value::Null,
            "CredentialTypeNotAllowedAsPerAppPolicy",
        ),
        (
            json!({"secrets_forbidden": false}),
            secret("2001-01-01T00:00:00Z"),
            "Request_BadRequest",
        ),
        (json!({}), secret("tomorrow"), "Request_BadRequest"),
    ] {
        graph.sandbox.patch(&json!({"policies": policy})).unwrap();
        refused(&graph.post(&add, body).await, 400, code, "");
    }
    refused(
        &graph
            .patch(
                &path,
                json!({"passwordCredentials": [{"secretText": "mine"}]}),
            )
            .await,
        400,
        "Request_BadRequest",
        "service actions",
    );
    let read = graph.get(&path).await.json();
    let key = read["passwordCredentials"][0]["keyId"].clone();
    let remove = format!("applications(appId='{}')/removePassword", client.id);
    let body = json!({"keyId": key});
    assert_eq!(
        graph.post(&remove, body.clone()).await.status,
        StatusCode::NO_CONTENT
    );
    refused(
        &graph.post(&remove, body).await,
        400,
        "Request_BadRequest",
        "No credentials found to be removed.",
    );
    assert_eq!(
        ask(&graph.sandbox, &graph.https, &[]).await.json()["error_codes"][0],
        7_000_215
    );
    graph.sandbox.stop().await;
}

struct Pair {
    der: Vec<u8>,
    key: RsaKeyPair,
}

fn pair() -> Pair {
    let key = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
    let signer = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
        &pkcs8.as_ref().into(),
        &rcgen::PKCS_RSA_SHA256,
    )
    .unwrap();
    let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let der = params.self_signed(&signer).unwrap().der().to_vec();
    Pair { der, key }
}

fn proof(pair: &Pair, issuer: &str, now: i64, life: i64) -> String {
    let claims = json!({
        "aud": "00000002-0000-0000-c000-000000000000", "iss": issuer, "nbf": now, "exp": now + life,
    });
    let mut text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(json!({"alg": "RS256"}).to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let mut signature = vec![0; pair.key.public_modulus_len()];
    pair.key
        .sign(
            &RSA_PKCS1_SHA256,
            &aws_lc_rs::rand::SystemRandom::new(),
            text.as_bytes(),
            &mut signature,
        )
        .unwrap();
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    text
}

/// Compares the members with a recorded answer's.
fn same_members(found: &Value, recorded: &str) {
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let names = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(names(found), names(&recorded));
    if let Some(error) = recorded.get("error") {
        assert_eq!(found["error"]["code"], error["code"]);
        assert_eq!(found["error"]["message"], error["message"]);
        assert_eq!(
            names(&found["error"]["innerError"]),
            names(&error["innerError"])
        );
    }
}

#[tokio::test]
async fn keys_are_patched_then_rolled_with_a_proof() {
    let graph = Graph::start(Preset::Fresh).await;
    let [id, app_id, _] = graph.application().await;
    let path = format!("applications/{id}");
    let (first, second) = (pair(), pair());
    let entry = |pair: &Pair| {
        // With line ends, as the Azure CLI sends it.
        let key = STANDARD.encode(&pair.der);
        let (head, rest) = key.split_at(64);
        json!({"type": "AsymmetricX509Cert", "usage": "Verify", "displayName": "k",
            "key": format!("{head}\n{rest}\n")})
    };
    let set = graph
        .patch(&path, json!({"keyCredentials": [entry(&first)]}))
        .await;
    assert_eq!(set.status, StatusCode::NO_CONTENT);
    let listed = graph
        .get(&format!(
            "applications?$filter=appId eq '{app_id}'&$select=id,appId,displayName,keyCredentials"
        ))
        .await
        .json();
    let recorded: Value =
        serde_json::from_str(include_str!("vectors/graph-keycredentials.json")).unwrap();
    assert_eq!(listed["@odata.context"], recorded["@odata.context"]);
    same_members(
        &listed["value"][0]["keyCredentials"][0],
        &recorded["value"][0]["keyCredentials"][0].to_string(),
    );
    let key = &listed["value"][0]["keyCredentials"][0];
    assert_eq!(key["key"], Value::Null);
    let thumbprint = text(&key["customKeyIdentifier"]);
    assert_eq!(thumbprint.len(), 40);
    assert!(
        thumbprint
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
    );
    let single = graph
        .get(&format!("{path}?$select=keyCredentials"))
        .await
        .json();
    assert_eq!(
        single["keyCredentials"][0]["key"],
        STANDARD.encode(&first.der)
    );

    let now = graph.sandbox.now().as_second();
    let add = format!("{path}/addKey");
    let ask = |proof: String, key: Value| json!({"keyCredential": key, "proof": proof});
    for (why, bad) in [
        ("eleven minutes", proof(&first, &app_id, now, 660)),
        ("another key", proof(&second, &app_id, now, 600)),
        ("another issuer", proof(&first, "x", now, 600)),
        ("over", proof(&first, &app_id, now - 700, 600)),
        ("no token", "x".into()),
    ] {
        let answer = graph.post(&add, ask(bad, entry(&second))).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{why}");
    }
    let good = || proof(&first, &id, now, 600);
    let broken = graph.post(&add, ask(good(), json!({"key": "AAAA"}))).await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
    same_members(
        &broken.json(),
        include_str!("vectors/graph-addkey-invalid-cert-400.json"),
    );
    let added = graph.post(&add, ask(good(), entry(&second))).await;
    assert_eq!(added.status, StatusCode::OK);
    same_members(
        &added.json(),
        include_str!("vectors/graph-addkey-response-200.json"),
    );
    assert_eq!(
        added.json()["@odata.context"],
        "https://graph.microsoft.com/v1.0/$metadata#microsoft.graph.keyCredential"
    );

    let remove = format!("{path}/removeKey");
    let body = json!({"keyId": key["keyId"], "proof": proof(&second, &app_id, now, 600)});
    assert_eq!(
        graph.post(&remove, body.clone()).await.status,
        StatusCode::NO_CONTENT
    );
    let gone = graph.post(&remove, body).await;
    same_members(
        &gone.json(),
        include_str!("vectors/graph-removekey-no-credentials-400.json"),
    );

    // A patch replaces the collection; an entry without a key keeps the registered one.
    let kept =
        json!({"keyCredentials": [{"keyId": added.json()["keyId"], "key": null}, entry(&first)]});
    assert_eq!(
        graph.patch(&path, kept).await.status,
        StatusCode::NO_CONTENT
    );
    let read = graph.get(&path).await.json();
    assert_eq!(read["keyCredentials"].as_array().unwrap().len(), 2);
    let empty = json!({"keyCredentials": []});
    assert_eq!(
        graph.patch(&path, empty).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(graph.get(&path).await.json()["keyCredentials"], json!([]));
    graph.sandbox.stop().await;
}

#[tokio::test]
async fn federated_credentials_are_made_and_unique() {
    let graph = Graph::start(Preset::Fresh).await;
    let [id, ..] = graph.application().await;
    let path = format!("applications/{id}/federatedIdentityCredentials");
    let one = json!({"name": "k8s", "issuer": "https://issuer.example", "subject": "s",
        "audiences": ["api://AzureADTokenExchange"]});
    let made = graph.post(&path, one.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    refused(
        &graph.post(&path, one).await,
        400,
        "Request_BadRequest",
        "conflicting object",
    );
    let own = format!("{path}/{}", text(&made.json()["id"]));
    let change = json!({"subject": "other"});
    assert_eq!(
        graph.patch(&own, change).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        graph.get(&path).await.json()["value"][0]["subject"],
        "other"
    );
    let two = json!({"audiences": ["a", "b"]});
    refused(
        &graph.patch(&own, two).await,
        400,
        "Request_BadRequest",
        "audiences",
    );
    assert_eq!(graph.delete(&own).await, StatusCode::NO_CONTENT);
    refused(&graph.get(&own).await, 404, "Request_ResourceNotFound", "");
    graph.sandbox.stop().await;
}
