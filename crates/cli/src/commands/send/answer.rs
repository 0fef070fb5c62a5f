//! Tells what became of a message, recipient by recipient.

use std::fmt::Write as _;

use sendas_envelope::{Mailbox, ReceiptOutcome};
use sendas_submit::Outcome as Fate;
use serde_json::{Value, json};

use super::delivery::{Sent, recipients};
use super::draft::Draft;
use crate::exit::Exit;
use crate::identity::Identity;
use crate::output;
use crate::report::submit::{Concerned, not_taken, uncertain};
use crate::report::{Failure, Outcome};

/// Tells the fate of each recipient on standard output, and why on standard error.
pub(super) fn tell(
    draft: &Draft,
    identity: &Identity,
    mailbox: &Mailbox,
    sent: &Sent,
    json: bool,
) -> Outcome {
    let failures = failures(draft, identity, mailbox, sent);
    let written = if json {
        output::json(&in_json(draft, identity, mailbox, sent, &failures))
    } else {
        output::data(&in_text(draft, sent))
    };
    for failure in &failures {
        failure.tell(false);
    }
    written.map_err(|error| Failure::machine("the answer was not written", &error))?;
    Ok(exit(&failures))
}

/// One report for each different reason, in the order of the recipients.
fn failures(draft: &Draft, identity: &Identity, mailbox: &Mailbox, sent: &Sent) -> Vec<Failure> {
    let from = draft.from.as_ref().map(ToString::to_string);
    let concerned = Concerned {
        identity,
        mailbox: mailbox.as_str(),
        from: from.as_deref(),
        claims: sent.claims.as_ref(),
    };
    let mut groups: Vec<(&Fate, Vec<&str>)> = Vec::new();
    for (recipient, fate) in draft
        .envelope
        .recipients()
        .iter()
        .zip(&sent.attempt.outcomes)
    {
        let Some(failure) = fate.failure() else {
            continue;
        };
        let words = failure.to_string();
        let same = groups.iter_mut().find(|(known, _)| {
            known.kind() == fate.kind()
                && known
                    .failure()
                    .is_some_and(|known| known.to_string() == words)
        });
        match same {
            Some((_, addresses)) => addresses.push(recipient.path.as_str()),
            None => groups.push((fate, vec![recipient.path.as_str()])),
        }
    }
    let sender = &draft.envelope.reverse_path;
    groups
        .into_iter()
        .filter_map(|(fate, addresses)| {
            let failure = fate.failure()?;
            let to = recipients(addresses.into_iter());
            Some(match fate {
                Fate::Uncertain(_) => uncertain(
                    format!("nobody knows whether the message from {sender} to {to} was sent"),
                    failure,
                ),
                Fate::Refused(_) => not_taken(
                    format!("the message from {sender} to {to} was refused"),
                    failure,
                    &concerned,
                ),
                _ => not_taken(
                    format!("the message from {sender} to {to} was not taken now"),
                    failure,
                    &concerned,
                ),
            })
        })
        .collect()
}

/// The worst that happened: what waiting does not mend goes before what it does.
fn exit(failures: &[Failure]) -> Exit {
    [Exit::Failed, Exit::Authentication, Exit::Temporary]
        .into_iter()
        .find(|exit| failures.iter().any(|failure| failure.exit == *exit))
        .unwrap_or(Exit::Done)
}

fn in_text(draft: &Draft, sent: &Sent) -> String {
    let mut out = String::new();
    for receipt in sent.attempt.receipts(&draft.envelope) {
        _ = writeln!(
            out,
            "{:<9} {} {}",
            word(receipt.outcome),
            output::visible(receipt.recipient.as_str()),
            output::visible(&receipt.reply)
        );
    }
    out
}

fn in_json(
    draft: &Draft,
    identity: &Identity,
    mailbox: &Mailbox,
    sent: &Sent,
    failures: &[Failure],
) -> Value {
    let fates: Vec<Value> = sent
        .attempt
        .receipts(&draft.envelope)
        .iter()
        .zip(&sent.attempt.outcomes)
        .map(|(receipt, fate)| {
            let explanation = fate
                .failure()
                .and_then(|failure| failure.explanation.as_ref());
            json!({
                "address": receipt.recipient.as_str(),
                "outcome": word(receipt.outcome),
                "status": receipt.status.to_string(),
                "reply": receipt.reply,
                "id": explanation.map(|explanation| explanation.id),
            })
        })
        .collect();
    json!({
        "ok": failures.is_empty(),
        "principal": identity.name,
        "mailbox": mailbox.as_str(),
        "reverse_path": draft.envelope.reverse_path.as_str(),
        "message_id": draft.message_id,
        "octets": draft.message.octets(),
        "recipients": fates,
        "error": failures.first().map(Failure::to_json),
        "errors": failures.iter().map(Failure::to_json).collect::<Vec<_>>(),
    })
}

const fn word(outcome: ReceiptOutcome) -> &'static str {
    match outcome {
        ReceiptOutcome::Accepted => "accepted",
        ReceiptOutcome::Deferred => "deferred",
        ReceiptOutcome::Refused => "refused",
        ReceiptOutcome::Uncertain => "uncertain",
    }
}
