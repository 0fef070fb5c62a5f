//! `sendas setup` through the binary, in a sandbox: shown, done, proven, used, taken back.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod support;

use sendas_sandbox::{Filter, Options, Preset, Running, Sandbox};
use serde_json::{Value, json};
use support::Home;

async fn fresh() -> Running {
    let options = Options {
        tenant: Preset::Fresh,
        seed: Some(3),
        ..Options::default()
    };
    Sandbox::start(options).await.unwrap()
}

/// The options every command gets.
fn options(sandbox: &Running, home: &Home, more: &[&str]) -> Vec<String> {
    let (graph, exchange) = sandbox.admin_tokens();
    let tokens = home.path().join("tokens.json");
    let text = json!({ "graph": graph, "exchange": exchange }).to_string();
    std::fs::write(&tokens, text).unwrap();
    let path = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let mut list: Vec<String> = vec![
        "--tenant".into(),
        sandbox.tenant().domain.clone(),
        "--mailbox".into(),
        sandbox.details().mailboxes[0].clone(),
        "--cloud-file".into(),
        path(sandbox.folder().join("cloud.toml")),
        "--admin-tokens".into(),
        path(tokens),
        "--state".into(),
        path(home.path().join("state.json")),
        "--write-config".into(),
        path(home.path().join("sendas.toml")),
        "--json".into(),
    ];
    list.extend(more.iter().map(|&text| text.to_owned()));
    list
}

async fn setup(home: &Home, verb: &str, options: &[String]) -> (i32, Value, String) {
    let arguments = ["setup", verb].into_iter().map(str::to_owned);
    let done = home
        .sendas(arguments.chain(options.iter().cloned()))
        .run()
        .await;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    let value = serde_json::from_str(&text).unwrap_or(Value::Null);
    (done.status.code().unwrap_or(-1), value, told)
}

