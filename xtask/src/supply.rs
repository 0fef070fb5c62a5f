//! What comes from outside: licences, forbidden crates, duplicate versions, sources, numbers.
//!
//! `deny.toml` is the one list of rules. This check reads the parts of it that need no network and
//! no further program; `cargo xtask deny` runs cargo-deny itself, with the advisory database.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use crate::run::{Run, Steps};
use crate::workspace::Workspace;

/// The most packages the binary may stand on, on Linux, without its options.
const PACKAGES_MAX: usize = 250;

const CARGO_DENY: &str = "0.20.2";

/// Checks all packages of the lock file against `deny.toml`.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let path = workspace.root.join("deny.toml");
    let text = std::fs::read_to_string(&path).context("cannot read deny.toml")?;
    let rules = Rules::read(&text.parse().context("deny.toml is no TOML")?);
    let mut wrong = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let built = tree(
        workspace,
        &["--workspace", "--all-features", "--target", "all"],
    )?;
    for Package {
        name,
        version,
        source,
        licence,
    } in packages(&built)
    {
        versions.entry(name).or_default().insert(version);
        if !permitted(licence, &rules.licences) {
            wrong.push(format!(
                "{name} {version}: licence {licence:?} is not among the permitted"
            ));
        }
        if rules.banned.contains(name) {
            wrong.push(format!("{name} {version} is banned"));
        }
        if source.contains("git") {
            wrong.push(format!("{name} {version} comes from a git repository"));
        }
    }
    for (name, versions) in &versions {
        if versions.len() > 1 && !rules.duplicates.contains(*name) {
            let versions: Vec<&str> = versions.iter().copied().collect();
            wrong.push(format!(
                "{name} is there {} times ({}) without a reason in deny.toml",
                versions.len(),
                versions.join(", ")
            ));
        }
    }
    for name in &rules.duplicates {
        if versions
            .get(name.as_str())
            .is_none_or(|versions| versions.len() < 2)
        {
            wrong.push(format!(
                "{name} is no duplicate any more: remove it from deny.toml"
            ));
        }
    }
    let binary = tree(
        workspace,
        &[
            "--package",
            "sendas-cli",
            "--edges",
            "normal,build",
            "--target",
            "x86_64-unknown-linux-gnu",
        ],
    )?;
    let foreign = |package: &Package<'_>| !package.is_ours();
    let under_binary = packages(&binary).into_iter().filter(foreign).count();
    println!(
        "   {} packages in all, {under_binary} under the binary on Linux",
        versions.len()
    );
    if under_binary > PACKAGES_MAX {
        wrong.push(format!(
            "the binary stands on {under_binary} packages, over {PACKAGES_MAX}"
        ));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}", wrong.join("\n   "))
}

/// Installs cargo-deny into `.tools` and runs all of its checks.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<()> {
    let place = workspace.tools().join("cargo");
    let program = place.join("bin/cargo-deny");
    if !Run::new(&program).args(["--version"]).succeeds() {
        println!("   installing by cargo into .tools/cargo: cargo-deny {CARGO_DENY}");
        Run::cargo([
            "install",
            "--locked",
            "--quiet",
            "--version",
            CARGO_DENY,
            "cargo-deny",
            "--root",
        ])
        .args([&place])
        .folder(&workspace.root)
        .shown()?;
    }
    let check = |what: &[&str]| {
        Run::new(&program)
            .args(["--all-features", "check"])
            .args(what)
            .folder(&workspace.root)
            .shown()
    };
    let mut steps = Steps::default();
    steps.step("bans, licences, sources", || {
        check(&["bans", "licenses", "sources"])
    });
    steps.step("advisories of the RustSec database, fetched now", || {
        check(&["advisories"])
    });
    steps.summary()
}

/// What cargo builds, one line for each package: unlike the lock file, without what no feature
/// switches on.
fn tree(workspace: &Workspace, selection: &[&str]) -> Result<String> {
    Run::cargo([
        "tree", "--locked", "--prefix", "none", "--format", "{p}\t{l}",
    ])
    .args(selection)
    .folder(&workspace.root)
    .text()
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    /// What cargo shows in parentheses: nothing for a registry, a path or an address otherwise.
    source: &'a str,
    licence: &'a str,
}

