//! The submission server: takes mail from printers and programs, keeps it, delivers it.
//!
//! Owns: who may submit, what a submission's header lacks, when and through which mailbox a
//! message is tried, and who is told about its fate. Must not know: tenants' set-up, how
//! messages are stored, what a reply of the service means.

mod context;
pub mod dsn;
mod held;
pub mod intake;
mod life;
pub mod limits;
mod listener;
mod log;
mod memo;
pub mod policy;
mod reception;
pub mod schedule;
pub mod session;
mod view;
mod worker;

pub use context::{Counters, Counts};
pub use held::Gates;
pub use life::{Base, Control, LocalListener, Relay, Setup, StartError, listeners};
pub use listener::{CertificateFiles, Identity, IdentityError, Listener};
pub use policy::{Policy, PolicyError, hash_password};
pub use view::{Lane, Queue, View};
