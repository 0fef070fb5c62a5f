//! A client that opens a session and sends what the file tells it to.
//!
//! Events: `!tls` (the handshake is done), `!send FROM TO[,TO…] TEXT` (one message),
//! `!outcome TEXT` (what has come of the opening or of the last message).

use bytes::BytesMut;
use sendas_envelope::{Address, Envelope, ForwardPath, Mailbox, Recipient, ReversePath};
use sendas_smtp::client::{
    Action, AuthStep, ExpectAuth, ExpectEhlo, ExpectGreeting, ExpectSecureEhlo, ExpectStartTls,
    Framing, Handshake, OpeningError, Order, Report, Transaction,
};
use sendas_smtp::data::DotWriter;
use sendas_smtp::sasl::Mechanism;
use sendas_smtp::{Capabilities, ClientName, Reply, ReplyReader};
use sendas_testkit::dialogue::Machine;

const MAILBOX: &str = "me@a.example";
const TOKEN: &str = "good";

/// Where the client is.
enum State {
    Greeting(ExpectGreeting),
    Ehlo(ExpectEhlo),
    StartTls(ExpectStartTls),
    Handshake(Handshake),
    SecureEhlo(ExpectSecureEhlo),
    Auth(ExpectAuth),
    Ready(Capabilities),
    Sending(Capabilities, Sending),
    Closed,
}

/// One message on its way: the transaction is replayed from the replies so far, since it borrows the
/// envelope that lies beside it.
struct Sending {
    envelope: Envelope,
    body: Vec<u8>,
    order: Order,
    replies: Vec<Reply>,
    written: usize,
}

/// The client and what has come of it.
pub(crate) struct Host {
    state: State,
    input: BytesMut,
    replies: ReplyReader,
    output: BytesMut,
    order: Order,
    outcome: String,
}

impl Default for Host {
    fn default() -> Self {
        let name = ClientName::new("client.example").unwrap();
        Self {
            state: State::Greeting(ExpectGreeting::new(name)),
            input: BytesMut::new(),
            replies: ReplyReader::default(),
            output: BytesMut::new(),
            order: Order::Clean,
            outcome: String::new(),
        }
    }
}

impl Host {
    fn fail(&mut self, error: &OpeningError) -> State {
        self.outcome = format!("{:?}: {error}", error.stage);
        State::Closed
    }

    fn take(&mut self, reply: Reply) {
        let out = &mut self.output;
        let next = match std::mem::replace(&mut self.state, State::Closed) {
            State::Greeting(state) => state.reply(&reply, out).map(State::Ehlo),
            State::Ehlo(state) => state.reply(&reply, out).map(State::StartTls),
            State::StartTls(state) => state.reply(&reply, self.input.len()).map(State::Handshake),
            State::SecureEhlo(state) => state.reply(&reply).and_then(|secured| {
                let mailbox = MAILBOX.parse::<Mailbox>().unwrap();
                let response = Mechanism::Xoauth2.respond(&mailbox, TOKEN).unwrap();
                secured
                    .authenticate(Mechanism::Xoauth2, response, out)
                    .map(State::Auth)
            }),
            State::Auth(state) => Ok(match state.reply(reply, out) {
                AuthStep::Continue(state) => State::Auth(state),
                AuthStep::Ready(capabilities) => {
                    "ready".clone_into(&mut self.outcome);
                    State::Ready(capabilities)
                }
                AuthStep::Refused { reply, report } => {
                    self.outcome = format!("refused: {reply}; report: {report:?}");
                    State::Closed
                }
            }),
            State::Sending(capabilities, mut sending) => {
                sending.replies.push(reply);
                Ok(self.go_on(capabilities, sending))
            }
            other @ (State::Handshake(_) | State::Ready(_) | State::Closed) => {
                self.outcome = format!("an unexpected reply: {reply}");
                Ok(other)
            }
        };
        self.state = next.unwrap_or_else(|error| self.fail(&error));
    }

