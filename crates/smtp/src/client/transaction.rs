//! One message's commands, written as early as the server's offers allow.
//!
//! With PIPELINING and CHUNKING, MAIL, every RCPT and BDAT with its octets leave in one flight
//! (RFC 2920 §3.1, RFC 3030 §4.2): one round trip a message. A body too large to be sent on
//! trust waits for the replies to MAIL and RCPT. Where CHUNKING is missing, DATA closes the
//! first flight and the body follows its `354`.

use std::collections::VecDeque;

use bytes::BytesMut;
use sendas_envelope::{Body, Envelope, Recipient};

use crate::capability::Capabilities;
use crate::chunk;
use crate::limits::EAGER_BODY_OCTETS_MAX;
use crate::parameter::{MailCommand, RcptCommand};
use crate::reply::Reply;

use super::report::{Framing, Report};

/// What comes before a transaction in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing is open: the first of its session, or the last one ended well and is known to.
    Clean,
    /// RSET goes first: the last one may have been refused half-way, or its replies are still on
    /// their way. Without it, a MAIL refused as nested would leave its RCPT to the old envelope.
    AfterReset,
}

/// What the shell does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write what is in `out`, then hand in a reply.
    Receive,
    /// Write what is in `out`, then the body in [`Transaction::framing`], then call
    /// [`Transaction::body_sent`].
    SendBody,
    /// Every reply is in.
    Done,
}

/// The server lacks what the envelope needs; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// An address beyond ASCII.
    #[error("an address needs SMTPUTF8, which the service does not offer")]
    Smtputf8,
    /// A binary body.
    #[error("the body needs BINARYMIME and CHUNKING, which the service does not offer")]
    Binary,
    /// The message is larger than the service's SIZE.
    #[error("the message has {octets} octets, the service takes {octets_max}")]
    Size {
        /// The message's.
        octets: u64,
        /// The service's.
        octets_max: u64,
    },
}

/// One message's way through a session.
#[derive(Debug)]
pub struct Transaction<'e> {
    recipients: &'e [Recipient],
    mail: MailCommand,
    dsn: bool,
    flight: Flight,
    body_octets: u64,
    step: Step,
    expected: VecDeque<Expected>,
    data: Option<Reply>,
    report: Report,
    quorum: Quorum,
    is_dirty: bool,
    is_cut_short: bool,
}

/// How much leaves before a reply is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    /// One command: no PIPELINING.
    Command,
    /// MAIL with every RCPT, and DATA where that frames the body.
    Envelope,
    /// Everything: the body goes before the replies to MAIL and RCPT are in.
    Whole,
}

/// How many recipients must be accepted for the body to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quorum {
    Any,
    All,
}

/// What is to be written next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Reset,
    Mail,
    Rcpt(usize),
    Content,
    DataReply,
    Body,
    /// RSET behind an envelope that nobody will use.
    Clean,
    Written,
}

/// Whose reply comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Reset,
    Mail,
    Rcpt(usize),
    Data,
    End,
}

impl<'e> Transaction<'e> {
    /// Plans a message of `body_octets` for a server's offers. `chunking` is false where the
    /// server offers CHUNKING and is known to refuse BDAT.
    ///
    /// # Errors
    /// [`Unsupported`]; nothing was written.
    pub fn new(
        envelope: &'e Envelope,
        body_octets: u64,
        offered: &Capabilities,
        chunking: bool,
        order: Order,
    ) -> Result<Self, Unsupported> {
        let chunking = chunking && offered.chunking;
        let smtputf8 = envelope.needs_smtputf8();
        if smtputf8 && !offered.smtputf8 {
            return Err(Unsupported::Smtputf8);
        }
        let smtputf8 = smtputf8 || (envelope.utf8_header && offered.smtputf8);
        if envelope.body == Body::Binary && !(offered.binarymime && chunking) {
            return Err(Unsupported::Binary);
        }
        if let Some(octets_max) = offered.size_octets_max()
            && body_octets > octets_max
        {
            return Err(Unsupported::Size {
                octets: body_octets,
                octets_max,
            });
        }
        let mail = MailCommand {
            reverse_path: envelope.reverse_path.clone(),
            size_octets: offered.size.is_some().then_some(body_octets),
            body: match envelope.body {
                Body::Binary => Some(Body::Binary),
                body => offered.eightbitmime.then_some(body),
            },
            smtputf8,
            ret: envelope.ret.filter(|_| offered.dsn),
            envelope_id: envelope.envelope_id.clone().filter(|_| offered.dsn),
            auth: false,
        };
        let flight = if !offered.pipelining {
            Flight::Command
        } else if chunking && body_octets <= EAGER_BODY_OCTETS_MAX {
            Flight::Whole
        } else {
            Flight::Envelope
        };
        let recipients = envelope.recipients();
        Ok(Self {
            recipients,
            mail,
            dsn: offered.dsn,
            flight,
            body_octets,
            step: if order == Order::AfterReset {
                Step::Reset
            } else {
                Step::Mail
            },
            expected: VecDeque::with_capacity(recipients.len() + 3),
            data: None,
            report: Report {
                mail: None,
                recipients: vec![None; recipients.len()],
                end: None,
                is_body_sent: false,
                framing: if chunking {
                    Framing::Chunk
                } else {
                    Framing::Data
                },
            },
            quorum: Quorum::Any,
            is_dirty: false,
            is_cut_short: false,
        })
    }

