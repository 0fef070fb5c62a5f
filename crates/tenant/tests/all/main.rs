//! A set-up from end to end, against a tenant in memory and against the sandbox.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod double;
mod interrupted;
mod memory;
mod rotation;
mod sandbox;
mod script;
mod sign_in;
mod stage;
