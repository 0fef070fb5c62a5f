//! `cargo xtask test`: every check and every test, with nothing left out silently.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::counts::Counts;
use crate::run::{Run, Steps};
use crate::workspace::Workspace;
use crate::{book, canary, house, supply, tools};

const ALL: [&str; 2] = ["--workspace", "--all-features"];

/// Installs the tools, runs all steps, and ends with the runner's counts.
pub(crate) fn everything(workspace: &Workspace) -> Result<()> {
    tools::install(workspace)?;
    let kept = workspace.kept();
    canary::clear(&kept)?;

    let mut steps = Steps::default();
    without_building(workspace, &mut steps);
    steps.step("lints", || {
        Run::cargo(["clippy", "--locked", "--all-targets"])
            .args(ALL)
            .args(["--", "-D", "warnings"])
            .folder(&workspace.root)
            .shown()
    });
    let mut told = Vec::new();
    steps.step("tests", || tests(workspace, &kept, &mut told));
    steps.step("examples in the documentation", || {
        doctests(workspace, &kept, &mut told)
    });
    steps.step("documentation", || {
        Run::cargo(["doc", "--locked", "--no-deps", "--document-private-items"])
            .args(ALL)
            .env("RUSTDOCFLAGS", "-D warnings")
            .folder(&workspace.root)
            .shown()
    });
    steps.step("secrets in the output of all tests", || {
        canary::check(&kept)
    });

    let result = steps.summary();
    println!();
    for line in &told {
        println!("{line}");
    }
    result
}

/// Runs the checks that build nothing.
pub(crate) fn quick(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::default();
    without_building(workspace, &mut steps);
    steps.summary()
}

fn without_building(workspace: &Workspace, steps: &mut Steps) {
    steps.step("format", || {
        Run::cargo(["fmt", "--all", "--check"])
            .folder(&workspace.root)
            .shown()
    });
    steps.step("house: who may know whom", || house::check(workspace));
    steps.step("dependencies: licences, bans, duplicates", || {
        supply::check(workspace)
    });
    steps.step("book: pages and links", || book::check(workspace));
}

/// Runs only the tests with foreign programs.
pub(crate) fn foreign(workspace: &Workspace) -> Result<()> {
    tools::install(workspace)?;
    cargo_test(workspace, ["--workspace", "--test", "foreign"]).shown()
}

/// Writes the generated pages: their tests do it when told to.
pub(crate) fn generate(workspace: &Workspace) -> Result<()> {
    ensure!(
        workspace.has_target("test", "reference"),
        "no crate generates a page"
    );
    cargo_test(workspace, ["--workspace", "--test", "reference"])
        .env("SENDAS_GENERATE", "1")
        .shown()
}

fn cargo_test<const N: usize>(workspace: &Workspace, arguments: [&str; N]) -> Run {
    Run::cargo(["test", "--quiet", "--locked", "--all-features"])
        .args(arguments)
        .without_settings()
        .folder(&workspace.root)
}

fn tests(workspace: &Workspace, kept: &Path, told: &mut Vec<String>) -> Result<()> {
    let programs = canary::programs(kept);
    std::fs::create_dir_all(&programs)?;
    let in_place = |run: Run| {
        run.without_settings()
            .env("SENDAS_TEST_OUTPUT", &programs)
            .env("INSTA_UPDATE", "no")
            .folder(&workspace.root)
    };
    let log = kept.join("tests.log");
    if Run::cargo(["nextest", "--version"]).succeeds() {
        let run = Run::cargo(["nextest", "run", "--locked", "--profile", "whole"]).args(ALL);
        let (output, result) = in_place(run).logged(&log);
        let counts = Counts::of_nextest(&output);
        tell(told, "tests", counts, summary_line(&output))?;
        result?;
        let junit = workspace.target.join("nextest/whole/junit.xml");
        std::fs::copy(&junit, kept.join("junit.xml"))
            .with_context(|| format!("the runner has written no {}", junit.display()))?;
    } else {
        let run = Run::cargo([
            "test",
            "--locked",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
        ])
        .args(ALL)
        .args(["--", "--show-output"]);
        let (output, result) = in_place(run).logged(&log);
        tell(told, "tests", Some(Counts::of_cargo_test(&output)), None)?;
        result?;
    }
    Ok(())
}

fn doctests(workspace: &Workspace, kept: &Path, told: &mut Vec<String>) -> Result<()> {
    let run = Run::cargo(["test", "--locked", "--no-fail-fast", "--doc"]).args(ALL);
    let run = run.without_settings().folder(&workspace.root);
    let (output, result) = run.logged(&kept.join("examples.log"));
    tell(told, "examples", Some(Counts::of_cargo_test(&output)), None)?;
    result
}

/// Notes the counts for the end of the run; a test that did not run is a failure.
fn tell(
    told: &mut Vec<String>,
    what: &str,
    counts: Option<Counts>,
    line: Option<&str>,
) -> Result<()> {
    let Some(counts) = counts else {
        told.push(format!("{what}: the runner gave no counts"));
        bail!("the runner gave no counts");
    };
    told.extend(line.map(str::to_owned));
    told.push(format!(
        "{what}: {} run: {} passed, {} failed, {} skipped",
        counts.run(),
        counts.passed,
        counts.failed,
        counts.skipped
    ));
    ensure!(
        counts.skipped == 0,
        "{} of the {what} did not run",
        counts.skipped
    );
    ensure!(counts.failed == 0, "{} of the {what} failed", counts.failed);
    Ok(())
}

fn summary_line(output: &str) -> Option<&str> {
    output
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| line.starts_with("Summary ["))
}
