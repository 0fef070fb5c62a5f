//! `cargo xtask interop`: programs that know nothing but Microsoft's own host names, in a network of
//! their own where these names lead to the sandbox.
//!
//! The network and everything mounted exist for the processes inside only: the machine's hosts
//! file, trust store and crontabs stay as they are.

mod azure;
mod cron;
mod inside;
mod mail;
mod setup;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::run::{Run, Steps};
use crate::tools;
use crate::workspace::Workspace;
use inside::Inside;

/// The task this program runs as inside.
pub(crate) const INSIDE: &str = "interop-inside";

/// Installs what is needed, builds the binary, and runs every step inside.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    tools::install_for_interop(workspace)?;
    println!("\n== build");
    Run::cargo([
        "build",
        "--locked",
        "--all-features",
        "--package",
        "sendas-cli",
    ])
    .folder(&workspace.root)
    .shown()?;
    let folder = workspace.kept().join("interop");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)?;
    let namespace = [
        "--mount",
        "--net",
        "--pid",
        "--mount-proc",
        "--fork",
        "--kill-child",
    ];
    let own = std::env::current_exe()?;
    let root = Run::new("id").args(["-u"]).text()?.trim() == "0";
    let run = if root {
        Run::new("unshare")
    } else if Run::new("sudo").args(["-n", "true"]).succeeds() {
        Run::new("sudo").args(["-n", "unshare"])
    } else {
        bail!("a network of its own needs root, or a sudo that asks no password");
    };
    run.args(namespace)
        .args([&own])
        .args([INSIDE])
        .args([&folder, &workspace.target, &workspace.tools()])
        .without_settings()
        .shown()
}

/// Runs every step; this process must have networks and mounts of its own.
pub(crate) fn inside(arguments: &[String]) -> Result<()> {
    let [folder, target, tools] = arguments else {
        bail!("`cargo xtask interop` starts this task");
    };
    ensure!(
        Run::new("ip").args(["route"]).text()?.trim().is_empty(),
        "this is not a network of its own; `cargo xtask interop` makes one"
    );
    let inside = Inside::prepare(Path::new(folder), Path::new(target), Path::new(tools))?;
    let mut steps = Steps::default();
    azure::steps(&inside, &mut steps);
    mail::steps(&inside, &mut steps);
    setup::steps(&inside, &mut steps);
    cron::steps(&inside, &mut steps);
    steps.summary()
}
