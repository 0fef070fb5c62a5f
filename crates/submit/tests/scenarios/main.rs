//! The client at the sandbox: real tokens, real TLS, real refusals, faults at every step.

#![expect(clippy::unwrap_used, reason = "what fails here has failed the test")]

mod faults;
mod large;
mod pool;
mod stage;
mod tickets;
