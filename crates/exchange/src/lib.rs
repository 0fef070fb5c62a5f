//! What Exchange Online says and means: reply catalogue, limits, and the causes of a bare `535`.
//!
//! [`explain()`] turns a reply and the stage it came at into a scope (who else is concerned), a
//! persistence (whether waiting helps, which the reply code often does not say) and words for a
//! person. [`catalogue`] is the data behind it, [`diagnosis`] ranks the causes of the one reply
//! that Exchange gives to nearly every mistake, [`limits`] has the service's numbers.
//!
//! This crate knows no socket, clock, file or runtime. It does not decide what happens to a
//! message: that is the verdict's part, in `sendas-submit`.

pub mod catalogue;
pub mod diagnosis;
pub mod entry;
pub mod explain;
pub mod fix;
pub mod limits;
pub mod meaning;
pub mod page;

pub use diagnosis::{
    Certainty, Evidence, ExchangeFacts, Finding, Method, Roles, TokenFacts, diagnose,
};
pub use entry::{Cause, Entry, Mark, Matcher, Source, StatusIs};
pub use explain::{Explanation, explain};
pub use fix::{Fix, Subjects};
pub use meaning::{Persistence, Scope};
pub use page::page;
