//! The notice that a message was given up by hand (RFC 3464). Pure.

use std::fmt::Write as _;

use jiff::Timestamp;
use sendas_envelope::{Address, Body, Envelope, Notify, Recipient, ReversePath, Status};
use sendas_spool::{Claim, Origin, Submission};
use serde::Deserialize;

use crate::clock;

/// A notice to be stored with the decision it tells.
pub(super) struct Notice {
    pub(super) submission: Submission,
    pub(super) octets: Vec<u8>,
}

/// What the relay keeps with a message, as far as it says who is told. Version 1.
#[derive(Deserialize)]
struct Memo {
    v: u8,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    rewritten: bool,
}

/// Who is told about a message: the client's owner where it has one, else the sender. Nobody for
/// a notice, and nobody for a sender that the relay put in place of another: its mailbox may be
/// a stranger's.
pub(super) fn addressee(claim: &Claim) -> Option<Address> {
    let sender = claim.envelope.reverse_path.address()?;
    let memo = serde_json::from_str::<Memo>(&claim.memo)
        .ok()
        .filter(|memo| memo.v == 1);
    match memo {
        Some(memo) if !memo.owner.is_empty() => memo.owner.parse().ok(),
        Some(memo) if memo.rewritten => None,
        _ => Some(sender.clone()),
    }
}

/// The notice for a claim's recipients that failed; none for those whose sender asked for none
/// (RFC 3461 §4.1).
pub(super) fn failure(
    claim: &Claim,
    sender: Address,
    header: &[u8],
    text: &str,
    status: Status,
    now: Timestamp,
) -> Option<Notice> {
    let mailbox = &claim.mailbox;
    let failed: Vec<&Recipient> = claim
        .envelope
        .recipients()
        .iter()
        .filter(|recipient| recipient.notify.is_none_or(Notify::failure))
        .collect();
    if failed.is_empty() {
        return None;
    }
    let boundary = format!("=_{}", claim.id);
    let reporter = mailbox.address().domain();
    let message_id = format!("<{}.bounce@{reporter}>", claim.id);
    let mut out = String::with_capacity(2048);
    _ = write!(
        out,
        "From: Mail Delivery System <{mailbox}>\r\n\
         To: {sender}\r\n\
         Subject: Undelivered mail returned to sender\r\n\
         Date: {}\r\n\
         Message-ID: {message_id}\r\n\
         Auto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"{boundary}\"\r\n\
         \r\n\
         --{boundary}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\
         \r\n\
         The message below was not delivered to:\r\n\r\n",
        clock::date_field(now),
        mailbox = mailbox.as_str(),
    );
    for recipient in &failed {
        _ = write!(out, "  {}\r\n", recipient.path.as_str());
    }
    _ = write!(
        out,
        "\r\n{text}\r\n\r\n\
         --{boundary}\r\n\
         Content-Type: message/delivery-status\r\n\
         \r\n\
         Reporting-MTA: dns; {reporter}\r\n"
    );
    if let Some(id) = &claim.envelope.envelope_id {
        _ = write!(out, "Original-Envelope-Id: {}\r\n", id.to_xtext());
    }
    _ = write!(
        out,
        "Arrival-Date: {}\r\n",
        clock::date_field(claim.accepted_at)
    );
    for recipient in &failed {
        out.push_str("\r\n");
        if let Some(original) = &recipient.original {
            _ = write!(
                out,
                "Original-Recipient: {}; {}\r\n",
                original.kind(),
                original.as_str()
            );
        }
        let is_wide = recipient
            .path
            .address()
            .is_some_and(Address::needs_smtputf8);
        _ = write!(
            out,
            "Final-Recipient: {}; {}\r\n\
             Action: failed\r\n\
             Status: {status}\r\n",
            if is_wide { "utf-8" } else { "rfc822" },
            recipient.path.as_str()
        );
    }
    _ = write!(
        out,
        "\r\n--{boundary}\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    );
    let mut octets = out.into_bytes();
    octets.extend_from_slice(header);
    if !octets.ends_with(b"\r\n") {
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    // A notice about a notice helps nobody.
    let quiet = Recipient {
        notify: Some(Notify::Never),
        ..Recipient::from(sender)
    };
    let mut envelope = Envelope::new(ReversePath::Null, vec![quiet]).ok()?;
    envelope.body = if octets.is_ascii() {
        Body::SevenBit
    } else {
        Body::EightBit
    };
    Some(Notice {
        submission: Submission {
            origin: Origin {
                client: "notice".to_owned(),
                protocol: "local".to_owned(),
                ..Origin::default()
            },
            subject: "Undelivered mail returned to sender".to_owned(),
            message_id,
            ..Submission::new(envelope, mailbox.clone())
        },
        octets,
    })
}
