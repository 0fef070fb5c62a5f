//! One conversation: what the service answers to each event of the framing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use sendas_envelope::{Body, ForwardPath};
use sendas_smtp::CommandError;
use sendas_smtp::data::LineCheck;
use sendas_smtp::sasl::Response;
use sendas_smtp::server::{Event, Violation};
use sendas_smtp::{MailCommand, RcptCommand, Reply};

use super::auth::{self, Sender};
use super::message::{self, Arrival};
use super::quota::{Sending, UsedUp};
use super::reply::{self, Said};
use crate::faults::Step;
use crate::limits;
use crate::mailroom::{Message, Octets, Recipient};
use crate::state::{BasicAuth, Limits, MessageRate};
use crate::world::World;

/// One conversation.
pub(super) struct Conversation {
    world: Arc<World>,
    peer: IpAddr,
    connection: u64,
    names: Names,
    tls: Option<&'static str>,
    login: Option<Login>,
    sender: Option<Sender>,
    transaction: Option<Transaction>,
}

/// What the machines of this conversation are called.
struct Names {
    /// The front end, as in the greeting.
    front: String,
    /// The front end, as in the tails of refusals.
    front_inside: String,
    /// The mailbox server.
    store: String,
    session: String,
}

/// Where AUTH stands between its challenge and its response.
enum Login {
    Bearer,
    User,
    Password,
}

struct Transaction {
    reverse_path: String,
    parameters: Vec<String>,
    binary: bool,
    recipients: Vec<Recipient>,
    domains: HashMap<String, u32>,
    external: u64,
    sending: Option<Sending>,
    transfer: &'static str,
    octets: Octets,
    octets_seen: u64,
    check: LineCheck,
    bare_line_end: bool,
    broken: Option<std::io::Error>,
}

/// What follows an event.
pub(super) enum Answer {
    /// Nothing is due.
    Nothing,
    /// This is said.
    Say(Said),
    /// This is said, and it is no row of the table.
    Plain(Reply),
}

impl Conversation {
    pub(super) fn new(world: Arc<World>, peer: IpAddr, connection: u64) -> Self {
        let names = Names::new(&world);
        Self {
            world,
            peer,
            connection,
            names,
            tls: None,
            login: None,
            sender: None,
            transaction: None,
        }
    }

    /// The first line.
    pub(super) fn greeting(&self) -> Said {
        if self.world.view().0.behaviour().tls_too_old {
            return reply::TLS_TOO_OLD.said();
        }
        let now = self.world.clock.now();
        let date = now.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
        reply::GREETING.with(&[&self.names.front, &date, &self.names.session])
    }

    /// TLS is on: everything before is forgotten (RFC 3207 §4.2).
    pub(super) fn secured(&mut self, version: &'static str) {
        self.tls = Some(version);
        self.login = None;
        self.sender = None;
        self.transaction = None;
    }

    /// The step of an event, at which a fault may strike: for octets of a body, its first piece.
    pub(super) fn step(&self, event: &Event) -> Option<Step> {
        let first = || {
            self.transaction
                .as_ref()
                .is_some_and(|open| open.octets_seen == 0)
        };
        Some(match event {
            Event::Hello { .. } => Step::Ehlo,
            Event::StartTls => Step::Starttls,
            Event::Auth { .. } | Event::AuthResponse(_) | Event::AuthCancelled => Step::Auth,
            Event::Mail(_) => Step::Mail,
            Event::Rcpt(_) => Step::Rcpt,
            Event::Data => Step::Data,
            Event::Chunk { .. } if first() => Step::Data,
            Event::Body(_) if first() => Step::Body,
            Event::MessageEnd => Step::End,
            Event::Quit => Step::Quit,
            _ => return None,
        })
    }

    /// Whom a fault at an event would strike: the mailbox of the AUTH, or the one that is trying.
    pub(super) fn whom(&self, event: &Event) -> Option<String> {
        match event {
            Event::Auth {
                initial: Some(response),
                ..
            }
            | Event::AuthResponse(response) => {
                response.xoauth2().ok().map(|bearer| bearer.user.clone())
            }
            _ => self.sender.as_ref().map(|sender| sender.mailbox.clone()),
        }
    }

