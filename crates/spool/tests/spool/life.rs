//! A message's life: accepted, claimed, deferred, held, settled, forgotten.

use std::time::Duration;

use sendas_envelope::{Body, EnvelopeId, Notify, OriginalRecipient, Return};
use sendas_spool::{
    Change, EventKind, Filter, Outcome, RecipientState, Settlement, Spool, SpoolError, State, Step,
    Submission, Verdict, View,
};

use crate::support::{Home, LEASE, accept, address, at, body, claim, mailbox, show, submission};

const KEEP: Duration = Duration::from_hours(1);

fn accepted() -> Outcome {
    Outcome::Accepted {
        status: "2.0.0".parse().ok(),
        reply: "250 2.0.0 OK <1@service>".to_owned(),
    }
}

fn deferred(until: i64) -> Outcome {
    Outcome::Deferred {
        until: at(until),
        reason: "greylisted".to_owned(),
        status: "4.7.1".parse().ok(),
        reply: "451 4.7.1 later".to_owned(),
    }
}

fn refused() -> Outcome {
    Outcome::Refused {
        reason: "unknown-recipient".to_owned(),
        status: "5.1.1".parse().ok(),
        reply: "550 5.1.1 nobody".to_owned(),
    }
}

fn outcomes(outcomes: Vec<(u32, Outcome)>) -> Settlement {
    Settlement {
        outcomes,
        route: "smtp.office365.com:587".to_owned(),
        ..Settlement::default()
    }
}

/// The files with bodies once the writer has finished all it was told.
async fn segments_after(home: &Home, spool: &Spool) -> Vec<String> {
    spool.put_note("done", None, at(0)).await.unwrap();
    home.segments()
}

#[tokio::test]
async fn from_acceptance_to_the_end() {
    let home = Home::new();
    let spool = home.open(0);
    let id = accept(&spool, &["a@x.org", "b@x.org", "c@x.org"], b"Hi\r\n", 1).await;
    assert_eq!(body(&spool, id).await, b"Hi\r\n");

    let first = claim(&spool, 2).await;
    assert_eq!((first.id, first.attempt, first.fence), (id, 1, 1));
    assert_eq!(first.numbers, [0, 1, 2]);
    assert_eq!(show(&spool, id).await.state, State::Claimed);
    spool.mark_dot(&first, vec![0, 2], at(3)).await.unwrap();
    let settlement = outcomes(vec![(0, accepted()), (1, deferred(100)), (2, refused())]);
    let settled = spool.settle(&first, settlement, at(4)).await.unwrap();
    assert_eq!(settled.state, State::Waiting);

    // Nothing is due before its time; then only the deferred recipient is.
    assert_eq!(spool.claim(&mailbox(), 9, LEASE, at(99)).await.unwrap(), []);
    let second = claim(&spool, 100).await;
    assert_eq!(second.numbers, [1]);
    assert_eq!(second.envelope.recipients().len(), 1);
    let settled = spool
        .settle(&second, outcomes(vec![(1, accepted())]), at(101))
        .await
        .unwrap();
    assert_eq!(settled.state, State::Settled);
    assert!(matches!(
        spool.body(id, at(102)).await,
        Err(SpoolError::BodyGone(_))
    ));

    let message = spool.read(move |view| view.message(id)).await.unwrap();
    let states: Vec<_> = message.summary.deliveries.iter().map(|d| d.state).collect();
    assert_eq!(
        states,
        [
            RecipientState::Accepted,
            RecipientState::Accepted,
            RecipientState::Refused
        ]
    );
    assert_eq!(message.attempts.len(), 2);
    assert_eq!(message.attempts[0].replies[1].outcome, "deferred");
    assert_eq!(message.attempts[0].replies[1].reply, "451 4.7.1 later");
    let steps: Vec<_> = message.timeline().into_iter().map(|(_, s)| s).collect();
    assert!(matches!(
        steps[..],
        [Step::Accepted, Step::Attempted(_), Step::Attempted(_)]
    ));

    // The segment goes with its last message once it is closed, the history when its time is over.
    let swept = spool.sweep(KEEP, at(200)).await.unwrap();
    assert_eq!(swept.forgotten, 0);
    spool.sweep(KEEP, at(201)).await.unwrap();
    assert_eq!(segments_after(&home, &spool).await, [] as [&str; 0]);
    let swept = spool.sweep(KEEP, at(4000)).await.unwrap();
    assert_eq!(swept.forgotten, 1);
    assert!(matches!(
        spool.read(move |view| view.message(id)).await,
        Err(SpoolError::NotFound(_))
    ));
    assert_eq!(spool.read(View::counts).await.unwrap(), []);
}

