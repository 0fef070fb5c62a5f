//! Stands in for Microsoft on loopback: Entra ID with the sign-in of people, Microsoft Graph, the
//! admin interface and SMTP submission of Exchange Online.
//!
//! Decides like the service, written from what is known of it and from nothing else: of the
//! product it shares the values of an envelope and the framing of SMTP, never what a reply means.
//! Every behaviour carries a [`Mark`](mark::Mark): documented, observed or assumed.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use sendas_sandbox::{Filter, Options, Sandbox};
//!
//! let sandbox = Sandbox::start(Options::default()).await?;
//! println!("{}", sandbox.ready_line());
//! // … send something to sandbox.smtp() …
//! let mail = sandbox.wait(&Filter::default(), 1, std::time::Duration::from_secs(10)).await;
//! assert_eq!(mail[0].recipients[0].address, "someone@example.com");
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```

mod answer;
mod bearer;
pub mod behaviours;
pub mod canary;
mod certs;
mod chance;
mod clock;
mod control;
mod digest;
mod entra;
mod exchange_admin;
pub mod faults;
mod files;
mod front;
mod graph;
pub mod journal;
pub mod limits;
mod line;
mod mailroom;
pub mod mark;
mod sandbox;
mod scenario;
mod smtp;
pub mod state;
mod world;

pub use certs::{CertsError, TlsMax};
pub use control::openapi_json;
pub use exchange_admin::cmdlets;
pub use faults::{Effect, Fault, FaultError, Step};
pub use files::env as env_of;
pub use files::{AdminDetails, ClientDetails, ControlDetails, Details, SmtpDetails, TenantDetails};
pub use mailroom::{Filter, Message, Recipient};
pub use sandbox::{Options, Ports, Running, Sandbox, StartError};
pub use scenario::{Scenario, ScenarioError};
pub use state::preset::Preset;
