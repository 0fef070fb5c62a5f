//! Why a line is no command.

use sendas_envelope::{AddressError, ParameterError};

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The first word is no command; it is given back without control characters.
    #[error("unrecognized command “{0}”")]
    Unknown(String),
    /// The arguments do not have the shape named.
    #[error("syntax: {0}")]
    Syntax(&'static str),
    /// A BDAT whose size cannot be known: where the chunk ends cannot be known either, so what follows
    /// must not be read as commands.
    #[error("the size of the chunk cannot be known")]
    Chunk,
    /// The path's address does not parse.
    #[error(transparent)]
    Address(AddressError),
    /// A parameter's value is wrong, missing or doubled.
    #[error("parameter {0} is wrong")]
    Parameter(String),
    /// A parameter that no extension here defines (RFC 5321 §4.1.1.11: answered `555`).
    #[error("parameter {0} is not recognized")]
    UnknownParameter(String),
    /// An address beyond ASCII without SMTPUTF8 on MAIL (RFC 6531 §3.5: answered `553`).
    #[error("the address needs SMTPUTF8")]
    NeedsSmtputf8,
    /// Octets that are neither ASCII nor UTF-8, or a control character.
    #[error("the command holds octets that no command has")]
    Octets,
}

impl From<ParameterError> for CommandError {
    fn from(error: ParameterError) -> Self {
        let name = match error {
            ParameterError::Value { parameter, .. }
            | ParameterError::Length { parameter, .. }
            | ParameterError::Xtext(parameter)
            | ParameterError::Unprintable(parameter) => parameter,
            _ => "value",
        };
        Self::Parameter(name.to_owned())
    }
}
