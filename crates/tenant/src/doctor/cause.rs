//! The causes of a refusal: one row each, from which verdicts and the pages of the book are made.
//!
//! Causes that stand behind a reply of Exchange Online are rows of `sendas-exchange`; the tables
//! here add those that lie before it, and for all of them the way to see one in the sandbox.

use sendas_exchange::{Fix, catalogue, diagnosis, explain};

mod entra;
mod machine;
mod reproduction;
mod way;

pub use reproduction::{AMONG, Reproduction, Run, Step, reproduction};

/// A cause that no reply of Exchange Online names.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// Its stable name, `S-…`.
    pub id: &'static str,
    /// The cause, as a sentence without full stop.
    pub title: &'static str,
    /// What a person sees.
    pub symptom: &'static str,
    /// What shows that it is this one.
    pub evidence: &'static str,
    /// Why it comes about, and why it matters.
    pub why: &'static str,
    /// What mends it.
    pub fix: Fix,
}

/// Every cause of the doctor's own, in the order of the way.
pub fn all() -> impl Iterator<Item = &'static Cause> {
    [machine::CAUSES, entra::CAUSES, way::CAUSES]
        .into_iter()
        .flatten()
}

/// The doctor's own cause with this id.
pub(super) fn own(id: &str) -> Option<&'static Cause> {
    all().find(|cause| cause.id == id)
}

/// The id of every cause there is, in the order of the index: the doctor's own, those behind a
/// bare refusal, those that a reply names, and replies that no row knows.
pub fn ids() -> Vec<&'static str> {
    let mut ids: Vec<&'static str> = all().map(|cause| cause.id).collect();
    ids.extend(diagnosis::SUSPECTS.iter().map(|suspect| suspect.id));
    ids.extend(catalogue::entries().map(|entry| entry.id));
    ids.extend(explain::by_class().map(|(id, _, _)| id));
    ids
}
