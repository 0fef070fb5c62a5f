//! What is said in one session: pure. Octets go in, steps and replies come out; whatever takes
//! time (a password, a body, a handshake) is a [`Step`] that the shell does and reports back.

mod receive;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sendas_config::{LineEndings, ListenTls};
use sendas_envelope::{Envelope, Recipient};
use sendas_smtp::data;
use sendas_smtp::sasl::Response;
use sendas_smtp::server::{Event, Session, Violation};
use sendas_smtp::{MailCommand, Reply};
use zeroize::Zeroizing;

use super::auth::{self, Exchange, Turn};
use super::body::Gauge;
use super::refuse;
use crate::limits::{
    ERRORS_MAX, ERRORS_STRESS_MAX, JUNK_MAX, JUNK_STRESS_MAX, LOGINS_MAX, MESSAGES_MAX,
};
use crate::policy::{Client, Policy, Refusal, Sender};

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address; behind a proxy, the one that the proxy tells.
    pub address: IpAddr,
    /// When TLS begins on this listener.
    pub tls: ListenTls,
    /// It came through the socket in the file system.
    pub is_local: bool,
}

impl Peer {
    /// The client that it is without a login.
    fn client<'p>(&self, policy: &'p Policy) -> Option<&'p Arc<Client>> {
        if self.is_local {
            Some(policy.local())
        } else {
            policy.by_network(self.address)
        }
    }
}

/// Whether messages can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Yes.
    Ready,
    /// The relay is about to end.
    Draining,
    /// The store takes nothing any more.
    Failed,
    /// The store's disk has no room for another message.
    Full,
}

/// How much is borne of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// The usual.
    Normal,
    /// Connections are scarce.
    Stressed,
}

/// A transaction whose message begins to arrive.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// Who hands it in.
    pub client: Arc<Client>,
    /// The user name it logged in with.
    pub login: Option<String>,
    /// What MAIL decided.
    pub sender: Sender,
    /// Paths and options; what the body holds is known at its end.
    pub envelope: Envelope,
    /// What the client calls itself.
    pub greeting: String,
    /// The protocol's word in Received.
    pub protocol: &'static str,
}

/// What the shell does next.
#[derive(Debug)]
pub enum Step {
    /// Write the output, then read more.
    Read,
    /// Compare the password, then call [`Conversation::checked`].
    Check {
        /// The user name.
        user: String,
        /// The password.
        password: Zeroizing<String>,
        /// Whose login it is; none: nobody's, and the comparison is for show.
        client: Option<Arc<Client>>,
    },
    /// Count a message of a client, then call [`Conversation::metered`].
    Meter {
        /// Whose message.
        client: Arc<Client>,
        /// How many it may hand in a minute.
        per_minute: u32,
    },
    /// A message begins.
    Begin(Box<Submitted>),
    /// Octets of it.
    Octets(Bytes),
    /// It has arrived whole: store it, then call [`Conversation::stored`].
    End,
    /// It will not be finished: forget it.
    Abandon,
    /// Write the output, shake hands, then call [`Conversation::secured`].
    Handshake,
    /// Write the output, then close.
    Close,
}

/// One session.
#[derive(Debug)]
pub struct Conversation {
    smtp: Session,
    policy: Arc<Policy>,
    hostname: Arc<str>,
    peer: Peer,
    health: Health,
    patience: Patience,
    greeting: String,
    client: Option<Arc<Client>>,
    login: Option<String>,
    exchange: Option<Exchange>,
    /// A MAIL that waits for its meter.
    pending: Option<MailCommand>,
    open: Option<Open>,
    /// The shell has a message in its hands.
    is_receiving: bool,
    is_closing: bool,
    errors: u32,
    junk: u32,
    refused_logins: u32,
    messages: u32,
}

/// What is open between MAIL and the end of its message.
#[derive(Debug)]
struct Open {
    client: Arc<Client>,
    sender: Sender,
    mail: MailCommand,
    recipients: Vec<Recipient>,
    gauge: Gauge,
    is_too_large: bool,
}

impl Conversation {
    /// A session; the greeting is in its output. Ends at once for a peer that can be no client.
    pub fn new(policy: Arc<Policy>, hostname: Arc<str>, peer: Peer, health: Health) -> Self {
        let client = peer.client(&policy).cloned();
        let is_secure = peer.tls == ListenTls::Implicit;
        let endings = endings(client.as_deref());
        let mut conversation = Self {
            smtp: Session::new(endings, is_secure),
            policy,
            hostname,
            peer,
            health,
            patience: Patience::Normal,
            greeting: String::new(),
            client,
            login: None,
            exchange: None,
            pending: None,
            open: None,
            is_receiving: false,
            is_closing: false,
            errors: 0,
            junk: 0,
            refused_logins: 0,
            messages: 0,
        };
        let greeting = conversation.greeting();
        conversation.is_closing = greeting.is_permanent();
        conversation.smtp.reply(&greeting);
        conversation
    }

