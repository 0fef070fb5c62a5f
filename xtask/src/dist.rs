//! `cargo xtask dist`: the release archive for the machine it runs on.

use anyhow::{Context, Result};

use crate::run::Run;
use crate::workspace::Workspace;

const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Builds the binary and packs it with its documents and a checksum.
pub(crate) fn archive(workspace: &Workspace) -> Result<()> {
    Run::cargo(["build", "--release", "--locked", "--package", "sendas-cli"])
        .folder(&workspace.root)
        .shown()?;
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
    let dist = workspace.target.join("dist");
    let folder = dist.join(&name);
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(
        workspace.target.join("release/sendas"),
        folder.join("sendas"),
    )?;
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
    print!("   {sum}");
    Ok(())
}