#[tokio::test]
async fn every_option_of_the_envelope_comes_back() {
    let home = Home::new();
    let spool = home.open(0);
    let mut wanted = Submission {
        id: Some(spool.next_id(at(0))),
        subject: "Grüße".to_owned(),
        message_id: "<1@contoso.com>".to_owned(),
        memo: "{\"delay\":1}".to_owned(),
        ..submission(&["a@x.org", "b@x.org"])
    };
    let mut recipients = wanted.envelope.recipients().to_vec();
    recipients[1].notify = Some(Notify::FAILURE);
    recipients[1].original = Some(OriginalRecipient::rfc822("old+b@x.org").unwrap());
    wanted.envelope = wanted.envelope.with_recipients(recipients).unwrap();
    wanted.envelope.body = Body::Binary;
    wanted.envelope.ret = Some(Return::Headers);
    wanted.envelope.envelope_id = Some(EnvelopeId::new("Q=1 +").unwrap());
    wanted.origin.client = "hp-floor-2".to_owned();
    wanted.origin.peer = "10.1.2.3".to_owned();
    let staged = spool.stage_whole(b"x").await.unwrap();
    let id = spool
        .accept(wanted.clone(), staged, at(0))
        .await
        .unwrap()
        .id;
    assert_eq!(Some(id), wanted.id);
    spool.close().await;

    let spool = home.open(1);
    let claim = claim(&spool, 2).await;
    assert_eq!(claim.envelope, wanted.envelope);
    assert_eq!(claim.origin, wanted.origin);
    assert_eq!(claim.memo, wanted.memo);
    assert_eq!(claim.mailbox, wanted.mailbox);
    let summary = show(&spool, id).await;
    assert_eq!(summary.subject, wanted.subject);
    assert_eq!(summary.message_id, wanted.message_id);
    assert_eq!(summary.envelope_id, wanted.envelope.envelope_id);
}

#[tokio::test]
async fn hold_release_remove_restore() {
    let home = Home::new();
    let spool = home.open(0);
    let id = accept(&spool, &["a@x.org"], b"x", 0).await;
    let one = Filter::id(id);
    let hold = Change::Hold {
        reason: "operator".to_owned(),
        until: Some(at(50)),
    };
    assert_eq!(spool.change(&one, &hold, at(1)).await.unwrap(), 1);
    assert_eq!(spool.change(&one, &hold, at(1)).await.unwrap(), 0);
    let held = show(&spool, id).await;
    assert_eq!((held.state, held.due), (State::Held, Some(at(50))));
    assert_eq!(held.reason, "operator");
    assert_eq!(spool.claim(&mailbox(), 1, LEASE, at(9)).await.unwrap(), []);
    assert_eq!(spool.sweep(KEEP, at(50)).await.unwrap().released, 1);
    assert_eq!(show(&spool, id).await.state, State::Waiting);

    let remove = Change::Remove {
        undo_until: at(660),
    };
    assert_eq!(spool.change(&one, &remove, at(60)).await.unwrap(), 1);
    assert_eq!(show(&spool, id).await.state, State::Removed);
    assert_eq!(
        spool.change(&one, &Change::Restore, at(61)).await.unwrap(),
        1
    );
    let back = show(&spool, id).await;
    assert_eq!((back.state, back.due), (State::Waiting, Some(at(50))));
    spool.change(&one, &remove, at(62)).await.unwrap();
    assert_eq!(spool.sweep(KEEP, at(659)).await.unwrap().removed, 0);
    assert_eq!(spool.sweep(KEEP, at(660)).await.unwrap().removed, 1);
    assert_eq!(show(&spool, id).await.state, State::Settled);
    assert_eq!(
        spool.change(&one, &Change::Restore, at(661)).await.unwrap(),
        0
    );
    let message = spool.read(move |view| view.message(id)).await.unwrap();
    let kinds: Vec<_> = message.events.iter().map(|e| e.kind).collect();
    assert_eq!(
        kinds,
        [
            EventKind::Held,
            EventKind::Released,
            EventKind::Removed,
            EventKind::Restored,
            EventKind::Removed
        ]
    );
}

