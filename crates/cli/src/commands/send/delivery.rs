//! Hands a draft to the service.

use sendas_entra::{Claims, EntraTokenSource, TokenSource as _};
use sendas_envelope::Mailbox;
use sendas_submit::{Attempt, Connector, Opened, SubmitError};

use super::draft::Draft;
use crate::clock;
use crate::identity::Identity;
use crate::report::submit::{Concerned, not_opened};
use crate::report::{Failure, token as report};

/// Where the token comes from.
pub(crate) enum Token {
    /// It is at hand.
    Given(String),
    /// It is fetched.
    Fetched(EntraTokenSource),
}

/// What became of a draft.
pub(crate) struct Sent {
    pub(crate) attempt: Attempt,
    /// What the token said, where it could be read.
    pub(crate) claims: Option<Claims>,
}

/// Gets a token, judges it, opens a session and sends the draft.
///
/// A fetched token and the connection are on their way together; the token is sent only after
/// it was judged.
///
/// # Errors
/// When there is no token, it is no good, or no session could be opened; nothing was sent.
pub(crate) async fn deliver(
    draft: &Draft,
    identity: &Identity,
    mailbox: &Mailbox,
    token: Token,
    connector: &Connector,
) -> Result<Sent, Box<Failure>> {
    let what = not_sent(draft);
    let (text, opened) = match token {
        Token::Given(text) => {
            judge(&what, identity, &text)?;
            (Secret::Given(text), None)
        }
        Token::Fetched(source) => {
            let unknown = Concerned {
                identity,
                mailbox: mailbox.as_str(),
                from: None,
                claims: None,
            };
            // Whichever fails first ends both: nobody waits for a host that a wrong secret
            // makes useless.
            let token = async {
                let failed = |error| Box::new(report::no_token(what.clone(), &error));
                source.token().await.map_err(failed)
            };
            let opened = async {
                let failed = |error| Box::new(not_opened(what.clone(), &error, &unknown));
                connector.open().await.map_err(failed)
            };
            let (token, opened) = tokio::try_join!(token, opened)?;
            judge(&what, identity, token.expose())?;
            (Secret::Fetched(token), Some(opened))
        }
    };
    let claims = Claims::decode(text.expose()).ok();
    let from = draft.from.as_ref().map(ToString::to_string);
    let concerned = Concerned {
        identity,
        mailbox: mailbox.as_str(),
        from: from.as_deref(),
        claims: claims.as_ref(),
    };
    let failed = |error: SubmitError| Box::new(not_opened(what.clone(), &error, &concerned));
    let opened: Opened = match opened {
        Some(opened) => opened,
        None => connector.open().await.map_err(failed)?,
    };
    let mut session = opened
        .authenticate(mailbox, text.expose())
        .await
        .map_err(failed)?;
    let mut attempt = session.send(&draft.envelope, &draft.message).await;
    if attempt.is_chunking_refused {
        // The connector remembers, and writes DATA now.
        let opened = connector.open().await.map_err(failed)?;
        session = opened
            .authenticate(mailbox, text.expose())
            .await
            .map_err(failed)?;
        attempt = session.send(&draft.envelope, &draft.message).await;
    }
    session.quit().await;
    Ok(Sent { attempt, claims })
}

/// The first words of any report: what did not happen, to which message.
pub(super) fn not_sent(draft: &Draft) -> String {
    format!(
        "the message from {} to {} was not sent",
        draft.envelope.reverse_path,
        recipients(
            draft
                .envelope
                .recipients()
                .iter()
                .map(|recipient| recipient.path.as_str())
        )
    )
}

/// A few addresses in words.
pub(super) fn recipients<'a>(mut paths: impl Iterator<Item = &'a str>) -> String {
    let first = paths.next().unwrap_or_default();
    match paths.count() {
        0 => first.to_owned(),
        1 => format!("{first} and one other"),
        others => format!("{first} and {others} others"),
    }
}

/// Refuses a token that the service would refuse; one that cannot be read is left to it.
fn judge(what: &str, identity: &Identity, text: &str) -> Result<(), Box<Failure>> {
    let Ok(claims) = Claims::decode(text) else {
        return Ok(());
    };
    let judgements = claims.judge(&identity.expectation(), clock::now());
    if report::wrong(&judgements).is_some() {
        return Err(Box::new(report::wrong_token(what, &judgements)));
    }
    for judgement in &judgements {
        tracing::warn!(
            claim = judgement.claim,
            found = judgement.found,
            "{}",
            judgement.meaning
        );
    }
    Ok(())
}

/// The token's text, wherever it came from.
enum Secret {
    Given(String),
    Fetched(sendas_entra::Token),
}

impl Secret {
    fn expose(&self) -> &str {
        match self {
            Self::Given(text) => text,
            Self::Fetched(token) => token.expose(),
        }
    }
}
