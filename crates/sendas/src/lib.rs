//! Sends mail through Microsoft 365 as a service principal: no user, no password, no browser.
//!
//! Exchange Online takes mail over SMTP with an OAuth token of an application. This crate fetches
//! the token, keeps it fresh, logs in as the mailbox of the sender, and says for each recipient
//! what became of the message.
//!
//! ```no_run
//! use sendas::{Client, Credential, Envelope};
//!
//! # async fn send() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder()
//!     .tenant("contoso.onmicrosoft.com")
//!     .client_id("11111111-2222-3333-4444-555555555555")
//!     .credential(Credential::certificate_file("contoso.pem")?)
//!     .build()?;
//!
//! let envelope = Envelope::new(
//!     "noreply@contoso.com".parse::<sendas::Address>()?,
//!     vec!["someone@example.com".parse::<sendas::Address>()?.into()],
//! )?;
//! let message = "From: noreply@contoso.com\n\
//!                To: someone@example.com\n\
//!                Subject: Hello\n\
//!                \n\
//!                Sent by a program.\n";
//! for receipt in client.send(&envelope, message).await? {
//!     println!("{}: {}", receipt.recipient, receipt.reply);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What an error says
//!
//! [`SendError`] is a value: how far it reaches ([`Scope`]), its enhanced status ([`Status`]), the
//! service's own words, and the likely cause. [`Client::send`] is `Ok` only when the service took
//! the message for **every** recipient.
//!
//! # What it stands on
//!
//! Runs on tokio (1.x, with time and I/O). No global state, no environment, no configuration file: proxy
//! and trust are handed in. [`TokenSource`] is a trait, for tokens that come from elsewhere. The
//! feature `lettre` adds `LettreTransport`, so that an application that
//! uses lettre changes one line; the feature `pfx` reads certificates from PKCS#12 files.

mod builder;
mod client;
mod error;
#[cfg(feature = "lettre")]
mod lettre;
mod message;

pub use builder::{BuildError, ClientBuilder};
pub use client::Client;
pub use error::SendError;
#[cfg(feature = "lettre")]
pub use lettre::{LettreError, LettreTransport};
pub use message::IntoMessage;

pub use sendas_entra::{
    ClientId, Clock, Cloud, CloudError, Credential, CredentialError, Environment, Generation,
    IdentityName, ManagedIdentity, Moment, Proxy, ProxyError, Secret, StaticTokenSource,
    SystemClock, Tenant, Token, TokenError, TokenErrorKind, TokenFuture, TokenSource,
};
pub use sendas_envelope::{
    Address, AddressError, Body, Envelope, EnvelopeError, EnvelopeId, ForwardPath, Mailbox, Notify,
    OriginalRecipient, Receipt, ReceiptOutcome, Recipient, Return, ReversePath, Status,
};
pub use sendas_exchange::{Explanation, Scope};
pub use sendas_submit::{
    Attempt, Deadlines, Failure, Message, MessageError, MessageWriter, Outcome, PoolLimits,
    SubmitError,
};
pub use sendas_tls::{Authority, TlsError};
