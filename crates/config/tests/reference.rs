//! The generated pages on settings say what the code does; `cargo xtask generate` writes them.

use sendas_testkit::generated;
use sendas_testkit::tools::checkout;

#[test]
fn the_configuration_page() {
    let path = checkout().join("docs/reference/configuration.md");
    generated::check(&path, &sendas_config::page());
}

#[test]
fn the_schema() {
    let schema = serde_json::to_string_pretty(&sendas_config::schema()).unwrap() + "\n";
    generated::check(
        &checkout().join("docs/reference/sendas.schema.json"),
        &schema,
    );
}
