//! The table of checks, a file for each group or two.

use super::check::Check;

mod clock;
mod configuration;
mod entra;
mod exchange;
mod host;
mod mailbox;
mod names;
mod network;
mod relay;
mod secrets;
mod tls;

/// Every table, in the order of the report.
pub(super) const TABLES: [&[Check]; 12] = [
    host::CHECKS,
    configuration::CHECKS,
    secrets::CHECKS,
    clock::CHECKS,
    names::CHECKS,
    network::CHECKS,
    tls::CHECKS,
    entra::CHECKS,
    exchange::CHECKS,
    mailbox::CHECKS,
    relay::LISTENERS,
    relay::SPOOL,
];

/// Writes a table: id, what it needs, where it looks, what it waits for, its words, its look.
macro_rules! checks {
    ($name:ident, $group:ident: $(
        $id:literal $needs:ident $source:ident [$($after:literal),*] $title:literal
        tests $tests:literal
        why $why:literal
        fix $fix:literal
        look $look:expr;
    )*) => {
        pub(super) const $name: &[$crate::doctor::check::Check] = &[$(
            $crate::doctor::check::Check {
                id: $id,
                group: $crate::doctor::check::Group::$group,
                title: $title,
                tests: $tests,
                why: $why,
                fix: $fix,
                needs: $crate::doctor::check::Needs::$needs,
                after: &[$($after),*],
                source: $crate::doctor::seen::Source::$source,
                look: $look,
            }
        ),*];
    };
}
use checks;
