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
        (&["--store", "keyring"], 2, "possible values: file, systemd"),
        (&["--store", "systemd"], 2, "--credential secret"),
        (&["--credential", "federated"], 2, "--federated-issuer"),
        (
            &["--credential", "keep"],
            2,
            "nobody here knows the credential",
        ),
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

/// The options of a command line without one of them and its value.
fn without(options: &[String], name: &str) -> Vec<String> {
    let at = options.iter().position(|word| word == name).unwrap();
    [&options[..at], &options[at + 2..]].concat()
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

async fn config_check(home: &Home) -> i32 {
    let config = home.path().join("sendas.toml");
    let check = ["config", "check", "--config", config.to_str().unwrap()];
    let done = home.sendas(check).run().await;
    done.status.code().unwrap_or(-1)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_written_principal_goes_with_the_set_up_and_comes_again_whole() {
    let (sandbox, home) = (fresh().await, Home::new());
    let config = home.path().join("sendas.toml");
    let options = options(&sandbox, &home, &["--yes"]);
    for _ in 0..2 {
        let (code, _, told) = setup(&home, "apply", &options).await;
        assert_eq!(code, 0, "{told}");
        assert_eq!(read(&config).matches("[[principal]]").count(), 1);
        assert_eq!(config_check(&home).await, 0);
        let (code, undone, told) = setup(&home, "undo", &options).await;
        assert_eq!(code, 0, "{told}");
        assert_eq!(undone["configured"][0]["fate"], "removed");
        assert!(!read(&config).contains("principal"), "{}", read(&config));
    }
    // A leftover of the same name and tenant is replaced, one of another tenant keeps its name.
    let tenant = sandbox.details().tenant.domain;
    let section = |tenant: &str, id: u8| {
        format!(
            "[[principal]]\nname = \"sendas\"\ntenant = \"{tenant}\"\nclient_id = \"{id:08}-0000-0000-0000-000000000000\"\nmailboxes = [\"x@{tenant}\"]\ncredential = {{ managed_identity = {{}} }}\n"
        )
    };
    home.write("sendas.toml", &format!("# mine\n{}", section(&tenant, 1)));
    let (code, _, told) = setup(&home, "apply", &options).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(read(&config).matches("[[principal]]").count(), 1);
    assert!(read(&config).starts_with("# mine"));
    let (_, undone, _) = setup(&home, "undo", &options).await;
    assert_eq!(undone["configured"][0]["fate"], "stays");
    home.write("sendas.toml", &section("fabrikam.com", 1));
    let (code, _, told) = setup(&home, "apply", &options).await;
    assert_eq!(code, 0, "{told}");
    assert!(read(&config).contains("name = \"sendas-2\""));
    assert_eq!(config_check(&home).await, 0);
    // A file that is wrong already is told before anything runs.
    home.write("sendas.toml", "nonsense = 1\n");
    let before = kept(&sandbox);
    let mut other = without(&options, "--state");
    other.extend(["--name".to_owned(), "other".to_owned()]);
    let (code, answer, told) = setup(&home, "apply", &other).await;
    assert_eq!(
        (code, &answer["error"]["id"]),
        (2, &json!("T-CONFIGURATION")),
        "{told}"
    );
    assert_eq!(kept(&sandbox), before);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_command_needs_no_more_than_the_state() {
    let (sandbox, home) = (fresh().await, Home::new());
    let state = home.path().join("my state's.json");
    let mut options = options(
        &sandbox,
        &home,
        &[
            "--yes",
            "--method",
            "classic",
            "--credential",
            "secret",
            "--name",
            "printer",
        ],
    );
    let at = options.iter().position(|word| word == "--state").unwrap();
    options[at + 1] = state.to_str().unwrap().to_owned();
    let (code, applied, told) = setup(&home, "apply", &options).await;
    assert_eq!(code, 0, "{told}");
    // The line that was printed works as it stands.
    let next = applied["next"].as_str().unwrap();
    assert!(
        next.contains("--cloud-file") && next.contains("'\\''"),
        "{next}"
    );
    let line = next.replacen("sendas", env!("CARGO_BIN_EXE_sendas"), 1);
    let line = format!(
        "{} --no-message --json",
        line.replace("--wait 120", "--wait 0")
    );
    let words = std::process::Command::new("sh")
        .args(["-c", &line])
        .env("HOME", home.path())
        .output()
        .unwrap();
    let proof: Value = serde_json::from_slice(&words.stdout).unwrap();
    assert_eq!(proof["effective"], true, "{proof:#}");

    let short = |verb: &str| {
        let cloud = sandbox.folder().join("cloud.toml");
        let mut list: Vec<String> = vec![
            "--state".into(),
            state.to_str().unwrap().into(),
            "--cloud-file".into(),
            cloud.to_str().unwrap().into(),
            "--json".into(),
        ];
        if verb != "verify" {
            list.push("--admin-tokens".into());
            list.push(home.path().join("tokens.json").to_str().unwrap().into());
        }
        list
    };
    let (code, plan, told) = setup(&home, "plan", &short("plan")).await;
    assert_eq!((code, &plan["done"]), (0, &json!(true)), "{told}{plan:#}");
    assert_eq!(plan["method"], "classic");
    // An option that says something else is told.
    let mut other = short("plan");
    other.extend(["--credential".to_owned(), "certificate".to_owned()]);
    let (_, plan, told) = setup(&home, "plan", &other).await;
    assert_eq!(plan["steps"][0]["id"], "add-certificate");
    assert_eq!(plan["contradictions"].as_array().unwrap().len(), 1);
    assert!(told.contains("was made with --credential secret"), "{told}");

    let (code, proof, told) = setup(&home, "verify", &short("verify")).await;
    assert_eq!((code, &proof["effective"]), (0, &json!(true)), "{told}");
    let mut undo = short("undo");
    undo.push("--yes".into());
    let (code, _, told) = setup(&home, "undo", &undo).await;
    assert_eq!(code, 0, "{told}");
    // Nothing lies about afterwards, and looking leaves nothing.
    setup(&home, "undo", &undo).await;
    setup(&home, "verify", &short("verify")).await;
    let left: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("state"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_one_state_however_it_is_spelt() {
    let (sandbox, home) = (fresh().await, Home::new());
    let options = without(&options(&sandbox, &home, &["--yes"]), "--state");
    let (code, _, told) = setup(&home, "apply", &options).await;
    assert_eq!(code, 0, "{told}");
    let mut by_id = options.clone();
    by_id[1] = sandbox.details().tenant.id.to_string();
    let (code, plan, told) = setup(&home, "plan", &by_id).await;
    assert_eq!((code, &plan["done"]), (0, &json!(true)), "{told}{plan:#}");
    let folder = home.path().join(".local/state/sendas");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
    let (code, _, told) = setup(&home, "undo", &by_id).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stop_has_a_name_a_cure_and_its_time() {
    let (sandbox, home) = (fresh().await, Home::new());
    let whole = options(&sandbox, &home, &["--yes"]);
    let changed = |name: &str, value: &str| {
        let mut list = whole.clone();
        let at = list.iter().position(|word| word == name).unwrap();
        value.clone_into(&mut list[at + 1]);
        list
    };
    let cloud = read(&sandbox.folder().join("cloud.toml"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("https://{}", free.local_addr().unwrap());
    drop(free);
    let details = sandbox.details();
    home.write("no-graph.toml", &cloud.replace(&details.graph, &closed));
    home.write("no-entra.toml", &cloud.replace(&details.authority, &closed));
    home.write("ca.pem", &read(&sandbox.folder().join("ca.pem")));
    home.write("bad.json", "{}");
    let file = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let signing = |cloud: &str, tenant: &str| {
        let mut list = without(&whole, "--admin-tokens");
        let at = list.iter().position(|word| word == "--cloud-file").unwrap();
        cloud.clone_into(&mut list[at + 1]);
        tenant.clone_into(&mut list[1]);
        list.push("--device-code".into());
        list
    };
    let own = sandbox.folder().join("cloud.toml");
    let own = own.to_str().unwrap();
    let domain = details.tenant.domain.clone();
    for (options, id, lasting) in [
        (
            changed("--tenant", "fabrikam.com"),
            "T-TENANT-WRONG",
            "until-changed",
        ),
        (
            changed("--admin-tokens", &file("bad.json")),
            "T-TOKENS-FILE",
            "until-changed",
        ),
        (
            changed("--admin-tokens", &file("none.json")),
            "T-TOKENS-FILE",
            "until-changed",
        ),
        (
            changed("--cloud-file", &file("no-graph.toml")),
            "T-GRAPH-UNREACHABLE",
            "temporary",
        ),
        (
            signing(&file("no-entra.toml"), &domain),
            "S-ENTRA-UNREACHABLE",
            "temporary",
        ),
        (
            signing(own, "fabrikam.com"),
            "S-TENANT-UNKNOWN",
            "until-changed",
        ),
    ] {
        // Nobody sits in silence before a closed port.
        let limit = std::time::Duration::from_secs(30);
        let run = setup(&home, "apply", &options);
        let (_, answer, told) = tokio::time::timeout(limit, run).await.unwrap();
        let error = &answer["error"];
        assert_eq!(
            (&error["id"], &error["lasting"]),
            (&json!(id), &json!(lasting)),
            "{told}"
        );
        if id != "T-TOKENS-FILE" {
            assert!(
                error["causes"][0]["fix"]
                    .as_str()
                    .is_some_and(|fix| !fix.is_empty()),
                "{told}"
            );
        }
    }
    // Two blocks: both are to be mended, and no step is listed for an application that cannot be.
    let mut blocked = whole.clone();
    blocked.extend(
        [
            "--mailbox",
            "x@nowhere.example",
            "--client-id",
            "44444444-0000-0000-0000-000000000000",
        ]
        .map(str::to_owned),
    );
    let (_, answer, told) = setup(&home, "apply", &blocked).await;
    let error = &answer["error"];
    assert_eq!(
        (&error["id"], &error["all_causes"]),
        (&json!("T-BLOCKED"), &json!(true))
    );
    assert_eq!(error["causes"].as_array().unwrap().len(), 2, "{told}");
    assert!(
        told.contains("\n  and ") && !told.contains("To do:"),
        "{told}"
    );
    // A service that wants to be left alone for longer than we wait says for how long.
    let throttle = sendas_sandbox::Effect::Throttle { retry_after_s: 300 };
    let fault = sendas_sandbox::Fault::once(sendas_sandbox::Step::Graph, throttle);
    sandbox.fault(fault).unwrap();
    let (_, answer, told) = setup(&home, "apply", &whole).await;
    let error = &answer["error"];
    assert_eq!(
        (&error["id"], &error["retry_after_s"]),
        (&json!("T-THROTTLED"), &json!(300)),
        "{told}"
    );
    assert!(told.contains("300 s, as the service asks"), "{told}");
    sandbox.stop().await;
}
