//! Why a submission is not taken, as replies.

use sendas_smtp::Reply;

/// Why a command of the client is refused. The texts never repeat what the client wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody without a login may submit from there.
    LoginNeeded,
    /// The login would travel in clear.
    TlsNeeded,
    /// The address is no client's.
    Unknown,
    /// The client may not use this sender.
    SenderNotAllowed,
    /// No principal covers this sender.
    SenderUncovered,
    /// A null reverse-path, and the client has no mailbox of its own.
    NullWithoutMailbox,
    /// The client may not write to this recipient.
    RecipientNotAllowed,
    /// More recipients than allowed.
    TooManyRecipients(u32),
    /// `<Postmaster>` without a domain.
    BarePostmaster,
    /// A host by its number.
    AddressLiteral,
    /// A second destination inside the local part.
    HiddenRoute,
    /// A larger message than allowed, in octets.
    TooLarge(u64),
    /// More messages a minute than allowed.
    TooFast,
    /// From, Sender or Resent-From names an address that the client may not use.
    FromNotAllowed,
}

impl Refusal {
    /// The reply for the client.
    pub fn reply(self) -> Reply {
        match self {
            Self::LoginNeeded => Reply::new(530, "5.7.0 Log in first"),
            Self::TlsNeeded => Reply::new(530, "5.7.0 Say STARTTLS first"),
            Self::Unknown => Reply::new(
                554,
                "5.7.1 This relay takes mail from configured clients only",
            ),
            Self::SenderNotAllowed => {
                Reply::new(550, "5.7.1 This client may not send as this address")
            }
            Self::SenderUncovered => Reply::new(
                550,
                "5.7.1 No principal sends for this address; see `mailboxes` in the relay's settings",
            ),
            Self::NullWithoutMailbox => Reply::new(
                550,
                "5.7.1 A null reverse-path needs a client with an address of its own in `senders`",
            ),
            Self::RecipientNotAllowed => {
                Reply::new(550, "5.7.1 This client may not write to this recipient")
            }
            Self::TooManyRecipients(max) => {
                Reply::new(452, format!("4.5.3 No more than {max} recipients"))
            }
            Self::BarePostmaster => Reply::new(550, "5.1.1 Postmaster needs a domain here"),
            Self::AddressLiteral => Reply::new(550, "5.1.2 Write a domain, not a host's number"),
            Self::HiddenRoute => Reply::new(550, "5.1.3 The local part names another destination"),
            Self::TooLarge(max) => Reply::new(552, format!("5.3.4 No more than {max} octets")),
            Self::TooFast => Reply::new(450, "4.7.1 Too many messages a minute; come again later"),
            Self::FromNotAllowed => Reply::new(
                550,
                "5.7.1 From, Sender or Resent-From names an address this client may not use",
            ),
        }
    }
}
