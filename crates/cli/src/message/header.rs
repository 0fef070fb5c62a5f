//! The header of a message that came whole: who it is from and to, what is missing, what goes.

use sendas_envelope::header::Header;
use sendas_envelope::{Address, list};

use super::MessageError;

/// What stands in for what a header lacks.
#[derive(Debug)]
pub(crate) struct Defaults<'a> {
    /// The From field's address.
    pub(crate) from: &'a Address,
    /// The Date field's value.
    pub(crate) date: &'a str,
    /// The Message-ID field's value.
    pub(crate) message_id: &'a str,
}

/// What a header says about the envelope.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The address of Sender, else every address of From.
    pub(crate) senders: Vec<Address>,
    /// The addresses of To, Cc and Bcc, or of the Resent fields if there are any, each once.
    pub(crate) recipients: Vec<Address>,
}

/// A header ready to go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Completed {
    /// The header with its empty line.
    pub(crate) head: Vec<u8>,
    /// Where in the octets that came the body begins.
    pub(crate) body_start: usize,
    /// The value of Message-ID.
    pub(crate) message_id: String,
}

/// Reads what a message's header says about the envelope.
///
/// # Errors
/// When the header cannot be scanned or an address field read.
pub(crate) fn said(start: &[u8]) -> Result<Said, MessageError> {
    let header = Header::scan(start)?;
    let resent = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
    let (names, sender, from) = if resent.iter().any(|name| header.first(name).is_some()) {
        (resent, "Resent-Sender", "Resent-From")
    } else {
        (["To", "Cc", "Bcc"], "Sender", "From")
    };
    let mut said = Said::default();
    for name in names {
        for address in addresses(&header, name)? {
            if !said
                .recipients
                .iter()
                .any(|known| known.same_mailbox(&address))
            {
                said.recipients.push(address);
            }
        }
    }
    said.senders = addresses(&header, sender)?;
    if said.senders.is_empty() {
        said.senders = addresses(&header, from)?;
    }
    Ok(said)
}

/// Completes a header: Bcc goes; Date, Message-ID and From come where they are missing; every
/// other octet stays.
///
/// # Errors
/// When the header cannot be scanned.
pub(crate) fn complete(start: &[u8], defaults: &Defaults<'_>) -> Result<Completed, MessageError> {
    let header = Header::scan(start)?;
    let mut head = Vec::with_capacity(header.body_start() + 256);
    for field in header.fields() {
        let name = header.name(field);
        if !name.eq_ignore_ascii_case(b"Bcc") && !name.eq_ignore_ascii_case(b"Resent-Bcc") {
            head.extend_from_slice(&start[field.range.clone()]);
        }
    }
    let mut missing = |name: &str, value: &str| {
        if let Some(value) = header.first(name) {
            return value.into_owned();
        }
        head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        value.to_owned()
    };
    missing("From", defaults.from.as_str());
    missing("Date", defaults.date);
    let message_id = missing("Message-ID", defaults.message_id);
    head.extend_from_slice(b"\r\n");
    Ok(Completed {
        head,
        body_start: header.body_start(),
        message_id,
    })
}

fn addresses(header: &Header<'_>, name: &str) -> Result<Vec<Address>, MessageError> {
    let mut all = Vec::new();
    for field in header.named(name) {
        let entries = list::parse(&header.value(field)).map_err(|source| MessageError::List {
            field: name.to_owned(),
            source,
        })?;
        all.extend(entries.into_iter().map(|entry| entry.address));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crlf(text: &str) -> Vec<u8> {
        text.replace('\n', "\r\n").into_bytes()
    }

    #[test]
    fn senders_and_recipients() {
        let table: &[(&str, &[&str], &[&str])] = &[
            (
                "From: A <a@x.y>\nTo: b@x.y, B@x.y\nCc: (c) \"C, D\" <c@x.y>\nBcc: d@x.y\n\nTo: no@x.y\n",
                &["a@x.y"],
                &["b@x.y", "c@x.y", "d@x.y"],
            ),
            (
                "From: a@x.y, b@x.y\nSender: s@x.y\nTo: team: c@x.y,\n d@x.y;\n\n",
                &["s@x.y"],
                &["c@x.y", "d@x.y"],
            ),
            (
                "From: a@x.y\nTo: b@x.y\nResent-From: r@x.y\nResent-To: t@x.y\nResent-Bcc: u@x.y\n\n",
                &["r@x.y"],
                &["t@x.y", "u@x.y"],
            ),
            ("Subject: x\n\n", &[], &[]),
            ("\nbody", &[], &[]),
        ];
        for (text, senders, recipients) in table {
            let said = said(&crlf(text)).unwrap();
            assert_eq!(
                said.senders.iter().map(Address::as_str).collect::<Vec<_>>(),
                *senders,
                "{text}"
            );
            let found: Vec<_> = said.recipients.iter().map(Address::as_str).collect();
            assert_eq!(found, *recipients, "{text}");
        }
    }

    #[test]
    fn bcc_goes_and_what_is_missing_comes() {
        let from = Address::parse("f@x.y").unwrap();
        let defaults = Defaults {
            from: &from,
            date: "DATE",
            message_id: "<1@x.y>",
        };
        for (text, head, id, body) in [
            (
                "Subject: a\n b\nBCC: x@y.z,\n y@y.z\nX: 1\nbcc : q@y.z\n\nBcc: body\n.\n",
                "Subject: a\n b\nX: 1\nFrom: f@x.y\nDate: DATE\nMessage-ID: <1@x.y>\n\n",
                "<1@x.y>",
                "Bcc: body\n.\n",
            ),
            (
                "From: g@x.y\nDate: then\nMessage-Id: <2@x>\nResent-Bcc: a@b.c\n\nhi",
                "From: g@x.y\nDate: then\nMessage-Id: <2@x>\n\n",
                "<2@x>",
                "hi",
            ),
            (
                "From: g@x.y\nDate: t\n",
                "From: g@x.y\nDate: t\nMessage-ID: <1@x.y>\n\n",
                "<1@x.y>",
                "",
            ),
            (
                "\nhi",
                "From: f@x.y\nDate: DATE\nMessage-ID: <1@x.y>\n\n",
                "<1@x.y>",
                "hi",
            ),
        ] {
            let start = crlf(text);
            let completed = complete(&start, &defaults).unwrap();
            assert_eq!(completed.head, crlf(head), "{text}");
            assert_eq!(completed.message_id, id);
            assert_eq!(start[completed.body_start..], crlf(body));
        }
    }

    #[test]
    fn what_is_no_header() {
        for (text, expected) in [
            ("hello\n", "line 1 of the header is not a field"),
            ("To: a b@c.d\n\n", "the To field is not a list of addresses"),
        ] {
            let error = said(&crlf(text)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
