//! `queue bounce`: gives messages up, and tells their senders in the same commit.

use jiff::Timestamp;
use sendas_envelope::{Class, Status};
use sendas_relay::dsn::{self, Action, Notice, Original};
use sendas_spool::{Claim, MessageId, Outcome as Fate, Settlement, Spool, SpoolError, State};

use super::change::{self, Deed};
use super::limits::BOUNCE_LEASE;
use super::notice::Desk;
use super::{Bounce, confirm, refused, show};
use crate::exit::Exit;
use crate::report::{Failure, Outcome};
use crate::{clock, output};

const BOUNCE: Deed = Deed {
    verb: "bounce",
    done: "given up",
    states: &[State::Waiting, State::Held],
};

/// The word that stands for the reason in lists and counters.
const REASON: &str = "bounced-by-hand";

/// X.0.0 is all that RFC 3463 has for a person's decision.
const STATUS: Status = Status::new(Class::Permanent, 0, 0);

pub(super) async fn run(spool: &Spool, bounce: &Bounce, desk: &Desk) -> Outcome {
    let now = clock::now();
    let confirmed = &bounce.confirmed;
    let changing = &confirmed.changing;
    if bounce.text.chars().any(char::is_control) {
        return Err(Box::new(
            Failure::usage("nothing was done: the text holds a control character")
                .command("sendas queue bounce --help"),
        ));
    }
    let filter = change::chosen(spool, changing, &BOUNCE, now).await?;
    let count = change::count(spool, &filter).await?;
    if changing.dry_run {
        return change::rehearse(spool, &filter, count, changing, &BOUNCE).await;
    }
    let deed = format!("bounce {}", change::messages(count));
    if !confirmed.yes && !confirm::ask(confirm::grade(count, false), &deed)? {
        output::line("nothing was given up");
        return Ok(Exit::Failed);
    }
    let ids = change::all_ids(spool, filter)
        .await
        .map_err(|error| refused("nothing was done", &error))?;
    let mut changed = 0;
    for id in ids {
        match give_up(spool, id, bounce, desk, now).await {
            Ok(()) => changed += 1,
            // Sent, removed or taken by the relay since it was listed.
            Err(
                error @ (SpoolError::State { .. } | SpoolError::NotFound(_) | SpoolError::Stale(_)),
            ) => {
                output::line(&format!("note: {error}"));
            }
            Err(error) => return Err(refused(format!("{id} was not given up"), &error)),
        }
    }
    change::tell(changing, &BOUNCE, count, changed, None)
}

async fn give_up(
    spool: &Spool,
    id: MessageId,
    bounce: &Bounce,
    desk: &Desk,
    now: Timestamp,
) -> Result<(), SpoolError> {
    let claim = spool.claim_id(id, true, BOUNCE_LEASE, now).await?;
    let notice = if bounce.silent {
        None
    } else {
        notice(spool, &claim, &bounce.text, desk, now).await?
    };
    let outcomes = claim
        .numbers
        .iter()
        .map(|&number| {
            let fate = Fate::Refused {
                reason: REASON.to_owned(),
                status: Some(STATUS),
                reply: bounce.text.clone(),
            };
            (number, fate)
        })
        .collect();
    let mut settlement = Settlement {
        outcomes,
        route: "by hand".to_owned(),
        ..Settlement::default()
    };
    if let Some(Notice { submission, octets }) = notice {
        let staged = spool.stage_whole(&octets).await?;
        settlement.notices.push((submission, staged));
    }
    spool.settle(&claim, settlement, now).await.map(drop)
}

/// The notice for the sender; none for a notice, and none for those who want none.
async fn notice(
    spool: &Spool,
    claim: &Claim,
    text: &str,
    desk: &Desk,
    now: Timestamp,
) -> Result<Option<Notice>, SpoolError> {
    let Some(to) = dsn::addressee_of(claim) else {
        return Ok(None);
    };
    let whole_max = dsn::returned_octets_max(Action::Failed, &claim.envelope);
    let (octets, is_whole) = match spool.body(claim.id, now).await {
        Ok(mut body) if body.octets() <= whole_max => {
            let mut octets = Vec::new();
            while let Some(piece) = body.piece().await? {
                octets.extend_from_slice(&piece);
            }
            (octets, true)
        }
        Ok(mut body) => (show::start(&mut body).await?, false),
        Err(SpoolError::BodyGone(_) | SpoolError::Damaged { .. }) => (Vec::new(), false),
        Err(error) => return Err(error),
    };
    let id = spool.next_id(now);
    let said = (text, STATUS);
    let original = if is_whole {
        Original::Whole(&octets)
    } else {
        Original::Header(&octets)
    };
    Ok(desk.failure(claim, to, id, original, said, now))
}
