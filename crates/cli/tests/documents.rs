//! What the documents tell people to type exists: every command and every option in a shell block.

#![expect(clippy::unwrap_used, reason = "what fails here has failed the test")]

use std::path::PathBuf;

use sendas_testkit::process::Program;
use sendas_testkit::tools::checkout;

/// The documents with commands in them.
fn documents() -> Vec<PathBuf> {
    let guide = std::fs::read_dir(checkout().join("docs/guide")).unwrap();
    let pages = guide.map(|entry| entry.unwrap().path());
    pages.chain([checkout().join("README.md")]).collect()
}

/// The commands of all shell blocks: each part of a pipe that calls `sendas`, in words.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut in_shell = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(fence) = line.trim().strip_prefix("```") {
            in_shell = fence == "sh";
        } else if in_shell {
            let code = line.split(" #").next().unwrap_or_default();
            for part in code.split(['|', ';', '<']) {
                let words: Vec<String> = part.split_whitespace().map(str::to_owned).collect();
                if words.first().is_some_and(|word| word == "sendas") {
                    found.push(words);
                }
            }
        }
    }
    found
}

async fn help(words: &[String]) -> Option<String> {
    let program = Program::new(env!("CARGO_BIN_EXE_sendas"))
        .clean_env()
        .args(words)
        .arg("--help");
    let finished = program.run().await;
    finished.status.success().then(|| finished.out())
}

#[tokio::test]
async fn every_command_in_the_documents_exists() {
    let mut checked = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for words in commands(&text) {
            let shown = format!("{}: {}", document.display(), words.join(" "));
            let names: Vec<String> = words
                .iter()
                .skip(1)
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
                .cloned()
                .collect();
            let help = help(&names)
                .await
                .unwrap_or_else(|| panic!("{shown}: no such command"));
            for option in words
                .iter()
                .filter(|word| word.starts_with('-') && word.len() > 1)
            {
                let known = help
                    .split_whitespace()
                    .any(|word| word.trim_end_matches(',') == option);
                assert!(known, "{shown}: no option {option}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 8, "the documents show {checked} commands");
}
