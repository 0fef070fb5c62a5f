//! The looks: each goes to one place with a deadline of its own, and brings back plain facts.

pub(super) mod directory;
pub(super) mod exchange;
pub(super) mod machine;
pub(super) mod names;
pub(super) mod relay;
pub(super) mod service;
pub(super) mod token;
pub(super) mod web;

use std::time::Duration;

use super::seen::{Blank, Look};

/// Runs a look within its deadline.
pub(super) async fn within<T>(
    deadline: Duration,
    what: &str,
    look: impl Future<Output = Look<T>>,
) -> Look<T> {
    match tokio::time::timeout(deadline, look).await {
        Ok(look) => look,
        Err(_) => Err(Blank::Late(format!(
            "{what} was still waited for after {:.1} s",
            deadline.as_secs_f64()
        ))),
    }
}
