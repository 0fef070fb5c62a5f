//! The page on commands says what `--help` says; `cargo xtask generate` writes it.

mod support;

use std::fmt::Write as _;

use sendas_testkit::generated;
use sendas_testkit::tools::checkout;

use support::Home;

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
| 3 | `doctor`, `credential list`: done, with warnings only |
| 4 | authentication needed: the principal could not prove itself, or may not do this |
| 75 | `send`, `setup verify`, `credential rotate`: failed for now; the same call may succeed later. Also when nobody knows whether the service has the message |
"
    .to_owned();
    // Parents before children, in the order of the help.
    let mut commands = vec![String::new()];
    while let Some(command) = commands.pop() {
        let words = command.split_whitespace().chain(["--help"]);
        let help = home.sendas(words).run().await.success().out();
        for child in children(&help).into_iter().rev() {
            commands.push(format!("{command} {child}").trim().to_owned());
        }
        _ = write!(
            page,
            "\n## `{}`\n\n```text\n{help}```\n",
            format!("sendas {command}").trim()
        );
    }
    generated::check(&checkout().join("docs/reference/commands.md"), &page);
}

/// The commands that a help page lists.
fn children(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}
