//! `cargo xtask bench [NAME…]`: runs the benches, which measure and print ratios; none of them is a
//! test.

use anyhow::Result;

use crate::run::Run;
use crate::tools;
use crate::workspace::Workspace;

/// Builds the binary as it is released, and runs the named benches of the workspace, or all.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<()> {
    tools::install_for_benches(workspace)?;
    Run::cargo(["build", "--release", "--locked", "--package", "sendas-cli"])
        .folder(&workspace.root)
        .shown()?;
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
