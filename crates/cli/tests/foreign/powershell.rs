//! PowerShell that this program prints, or this book shows: read by a grammar of others, and
//! compared with the table of cmdlets (`docs/reference/cmdlets.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sendas_sandbox::{Options, Preset, Running, Sandbox};
use sendas_testkit::process::Program;
use sendas_testkit::tools;
use serde_json::{Value, json};

use crate::support::Home;

/// Parameters of each cmdlet; those of every cmdlet stand under the empty name.
type Table = BTreeMap<String, BTreeSet<String>>;

/// What the page holds: all of it, and the part that has a source.
struct Known {
    all: Table,
    sourced: Table,
    /// What the page says the script takes on trust.
    on_trust: Table,
}

fn known() -> Known {
    let page = std::fs::read_to_string(tools::checkout().join("docs/reference/cmdlets.md"));
    let page = page.unwrap();
    let (main, trust) = page.split_once("## What the printed script").unwrap();
    let mut known = Known {
        all: Table::new(),
        sourced: Table::new(),
        on_trust: Table::new(),
    };
    for (name, parameters, mark) in rows(main) {
        let add = |table: &mut Table| {
            let entry = table.entry(name.clone()).or_default();
            entry.extend(parameters.iter().cloned());
        };
        add(&mut known.all);
        match mark.as_str() {
            "documented" | "observed" => add(&mut known.sourced),
            "unsure" => {}
            other => panic!("{name}: {other:?} is no mark"),
        }
    }
    for (name, parameters, _) in rows(trust) {
        known.on_trust.entry(name).or_default().extend(parameters);
    }
    assert!(known.all.len() > 30, "the table was not read");
    known
}

fn rows(text: &str) -> impl Iterator<Item = (String, BTreeSet<String>, String)> {
    let bare = |cell: &str| cell.trim().trim_matches('`').to_owned();
    text.lines().filter_map(move |line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.split('|').collect();
        let name = match cells[0].trim() {
            "Cmdlet" => return None,
            "*every cmdlet*" => String::new(),
            name => bare(name),
        };
        let parameters = cells[1].split(',').map(bare);
        let parameters = parameters.filter(|name| !name.is_empty()).collect();
        Some((name, parameters, bare(cells.get(2)?)))
    })
}

impl Known {
    /// What stands in no row.
    fn strange(&self, used: &Table) -> Vec<String> {
        let everywhere = &self.all[""];
        used.iter()
            .flat_map(|(name, parameters)| {
                let row = self.all.get(name);
                let strange = parameters.iter().filter(move |parameter| {
                    !everywhere.contains(*parameter)
                        && !row.is_some_and(|row| row.contains(*parameter))
                });
                let cmdlet = row.is_none().then(|| name.clone());
                cmdlet
                    .into_iter()
                    .chain(strange.map(move |parameter| format!("{name} -{parameter}")))
            })
            .collect()
    }

    /// What has no source.
    fn unsourced(&self, used: &Table) -> Table {
        let mut found = Table::new();
        for (name, parameters) in used {
            let row = self.sourced.get(name);
            let rest: BTreeSet<String> = parameters
                .iter()
                .filter(|parameter| !row.is_some_and(|row| row.contains(*parameter)))
                .cloned()
                .collect();
            if row.is_none() || !rest.is_empty() {
                found.insert(name.clone(), rest);
            }
        }
        found
    }
}

/// One call of a cmdlet, its arguments as they are written.
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) parameters: Vec<(String, Option<String>)>,
}

/// Parses scripts and gives the calls of each; trouble is a failure.
pub(crate) async fn calls(scripts: &[(String, String)]) -> Vec<Vec<Call>> {
    let texts: Vec<&str> = scripts.iter().map(|(_, text)| &**text).collect();
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/clients/powershell_parse.py");
    let parsed = Program::new(tools::python())
        .clean_env()
        .arg(path)
        .stdin(serde_json::to_string(&texts).unwrap())
        .run()
        .await
        .success();
    let parsed: Vec<Value> = serde_json::from_str(&parsed.out()).unwrap();
    let call = |command: &Value| Call {
        name: command["name"].as_str().unwrap().to_owned(),
        parameters: serde_json::from_value(command["parameters"].clone()).unwrap(),
    };
    let told = scripts.iter().zip(&parsed);
    told.map(|((name, text), told)| {
        assert_eq!(told["trouble"], json!([]), "{name}:\n{text}");
        let commands = told["commands"].as_array().unwrap();
        commands.iter().map(call).collect()
    })
    .collect()
}

/// Parses scripts and gives what they use.
async fn used(scripts: &[(String, String)]) -> Table {
    let mut table = Table::new();
    for call in calls(scripts).await.into_iter().flatten() {
        let names = call.parameters.into_iter().map(|(name, _)| name);
        table.entry(call.name).or_default().extend(names);
    }
    table
}

