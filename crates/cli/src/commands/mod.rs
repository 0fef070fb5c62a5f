//! One file for each command: parse, call, report.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod sandbox;
pub(crate) mod token;