    /// Where the shell appends what it has read.
    pub const fn input(&mut self) -> &mut BytesMut {
        self.smtp.input()
    }

    /// What the shell has to write, and then clear.
    pub const fn output(&mut self) -> &mut BytesMut {
        self.smtp.output()
    }

    /// Whether octets of a body are expected.
    pub const fn is_in_body(&self) -> bool {
        self.smtp.is_in_body()
    }

    /// The client, once known.
    pub const fn client(&self) -> Option<&Arc<Client>> {
        self.client.as_ref()
    }

    /// Messages accepted so far.
    pub const fn messages(&self) -> u32 {
        self.messages
    }

    /// Sets what is told about the store, and how patient the session is.
    pub const fn set_condition(&mut self, health: Health, patience: Patience) {
        self.health = health;
        self.patience = patience;
    }

    /// Says goodbye without being asked: `421`, between commands only. Says whether it did.
    pub fn dismiss(&mut self, text: &str) -> bool {
        if self.is_receiving || self.is_in_body() || self.is_closing {
            return false;
        }
        Reply::new(421, text).write(self.smtp.output());
        self.is_closing = true;
        true
    }

    /// TLS is on: everything that was said before is forgotten.
    pub fn secured(&mut self) {
        self.smtp.secured();
        self.greeting.clear();
        self.exchange = None;
        self.open = None;
        self.login = None;
        self.client = self.peer.client(&self.policy).cloned();
    }

    /// The password was right for `client`, or wrong.
    pub fn checked(&mut self, user: &str, client: Option<Arc<Client>>) {
        if let Some(client) = client {
            self.smtp.set_line_endings(endings(Some(&client)));
            self.client = Some(client);
            self.login = Some(user.to_owned());
            self.smtp.reply(&Reply::new(235, "2.7.0 Welcome"));
            return;
        }
        self.refused_logins += 1;
        self.errors += 1;
        let reply = if self.refused_logins >= LOGINS_MAX {
            Reply::new(421, "4.7.0 Too many refused logins")
        } else {
            Reply::new(535, "5.7.8 User name or password is wrong")
        };
        self.smtp.reply(&reply);
    }

    /// The message that ended is stored, or is not.
    pub fn stored(&mut self, reply: &Reply) {
        self.is_receiving = false;
        self.open = None;
        if reply.is_positive() {
            self.messages += 1;
            self.junk = 0;
            self.errors = 0;
        } else if reply.is_permanent() {
            self.errors += 1;
        }
        self.smtp.reply(reply);
    }

    /// Whether the client's share of messages a minute has room for the one that MAIL begins.
    ///
    /// # Panics
    /// When no [`Step::Meter`] was given.
    pub fn metered(&mut self, has_room: bool) {
        let mail = self.pending.take().expect("a MAIL waits for its meter");
        let reply = if has_room {
            self.mail(mail)
        } else {
            Refusal::TooFast.reply()
        };
        self.answer(&reply);
    }

    /// The next step.
    pub fn step(&mut self) -> Step {
        loop {
            if self.is_closing || self.smtp.is_closed() {
                if std::mem::take(&mut self.is_receiving) {
                    return Step::Abandon;
                }
                return Step::Close;
            }
            if self.smtp.wants_handshake() {
                return Step::Handshake;
            }
            let Some(event) = self.smtp.next_event() else {
                return Step::Read;
            };
            if let Some(step) = self.event(event) {
                return step;
            }
        }
    }

