//! From a call and a stream of octets to a message that can go out.

use std::io::{self, Read};

use sendas_config::LongLines;
use sendas_envelope::{Body, Envelope, Recipient};
use sendas_relay::intake::{Lines, fold, is_overlong};
use sendas_submit::{Message, MessageError as Kept, MessageWriter};

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

/// A line of the header that cannot be folded.
const TOO_LONG: &str =
    "a line of the header is longer than 998 octets and has no blank to be folded at";

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
    let head = if is_overlong(&letter.head) {
        fold(&letter.head).ok_or_else(|| Trouble::data(TOO_LONG))?
    } else {
        letter.head
    };
    let mut whole = incoming
        .finish(&head, letter.body_start)
        .map_err(unusable)?;
    if has_long_lines(&whole.message).map_err(|error| kept(&error))? {
        whole.message = cut(&whole.message).map_err(|error| kept(&error))?;
    }
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

/// Whether a line of a message is longer than a mail may have: programs print lines of any length.
fn has_long_lines(message: &Message) -> Result<bool, Kept> {
    let (mut lines, mut at, mut out) = (Lines::new(LongLines::Refuse), 0, Vec::new());
    loop {
        let block = message.block(at)?;
        if block.is_empty() {
            return Ok(lines.finish(&mut out).is_err());
        }
        at += block.len() as u64;
        if lines.push(block, &mut out).is_err() {
            return Ok(true);
        }
        out.clear();
    }
}

/// The same message with its long lines cut, as a relay does it for programs of this machine.
fn cut(message: &Message) -> Result<Message, Kept> {
    let (mut lines, mut at, mut out) = (Lines::new(LongLines::Wrap), 0, Vec::new());
    let mut writer = MessageWriter::new();
    loop {
        let block = message.block(at)?;
        if block.is_empty() {
            break;
        }
        at += block.len() as u64;
        // Long lines are cut here, never refused.
        _ = lines.push(block, &mut out);
        for piece in out.drain(..) {
            writer.write(&piece)?;
        }
    }
    _ = lines.finish(&mut out);
    for piece in out {
        writer.write(&piece)?;
    }
    writer.finish()
}

fn kept(error: &Kept) -> Trouble {
    Trouble::new(Sysexit::Io, chain(error))
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
