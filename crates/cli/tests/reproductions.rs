//! Every cause of the book, brought about in the sandbox as its page says: the command of the page
//! names it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod support;

use futures_util::future::join_all;
use sendas_sandbox::{Options, Preset, Running, Sandbox};
use sendas_tenant::doctor::cause::{self, Reproduction, Run, Step};
use sendas_tenant::key::MadeCertificate;
use serde_json::{Value, json};

use support::Home;
use support::transcript::fill;

/// Reproductions at once; a sandbox makes a key when it starts.
const AT_ONCE: usize = 4;

/// A CA of nobody; the certificate of a test that was run once.
const OTHER_CA: &str = include_str!("../../tenant/tests/doctor/other-ca.pem");

#[tokio::test]
async fn every_page_names_its_own_cause() {
    let wanted = std::env::var("CAUSE").ok();
    let ids: Vec<&str> = cause::ids()
        .into_iter()
        .filter(|id| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.split(',').any(|one| one == *id))
        })
        .collect();
    let mut wrong = Vec::new();
    for few in ids.chunks(AT_ONCE) {
        wrong.extend(
            join_all(few.iter().map(|id| reproduce(id)))
                .await
                .into_iter()
                .flatten(),
        );
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        ids.len(),
        wrong.join("\n")
    );
}

/// Does what the page says; tells what came out when it is something else.
async fn reproduce(id: &str) -> Option<String> {
    let how = cause::reproduction(id);
    let sandbox = Sandbox::start(Options {
        tenant: if how.tenant == "rbac" {
            Preset::Rbac
        } else {
            Preset::Classic
        },
        seed: Some(1),
        ..Options::default()
    })
    .await
    .unwrap();
    let home = Home::new();
    prepare(id, &how, &sandbox, &home);
    let (command, stdin) = match how.run {
        Run::Doctor(options) => (format!("doctor --json {options}"), None),
        Run::Examined => ("doctor --json --admin-tokens tokens.json".to_owned(), None),
        Run::Send(options) => (format!("send {options} --subject x --text Hello"), None),
        Run::Sent(options, file) => {
            let message = std::fs::read(home.path().join(file)).unwrap();
            (format!("send {options}"), Some(message))
        }
    };
    let client = sandbox.details().client.unwrap();
    let mut program = home
        .sendas(command.split_whitespace())
        .env("SENDAS_CONFIG", sandbox.folder().join("sendas.toml"))
        .env("AZURE_TENANT_ID", sandbox.details().tenant.id.to_string())
        .env("AZURE_CLIENT_ID", client.id.to_string())
        .env("AZURE_CLIENT_SECRET", client.secret.clone())
        .env("AZURE_AUTHORITY_HOST", sandbox.details().authority.as_str());
    for step in &how.steps {
        if let Step::Variable(variable) = step {
            let (name, value) = variable.split_once('=').unwrap();
            program = program.env(name, value);
        }
    }
    if let Some(message) = stdin {
        program = program.stdin(message);
    }
    let finished = program.run().await;
    let (out, err) = (finished.out(), finished.err());
    let is_named = match how.run {
        Run::Doctor(_) | Run::Examined => {
            let told: Value = serde_json::from_str(&out).unwrap_or_default();
            let causes = told["causes"].as_array().cloned().unwrap_or_default();
            let at_most = if cause::AMONG.contains(&id) {
                causes.len()
            } else {
                1
            };
            causes.iter().take(at_most).any(|one| one["id"] == id)
        }
        Run::Send(_) | Run::Sent(..) => err.starts_with(&format!("error[{id}]")),
    };
    let told: Value = serde_json::from_str(&out).unwrap_or_default();
    let shown: Vec<String> = told["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| format!("{} {} {}", one["id"], one["certainty"], one["evidence"]))
        .collect();
    (!is_named).then(|| format!("{id}: {} {shown:#?} {err}", finished.status))
}

fn prepare(id: &str, how: &Reproduction, sandbox: &Running, home: &Home) {
    // The ids are those of the tenant as it was.
    let filled = |patch: &&str| serde_json::from_str(&fill(patch, Some(sandbox))).expect(id);
    let mut patches: std::collections::VecDeque<Value> = how
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Patch(patch) => Some(filled(patch)),
            _ => None,
        })
        .collect();
    for step in &how.steps {
        match step {
            Step::Patch(_) => {
                let patch = patches.pop_front().unwrap();
                sandbox.patch(&patch).expect(id);
            }
            Step::Fault(fault) => {
                sandbox
                    .fault(serde_json::from_str(fault).expect(id))
                    .expect(id);
            }
            Step::Reply(fault) => {
                sandbox
                    .fault(serde_json::from_value(fault.clone()).expect(id))
                    .expect(id);
            }
            Step::Clock(change) => {
                let change: Value = serde_json::from_str(change).expect(id);
                let by = change["advance_s"].as_u64().unwrap();
                sandbox.advance(std::time::Duration::from_secs(by));
            }
            Step::Variable(_) => {}
            Step::File(name, text) => home.write(name, text),
            Step::Cloud(key, value) => {
                let path = sandbox.folder().join("cloud.toml");
                let text = std::fs::read_to_string(&path).unwrap();
                let head = format!("{key} = ");
                assert!(text.lines().any(|line| line.starts_with(&head)), "{id}");
                let value = if value.starts_with('{') {
                    (*value).to_owned()
                } else {
                    format!("\"{value}\"")
                };
                let changed: String = text
                    .lines()
                    .map(|line| {
                        if line.starts_with(&head) {
                            format!("{head}{value}\n")
                        } else {
                            format!("{line}\n")
                        }
                    })
                    .collect();
                std::fs::write(&path, changed).unwrap();
            }
            Step::CloudWithout(key) => {
                let path = sandbox.folder().join("cloud.toml");
                let text = std::fs::read_to_string(&path).unwrap();
                let head = format!("{key} = ");
                let lines = text.lines().filter(|line| !line.starts_with(&head));
                let kept: String = lines.flat_map(|line| [line, "\n"]).collect();
                assert_ne!(kept, text, "{id}");
                std::fs::write(&path, kept).unwrap();
            }
            Step::Words(_) => by_hand(id, sandbox, home),
        }
    }
    let (graph, exchange) = sandbox.admin_tokens();
    let tokens = json!({ "graph": graph, "exchange": exchange });
    home.write("tokens.json", &tokens.to_string());
}

/// What a page says in words.
fn by_hand(id: &str, sandbox: &Running, home: &Home) {
    match id {
        "S-CERTIFICATE-ENDED" => {
            let begin = sandbox.now() - jiff::SignedDuration::from_hours(24 * 400);
            let made = MadeCertificate::make_for("relay", begin, 365).unwrap();
            home.write("ended.pem", &made.pem);
        }
        "S-TLS-UNTRUSTED" => std::fs::write(sandbox.folder().join("ca.pem"), OTHER_CA).unwrap(),
        other => panic!("nobody does what the page on {other} says"),
    }
}