#[tokio::test]
async fn wishes_wait_for_a_claimed_message_and_facts_win() {
    let home = Home::new();
    let spool = home.open(0);
    let remove = Change::Remove {
        undo_until: at(600),
    };
    for (outcome, state) in [(accepted(), State::Settled), (deferred(50), State::Removed)] {
        let id = accept(&spool, &["a@x.org"], b"x", 0).await;
        let claimed = claim(&spool, 1).await;
        assert_eq!(
            spool.change(&Filter::id(id), &remove, at(2)).await.unwrap(),
            1
        );
        assert_eq!(show(&spool, id).await.state, State::Claimed);
        let settled = spool
            .settle(&claimed, outcomes(vec![(0, outcome)]), at(3))
            .await
            .unwrap();
        assert_eq!(settled.state, state);
    }
}

#[tokio::test]
async fn a_lost_claim_is_stale_and_a_lost_dot_is_suspect() {
    let home = Home::new();
    let spool = home.open(0);
    let id = accept(&spool, &["a@x.org", "b@x.org"], b"x", 0).await;
    let first = claim(&spool, 1).await;
    let until = spool.extend(&first, LEASE * 2, at(2)).await.unwrap();
    assert_eq!(until, at(122));
    assert_eq!(spool.sweep(KEEP, at(121)).await.unwrap().interrupted, 0);
    assert_eq!(spool.sweep(KEEP, at(122)).await.unwrap().interrupted, 1);
    let second = claim(&spool, 123).await;
    assert_eq!(second.attempt, 2);
    for stale in [
        spool.mark_dot(&first, vec![0], at(124)).await.err(),
        spool.extend(&first, LEASE, at(124)).await.err(),
        spool
            .settle(&first, outcomes(vec![(0, accepted())]), at(124))
            .await
            .err(),
    ] {
        assert!(
            matches!(stale, Some(SpoolError::Stale(i)) if i == id),
            "{stale:?}"
        );
    }
    spool.mark_dot(&second, vec![1], at(125)).await.unwrap();
    assert_eq!(spool.sweep(KEEP, at(300)).await.unwrap().interrupted, 1);
    let suspect = show(&spool, id).await;
    assert_eq!(suspect.state, State::Suspect);
    assert_eq!(suspect.deliveries[0].state, RecipientState::Waiting);
    assert_eq!(suspect.deliveries[1].state, RecipientState::Suspect);
    assert_eq!(
        spool.claim(&mailbox(), 1, LEASE, at(301)).await.unwrap(),
        []
    );
    let state = spool.judge(id, Verdict::Hold, at(302)).await.unwrap();
    assert_eq!(state, State::Waiting);
    let hold = Change::Hold {
        reason: "operator".to_owned(),
        until: Some(at(320)),
    };
    spool.change(&Filter::id(id), &hold, at(303)).await.unwrap();
    assert_eq!(spool.sweep(KEEP, at(320)).await.unwrap().released, 1);
    let released = show(&spool, id).await;
    assert_eq!(released.deliveries[0].state, RecipientState::Waiting);
    assert_eq!(
        released.deliveries[1].state,
        RecipientState::Held,
        "a person has to look at it still"
    );
    assert_eq!(claim(&spool, 320).await.numbers, [0]);
}

#[tokio::test]
async fn an_uncertain_outcome_waits_for_its_judge() {
    let home = Home::new();
    let spool = home.open(0);
    let id = accept(&spool, &["a@x.org"], b"x", 0).await;
    let claimed = claim(&spool, 1).await;
    spool.mark_dot(&claimed, vec![0], at(2)).await.unwrap();
    // No word about a recipient whose dot may be out is as bad as a lost connection.
    let settled = spool
        .settle(&claimed, outcomes(vec![]), at(3))
        .await
        .unwrap();
    assert_eq!(settled.state, State::Suspect);
    let state = spool.judge(id, Verdict::Resend, at(4)).await.unwrap();
    assert_eq!(state, State::Waiting);
    let again = spool.judge(id, Verdict::Resend, at(4)).await;
    assert!(matches!(again, Err(SpoolError::State { .. })));
    assert_eq!(claim(&spool, 5).await.attempt, 2);
}

#[tokio::test]
async fn a_claim_given_back_was_no_attempt() {
    let home = Home::new();
    let spool = home.open(0);
    let id = accept(&spool, &["a@x.org"], b"x", 0).await;
    let claimed = claim(&spool, 1).await;
    let back = Settlement::give_back(&claimed, Some((at(30), "token".to_owned())));
    spool.settle(&claimed, back, at(2)).await.unwrap();
    let message = spool.read(move |view| view.message(id)).await.unwrap();
    assert_eq!(message.summary.attempts, 0);
    assert_eq!(message.summary.reason, "token");
    assert_eq!(message.summary.due, Some(at(30)));
    assert_eq!(message.attempts, []);
    assert_eq!(claim(&spool, 30).await.attempt, 1);
}

