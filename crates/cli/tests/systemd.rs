//! `--store systemd`: a secret that systemd-creds really encrypts, used as systemd hands it over.
//!
//! The hand-over itself is imitated: a service manager cannot be started by a test, so the
//! credential is decrypted by the same program into a folder, which `CREDENTIALS_DIRECTORY` names.

#![cfg(target_os = "linux")]
mod support;

use std::os::unix::fs::PermissionsExt as _;

use sendas_sandbox::{Filter, Options, Preset, Sandbox};
use sendas_testkit::process::Program;
use sendas_testkit::tools;
use serde_json::{Value, json};
use support::Home;

/// The variable by which systemd's own programs are given another key than the machine's.
const HOST_KEY: &str = "SYSTEMD_CREDENTIAL_SECRET";

#[tokio::test]
async fn a_secret_is_encrypted_and_handed_over() {
    let options = Options {
        tenant: Preset::Fresh,
        ..Options::default()
    };
    let (sandbox, home) = (Sandbox::start(options).await.unwrap(), Home::new());
    let (graph, exchange) = sandbox.admin_tokens();
    let tokens = json!({ "graph": graph, "exchange": exchange });
    home.write("tokens.json", &tokens.to_string());
    let mailbox = sandbox.details().mailboxes[0].clone();
    let host_key = home.path().join("host.key");
    let cloud = sandbox.folder().join("cloud.toml");
    let setup = |verb: &str| {
        home.sendas(["setup", verb, "--tenant", "contoso.onmicrosoft.com"])
            .args([
                "--mailbox",
                &mailbox,
                "--credential",
                "secret",
                "--store",
                "systemd",
            ])
            .args(["--secrets-folder", "credstore", "--state", "state.json"])
            .args([
                "--admin-tokens",
                "tokens.json",
                "--write-config",
                "sendas.toml",
            ])
            .args(["--yes", "--json", "--cloud-file"])
            .arg(&cloud)
            .env(HOST_KEY, &host_key)
    };
    let applied = setup("apply").run().await.success();
    let applied: Value = serde_json::from_str(&applied.out()).unwrap();
    let place = home
        .path()
        .join(applied["credential"]["place"].as_str().unwrap());
    let name = place.file_name().unwrap().to_str().unwrap();
    let config = std::fs::read_to_string(home.path().join("sendas.toml")).unwrap();
    assert!(
        config.contains(&format!("secret = {{ systemd = \"{name}\" }}")),
        "{config}"
    );
    let kept = std::fs::read_to_string(&place).unwrap();
    assert!(!kept.contains(sendas_testkit::canary::SECRET));
    assert_eq!(
        place.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );

    let handed = home.path().join("credentials");
    let send = || {
        home.sendas(["send", "-f", &mailbox, "x@example.com"])
            .env("SENDAS_CONFIG", home.path().join("sendas.toml"))
            .stdin(format!(
                "From: {mailbox}\r\nTo: x@example.com\r\n\r\nhello\r\n"
            ))
    };
    // Started by hand there is no folder of credentials; started by systemd with other credentials
    // there is, without ours.
    std::fs::create_dir(&handed).unwrap();
    for program in [send(), send().env("CREDENTIALS_DIRECTORY", &handed)] {
        let refused = program.run().await;
        assert!(!refused.status.success());
        assert!(refused.err().contains(name), "{}", refused.err());
    }
    drop(
        Program::new(tools::program("systemd-creds"))
            .env(HOST_KEY, &host_key)
            .args(["decrypt", &format!("--name={name}")])
            .args([&place, &handed.join(name)])
            .run()
            .await
            .success(),
    );
    let read_only = std::fs::Permissions::from_mode(0o400);
    std::fs::set_permissions(handed.join(name), read_only).unwrap();
    let sent = send().env("CREDENTIALS_DIRECTORY", &handed).run().await;
    drop(sent.success());
    assert_eq!(sandbox.messages(&Filter::default()).len(), 1);
    let verified = setup("verify")
        .env("CREDENTIALS_DIRECTORY", &handed)
        .env("SENDAS_CONFIG", home.path().join("sendas.toml"));
    drop(verified.run().await.success());

    drop(setup("undo").run().await.success());
    assert!(!place.exists());
    sandbox.stop().await;
}
