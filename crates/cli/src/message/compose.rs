//! Composes a message from options.
//!
//! The builder cleans header values silently; here a CR, LF or NUL is refused before it sees
//! the value.

use std::borrow::Cow;
use std::io::{self, Write};

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as HeaderAddress;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use sendas_envelope::list::Entry;
use sendas_submit::MessageWriter;

use super::MessageError;
use super::intake::Whole;

/// What a message is made of.
#[derive(Debug, Default)]
pub(crate) struct Composition {
    pub(crate) from: Vec<Entry>,
    pub(crate) to: Vec<Entry>,
    pub(crate) cc: Vec<Entry>,
    pub(crate) subject: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) attachments: Vec<Attachment>,
    /// More fields: name and value.
    pub(crate) fields: Vec<(String, String)>,
}

/// A file that goes with the message.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) octets: Vec<u8>,
}

/// Fields that have an option of their own, or belong to the composer.
const RESERVED: &[&str] = &[
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
];

/// Writes the message; there is never a Bcc field in it.
///
/// # Errors
/// CR, LF or NUL in what goes into the header; a field name that is none or has an option of
/// its own; a message larger than allowed.
pub(crate) fn compose(
    composition: &Composition,
    date: &str,
    message_id: &str,
    octets_max: u64,
) -> Result<Whole, MessageError> {
    check(composition)?;
    let mut builder = MessageBuilder::new();
    for (name, entries) in [
        ("From", &composition.from),
        ("To", &composition.to),
        ("Cc", &composition.cc),
    ] {
        if !entries.is_empty() {
            builder = builder.header(name, addresses(entries));
        }
    }
    if let Some(subject) = &composition.subject {
        builder = builder.subject(subject.as_str());
    }
    builder = builder
        .header("Date", Raw::new(date))
        .header("Message-ID", Raw::new(message_id));
    for (name, value) in &composition.fields {
        builder = builder.header(name.as_str(), Text::new(value.as_str()));
    }
    match (&composition.text, &composition.html) {
        (None, None) => builder = builder.text_body(""),
        (text, html) => {
            if let Some(text) = text {
                builder = builder.text_body(text.as_str());
            }
            if let Some(html) = html {
                builder = builder.html_body(html.as_str());
            }
        }
    }
    for attachment in &composition.attachments {
        builder = builder.attachment(
            kind(&attachment.name),
            attachment.name.as_str(),
            attachment.octets.as_slice(),
        );
    }
    let mut output = Output {
        writer: MessageWriter::new(),
        octets: 0,
        octets_max,
        eight_bit: false,
        refused: None,
    };
    let written = builder.write_to(&mut output);
    if let Some(refused) = output.refused {
        return Err(refused);
    }
    written.map_err(|source| MessageError::Io {
        what: "the message was not composed".to_owned(),
        source,
    })?;
    Ok(Whole {
        message: output.writer.finish()?,
        eight_bit: output.eight_bit,
    })
}

/// Splits `Name: value`.
///
/// # Errors
/// When there is no colon or no name.
pub(crate) fn field(text: &str) -> Result<(String, String), MessageError> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| MessageError::FieldName(text.to_owned()))?;
    let printable = !name.is_empty() && name.bytes().all(|octet| (b'!'..=b'~').contains(&octet));
    if !printable {
        return Err(MessageError::FieldName(name.escape_debug().to_string()));
    }
    if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(MessageError::FieldReserved(name.to_owned()));
    }
    no_control(&format!("the {name} field"), value)?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

fn check(composition: &Composition) -> Result<(), MessageError> {
    if let Some(subject) = &composition.subject {
        no_control("the subject", subject)?;
    }
    for entry in composition
        .from
        .iter()
        .chain(&composition.to)
        .chain(&composition.cc)
    {
        if let Some(display) = &entry.display {
            no_control("a display name", display)?;
        }
    }
    for attachment in &composition.attachments {
        no_control("the name of an attachment", &attachment.name)?;
    }
    for (name, text) in [
        ("the text", &composition.text),
        ("the HTML text", &composition.html),
    ] {
        if text.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(MessageError::Control(name.to_owned()));
        }
    }
    Ok(())
}

fn no_control(what: &str, text: &str) -> Result<(), MessageError> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(MessageError::Control(what.to_owned()));
    }
    Ok(())
}

fn addresses(entries: &[Entry]) -> HeaderAddress<'_> {
    let all = entries
        .iter()
        .map(|entry| {
            HeaderAddress::new_address(
                entry.display.as_deref().map(Cow::Borrowed),
                entry.address.as_str(),
            )
        })
        .collect();
    HeaderAddress::new_list(all)
}

