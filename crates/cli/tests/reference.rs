//! The page on commands says what `--help` says; `cargo xtask generate` writes it.

mod support;

use std::fmt::Write as _;

use sendas_testkit::generated;
use sendas_testkit::tools::checkout;

use support::Home;

/// Every command, parents before children.
const COMMANDS: &[&str] = &[
    "",
    "demo",
    "send",
    "doctor",
    "probe",
    "queue",
    "queue list",
    "queue show",
    "queue retry",
    "queue hold",
    "queue release",
    "queue remove",
    "queue bounce",
    "queue count",
    "queue export",
    "queue import",
    "sendmail",
    "mailq",
    "newaliases",
    "setup",
    "setup plan",
    "setup apply",
    "setup verify",
    "setup undo",
    "token",
    "token get",
    "token inspect",
    "sandbox",
    "sandbox run",
    "sandbox env",
    "config",
    "config check",
    "config show",
    "config schema",
    "completions",
];

#[tokio::test]
async fn the_page_on_commands() {
    let home = Home::new();
    let mut page = "\
# Commands

*Made from the help of the binary; a test compares the two.*

Data goes to standard output, everything else to standard error. With `--json` a command answers
one JSON document on standard output, also when it fails. No argument takes a secret. Colours
appear on a terminal only, and not with `NO_COLOR`, `CLICOLOR=0` or `TERM=dumb`.

| Exit code | Meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong usage or configuration; nothing was tried |
| 3 | `doctor`: done, with warnings only |
| 4 | authentication needed: the principal could not prove itself, or may not do this |
| 75 | `send`: failed for now; the same call may succeed later. Also when nobody knows whether the service has the message |
"
    .to_owned();
    for command in COMMANDS {
        let words = command.split_whitespace().chain(["--help"]);
        let help = home.sendas(words).run().await.success().out();
        for line in help
            .lines()
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        {
            let name = line.split_whitespace().next().unwrap();
            let child = format!("{command} {name}").trim().to_owned();
            let is_command = help.contains("\nCommands:\n")
                && help
                    .split("\nCommands:\n")
                    .nth(1)
                    .unwrap()
                    .split("\n\n")
                    .next()
                    .unwrap()
                    .contains(line);
            assert!(
                !is_command || COMMANDS.contains(&child.as_str()),
                "{child} is not on the page"
            );
        }
        _ = write!(
            page,
            "\n## `{}`\n\n```text\n{}```\n",
            format!("sendas {command}").trim(),
            help
        );
    }
    generated::check(&checkout().join("docs/reference/commands.md"), &page);
}