#[tokio::test]
async fn a_notice_is_stored_with_the_outcome_that_calls_for_it() {
    let home = Home::new();
    let spool = home.open(0);
    accept(&spool, &["a@x.org"], b"x", 0).await;
    let claimed = claim(&spool, 1).await;
    let notice = spool.stage_whole(b"your mail failed").await.unwrap();
    let mut settlement = outcomes(vec![(0, refused())]);
    settlement.notices = vec![(submission(&["printer@contoso.com"]), notice)];
    let settled = spool.settle(&claimed, settlement, at(2)).await.unwrap();
    assert_eq!(settled.state, State::Settled);
    assert_eq!(body(&spool, settled.notices[0]).await, b"your mail failed");

    // Under a stale claim neither is stored.
    let notice = spool.stage_whole(b"again").await.unwrap();
    let mut settlement = outcomes(vec![(0, refused())]);
    settlement.notices = vec![(submission(&["printer@contoso.com"]), notice)];
    let stale = spool.settle(&claimed, settlement, at(3)).await;
    assert!(matches!(stale, Err(SpoolError::Stale(_))));
    let open = spool
        .read(|view| view.count(&Filter::open()))
        .await
        .unwrap();
    assert_eq!(open, (1, 16));
}

#[tokio::test]
async fn the_same_key_is_the_same_message() {
    let home = Home::new();
    let spool = home.open(0);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut keyed = submission(&["a@x.org"]);
        keyed.key = Some("job-17".to_owned());
        let staged = spool.stage_whole(b"x").await.unwrap();
        ids.push(spool.accept(keyed, staged, at(0)).await.unwrap());
    }
    assert_eq!(ids[0].id, ids[1].id);
    assert_eq!((ids[0].duplicate, ids[1].duplicate), (false, true));
}

#[tokio::test]
async fn lists_counts_and_prefixes() {
    let home = Home::new();
    let spool = home.open(0);
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(accept(&spool, &[&format!("r{n}@x.org")], b"four", n).await);
    }
    let other = Submission {
        mailbox: "billing@contoso.com".parse().unwrap(),
        hold: Some("quota".to_owned()),
        ..submission(&["z@y.org"])
    };
    let staged = spool.stage_whole(b"four").await.unwrap();
    let held = spool.accept(other, staged, at(9)).await.unwrap().id;

    let text = ids[2].to_string();
    let (found, ambiguous, none, page, by_recipient, counts, due) = spool
        .read(move |view| {
            Ok((
                view.find(&text)?,
                view.find(&text[..1]).err(),
                view.find("zz").err(),
                view.list(&Filter::open(), Some(ids[1]), 2)?,
                view.list(
                    &Filter {
                        recipient: Some("Z@*".to_owned()),
                        ..Filter::default()
                    },
                    None,
                    10,
                )?,
                view.counts()?,
                view.mailboxes_due()?,
            ))
        })
        .await
        .unwrap();
    assert_eq!(found.to_string().len(), 12);
    assert!(matches!(ambiguous, Some(SpoolError::Ambiguous(_))));
    assert!(matches!(none, Some(SpoolError::NoMatch(_))));
    assert_eq!(page.len(), 2);
    assert!(page[0].id < page[1].id);
    assert_eq!(page[0].deliveries[0].recipient.path.as_str(), "r2@x.org");
    assert_eq!(by_recipient[0].id, held);
    let counts: Vec<_> = counts
        .iter()
        .map(|c| {
            (
                c.state,
                c.mailbox.as_str(),
                c.reason.as_str(),
                c.messages,
                c.octets,
            )
        })
        .collect();
    assert_eq!(
        counts,
        [
            (State::Held, "billing@contoso.com", "quota", 1, 4),
            (State::Waiting, "noreply@contoso.com", "", 5, 20),
        ]
    );
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].due, due[0].messages), (at(0), 5));
}

