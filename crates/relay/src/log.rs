//! The log's vocabulary: one function for each event of mail, with typed arguments. Text of
//! strangers goes through `Debug` or through types that escape, so that no line is ever forged.

use std::net::IpAddr;

use sendas_spool::{MessageId, SpoolError, Submission};

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