    /// Answers an event.
    pub(super) async fn answer(&mut self, event: Event) -> Answer {
        Answer::Say(match event {
            Event::Hello { extended, .. } => return self.hello(extended),
            Event::StartTls => reply::STARTTLS.said(),
            Event::Auth { mechanism, initial } => self.auth(&mechanism, initial.as_ref()),
            Event::AuthResponse(response) => self.auth_response(&response),
            Event::AuthCancelled => {
                self.login = None;
                reply::AUTH_FAILED.said().because("the client cancelled")
            }
            Event::Mail(mail) => self.mail(&mail),
            Event::Rcpt(rcpt) => self.rcpt(&rcpt),
            Event::Data => {
                self.begin("DATA");
                reply::DATA_GO.said()
            }
            Event::Chunk { octets, .. } => {
                self.begin("BDAT");
                if let Some(open) = &mut self.transaction {
                    open.octets.expect(octets);
                }
                return Answer::Nothing;
            }
            Event::Body(octets) => {
                self.body(&octets);
                return Answer::Nothing;
            }
            Event::ChunkEnd => {
                let seen = self.transaction.as_ref().map_or(0, |open| open.octets_seen);
                reply::CHUNK_TAKEN.with(&[&seen.to_string()])
            }
            Event::MessageEnd => self.end().await,
            Event::Reset => {
                self.drop_transaction();
                reply::RESET.said()
            }
            Event::Noop => reply::NOOP.said(),
            Event::Help => reply::HELP.said(),
            Event::Verify(_) => reply::VERIFY.said(),
            Event::Quit => reply::QUIT.said(),
            Event::Violation(violation) => violated(&violation),
        })
    }

    /// The reply as it is written.
    pub(super) fn written(&self, said: &Said) -> Reply {
        said.reply(
            || self.names.tail(self.world.clock.now()),
            &self.names.store,
        )
    }

    fn hello(&mut self, extended: bool) -> Answer {
        self.drop_transaction();
        if !extended {
            let said = reply::HELO.with(&[&self.names.front, &self.peer.to_string()]);
            return Answer::Say(said);
        }
        let (view, _) = self.world.view();
        let without = &view.behaviour().ehlo_without;
        let size = format!("SIZE {}", limits::MESSAGE_OCTETS_MAX);
        // STARTTLS before TLS, AUTH in its place after: recorded order.
        let middle = if self.tls.is_some() {
            "AUTH LOGIN XOAUTH2"
        } else {
            "STARTTLS"
        };
        let mut text = format!("{} Hello [{}]", self.names.front, self.peer);
        for line in [
            size.as_str(),
            "PIPELINING",
            "DSN",
            "ENHANCEDSTATUSCODES",
            middle,
            "8BITMIME",
            "BINARYMIME",
            "CHUNKING",
            "SMTPUTF8",
        ] {
            let keyword = line.split(' ').next().unwrap_or_default();
            if !without.contains(keyword) {
                text.push('\n');
                text.push_str(line);
            }
        }
        Answer::Plain(Reply::new(250, text))
    }

    fn auth(&mut self, mechanism: &str, initial: Option<&Response>) -> Said {
        if self.tls.is_none() {
            return reply::AUTH_TYPE.said().because("AUTH before STARTTLS");
        }
        match (mechanism, initial) {
            ("XOAUTH2", Some(response)) => self.bearer(response),
            ("XOAUTH2", None) => {
                self.login = Some(Login::Bearer);
                reply::AUTH_CHALLENGE.said()
            }
            ("LOGIN", None) => {
                self.login = Some(Login::User);
                reply::AUTH_USER.said()
            }
            ("LOGIN", Some(_)) => {
                self.login = Some(Login::Password);
                reply::AUTH_PASSWORD.said()
            }
            _ => reply::AUTH_TYPE.said(),
        }
    }

