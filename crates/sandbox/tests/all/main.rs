//! Tests of the sandbox through its interfaces: one binary, one file per part.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod administrators;
mod cmdlets;
mod consent;
mod control;
mod credentials;
mod directory;
mod entra;
mod errors;
mod files;
mod grants;
mod https;
mod issuers;
mod limits;
mod mail;
mod rights;
mod sign_in;
mod smtp;
mod talk;
