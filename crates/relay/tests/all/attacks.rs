//! The page of attacks names a test for each row, and each test it names is there.

use std::path::Path;

/// Tests are named as `crates/x/src/y.rs: name_of_the_test`, in code spans.
fn named(page: &str) -> Vec<(&str, &str)> {
    page.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|span| span.split_once(".rs: "))
        .collect()
}

#[test]
fn every_test_that_the_page_names_exists() {
    let root = sendas_testkit::tools::checkout();
    let page = std::fs::read_to_string(root.join("docs/reference/attacks.md")).unwrap();
    let named = named(&page);
    assert!(named.len() >= 60, "only {} tests are named", named.len());
    let mut missing = Vec::new();
    for (file, test) in named {
        let path = root.join(format!("{file}.rs"));
        let source = std::fs::read_to_string(Path::new(&path)).unwrap_or_default();
        if !source.contains(&format!("fn {test}(")) {
            missing.push(format!("{file}.rs: {test}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_row_of_the_page_has_its_test() {
    let root = sendas_testkit::tools::checkout();
    let page = std::fs::read_to_string(root.join("docs/reference/attacks.md")).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("| What happens |"));
    let bare: Vec<&str> = rows.filter(|row| !row.contains(".rs: ")).collect();
    assert!(bare.is_empty(), "{bare:#?}");
}