    /// The same message for all of its recipients or for none: the body waits for the replies to
    /// RCPT, and one refusal takes the transaction back. For a caller that can tell one outcome only.
    #[must_use]
    pub fn all_or_none(mut self) -> Self {
        self.quorum = Quorum::All;
        if self.flight == Flight::Whole {
            self.flight = Flight::Envelope;
        }
        self
    }

    /// How the body travels.
    pub const fn framing(&self) -> Framing {
        self.report.framing
    }

    /// Whether it may leave before the replies to the one before it are in.
    pub const fn is_eager(&self) -> bool {
        matches!(self.flight, Flight::Whole)
    }

    /// Whether all of it has been written.
    pub const fn is_written(&self) -> bool {
        matches!(self.step, Step::Written)
    }

    /// Whether the session may hold an open transaction after it.
    pub const fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Whether the service still waits for octets of a body that will not come.
    pub const fn is_cut_short(&self) -> bool {
        self.is_cut_short
    }

    /// Where the dialogue is: what the next reply belongs to.
    pub fn stage(&self) -> super::Stage {
        use super::Stage;
        match self.expected.front() {
            Some(Expected::Reset | Expected::Mail) => Stage::Mail,
            Some(Expected::Rcpt(_)) => Stage::Rcpt,
            Some(Expected::End) => Stage::End,
            None if self.report.mail.is_none() => Stage::Mail,
            Some(Expected::Data) | None => Stage::Body,
        }
    }

    /// Appends to `out` whatever may be written now, and says what comes next.
    pub fn next(&mut self, out: &mut BytesMut) -> Action {
        loop {
            if self.flight == Flight::Command && !self.expected.is_empty() {
                return Action::Receive;
            }
            match self.step {
                Step::Reset => self.write_reset(Step::Mail, out),
                Step::Clean => self.write_reset(Step::Written, out),
                Step::Mail => {
                    self.mail.write(out);
                    self.wait(Expected::Mail, Step::Rcpt(0));
                }
                // Without pipelining MAIL's reply is known here.
                Step::Rcpt(_) if self.is_mail_refused() => self.step = Step::Written,
                Step::Rcpt(i) => {
                    RcptCommand::write(&self.recipients[i], self.dsn, out);
                    let more = i + 1 < self.recipients.len();
                    self.wait(
                        Expected::Rcpt(i),
                        if more {
                            Step::Rcpt(i + 1)
                        } else {
                            Step::Content
                        },
                    );
                }
                Step::Content => {
                    if let Some(action) = self.content(out) {
                        return action;
                    }
                }
                Step::DataReply => match &self.data {
                    None => return Action::Receive,
                    Some(reply) if reply.is_intermediate() => self.after_go_ahead(out),
                    Some(reply) => {
                        self.report.end = Some(reply.clone());
                        self.is_dirty = true;
                        self.step = Step::Written;
                    }
                },
                Step::Body => return Action::SendBody,
                Step::Written if self.expected.is_empty() => return Action::Done,
                Step::Written => return Action::Receive,
            }
        }
    }

    /// The last octet of the body, with its dot if it has one, has been written.
    ///
    /// # Panics
    /// When [`Transaction::next`] did not ask for the body.
    pub fn body_sent(&mut self) {
        assert!(
            self.step == Step::Body,
            "the body is sent when it was asked for"
        );
        self.report.is_body_sent = true;
        self.wait(Expected::End, Step::Written);
    }