    fn auth_response(&mut self, response: &Response) -> Said {
        match self.login.take() {
            Some(Login::User) => {
                self.login = Some(Login::Password);
                reply::AUTH_PASSWORD.said()
            }
            Some(Login::Password) => match self.world.view().0.behaviour().basic_auth {
                BasicAuth::Disabled => reply::BASIC_DISABLED.said(),
                BasicAuth::Retired => reply::BASIC_RETIRED.said(),
                BasicAuth::Incorrect => reply::BASIC_INCORRECT.said(),
                BasicAuth::SecurityDefaults => reply::BASIC_SECURITY_DEFAULTS.said(),
                BasicAuth::Policy => reply::BASIC_POLICY.said(),
            },
            Some(Login::Bearer) | None => self.bearer(response),
        }
    }

    fn bearer(&mut self, response: &Response) -> Said {
        let Ok(bearer) = response.xoauth2() else {
            return reply::AUTH_FAILED
                .said()
                .because("the response is not in the form of XOAUTH2");
        };
        let (view, now) = self.world.view();
        match auth::judge_auth(&view, self.world.key(), &bearer.user, &bearer.token, now) {
            Ok(sender) => {
                self.sender = Some(sender);
                reply::AUTH_GIVEN.said()
            }
            Err(refusal) => refusal,
        }
    }

    fn mail(&mut self, mail: &MailCommand) -> Said {
        let Some(sender) = &self.sender else {
            return reply::NOT_AUTHENTICATED.said();
        };
        if mail
            .size_octets
            .is_some_and(|octets| octets > limits::MESSAGE_OCTETS_MAX)
        {
            return reply::TOO_LARGE.said();
        }
        let (view, now) = self.world.view();
        let choices = view.behaviour();
        if choices.limits == Limits::On
            && choices.message_rate == MessageRate::Refuse
            && self.world.quotas.message(&sender.mailbox, now).is_err()
        {
            return reply::RATE.said();
        }
        let mut parameters = Vec::new();
        if let Some(octets) = mail.size_octets {
            parameters.push(format!("SIZE={octets}"));
        }
        if let Some(body) = mail.body {
            parameters.push(format!("BODY={}", body.keyword()));
        }
        if mail.smtputf8 {
            parameters.push("SMTPUTF8".into());
        }
        if let Some(ret) = mail.ret {
            parameters.push(format!("RET={ret}"));
        }
        if let Some(id) = &mail.envelope_id {
            parameters.push(format!("ENVID={}", id.to_xtext()));
        }
        let mut octets = Octets::default();
        octets.expect(mail.size_octets.unwrap_or_default());
        self.transaction = Some(Transaction {
            reverse_path: mail.reverse_path.as_str().to_owned(),
            parameters,
            binary: mail.body == Some(Body::Binary),
            recipients: Vec::new(),
            domains: HashMap::new(),
            external: 0,
            sending: None,
            transfer: "DATA",
            octets,
            octets_seen: 0,
            check: LineCheck::default(),
            bare_line_end: false,
            broken: None,
        });
        reply::MAIL_TAKEN.said()
    }

    fn rcpt(&mut self, rcpt: &RcptCommand) -> Said {
        let (Some(sender), Some(open)) = (&self.sender, &mut self.transaction) else {
            return reply::MAIL_MISSING.said();
        };
        let (view, _) = self.world.view();
        let limited = view.behaviour().limits == Limits::On;
        let count = u32::try_from(open.recipients.len()).unwrap_or(u32::MAX);
        if limited && count >= view.recipient_limit(&sender.mailbox) {
            return reply::TOO_MANY_RECIPIENTS.said();
        }
        if let ForwardPath::Address(address) = &rcpt.recipient.path {
            let domain = address.domain().to_lowercase();
            let external = !view.directory().all_domains().any(|own| own == domain);
            let of_domain = open.domains.entry(domain).or_default();
            if limited && *of_domain >= limits::RECIPIENTS_PER_DOMAIN {
                return reply::TOO_MANY_OF_DOMAIN.said();
            }
            *of_domain += 1;
            open.external += u64::from(external);
        }
        let mut parameters = Vec::new();
        if let Some(notify) = rcpt.recipient.notify {
            parameters.push(format!("NOTIFY={notify}"));
        }
        if let Some(original) = &rcpt.recipient.original {
            parameters.push(format!("ORCPT={}", original.to_xtext()));
        }
        let address = rcpt.recipient.path.as_str().to_owned();
        open.recipients.push(Recipient {
            address,
            parameters,
        });
        reply::RCPT_TAKEN.said()
    }

