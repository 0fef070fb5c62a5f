//! `cargo xtask bench`: runs the benches, which measure and print ratios; none of them is a test.

use anyhow::Result;

use crate::run::Run;
use crate::tools;
use crate::workspace::Workspace;

/// Builds the binary as it is released and runs every bench of the workspace.
pub(crate) fn run(workspace: &Workspace, filter: &[String]) -> Result<()> {
    tools::install(workspace)?;
    Run::cargo(["build", "--release", "--locked", "--package", "sendas-cli"])
        .folder(&workspace.root)
        .shown()?;
    Run::cargo([
        "bench",
        "--locked",
        "--workspace",
        "--all-features",
        "--benches",
        "--",
    ])
    .args(filter)
    .without_settings()
    .env(
        "SENDAS_BENCH_BINARY",
        workspace.target.join("release/sendas"),
    )
    .folder(&workspace.root)
    .shown()
}
