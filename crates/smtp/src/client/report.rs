//! What the service said to one message, and what that leaves open.

use crate::reply::Reply;

/// How the body travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// BDAT: as it is, counted.
    Chunk,
    /// DATA: dots stuffed, ended by a dot.
    Data,
}

/// What the service said to each command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// To MAIL.
    pub mail: Option<Reply>,
    /// To each RCPT, in the envelope's order.
    pub recipients: Vec<Option<Reply>>,
    /// To the whole message: to the last BDAT, to the final dot, or to a refused DATA.
    pub end: Option<Reply>,
    /// Whether the last octet of the message has been written.
    pub is_body_sent: bool,
    /// How the body travelled, or would have.
    pub framing: Framing,
}

impl Report {
    /// Whether a lost connection leaves it open if the service has the message: its last octet
    /// is out, no reply to it came, and nothing before says that nobody will get it.
    pub fn is_uncertain(&self) -> bool {
        let mail_refused = self.mail.as_ref().is_some_and(|reply| !reply.is_positive());
        let all_refused = self
            .recipients
            .iter()
            .all(|reply| reply.as_ref().is_some_and(|r| !r.is_positive()));
        self.is_body_sent && self.end.is_none() && !mail_refused && !all_refused
    }

    /// Whether BDAT itself was not understood although CHUNKING was offered. The body may then
    /// have been read as commands, so the session must be closed at once.
    pub fn is_chunking_refused(&self) -> bool {
        let unknown = |reply: &Reply| matches!(reply.code(), 500 | 502 | 504);
        self.framing == Framing::Chunk
            && self.recipients.iter().flatten().any(Reply::is_positive)
            && self.end.as_ref().is_some_and(unknown)
    }
}
