//! An adapter for applications that use lettre: its messages, our transport.

use std::future::Future;
use std::pin::Pin;

use lettre::AsyncTransport;
use sendas_envelope::{Address, AddressError, Envelope, EnvelopeError, Receipt, ReversePath};

use crate::{Client, SendError};

/// A lettre transport that sends through a [`Client`].
///
/// ```no_run
/// use lettre::{AsyncTransport as _, Message};
///
/// # async fn send(client: sendas::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let mailer = sendas::LettreTransport::new(client); // in place of AsyncSmtpTransport
/// let message = Message::builder()
///     .from("noreply@contoso.com".parse()?)
///     .to("someone@example.com".parse()?)
///     .subject("Hello")
///     .body(String::from("Sent by a program."))?;
/// mailer.send(message).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LettreTransport {
    client: Client,
}

/// Why lettre's message was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LettreError {
    /// An address that lettre accepts and SMTP does not; nothing was sent.
    #[error("nothing was sent: {0}")]
    Address(#[from] AddressError),
    /// Too many recipients, or none; nothing was sent.
    #[error("nothing was sent: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The message was not taken for all recipients.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl LettreTransport {
    /// A transport on this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    async fn submit(
        &self,
        envelope: &lettre::address::Envelope,
        email: &[u8],
    ) -> Result<Vec<Receipt>, LettreError> {
        let parse = |address: &lettre::Address| Address::parse(address.as_ref());
        let sender = envelope.from().map(parse).transpose()?;
        let sender = sender.map_or(ReversePath::Null, ReversePath::Address);
        let mut recipients = Vec::with_capacity(envelope.to().len());
        for recipient in envelope.to() {
            recipients.push(parse(recipient)?.into());
        }
        let envelope = Envelope::new(sender, recipients)?;
        Ok(self.client.send(&envelope, email).await?)
    }
}

impl AsyncTransport for LettreTransport {
    type Ok = Vec<Receipt>;
    type Error = LettreError;

    fn send_raw<'client, 'envelope, 'email, 'send>(
        &'client self,
        envelope: &'envelope lettre::address::Envelope,
        email: &'email [u8],
    ) -> Pin<Box<dyn Future<Output = Result<Self::Ok, Self::Error>> + Send + 'send>>
    where
        'client: 'send,
        'envelope: 'send,
        'email: 'send,
        Self: 'send,
    {
        Box::pin(self.submit(envelope, email))
    }
}
