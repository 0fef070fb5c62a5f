//! Looks at everything between this machine and a mailbox, and names one cause.
//!
//! [`judge()`] is the core: [`Facts`] in, [`Verdict`]s out, the true cause first. The causes are
//! rows of [`cause`], and [`page`] writes the book from them.

pub mod cause;
pub mod facts;
mod judge;
pub mod page;

pub use facts::Facts;
pub use judge::{CLOCK_SKEW_S_MAX, Verdict, judge, remaining};
