//! A federated credential from its registration to the accepted message, through the binary: the
//! platform's token in a file, exchanged at Entra, which asks the issuer for its keys.

mod support;

use sendas_sandbox::{Filter, Options, Preset, Running, Sandbox};
use sendas_testkit::process::Finished;
use serde_json::json;
use support::Home;

const SUBJECT: &str = "system:serviceaccount:mail:relay";

async fn send(home: &Home, sandbox: &Running) -> Finished {
    let mailbox = sandbox.details().mailboxes[0].clone();
    home.sendas(["send", "-f", &mailbox, "x@example.com"])
        .env("SENDAS_CONFIG", home.path().join("sendas.toml"))
        .stdin(format!(
            "From: {mailbox}\r\nTo: x@example.com\r\n\r\nhello\r\n"
        ))
        .run()
        .await
}

#[tokio::test]
async fn set_up_used_renewed_and_taken_back() {
    let options = Options {
        tenant: Preset::Fresh,
        ..Options::default()
    };
    let (sandbox, home) = (Sandbox::start(options).await.unwrap(), Home::new());
    let details = sandbox.details();
    let (graph, exchange) = sandbox.admin_tokens();
    let tokens = json!({ "graph": graph, "exchange": exchange });
    home.write("tokens.json", &tokens.to_string());
    let cloud = sandbox.folder().join("cloud.toml");
    let setup = async |verb: &str| {
        home.sendas(["setup", verb, "--tenant", "contoso.onmicrosoft.com"])
            .args(["--mailbox", &details.mailboxes[0]])
            .args([
                "--credential",
                "federated",
                "--federated-issuer",
                &details.issuer,
            ])
            .args([
                "--federated-subject",
                SUBJECT,
                "--federated-token-file",
                "token",
            ])
            .args(["--admin-tokens", "tokens.json", "--state", "state.json"])
            .args(["--write-config", "sendas.toml", "--yes", "--cloud-file"])
            .arg(&cloud)
            .run()
            .await
            .success()
    };
    drop(setup("apply").await);
    let applications = &sandbox.tenant().applications;
    let application = applications.values().next().unwrap();
    assert_eq!(application.federated.len(), 1);
    assert!(application.secrets.is_empty() && application.certificates.is_empty());

    // Nothing is there before the platform has written the file; it is read anew each time.
    let early = send(&home, &sandbox).await;
    assert_eq!(early.status.code(), Some(4), "{}", early.err());
    assert!(early.err().contains("token"), "{}", early.err());
    for _ in 0..2 {
        home.write("token", &sandbox.issuer_token(SUBJECT));
        drop(send(&home, &sandbox).await.success());
    }
    assert_eq!(sandbox.messages(&Filter::default()).len(), 2);
    drop(setup("verify").await);

    // Of another workload of the same cluster; and one that has ended.
    home.write(
        "token",
        &sandbox.issuer_token("system:serviceaccount:web:shop"),
    );
    let other = send(&home, &sandbox).await;
    assert_eq!(other.status.code(), Some(4), "{}", other.err());
    for words in ["AADSTS700213", "upper and lower case count"] {
        assert!(other.err().contains(words), "{}", other.err());
    }
    home.write("token", &sandbox.issuer_token(SUBJECT));
    sandbox.advance(std::time::Duration::from_hours(2));
    let ended = send(&home, &sandbox).await;
    assert_eq!(ended.status.code(), Some(4), "{}", ended.err());
    assert!(ended.err().contains("AADSTS700024"), "{}", ended.err());

    let (graph, exchange) = sandbox.admin_tokens();
    let tokens = json!({ "graph": graph, "exchange": exchange });
    home.write("tokens.json", &tokens.to_string());
    drop(setup("undo").await);
    assert!(sandbox.tenant().applications.is_empty());
    sandbox.stop().await;
}
