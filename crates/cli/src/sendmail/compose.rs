//! From a call and a stream of octets to a message that can go out.

use std::io::{self, Read};

use sendas_envelope::{Body, Envelope, Recipient};
use sendas_submit::Message;

use super::letter::{self, Circumstances};
use super::options::Call;
use super::outgoing::Outgoing;
use super::senders::Senders;
use super::sysexits::{Sysexit, Trouble};
use super::user::User;
use crate::clock;
use crate::message::MessageError;
use crate::message::intake::Incoming;
use crate::report::chain;

/// What a message is made with.
pub(super) struct Parcel<'a> {
    pub(super) call: &'a Call,
    pub(super) user: &'a User,
    pub(super) senders: &'a Senders<'a>,
    pub(super) octets_max: u64,
    /// Sender and recipients, where a dialogue has named them.
    pub(super) envelope: Option<Envelope>,
}

/// A message that is ready.
pub(super) struct Packed {
    pub(super) outgoing: Outgoing,
    /// What was changed, for the caller to know.
    pub(super) remarks: Vec<String>,
}

/// Reads a message to its end and completes it.
///
/// # Errors
/// With a code for the caller.
pub(super) fn parcel(parcel: &Parcel<'_>, from: impl Read) -> Result<Packed, Trouble> {
    let incoming = Incoming::begin(from, parcel.octets_max).map_err(unusable)?;
    let letter = letter::write(
        incoming.start(),
        &Circumstances {
            call: parcel.call,
            user: parcel.user,
            senders: parcel.senders,
            now: clock::now(),
            has_envelope: parcel.envelope.is_some(),
            unique: uuid::Uuid::new_v4().simple().to_string(),
        },
    )?;
    let whole = incoming
        .finish(&letter.head, letter.body_start)
        .map_err(unusable)?;
    let call = parcel.call;
    let mut envelope = if let Some(envelope) = &parcel.envelope {
        envelope.clone()
    } else {
        let recipients = letter
            .recipients
            .into_iter()
            .map(|address| Recipient {
                notify: call.notify,
                ..Recipient::from(address)
            })
            .collect();
        let mut envelope = Envelope::new(letter.sender, recipients).map_err(Trouble::data)?;
        envelope.ret = call.ret;
        envelope.envelope_id.clone_from(&call.envelope_id);
        envelope
    };
    // What the octets are counts more than what was said about them.
    envelope.body = match (whole.eight_bit, call.body) {
        (true, _) | (false, Some(Body::EightBit)) => Body::EightBit,
        (false, _) => Body::SevenBit,
    };
    let from = envelope
        .reverse_path
        .address()
        .cloned()
        .or_else(|| Some(letter.mailbox.address().clone()));
    Ok(Packed {
        outgoing: Outgoing {
            envelope,
            mailbox: letter.mailbox,
            message: whole.message,
            subject: letter.subject,
            message_id: letter.message_id,
            from,
        },
        remarks: letter.remarks,
    })
}

/// Reads a message that was received before.
pub(super) struct Reader<'a> {
    message: &'a Message,
    at: u64,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(message: &'a Message) -> Self {
        Self { message, at: 0 }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let block = self.message.block(self.at)?;
        let octets = block.len().min(out.len());
        out[..octets].copy_from_slice(&block[..octets]);
        self.at += octets as u64;
        Ok(octets)
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn unusable(error: MessageError) -> Trouble {
    let code = match error {
        MessageError::Io { .. } | MessageError::Kept(_) => Sysexit::Io,
        _ => Sysexit::Data,
    };
    Trouble::new(code, chain(&error))
}