    fn begin(&mut self, transfer: &'static str) {
        let (Some(sender), Some(open)) = (&self.sender, &mut self.transaction) else {
            return;
        };
        open.transfer = transfer;
        if open.sending.is_none() {
            open.sending = Some(self.world.quotas.begin(&sender.mailbox));
        }
    }

    fn body(&mut self, octets: &[u8]) {
        let Some(open) = &mut self.transaction else {
            return;
        };
        open.octets_seen += octets.len() as u64;
        if !open.binary && !open.bare_line_end {
            open.bare_line_end = open.check.check(octets).is_err();
        }
        // What will be refused for its length is not kept.
        if open.octets_seen <= limits::MESSAGE_OCTETS_MAX && open.broken.is_none() {
            open.broken = open.octets.add(octets, self.world.mailroom.folder()).err();
        }
    }

    async fn end(&mut self) -> Said {
        let (Some(sender), Some(mut open)) = (self.sender.clone(), self.transaction.take()) else {
            return reply::MAIL_MISSING.said();
        };
        // Asked for last of all: the octets must be gone whatever the answer is.
        let said = match self.judge(&sender, &mut open).await {
            Ok(message) => self.keep(message, &mut open),
            Err(refusal) => refusal,
        };
        open.octets.discard();
        said
    }

    async fn judge(&self, sender: &Sender, open: &mut Transaction) -> Result<Message, Said> {
        let failed = |error: &std::io::Error| reply::KEEP_FAILED.said().because(error.to_string());
        if let Some(error) = &open.broken {
            return Err(failed(error));
        }
        let (view, now) = self.world.view();
        let limited = view.behaviour().limits == Limits::On;
        let head = open.octets.head().map_err(|error| failed(&error))?;
        let heading = message::read_heading(&head);
        let arrival = Arrival {
            octets: open.octets_seen,
            bare_line_end: open.bare_line_end || (!open.binary && open.check.finish().is_err()),
            crowded: limited && open.sending.as_ref().is_some_and(|sending| sending.crowded),
        };
        message::judge_message(&view, sender, heading.as_ref(), arrival, &self.names.store)?;
        if limited {
            let tenant = view.directory();
            let external_max = limits::external_recipients_per_day(tenant.licences, tenant.trial);
            let all = open.recipients.len() as u64;
            let counted = self.world.quotas.recipients(
                &sender.mailbox,
                all,
                open.external,
                external_max,
                now,
            );
            match counted {
                Ok(()) => {}
                Err(UsedUp::Recipients) => return Err(reply::DAILY_RECIPIENTS.said()),
                Err(UsedUp::External) => return Err(reply::EXTERNAL_RECIPIENTS.said()),
            }
            if view.behaviour().message_rate == MessageRate::Delay {
                while let Err(wait) = self
                    .world
                    .quotas
                    .message(&sender.mailbox, self.world.clock.now())
                {
                    self.world.clock.sleep(wait).await;
                }
            }
        }
        let heading = heading.unwrap_or_default();
        let message_id = heading
            .message_id
            .unwrap_or_else(|| format!("<{}@{}>", self.world.chance.guid(), self.names.store));
        let copies = view.mailbox(&sender.mailbox).is_some_and(|found| {
            found
                .mailbox
                .message_copy_for_smtp_client_submission_enabled
        });
        Ok(Message {
            id: 0,
            arrived: now,
            mailbox: sender.mailbox.clone(),
            client_id: sender.client_id.to_string(),
            reverse_path: std::mem::take(&mut open.reverse_path),
            parameters: std::mem::take(&mut open.parameters),
            recipients: std::mem::take(&mut open.recipients),
            from: heading.from,
            subject: heading.subject,
            message_id,
            octets: open.octets_seen,
            transfer: open.transfer.into(),
            tls: self.tls.unwrap_or_default().into(),
            sent_items_copy: copies,
            connection: self.connection,
        })
    }

