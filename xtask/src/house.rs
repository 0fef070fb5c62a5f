//! The plan of the house: which crate may know which, as ARCHITECTURE.md draws it.

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// What each crate of ours may depend on, outside its tests.
const MAY_KNOW: [(&str, &[&str]); 14] = [
    ("sendas-envelope", &[]),
    ("sendas-smtp", &["sendas-envelope"]),
    ("sendas-tls", &[]),
    ("sendas-entra", &["sendas-tls"]),
    ("sendas-exchange", &["sendas-envelope", "sendas-smtp"]),
    (
        "sendas-submit",
        &[
            "sendas-envelope",
            "sendas-smtp",
            "sendas-exchange",
            "sendas-tls",
            "sendas-entra",
        ],
    ),
    ("sendas-sandbox", &["sendas-envelope", "sendas-smtp"]),
    ("sendas-config", &[]),
    ("sendas-spool", &["sendas-envelope"]),
    (
        "sendas-relay",
        &[
            "sendas-envelope",
            "sendas-smtp",
            "sendas-exchange",
            "sendas-submit",
            "sendas-entra",
            "sendas-spool",
            "sendas-tls",
            // Its policy is judged from the typed settings; `config` knows nothing of it.
            "sendas-config",
        ],
    ),
    (
        "sendas-tenant",
        &[
            "sendas-envelope",
            "sendas-smtp",
            "sendas-entra",
            "sendas-exchange",
            "sendas-submit",
            "sendas-tls",
        ],
    ),
    ("sendas-testkit", &[]),
    (
        "sendas",
        &[
            "sendas-envelope",
            "sendas-smtp",
            "sendas-entra",
            "sendas-exchange",
            "sendas-submit",
            "sendas-tls",
        ],
    ),
    ("xtask", &["sendas-testkit"]),
];

/// The binary may know every crate but the one of the tests.
const BINARY: &str = "sendas-cli";

/// Checks every dependency between our crates.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut wrong = Vec::new();
    for package in workspace.members() {
        let name = package["name"].as_str().unwrap_or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            let ours = to == "sendas" || to.starts_with("sendas-");
            if ours && dependency["kind"] != "dev" && !allowed(name, to) {
                wrong.push(format!("{name} must not know {to}"));
            }
        }
        if name != BINARY && !MAY_KNOW.iter().any(|(known, _)| *known == name) {
            wrong.push(format!(
                "{name} has no place in the plan (xtask/src/house.rs)"
            ));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}", wrong.join("\n   "))
}

fn allowed(from: &str, to: &str) -> bool {
    if from == BINARY {
        return to != "sendas-testkit";
    }
    MAY_KNOW
        .iter()
        .any(|(name, known)| *name == from && known.contains(&to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_never_imports_what_it_judges() {
        assert!(!allowed("sendas-sandbox", "sendas-exchange"));
        assert!(!allowed("sendas-sandbox", "sendas-entra"));
        assert!(allowed("sendas-sandbox", "sendas-smtp"));
        assert!(allowed("sendas-cli", "sendas-sandbox"));
        assert!(!allowed("sendas-cli", "sendas-testkit"));
        assert!(!allowed("sendas-exchange", "sendas-submit"));
    }
}
