//! Looks at everything between this machine and a mailbox, and names one cause.
//!
//! [`examine`] makes the looks at once, each with a deadline of its own, and answers within ten
//! seconds: a row for each of the [`checks()`], and the causes of what does not work, the true one
//! first. [`judge()`] is the core: [`Facts`] in, [`Verdict`]s out, without I/O. The causes are rows
//! of [`cause`], and [`page`] writes the book from them.
//!
//! Nothing is changed and nothing is sent: AUTH is the last command, `GET` the only request
//! besides the token's, `Get-` and `Test-` the only cmdlets.

mod case;
pub mod cause;
mod check;
mod checks;
pub mod facts;
mod gather;
mod judge;
pub mod limits;
mod look;
pub mod page;
mod run;
mod seen;

pub(crate) use self::judge::cause_of;
pub use case::{Case, Configuration, Host, ListenerTls, Relay, Spool, Subject};
pub use check::{Check, Group, LOGIN, Needs, Status, checks, find};
pub use facts::Facts;
pub use judge::{CLOCK_SKEW_S_MAX, Verdict, judge, remaining};
pub use run::{Examination, Row, Selection, examine};
