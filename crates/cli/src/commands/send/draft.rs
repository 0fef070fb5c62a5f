//! From options and standard input to an envelope and a message, before anything is sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;
use sendas_envelope::list::{self, Entry};
use sendas_envelope::{
    Address, Body, Envelope, EnvelopeId, ForwardPath, Notify, Recipient, Return, ReversePath,
};
use sendas_submit::Message;

use super::Send;
use crate::message::MessageError;
use crate::message::compose::{Attachment, Composition, compose, field};
use crate::message::header::{self, Defaults};
use crate::message::intake::{Incoming, Whole};
use crate::report::{Failure, Kind, chain};
use crate::{clock, exit::Exit, machine};

/// A message and where it goes.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) envelope: Envelope,
    pub(crate) message: Message,
    /// The value of its Message-ID field.
    pub(crate) message_id: String,
    /// The first address of its From field.
    pub(crate) from: Option<Address>,
}

/// Makes the draft of a call.
///
/// # Errors
/// The first thing that is wrong; nothing was sent.
pub(super) fn make(send: &Send, octets_max: u64, now: Timestamp) -> Result<Draft, Box<Failure>> {
    let mut arguments: Vec<ForwardPath> = Vec::new();
    for text in &send.recipients {
        let entries = entries("a recipient", text)?;
        arguments.extend(entries.into_iter().map(|entry| entry.address.into()));
    }
    let reverse_path = send.reverse_path.as_deref().map(reverse_path).transpose()?;
    if send.composed.is_asked_for() {
        composed(send, arguments, reverse_path, octets_max, now)
    } else {
        from_stdin(send, arguments, reverse_path, octets_max, now)
    }
}

/// Reads one address, named for the complaint.
pub(crate) fn address(what: &str, text: &str) -> Result<Address, Box<Failure>> {
    Address::parse(text).map_err(|error| {
        Box::new(
            Failure::usage(format!("nothing was sent: {what} is not an address"))
                .cause(error.to_string(), None)
                .command("sendas send --help"),
        )
    })
}

fn from_stdin(
    send: &Send,
    arguments: Vec<ForwardPath>,
    reverse_path: Option<ReversePath>,
    octets_max: u64,
    now: Timestamp,
) -> Result<Draft, Box<Failure>> {
    if send.token_file.as_deref() == Some(Path::new("-")) {
        return Err(twice("the message", "the token"));
    }
    if machine::stdin_is_terminal() {
        return Err(Box::new(
            Failure::usage("the message was not sent: there is none")
                .cause(
                    "a message is read from standard input, and standard input is this terminal",
                    Some(
                        "feed it a file, or compose one with --from, --to, --subject and --text"
                            .to_owned(),
                    ),
                )
                .command("sendas send --help"),
        ));
    }
    let incoming =
        Incoming::begin(io::stdin().lock(), octets_max).map_err(|error| unusable(&error))?;
    let said = header::said(incoming.start()).map_err(|error| no_header(&error))?;
    let mut recipients = arguments;
    if send.read_recipients {
        add(&mut recipients, said.recipients);
    }
    let reverse_path = match (reverse_path, said.senders.as_slice()) {
        (Some(given), _) => given,
        (None, [only]) => ReversePath::Address(only.clone()),
        (None, []) => {
            return Err(Box::new(
                Failure::usage("the message was not sent: nobody says who sends it")
                    .cause("it has no From field, and there is no -f", None)
                    .command("sendas send -f noreply@contoso.com …"),
            ));
        }
        (None, [_, ..]) => {
            return Err(Box::new(
                Failure::usage("the message was not sent: it has several senders")
                    .cause(
                        "From names several addresses, and there is neither Sender nor -f",
                        None,
                    )
                    .command("sendas send -f noreply@contoso.com …"),
            ));
        }
    };
    let from = said.senders.first().or(reverse_path.address()).cloned();
    let fallback = sender_or_mailbox(from.as_ref(), send)?;
    let message_id = new_message_id(&fallback);
    let date = clock::date_field(now);
    let defaults = Defaults {
        from: &fallback,
        date: &date,
        message_id: &message_id,
    };
    let completed =
        header::complete(incoming.start(), &defaults).map_err(|error| unusable(&error))?;
    let whole = incoming
        .finish(&completed.head, completed.body_start)
        .map_err(|error| unusable(&error))?;
    let envelope = envelope(send, reverse_path, recipients, &whole)?;
    Ok(Draft {
        envelope,
        message: whole.message,
        message_id: completed.message_id,
        from,
    })
}

