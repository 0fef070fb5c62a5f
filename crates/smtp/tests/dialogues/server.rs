//! A server that takes mail from anybody who shows the right token, and says what it got.

use bytes::BytesMut;
use sendas_smtp::Reply;
use sendas_smtp::data::LineEndings;
use sendas_smtp::sasl::Response;
use sendas_smtp::server::{Event, Session};
use sendas_testkit::dialogue::Machine;

/// The token it accepts.
const TOKEN: &str = "good";

/// The session and its host.
pub(crate) struct Host {
    session: Session,
    body: Vec<u8>,
}

impl Default for Host {
    fn default() -> Self {
        let mut session = Session::new(LineEndings::Strict, false);
        session.reply(&Reply::new(220, "server.example ready"));
        Self {
            session,
            body: Vec::new(),
        }
    }
}

impl Host {
    fn answer(&mut self, event: Event) -> Option<Reply> {
        let (code, text) = match event {
            Event::Chunk { .. } => return None,
            Event::Body(octets) => {
                self.body.extend_from_slice(&octets);
                return None;
            }
            Event::Hello {
                extended: true,
                name,
            } => {
                let offer = if self.session.is_secure() {
                    "AUTH XOAUTH2"
                } else {
                    "STARTTLS"
                };
                (
                    250,
                    format!("server.example greets {name}\nPIPELINING\nCHUNKING\n{offer}"),
                )
            }
            Event::Hello { name, .. } => (250, format!("server.example greets {name}")),
            Event::StartTls => (220, "2.0.0 go ahead".to_owned()),
            Event::Auth { initial: None, .. } => (334, String::new()),
            Event::Auth {
                initial: Some(response),
                ..
            }
            | Event::AuthResponse(response) => judge(&response),
            Event::AuthCancelled => (501, "5.7.0 cancelled".to_owned()),
            Event::Mail(mail) => (250, format!("2.1.0 from {}", mail.reverse_path)),
            Event::Rcpt(rcpt) if rcpt.recipient.path.as_str().starts_with("no") => {
                (550, format!("5.1.1 {} is not here", rcpt.recipient.path))
            }
            Event::Rcpt(rcpt) => (250, format!("2.1.5 to {}", rcpt.recipient.path)),
            Event::Data => (354, "go ahead".to_owned()),
            Event::ChunkEnd => (250, format!("2.0.0 {} octets so far", self.body.len())),
            Event::MessageEnd => {
                let body = std::mem::take(&mut self.body);
                (
                    250,
                    format!("2.0.0 {} octets: {}", body.len(), body.escape_ascii()),
                )
            }
            Event::Reset => {
                self.body.clear();
                (250, "2.0.0 forgotten".to_owned())
            }
            Event::Noop => (250, "2.0.0 nothing done".to_owned()),
            Event::Help => (214, "2.0.0 see RFC 5321".to_owned()),
            Event::Verify(text) => (252, format!("2.1.5 {text}?")),
            Event::Quit => (221, "2.0.0 bye".to_owned()),
            Event::Violation(violation) if violation.is_fatal() => {
                (421, format!("4.7.0 {violation:?}"))
            }
            Event::Violation(violation) => (503, format!("5.5.1 {violation:?}")),
        };
        Some(Reply::new(code, text))
    }
}

/// Takes the right token, explains itself to any other, and refuses what is no response.
fn judge(response: &Response) -> (u16, String) {
    match response.xoauth2() {
        Ok(bearer) if *bearer.token == TOKEN => (235, format!("2.7.0 welcome {}", bearer.user)),
        Ok(_) => (334, "eyJzdGF0dXMiOiI0MDEifQ==".to_owned()),
        Err(error) => (535, format!("5.7.8 {error:?}")),
    }
}

impl Machine for Host {
    fn receive(&mut self, octets: &[u8]) {
        self.session.input().extend_from_slice(octets);
        while let Some(event) = self.session.next_event() {
            if let Some(reply) = self.answer(event) {
                self.session.reply(&reply);
            }
        }
    }

    fn transmit(&mut self) -> Vec<u8> {
        std::mem::replace(self.session.output(), BytesMut::new()).to_vec()
    }

    fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    fn event(&mut self, word: &str, _: &str) -> Result<(), String> {
        match word {
            "tls" if self.session.wants_handshake() => {
                self.session.secured();
                Ok(())
            }
            "tls" => Err("no handshake is due".to_owned()),
            _ => Err("no such event".to_owned()),
        }
    }
}