impl Package<'_> {
    fn is_ours(&self) -> bool {
        self.source.starts_with('/')
    }
}

/// Reads `name v1.2.3 (source)<tab>licence`, each package once.
fn packages(tree: &str) -> BTreeSet<Package<'_>> {
    let package = |line| {
        let (package, licence): (&str, &str) = str::split_once(line, '\t')?;
        let mut words = package.split_whitespace();
        let name = words.next()?;
        let version = words.next()?.trim_start_matches('v');
        let source = words.find(|word| word.starts_with('(') && *word != "(proc-macro)");
        let source = source.unwrap_or_default().trim_matches(['(', ')']);
        Some(Package {
            name,
            version,
            source,
            licence: licence.trim_end_matches(" (*)"),
        })
    };
    tree.lines().filter_map(package).collect()
}

struct Rules {
    licences: BTreeSet<String>,
    banned: BTreeSet<String>,
    duplicates: BTreeSet<String>,
}

impl Rules {
    fn read(table: &Table) -> Self {
        let names = |section: &str, key: &str| {
            let list = table.get(section).and_then(|section| section.get(key));
            list.and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(name)
                .collect()
        };
        Self {
            licences: names("licenses", "allow"),
            banned: names("bans", "deny"),
            duplicates: names("bans", "skip"),
        }
    }
}

/// The name in one entry: a bare text, or the member `crate` or `name` without its version.
fn name(entry: &Value) -> Option<String> {
    let text = match entry {
        Value::String(text) => text.as_str(),
        other => other.get("crate").or_else(|| other.get("name"))?.as_str()?,
    };
    Some(text.split('@').next().unwrap_or_default().to_owned())
}

/// Whether a licence expression can be met with the permitted licences.
fn permitted(expression: &str, licences: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = any_of(&mut rest, licences);
    met && rest.is_empty() && !words.is_empty()
}

fn any_of(words: &mut &[&str], licences: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, licences);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        met |= all_of(words, licences);
    }
    met
}

fn all_of(words: &mut &[&str], licences: &BTreeSet<String>) -> bool {
    let mut met = one(words, licences);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        met &= one(words, licences);
    }
    met
}

fn one(words: &mut &[&str], licences: &BTreeSet<String>) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let met = any_of(words, licences);
            if let [")", rest @ ..] = *words {
                *words = rest;
                return met;
            }
            false
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            licences.contains(&format!("{licence} WITH {exception}"))
        }
        [licence, rest @ ..] => {
            *words = rest;
            licences.contains(*licence)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions() {
        let licences = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned).into();
        let cases = [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0 OR (MIT AND ISC)", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR GPL-3.0) AND ISC", true),
            ("MIT/Apache-2.0", true),
            ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", true),
            ("Apache-2.0 WITH LLVM-exception", false),
            ("CC0-1.0", false),
            ("", false),
            ("(MIT", false),
        ];
        for (expression, expected) in cases {
            assert_eq!(permitted(expression, &licences), expected, "{expression}");
        }
    }

    #[test]
    fn packages_are_read_from_the_tree() {
        let tree = "a v1.0.0\tMIT\nb v2.0.0 (proc-macro)\tISC (*)\nours v0.1.0 (/x/ours)\tMIT\na v1.0.0\tMIT (*)\n";
        let names: Vec<_> = packages(tree)
            .into_iter()
            .map(|p| (p.name, p.version, p.licence))
            .collect();
        let expected = [
            ("a", "1.0.0", "MIT"),
            ("b", "2.0.0", "ISC"),
            ("ours", "0.1.0", "MIT"),
        ];
        assert_eq!(names, expected);
        assert_eq!(
            packages(tree)
                .iter()
                .filter(|package| package.is_ours())
                .count(),
            1
        );
    }

    #[test]
    fn rules_are_read_from_the_file() {
        let table = "[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ crate = \"ring\", reason = \"x\" }]\n\
                     skip = [{ crate = \"base64@0.22\", reason = \"x\" }]\n";
        let rules = Rules::read(&table.parse().unwrap());
        assert!(rules.licences.contains("MIT"));
        assert!(rules.banned.contains("ring"));
        assert!(rules.duplicates.contains("base64"));
    }
}
