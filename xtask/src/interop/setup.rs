//! This program's own set-up, with nothing but the names it knows by itself.

use anyhow::Result;

use super::inside::Inside;
use crate::run::{Run, Steps};

pub(super) fn steps(inside: &Inside, steps: &mut Steps) {
    steps.step(
        "sendas setup: made, proven and taken back by the names it knows",
        || {
            let tokens = inside.control("POST", "admin/tokens")?;
            inside.private("tokens.json", &tokens)?;
            for verb in ["apply", "verify", "undo"] {
                run(inside, verb)?;
            }
            Ok(())
        },
    );
}

fn run(inside: &Inside, verb: &str) -> Result<()> {
    let common = [
        "--tenant",
        inside.text("/tenant/domain")?,
        "--mailbox",
        inside.text("/mailboxes/1")?,
        "--name",
        "interop",
        "--admin-tokens",
        "tokens.json",
        "--state",
        "state.json",
        "--yes",
    ];
    Run::new(&inside.sendas)
        .args(["setup", verb])
        .args(common)
        .folder(&inside.folder)
        .env("NO_COLOR", "1")
        .shown()
}
