//! Options that a suggested command needs, to mean what this run meant.

use std::path::Path;

use sendas_tenant::doctor::Examination;

use crate::global::Global;

/// What is added to suggested commands of our own.
pub(super) struct Carried {
    /// For every command.
    every: String,
    /// For `doctor` alone.
    doctor: String,
}

impl Carried {
    pub(super) fn new(global: &Global, state: Option<&Path>) -> Self {
        let option = |name: &str, path: Option<&Path>| {
            path.map_or_else(String::new, |path| {
                format!(" {name} {}", word(&path.to_string_lossy()))
            })
        };
        Self {
            every: option("--config", global.config.as_deref()),
            doctor: option("--state", state),
        }
    }

    pub(super) fn put_into(&self, examination: &mut Examination) {
        let fixes = examination.rows.iter_mut().map(|row| &mut row.fix);
        let commands = examination.verdicts.iter_mut().map(|one| &mut one.command);
        for text in fixes.chain(commands).flatten() {
            self.put(text);
        }
    }

    /// A command of ours stands alone, or at the end behind words and a colon.
    fn put(&self, text: &mut String) {
        let command = text
            .rsplit_once(": ")
            .map_or(text.as_str(), |(_, last)| last);
        if !command.starts_with("sendas ") {
            return;
        }
        let is_doctor = command.starts_with("sendas doctor");
        text.push_str(&self.every);
        if is_doctor {
            text.push_str(&self.doctor);
        }
    }
}

/// A path as one word of a shell.
fn word(path: &str) -> String {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"/._-+@%:=,".contains(&octet);
    if !path.is_empty() && path.bytes().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_carry_what_they_need() {
        let global = Global {
            config: Some("a b.toml".into()),
            verbose: 0,
        };
        let carried = Carried::new(&global, Some(Path::new("state.json")));
        for (given, expected) in [
            (
                "sendas config check",
                "sendas config check --config 'a b.toml'",
            ),
            (
                "wait, then ask again: sendas doctor",
                "wait, then ask again: sendas doctor --config 'a b.toml' --state state.json",
            ),
            ("Get-CASMailbox -Identity x", "Get-CASMailbox -Identity x"),
            ("see what else sends", "see what else sends"),
        ] {
            let mut text = given.to_owned();
            carried.put(&mut text);
            assert_eq!(text, expected);
        }
    }
}
