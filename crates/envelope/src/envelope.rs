//! The envelope: reverse-path, recipients and options of one transaction; not the header.

use crate::address::Address;
use crate::dsn::{EnvelopeId, Notify, OriginalRecipient, Return};
use crate::limits::RECIPIENTS_MAX;
use crate::path::{ForwardPath, ReversePath};

/// One transaction's paths and options (RFC 5321 §2.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where failure notices go.
    pub reverse_path: ReversePath,
    recipients: Vec<Recipient>,
    /// What the body holds beyond 7-bit ASCII.
    pub body: Body,
    /// Whether the header may hold UTF-8 (RFC 6531 §3.4: said by SMTPUTF8 on MAIL). It is handed on
    /// where SMTPUTF8 is offered; only a path that needs it makes it a must.
    pub utf8_header: bool,
    /// How much a failure notice returns; the service's choice when `None`.
    pub ret: Option<Return>,
    /// The sender's name for the transaction.
    pub envelope_id: Option<EnvelopeId>,
}

/// One forward-path with its own fate (RFC 5321 §4.1.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recipient {
    /// Where to.
    pub path: ForwardPath,
    /// When the sender wants a notice; the service's choice when `None`.
    pub notify: Option<Notify>,
    /// The address as first written.
    pub original: Option<OriginalRecipient>,
}

/// What a body may hold (RFC 6152, RFC 3030).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Body {
    /// Octets below 128, lines of at most 998.
    SevenBit,
    /// Any octet but NUL, lines of at most 998.
    #[default]
    EightBit,
    /// Any octets at all; needs BINARYMIME and BDAT.
    Binary,
}

/// Why an envelope cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// There is nobody to send to.
    #[error("an envelope needs at least one recipient")]
    NoRecipient,
    /// More recipients than an envelope holds.
    #[error("an envelope holds at most {RECIPIENTS_MAX} recipients, not {0}")]
    TooManyRecipients(usize),
}

impl Envelope {
    /// An envelope for an 8-bit body without DSN options.
    ///
    /// # Errors
    /// Without a recipient, or with more than [`RECIPIENTS_MAX`].
    pub fn new(
        reverse_path: impl Into<ReversePath>,
        recipients: Vec<Recipient>,
    ) -> Result<Self, EnvelopeError> {
        if recipients.is_empty() {
            return Err(EnvelopeError::NoRecipient);
        }
        if recipients.len() > RECIPIENTS_MAX {
            return Err(EnvelopeError::TooManyRecipients(recipients.len()));
        }
        Ok(Self {
            reverse_path: reverse_path.into(),
            recipients,
            body: Body::default(),
            utf8_header: false,
            ret: None,
            envelope_id: None,
        })
    }

    /// The recipients: at least one.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// The same options for some of the recipients.
    ///
    /// # Errors
    /// As [`Envelope::new`].
    pub fn with_recipients(&self, recipients: Vec<Recipient>) -> Result<Self, EnvelopeError> {
        let fresh = Self::new(self.reverse_path.clone(), recipients)?;
        Ok(Self {
            recipients: fresh.recipients,
            ..self.clone()
        })
    }

    /// Whether any path needs SMTPUTF8 (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        self.reverse_path
            .address()
            .is_some_and(Address::needs_smtputf8)
            || self
                .recipients
                .iter()
                .any(|r| r.path.address().is_some_and(Address::needs_smtputf8))
    }
}

impl Recipient {
    /// A recipient without DSN options.
    pub fn new(path: impl Into<ForwardPath>) -> Self {
        Self {
            path: path.into(),
            notify: None,
            original: None,
        }
    }
}

impl From<Address> for Recipient {
    fn from(address: Address) -> Self {
        Self::new(address)
    }
}

impl Body {
    /// The word of the `BODY=` parameter.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBit => "8BITMIME",
            Self::Binary => "BINARYMIME",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_a_recipient() {
        assert_eq!(
            Envelope::new(ReversePath::Null, vec![]),
            Err(EnvelopeError::NoRecipient)
        );
    }

    #[test]
    fn any_path_may_need_smtputf8() {
        let plain: Address = "a@example.com".parse().unwrap();
        let wide: Address = "ü@example.com".parse().unwrap();
        let envelope = Envelope::new(plain.clone(), vec![plain.clone().into()]).unwrap();
        assert!(!envelope.needs_smtputf8());
        let envelope = envelope
            .with_recipients(vec![plain.into(), wide.into()])
            .unwrap();
        assert!(envelope.needs_smtputf8());
    }
}