    fn event(&mut self, event: Event) -> Option<Step> {
        match event {
            Event::Hello { extended, name } => {
                let step = self.end_transaction();
                if self.speaks_early() {
                    return step;
                }
                name.as_str().clone_into(&mut self.greeting);
                if !self.is_tedious() {
                    let reply = self.hello(extended);
                    self.smtp.reply(&reply);
                }
                step
            }
            Event::StartTls => {
                if self.peer.tls == ListenTls::Starttls {
                    self.smtp.reply(&Reply::new(220, "2.0.0 Go ahead"));
                } else {
                    self.error(&Reply::new(502, "5.5.1 No TLS on this listener"));
                }
                None
            }
            Event::Auth { mechanism, initial } => self.auth(&mechanism, initial.as_ref()),
            Event::AuthResponse(response) => {
                if let Some(exchange) = self.exchange.take() {
                    return self.turn(auth::go_on(exchange, &response));
                }
                self.error(&refuse::violation(&Violation::AuthNotNow));
                None
            }
            Event::AuthCancelled => {
                self.exchange = None;
                self.error(&Reply::new(501, "5.7.0 Cancelled"));
                None
            }
            Event::Mail(mail) => {
                if let Some(client) = self.client.as_ref()
                    && let Some(per_minute) = client.messages_per_minute
                {
                    let client = Arc::clone(client);
                    self.pending = Some(mail);
                    return Some(Step::Meter { client, per_minute });
                }
                let reply = self.mail(mail);
                self.answer(&reply);
                None
            }
            Event::Rcpt(rcpt) => {
                let reply = self.rcpt(rcpt.recipient);
                self.answer(&reply);
                None
            }
            Event::Data => self.data(),
            Event::Chunk { octets, .. } => self.chunk(octets),
            Event::Body(octets) => self.octets(octets),
            Event::ChunkEnd => {
                let reply = self.chunk_end();
                self.answer(&reply);
                None
            }
            Event::MessageEnd => self.message_end(),
            Event::Reset => {
                let step = self.end_transaction();
                if !self.is_tedious() {
                    self.smtp.reply(&Reply::new(250, "2.0.0 Forgotten"));
                }
                step
            }
            Event::Noop | Event::Help | Event::Verify(_) => {
                if !self.is_tedious() {
                    let reply = match event {
                        Event::Noop => Reply::new(250, "2.0.0 OK"),
                        Event::Help => Reply::new(214, "2.0.0 See RFC 5321 and RFC 6409"),
                        _ => Reply::new(252, "2.1.5 Send to it and see"),
                    };
                    self.smtp.reply(&reply);
                }
                None
            }
            Event::Quit => {
                self.smtp.reply(&Reply::new(221, "2.0.0 Goodbye"));
                None
            }
            Event::Violation(violation) => self.violation(&violation),
        }
    }

    fn greeting(&self) -> Reply {
        let is_known = self.client.is_some()
            || self.policy.offers_login(self.peer.address, true)
            || self.policy.offers_login(self.peer.address, false);
        match self.health {
            Health::Draining => Reply::new(421, "4.3.2 The relay is about to end; come again"),
            Health::Failed => Reply::new(421, "4.3.0 The relay cannot keep messages now"),
            Health::Ready | Health::Full if !is_known => Refusal::Unknown.reply(),
            Health::Ready | Health::Full => {
                Reply::new(220, format!("{} ESMTP sendas", self.hostname))
            }
        }
    }

    fn hello(&self, extended: bool) -> Reply {
        if !extended {
            return Reply::new(250, &*self.hostname);
        }
        let max = match &self.client {
            Some(client) => self.policy.octets_max(client),
            None => self.policy.message_octets_max,
        };
        let mut text = format!(
            "{}\nPIPELINING\nSIZE {max}\n8BITMIME\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES\nCHUNKING\nBINARYMIME",
            self.hostname
        );
        let is_secure = self.smtp.is_secure();
        if self.peer.tls == ListenTls::Starttls && !is_secure {
            text.push_str("\nSTARTTLS");
        }
        if self.policy.offers_login(self.peer.address, is_secure) {
            text.push_str("\nAUTH PLAIN LOGIN");
        }
        Reply::new(250, text)
    }

    /// A client that talks on where it has to wait for the reply (RFC 2920 §3.1).
    fn speaks_early(&mut self) -> bool {
        // A program that pipes its whole dialogue into `sendmail -bs` waits for nothing.
        if self.smtp.input().is_empty() || self.peer.is_local {
            return false;
        }
        self.smtp
            .reply(&Reply::new(554, "5.5.1 Wait for the reply"));
        self.is_closing = true;
        true
    }

    fn auth(&mut self, mechanism: &str, initial: Option<&Response>) -> Option<Step> {
        let is_secure = self.smtp.is_secure();
        if !self.policy.offers_login(self.peer.address, is_secure) {
            let refusal = if !is_secure && self.policy.offers_login(self.peer.address, true) {
                Reply::new(538, "5.7.11 Say STARTTLS first")
            } else {
                Reply::new(502, "5.5.1 No login from there")
            };
            self.error(&refusal);
            return None;
        }
        self.turn(auth::begin(mechanism, initial))
    }