    fn keep(&self, message: Message, open: &mut Transaction) -> Said {
        let said = reply::MESSAGE_TAKEN.with(&[&message.message_id]);
        match self
            .world
            .mailroom
            .keep(message, std::mem::take(&mut open.octets))
        {
            Ok(_) => said,
            Err(error) => reply::KEEP_FAILED.said().because(error.to_string()),
        }
    }

    fn drop_transaction(&mut self) {
        if let Some(open) = self.transaction.take() {
            open.octets.discard();
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.drop_transaction();
    }
}

impl Names {
    fn new(world: &World) -> Self {
        let number = |max: u64| world.chance.next() % max;
        let front = format!("AM{}PR02CA{:04}", number(10), number(10_000));
        Self {
            front_inside: format!("{front}.eurprd02.prod.outlook.com"),
            front: format!("{front}.outlook.office365.com"),
            store: format!(
                "AS{}PR02MB{:04}.eurprd02.prod.outlook.com",
                number(10),
                number(10_000)
            ),
            session: format!(
                "{:016X}",
                0x08DC_0000_0000_0000 | (world.chance.next() >> 16)
            ),
        }
    }

    fn tail(&self, now: Timestamp) -> String {
        let time = now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
        format!("{} {time} {}", self.front_inside, self.session)
    }
}

fn violated(violation: &Violation) -> Said {
    match violation {
        Violation::Command(CommandError::Unknown(word)) => reply::COMMAND_UNKNOWN.with(&[word]),
        Violation::Command(CommandError::Address(_) | CommandError::NeedsSmtputf8) => {
            reply::ADDRESS.said()
        }
        Violation::Command(error) => reply::ARGUMENTS.said().because(error.to_string()),
        Violation::LineTooLong => reply::LINE_TOO_LONG.said(),
        Violation::BareLineEnd => reply::LINE_END.said(),
        Violation::BareLineEndInBody { .. } => reply::BARE_LINE_FEED.said(),
        Violation::PlaintextAfterStartTls => reply::INJECTED.said(),
        Violation::AlreadySecure => reply::TLS_AGAIN.said(),
        Violation::HelloMissing => reply::HELLO_MISSING.said(),
        Violation::AuthNotNow => reply::AUTH_AGAIN.said(),
        Violation::NestedMail => reply::MAIL_AGAIN.said(),
        Violation::MailMissing => reply::MAIL_MISSING.said(),
        Violation::RecipientMissing => reply::RCPT_MISSING.said(),
        Violation::DataAfterChunk | Violation::ChunkAfterFailure => reply::CHUNK_ORDER.said(),
    }
}

/// An event as the journal shows it, secrets cut; none for what nobody asked.
pub(super) fn shown(event: &Event) -> Option<String> {
    Some(match event {
        Event::Hello { extended, name } => {
            format!(
                "{} {}",
                if *extended { "EHLO" } else { "HELO" },
                name.as_str()
            )
        }
        Event::StartTls => "STARTTLS".into(),
        Event::Auth {
            mechanism,
            initial: None,
        } => format!("AUTH {mechanism}"),
        Event::Auth {
            mechanism,
            initial: Some(response),
        } => {
            format!("AUTH {mechanism} {}", response_shown(response))
        }
        Event::AuthResponse(response) => response_shown(response),
        Event::AuthCancelled => "*".into(),
        Event::Mail(mail) => format!("MAIL FROM:<{}>", mail.reverse_path.as_str()),
        Event::Rcpt(rcpt) => format!("RCPT TO:<{}>", rcpt.recipient.path.as_str()),
        Event::Data => "DATA".into(),
        Event::ChunkEnd => "BDAT".into(),
        Event::MessageEnd => "(end of message)".into(),
        Event::Reset => "RSET".into(),
        Event::Noop => "NOOP".into(),
        Event::Help => "HELP".into(),
        Event::Verify(_) => "VRFY".into(),
        Event::Quit => "QUIT".into(),
        Event::Violation(violation) => format!("({violation:?})"),
        Event::Chunk { .. } | Event::Body(_) => return None,
    })
}

fn response_shown(response: &Response) -> String {
    match response.xoauth2() {
        Ok(bearer) => format!(
            "user={} [token of {} octets]",
            bearer.user,
            bearer.token.len()
        ),
        Err(_) => format!("[{} octets]", response.octets()),
    }
}
