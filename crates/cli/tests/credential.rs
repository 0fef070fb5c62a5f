//! `sendas credential` through the binary, at a sandbox: listed, rotated, refused.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod support;

use std::path::PathBuf;

use sendas_sandbox::{Filter, Options, Preset, Running, Sandbox};
use serde_json::{Value, json};
use support::Home;

/// A sandbox with an application, a home with its configuration, and an administrator's tokens.
struct Stage {
    sandbox: Running,
    home: Home,
}

/// The configuration before anything is rotated; the words around the credential must stay.
const BEFORE: &str = "\
# who sends
[[principal]]
name = \"contoso\"   # its name
tenant = \"TENANT\"
client_id = \"CLIENT\"
credential = { secret = { file = \"keys/contoso.secret\" } } # asked for in March
cloud = { file = \"CLOUD\" }
mailboxes = [
  \"MAILBOX\", # the first
]
";

impl Stage {
    async fn new() -> Self {
        let options = Options {
            tenant: Preset::Rbac,
            seed: Some(5),
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let home = Home::new();
        std::fs::create_dir(home.path().join("keys")).unwrap();
        let details = sandbox.details();
        let client = details.client.unwrap();
        home.write("keys/contoso.secret", &client.secret);
        let stage = Self { sandbox, home };
        stage.home.write("sendas.toml", &stage.filled(BEFORE));
        stage.write_tokens();
        stage
    }

    fn write_tokens(&self) {
        let (graph, _) = self.sandbox.admin_tokens();
        self.home
            .write("admin.json", &json!({ "graph": graph }).to_string());
    }

    fn filled(&self, text: &str) -> String {
        let details = self.sandbox.details();
        let cloud = self.sandbox.folder().join("cloud.toml");
        text.replace("TENANT", &details.tenant.id.to_string())
            .replace("CLIENT", &details.client.unwrap().id.to_string())
            .replace("CLOUD", cloud.to_str().unwrap())
            .replace("MAILBOX", &details.mailboxes[0])
    }

    fn config(&self) -> String {
        std::fs::read_to_string(self.home.path().join("sendas.toml")).unwrap()
    }

    /// Exit code, answer, and what was said.
    async fn run(&self, arguments: &[&str]) -> (i32, Value, String) {
        let arguments = ["credential"].iter().chain(arguments);
        let done = self
            .home
            .sendas(arguments.chain(&["--config", "sendas.toml", "--json"]))
            .run()
            .await;
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        let value = serde_json::from_slice(&done.stdout).unwrap_or(Value::Null);
        (done.status.code().unwrap_or(-1), value, told)
    }

    fn registered(&self) -> (usize, usize) {
        let tenant = self.sandbox.tenant();
        let id = self.sandbox.details().client.unwrap().application_object_id;
        let application = &tenant.applications[&id];
        (application.secrets.len(), application.certificates.len())
    }

    fn files(&self) -> Vec<PathBuf> {
        let list = std::fs::read_dir(self.home.path().join("keys")).unwrap();
        list.map(|entry| entry.unwrap().path()).collect()
    }

    /// Sends one message with the configuration as it is.
    async fn sends(&self) {
        let mailbox = &self.sandbox.details().mailboxes[0];
        let before = self.sandbox.messages(&Filter::default()).len();
        let text = format!("From: {mailbox}\r\nTo: x@example.com\r\n\r\nhello\r\n");
        let sent = self
            .home
            .sendas(["send", "--config", "sendas.toml", "-f", mailbox])
            .arg("x@example.com")
            .stdin(text)
            .run()
            .await;
        let told = String::from_utf8_lossy(&sent.stderr).into_owned();
        assert_eq!(sent.status.code(), Some(0), "{told}");
        let after = self.sandbox.messages(&Filter::default()).len();
        assert_eq!(after, before + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_listed_and_rotated_and_the_configuration_keeps_its_words() {
    let stage = Stage::new().await;
    // The application may not read itself: what is known here is told.
    let (code, list, told) = stage.run(&["list"]).await;
    assert_eq!(code, 0, "{told}{list:#}");
    let own = &list["principals"][0];
    assert_eq!(own["kind"], "secret");
    assert_eq!(own["local"]["token"]["issued"], true);
    assert!(own["not_read"].as_str().unwrap().contains("--sign-in"));
    let (code, list, told) = stage.run(&["list", "--admin-tokens", "admin.json"]).await;
    assert_eq!(code, 0, "{told}{list:#}");
    let found = &list["principals"][0]["credentials"][0];
    assert_eq!(
        (&found["in_use"], &found["life"]),
        (&json!(true), &json!("valid"))
    );

    // Nothing happens without a yes, or with --dry-run.
    let admin = ["--admin-tokens", "admin.json"];
    let to_certificate = ["rotate", "--to", "certificate"];
    let words: Vec<&str> = to_certificate.iter().chain(&admin).copied().collect();
    let (code, _, told) = stage.run(&words).await;
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("--yes"), "{told}");
    let dry: Vec<&str> = words.iter().chain(&["--dry-run"]).copied().collect();
    let (code, plan, told) = stage.run(&dry).await;
    assert_eq!((code, &plan["done"]), (0, &json!(false)), "{told}");
    assert_eq!(stage.config(), stage.filled(BEFORE));
    assert_eq!((stage.registered(), stage.files().len()), ((1, 0), 1));

    // To a certificate, by an administrator.
    let yes: Vec<&str> = words.iter().chain(&["--yes"]).copied().collect();
    let (code, done, told) = stage.run(&yes).await;
    assert_eq!((code, &done["rotated"]), (0, &json!(true)), "{told}");
    assert_eq!(done["old_is"], "removed");
    let place = done["new"]["place"].as_str().unwrap();
    let name = place.rsplit('/').next().unwrap();
    let expected = stage.filled(BEFORE).replace(
        "{ secret = { file = \"keys/contoso.secret\" } }",
        &format!("{{ certificate = \"keys/{name}\" }}"),
    );
    assert_eq!(stage.config(), expected);
    assert_eq!(stage.registered(), (0, 1));
    assert_eq!(stage.files(), [PathBuf::from(place)]);
    stage.sends().await;

    // The certificate renews itself; while it is young there is nothing to do.
    let (code, answer, told) = stage.run(&["rotate", "--within", "30", "--yes"]).await;
    assert_eq!((code, &answer["rotated"]), (0, &json!(false)), "{told}");
    let (code, done, told) = stage.run(&["rotate", "--within", "400", "--yes"]).await;
    assert_eq!((code, &done["rotated"]), (0, &json!(true)), "{told}");
    assert_eq!(done["old_is"], "removed");
    assert_ne!(done["new"]["place"], place);
    assert_eq!((stage.registered(), stage.files().len()), ((0, 1), 1));
    stage.sends().await;
    let (code, list, _) = stage.run(&["list"]).await;
    assert_eq!(code, 0, "{list:#}");
    let local = &list["principals"][0]["local"];
    assert_eq!(
        (&local["life"], &local["token"]["issued"]),
        (&json!("valid"), &json!(true))
    );

    // Back to a secret, and the old certificate stays when asked.
    let back = [
        "rotate",
        "--to",
        "secret",
        "--keep-old",
        "--days",
        "5",
        "--yes",
    ];
    let words: Vec<&str> = back.iter().chain(&admin).copied().collect();
    let (code, done, told) = stage.run(&words).await;
    assert_eq!((code, &done["old_is"]), (0, &json!("kept")), "{told}");
    assert_eq!((stage.registered(), stage.files().len()), ((1, 1), 2));
    stage.sends().await;
    // What was recorded is told without an administrator too.
    let (code, list, told) = stage.run(&["list"]).await;
    assert_eq!(code, 3, "{told}{list:#}");
    assert_eq!(list["principals"][0]["local"]["days_left"], 4);
    let words: Vec<&str> = ["list"].iter().chain(&admin).copied().collect();
    let (code, list, told) = stage.run(&words).await;
    assert_eq!(code, 3, "{told}{list:#}");
    let found = &list["principals"][0]["credentials"][0];
    assert_eq!(
        (&found["kind"], &found["in_use"], &found["life"]),
        (&json!("secret"), &json!(true), &json!("urgent"))
    );
    stage.sandbox.stop().await;
}

/// A relay that runs takes the new credential by itself, before the old one is gone.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_running_relay_takes_the_new_credential() {
    let stage = Stage::new().await;
    std::fs::create_dir(stage.home.path().join("spool")).unwrap();
    let mailbox = &stage.sandbox.details().mailboxes[0];
    let relay = format!(
        "{}\n[relay]\nspool = \"sqlite://{}/spool/spool.db\"\nadmin = \"127.0.0.1:0\"\n\
         listen = [{{ address = \"127.0.0.1:0\", tls = \"none\" }}]\n[[relay.client]]\n\
         name = \"here\"\nnetworks = [\"127.0.0.1/32\"]\nsenders = [\"{mailbox}\"]\n",
        stage.filled(BEFORE),
        stage.home.path().display()
    );
    stage.home.write("sendas.toml", &relay);
    let mut running = stage
        .home
        .sendas(["relay", "--config", "sendas.toml"])
        .start_logged();
    running.line(|line| line.contains("listening")).await;
    let words = ["rotate", "--yes", "--admin-tokens", "admin.json"];
    let (code, done, told) = stage.run(&words).await;
    assert_eq!((code, &done["old_is"]), (0, &json!("removed")), "{told}");
    assert!(told.contains("running programs to take"), "{told}");
    running
        .line(|line| line.contains("the configuration was read again"))
        .await;
    // A program of this machine hands it a message, and it arrives.
    let text = format!("From: {mailbox}\r\nTo: x@example.com\r\n\r\nhello\r\n");
    let sent = stage
        .home
        .sendas(["sendmail", "-f", mailbox, "x@example.com"])
        .env("SENDAS_CONFIG", stage.home.path().join("sendas.toml"))
        .stdin(text)
        .run()
        .await;
    assert_eq!(sent.status.code(), Some(0), "{}", sent.err());
    let limit = std::time::Duration::from_secs(20);
    let arrived = stage.sandbox.wait(&Filter::default(), 1, limit).await;
    assert_eq!(arrived.len(), 1);
    running.stop().await;
    stage.sandbox.stop().await;
}

/// The program itself is killed where it says what it does next, and run again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_the_same_command_goes_on() {
    let stage = Stage::new().await;
    let certificate: &[&str] = &["rotate", "--yes"];
    let secret: &[&str] = &["rotate", "--yes", "--admin-tokens", "admin.json"];
    let to_certificate = [secret, &["--to", "certificate"]].concat();
    for (words, steps, registered) in [
        // Between request and answer of a secret, and of one's own certificate, a run looks for
        // minutes whether it was made: those are tested with a clock that is moved.
        (secret, &[4, 5][..], (1, 0)),
        (&to_certificate, &[1, 2, 3, 4, 5], (0, 1)),
        (certificate, &[4, 5], (0, 1)),
    ] {
        for step in steps {
            let all = ["credential"].iter().chain(words);
            let mut running = stage
                .home
                .sendas(all.chain(&["--config", "sendas.toml"]))
                .start_logged();
            let head = format!("[{step}/5]");
            running.line(|line| line.starts_with(&head)).await;
            running.stop().await;
            stage.sends().await;
            let (code, done, told) = stage.run(words).await;
            assert_eq!(
                (code, &done["rotated"]),
                (0, &json!(true)),
                "{step}: {told}"
            );
            stage.sends().await;
            assert_eq!(done["old_is"], "removed", "{step}: {told}");
            assert_eq!(stage.registered(), registered, "{step}: {told}");
        }
    }
    stage.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rotated_is_said_and_nothing_changes() {
    let stage = Stage::new().await;
    let admin = ["--yes", "--admin-tokens", "admin.json"];
    let credential = "{ secret = { file = \"keys/contoso.secret\" } }";
    let before = stage.filled(BEFORE);
    for (other, more, code, words) in [
        (
            "{ federated = { file = \"token\" } }",
            &[][..],
            2,
            "another issuer renews",
        ),
        ("{ managed_identity = {} }", &[], 2, "Azure renews"),
        (
            "{ secret = { env = \"SECRET\" } }",
            &[],
            2,
            "--secrets-folder",
        ),
        (
            "{ secret = { systemd = \"contoso\" } }",
            &[],
            2,
            "as the unit says",
        ),
        (credential, &["--mailbox", "x"], 2, "is no address"),
        (
            credential,
            &["--principal", "contosa"],
            2,
            "--principal contoso",
        ),
        (credential, &["--days", "100000"], 2, "730"),
        (credential, &["--back"], 2, "no rotation is under way"),
        (credential, &["--within", "30"], 2, "Entra alone"),
        (
            credential,
            &["--secrets-folder", "missing"],
            1,
            "takes no new file",
        ),
    ] {
        stage
            .home
            .write("sendas.toml", &before.replace(credential, other));
        let mut words_given = vec!["rotate"];
        words_given.extend(admin);
        words_given.extend(more);
        let (found, _, told) = stage.run(&words_given).await;
        assert_eq!(found, code, "{other} {more:?}: {told}");
        assert!(told.contains(words), "{other} {more:?}: {told}");
    }
    stage.home.write("sendas.toml", &before);
    // Without an administrator, a secret cannot be rotated, and nobody is there to sign in.
    let (code, _, told) = stage.run(&["rotate", "--yes"]).await;
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("--sign-in"), "{told}");
    // As the application itself: it may not.
    let (code, _, told) = stage.run(&["rotate", "--yes", "--as-application"]).await;
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("Application.ReadWrite.OwnedBy"), "{told}");
    // A policy forbids it.
    stage
        .sandbox
        .patch(&json!({ "policies": { "secrets_forbidden": true } }))
        .unwrap();
    let words: Vec<&str> = ["rotate"].iter().chain(&admin).copied().collect();
    let (code, answer, told) = stage.run(&words).await;
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("policy") && told.contains("certificate"),
        "{told}"
    );
    assert_eq!(answer["ok"], false);
    // From the environment alone.
    let details = stage.sandbox.details();
    let client = details.client.unwrap();
    let done = stage
        .home
        .sendas(["credential", "rotate", "--yes"])
        .env("AZURE_TENANT_ID", details.tenant.id.to_string())
        .env("AZURE_CLIENT_ID", client.id.to_string())
        .env("AZURE_CLIENT_SECRET", &client.secret)
        .run()
        .await;
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{told}");
    assert!(told.contains("AZURE_CLIENT_SECRET"), "{told}");
    assert!(!told.contains(&client.secret), "{told}");

    assert_eq!(stage.config(), before);
    assert_eq!((stage.registered(), stage.files().len()), ((1, 0), 1));
    stage.sends().await;
    stage.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_and_its_certificate_live_on_without_an_administrator() {
    let sandbox = Sandbox::start(Options {
        tenant: Preset::Fresh,
        seed: Some(6),
        ..Options::default()
    })
    .await
    .unwrap();
    let home = Home::new();
    let before = serde_json::to_value(&*sandbox.tenant()).unwrap()["applications"].clone();
    let (graph, exchange) = sandbox.admin_tokens();
    let tokens = json!({ "graph": graph, "exchange": exchange });
    home.write("admin.json", &tokens.to_string());
    let cloud = sandbox.folder().join("cloud.toml");
    let domain = sandbox.tenant().domain.clone();
    let mailbox = sandbox.details().mailboxes[0].clone();
    let setup = [
        "--tenant",
        domain.as_str(),
        "--mailbox",
        mailbox.as_str(),
        "--cloud-file",
        cloud.to_str().unwrap(),
        "--admin-tokens",
        "admin.json",
        "--write-config",
        "sendas.toml",
        "--yes",
        "--json",
    ];
    let run = async |words: Vec<&str>| {
        let done = home.sendas(words).run().await;
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(0), "{told}");
        serde_json::from_slice::<Value>(&done.stdout).unwrap()
    };
    let with = |verb| ["setup", verb].into_iter().chain(setup).collect::<Vec<_>>();
    run(with("apply")).await;
    for _ in 0..2 {
        let done = run(vec![
            "credential",
            "rotate",
            "--config",
            "sendas.toml",
            "--yes",
            "--json",
        ])
        .await;
        assert_eq!(done["old_is"], "removed", "{done:#}");
    }
    // The set-up knows the new certificate: it proves it, and takes it back.
    let proof = run(with("verify")).await;
    assert_eq!(proof["effective"], true, "{proof:#}");
    let plan = run(with("plan")).await;
    assert_eq!(plan["done"], true, "{plan:#}");
    run(with("undo")).await;
    let after = serde_json::to_value(&*sandbox.tenant()).unwrap()["applications"].clone();
    assert_eq!(before, after);
    let state = home.path().join(".local/state/sendas");
    let left: Vec<PathBuf> = std::fs::read_dir(state)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "pem"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    sandbox.stop().await;
}