fn composed(
    send: &Send,
    arguments: Vec<ForwardPath>,
    reverse_path: Option<ReversePath>,
    octets_max: u64,
    now: Timestamp,
) -> Result<Draft, Box<Failure>> {
    let options = &send.composed;
    let from = match (
        &options.from,
        reverse_path.as_ref().and_then(ReversePath::address),
    ) {
        (Some(text), _) => entries("--from", text)?,
        (None, Some(address)) => vec![Entry {
            display: None,
            address: address.clone(),
        }],
        (None, None) => {
            return Err(Box::new(
                Failure::usage("the message was not sent: nobody says who it is from")
                    .cause("there is neither --from nor -f", None)
                    .command("sendas send --from noreply@contoso.com …"),
            ));
        }
    };
    let Some(first) = from.first().map(|entry| entry.address.clone()) else {
        return Err(Box::new(
            Failure::usage("the message was not sent: --from names no address")
                .command("sendas send --from noreply@contoso.com …"),
        ));
    };
    let gather = |what: &str, texts: &[String]| {
        let mut all = Vec::new();
        for text in texts {
            all.extend(entries(what, text)?);
        }
        Ok::<_, Box<Failure>>(all)
    };
    let (to, cc) = (gather("--to", &options.to)?, gather("--cc", &options.cc)?);
    let bcc = gather("--bcc", &options.bcc)?;
    let mut recipients = arguments;
    for entry in to.iter().chain(&cc).chain(&bcc) {
        add(&mut recipients, [entry.address.clone()]);
    }
    let (text, html) = texts(send, octets_max)?;
    let mut attachments = Vec::new();
    for path in &options.attach {
        attachments.push(attachment(path, octets_max)?);
    }
    let fields = options
        .header
        .iter()
        .map(|text| field(text))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong_option(&error))?;
    let composition = Composition {
        from,
        to,
        cc,
        subject: options.subject.clone(),
        text,
        html,
        attachments,
        fields,
    };
    let message_id = new_message_id(&first);
    let whole = compose(
        &composition,
        &clock::date_field(now),
        &message_id,
        octets_max,
    )
    .map_err(|error| wrong_option(&error))?;
    let reverse_path = reverse_path.unwrap_or_else(|| ReversePath::Address(first.clone()));
    let envelope = envelope(send, reverse_path, recipients, &whole)?;
    Ok(Draft {
        envelope,
        message: whole.message,
        message_id,
        from: Some(first),
    })
}

/// The text and the HTML of a composed message; standard input serves one of the two.
fn texts(send: &Send, octets_max: u64) -> Result<(Option<String>, Option<String>), Box<Failure>> {
    let options = &send.composed;
    let stdin = Path::new("-");
    let token = send.token_file.as_deref() == Some(stdin);
    let text = options.text.as_deref() == Some("-") || options.text_file.as_deref() == Some(stdin);
    let html = options.html.as_deref() == Some("-") || options.html_file.as_deref() == Some(stdin);
    let nothing = options.text.is_none()
        && options.text_file.is_none()
        && options.html.is_none()
        && options.html_file.is_none();
    match (text, html, token) {
        (true, true, _) => return Err(twice("the text", "the HTML text")),
        (true, _, true) | (_, true, true) => return Err(twice("the text", "the token")),
        _ => {}
    }
    if (text || html) && machine::stdin_is_terminal() {
        return Err(Box::new(
            Failure::usage("the message was not sent: nobody feeds standard input")
                .command("sendas send --help"),
        ));
    }
    let one = |given: &Option<String>, file: &Option<std::path::PathBuf>| match (given, file) {
        (Some(given), _) if given == "-" => read_text(stdin, octets_max).map(Some),
        (Some(given), _) => Ok(Some(given.clone())),
        (None, Some(path)) => read_text(path, octets_max).map(Some),
        (None, None) => Ok(None),
    };
    if nothing && !token && !machine::stdin_is_terminal() {
        return Ok((Some(read_text(stdin, octets_max)?), None));
    }
    if nothing && options.attach.is_empty() {
        return Err(Box::new(
            Failure::usage("the message was not sent: it has no text")
                .command("sendas send --text 'Hello' …"),
        ));
    }
    Ok((
        one(&options.text, &options.text_file)?,
        one(&options.html, &options.html_file)?,
    ))
}

fn read_text(path: &Path, octets_max: u64) -> Result<String, Box<Failure>> {
    let octets = read_octets(path, octets_max)?;
    String::from_utf8(octets).map_err(|_| {
        Box::new(
            Failure::new(
                Kind::Message,
                Exit::Failed,
                format!(
                    "the message was not sent: {} is not UTF-8 text",
                    path.display()
                ),
            )
            .command(format!("sendas send --attach {} …", path.display())),
        )
    })
}

fn attachment(path: &Path, octets_max: u64) -> Result<Attachment, Box<Failure>> {
    let octets = read_octets(path, octets_max)?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    Ok(Attachment {
        name: name.unwrap_or_else(|| "attachment".to_owned()),
        octets,
    })
}

fn read_octets(path: &Path, octets_max: u64) -> Result<Vec<u8>, Box<Failure>> {
    let mut octets = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(octets_max + 1)
            .read_to_end(&mut octets)
    } else {
        File::open(path).and_then(|file| file.take(octets_max + 1).read_to_end(&mut octets))
    };
    read.map_err(|error| {
        Failure::machine(
            format!("the message was not sent: {} was not read", path.display()),
            &error,
        )
    })?;
    if octets.len() as u64 > octets_max {
        return Err(wrong_option(&MessageError::TooLarge(octets_max)));
    }
    Ok(octets)
}

