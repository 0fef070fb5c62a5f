//! The generated page on replies says what the code does; `cargo xtask generate` writes it.

use sendas_testkit::generated;
use sendas_testkit::tools::checkout;

#[test]
fn the_page_on_replies() {
    let path = checkout().join("docs/reference/replies.md");
    generated::check(&path, &sendas_exchange::page());
}
