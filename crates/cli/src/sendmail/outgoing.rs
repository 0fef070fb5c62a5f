//! A message on its way out of the personality: to a running relay, else into the spool, else,
//! where no spool is configured, to the service at once.

use std::path::Path;

use sendas_config::{Settings, Spool as SpoolAddress};
use sendas_envelope::{Address, Envelope, Mailbox};
use sendas_spool::{OpenError, Options, Origin, Spool, SpoolError, Submission};
use sendas_submit::{Message, Outcome};

use super::handover::{self, Door, NotTaken};
use super::sysexits::{Sysexit, Trouble};
use super::user::User;
use crate::commands::send::delivery::{self, Token};
use crate::commands::send::draft::Draft;
use crate::identity::Identity;
use crate::machine::Machine;
use crate::report::{Failure, chain};
use crate::{clock, output, runtime};

/// Where messages go from here.
pub(super) struct Exits<'a> {
    pub(super) settings: &'a Settings,
    pub(super) machine: &'a Machine,
    pub(super) user: &'a User,
    pub(super) verbose: bool,
}

/// A message that is complete.
pub(super) struct Outgoing {
    pub(super) envelope: Envelope,
    pub(super) mailbox: Mailbox,
    pub(super) message: Message,
    pub(super) subject: String,
    pub(super) message_id: String,
    /// The address its author is seen as.
    pub(super) from: Option<Address>,
}

impl Exits<'_> {
    /// Gives the message away; when this answers, it survives the machine or has arrived.
    ///
    /// # Errors
    /// With a code for the caller; nothing was kept then, unless the text says so.
    pub(super) fn hand_on(&self, outgoing: Outgoing) -> Result<String, Trouble> {
        let Some(relay) = &self.settings.relay else {
            return self.send_at_once(outgoing);
        };
        let door = relay
            .spool
            .socket()
            .map_or(Ok(None), |path| handover::connect(&path))?;
        if let Some(stream) = door {
            match Door::new(stream, self.verbose).hand_over(&outgoing.envelope, &outgoing.message) {
                Ok(text) => return Ok(text),
                Err(NotTaken::Decided(trouble)) => return Err(trouble),
                Err(NotTaken::Unseen(text)) => self.talk(&text),
            }
        }
        match &relay.spool {
            SpoolAddress::Sqlite(index) => self.store(index, outgoing),
            SpoolAddress::Postgres(_) => Err(Trouble::new(
                Sysexit::Temporary,
                "no relay of this machine takes it, and the spool is on another",
            )),
        }
    }

    fn talk(&self, text: &str) {
        if self.verbose {
            output::line(&format!("sendmail: {text}"));
        }
    }

    fn store(&self, index: &Path, outgoing: Outgoing) -> Result<String, Trouble> {
        let spool = Spool::open(&Options::new(index), clock::now())
            .map_err(|error| unopened(index, &error))?;
        let kept = runtime::run(Box::pin(async {
            let kept = keep(&spool, self.user, outgoing).await;
            spool.close().await;
            kept
        }))
        .map_err(|failure| Trouble::of(&failure))?
        .map_err(|error| unkept(&error))?;
        self.talk(&kept);
        Ok(kept)
    }

    fn send_at_once(&self, outgoing: Outgoing) -> Result<String, Trouble> {
        let told = |failure: Box<Failure>| Trouble::of(&failure);
        let network = &self.settings.network;
        let sender = outgoing
            .from
            .as_ref()
            .unwrap_or_else(|| outgoing.mailbox.address());
        let principal = self
            .settings
            .coverage(sender.as_str())
            .and_then(|coverage| self.settings.principals.get(coverage.principal))
            .ok_or_else(|| {
                Trouble::new(
                    Sysexit::Configuration,
                    format!("no principal sends for {sender}"),
                )
            })?;
        let identity = Identity::new(principal, network).map_err(told)?;
        let source = identity
            .token_source(&principal.credential, self.machine)
            .map_err(told)?;
        let connector = identity.connector(network).map_err(told)?;
        let draft = Draft {
            envelope: outgoing.envelope,
            message: outgoing.message,
            message_id: outgoing.message_id,
            from: outgoing.from,
        };
        let sent = runtime::run(Box::pin(delivery::deliver(
            &draft,
            &identity,
            &outgoing.mailbox,
            Token::Fetched(source),
            &connector,
        )))
        .map_err(told)?
        .map_err(told)?;
        let recipients = draft.envelope.recipients();
        for (recipient, outcome) in recipients.iter().zip(&sent.attempt.outcomes) {
            let (code, what) = match outcome {
                Outcome::Accepted(_) => continue,
                Outcome::Deferred(_) => (Sysexit::Temporary, "not taken now"),
                Outcome::Refused(_) => (Sysexit::Unavailable, "refused"),
                Outcome::Uncertain(_) => (
                    Sysexit::Temporary,
                    "lost after the message; it may have arrived",
                ),
            };
            let words = outcome
                .failure()
                .map(ToString::to_string)
                .unwrap_or_default();
            let text = format!("{}: {what}: {words}", recipient.path.as_str());
            return Err(Trouble::new(code, text));
        }
        Ok("sent".to_owned())
    }
}

/// Stores the message with a line about where it came in (RFC 5321 §4.4).
async fn keep(spool: &Spool, user: &User, outgoing: Outgoing) -> Result<String, SpoolError> {
    let now = clock::now();
    let id = spool.next_id(now);
    let mut staging = spool.stage()?;
    let received = format!(
        "Received: by {} (sendas) id {id};\r\n\t{}\r\n",
        outgoing.mailbox.address().domain(),
        clock::date_field(now)
    );
    staging.write(received.as_bytes()).await?;
    let mut at = 0;
    loop {
        let block = outgoing
            .message
            .block(at)
            .map_err(|error| SpoolError::Disk(std::sync::Arc::new(error)))?;
        if block.is_empty() {
            break;
        }
        at += block.len() as u64;
        staging.write(&block).await?;
    }
    let staged = staging.finish().await?;
    let submission = Submission {
        id: Some(id),
        origin: Origin {
            client: "sendmail".to_owned(),
            login: user.name.clone(),
            protocol: "local".to_owned(),
            ..Origin::default()
        },
        subject: outgoing.subject,
        message_id: outgoing.message_id,
        ..Submission::new(outgoing.envelope, outgoing.mailbox)
    };
    spool.accept(submission, staged, now).await?;
    Ok(format!("2.0.0 kept as {id}"))
}

fn unopened(index: &Path, error: &OpenError) -> Trouble {
    let code = match error {
        OpenError::Disk { .. } => Sysexit::CannotCreate,
        OpenError::NotASpool(_) | OpenError::TooNew { .. } | OpenError::NotDurable { .. } => {
            Sysexit::Configuration
        }
        _ => Sysexit::Temporary,
    };
    Trouble::new(
        code,
        format!(
            "the spool {} was not opened: {}",
            index.display(),
            chain(error)
        ),
    )
}

fn unkept(error: &SpoolError) -> Trouble {
    let code = match error {
        SpoolError::Limit { .. } => Sysexit::Data,
        SpoolError::Disk(_) => Sysexit::Io,
        _ => Sysexit::Temporary,
    };
    Trouble::new(code, format!("it was not kept: {}", chain(error)))
}
