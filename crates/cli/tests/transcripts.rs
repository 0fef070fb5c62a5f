//! Every file of `transcripts` is a session at the shell: commands, what they are fed, what they
//! write where, and how they end.
//!
//! `$ sendas …` starts a command; sections `--- stdin`, `--- file NAME`, `--- stdout`,
//! `--- stderr` and `--- exit N` follow it. A file that says `# tenant: classic` (or `rbac`,
//! `fresh`) has a sandbox of that kind at `SANDBOX`. Times, ports and other things that differ
//! from run to run are written as words in brackets. With `UPDATE=1` the files are written anew.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use sendas_sandbox::{Options, Preset, Running, Sandbox};

use support::{Home, tidy};

#[tokio::test]
async fn every_transcript() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 8, "{} transcripts", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let written = std::fs::read_to_string(&path).unwrap();
        let found = replay(&written).await;
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &found).unwrap();
        } else if found != written {
            wrong.push(format!(
                "{}:{}",
                path.display(),
                first_difference(&written, &found)
            ));
        }
    }
    assert!(wrong.is_empty(), "what differs:\n{}", wrong.join("\n"));
}

/// The first line that differs, with its number.
fn first_difference(written: &str, found: &str) -> String {
    let (mut left, mut right) = (written.lines(), found.lines());
    for number in 1.. {
        let (expected, now) = (left.next(), right.next());
        if expected != now || expected.is_none() {
            let shown = |line: Option<&str>| line.unwrap_or("(the end)").to_owned();
            return format!("{number}\n- {}\n+ {}", shown(expected), shown(now));
        }
    }
    unreachable!("lines end")
}

#[derive(Default)]
struct Step {
    command: String,
    sections: BTreeMap<String, String>,
}

async fn replay(text: &str) -> String {
    let (head, steps) = parse(text);
    let sandbox = match head
        .lines()
        .find_map(|line| line.strip_prefix("# tenant: "))
    {
        Some(kind) => Some(start(kind).await),
        None => None,
    };
    let home = Home::new();
    let mut out = head;
    for step in steps {
        _ = writeln!(out, "$ {}", step.command);
        for (name, text) in &step.sections {
            if let Some(file) = name.strip_prefix("file ") {
                std::fs::write(home.path().join(file), fill(text, sandbox.as_ref())).unwrap();
                _ = write!(out, "--- {name}\n{text}");
            }
        }
        let stdin = step.sections.get("stdin");
        if let Some(text) = stdin {
            _ = write!(out, "--- stdin\n{text}");
        }
        let mut words = step
            .command
            .split(' ')
            .map(|word| fill(word, sandbox.as_ref()));
        assert_eq!(words.next().as_deref(), Some("sendas"), "{}", step.command);
        let (variables, arguments): (Vec<_>, Vec<_>) =
            words.partition(|word| word.starts_with("SENDAS_") || word.starts_with("AZURE_"));
        let mut program = home.sendas(arguments);
        for variable in variables {
            let (name, value) = variable.split_once('=').unwrap();
            program = program.env(name, value);
        }
        if let Some(text) = stdin {
            program = program.stdin(fill(text, sandbox.as_ref()));
        }
        let finished = program.run().await;
        for (name, octets) in [("stdout", finished.out()), ("stderr", finished.err())] {
            if !octets.is_empty() {
                _ = write!(
                    out,
                    "--- {name}\n{}",
                    tidy(&octets, &home, sandbox.as_ref())
                );
                if !out.ends_with('\n') {
                    out.push('\n');
                }
            }
        }
        _ = write!(out, "--- exit {}\n\n", finished.status.code().unwrap());
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn parse(text: &str) -> (String, Vec<Step>) {
    let mut head = String::new();
    let mut steps: Vec<Step> = Vec::new();
    let mut section = String::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                command: command.to_owned(),
                ..Step::default()
            });
            section.clear();
        } else if let Some(name) = line.strip_prefix("--- ") {
            name.clone_into(&mut section);
        } else if let Some(step) = steps.last_mut() {
            if !section.is_empty() && !section.starts_with("exit") {
                let text = step.sections.entry(section.clone()).or_default();
                text.push_str(line);
                text.push('\n');
            }
        } else {
            head.push_str(line);
            head.push('\n');
        }
    }
    (head, steps)
}

async fn start(kind: &str) -> Running {
    let tenant = match kind {
        "classic" => Preset::Classic,
        "rbac" => Preset::Rbac,
        "fresh" => Preset::Fresh,
        other => panic!("no tenant of the kind {other}"),
    };
    Sandbox::start(Options {
        tenant,
        seed: Some(1),
        ..Options::default()
    })
    .await
    .unwrap()
}

fn fill(text: &str, sandbox: Option<&Running>) -> String {
    match sandbox {
        Some(sandbox) => text.replace("SANDBOX", sandbox.folder().to_str().unwrap()),
        None => text.to_owned(),
    }
}
