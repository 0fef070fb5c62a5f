//! Packages of Debian: installed, or unpacked beside.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::stamp::{is_stamped, remove, stamp};
use crate::run::Run;

/// A program of the machine, how to see that it works, and the package that holds it.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) probe: &'static [&'static str],
    pub(super) package: &'static str,
}

/// Installs the programs that do not work yet.
pub(super) fn programs(needed: &[Program]) -> Result<()> {
    let missing: Vec<&Program> = needed
        .iter()
        .filter(|program| !Run::new(program.name).args(program.probe).succeeds())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    println!("   installing by apt: {}", packages.join(" "));
    apt(&packages)?;
    for program in missing {
        if !Run::new(program.name).args(program.probe).succeeds() {
            bail!(
                "{} does not work although {} is installed",
                program.name,
                program.package
            );
        }
    }
    Ok(())
}

/// Runs apt as root, or by sudo.
fn apt(packages: &[&str]) -> Result<()> {
    let by_hand = format!(
        "install them as root: apt-get install {}",
        packages.join(" ")
    );
    if !Run::new("apt-get").args(["--version"]).succeeds() {
        bail!(
            "the tests need {} and this machine has no apt-get; {by_hand}",
            packages.join(", ")
        );
    }
    if !is_root()? && !has_sudo() {
        bail!(
            "the tests need {}, and installing them needs root or a sudo that asks no password; {by_hand}",
            packages.join(", ")
        );
    }
    update()?;
    as_root(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

fn update() -> Result<()> {
    as_root(&["update"])
}

fn as_root(arguments: &[&str]) -> Result<()> {
    let environment = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
    let wait = ["-o", "DPkg::Lock::Timeout=300"];
    let run = if is_root()? {
        Run::new("env").args(&environment[1..])
    } else {
        Run::new("sudo").args(["-n"]).args(environment)
    };
    run.args(wait).args(arguments).shown()
}

fn is_root() -> Result<bool> {
    Ok(Run::new("id").args(["-u"]).text()?.trim() == "0")
}

fn has_sudo() -> bool {
    Run::new("sudo").args(["-n", "true"]).succeeds()
}

/// Whether a program is on the search path.
pub(super) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Unpacks a package into `debian/` of the tools: none of its scripts run, nothing of it starts.
/// The libraries it needs are installed.
pub(super) fn unpacked(folder: &Path, package: &str) -> Result<()> {
    let place = folder.join("debian").join(package);
    if is_stamped(&place, package) {
        return Ok(());
    }
    if !has("apt-get") || !has("dpkg-deb") {
        bail!(
            "the tests need programs of Debian's package {package}, and this machine has no apt-get"
        );
    }
    println!("   unpacking into .tools/debian/{package}: the package {package}");
    remove(&place)?;
    std::fs::create_dir_all(&place)?;
    let download = || {
        Run::new("apt-get")
            .args(["-qq", "download", package])
            .folder(&place)
    };
    if !download().succeeds() {
        update()?;
        download().shown()?;
    }
    let archive = std::fs::read_dir(&place)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .with_context(|| format!("apt-get has downloaded no {package}"))?;
    let dpkg = |verb: &str| Run::new("dpkg-deb").args([verb]).args([&archive]);
    dpkg("--extract").args([&place]).shown()?;
    let needed = dpkg("--field").args(["Depends"]).text()?;
    let missing: Vec<&str> = libraries(&needed)
        .filter(|library| !Run::new("dpkg").args(["--status", library]).succeeds())
        .collect();
    if !missing.is_empty() {
        println!("   installing by apt: {}", missing.join(" "));
        apt(&missing)?;
    }
    std::fs::remove_file(&archive)?;
    stamp(&place, package)
}

/// The libraries among what a package depends on: `libc6 (>= 2.34), adduser, libx | liby`.
fn libraries(depends: &str) -> impl Iterator<Item = &str> {
    depends
        .split(',')
        .filter_map(|one| one.split_whitespace().next())
        .filter(|name| name.starts_with("lib"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_are_taken() {
        let depends = "libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0, libdb5.3,  netbase\n";
        let found: Vec<&str> = libraries(depends).collect();
        assert_eq!(found, ["libc6", "libdb5.3"]);
    }
}
