//! `cargo xtask bench [NAME…]`: runs the benches, which measure and print ratios; none of them is a
//! test.

use anyhow::Result;

use crate::run::Run;
use crate::tools;
use crate::workspace::Workspace;

/// Runs the named benches of the workspace, or all; cargo builds the binary for them as it is released.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<()> {
    tools::install_for_benches(workspace)?;
    let every = ["*".to_owned()];
    let names = if names.is_empty() {
        every.as_slice()
    } else {
        names
    };
    let benches = names.iter().flat_map(|name| ["--bench", name]);
    Run::cargo(["bench", "--locked", "--workspace", "--all-features"])
        .args(benches)
        .without_settings()
        .env(
            "SENDAS_BENCH_BINARY",
            workspace.target.join("release/sendas"),
        )
        .folder(&workspace.root)
        .shown()
}
