//! The log's vocabulary: one function for each event of mail, with typed arguments. Text of
//! strangers goes through `Debug` or through types that escape, so that no line is ever forged.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use sendas_envelope::{Address, Mailbox};
use sendas_spool::{Claim, MessageId, Outcome, SpoolError, Submission, Verdict};
use sendas_submit::Failure;

use crate::session::Ended;

pub(crate) fn connected(peer: IpAddr) {
    tracing::debug!(%peer, "connected");
}

pub(crate) fn turned_away(peer: IpAddr, why: &'static str) {
    tracing::warn!(%peer, why, "connection refused");
}

pub(crate) fn disconnected(peer: IpAddr, ended: Ended) {
    match ended {
        Ended::ClientHello => tracing::warn!(
            %peer,
            "TLS ClientHello on a plaintext port: the client is set to TLS from the start; \
             point it to a listener with tls = \"implicit\", or set it to STARTTLS"
        ),
        Ended::EarlyTalker => {
            tracing::warn!(%peer, "the client talked before the greeting");
        }
        Ended::Handshake => tracing::warn!(%peer, "the TLS handshake failed"),
        Ended::TooSlow => tracing::info!(%peer, "the client was too slow"),
        Ended::Closed | Ended::Gone => tracing::debug!(%peer, ?ended, "disconnected"),
    }
}

pub(crate) fn login(peer: IpAddr, user: &str, is_right: bool) {
    if is_right {
        tracing::debug!(%peer, ?user, "logged in");
    } else {
        tracing::warn!(%peer, ?user, "login refused");
    }
}

pub(crate) fn accepting(submission: &Submission, octets: u64) {
    tracing::info!(
        queue_id = submission.id.map(tracing::field::display),
        client = submission.origin.client,
        peer = submission.origin.peer,
        from = %submission.envelope.reverse_path,
        recipients = submission.envelope.recipients().len(),
        octets,
        "received"
    );
}

pub(crate) fn accepted(id: MessageId, octets: u64) {
    tracing::info!(queue_id = %id, octets, "accepted");
}

pub(crate) fn not_kept(error: &SpoolError) {
    tracing::error!(error = %error, "a message was not kept");
}

pub(crate) fn room(octets: Option<u64>, wanted: u64, is_short: bool) {
    if is_short {
        tracing::error!(
            octets,
            wanted,
            "no room on the spool's disk: messages are put off"
        );
    } else {
        tracing::warn!(octets, "there is room on the spool's disk again");
    }
}

pub(crate) fn unsendable(id: MessageId, error: &sendas_submit::MessageError) {
    tracing::error!(queue_id = %id, %error, "a stored message cannot be sent as it is; it is held");
}

pub(crate) fn clock_set_back(by: Duration, tried: u64) {
    tracing::warn!(
        ?by,
        tried,
        "the clock was set back: waiting messages are tried at once"
    );
}

pub(crate) fn attempted(claim: &Claim, outcome: &Outcome) {
    let (id, mailbox, attempt) = (claim.id, &claim.mailbox, claim.attempt);
    match outcome {
        Outcome::Accepted { reply, .. } => {
            tracing::info!(queue_id = %id, %mailbox, attempt, upstream_reply = ?reply, "delivered");
        }
        Outcome::Deferred {
            until,
            reason,
            reply,
            ..
        } => tracing::warn!(
            queue_id = %id, %mailbox, attempt, %until, reason_id = reason, upstream_reply = ?reply,
            "deferred"
        ),
        Outcome::Refused { reason, reply, .. } => tracing::error!(
            queue_id = %id, %mailbox, attempt, reason_id = reason, upstream_reply = ?reply,
            "refused"
        ),
        Outcome::Held { reason, reply, .. } => tracing::warn!(
            queue_id = %id, %mailbox, attempt, reason_id = reason, upstream_reply = ?reply, "held"
        ),
        Outcome::Uncertain { reply } => tracing::warn!(
            queue_id = %id, %mailbox, attempt, upstream_reply = ?reply,
            "uncertain: the service may have the message"
        ),
    }
}

pub(crate) fn no_session(mailbox: &Mailbox, failure: &Failure, until: Option<Timestamp>) {
    let reason = failure.explanation.as_ref().map_or("connection", |e| e.id);
    tracing::warn!(
        %mailbox, scope = %failure.scope, reason_id = reason, error = ?failure.to_string(),
        until = until.map(tracing::field::display), "no session"
    );
}

pub(crate) fn notified(about: MessageId, id: MessageId, action: &str, to: &Address) {
    tracing::info!(queue_id = %about, notice_id = %id, action, %to, "notified");
}

pub(crate) fn nobody_told(about: MessageId, recipients: usize) {
    tracing::warn!(queue_id = %about, recipients, "nobody is told: a notice, or a sender without an owner");
}

pub(crate) fn stranded(about: MessageId, mailbox: &Mailbox) {
    tracing::error!(
        queue_id = %about, %mailbox,
        "a notice waits in a mailbox that cannot send, and no other can: nobody hears of it"
    );
}

pub(crate) fn suspect(id: MessageId, verdict: &Verdict) {
    tracing::warn!(
        queue_id = %id, ?verdict,
        "the last attempt ended without a word: the service may have the message"
    );
}

pub(crate) fn damaged(id: MessageId, what: &str) {
    tracing::error!(queue_id = %id, what, "damaged, and set aside for a person");
}

pub(crate) fn not_loaded(id: MessageId, error: &dyn std::error::Error) {
    tracing::error!(queue_id = %id, %error, "a stored message could not be read");
}

pub(crate) fn not_marked(id: MessageId, error: &SpoolError) {
    tracing::warn!(queue_id = %id, %error, "not sent: it could not be marked as leaving");
}

pub(crate) fn not_settled(id: MessageId, error: &SpoolError, again_in: Duration) {
    tracing::error!(queue_id = %id, %error, ?again_in, "an outcome could not be stored yet");
}

pub(crate) fn no_principal(mailbox: &Mailbox, messages: u64) {
    tracing::debug!(%mailbox, messages, "waiting: no principal sends for the mailbox");
}

pub(crate) fn spool_trouble(error: &SpoolError) {
    tracing::error!(%error, "the spool could not be used");
}

pub(crate) fn reloaded() {
    tracing::info!("the configuration was read again");
}

pub(crate) fn certificate_renewed() {
    tracing::info!("the certificate was read again");
}

pub(crate) fn certificate_kept(error: &dyn std::error::Error) {
    tracing::error!(%error, "the certificate on disk cannot be used; the old one stays");
}
