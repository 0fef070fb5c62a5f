//! Every folder of `bad-settings` is one mistake: a configuration, and the exact complaint.
//!
//! A folder holds `sendas.toml`, `conf.d/*.toml` and `env` (`NAME=value` lines) as far as the
//! mistake needs them, and `complaint.txt`. With `UPDATE=1` the complaints are written anew.

use std::path::Path;

use sendas_config::{Search, load};

#[test]
fn every_mistake_gets_its_complaint() {
    let mut wrong = Vec::new();
    let mut folders: Vec<_> = std::fs::read_dir("tests/bad-settings")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(folders.len() >= 40, "{} mistakes", folders.len());
    for folder in folders {
        let complaint = complaint(&folder);
        let expected = folder.join("complaint.txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &complaint).unwrap();
        }
        let expected = std::fs::read_to_string(expected).unwrap_or_default();
        if complaint != expected {
            wrong.push(format!(
                "{}\n{complaint}\ninstead of\n{expected}",
                folder.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn complaint(folder: &Path) -> String {
    let variables = std::fs::read_to_string(folder.join("env"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let file = folder.join("sendas.toml");
    let absent = folder.join("no-file").exists();
    let option = (file.exists() || absent).then_some(file);
    let search = Search {
        option,
        variables,
        ..Search::default()
    };
    match load(&search) {
        Err(complaints) => {
            assert!(!complaints.errors().is_empty());
            let complaint = complaints.render(false);
            assert!(
                !complaint.contains("s3cr3t"),
                "a secret is shown: {complaint}"
            );
            complaint
        }
        Ok(loaded) => {
            let warnings = loaded.warnings.render(false);
            assert!(
                !warnings.is_empty(),
                "{}: nothing is wrong",
                folder.display()
            );
            warnings
        }
    }
}
