//! Unmodified foreign programs against the sandbox: what they take for Microsoft, is.
//!
//! Each test drives one program as its own documentation says, with no more than the addresses and
//! the CA changed. A program that is missing is a failure; `cargo xtask test` installs all of them.

#![expect(clippy::unwrap_used, reason = "what fails here has failed the test")]

mod people;
mod sending;
mod set_up;
mod stage;
mod tokens;
