//! One message on its way from a session into the spool.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use sendas_envelope::Body;
use sendas_smtp::Reply;
use sendas_spool::{MessageId, Origin, SpoolError, Staging, Submission};

use crate::context::Context;
use crate::intake::{Facts, Intake, IntakeError};
use crate::log;
use crate::memo::Memo;
use crate::session::Submitted;

/// A message that is arriving, or the reply it will get at its end.
pub(crate) enum Reception {
    /// It is being kept.
    Running(Box<Running>),
    /// It cannot be kept; its octets are read and forgotten.
    Refused(Reply),
}

pub(crate) struct Running {
    id: MessageId,
    intake: Intake,
    staging: Staging,
    submitted: Submitted,
    peer: IpAddr,
    pieces: Vec<Bytes>,
}

impl Reception {
    /// Begins to receive.
    pub(crate) fn begin(context: &Context, submitted: Submitted, peer: IpAddr) -> Self {
        let now = context.clock.now().wall;
        let staging = match context.spool.stage() {
            Ok(staging) => staging,
            Err(error) => return Self::Refused(refusal(&error)),
        };
        let id = context.spool.next_id(now);
        let intake = Intake::new(Facts {
            id: id.to_string(),
            now,
            hostname: Arc::clone(&context.hostname),
            client: Arc::clone(&submitted.client),
            sender: submitted.sender.clone(),
            greeting: submitted.greeting.clone(),
            peer: literal(peer),
            protocol: submitted.protocol,
            is_binary: submitted.envelope.body == Body::Binary,
        });
        Self::Running(Box::new(Running {
            id,
            intake,
            staging,
            submitted,
            peer,
            pieces: Vec::with_capacity(4),
        }))
    }

    /// Takes octets of the body; not to be dropped half-way.
    pub(crate) async fn take(&mut self, octets: Bytes) {
        let Self::Running(running) = self else {
            return;
        };
        if let Err(reply) = running.take(octets).await {
            *self = Self::Refused(reply);
        }
    }

    /// The message has arrived whole: keeps it, and says what the client is told. A positive
    /// reply means that it survives the machine.
    pub(crate) async fn end(self, context: &Context) -> Reply {
        match self {
            Self::Refused(reply) => reply,
            Self::Running(running) => match running.end(context).await {
                Ok(reply) | Err(reply) => reply,
            },
        }
    }

    /// The reply when there is nothing that could be kept.
    pub(crate) fn lost() -> Reply {
        Reply::new(451, "4.3.0 The message was not kept")
    }
}

impl Running {
    async fn take(&mut self, octets: Bytes) -> Result<(), Reply> {
        self.intake
            .push(octets, &mut self.pieces)
            .map_err(IntakeError::reply)?;
        self.write().await
    }

    async fn write(&mut self) -> Result<(), Reply> {
        for piece in self.pieces.drain(..) {
            self.staging
                .write(&piece)
                .await
                .map_err(|error| refusal(&error))?;
        }
        Ok(())
    }

    async fn end(mut self: Box<Self>, context: &Context) -> Result<Reply, Reply> {
        let intake = self.intake;
        let mut pieces = std::mem::take(&mut self.pieces);
        let arrived = intake.finish(&mut pieces).map_err(IntakeError::reply)?;
        for piece in &pieces {
            self.staging
                .write(piece)
                .await
                .map_err(|error| refusal(&error))?;
        }
        let octets = self.staging.octets();
        let staged = self.staging.finish().await.map_err(|e| refusal(&e))?;
        let Submitted {
            client,
            login,
            sender,
            mut envelope,
            greeting,
            protocol,
        } = self.submitted;
        if envelope.body == Body::SevenBit && arrived.is_eight_bit {
            envelope.body = Body::EightBit;
        }
        let memo = Memo {
            owner: client.owner.clone(),
            is_rewritten: sender.given != sender.reverse_path,
            delay_told: Vec::new(),
            met: Vec::new(),
        };
        let submission = Submission {
            id: Some(self.id),
            envelope,
            mailbox: sender.route.mailbox,
            origin: Origin {
                client: client.name.clone(),
                peer: self.peer.to_string(),
                login: login.unwrap_or_default(),
                greeting,
                protocol: protocol.to_owned(),
            },
            due: None,
            hold: None,
            key: None,
            subject: arrived.subject,
            message_id: arrived.message_id,
            memo: memo.to_text(),
        };
        log::accepting(&submission, octets);
        let now = context.clock.now().wall;
        let accepted = context
            .spool
            .accept(submission, staged, now)
            .await
            .map_err(|error| refusal(&error))?;
        context.counters.accepted(octets);
        log::accepted(accepted.id, octets);
        Ok(Reply::new(250, format!("2.0.0 Kept as {}", accepted.id)))
    }
}

/// What a failing store means for the client: never a positive reply, and nothing final but for
/// a message that is too large.
fn refusal(error: &SpoolError) -> Reply {
    log::not_kept(error);
    match error {
        SpoolError::Full(_) => Reply::new(452, "4.3.1 No room to keep the message; try later"),
        SpoolError::Failed(_) | SpoolError::Closed => {
            Reply::new(421, "4.3.0 The relay cannot keep messages now")
        }
        SpoolError::Limit { max, .. } => {
            Reply::new(552, format!("5.3.4 No more than {max} octets"))
        }
        _ => Reply::new(451, "4.3.0 The message was not kept; try later"),
    }
}

/// RFC 5321 §4.1.3.
fn literal(peer: IpAddr) -> String {
    match peer.to_canonical() {
        IpAddr::V4(four) => format!("[{four}]"),
        IpAddr::V6(six) => format!("[IPv6:{six}]"),
    }
}
