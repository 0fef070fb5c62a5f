//! `sendas send`: one message, from standard input or composed of options.

mod answer;
pub(crate) mod delivery;
pub(crate) mod draft;

use std::path::PathBuf;

use clap::Args;
use sendas_envelope::{Mailbox, ReversePath};

use crate::clock;
use crate::global::Global;
use crate::identity::Identity;
use crate::machine::Machine;
use crate::report::{Failure, Outcome};
use crate::{configuration, runtime, token_text};

pub(crate) use draft::address as draft_address;

use delivery::Token;
use draft::Draft;

#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  sendas send -f noreply@contoso.com boss@contoso.com < message.eml
  sendas send -t < message.eml                     sender and recipients as the header names them
  sendas send --from noreply@contoso.com --to boss@contoso.com --subject Report --text-file - < report.txt
  sendas send --from noreply@contoso.com --to a@contoso.com --subject Invoice --text 'See there.' --attach invoice.pdf")]
pub(crate) struct Send {
    /// Recipients, besides those of the header or of the options.
    #[arg(value_name = "RECIPIENT")]
    recipients: Vec<String>,
    /// Where failure notices go; left out, the address of Sender or From. Empty: nowhere.
    #[arg(short = 'f', long = "reverse-path", value_name = "ADDRESS")]
    reverse_path: Option<String>,
    /// Send to the addresses of To, Cc and Bcc; Bcc is removed in any case.
    #[arg(short = 't', long = "read-recipients")]
    read_recipients: bool,
    #[command(flatten)]
    composed: Composed,
    /// Log in as this mailbox instead of the sender's own.
    #[arg(long, value_name = "ADDRESS")]
    mailbox: Option<String>,
    /// Send as this principal instead of the one that covers the sender.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Use the token in this file instead of fetching one; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Ask for notices: `never`, or `success`, `failure`, `delay` with commas.
    #[arg(long, value_name = "WORDS")]
    dsn: Option<String>,
    /// What a failure notice returns of the message: `full` or `hdrs`.
    #[arg(long, value_name = "WORD")]
    dsn_return: Option<String>,
    /// The name of this transaction in notices.
    #[arg(long, value_name = "TEXT")]
    dsn_id: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A message composed of options.
#[derive(Debug, Args)]
#[command(next_help_heading = "Composed message")]
struct Composed {
    /// The From field: `noreply@contoso.com`, or `Contoso <noreply@contoso.com>`.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Recipients in the To field; may be given several times.
    #[arg(long, value_name = "ADDRESSES")]
    to: Vec<String>,
    /// Recipients in the Cc field.
    #[arg(long, value_name = "ADDRESSES")]
    cc: Vec<String>,
    /// Recipients that no field names.
    #[arg(long, value_name = "ADDRESSES")]
    bcc: Vec<String>,
    /// The subject.
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// The text; `-` reads it from standard input, which is also done when it is left out.
    #[arg(long, value_name = "TEXT", conflicts_with = "text_file")]
    text: Option<String>,
    /// The file that holds the text; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
    /// The text in HTML; `-` reads it from standard input.
    #[arg(long, value_name = "HTML", conflicts_with = "html_file")]
    html: Option<String>,
    /// The file that holds the text in HTML; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    html_file: Option<PathBuf>,
    /// A file that goes with the message; may be given several times.
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Another header field, `Name: value`; may be given several times.
    #[arg(long, value_name = "FIELD")]
    header: Vec<String>,
}

impl Composed {
    /// Whether any option asks for a composed message.
    fn is_asked_for(&self) -> bool {
        self.from.is_some()
            || !(self.to.is_empty() && self.cc.is_empty() && self.bcc.is_empty())
            || self.subject.is_some()
            || self.text.is_some()
            || self.text_file.is_some()
            || self.html.is_some()
            || self.html_file.is_some()
            || !(self.attach.is_empty() && self.header.is_empty())
    }
}

pub(crate) fn run(send: &Send, global: &Global, machine: &Machine) -> Outcome {
    let loaded = configuration::load(global, machine)?;
    let now = clock::now();
    let draft = draft::make(send, loaded.settings.send.message_size_octets_max, now)?;
    let (principal, mailbox) = sender(send, &draft, &loaded)?;
    let identity = match principal {
        Some(principal) => Identity::new(principal, &loaded.settings.network)?,
        None => Identity::nameless(&loaded.settings.network)?,
    };
    let token = match (&send.token_file, principal) {
        (Some(path), _) => Token::Given(token_text::read(path)?),
        (None, Some(principal)) => {
            Token::Fetched(identity.token_source(&principal.credential, machine)?)
        }
        (None, None) => return Err(Box::new(configuration::nothing_configured(&loaded))),
    };
    let connector = identity.connector(&loaded.settings.network)?;
    let sent = runtime::run(delivery::deliver(
        &draft, &identity, &mailbox, token, &connector,
    ))??;
    answer::tell(&draft, &identity, &mailbox, &sent, send.json)
}

/// Finds the principal and the mailbox that send for the reverse-path (the mailbox rule).
///
/// No principal: a token is at hand, and nothing is configured.
fn sender<'a>(
    send: &Send,
    draft: &Draft,
    loaded: &'a sendas_config::Loaded,
) -> Result<(Option<&'a sendas_config::Principal>, Mailbox), Box<Failure>> {
    let settings = &loaded.settings;
    let given = send
        .mailbox
        .as_deref()
        .map(|text| draft::address("--mailbox", text).map(Mailbox::new))
        .transpose()?;
    let own = draft.envelope.reverse_path.address();
    let needs_mailbox = || {
        Box::new(
            Failure::usage(
                "the message was not sent: it has no sender whose mailbox could send it",
            )
            .cause("the reverse-path is empty", None)
            .command("sendas send --mailbox noreply@contoso.com …"),
        )
    };
    if settings.principals.is_empty() && send.token_file.is_some() {
        let mailbox = given
            .or_else(|| own.cloned().map(Mailbox::new))
            .ok_or_else(needs_mailbox)?;
        return Ok((None, mailbox));
    }
    if let Some(name) = &send.principal {
        let principal = configuration::choose(loaded, Some(name))?;
        let covered = own.and_then(|own| {
            sendas_config::coverage([principal.mailboxes.as_slice()], own.as_str())
        });
        let mailbox = match (given, covered, own) {
            (Some(mailbox), _, _) => mailbox,
            (None, Some(covered), _) => {
                draft::address("mailboxes", &covered.mailbox).map(Mailbox::new)?
            }
            (None, None, Some(own)) => Mailbox::new(own.clone()),
            (None, None, None) => return Err(needs_mailbox()),
        };
        return Ok((Some(principal), mailbox));
    }
    if settings.principals.is_empty() {
        return Err(Box::new(configuration::nothing_configured(loaded)));
    }
    // A mailbox named by hand must be covered itself, or stand in for a sender that is.
    let Some(wanted) = given.as_ref().map(Mailbox::address).or(own) else {
        return Err(needs_mailbox());
    };
    let covered = settings
        .coverage(wanted.as_str())
        .or_else(|| own.and_then(|own| settings.coverage(own.as_str())));
    let Some(covered) = covered else {
        return Err(Box::new(uncovered(
            &draft.envelope.reverse_path,
            wanted.as_str(),
            settings,
        )));
    };
    let mailbox = match given {
        Some(mailbox) => mailbox,
        None => draft::address("mailboxes", &covered.mailbox).map(Mailbox::new)?,
    };
    Ok((settings.principals.get(covered.principal), mailbox))
}

