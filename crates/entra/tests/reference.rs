//! The page of AADSTS codes says what the catalogue says; `cargo xtask generate` writes it.

use sendas_entra::Actor;
use sendas_entra::aadsts::{self, Nature};
use sendas_testkit::generated;
use sendas_testkit::tools::checkout;

const HEAD: &str = "\
# AADSTS codes

Generated from the catalogue by which `sendas` reads the refusals of Entra ID; `cargo xtask generate`
writes it. Where the knowledge comes from stands on [the page on Entra ID](entra.md).

| Code | Cause | What helps | Who acts | Time |
|---|---|---|---|---|
";

#[test]
fn the_page_of_codes() {
    let rows = aadsts::all().iter().map(|entry| {
        let actor = match entry.actor {
            Actor::Administrator => "administrator",
            Actor::Operator => "operator",
            Actor::Nobody => "nobody",
        };
        let nature = match entry.nature {
            Nature::Permanent => "does not heal it",
            Nature::Temporary => "heals it",
            Nature::MaybeTooYoung => "heals it if the change is minutes old",
        };
        let (code, cause, fix) = (entry.code, entry.cause, entry.fix);
        format!("| {code} | {cause} | {fix} | {actor} | {nature} |\n")
    });
    let page = HEAD.to_owned() + &rows.collect::<Vec<_>>().concat();
    generated::check(&checkout().join("docs/reference/aadsts.md"), &page);
}
