//! Tries a credential at the service: a token, a login, one message.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sendas_entra::{
    Audience, Claims, Generation, HttpClient, Principal, Requester, SystemClock, Token, TokenError,
};
use sendas_envelope::{Address, Envelope, ForwardPath, Mailbox, Recipient, ReversePath};
use sendas_submit::{Connector, Message, Session, SubmitError};
use sendas_tenant::verify::{About, Prover, Refusal};

use crate::clock;
use crate::report::chain;

/// The service, tried with one credential.
pub(crate) struct Service {
    requester: Requester,
    connector: Connector,
    /// The last token, for the logins after it.
    token: Mutex<Option<Token>>,
}

impl Service {
    /// Tries this principal's credential.
    pub(crate) fn new(principal: Principal, http: HttpClient, connector: Connector) -> Self {
        let clock = Arc::new(SystemClock::new());
        Self {
            requester: Requester::new(principal, Audience::Exchange, http, clock),
            connector,
            token: Mutex::new(None),
        }
    }

    async fn ask(&self) -> Result<Claims, Refusal> {
        let token = self
            .requester
            .request(Generation(0))
            .await
            .map_err(|error| refused_token(&error))?;
        let claims = token.claims().map_err(|error| Refusal {
            about: About::Other,
            words: chain(&error),
        })?;
        *self.held() = Some(token);
        Ok(claims)
    }

    async fn enter(&self, mailbox: &str) -> Result<Session, Refusal> {
        let token = self.held().clone().ok_or_else(|| Refusal {
            about: About::Other,
            words: "no token was asked for yet".into(),
        })?;
        let mailbox = Mailbox::new(address(mailbox)?);
        let opened = self
            .connector
            .open()
            .await
            .map_err(|error| not_entered(&error))?;
        opened
            .authenticate(&mailbox, token.expose())
            .await
            .map_err(|error| not_entered(&error))
    }

    async fn submit(&self, mailbox: &str, recipient: &str) -> Result<String, Refusal> {
        let text = format!(
            "From: <{mailbox}>\r\nTo: <{recipient}>\r\nDate: {}\r\nMessage-ID: <{}@sendas.invalid>\r\nSubject: sendas setup verify\r\n\r\nThis message was accepted by Exchange Online: the set-up works.\r\n",
            clock::date_field(clock::now()),
            uuid::Uuid::new_v4().simple(),
        );
        let other = |error: &dyn std::error::Error| Refusal {
            about: About::Other,
            words: chain(error),
        };
        let message = Message::new(text.into_bytes()).map_err(|error| other(&error))?;
        let envelope = Envelope::new(
            ReversePath::Address(address(mailbox)?),
            vec![Recipient::new(ForwardPath::from(address(recipient)?))],
        )
        .map_err(|error| other(&error))?;
        let mut session = self.enter(mailbox).await?;
        let attempt = session.send(&envelope, &message).await;
        session.quit().await;
        let receipt = attempt.receipts(&envelope).pop();
        match attempt
            .outcomes
            .first()
            .and_then(|outcome| outcome.failure())
        {
            None => Ok(receipt.map(|receipt| receipt.reply).unwrap_or_default()),
            Some(failure) => Err(Refusal {
                about: if failure.reply().is_some_and(|reply| reply.code() >= 500) {
                    About::Rights
                } else {
                    About::Trouble
                },
                words: failure.to_string(),
            }),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prover for Service {
    fn token(&self) -> Pin<Box<dyn Future<Output = Result<Claims, Refusal>> + Send + '_>> {
        Box::pin(self.ask())
    }

    fn login<'a>(
        &'a self,
        mailbox: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send + 'a>> {
        Box::pin(async move {
            self.enter(mailbox).await?.quit().await;
            Ok("Exchange accepted the login".to_owned())
        })
    }

    fn send<'a>(
        &'a self,
        mailbox: &'a str,
        recipient: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send + 'a>> {
        Box::pin(self.submit(mailbox, recipient))
    }
}

fn address(text: &str) -> Result<Address, Refusal> {
    text.parse()
        .map_err(|error: sendas_envelope::AddressError| Refusal {
            about: About::Other,
            words: chain(&error),
        })
}

/// A token that was not given.
pub(crate) fn refused_token(error: &TokenError) -> Refusal {
    let about = if error.is_temporary() {
        About::Trouble
    } else {
        About::Credential {
            may_be_too_young: error.may_be_too_young(),
        }
    };
    Refusal {
        about,
        words: chain(error),
    }
}

/// A permanent reply to AUTH is about rights; without a reply it is about the way.
fn not_entered(error: &SubmitError) -> Refusal {
    let about = match error {
        SubmitError::Auth { reply, .. } if reply.code() >= 500 => About::Rights,
        _ => About::Trouble,
    };
    Refusal {
        about,
        words: chain(error),
    }
}
