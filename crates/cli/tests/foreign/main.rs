//! Programs of others and this one: those that call `sendmail`, and those that submit to a running
//! relay. A program that is missing is a failure; `cargo xtask test` installs all of them.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod by_hand;
mod called;
mod powershell;
mod relay;
mod spooled;
mod submitted;
#[path = "../support/mod.rs"]
mod support;
