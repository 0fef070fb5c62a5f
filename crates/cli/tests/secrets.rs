//! With everything told that can be told, no command prints a secret: every output is searched for
//! the markers that the sandbox's secrets and tokens carry, in every encoding.

#![expect(clippy::unwrap_used, reason = "what fails here has failed the test")]

mod support;

use sendas_sandbox::{Effect, Fault, Options, Preset, Running, Sandbox, Step};
use sendas_testkit::canary::{self, Scanner};
use sendas_testkit::process::{Finished, Program};
use serde_json::json;

use support::Home;

const MAILBOX: &str = "noreply@contoso.onmicrosoft.com";
const MESSAGE: &str = "From: noreply@contoso.onmicrosoft.com\nTo: a@example.com\n\nHello\n";

/// A sandbox of the classic kind, and the command pointed at it, telling everything.
struct Stage {
    sandbox: Running,
    home: Home,
}

impl Stage {
    async fn set() -> Self {
        let options = Options {
            tenant: Preset::Classic,
            ..Options::default()
        };
        Self {
            sandbox: Sandbox::start(options).await.unwrap(),
            home: Home::new(),
        }
    }

    fn sendas(&self, arguments: &[&str]) -> Program {
        self.home
            .sendas(arguments)
            .env("SENDAS_LOG", "trace")
            .env("RUST_BACKTRACE", "1")
            .env("SENDAS_CONFIG", self.sandbox.folder().join("sendas.toml"))
    }

    /// Every command that reaches for a token or shows one.
    async fn run_all(&self) {
        let token = self
            .sendas(&["token", "get"])
            .stdout_is_secret()
            .run()
            .await;
        check(&["token", "get"], &[&token.stderr]);
        let file = self.home.path().join("token");
        std::fs::write(&file, &token.stdout).unwrap();
        let file = file.to_str().unwrap();
        let rows: [(&[&str], &str); 11] = [
            (&["send", "-t"], MESSAGE),
            (&["send", "-t", "--json"], MESSAGE),
            (&["send", "-t", "--token-file", file], MESSAGE),
            (
                &["send", "-t", "--mailbox", "megan@contoso.onmicrosoft.com"],
                MESSAGE,
            ),
            (&["probe", "--mailbox", MAILBOX], ""),
            (&["probe", "--json"], ""),
            (&["probe", "--token-file", file], ""),
            (&["token", "inspect"], ""),
            (&["token", "inspect", "--json"], ""),
            (&["config", "show"], ""),
            (&["config", "check"], ""),
        ];
        for (arguments, input) in rows {
            finished(arguments, &self.sendas(arguments).stdin(input).run().await);
        }
        let piped = self
            .sendas(&["token", "inspect"])
            .stdin(token.stdout.clone())
            .run()
            .await;
        finished(&["token", "inspect"], &piped);
    }
}

fn finished(arguments: &[&str], finished: &Finished) {
    check(arguments, &[&finished.stdout, &finished.stderr]);
}

fn check(arguments: &[&str], outputs: &[&[u8]]) {
    let scanner = Scanner::new();
    for output in outputs {
        let hits = scanner.scan(output);
        assert!(
            hits.is_empty(),
            "{arguments:?}: {hits:?}\n{}",
            String::from_utf8_lossy(output)
        );
    }
}

#[tokio::test]
async fn nothing_is_printed_when_all_goes_well() {
    Stage::set().await.run_all().await;
}

#[tokio::test]
async fn nothing_is_printed_when_the_secret_is_refused() {
    let stage = Stage::set().await;
    let wrong = canary::secret("wrong");
    std::fs::write(stage.sandbox.folder().join("client.secret"), &wrong).unwrap();
    stage.run_all().await;
}

#[tokio::test]
async fn nothing_is_printed_when_the_login_is_refused() {
    let stage = Stage::set().await;
    let client = stage.sandbox.details().client.unwrap();
    let principal = client.service_principal_id.to_string();
    let patch = json!({
        "exchange": { "service_principals": { principal: null } },
    });
    stage.sandbox.patch(&patch).unwrap();
    stage.run_all().await;
}

#[tokio::test]
async fn nothing_is_printed_when_the_answers_are_broken() {
    for effect in [Effect::Garbage, Effect::Close] {
        for step in [Step::Token, Step::Auth] {
            let stage = Stage::set().await;
            let effect = effect.clone();
            let (count, only) = (None, None);
            let fault = Fault {
                id: 0,
                at: step,
                effect,
                count,
                after: 0,
                only,
                percent: 100,
            };
            stage.sandbox.fault(fault).unwrap();
            stage.run_all().await;
        }
    }
}

#[tokio::test]
async fn the_demo_prints_no_secret() {
    let stage = Stage::set().await;
    for arguments in [&["demo"][..], &["demo", "--json"], &["demo", "-vv"]] {
        finished(arguments, &stage.sendas(arguments).run().await.success());
    }
}

#[tokio::test]
async fn a_configuration_of_variables_is_shown_without_its_secret() {
    let stage = Stage::set().await;
    let secret = canary::secret("variable");
    for arguments in [
        &["config", "show"][..],
        &["config", "check"],
        &["token", "get"],
    ] {
        let program = stage
            .home
            .sendas(arguments)
            .env("SENDAS_LOG", "trace")
            .env("AZURE_TENANT_ID", "contoso.onmicrosoft.com")
            .env("AZURE_CLIENT_ID", "11111111-2222-3333-4444-555555555555")
            .env("AZURE_CLIENT_SECRET", &secret)
            .env("HTTPS_PROXY", "http://127.0.0.1:9");
        finished(arguments, &program.run().await);
    }
}
