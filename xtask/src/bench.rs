//! `cargo xtask bench [NAME…]`: runs the benches, which measure and print ratios; none of them is a
//! test. A name is a bench's, or one of the relay's figures.

use anyhow::Result;

use crate::run::Run;
use crate::tools;
use crate::workspace::Workspace;

/// What the bench `relay` measures; `docs/reference/figures.md` says what each is.
const FIGURES: [&str; 7] = [
    "accept", "million", "deliver", "idle", "large", "pace", "calm",
];

/// Runs the named benches of the workspace, or all; cargo builds the binary for them as it is released.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<()> {
    let (figures, benches): (Vec<&String>, Vec<&String>) = names
        .iter()
        .partition(|name| FIGURES.contains(&name.as_str()));
    if names.is_empty() || benches.iter().any(|name| *name == "send") {
        tools::install_for_benches(workspace)?;
    }
    if names.is_empty() || names.iter().any(|name| name == "accept" || name == "relay") {
        tools::unpack_postfix(workspace);
    }
    if names.is_empty() {
        bench(workspace, &["*"], &[])?;
    }
    let benches: Vec<&str> = benches.into_iter().map(String::as_str).collect();
    if !benches.is_empty() {
        bench(workspace, &benches, &[])?;
    }
    let figures: Vec<&str> = figures.into_iter().map(String::as_str).collect();
    if !figures.is_empty() {
        bench(workspace, &["relay"], &figures)?;
    }
    Ok(())
}

fn bench(workspace: &Workspace, names: &[&str], words: &[&str]) -> Result<()> {
    let benches = names.iter().flat_map(|name| ["--bench", name]);
    let words = (!words.is_empty())
        .then_some("--")
        .into_iter()
        .chain(words.iter().copied());
    Run::cargo(["bench", "--locked", "--workspace", "--all-features"])
        .args(benches)
        .args(words)
        .without_settings()
        .env(
            "SENDAS_BENCH_BINARY",
            workspace.target.join("release/sendas"),
        )
        .folder(&workspace.root)
        .shown()
}
