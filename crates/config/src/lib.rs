//! File and environment to typed settings.
//!
//! Owns: the table of every setting ([`mod@reference`]), the files and variables they come from,
//! the complaints about them, the reference page and the JSON schema made of the table, and
//! the mailbox rule.
//! Must not know: what the settings are used for. It reads the files it is told to look for,
//! and neither environment nor clock: variables and paths are handed in by the program.

mod check;
mod complaint;
mod convert;
mod domain;
mod environment;
mod kind;
mod layer;
mod load;
mod mailbox;
mod mask;
mod page;
mod reader;
pub mod reference;
mod relay;
mod schema;
mod settings;
mod show;
pub mod suggest;
mod tree;
mod units;

pub use complaint::{Complaints, Finding};
pub use kind::{Kind, Network as IpNetwork};
pub use load::{Loaded, Search, load};
pub use mailbox::{Coverage, MailboxEntry, Pattern, coverage, principal_of};
pub use page::page;
pub use schema::schema;
pub use settings::{
    Cloud, Credential, LineEndings, Listen, ListenTls, LocalPrograms, Login, LongLines, Method,
    Network, Principal, Relay, RelayClient, RewriteFrom, SecretPlace, Send, Settings, Spool,
    Uncertain,
};
pub use show::{Origin, Shown};
pub use units::{duration, size};