#[tokio::test]
async fn moving_retrying_and_notes() {
    let home = Home::new();
    let spool = home.open(0);
    let later = Submission {
        due: Some(at(500)),
        ..submission(&["a@x.org"])
    };
    let staged = spool.stage_whole(b"x").await.unwrap();
    let id = spool.accept(later, staged, at(0)).await.unwrap().id;
    let all = Filter::open();
    assert_eq!(spool.change(&all, &Change::Retry, at(1)).await.unwrap(), 1);
    // What is due may wait for more than its date: whoever delivers hears of it.
    assert_eq!(spool.change(&all, &Change::Retry, at(2)).await.unwrap(), 1);
    let retried = spool.read(View::retried).await.unwrap();
    assert_eq!(retried, [(mailbox().address().key(), at(2))]);
    spool.sweep(LEASE, at(2 + 3600)).await.unwrap();
    let retried = spool.read(View::retried).await.unwrap();
    assert_eq!(retried, []);
    let to = Change::Move {
        mailbox: address("other@contoso.com").into(),
    };
    assert_eq!(spool.change(&all, &to, at(2)).await.unwrap(), 1);
    assert_eq!(spool.claim(&mailbox(), 1, LEASE, at(3)).await.unwrap(), []);
    assert_eq!(show(&spool, id).await.mailbox, "other@contoso.com");

    spool
        .put_note("pace/a", Some(b"1".to_vec()), at(0))
        .await
        .unwrap();
    spool
        .put_note("pace/b", Some(b"2".to_vec()), at(0))
        .await
        .unwrap();
    spool.put_note("pace/a", None, at(1)).await.unwrap();
    let notes = spool.read(|view| view.notes("pace/")).await.unwrap();
    assert_eq!(notes, [("pace/b".to_owned(), b"2".to_vec())]);
}

#[tokio::test]
async fn a_large_body_has_a_file_of_its_own() {
    let home = Home::new();
    let spool = home.open(0);
    let large: Vec<u8> = (0..3_000_000u32)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect();
    let id = accept(&spool, &["a@x.org"], &large, 0).await;
    assert_eq!(body(&spool, id).await, large);
    assert_eq!(home.segments().len(), 1);
    let claimed = claim(&spool, 1).await;
    spool
        .settle(&claimed, outcomes(vec![(0, accepted())]), at(2))
        .await
        .unwrap();
    assert_eq!(segments_after(&home, &spool).await, [] as [&str; 0]);

    // What is staged and not accepted leaves nothing behind.
    let staged = spool.stage_whole(&large).await.unwrap();
    assert_eq!(home.segments().len(), 1);
    drop(staged);
    let mut staging = spool.stage().unwrap();
    staging.write(&large).await.unwrap();
    drop(staging);
    assert_eq!(segments_after(&home, &spool).await, [] as [&str; 0]);
}

#[tokio::test]
async fn two_processes_share_one_spool() {
    let home = Home::new();
    let relay = home.open(0);
    let sendmail = home.open(0);
    assert_eq!(sendmail.recovery().dead, 0);
    let id = accept(&sendmail, &["a@x.org"], b"from cron", 1).await;
    sendmail.close().await;
    let claimed = claim(&relay, 2).await;
    assert_eq!(claimed.id, id);
    assert_eq!(body(&relay, id).await, b"from cron");
    relay
        .settle(&claimed, outcomes(vec![(0, accepted())]), at(3))
        .await
        .unwrap();
    assert_eq!(segments_after(&home, &relay).await, [] as [&str; 0]);
    let closed = sendmail.sweep(KEEP, at(4)).await;
    assert!(matches!(closed, Err(SpoolError::Closed)), "{closed:?}");
}

#[tokio::test]
async fn a_few_long_lived_messages_do_not_keep_a_segment() {
    let home = Home::new();
    let spool = home.open(0);
    let mut ids = Vec::new();
    for n in 0..12 {
        ids.push(accept(&spool, &["a@x.org"], &vec![n; 200_000], i64::from(n)).await);
    }
    let (stays, busy) = (ids[3], ids[4]);
    let claims = spool.claim(&mailbox(), 20, LEASE, at(20)).await.unwrap();
    for claim in claims {
        let outcome = match claim.id {
            id if id == stays => deferred(500),
            id if id == busy => continue,
            _ => accepted(),
        };
        let settlement = outcomes(vec![(0, outcome)]);
        spool.settle(&claim, settlement, at(21)).await.unwrap();
    }
    // The segment is closed with its process; the next one moves what is left of it.
    spool.close().await;
    let spool = home.open(30);
    let before = home.segments();
    let moved = spool.compact(at(31)).await.unwrap();
    assert_eq!((moved.messages, moved.octets), (2, 400_000));
    assert_eq!(body(&spool, stays).await, vec![3; 200_000]);
    assert_eq!(body(&spool, busy).await, vec![4; 200_000]);
    let after = segments_after(&home, &spool).await;
    assert!(after.len() == 1 && before.len() == 1 && after != before);
    assert_eq!(spool.compact(at(32)).await.unwrap().messages, 0);
}
