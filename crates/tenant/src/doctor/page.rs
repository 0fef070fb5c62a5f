//! The pages of the book: one for each cause, and their index; made from the tables.

use std::fmt::Write as _;

use sendas_exchange::{Subjects, catalogue, diagnosis, explain};

use super::cause::{self, Run, Step};
use super::check::{self, Group};

/// What every page ends with.
const FOOT: &str = "\n*Made from the tables in `crates/tenant/src/doctor` and `crates/exchange/src`; a test compares them.*\n";

/// What a page says.
struct Page {
    id: &'static str,
    title: String,
    symptom: String,
    evidence: String,
    why: String,
    fix: String,
    command: Option<String>,
}

/// The page on one cause, in Markdown; none when there is no such cause.
pub fn page(id: &str) -> Option<String> {
    let page = of(id)?;
    let mut out = format!(
        "# {}: {}\n\n## Symptom\n\n{}\n\n## Evidence\n\n{}\n\n## Why\n\n{}\n\n## Fix\n\n{}\n",
        page.id, page.title, page.symptom, page.evidence, page.why, page.fix
    );
    if let Some(command) = &page.command {
        _ = write!(out, "\n```sh\n{command}\n```\n");
    }
    out.push_str("\n## In the sandbox\n\n");
    out.push_str(&in_sandbox(page.id));
    out.push_str(FOOT);
    Some(out)
}

/// The index of all causes, in Markdown.
pub fn index() -> String {
    let mut out = "\
# Causes

Every reason for which a message, a login or a token is refused has one stable name. It is the
same in what `sendas doctor`, `send` and `probe` print, in logs and in the API. Each page says how
the cause shows itself, what proves it, why it comes about, how to mend it, and how to see it in
the sandbox.
"
    .to_owned();
    let own = cause::all().map(|cause| (cause.id, cause.title.to_owned()));
    section(&mut out, "Before the service answers", own);
    let suspects = diagnosis::SUSPECTS
        .iter()
        .map(|suspect| (suspect.id, suspect.cause.to_owned()));
    section(&mut out, "Behind the bare `535 5.7.3`", suspects);
    for (heading, entries) in catalogue::TABLES {
        let rows = entries
            .iter()
            .map(|entry| (entry.id, entry.title.to_owned()));
        section(&mut out, heading, rows);
    }
    let rest = explain::by_class().map(|(id, when, title)| (id, format!("{title} ({when})")));
    section(&mut out, "Replies that no row knows", rest);
    out.push_str(FOOT);
    out
}

/// The reference of all checks, in Markdown.
pub fn checks() -> String {
    let mut out = format!(
        "\
# Checks of the doctor

*Made from the tables in `crates/tenant/src/doctor/checks`; a test compares them.*

`sendas doctor` makes {} checks in {} groups, at once, within ten seconds. It changes nothing and
sends nothing. A check that could not be made says why, and which other one it waits for.
`--only` and `--skip` take ids and names of groups; `--explain ID` shows one row.
",
        check::checks().count(),
        Group::ALL.len()
    );
    for group in Group::ALL {
        _ = write!(out, "\n## {}\n", group.name());
        for check in check::checks().filter(|check| check.group == group) {
            let after = if check.after.is_empty() {
                "nothing".to_owned()
            } else {
                check.after.join(", ")
            };
            _ = write!(
                out,
                "\n### {}: {}\n\n- tested: {}\n- why: {}\n- fix: {}\n- needs: {}; waits for: {after}\n",
                check.id,
                check.title,
                check.tests,
                check.why,
                code(check.fix),
                check.needs.name(),
            );
        }
    }
    out
}

/// A command in the letters of one, words as they are.
fn code(fix: &str) -> String {
    let is_command = [
        "sendas ",
        "az ",
        "Set-",
        "New-",
        "Add-",
        "Get-",
        "Remove-",
        "chmod ",
        "getent ",
        "timedatectl ",
        "apt-get ",
        "ss ",
        "unset ",
        "ulimit ",
    ]
    .iter()
    .any(|start| fix.starts_with(start));
    if is_command {
        format!("`{fix}`")
    } else {
        fix.replace('<', "\\<")
    }
}

fn section<'a>(out: &mut String, heading: &str, rows: impl Iterator<Item = (&'a str, String)>) {
    _ = write!(out, "\n## {heading}\n\n| Cause | In short |\n|---|---|\n");
    for (id, title) in rows {
        _ = writeln!(out, "| [{id}]({id}.md) | {} |", title.replace('|', "\\|"));
    }
}