async fn sandbox(tenant: Preset) -> Running {
    let options = Options {
        tenant,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    // Names that would leave their quotes or their comment, if anything could.
    let odd = "O'Brien \u{2019}; Remove-Mailbox 'x'\n$(Get-Date) `\" <# #>\u{2028}\u{85}x";
    let mailbox = json!({ "display_name": odd });
    let patch = json!({
        "display_name": odd,
        "exchange": {
            "organization": { "dehydrated": true },
            "mailboxes": {
                "o'brien@contoso.onmicrosoft.com": mailbox,
                "o\u{2019}hara@contoso.onmicrosoft.com": mailbox,
                "grüße@contoso.onmicrosoft.com": mailbox,
            },
        },
    });
    sandbox.patch(&patch).unwrap();
    sandbox
}

/// `setup plan`, as a script and as JSON.
async fn plans(sandbox: &Running, home: &Home, more: &[&str]) -> (String, Value) {
    let (graph, exchange) = sandbox.admin_tokens();
    home.write(
        "tokens.json",
        &json!({ "graph": graph, "exchange": exchange }).to_string(),
    );
    let cloud: PathBuf = sandbox.folder().join("cloud.toml");
    let plan = async |form: &str| {
        let done = home
            .sendas(["setup", "plan", form, "--admin-tokens", "tokens.json"])
            .args([
                "--tenant",
                "contoso.onmicrosoft.com",
                "--state",
                "state.json",
            ])
            .arg("--cloud-file")
            .arg(&cloud)
            .args(more)
            .run()
            .await;
        assert!(done.status.success(), "{more:?}: {}", done.err());
        done.out()
    };
    let script = plan("--powershell").await;
    (script, serde_json::from_str(&plan("--json").await).unwrap())
}

const MAILBOXES: [&str; 8] = [
    "--mailbox",
    "noreply@contoso.onmicrosoft.com",
    "--mailbox",
    "o'brien@contoso.onmicrosoft.com",
    "--mailbox",
    "o\u{2019}hara@contoso.onmicrosoft.com",
    "--mailbox",
    "grüße@contoso.onmicrosoft.com",
];

#[tokio::test]
async fn the_printed_script() {
    let known = known();
    let mut scripts = Vec::new();
    let mut removals = Vec::new();
    for preset in [Preset::Fresh, Preset::Classic, Preset::Rbac] {
        let (sandbox, home) = (sandbox(preset).await, Home::new());
        let client = sandbox.details().client.map(|client| client.id.to_string());
        for method in ["rbac", "classic"] {
            for mailboxes in [&MAILBOXES[..2], &MAILBOXES] {
                let mut more = vec!["--method", method, "--name", "Büro - 2.0_x"];
                more.extend(mailboxes);
                if let Some(client) = &client {
                    more.extend(["--client-id", client]);
                }
                let (script, plan) = plans(&sandbox, &home, &more).await;
                let name = format!("{preset:?} {}", more.join(" "));
                for notice in plan["notices"].as_array().unwrap() {
                    for line in notice["removal"].as_array().unwrap() {
                        removals.push((name.clone(), line.as_str().unwrap().to_owned()));
                    }
                }
                scripts.push((name, script));
            }
        }
        sandbox.stop().await;
    }
    let table = used(&scripts).await;
    assert_eq!(known.strange(&table), Vec::<String>::new());
    assert_eq!(known.unsourced(&table), known.on_trust);
    for cmdlet in ["New-ManagementRoleAssignment", "Add-RecipientPermission"] {
        assert!(table.contains_key(cmdlet), "{cmdlet} was never printed");
    }

    removals.retain(|(_, line)| is_cmdlet(line));
    assert!(!removals.is_empty(), "no plan said how to remove a right");
    let table = used(&removals).await;
    assert_eq!(known.strange(&table), Vec::<String>::new());
}

/// Whether a line begins with a verb of ours and a noun.
fn is_cmdlet(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    let Some((verb, noun)) = word.split_once('-') else {
        return false;
    };
    [
        "Add", "Connect", "Enable", "Get", "New", "Remove", "Set", "Test",
    ]
    .contains(&verb)
        && noun.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Every line of a code block in the book that is a cmdlet.
#[tokio::test]
async fn the_cmdlets_of_the_book() {
    let mut lines = Vec::new();
    let mut folders = vec![tools::checkout().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                let page = std::fs::read_to_string(&path).unwrap();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let code = blocks(&page).filter(|line| is_cmdlet(line));
                // What follows a pipe is PowerShell's own: how an answer is shown.
                let code = code.filter_map(|line| line.split(" | ").next());
                lines.extend(code.map(|line| (name.clone(), filled(line))));
            }
        }
    }
    assert!(lines.len() > 30, "{lines:?}");
    let table = used(&lines).await;
    assert_eq!(known().strange(&table), Vec::<String>::new());
}

/// The lines of a page that stand in code blocks.
pub(crate) fn blocks(page: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    page.lines().filter(move |line| {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            return false;
        }
        inside
    })
}

/// A line with something in the places that a reader fills in: `<mailbox>`, `{mailbox}`.
fn filled(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['<', '{']) {
        let close = if rest[at..].starts_with('<') {
            '>'
        } else {
            '}'
        };
        let Some(end) = rest[at..].find(close) else {
            break;
        };
        out.push_str(&rest[..at]);
        out.push('x');
        rest = &rest[at + end + 1..];
    }
    out + rest
}

/// What the sandbox imitates is in the table, so that nothing works only there.
#[test]
fn the_cmdlets_of_the_sandbox() {
    let own: Table = sendas_sandbox::cmdlets()
        .map(|(name, parameters)| {
            let parameters = parameters.into_iter().map(str::to_owned).collect();
            (name.to_owned(), parameters)
        })
        .collect();
    assert!(own.len() > 20);
    assert_eq!(known().strange(&own), Vec::<String>::new());
}
