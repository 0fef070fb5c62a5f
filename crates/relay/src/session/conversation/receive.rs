//! A message in the conversation: from DATA or its first chunk to its end, and nothing too large.

use std::sync::Arc;

use bytes::Bytes;
use sendas_envelope::{Body, Envelope};
use sendas_smtp::Reply;
use sendas_smtp::server::Violation;

use super::super::body::Room;
use super::super::refuse;
use super::{Conversation, Step, Submitted};
use crate::policy::Refusal;

impl Conversation {
    pub(super) fn data(&mut self) -> Option<Step> {
        if self.speaks_early() {
            return self.end_transaction();
        }
        self.smtp.reply(&Reply::new(354, "End with CRLF.CRLF"));
        self.begin()
    }

    /// The message begins; its transaction stays open until its end.
    fn begin(&mut self) -> Option<Step> {
        let open = self.open.as_ref()?;
        let mut envelope =
            Envelope::new(open.sender.reverse_path.clone(), open.recipients.clone()).ok()?;
        envelope.body = open.mail.body.unwrap_or(Body::SevenBit);
        envelope.utf8_header = open.mail.smtputf8;
        envelope.ret = open.mail.ret;
        envelope.envelope_id.clone_from(&open.mail.envelope_id);
        self.is_receiving = true;
        Some(Step::Begin(Box::new(Submitted {
            client: Arc::clone(&open.client),
            login: self.login.clone(),
            sender: open.sender.clone(),
            envelope,
            greeting: self.greeting.clone(),
            protocol: self.protocol(open.mail.smtputf8),
        })))
    }

    /// RFC 3848 and RFC 6531 §4.3.
    fn protocol(&self, smtputf8: bool) -> &'static str {
        match (
            self.smtp.is_extended(),
            smtputf8,
            self.smtp.is_secure(),
            self.login.is_some(),
        ) {
            (false, ..) => "SMTP",
            (_, false, false, false) => "ESMTP",
            (_, false, true, false) => "ESMTPS",
            (_, false, false, true) => "ESMTPA",
            (_, false, true, true) => "ESMTPSA",
            (_, true, false, false) => "UTF8SMTP",
            (_, true, true, false) => "UTF8SMTPS",
            (_, true, false, true) => "UTF8SMTPA",
            (_, true, true, true) => "UTF8SMTPSA",
        }
    }

    pub(super) fn chunk(&mut self, octets: u64) -> Option<Step> {
        let open = self.open.as_mut()?;
        let is_first = !self.is_receiving && !open.is_too_large;
        match open.gauge.announce(octets) {
            Room::Inside => {}
            Room::Beyond => open.is_too_large = true,
            Room::FarBeyond => return self.give_up(),
        }
        if open.is_too_large {
            return std::mem::take(&mut self.is_receiving).then_some(Step::Abandon);
        }
        if is_first { self.begin() } else { None }
    }

    pub(super) fn octets(&mut self, octets: Bytes) -> Option<Step> {
        let open = self.open.as_mut()?;
        match open.gauge.take(octets.len()) {
            Room::Inside => self.is_receiving.then_some(Step::Octets(octets)),
            Room::Beyond => {
                open.is_too_large = true;
                std::mem::take(&mut self.is_receiving).then_some(Step::Abandon)
            }
            Room::FarBeyond => self.give_up(),
        }
    }

    /// Far more octets than allowed: the end is not waited for, and nothing behind it is read.
    fn give_up(&mut self) -> Option<Step> {
        let max = self.octets_max();
        Refusal::TooLarge(max).reply().write(self.smtp.output());
        self.is_closing = true;
        None
    }

    fn octets_max(&self) -> u64 {
        self.client
            .as_ref()
            .map_or(self.policy.message_octets_max, |client| {
                self.policy.octets_max(client)
            })
    }

    pub(super) fn chunk_end(&self) -> Reply {
        match &self.open {
            Some(open) if open.is_too_large => Refusal::TooLarge(self.octets_max()).reply(),
            Some(_) => Reply::new(250, "2.0.0 Chunk OK"),
            None => refuse::violation(&Violation::MailMissing),
        }
    }

    pub(super) fn message_end(&mut self) -> Option<Step> {
        if self.is_receiving {
            return Some(Step::End);
        }
        let is_too_large = self.open.take().is_some_and(|open| open.is_too_large);
        let reply = if is_too_large {
            Refusal::TooLarge(self.octets_max()).reply()
        } else {
            // An earlier chunk could not be kept, and was answered so.
            Reply::new(451, "4.3.0 The message was not kept")
        };
        self.answer(&reply);
        None
    }
}