fn of(id: &str) -> Option<Page> {
    let plain = Subjects::default();
    if let Some(own) = cause::all().find(|cause| cause.id == id) {
        return Some(Page {
            id: own.id,
            title: own.title.to_owned(),
            symptom: own.symptom.to_owned(),
            evidence: own.evidence.to_owned(),
            why: own.why.to_owned(),
            fix: sentence(own.fix.advice),
            command: own.fix.command_for(&plain),
        });
    }
    if let Some(suspect) = diagnosis::SUSPECTS.iter().find(|s| s.id == id) {
        let fill = |command| sendas_exchange::Fix::command("", command).command_for(&plain);
        return Some(Page {
            id: suspect.id,
            title: suspect.cause.split([';', ':']).next()?.to_owned(),
            symptom:
                "`535 5.7.3 Authentication unsuccessful` as the answer to AUTH, and nothing else."
                    .to_owned(),
            evidence: format!(
                "This command shows it:\n\n```sh\n{}\n```",
                fill(suspect.look).unwrap_or_default()
            ),
            why: format!(
                "{} How well it is known to give this answer: {}.",
                sentence(suspect.cause),
                suspect.mark.name()
            ),
            fix: "This command mends it, or begins to:".to_owned(),
            command: fill(suspect.mend),
        });
    }
    if let Some(entry) = catalogue::find(id) {
        let samples: Vec<String> = entry
            .samples
            .iter()
            .map(|s| format!("```text\n{s}\n```"))
            .collect();
        let causes: Vec<String> = entry
            .causes
            .iter()
            .map(|cause| format!("- {} ({})", cause.text, cause.mark.name()))
            .collect();
        let stages: Vec<&str> = entry.stages.iter().map(|stage| stage.name()).collect();
        return Some(Page {
            id: entry.id,
            title: entry.title.to_owned(),
            symptom: samples.join("\n\n"),
            evidence: format!(
                "The reply itself, at {}. Who is concerned: {}. Whether waiting helps: {}.",
                stages.join(", "),
                entry.scope,
                entry.persistence
            ),
            why: causes.join("\n"),
            fix: sentence(entry.fix.advice),
            command: entry.fix.command_for(&plain),
        });
    }
    let (id, when, title) = explain::by_class().find(|(known, _, _)| *known == id)?;
    Some(Page {
        id,
        title: title.to_owned(),
        symptom: format!("A reply that no row of the catalogue knows: {when}."),
        evidence: "Class and stage of the reply; its own words say more.".to_owned(),
        why: "The service has more replies than are known, and devices on the way have their own."
            .to_owned(),
        fix: "Read its words, and see the whole dialogue:".to_owned(),
        command: Some("sendas probe".to_owned()),
    })
}

fn in_sandbox(id: &str) -> String {
    const CONTROL: &str = "curl -H \"Authorization: Bearer $SANDBOX_CONTROL_TOKEN\" -H \"Content-Type: application/json\"";
    let how = cause::reproduction(id);
    let mut out = format!(
        "Start a tenant of the kind `{}` (`sendas sandbox run --dir sandbox --tenant {}`); in another shell:\n\n",
        how.tenant, how.tenant
    );
    let mut lines = vec![". sandbox/env".to_owned()];
    let mut variables = String::new();
    let mut has_names = false;
    for step in &how.steps {
        lines.push(match step {
            Step::Patch(patch) => {
                has_names |= has_name(patch);
                format!(
                    "{CONTROL} -X PATCH \"$SANDBOX_CONTROL_URL/tenant\" -d {}",
                    quoted(patch)
                )
            }
            Step::Fault(fault) => {
                format!(
                    "{CONTROL} \"$SANDBOX_CONTROL_URL/faults\" -d {}",
                    quoted(fault)
                )
            }
            Step::Reply(fault) => {
                let fault = quoted(&fault.to_string());
                format!("{CONTROL} \"$SANDBOX_CONTROL_URL/faults\" -d {fault}")
            }
            Step::Clock(change) => {
                format!(
                    "{CONTROL} \"$SANDBOX_CONTROL_URL/clock\" -d {}",
                    quoted(change)
                )
            }
            Step::File(name, text) => {
                let text = text.replace("\r\n", "\\r\\n");
                format!("printf {} > {name}", quoted(&text))
            }
            Step::Cloud(key, value) => {
                let value = if value.starts_with('{') {
                    (*value).to_owned()
                } else {
                    format!("\"{value}\"")
                };
                format!("sed -i 's|^{key} = .*|{key} = {value}|' sandbox/cloud.toml")
            }
            Step::CloudWithout(key) => format!("sed -i '/^{key} = /d' sandbox/cloud.toml"),
            Step::Words(words) => format!("# {words}"),
            Step::Variable(variable) => {
                let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
                let value = if value.contains('*') {
                    quoted(value)
                } else {
                    value.to_owned()
                };
                _ = write!(variables, "{name}={value} ");
                continue;
            }
        });
    }
    if how.run == Run::Examined {
        lines.push(format!(
            "{CONTROL} -X POST \"$SANDBOX_CONTROL_URL/admin/tokens\" > tokens.json"
        ));
    }
    lines.push(match how.run {
        Run::Doctor(options) => format!("{variables}sendas doctor {options}")
            .trim_end()
            .to_owned(),
        Run::Examined => format!("{variables}sendas doctor --admin-tokens tokens.json"),
        Run::Send(options) => format!("{variables}sendas send {options} --subject x --text Hello"),
        Run::Sent(options, file) => format!("{variables}sendas send {options} < {file}"),
    });
    _ = write!(out, "```sh\n{}\n```\n", lines.join("\n"));
    if has_names {
        out.push_str(
            "\nNames in capitals stand for ids of `GET tenant`; see the page on the sandbox.\n",
        );
    }
    if cause::AMONG.contains(&id) {
        out.push_str(
            "\nThis cause shows itself by nothing else, so it is one of several that are named.\n",
        );
    }
    out
}

/// Whether a patch holds a name that stands for an id.
fn has_name(patch: &str) -> bool {
    patch
        .split('"')
        .any(|part| part.len() > 3 && part.bytes().all(|octet| octet.is_ascii_uppercase()))
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A row's half sentence as a whole one.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let mut out: String = first.into_iter().flatten().chain(letters).collect();
    if !out.ends_with(['.', ':']) {
        out.push('.');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_page_and_an_id_of_its_own() {
        let ids = cause::ids();
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id), "{id} stands twice");
            let page = page(id).unwrap();
            for part in [
                "# S-",
                "## Symptom",
                "## Evidence",
                "## Why",
                "## Fix",
                "## In the sandbox",
            ] {
                assert!(page.contains(part), "{id} lacks {part}");
            }
        }
        assert!(ids.len() > 100, "{}", ids.len());
        assert!(page("S-NONE").is_none());
    }
}
