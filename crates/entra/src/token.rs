//! Tokens, and where they come from.

use std::fmt;
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::{Claims, ClaimsError, TokenError};

/// An access token: text that cannot be printed, with its times and its generation.
///
/// Clones are cheap and share the text, which is wiped when the last one goes.
#[derive(Clone)]
pub struct Token {
    text: Arc<Zeroizing<String>>,
    expires_at: Timestamp,
    refresh_at: Timestamp,
    generation: Generation,
}

/// Which token of its source this is; a later one is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// A token on its way.
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<Token, TokenError>> + Send + 'a>>;

/// Hands out tokens for one principal and one audience.
///
/// Implementers owe: a token with enough life left for a login, no request per call, and no token
/// again that has been reported as refused. A wrong answer costs a login that fails with `535`.
pub trait TokenSource: Send + Sync {
    /// A usable token. May be dropped at any point; nothing is lost by it.
    fn token(&self) -> TokenFuture<'_>;

    /// The service refused the token of this generation: it is never handed out again, unless a
    /// login with it was reported as [`accepted`](Self::accepted) lately.
    fn refused(&self, generation: Generation);

    /// A login with the token of this generation succeeded.
    ///
    /// Exchange answers `535` for a bad token and for a bad mailbox alike. A token that has just
    /// logged in to one mailbox is not at fault when another one is refused.
    fn accepted(&self, generation: Generation) {
        let _: Generation = generation;
    }
}

impl Token {
    /// Puts a token together; for implementers of [`TokenSource`].
    pub fn new(
        text: Zeroizing<String>,
        expires_at: Timestamp,
        refresh_at: Timestamp,
        generation: Generation,
    ) -> Self {
        Self {
            text: Arc::new(text),
            expires_at,
            refresh_at,
            generation,
        }
    }

    /// The text. The only way out; for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Length of the text in octets: what may be shown of it.
    pub fn octets(&self) -> usize {
        self.text.len()
    }

    /// When the service stops accepting it, by the clock of this machine.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// When a new one should be fetched.
    pub fn refresh_at(&self) -> Timestamp {
        self.refresh_at
    }

    /// Which token of its source this is.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What the token says about itself, unverified.
    ///
    /// # Errors
    /// [`ClaimsError`] when it is no JWT.
    pub fn claims(&self) -> Result<Claims, ClaimsError> {
        Claims::decode(&self.text)
    }
}

/// Shows times and generation, never the text.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("generation", &self.generation.0)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// One given token, handed out until it is refused by the first login. It is never renewed.
pub struct StaticTokenSource {
    token: Token,
    accepted: AtomicBool,
    refused: AtomicBool,
}

impl StaticTokenSource {
    /// Takes the text of a token. The expiry is read from its `exp` claim; a token that is no JWT
    /// is handed out without one.
    ///
    /// # Errors
    /// [`TokenError`] when the text cannot be a token: empty, or with other octets than visible
    /// ASCII.
    pub fn new(text: String) -> Result<Self, TokenError> {
        let text = Zeroizing::new(text);
        if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(TokenError::NotToken);
        }
        let expires_at = Claims::decode(&text)
            .ok()
            .and_then(|claims| claims.expires_at())
            .unwrap_or(Timestamp::MAX);
        Ok(Self {
            token: Token::new(text, expires_at, expires_at, Generation(1)),
            accepted: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        })
    }
}

impl TokenSource for StaticTokenSource {
    fn token(&self) -> TokenFuture<'_> {
        let answer = if self.refused.load(Ordering::Acquire) {
            Err(TokenError::GivenTokenRefused)
        } else {
            Ok(self.token.clone())
        };
        Box::pin(future::ready(answer))
    }

    fn refused(&self, generation: Generation) {
        if generation == self.token.generation && !self.accepted.load(Ordering::Acquire) {
            self.refused.store(true, Ordering::Release);
        }
    }

    fn accepted(&self, generation: Generation) {
        if generation == self.token.generation {
            self.accepted.store(true, Ordering::Release);
        }
    }
}

impl fmt::Debug for StaticTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticTokenSource")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
