//! The relay between clients on sockets and a sandbox that stands in for the service.

#![expect(clippy::unwrap_used, reason = "what fails here has failed the test")]

mod attacks;
mod delivery;
mod disk;
mod forms;
mod listening;
mod notices;
mod smuggling;
mod stage;
mod trouble;