    /// Writes what may be written now.
    fn go_on(&mut self, capabilities: Capabilities, mut sending: Sending) -> State {
        let octets = sending.body.len() as u64;
        let made = Transaction::new(
            &sending.envelope,
            octets,
            &capabilities,
            true,
            sending.order,
        );
        let mut transaction = match made {
            Ok(transaction) => transaction,
            Err(error) => {
                self.outcome = error.to_string();
                return State::Ready(capabilities);
            }
        };
        let mut out = BytesMut::new();
        let mut replies = sending.replies.iter().cloned();
        loop {
            match transaction.next(&mut out) {
                Action::Receive => match replies.next() {
                    Some(reply) => assert!(transaction.reply(reply), "nobody asked for it"),
                    None => break,
                },
                Action::SendBody => {
                    frame(transaction.framing(), &sending.body, &mut out);
                    transaction.body_sent();
                }
                Action::Done => {
                    let dirty = transaction.is_dirty();
                    self.order = if dirty {
                        Order::AfterReset
                    } else {
                        Order::Clean
                    };
                    self.outcome = told(&transaction.into_report());
                    self.output.extend_from_slice(&out[sending.written..]);
                    return State::Ready(capabilities);
                }
            }
        }
        self.output.extend_from_slice(&out[sending.written..]);
        sending.written = out.len();
        State::Sending(capabilities, sending)
    }

    fn send(&mut self, arguments: &str) -> Result<(), String> {
        let mut words = arguments.splitn(3, ' ');
        let (Some(from), Some(to), Some(text)) = (words.next(), words.next(), words.next()) else {
            return Err("FROM, TO and TEXT are needed".to_owned());
        };
        if !matches!(self.state, State::Ready(_)) {
            return Err("the session is not ready".to_owned());
        }
        let to = to.split(',').map(|to| {
            let address: Address = to.parse().unwrap();
            Recipient::new(ForwardPath::from(address))
        });
        let from = ReversePath::parse(if from == "<>" { "" } else { from }).unwrap();
        let sending = Sending {
            envelope: Envelope::new(from, to.collect()).unwrap(),
            body: text.replace("\\r\\n", "\r\n").into_bytes(),
            order: self.order,
            replies: Vec::new(),
            written: 0,
        };
        if let State::Ready(capabilities) = std::mem::replace(&mut self.state, State::Closed) {
            self.state = self.go_on(capabilities, sending);
        }
        Ok(())
    }
}

fn frame(framing: Framing, body: &[u8], out: &mut BytesMut) {
    match framing {
        Framing::Chunk => out.extend_from_slice(body),
        Framing::Data => {
            let mut writer = DotWriter::default();
            writer.write(body, out);
            writer.finish(out);
        }
    }
}

/// The codes of all replies: MAIL, each RCPT, the end.
fn told(report: &Report) -> String {
    let code = |reply: &Option<Reply>| match reply {
        Some(reply) => reply.code().to_string(),
        None => "none".to_owned(),
    };
    let recipients: Vec<String> = report.recipients.iter().map(code).collect();
    let uncertain = if report.is_uncertain() {
        ", uncertain"
    } else {
        ""
    };
    format!(
        "mail {}, rcpt {}, end {}{uncertain}",
        code(&report.mail),
        recipients.join(" "),
        code(&report.end)
    )
}

impl Machine for Host {
    fn receive(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        while !self.is_closed() && !matches!(self.state, State::Handshake(_)) {
            match self.replies.next(&mut self.input) {
                Ok(None) => return,
                Ok(Some(reply)) => self.take(reply),
                Err(error) => {
                    self.outcome = error.to_string();
                    self.state = State::Closed;
                }
            }
        }
    }

    fn transmit(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output).to_vec()
    }

    fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    fn event(&mut self, word: &str, arguments: &str) -> Result<(), String> {
        match (word, std::mem::replace(&mut self.state, State::Closed)) {
            ("tls", State::Handshake(state)) => {
                self.state = State::SecureEhlo(state.secured(&mut self.output));
                Ok(())
            }
            ("send", state) => {
                self.state = state;
                self.send(arguments)
            }
            ("outcome", state) => {
                self.state = state;
                if self.outcome == arguments {
                    return Ok(());
                }
                Err(format!("the outcome is {:?}", self.outcome))
            }
            (_, state) => {
                self.state = state;
                Err("no such event now".to_owned())
            }
        }
    }
}
