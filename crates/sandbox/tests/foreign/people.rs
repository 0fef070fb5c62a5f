//! People who sign in with a real browser: headless Chromium, led there by MSAL for Python.

use sendas_testkit::tools;
use serde_json::{Value, json};

use crate::stage::{Stage, claims};

/// Azure CLI: has its scopes without consent.
const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
/// Microsoft Graph Command Line Tools: asks for consent.
const GRAPH_TOOLS: &str = "14d82eec-204b-4c2f-b7e8-296a70dab67e";

async fn sign_in(stage: &Stage, client: &str, scope: &str, device: bool, pages: &[&str]) -> Value {
    let admin = &stage.details.admin;
    let profile = stage.folder.join("profile");
    let ask = json!({
        "authority": stage.authority(),
        "client_id": client,
        "scopes": [scope],
        "user": admin.user,
        "password": admin.password,
        "code": admin.mfa_code,
        "driver": tools::program("chromedriver"),
        "profile": profile,
        "device": device,
        "pages": pages,
    });
    let answer = stage
        .python("msal_sign_in.py", &ask)
        .stdout_is_secret()
        .run()
        .await
        .success();
    let answer: Value = serde_json::from_str(&answer.out()).unwrap();
    assert_eq!(
        answer["trouble"],
        json!([]),
        "{}",
        answer["answer"]["error_description"]
    );
    let token = answer["answer"]["access_token"].as_str();
    let token = claims(token.unwrap_or_else(|| panic!("{}", answer["answer"]["error"])));
    assert_eq!(token["upn"], admin.user);
    let again = answer["silent"]["access_token"]
        .as_str()
        .expect("a refreshed token");
    assert_eq!(claims(again)["oid"], token["oid"]);
    token
}

#[tokio::test]
async fn chromium_signs_in_with_a_second_factor_and_consents() {
    let stage = Stage::set().await;
    let tenant = stage.sandbox.tenant();
    let admin = tenant.users.keys().next().unwrap().to_string();
    stage
        .sandbox
        .patch(&json!({ "users": { admin: { "mfa": true } } }))
        .unwrap();
    let scope = "https://graph.microsoft.com/Application.ReadWrite.All";
    let pages = ["password", "second", "consent"];
    let token = sign_in(&stage, GRAPH_TOOLS, scope, false, &pages).await;
    assert_eq!(token["scp"], "Application.ReadWrite.All");
    assert_eq!(token["amr"], json!(["pwd", "mfa"]));
    stage.strike().await;
}

#[tokio::test]
async fn chromium_lets_a_device_in() {
    let stage = Stage::set().await;
    let scope = "https://graph.microsoft.com/.default";
    let pages = ["password", "confirm"];
    let token = sign_in(&stage, AZURE_CLI, scope, true, &pages).await;
    assert_eq!(token["appid"], AZURE_CLI);
    stage.strike().await;
}
