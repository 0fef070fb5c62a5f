//! What the tests share: dialogues, a counting proxy, foreign programs, folders, paused time and
//! canary secrets.
//!
//! Owns the machinery that several test suites need and nothing that judges: it knows neither SMTP
//! nor Microsoft, and no crate of the product may depend on it outside its tests.

pub mod canary;
#[cfg(feature = "net")]
pub mod clock;
pub mod dialogue;
#[cfg(feature = "net")]
pub mod folder;
#[cfg(feature = "net")]
pub mod generated;
#[cfg(feature = "net")]
pub mod process;
#[cfg(feature = "net")]
pub mod proxy;
#[cfg(feature = "net")]
pub mod socket;
#[cfg(feature = "net")]
pub mod tools;
