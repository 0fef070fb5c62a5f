//! Sessions at the shell as text: replayed, and written as they went.
//!
//! Lines at the top that begin with `# name:` set the stage:
//!
//! - `tenant`: the kind of the sandbox (`classic`, `rbac`, `fresh`); none without it;
//! - `patch`: a JSON merge patch of the tenant; `fault`: a fault that waits, in JSON.
//!
//! With a tenant, the file `admin.json` holds an administrator's tokens.
//!
//! `$ sendas …` starts a command, variables of its environment behind it; sections `--- stdin`,
//! `--- file NAME`, `--- token NAME` (its claims), `--- stdout`, `--- stderr` and `--- exit N` follow. Words in capitals stand
//! for what a sandbox has: `SANDBOX` its folder, `ENTRA` its Entra ID, `TENANT` and `CLIENT` their ids, `PRINCIPAL` and
//! `REGISTRATION` the two object ids, `SECRET` and `CONSENT` the keys of the secret and of the
//! consent, `EXCHANGE` the object id of Exchange's own principal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use sendas_sandbox::{Options, Preset, Running, Sandbox};

use super::{Home, tidy};

/// Sessions replayed at once.
const AT_ONCE: usize = 4;

/// A session as it went.
pub(crate) struct Replayed {
    /// The whole text, results and all.
    pub(crate) text: String,
    /// Everything the commands said on standard error.
    pub(crate) told: String,
    /// The real causes, as the sandbox's journal has them.
    pub(crate) causes: Vec<String>,
}

/// Replays every file of a folder and compares; `check` judges a session and gives its text.
pub(crate) async fn replay_all(
    folder: &str,
    at_least: usize,
    check: impl Fn(&str, &Replayed) -> Result<String, String>,
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= at_least, "{} sessions", paths.len());
    let mut wrong = Vec::new();
    // A sandbox makes a key when it starts, which keeps one core busy.
    for few in paths.chunks(AT_ONCE) {
        let replays = few.iter().map(async |path| {
            let written = std::fs::read_to_string(path).unwrap();
            let replayed = replay(&written).await;
            (path, written, replayed)
        });
        for (path, written, replayed) in join_all(replays).await {
            match check(&written, &replayed) {
                Err(complaint) => wrong.push(format!("{}: {complaint}", path.display())),
                Ok(found) if std::env::var_os("UPDATE").is_some() => {
                    std::fs::write(path, &found).unwrap();
                }
                Ok(found) if found != written => {
                    let difference = first_difference(&written, &found);
                    wrong.push(format!("{}:{difference}", path.display()));
                }
                Ok(_) => {}
            }
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

async fn replay(text: &str) -> Replayed {
    let (head, steps) = parse(text);
    let sandbox = match head
        .lines()
        .find_map(|line| line.strip_prefix("# tenant: "))
    {
        Some(kind) => Some(start(kind).await),
        None => None,
    };
    if let Some(sandbox) = &sandbox {
        set_the_stage(&head, sandbox);
    }
    let home = Home::new();
    if let Some(sandbox) = &sandbox {
        // An administrator of the tenant, at hand.
        let (graph, exchange) = sandbox.admin_tokens();
        let tokens = serde_json::json!({ "graph": graph, "exchange": exchange });
        home.write("admin.json", &tokens.to_string());
    }
    let mut out = head;
    let mut told = String::new();
    for step in steps {
        _ = writeln!(out, "$ {}", step.command);
        for (name, text) in &step.sections {
            if let Some(file) = name.strip_prefix("file ") {
                home.write(file, &fill(text, sandbox.as_ref()));
                _ = write!(out, "--- {name}\n{text}");
            }
            if let Some(file) = name.strip_prefix("token ") {
                home.write(file, &token(&fill(text, sandbox.as_ref())));
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
        told.push_str(&finished.err());
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
    let causes = sandbox.as_ref().map_or_else(Vec::new, |sandbox| {
        let causes = sandbox
            .journal(0)
            .into_iter()
            .filter_map(|entry| entry.cause);
        causes
            .map(|cause| tidy(&cause, &home, Some(sandbox)))
            .collect()
    });
    Replayed {
        text: out,
        told,
        causes,
    }
}

/// Changes the tenant and lays faults as the head of a session says.
fn set_the_stage(head: &str, sandbox: &Running) {
    for line in head.lines() {
        if let Some(patch) = line.strip_prefix("# patch: ") {
            let patch = serde_json::from_str(&fill(patch, Some(sandbox))).expect(line);
            sandbox.patch(&patch).expect(line);
        } else if let Some(fault) = line.strip_prefix("# fault: ") {
            sandbox
                .fault(serde_json::from_str(&fill(fault, Some(sandbox))).expect(line))
                .expect(line);
        }
    }
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

/// A token that says what a JSON object says, and that nobody has signed.
fn token(claims: &str) -> String {
    let claims: serde_json::Value = serde_json::from_str(claims).expect("claims are JSON");
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}\n",
        part(r#"{"alg":"RS256","typ":"JWT"}"#),
        part(&claims.to_string()),
        part("signed")
    )
}

/// Puts in what the words in capitals stand for.
pub(crate) fn fill(text: &str, sandbox: Option<&Running>) -> String {
    let Some(sandbox) = sandbox else {
        return text.to_owned();
    };
    let mut text = text.replace("SANDBOX", sandbox.folder().to_str().unwrap());
    let (details, tenant) = (sandbox.details(), sandbox.tenant());
    text = text.replace("ENTRA", &details.authority);
    if let Some(client) = &details.client {
        let registration = client.application_object_id;
        let secret = tenant.applications[&registration].secrets.keys().next();
        for (word, id) in [
            ("TENANT", Some(details.tenant.id)),
            ("CLIENT", Some(client.id)),
            ("PRINCIPAL", Some(client.service_principal_id)),
            ("REGISTRATION", Some(registration)),
            ("SECRET", secret.copied()),
            (
                "CONSENT",
                tenant.app_role_assignments.keys().next().copied(),
            ),
        ] {
            if let Some(id) = id {
                // A setting's name may end in one of the words.
                text = text.replace(&format!("\"{word}\""), &format!("\"{id}\""));
            }
        }
    }
    let group = tenant.groups.keys().next().map(ToString::to_string);
    text = text.replace("\"GROUP\"", &format!("\"{}\"", group.unwrap_or_default()));
    let offered = tenant
        .service_principals
        .values()
        .flat_map(|principal| &principal.app_roles)
        .find(|(_, role)| role.value == "SMTP.SendAsApp");
    let role = offered.map_or_else(String::new, |(id, _)| id.to_string());
    text = text.replace("\"SENDASAPP\"", &format!("\"{role}\""));
    let exchange = tenant
        .service_principals
        .iter()
        .find(|(_, principal)| principal.display_name == "Office 365 Exchange Online")
        .map(|(id, _)| id.to_string());
    text.replace(
        "\"EXCHANGE\"",
        &format!("\"{}\"", exchange.unwrap_or_default()),
    )
}
