//! The book in `docs/` and the documents of the root: every page is in the table of contents, every
//! link leads somewhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Checks the pages.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let docs = workspace.root.join("docs");
    let contents = std::fs::read_to_string(docs.join("SUMMARY.md")).context("docs/SUMMARY.md")?;
    let mut pages = Vec::new();
    markdown(&docs, &mut pages)?;
    let mut wrong = Vec::new();
    for page in &pages {
        let name = page.strip_prefix(&docs)?.to_string_lossy();
        let listed = links(&contents).filter(|link| *link == name).count();
        if name != "SUMMARY.md" && listed != 1 {
            wrong.push(format!(
                "docs/{name} is {listed} times in docs/SUMMARY.md, not once"
            ));
        }
    }
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ] {
        pages.push(workspace.root.join(name));
    }
    let mut count = 0;
    for page in &pages {
        let shown = page.strip_prefix(&workspace.root)?.display();
        let text = std::fs::read_to_string(page).with_context(|| format!("cannot read {shown}"))?;
        for link in links(&text) {
            count += 1;
            if let Err(fault) = follow(page, link) {
                wrong.push(format!("{shown}: {link}: {fault}"));
            }
        }
    }
    println!("   {} pages, {count} links", pages.len());
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}", wrong.join("\n   "))
}

fn markdown(folder: &Path, pages: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            markdown(&path, pages)?;
        } else if path.extension().is_some_and(|ending| ending == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    Ok(())
}

/// The targets of `[text](target)`, outside code.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines()
        .filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
        .flat_map(|line| {
            line.match_indices("](").filter_map(move |(at, _)| {
                let in_code = line[..at].matches('`').count() % 2 == 1;
                let target = line[at + 2..].split(')').next()?;
                (!in_code).then_some(target)
            })
        })
}

fn follow(page: &Path, link: &str) -> Result<(), String> {
    if link.starts_with("https://") || link.starts_with("http://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        file => page
            .parent()
            .map(|folder| folder.join(file))
            .unwrap_or_default(),
    };
    if !target.exists() {
        return Err("there is no such file".to_owned());
    }
    if anchor.is_empty() {
        return Ok(());
    }
    let text = std::fs::read_to_string(&target).map_err(|error| error.to_string())?;
    let found = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| slug(line) == anchor);
    if found {
        Ok(())
    } else {
        Err("there is no such heading".to_owned())
    }
}

/// The anchor a heading gets.
fn slug(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_outside_code() {
        let text = "a [b](c.md) and `[x](y)` and [d](e.md#f)\n```\n[no](no.md)\n```\n[g](h)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["c.md", "e.md#f", "h"]);
    }

    #[test]
    fn headings_become_anchors() {
        assert_eq!(
            slug("## Proven by: `xtask test`, twice"),
            "proven-by-xtask-test-twice"
        );
    }
}
