//! Why a session could not be opened.

use sendas_entra::TokenError;
use sendas_smtp::Reply;
use sendas_smtp::client::{OpeningError, Problem, Stage};
use sendas_smtp::sasl::SaslError;

use crate::connect::ConnectError;
use crate::link::LinkError;

/// No session; nothing was submitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token cannot be written as XOAUTH2.
    #[error(transparent)]
    Sasl(#[from] SaslError),
    /// The host was not reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The TLS configuration could not be made.
    #[error("TLS cannot be used: {0}")]
    TlsPolicy(#[from] sendas_tls::TlsError),
    /// The host is no name that a certificate can carry.
    #[error("“{0}” is no host name or address")]
    HostName(String),
    /// The handshake failed, or the certificate is not to be trusted. The token was not sent.
    #[error("TLS with {host} failed: {source}")]
    Tls {
        /// The host.
        host: String,
        /// What rustls says.
        source: std::io::Error,
    },
    /// The connection broke before it could be used.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The service refused a step, or lacks what must be there.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// The stage to leave after is done; see [`crate::Connector::with_quit_after`].
    #[error("the conversation was left after the stage {}, as asked", .0.name())]
    Quit(Stage),
    /// The service refused the token.
    #[error("the service answered {reply}")]
    Auth {
        /// Its final reply.
        reply: Reply,
        /// What a `334` reported before it, decoded.
        report: Option<String>,
    },
}

impl SubmitError {
    /// How far the dialogue had come.
    pub const fn stage(&self) -> Stage {
        match self {
            Self::Token(_) | Self::Sasl(_) | Self::Auth { .. } => Stage::Auth,
            Self::Connect(_) => Stage::Connect,
            Self::Quit(stage) => *stage,
            Self::TlsPolicy(_) | Self::HostName(_) | Self::Tls { .. } => Stage::Tls,
            Self::Link(error) => error.stage,
            Self::Opening(error) => error.stage,
        }
    }

    /// The service's own reply, where there is one.
    pub const fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Auth { reply, .. }
            | Self::Opening(OpeningError {
                problem: Problem::Refused(reply),
                ..
            }) => Some(reply),
            _ => None,
        }
    }
}
