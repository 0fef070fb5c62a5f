//! `cargo xtask dist`: the release archive for the machine it runs on.

use std::path::Path;

use anyhow::{Context, Result};

use crate::run::Run;
use crate::workspace::Workspace;

const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Builds the binary and packs it with its documents and a checksum; then unpacks it and has it
/// show what it can.
pub(crate) fn archive(workspace: &Workspace) -> Result<()> {
    build(workspace)?;
    let version = workspace
        .members()
        .find(|package| package["name"] == "sendas-cli")
        .and_then(|package| package["version"].as_str())
        .context("the binary has a version")?;
    let host = Run::new("rustc").args(["-vV"]).text()?;
    let host = host
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc has a host")?;
    let name = format!("sendas-{version}-{host}");
    let dist = workspace.target.join("archive");
    let folder = dist.join(&name);
    // Nothing of an earlier run is packed.
    if dist.exists() {
        std::fs::remove_dir_all(&dist)
            .with_context(|| format!("cannot remove {}", dist.display()))?;
    }
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(workspace.target.join("dist/sendas"), folder.join("sendas"))?;
    for document in DOCUMENTS {
        std::fs::copy(workspace.root.join(document), folder.join(document))?;
    }
    let packed = format!("{name}.tar.gz");
    // The same input gives the same octets: no owner, no time, one order.
    Run::new("tar")
        .args([
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mtime=@0",
            "-czf",
        ])
        .args([&packed, &name])
        .folder(&dist)
        .shown()?;
    let sum = Run::new("sha256sum").args([&packed]).folder(&dist).text()?;
    std::fs::write(dist.join(format!("{packed}.sha256")), &sum)?;
    std::fs::remove_dir_all(&folder)?;
    prove(&dist, &packed, &name)?;
    print!("   {sum}");
    Ok(())
}

/// Optimised across crates, which `--release` leaves out to be quick to build; without the paths of
/// the machine it is built on, so that another machine makes the same octets.
fn build(workspace: &Workspace) -> Result<()> {
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let home = home.context("cargo has a home")?;
    let root = workspace.root.display();
    Run::cargo(["build", "--profile", "dist", "--locked"])
        .args(["--package", "sendas-cli"])
        .env(
            "RUSTFLAGS",
            format!("--remap-path-prefix={root}=/sendas --remap-path-prefix={home}=/cargo"),
        )
        .env(
            "CFLAGS",
            format!("-ffile-prefix-map={root}=/sendas -ffile-prefix-map={home}=/cargo"),
        )
        .folder(&workspace.root)
        .shown()
}

/// What a person would do with the archive.
fn prove(dist: &Path, packed: &str, name: &str) -> Result<()> {
    Run::new("sha256sum")
        .args(["--check", &format!("{packed}.sha256")])
        .folder(dist)
        .shown()?;
    Run::new("tar")
        .args(["-xzf", packed])
        .folder(dist)
        .shown()?;
    Run::new(dist.join(name).join("sendas"))
        .args(["demo"])
        .without_settings()
        .folder(dist.join(name))
        .shown()
}
