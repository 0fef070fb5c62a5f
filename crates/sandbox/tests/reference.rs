//! Pages of the book that are written from the sandbox's own tables.

use std::path::Path;

#[test]
fn the_page_of_behaviours_is_up_to_date() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/sandbox-behaviours.md");
    sendas_testkit::generated::check(&path, &sendas_sandbox::behaviours::page());
}
