//! One client's session: what is said (pure, `conversation`), and the octets (a shell).

mod auth;
mod body;
mod conversation;
#[cfg(test)]
mod faults;
mod refuse;
mod shell;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod tests;

pub use conversation::{Conversation, Health, Patience, Peer, Step, Submitted};
pub(crate) use shell::{Ended, Seat, serve};
