//! The pages on causes say what the tables do; `cargo xtask generate` writes them.

use std::collections::BTreeSet;

use sendas_tenant::doctor::{cause, page};
use sendas_testkit::generated;
use sendas_testkit::tools::checkout;

#[test]
fn the_pages_on_causes() {
    let folder = checkout().join("docs/causes");
    generated::check(&folder.join("README.md"), &page::index());
    let mut wanted: BTreeSet<String> = BTreeSet::from(["README.md".to_owned()]);
    for id in cause::ids() {
        let name = format!("{id}.md");
        generated::check(&folder.join(&name), &page::page(id).unwrap());
        wanted.insert(name);
    }
    let found: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        found, wanted,
        "pages without a cause, or causes without a page"
    );
}

#[test]
fn the_page_on_checks() {
    let path = checkout().join("docs/reference/checks.md");
    generated::check(&path, &page::checks());
}

#[test]
fn the_summary_names_every_page() {
    let summary = std::fs::read_to_string(checkout().join("docs/SUMMARY.md")).unwrap();
    for id in cause::ids() {
        assert!(
            summary.contains(&format!("(causes/{id}.md)")),
            "docs/SUMMARY.md lacks causes/{id}.md"
        );
    }
}