    /// Takes the next reply; false when none was expected.
    pub fn reply(&mut self, reply: Reply) -> bool {
        match self.expected.pop_front() {
            None => return false,
            Some(Expected::Reset) => {}
            Some(Expected::Mail) => self.report.mail = Some(reply),
            Some(Expected::Rcpt(i)) => self.report.recipients[i] = Some(reply),
            Some(Expected::Data) => self.data = Some(reply),
            Some(Expected::End) => {
                // A refused chunk leaves the transaction open until RSET (RFC 3030 §2); a
                // refused dot does not, and a RSET too many does no harm.
                self.is_dirty = !reply.is_positive();
                self.report.end = Some(reply);
            }
        }
        true
    }

    /// The service has refused the message before its body was whole: the session must be
    /// closed, because it waits for octets that will not come.
    pub fn refused_early(&mut self, reply: Reply) {
        self.report.end = Some(reply);
        self.is_cut_short = true;
        self.end_here();
    }

    /// The service says `421`: it closes, and whatever has no reply yet gets this one.
    pub fn closed(&mut self, reply: &Reply) {
        for missing in self.expected.drain(..) {
            match missing {
                Expected::Mail => self.report.mail = Some(reply.clone()),
                Expected::Rcpt(i) => self.report.recipients[i] = Some(reply.clone()),
                Expected::Reset | Expected::Data | Expected::End => {}
            }
        }
        self.report.end.get_or_insert_with(|| reply.clone());
        self.end_here();
    }

    fn end_here(&mut self) {
        self.is_dirty = true;
        self.expected.clear();
        self.step = Step::Written;
    }

    /// What the service said so far; after [`Action::Done`], everything.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The same, for good.
    pub fn into_report(self) -> Report {
        self.report
    }

    /// What to write between the envelope and the body, or whom to wait for.
    fn content(&mut self, out: &mut BytesMut) -> Option<Action> {
        let goes_on_trust = match self.flight {
            Flight::Command => false,
            Flight::Envelope => self.framing() == Framing::Data && self.quorum == Quorum::Any,
            Flight::Whole => true,
        };
        if !goes_on_trust {
            if !self.expected.is_empty() {
                return Some(Action::Receive);
            }
            if !self.is_wanted() {
                self.step = if self.is_mail_refused() {
                    Step::Written
                } else {
                    Step::Clean
                };
                return None;
            }
        }
        match self.framing() {
            Framing::Chunk => {
                chunk::write_command(self.body_octets, true, out);
                self.step = Step::Body;
            }
            Framing::Data => {
                out.extend_from_slice(b"DATA\r\n");
                self.wait(Expected::Data, Step::DataReply);
            }
        }
        None
    }

    /// `354` came. With nobody to send to, the server gets an empty body (RFC 2920 §3.1).
    fn after_go_ahead(&mut self, out: &mut BytesMut) {
        if self.is_wanted() {
            self.step = Step::Body;
            return;
        }
        out.extend_from_slice(b".\r\n");
        self.wait(Expected::End, Step::Written);
    }

    fn write_reset(&mut self, then: Step, out: &mut BytesMut) {
        out.extend_from_slice(b"RSET\r\n");
        self.wait(Expected::Reset, then);
    }

    fn wait(&mut self, expected: Expected, then: Step) {
        self.expected.push_back(expected);
        self.step = then;
    }

    fn is_mail_refused(&self) -> bool {
        self.report
            .mail
            .as_ref()
            .is_some_and(|reply| !reply.is_positive())
    }