    fn turn(&mut self, turn: Turn) -> Option<Step> {
        match turn {
            Turn::Ask(exchange, reply) => {
                self.exchange = Some(exchange);
                self.smtp.reply(&reply);
                None
            }
            Turn::Refuse(reply) => {
                self.error(&reply);
                None
            }
            Turn::Check { user, password } => {
                let is_secure = self.smtp.is_secure();
                let client = self.policy.by_login(self.peer.address, &user, is_secure);
                Some(Step::Check {
                    client: client.cloned(),
                    user,
                    password,
                })
            }
        }
    }

    fn mail(&mut self, mail: MailCommand) -> Reply {
        match self.health {
            Health::Ready => {}
            Health::Draining => return Reply::new(421, "4.3.2 The relay is about to end"),
            Health::Failed => return Reply::new(421, "4.3.0 The relay cannot keep messages now"),
            Health::Full => {
                return Reply::new(452, "4.3.1 No room to keep a message; try later");
            }
        }
        if self.messages >= MESSAGES_MAX {
            return Reply::new(421, "4.7.0 Enough for one session");
        }
        let Some(client) = &self.client else {
            let is_secure = self.smtp.is_secure();
            let refusal = if self.policy.offers_login(self.peer.address, is_secure) {
                Refusal::LoginNeeded
            } else if self.policy.offers_login(self.peer.address, true) {
                Refusal::TlsNeeded
            } else {
                Refusal::Unknown
            };
            return refusal.reply();
        };
        let max = self.policy.octets_max(client);
        if mail.size_octets.is_some_and(|octets| octets > max) {
            return Refusal::TooLarge(max).reply();
        }
        match self.policy.sender(client, &mail.reverse_path) {
            Ok(sender) => {
                self.open = Some(Open {
                    client: Arc::clone(client),
                    sender,
                    mail,
                    recipients: Vec::new(),
                    gauge: Gauge::new(max),
                    is_too_large: false,
                });
                Reply::new(250, "2.1.0 Sender OK")
            }
            Err(refusal) => refusal.reply(),
        }
    }

    fn rcpt(&mut self, recipient: Recipient) -> Reply {
        let Some(open) = &mut self.open else {
            return refuse::violation(&Violation::MailMissing);
        };
        let accepted = open.recipients.len();
        match self
            .policy
            .recipient(&open.client, &recipient.path, accepted)
        {
            Ok(()) => {
                open.recipients.push(recipient);
                Reply::new(250, "2.1.5 Recipient OK")
            }
            Err(refusal) => refusal.reply(),
        }
    }

    /// Nothing of an open transaction is kept.
    fn end_transaction(&mut self) -> Option<Step> {
        self.open = None;
        std::mem::take(&mut self.is_receiving).then_some(Step::Abandon)
    }

    fn violation(&mut self, violation: &Violation) -> Option<Step> {
        if refuse::is_foreign(violation) {
            self.smtp.reply(&Reply::new(421, "4.7.0 This is SMTP"));
            return None;
        }
        self.answer(&refuse::violation(violation));
        match violation {
            Violation::BareLineEndInBody { .. } => self.end_transaction(),
            _ => None,
        }
    }

    /// Replies, counting what is wrong.
    fn answer(&mut self, reply: &Reply) {
        if reply.is_permanent() {
            self.error(reply);
        } else {
            self.smtp.reply(reply);
        }
    }

    fn error(&mut self, reply: &Reply) {
        self.errors += 1;
        let max = match self.patience {
            Patience::Normal => ERRORS_MAX,
            Patience::Stressed => ERRORS_STRESS_MAX,
        };
        self.smtp.reply(reply);
        if self.errors >= max && !self.smtp.is_closed() {
            Reply::new(421, "4.7.0 Too many errors").write(self.smtp.output());
            self.is_closing = true;
        }
    }

    /// Whether the client only passes the time; the reply has been given then.
    fn is_tedious(&mut self) -> bool {
        self.junk += 1;
        let max = match self.patience {
            Patience::Normal => JUNK_MAX,
            Patience::Stressed => JUNK_STRESS_MAX,
        };
        if self.junk > max {
            self.smtp
                .reply(&Reply::new(421, "4.7.0 Come again with a message"));
            return true;
        }
        false
    }
}

const fn endings(client: Option<&Client>) -> data::LineEndings {
    match client {
        Some(Client {
            line_endings: LineEndings::Normalize,
            ..
        }) => data::LineEndings::Normalize,
        _ => data::LineEndings::Strict,
    }
}