fn kept(sandbox: &Running) -> Value {
    let mut state = serde_json::to_value(&*sandbox.tenant()).unwrap();
    state["deleted"] = Value::Null;
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_set_up_proven_used_and_taken_back() {
    for more in [
        &["--method", "rbac"][..],
        &["--method", "classic", "--credential", "secret"][..],
    ] {
        let (sandbox, home) = (fresh().await, Home::new());
        let before = kept(&sandbox);
        let options = options(&sandbox, &home, more);
        let with_yes: Vec<String> = options.iter().cloned().chain(["--yes".into()]).collect();

        let (code, plan, _) = setup(&home, "plan", &options).await;
        assert_eq!((code, &plan["done"]), (0, &json!(false)));
        assert_eq!(kept(&sandbox), before);
        // Nobody is there to say yes.
        let (code, answer, _) = setup(&home, "apply", &options).await;
        assert_eq!((code, &answer["ok"]), (2, &json!(false)));
        assert_eq!(kept(&sandbox), before);

        let (code, applied, told) = setup(&home, "apply", &with_yes).await;
        assert_eq!((code, &applied["ok"]), (0, &json!(true)), "{told}");
        assert_eq!(
            applied["steps"].as_array().unwrap().len(),
            plan["steps"].as_array().unwrap().len()
        );
        let place = applied["credential"]["place"].as_str().unwrap();
        let secret = std::fs::read_to_string(place).unwrap();
        assert!(!told.contains(secret.trim()), "the secret was printed");
        let (code, plan, _) = setup(&home, "plan", &options).await;
        assert_eq!((code, &plan["done"]), (0, &json!(true)));

        let (code, proof, told) = setup(&home, "verify", &options).await;
        assert_eq!(code, 0, "{told}{proof:#}");
        assert_eq!(
            (&proof["configured"], &proof["effective"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(sandbox.messages(&Filter::default()).len(), 1);

        // The written configuration is enough to send.
        let mailbox = &sandbox.details().mailboxes[0];
        let text = format!("From: {mailbox}\r\nTo: x@example.com\r\n\r\nhello\r\n");
        let config = home.path().join("sendas.toml");
        let sent = home
            .sendas([
                "send",
                "--config",
                config.to_str().unwrap(),
                "-f",
                mailbox,
                "x@example.com",
            ])
            .stdin(text)
            .run()
            .await;
        assert_eq!(
            sent.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&sent.stderr)
        );

        let (code, undone, told) = setup(&home, "undo", &with_yes).await;
        assert_eq!((code, &undone["ok"]), (0, &json!(true)), "{told}");
        assert_eq!(kept(&sandbox), before);
        assert!(!std::path::Path::new(place).exists());
        let (code, _, told) = setup(&home, "undo", &with_yes).await;
        assert_eq!(code, 2, "{told}");
        sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_said_and_changes_nothing() {
    let (sandbox, home) = (fresh().await, Home::new());
    let before = kept(&sandbox);
    for (more, code, words) in [
        (
            &["--mailbox", "nobody@contoso.onmicrosoft.com"][..],
            1,
            "there is no mailbox nobody@",
        ),
        (&["--store", "keyring"], 2, "no keyring"),
        (&["--store", "systemd"], 2, "--credential secret"),
        (&["--credential", "federated"], 2, "--federated-issuer"),
        (&["--credential", "keep"], 1, "no credential to keep"),
        (&["--name", "x'; rm"], 2, "cannot be a name"),
        (
            &["--client-id", "44444444-0000-0000-0000-000000000000"],
            1,
            "check the id",
        ),
    ] {
        let mut options = options(&sandbox, &home, more);
        options.push("--yes".into());
        let (found, _, told) = setup(&home, "apply", &options).await;
        assert_eq!(found, code, "{more:?}: {told}");
        assert!(told.contains(words), "{more:?}: {told}");
    }
    let mut elsewhere = options(&sandbox, &home, &["--yes"]);
    elsewhere[1] = "fabrikam.com".into();
    let (code, _, told) = setup(&home, "apply", &elsewhere).await;
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("not to fabrikam.com"), "{told}");
    assert_eq!(kept(&sandbox), before);
    sandbox.stop().await;
}

/// Microsoft's trouble at a step of `apply`: named, with what exists now, and the same command goes
/// on as soon as it is over.
#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_named_and_the_same_command_goes_on() {
    let (sandbox, home) = (fresh().await, Home::new());
    let before = kept(&sandbox);
    let options = options(&sandbox, &home, &["--method", "rbac", "--yes"]);
    let answer = |status: u16, code: &str, words: &str| {
        json!({ "kind": "answer", "status": status,
            "body": json!({ "error": { "code": code, "message": words } }).to_string() })
    };
    let throttled = json!({ "kind": "throttle", "retry_after_s": 3600 });
    let create = "POST /v1.0/servicePrincipals";
    for (at, only, effect, code, words) in [
        (
            "graph",
            create,
            answer(400, "Request_BadRequest", "Something is odd."),
            1,
            "Something is odd",
        ),
        (
            "graph",
            create,
            answer(
                403,
                "Authorization_RequestDenied",
                "Insufficient privileges",
            ),
            4,
            "Application.ReadWrite.All",
        ),
        (
            "graph",
            create,
            answer(401, "InvalidAuthenticationToken", "expired"),
            4,
            "sign in again",
        ),
        (
            "graph",
            create,
            throttled.clone(),
            1,
            "run the same command again later",
        ),
        (
            "exchange-admin",
            "New-ManagementScope",
            throttled,
            1,
            "run the same command again later",
        ),
    ] {
        let told_of = format!("{only}: {effect}");
        let fault = json!({ "at": at, "only": only, "effect": effect });
        sandbox
            .fault(serde_json::from_value(fault).unwrap())
            .unwrap();
        let (found, answer, told) = setup(&home, "apply", &options).await;
        assert_eq!(found, code, "{told_of}: {told}");
        assert!(told.contains(words), "{told_of}: {told}");
        // What exists now: made in this run, or found by it.
        let exists = told.contains("done before: ") || told.contains("\nApplication ");
        assert!(exists && told.contains("goes on"), "{told_of}: {told}");
        assert!(told.contains("sendas setup undo"), "{told_of}: {told}");
        assert_eq!(answer["ok"], false, "{told_of}");
        sandbox.clear_faults();
    }
    let (code, _, told) = setup(&home, "apply", &options).await;
    assert_eq!(code, 0, "{told}");
    let (code, _, told) = setup(&home, "undo", &options).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(kept(&sandbox), before);
    sandbox.stop().await;
}
