//! Tests of the sandbox through its interfaces: one binary, one file per part.

mod control;
mod entra;
mod https;
mod smtp;