    /// Whether enough recipients have been accepted for the body to go.
    fn is_wanted(&self) -> bool {
        let mut replies = self.report.recipients.iter().flatten();
        match self.quorum {
            Quorum::Any => replies.any(Reply::is_positive),
            Quorum::All => replies.all(Reply::is_positive),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendas_envelope::Address;

    fn envelope(recipients: &[&str]) -> Envelope {
        let from: Address = "a@b.c".parse().unwrap();
        let recipients = recipients
            .iter()
            .map(|r| r.parse::<Address>().unwrap().into())
            .collect();
        Envelope::new(from, recipients).unwrap()
    }

    fn offers(words: &str) -> Capabilities {
        Capabilities::from_reply(&Reply::new(250, format!("x\n{}", words.replace(' ', "\n"))))
    }

    /// Plays a transaction against replies; gives back flights, as text, and the report.
    fn play(
        envelope: &Envelope,
        words: &str,
        octets: u64,
        replies: &[&str],
    ) -> (Vec<String>, Report, bool) {
        let offered = offers(words);
        let mut transaction =
            Transaction::new(envelope, octets, &offered, true, Order::Clean).unwrap();
        let (mut flights, mut out, mut replies) = (Vec::new(), BytesMut::new(), replies.iter());
        loop {
            match transaction.next(&mut out) {
                Action::SendBody => {
                    out.extend_from_slice(b"(body)");
                    transaction.body_sent();
                }
                Action::Receive => {
                    if !out.is_empty() {
                        flights.push(String::from_utf8_lossy(&out).replace("\r\n", "|"));
                        out.clear();
                    }
                    let (code, text) = replies
                        .next()
                        .expect("a reply for each command")
                        .split_at(3);
                    assert!(
                        transaction.reply(Reply::new(code.parse().unwrap(), text.trim_start()))
                    );
                }
                Action::Done => {
                    assert!(replies.next().is_none(), "a reply is left over");
                    let dirty = transaction.is_dirty();
                    return (flights, transaction.into_report(), dirty);
                }
            }
        }
    }

    const ALL: &str = "PIPELINING CHUNKING 8BITMIME SIZE DSN";

    #[test]
    fn one_flight_with_chunking() {
        let (flights, report, dirty) = play(
            &envelope(&["d@e.f", "g@h.i"]),
            ALL,
            6,
            &["250", "250", "550 no", "250 ok"],
        );
        assert_eq!(
            flights,
            [
                "MAIL FROM:<a@b.c> SIZE=6 BODY=8BITMIME|RCPT TO:<d@e.f>|RCPT TO:<g@h.i>|BDAT 6 LAST|(body)"
            ]
        );
        assert!(!dirty && report.end.unwrap().is_positive());
        assert_eq!(report.recipients[1].as_ref().unwrap().code(), 550);
    }

    #[test]
    fn a_large_body_waits_for_its_recipients() {
        let (flights, ..) = play(
            &envelope(&["d@e.f"]),
            ALL,
            EAGER_BODY_OCTETS_MAX + 1,
            &["250", "250", "250"],
        );
        assert_eq!(flights.len(), 2);
        let (flights, report, _) = play(
            &envelope(&["d@e.f"]),
            ALL,
            EAGER_BODY_OCTETS_MAX + 1,
            &["250", "550", "250"],
        );
        assert_eq!(flights[1], "RSET|");
        assert!(!report.is_body_sent);
        let (flights, ..) = play(
            &envelope(&["d@e.f"]),
            ALL,
            EAGER_BODY_OCTETS_MAX + 1,
            &["550", "503"],
        );
        assert_eq!(flights.len(), 1);
    }

    #[test]
    fn two_flights_with_data() {
        let (flights, ..) = play(
            &envelope(&["d@e.f"]),
            "PIPELINING",
            6,
            &["250", "250", "354", "250"],
        );
        assert_eq!(
            flights,
            ["MAIL FROM:<a@b.c>|RCPT TO:<d@e.f>|DATA|", "(body)"]
        );
        let (flights, report, dirty) = play(
            &envelope(&["d@e.f"]),
            "PIPELINING",
            6,
            &["250", "550", "354", "554"],
        );
        assert_eq!(flights[1], ".|");
        assert!(dirty && !report.is_body_sent && !report.is_uncertain());
        let (_, report, dirty) = play(
            &envelope(&["d@e.f"]),
            "PIPELINING",
            6,
            &["250", "550", "503"],
        );
        assert!(dirty && report.end.unwrap().code() == 503);
    }

    #[test]
    fn one_command_at_a_time_without_pipelining() {
        let (flights, ..) = play(
            &envelope(&["d@e.f", "g@h.i"]),
            "CHUNKING",
            6,
            &["250", "250", "250", "250"],
        );
        assert_eq!(
            flights,
            [
                "MAIL FROM:<a@b.c>|",
                "RCPT TO:<d@e.f>|",
                "RCPT TO:<g@h.i>|",
                "BDAT 6 LAST|(body)"
            ]
        );
        let (flights, ..) = play(&envelope(&["d@e.f"]), "", 6, &["530 5.7.57 no"]);
        assert_eq!(flights.len(), 1);
        let (flights, ..) = play(&envelope(&["d@e.f"]), "", 6, &["250", "250", "354", "250"]);
        assert_eq!(flights.len(), 4);
    }

    #[test]
    fn uncertain_only_after_the_last_octet() {
        let envelope = envelope(&["d@e.f"]);
        let offered = offers(ALL);
        let mut transaction =
            Transaction::new(&envelope, 6, &offered, true, Order::AfterReset).unwrap();
        let mut out = BytesMut::new();
        assert_eq!(transaction.next(&mut out), Action::SendBody);
        assert!(out.starts_with(b"RSET\r\nMAIL"));
        assert!(!transaction.report.is_uncertain());
        transaction.body_sent();
        assert!(
            transaction.report.is_uncertain(),
            "no reply at all has come"
        );
        transaction.reply(Reply::new(250, "reset"));
        transaction.reply(Reply::new(250, "mail"));
        transaction.reply(Reply::new(550, "rcpt"));
        assert!(!transaction.report.is_uncertain(), "nobody was accepted");
    }

    #[test]
    fn all_or_none_takes_the_transaction_back() {
        let envelope = envelope(&["d@e.f", "g@e.f"]);
        for words in [ALL, "PIPELINING", ""] {
            for second in [250, 550] {
                let offered = offers(words);
                let mut transaction = Transaction::new(&envelope, 6, &offered, true, Order::Clean)
                    .unwrap()
                    .all_or_none();
                let mut out = BytesMut::new();
                let mut codes = [250, 250, second].into_iter();
                while codes.len() > 0 {
                    assert_eq!(transaction.next(&mut out), Action::Receive, "{words}");
                    transaction.reply(Reply::new(codes.next().unwrap(), "x"));
                }
                transaction.next(&mut out);
                let said = String::from_utf8(out.to_vec()).unwrap();
                let taken_back = said.ends_with("RSET\r\n");
                let goes_on = said.ends_with("LAST\r\n") || said.ends_with("DATA\r\n");
                assert_eq!(
                    (taken_back, goes_on),
                    (second == 550, second == 250),
                    "{said}"
                );
            }
        }
    }

    #[test]
    fn what_the_server_lacks_is_said_before() {
        let wide = envelope(&["ü@e.f"]);
        let refuse = |e: &Envelope, words: &str, octets| {
            Transaction::new(e, octets, &offers(words), true, Order::Clean).unwrap_err()
        };
        assert_eq!(refuse(&wide, ALL, 1), Unsupported::Smtputf8);
        let mut spoken = envelope(&["d@e.f"]);
        spoken.utf8_header = true;
        for (words, expected) in [("SMTPUTF8", true), ("PIPELINING", false)] {
            let offered = offers(words);
            let mut transaction =
                Transaction::new(&spoken, 1, &offered, true, Order::Clean).unwrap();
            let mut out = BytesMut::new();
            transaction.next(&mut out);
            let said = String::from_utf8_lossy(&out).contains(" SMTPUTF8");
            assert_eq!(said, expected, "{words}");
        }
        let mut binary = envelope(&["d@e.f"]);
        binary.body = Body::Binary;
        assert_eq!(
            refuse(&binary, "PIPELINING BINARYMIME", 1),
            Unsupported::Binary
        );
        let offered = Capabilities::from_reply(&Reply::new(250, "x\nSIZE 10"));
        let small = envelope(&["d@e.f"]);
        let error = Transaction::new(&small, 11, &offered, true, Order::Clean).unwrap_err();
        assert_eq!(
            error,
            Unsupported::Size {
                octets: 11,
                octets_max: 10
            }
        );
    }

    #[test]
    fn a_refused_bdat_is_told_apart_from_a_refused_message() {
        let one = envelope(&["d@e.f"]);
        assert!(
            play(&one, ALL, 6, &["250", "250", "502 what"])
                .1
                .is_chunking_refused()
        );
        assert!(
            !play(&one, ALL, 6, &["250", "250", "554 no"])
                .1
                .is_chunking_refused()
        );
        assert!(
            !play(&one, ALL, 6, &["250", "550", "503 no"])
                .1
                .is_chunking_refused()
        );
    }
}