/// The media type of a file, by the end of its name; what is not known is octets.
fn kind(name: &str) -> &'static str {
    let end = name
        .rsplit_once('.')
        .map_or("", |(_, end)| end)
        .to_ascii_lowercase();
    match end.as_str() {
        "csv" => "text/csv",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "eml" => "message/rfc822",
        "gif" => "image/gif",
        "gz" => "application/gzip",
        "htm" | "html" => "text/html",
        "ics" => "text/calendar",
        "jpeg" | "jpg" => "image/jpeg",
        "json" => "application/json",
        "md" => "text/markdown",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "svg" => "image/svg+xml",
        "tif" | "tiff" => "image/tiff",
        "txt" | "log" => "text/plain",
        "webp" => "image/webp",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xml" => "application/xml",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// Takes what the builder writes.
struct Output {
    writer: MessageWriter,
    octets: u64,
    octets_max: u64,
    eight_bit: bool,
    refused: Option<MessageError>,
}

impl Write for &mut Output {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.octets += octets.len() as u64;
        self.eight_bit = self.eight_bit || !octets.is_ascii();
        let written = if self.octets > self.octets_max {
            Err(MessageError::TooLarge(self.octets_max))
        } else {
            self.writer.write(octets).map_err(MessageError::from)
        };
        written.map(|()| octets.len()).map_err(|error| {
            self.refused = Some(error);
            io::Error::other("the message cannot be taken")
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sendas_envelope::list;

    use super::*;

    fn composition() -> Composition {
        Composition {
            from: list::parse("\"Ä, B\" <a@x.y>").unwrap(),
            to: list::parse("\"q r\"@x.y, B <b@x.y>").unwrap(),
            subject: Some("Grüße".to_owned()),
            text: Some("one\ntwo ä\n.\n".to_owned()),
            ..Composition::default()
        }
    }

    fn text(composition: &Composition) -> String {
        let whole = compose(
            composition,
            "Thu, 11 Jul 2024 11:46:42 +0000",
            "<1@x.y>",
            1 << 20,
        )
        .unwrap();
        String::from_utf8(whole.message.start(1 << 20).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_message_with_everything() {
        let mut composition = composition();
        composition.html = Some("<p>one</p>".to_owned());
        composition.attachments = vec![Attachment {
            name: "a ä.pdf".to_owned(),
            octets: b"%PDF\0\xff".to_vec(),
        }];
        composition.fields = vec![field("X-Job: 1").unwrap()];
        let text = text(&composition);
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
        let parsed = mail_parser::MessageParser::default()
            .parse(text.as_bytes())
            .unwrap();
        assert_eq!(parsed.subject(), Some("Grüße"));
        assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("Ä, B"));
        assert_eq!(
            parsed.body_text(0).unwrap().replace("\r\n", "\n"),
            "one\ntwo ä\n.\n"
        );
        assert_eq!(parsed.body_html(0).unwrap(), "<p>one</p>");
        assert_eq!(parsed.attachment(0).unwrap().contents(), b"%PDF\0\xff");
        assert_eq!(parsed.message_id(), Some("1@x.y"));
        assert!(
            text.contains("\"q r\"@x.y") && text.contains("X-Job: 1\r\n"),
            "{text}"
        );
        assert!(
            text.contains("Date: Thu, 11 Jul 2024 11:46:42 +0000\r\n"),
            "{text}"
        );
    }

    #[test]
    fn control_characters_are_refused_and_never_cleaned() {
        for bad in ["a\r\nBcc: x@y.z", "a\nb", "a\rb", "a\0b"] {
            let mut one = composition();
            one.subject = Some(bad.to_owned());
            let mut two = composition();
            two.attachments = vec![Attachment {
                name: bad.to_owned(),
                octets: Vec::new(),
            }];
            let mut three = composition();
            three.from[0].display = Some(bad.to_owned());
            for composition in [one, two, three] {
                let refused = compose(&composition, "d", "<1@x>", 1 << 20);
                assert!(matches!(refused, Err(MessageError::Control(_))), "{bad:?}");
            }
            assert!(matches!(
                field(&format!("X: {bad}")),
                Err(MessageError::Control(_))
            ));
            assert!(matches!(
                field(&format!("{bad}: x")),
                Err(MessageError::FieldName(_))
            ));
        }
        for name in ["Bcc: a@b.c", "CONTENT-TYPE: x", "from: a@b.c"] {
            assert!(
                matches!(field(name), Err(MessageError::FieldReserved(_))),
                "{name}"
            );
        }
        assert!(matches!(field("no colon"), Err(MessageError::FieldName(_))));
    }

    #[test]
    fn a_message_that_is_too_large() {
        let mut composition = composition();
        composition.text = Some("x\n".repeat(1000));
        assert!(matches!(
            compose(&composition, "d", "<1@x>", 1000),
            Err(MessageError::TooLarge(1000))
        ));
    }
}