fn envelope(
    send: &Send,
    reverse_path: ReversePath,
    paths: Vec<ForwardPath>,
    whole: &Whole,
) -> Result<Envelope, Box<Failure>> {
    let wrong = |error: &dyn std::error::Error| {
        Box::new(
            Failure::usage("the message was not sent: a notice was asked for wrongly")
                .cause(error.to_string(), None)
                .command("sendas send --dsn failure,delay --dsn-return hdrs …"),
        )
    };
    let notify = send.dsn.as_deref().map(str::parse::<Notify>).transpose();
    let notify = notify.map_err(|error| wrong(&error))?;
    let recipients: Vec<Recipient> = paths
        .into_iter()
        .map(|path| Recipient {
            notify,
            ..Recipient::new(path)
        })
        .collect();
    let mut envelope = Envelope::new(reverse_path, recipients).map_err(|error| {
        let failure = Failure::usage("the message was not sent: nobody is to get it")
            .cause(error.to_string(), None);
        Box::new(failure.command(if send.composed.is_asked_for() {
            "sendas send --to boss@contoso.com …"
        } else {
            "sendas send -t < message.eml"
        }))
    })?;
    let ret = send
        .dsn_return
        .as_deref()
        .map(str::parse::<Return>)
        .transpose();
    envelope.ret = ret.map_err(|error| wrong(&error))?;
    let id = send.dsn_id.as_deref().map(EnvelopeId::new).transpose();
    envelope.envelope_id = id.map_err(|error| wrong(&error))?;
    envelope.body = if whole.eight_bit {
        Body::EightBit
    } else {
        Body::SevenBit
    };
    Ok(envelope)
}

/// Adds recipients that are not there yet.
fn add(recipients: &mut Vec<ForwardPath>, more: impl IntoIterator<Item = Address>) {
    for address in more {
        let known = recipients
            .iter()
            .filter_map(ForwardPath::address)
            .any(|known| known.same_mailbox(&address));
        if !known {
            recipients.push(address.into());
        }
    }
}

fn entries(what: &str, text: &str) -> Result<Vec<Entry>, Box<Failure>> {
    list::parse(text).map_err(|error| {
        Box::new(
            Failure::usage(format!(
                "the message was not sent: {what} is not an address"
            ))
            .cause(error.to_string(), None)
            .command("sendas send --help"),
        )
    })
}

/// `-f`: an address, with or without brackets, or nothing.
fn reverse_path(text: &str) -> Result<ReversePath, Box<Failure>> {
    let bare = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'))
        .unwrap_or(text);
    if bare.is_empty() {
        return Ok(ReversePath::Null);
    }
    address("the reverse-path (-f)", bare).map(ReversePath::Address)
}

/// The address that stands in for a missing From field.
fn sender_or_mailbox(from: Option<&Address>, send: &Send) -> Result<Address, Box<Failure>> {
    match (from, &send.mailbox) {
        (Some(from), _) => Ok(from.clone()),
        (None, Some(mailbox)) => address("--mailbox", mailbox),
        (None, None) => Err(Box::new(
            Failure::usage("the message was not sent: nobody says who it is from")
                .cause(
                    "the reverse-path is empty, and there is neither From nor --mailbox",
                    None,
                )
                .command("sendas send --mailbox noreply@contoso.com …"),
        )),
    }
}

/// A new Message-ID with the domain of an address (RFC 5322 §3.6.4).
fn new_message_id(address: &Address) -> String {
    let domain = address.domain();
    // An address literal or a name beyond ASCII would not be the right side of one.
    let plain = domain
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let right = if plain { domain } else { "localhost.invalid" };
    format!("<{}@{right}>", uuid::Uuid::new_v4().simple())
}

fn unusable(error: &MessageError) -> Box<Failure> {
    let failure = Failure::new(
        Kind::Message,
        Exit::Failed,
        "the message was not sent: it cannot be sent as it is",
    )
    .cause(chain(error), None);
    Box::new(match error {
        MessageError::Empty => Failure {
            exit: Exit::Usage,
            ..failure.command("sendas send --help")
        },
        _ => failure,
    })
}

fn no_header(error: &MessageError) -> Box<Failure> {
    let mut failure = unusable(error);
    if matches!(error, MessageError::Header(_)) {
        if let Some(cause) = failure.causes.first_mut() {
            cause.fix = Some(
                "a message begins with its header and an empty line; for plain text use \
                 --from, --to, --subject and --text-file -"
                    .to_owned(),
            );
        }
        failure.command = Some("sendas send --help".to_owned());
    }
    failure
}

fn wrong_option(error: &MessageError) -> Box<Failure> {
    let exit = match error {
        MessageError::TooLarge(_) | MessageError::Io { .. } | MessageError::Kept(_) => Exit::Failed,
        _ => Exit::Usage,
    };
    Box::new(
        Failure::new(
            Kind::Message,
            exit,
            "the message was not sent: it cannot be composed",
        )
        .cause(chain(error), None),
    )
}

fn twice(one: &str, other: &str) -> Box<Failure> {
    Box::new(
        Failure::usage("the message was not sent: standard input is to serve twice")
            .cause(
                format!("{one} and {other} are both to be read from it"),
                None,
            )
            .command("sendas send --help"),
    )
}