/// Says that no principal sends for an address, and what they send for.
fn uncovered(
    reverse_path: &ReversePath,
    wanted: &str,
    settings: &sendas_config::Settings,
) -> Failure {
    let mut failure = Failure::configuration(format!(
        "the message from {reverse_path} was not sent: no principal sends for {wanted}"
    ));
    let mut known: Vec<String> = Vec::new();
    for principal in &settings.principals {
        let patterns: Vec<String> = principal
            .mailboxes
            .iter()
            .map(|entry| entry.pattern.to_string())
            .collect();
        failure = failure.evidence(format!(
            "`{}` sends for {}",
            principal.name,
            patterns.join(", ")
        ));
        known.extend(patterns);
    }
    let fix = match near(wanted, &known) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("add \"{wanted}\" to the `mailboxes` of a principal"),
    };
    failure
        .cause(
            format!("`mailboxes` of no principal holds {wanted}, its domain, or `*`"),
            Some(fix),
        )
        .command("sendas config show")
}

/// The known address that an address was most likely meant to be: the domain is right and the
/// local part nearly, or the other way round.
fn near<'a>(wanted: &str, known: &'a [String]) -> Option<&'a String> {
    let (local, domain) = wanted.rsplit_once('@')?;
    known.iter().find(|known| {
        known
            .rsplit_once('@')
            .is_some_and(|(known_local, known_domain)| {
                let nearly = |left: &str, right: &str| {
                    sendas_config::suggest::nearest(left, [right]).is_some()
                };
                (known_domain.eq_ignore_ascii_case(domain) && nearly(local, known_local))
                    || (known_local.eq_ignore_ascii_case(local) && nearly(domain, known_domain))
            })
    })
}
