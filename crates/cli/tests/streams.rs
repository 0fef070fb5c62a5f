//! Data goes to standard output and talk to standard error, whatever the command and however it
//! ends; `--json` is JSON; secrets appear nowhere but where they are asked for.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod support;

use sendas_sandbox::{Options, Preset, Sandbox};
use serde_json::Value;

use support::Home;

const MESSAGE: &str = "From: noreply@contoso.onmicrosoft.com\nTo: a@example.com\n\nHello\n";

/// Arguments, input, exit code, whether there is data, whether there is talk.
type Row = (&'static [&'static str], &'static str, i32, bool, bool);

const ROWS: &[Row] = &[
    (&["demo"], "", 0, true, false),
    (&["send", "-t"], MESSAGE, 0, true, false),
    (&["send", "-t", "-v"], MESSAGE, 0, true, true),
    (&["send", "a@example.com"], "", 2, false, true),
    (&["probe"], "", 0, true, false),
    (
        &["probe", "--mailbox", "megan@contoso.onmicrosoft.com"],
        "",
        4,
        true,
        true,
    ),
    (&["probe", "--mailbox", "x"], "", 2, false, true),
    (&["token", "get"], "", 0, true, false),
    (&["token", "inspect"], "", 0, true, false),
    (
        &["token", "inspect", "--principal", "x"],
        "",
        2,
        false,
        true,
    ),
    (&["config", "check"], "", 0, true, false),
    (&["config", "show"], "", 0, true, false),
    (&["config", "schema"], "", 0, true, false),
    (&["sandbox", "env", "--dir", "none"], "", 1, false, true),
    (
        &["sandbox", "run", "--scenario", "none"],
        "",
        1,
        false,
        true,
    ),
    (&["completions", "bash"], "", 0, true, false),
    (&["--version"], "", 0, true, false),
    (&["--help"], "", 0, true, false),
    (&["send", "--help"], "", 0, true, false),
    (&["nonsense"], "", 2, false, true),
];

async fn sandbox() -> sendas_sandbox::Running {
    let options = Options {
        tenant: Preset::Classic,
        ..Options::default()
    };
    Sandbox::start(options).await.unwrap()
}

#[tokio::test]
async fn data_and_talk_are_kept_apart() {
    let sandbox = sandbox().await;
    let home = Home::new();
    let config = sandbox.folder().join("sendas.toml");
    for (arguments, input, code, has_data, has_talk) in ROWS {
        let mut program = home
            .sendas(*arguments)
            .env("SENDAS_CONFIG", &config)
            .stdin(*input);
        if *arguments == ["token", "get"] {
            program = program.stdout_is_secret();
        }
        let finished = program.run().await;
        let told = format!("{arguments:?}\n{}\n{}", finished.out(), finished.err());
        assert_eq!(finished.status.code(), Some(*code), "{told}");
        assert_eq!(!finished.stdout.is_empty(), *has_data, "{told}");
        assert_eq!(!finished.stderr.is_empty(), *has_talk, "{told}");
    }
}

#[tokio::test]
async fn json_is_json_however_it_ends() {
    let sandbox = sandbox().await;
    let home = Home::new();
    let config = sandbox.folder().join("sendas.toml");
    let rows: &[(&[&str], &str, i32)] = &[
        (&["demo", "--json"], "", 0),
        (&["send", "-t", "--json"], MESSAGE, 0),
        (&["send", "--json", "a@example.com"], "", 2),
        (
            &[
                "send",
                "--json",
                "-t",
                "--mailbox",
                "megan@contoso.onmicrosoft.com",
                "--principal",
                "sandbox",
            ],
            MESSAGE,
            4,
        ),
        (&["probe", "--json"], "", 0),
        (
            &[
                "probe",
                "--json",
                "--mailbox",
                "megan@contoso.onmicrosoft.com",
                "--principal",
                "sandbox",
            ],
            "",
            4,
        ),
        (&["token", "inspect", "--json"], "", 0),
        (&["token", "inspect", "--json"], "no token", 1),
        (&["config", "check", "--json"], "", 0),
        (&["sandbox", "env", "--json", "--dir", "none"], "", 1),
        (&["config", "show", "--json"], "", 0),
        (&["config", "check", "--json", "--config", "none"], "", 2),
    ];
    for (arguments, input, code) in rows {
        let finished = home
            .sendas(*arguments)
            .env("SENDAS_CONFIG", &config)
            .stdin(*input)
            .run()
            .await;
        let told = format!("{arguments:?}\n{}\n{}", finished.out(), finished.err());
        assert_eq!(finished.status.code(), Some(*code), "{told}");
        let answer: Value = serde_json::from_slice(&finished.stdout).expect(&told);
        if let Some(ok) = answer.get("ok") {
            assert_eq!(ok.as_bool().unwrap(), *code == 0, "{told}");
        }
    }
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_failure() {
    let home = Home::new();
    let path = env!("CARGO_BIN_EXE_sendas");
    let finished = sendas_testkit::process::Program::new("/bin/sh")
        .args([
            "-c",
            &format!("{path} config schema | true; {path} completions bash | head -1"),
        ])
        .folder(home.path())
        .run()
        .await
        .success();
    assert_eq!(finished.err(), "");
}
