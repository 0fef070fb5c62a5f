//! At a terminal: a call without input explains itself and never hangs, a token comes with a
//! warning, and colours appear unless somebody does not want them.

#![cfg(unix)]

mod support;

use std::time::Duration;

use sendas_testkit::process::{Finished, Program};
use sendas_testkit::tools;

use support::Home;

/// Runs its arguments at a terminal of their own, and passes on what they show and how they end.
const AT_A_TERMINAL: &str = "
import os, pty, sys
status = pty.spawn(sys.argv[1:], lambda fd: os.read(fd, 65536), lambda fd: b'')
sys.exit(os.waitstatus_to_exitcode(status))
";

async fn at_a_terminal(home: &Home, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    let mut program = Program::new(tools::program("python3"))
        .clean_env()
        .args(["-c", AT_A_TERMINAL, env!("CARGO_BIN_EXE_sendas")])
        .args(arguments)
        .env("HOME", home.path())
        .env("TERM", "xterm")
        .env("COLUMNS", "100")
        .folder(home.path())
        .stdout_is_secret()
        .limit(Duration::from_secs(20));
    for (name, value) in variables {
        program = program.env(name, value);
    }
    program.run().await
}

#[tokio::test]
async fn send_without_input_explains_itself() {
    let home = Home::new();
    for arguments in [
        &["send", "a@example.com"][..],
        &["send", "-t"],
        &["send", "--from", "a@b.c", "--to", "d@e.f"],
    ] {
        let finished = at_a_terminal(&home, arguments, &[("NO_COLOR", "1")]).await;
        let out = finished.out();
        assert_eq!(finished.status.code(), Some(2), "{out}");
        assert!(out.contains("the message was not sent"), "{out}");
        assert!(out.contains("try      sendas send"), "{out}");
    }
}

#[tokio::test]
async fn colours_appear_unless_unwanted() {
    let home = Home::new();
    let coloured = at_a_terminal(&home, &["config", "check"], &[]).await.out();
    assert!(coloured.contains("\u{1b}["), "{coloured:?}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
        let plain = at_a_terminal(&home, &["config", "check"], &[(name, value)])
            .await
            .out();
        assert!(!plain.contains("\u{1b}["), "{name}={value}: {plain:?}");
    }
}

#[tokio::test]
async fn a_token_on_the_screen_comes_with_a_warning() {
    let sandbox = sendas_sandbox::Sandbox::start(sendas_sandbox::Options::default())
        .await
        .expect("it starts");
    let config = sandbox.folder().join("sendas.toml");
    let variables = [
        ("SENDAS_CONFIG", config.to_str().expect("a plain path")),
        ("NO_COLOR", "1"),
    ];
    let home = Home::new();
    let out = at_a_terminal(&home, &["token", "get"], &variables)
        .await
        .out();
    assert!(
        out.contains("warning: whoever sees this token can send mail with it"),
        "the warning is missing"
    );
    let inspected = at_a_terminal(&home, &["token", "inspect"], &variables).await;
    assert!(
        inspected.out().contains("https://outlook.office365.com"),
        "{}",
        inspected.out()
    );
    sandbox.stop().await;
}
