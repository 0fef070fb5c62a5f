//! One file for each command: parse, call, report.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod credential;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod probe;
pub(crate) mod queue;
pub(crate) mod relay;
pub(crate) mod sandbox;
pub(crate) mod send;
pub(crate) mod setup;
pub(crate) mod token;
