//! `sendas doctor` at the sandbox: exit codes, an administrator's tokens, and what a bundle holds.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod support;

use sendas_sandbox::{Options, Preset, Running, Sandbox};
use serde_json::{Value, json};

use support::Home;

async fn sandbox() -> Running {
    Sandbox::start(Options {
        tenant: Preset::Classic,
        seed: Some(1),
        ..Options::default()
    })
    .await
    .unwrap()
}

/// A home with the configuration and the administrator's tokens.
fn home(sandbox: &Running) -> (Home, Vec<String>) {
    let home = Home::new();
    let (graph, exchange) = sandbox.admin_tokens();
    let tokens = json!({ "graph": graph, "exchange": exchange });
    home.write("tokens.json", &tokens.to_string());
    let configuration = sandbox.folder().join("sendas.toml");
    let arguments = [
        "doctor",
        "--config",
        configuration.to_str().unwrap(),
        "--admin-tokens",
        "tokens.json",
        "--json",
    ];
    (home, arguments.map(str::to_owned).into())
}

async fn examine(home: &Home, arguments: &[String], more: &[&str]) -> (i32, Value) {
    let more = more.iter().map(|word| (*word).to_owned());
    let finished = home
        .sendas(arguments.iter().cloned().chain(more))
        .run()
        .await;
    let code = finished.status.code().unwrap();
    let value = serde_json::from_str(&finished.out()).unwrap();
    (code, value)
}

#[tokio::test]
async fn clean_then_broken_then_not_effective_yet() {
    let sandbox = sandbox().await;
    let (home, arguments) = home(&sandbox);
    let (code, clean) = examine(&home, &arguments, &[]).await;
    assert_eq!(code, 0, "{clean:#}");
    assert_eq!(clean["ok"], true);
    assert!(clean["checks"].as_array().unwrap().len() >= 60);
    assert!(clean["ms"].as_f64().unwrap() < 10_000.0);

    let mailbox = "noreply@contoso.onmicrosoft.com";
    let off = json!({ "exchange": { "mailboxes": { mailbox: {
        "smtp_client_authentication_disabled": true,
    } } } });
    sandbox.patch(&off).unwrap();
    let (code, broken) = examine(&home, &arguments, &[]).await;
    assert_eq!(code, 1, "{broken:#}");
    assert_eq!(broken["causes"][0]["id"], "S-SMTP-AUTH-OFF-MAILBOX");
    let command = broken["causes"][0]["command"].as_str().unwrap();
    assert_eq!(
        command,
        "Set-CASMailbox -Identity noreply@contoso.onmicrosoft.com -SmtpClientAuthenticationDisabled $false"
    );

    // The switch is on again, and the service does not know it yet.
    sandbox
        .patch(&json!({ "propagation_s": { "switch": 3600 } }))
        .unwrap();
    let on = json!({ "exchange": { "mailboxes": { mailbox: {
        "smtp_client_authentication_disabled": false,
    } } } });
    sandbox.patch(&on).unwrap();
    let changed = jiff::Timestamp::now() - std::time::Duration::from_mins(5);
    let changed = changed.to_string();
    let (code, waiting) = examine(&home, &arguments, &["--changed-at", &changed]).await;
    assert_eq!(code, 3, "{waiting:#}");
    assert_eq!(waiting["causes"][0]["id"], "S-PROPAGATING");
    let left = waiting["causes"][0]["remaining_s"].as_u64().unwrap();
    assert!((6_800..=6_900).contains(&left), "{left}");
}

#[tokio::test]
async fn a_bundle_is_listed_and_holds_no_secret() {
    let sandbox = sandbox().await;
    let (home, arguments) = home(&sandbox);
    let words = arguments
        .iter()
        .map(String::as_str)
        .chain(["--bundle", "bundle.json"]);
    let finished = home.sendas(words).run().await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.err());
    let listed = finished.err();
    let bundle = std::fs::read_to_string(home.path().join("bundle.json")).unwrap();
    let value: Value = serde_json::from_str(&bundle).unwrap();
    for part in value.as_object().unwrap().keys() {
        assert!(
            listed.contains(&format!("\n  {part}")),
            "{part} is not in {listed}"
        );
    }
    let (graph, exchange) = sandbox.admin_tokens();
    let secret = sandbox.details().client.unwrap().secret;
    for text in [&bundle, &finished.out(), &listed] {
        for hidden in [secret.as_str(), &graph, &exchange, "eyJ"] {
            assert!(!text.contains(hidden));
        }
    }
    // An existing file is left as it is.
    let words = arguments
        .iter()
        .map(String::as_str)
        .chain(["--bundle", "tokens.json"]);
    let again = home.sendas(words).run().await;
    assert_eq!(again.status.code(), Some(1));
    assert!(again.err().contains("was not written"));
}

#[tokio::test]
async fn a_reply_seen_elsewhere_is_explained() {
    let sandbox = sandbox().await;
    let (home, arguments) = home(&sandbox);
    let reply = "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded";
    let (code, told) = examine(&home, &arguments, &["--reply", reply]).await;
    assert_eq!(told["causes"][0]["id"], "S-MAILBOX-FULL", "{told:#}");
    assert_eq!(code, 3);
}

#[tokio::test]
async fn a_configuration_with_errors_is_the_cause() {
    let home = Home::new();
    home.write("wrong.toml", "[[principal]]\nnme = \"x\"\n");
    let words = ["doctor", "--config", "wrong.toml", "--json"];
    let finished = home.sendas(words).run().await;
    assert_eq!(finished.status.code(), Some(1));
    let told: Value = serde_json::from_str(&finished.out()).unwrap();
    assert_eq!(told["causes"][0]["id"], "S-CONFIGURATION");
}
