//! The client: one message, one receipt per recipient.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sendas_entra::TokenSource;
use sendas_envelope::{Envelope, Mailbox, Receipt};
use sendas_submit::{Attempt, Message, Pool};

use crate::{ClientBuilder, IntoMessage, SendError};

/// Sends mail as one service principal.
///
/// Clones are cheap and share sessions and token. Sessions stay open for a while after a message,
/// so that the next one needs a single round trip.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    tokens: Arc<dyn TokenSource>,
    mailbox: Option<Mailbox>,
    mailboxes: HashMap<String, Mailbox>,
}

impl Client {
    /// Begins to build a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Sends one message: one receipt per recipient, in the envelope's order.
    ///
    /// Logs in as the mailbox of the reverse-path (see [`ClientBuilder::mailbox`]). Makes one
    /// attempt; whether another one is worth it says [`SendError::is_temporary`]. A future dropped
    /// half-way leaves it open whether the message was taken.
    ///
    /// # Errors
    /// [`SendError`] unless the service took the message for every recipient; the receipts of those
    /// that were accepted are then in [`SendError::receipts`].
    pub async fn send(
        &self,
        envelope: &Envelope,
        message: impl IntoMessage,
    ) -> Result<Vec<Receipt>, SendError> {
        let mailbox = self.mailbox_for(envelope).ok_or(SendError::NoMailbox)?;
        let message = message.into_message()?;
        self.send_as(&mailbox, envelope, &message).await
    }

    /// As [`send`](Self::send), logging in as a given mailbox: for an empty reverse-path, or to
    /// choose whose limits and Sent Items are used.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_as(
        &self,
        mailbox: &Mailbox,
        envelope: &Envelope,
        message: &Message,
    ) -> Result<Vec<Receipt>, SendError> {
        let attempt = self.attempt(mailbox, envelope, message).await?;
        if attempt.is_accepted() {
            Ok(attempt.receipts(envelope))
        } else {
            Err(SendError::not_accepted(attempt, envelope))
        }
    }

    /// One attempt with everything that is known of it: the outcome of each recipient with scope,
    /// status and explanation, for whoever keeps a queue of their own.
    ///
    /// # Errors
    /// [`SendError::NoSession`]; nothing was submitted.
    pub async fn attempt(
        &self,
        mailbox: &Mailbox,
        envelope: &Envelope,
        message: &Message,
    ) -> Result<Attempt, SendError> {
        self.inner
            .pool
            .submit(mailbox, envelope, message)
            .await
            .map_err(SendError::no_session)
    }

    /// The mailbox that [`send`](Self::send) logs in as for this envelope.
    pub fn mailbox_for(&self, envelope: &Envelope) -> Option<Mailbox> {
        let sender = envelope.reverse_path.address();
        sender
            .and_then(|sender| self.inner.mailboxes.get(&sender.key()))
            .or(self.inner.mailbox.as_ref())
            .cloned()
            .or_else(|| sender.cloned().map(Mailbox::from))
    }

    /// The source of its tokens.
    pub fn token_source(&self) -> &Arc<dyn TokenSource> {
        &self.inner.tokens
    }

    /// Says QUIT on every idle session. Optional: dropping the client closes them too.
    pub async fn close(&self) {
        self.inner.pool.close_idle().await;
    }

    pub(crate) fn new(
        pool: Pool,
        tokens: Arc<dyn TokenSource>,
        mailbox: Option<Mailbox>,
        mailboxes: HashMap<String, Mailbox>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                pool,
                tokens,
                mailbox,
                mailboxes,
            }),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("host", &self.inner.pool.connector().host())
            .finish_non_exhaustive()
    }
}
