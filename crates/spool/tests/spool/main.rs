//! The spool through its public door, on real files in fresh folders.
#![expect(
    clippy::unwrap_used,
    reason = "the helpers of a test may fail the test"
)]

mod copies;
mod damage;
mod faults;
mod life;
mod support;
mod wander;
