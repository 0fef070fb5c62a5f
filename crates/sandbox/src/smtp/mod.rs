//! SMTP submission as Exchange Online speaks it.
//!
//! [`auth`] and [`message`] judge, [`reply`] holds the texts, [`quota`] counts; [`session`] hosts
//! the framing of `sendas-smtp`, [`shell`] moves octets.

pub(crate) mod auth;
pub(crate) mod message;
pub(crate) mod quota;
pub(crate) mod reply;
mod session;
mod shell;

#[cfg(test)]
mod tests;

pub(crate) use shell::serve;
