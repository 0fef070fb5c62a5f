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
async fn a_login_that_was_not_seen_is_never_clean() {
    let sandbox = sandbox().await;
    let (home, arguments) = home(&sandbox);
    let fault = r#"{"at":"auth","effect":{"kind":"delay","ms":30000}}"#;
    sandbox.fault(serde_json::from_str(fault).unwrap()).unwrap();
    let (code, late) = examine(&home, &arguments, &["--only", "D-EXO-02"]).await;
    assert_eq!(code, 3, "{late:#}");
    assert_eq!(late["causes"][0]["id"], "S-AUTH-DEFERRED");
    sandbox.clear_faults();
    for at in ["metadata", "token"] {
        let fault = json!({ "at": at, "effect": { "kind": "stall" } });
        sandbox
            .fault(serde_json::from_value(fault).unwrap())
            .unwrap();
    }
    let (code, silent) = examine(&home, &arguments, &["--only", "D-EXO-02"]).await;
    assert_eq!(code, 3, "{silent:#}");
    assert_eq!(silent["causes"][0]["id"], "S-ENTRA-UNREACHABLE");
}

/// A refusal that a state file may excuse.
#[tokio::test]
async fn only_the_state_of_this_application_excuses_a_refusal() {
    let sandbox = sandbox().await;
    let (home, arguments) = home(&sandbox);
    let off = json!({ "exchange": { "mailboxes": { "noreply@contoso.onmicrosoft.com": {
        "full_access": [], "send_as": [],
    } } } });
    sandbox.patch(&off).unwrap();
    let without: Vec<String> = arguments
        .iter()
        .filter(|word| !word.contains("tokens"))
        .cloned()
        .collect();
    let tenant = sandbox.details().tenant.id.to_string();
    let client = sandbox.details().client.unwrap().id.to_string();
    let state = |tenant: &str, client: &str| {
        json!({
            "version": 1, "tenant_id": tenant, "method": "classic", "mailboxes": [], "marker": "00000000",
            "application": { "object_id": client, "client_id": client, "principal_id": null },
            "changed": jiff::Timestamp::now().to_string(), "records": [],
        })
        .to_string()
    };
    let other = "99999999-2222-3333-4444-555555555555";
    let usual = home.path().join(".local/state/sendas");
    std::fs::create_dir_all(&usual).unwrap();

    // Nobody else's state counts, in the usual folder or named.
    home.write(".local/state/sendas/setup-a.json", &state(&tenant, other));
    home.write(".local/state/sendas/setup-b.json", &state(other, &client));
    let (_, told) = examine(&home, &without, &[]).await;
    assert_eq!(told["causes"][0]["remaining_s"], Value::Null, "{told:#}");
    for name in ["setup-a.json", "setup-b.json"] {
        let path = usual.join(name);
        let more = ["--state", path.to_str().unwrap()];
        let words = without.iter().map(String::as_str).chain(more);
        let refused = home.sendas(words).run().await;
        assert_eq!(refused.status.code(), Some(2), "{}", refused.err());
        assert!(
            refused.err().contains("it is the state of"),
            "{}",
            refused.err()
        );
    }

    // That of this application is found by itself.
    home.write(".local/state/sendas/setup-c.json", &state(&tenant, &client));
    let (_, told) = examine(&home, &without, &[]).await;
    assert_eq!(told["causes"][0]["id"], "S-PROPAGATING", "{told:#}");
    assert!(told["causes"][0]["remaining_s"].as_u64().unwrap() > 7_000);

    // Fixes carry what the run was told.
    let path = usual.join("setup-c.json");
    let (_, told) = examine(&home, &without, &["--state", path.to_str().unwrap()]).await;
    let rows = told["checks"].as_array().unwrap();
    let login = rows.iter().find(|row| row["id"] == "D-EXO-02").unwrap();
    let fix = login["fix"].as_str().unwrap();
    assert!(
        fix.contains(" --config ") && fix.contains(" --state "),
        "{fix}"
    );
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
    assert_eq!(
        told["causes"][0]["command"],
        "sendas config check --config wrong.toml"
    );
    let rows = told["checks"].as_array().unwrap();
    let seen = |id: &str| {
        let row = rows.iter().find(|row| row["id"] == id).unwrap();
        (
            row["status"].as_str().unwrap(),
            row["seen"].as_str().unwrap(),
        )
    };
    assert_eq!(seen("D-CFG-01"), ("ok", "wrong.toml"));
    assert_eq!(seen("D-CFG-02").0, "problem");
    assert_eq!(
        seen("D-CFG-04"),
        (
            "not seen",
            "waits for D-CFG-02: the configuration has errors"
        )
    );
}
