//! Rotation against the sandbox: at every instant the configuration names a credential that works,
//! and in the end exactly one is left.

mod bench;

use std::sync::Arc;
use std::time::Duration;

use sendas_sandbox::{Effect, Fault, Preset, Step};
use sendas_tenant::rotation::stage::{Kind, Stage};
use sendas_tenant::rotation::{EndOfOld, RotationError};
use serde_json::json;

use self::bench::{Bench, Ended, Fate};
use crate::sandbox::start;

/// Servers that learn late, each kind at its own speed.
async fn slow() -> Arc<Bench> {
    let sandbox = start(Preset::Rbac).await;
    sandbox
        .patch(&json!({ "propagation_s": { "replication": 8, "listing": 25, "credential": 20 } }))
        .unwrap();
    Bench::new(&sandbox)
}

/// Brings the machine to a credential of this kind.
async fn prepared(bench: &Arc<Bench>, kind: Kind) {
    if bench.named().kind != kind {
        bench.rotate(kind, true, None).await.0.done();
    }
    // What was changed before is seen everywhere.
    bench.sandbox.advance(Duration::from_mins(5));
}

#[tokio::test]
async fn every_kind_takes_the_place_of_every_kind() {
    let bench = slow().await;
    for kind in [
        Kind::Secret,
        Kind::Certificate,
        Kind::Certificate,
        Kind::Secret,
    ] {
        let before = bench.named();
        let (ended, lines) = bench.rotate(kind, true, None).await;
        let done = ended.done();
        assert_eq!(done.end_of_old, EndOfOld::Removed);
        assert_eq!((done.is_resumed, done.fresh.kind), (false, kind));
        assert_ne!(bench.named(), before);
        bench.check_one(kind, &format!("{kind:?}: {lines:?}")).await;
        bench.sandbox.advance(Duration::from_mins(5));
    }
}

#[tokio::test]
async fn an_application_renews_its_own_certificate_without_any_right() {
    let bench = slow().await;
    prepared(&bench, Kind::Certificate).await;
    for _ in 0..2 {
        let (ended, lines) = bench.rotate(Kind::Certificate, false, None).await;
        assert_eq!(ended.done().end_of_old, EndOfOld::Removed, "{lines:?}");
        assert!(
            !lines.iter().any(|line| line.starts_with("PATCH")),
            "{lines:?}"
        );
        bench.check_one(Kind::Certificate, "own").await;
    }
    // Without the record of its id nobody here can name the old one.
    std::fs::remove_file(bench.journal_path()).unwrap();
    let (ended, _) = bench.rotate(Kind::Certificate, false, None).await;
    assert_eq!(ended.done().end_of_old, EndOfOld::LeftInEntra);
    assert_eq!(bench.registered(), (0, 2));
    bench.works().await.unwrap();
    // A secret it may not make.
    let (ended, _) = bench.rotate(Kind::Secret, false, None).await;
    let error = ended.error();
    assert!(
        matches!(error, RotationError::NeedsAdministrator(_)),
        "{error}"
    );
    assert!(bench.journal().is_some_and(|left| !left.is_open()));
    assert_eq!(bench.files().len(), 1);
    bench.works().await.unwrap();
}

/// The operations of a whole run, when an earlier one has left its record.
async fn whole(bench: &Arc<Bench>, from: Kind, to: Kind, is_administrator: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..2 {
        prepared(bench, from).await;
        let (ended, found) = bench.rotate(to, is_administrator, None).await;
        ended.done();
        bench.check_one(to, "whole").await;
        lines = found;
    }
    bench.sandbox.advance(Duration::from_mins(5));
    lines
}

/// Dies at every operation, before and after it, and is run again.
async fn killed_everywhere(from: Kind, to: Kind, is_administrator: bool) {
    let bench = slow().await;
    let lines = whole(&bench, from, to, is_administrator).await;
    assert!(lines.len() >= 18, "{lines:?}");
    // Between the end of one operation and the beginning of the next nothing acts, so that after
    // one is before the next.
    let last = lines.len() - 1;
    let fates = (0..=last).map(|number| (number, Fate::DiesBefore(number)));
    for (number, fate) in fates.chain([(last, Fate::DiesAfter(last))]) {
        prepared(&bench, from).await;
        let told = format!("{fate:?} of {}", lines[number]);
        let (ended, _) = bench.rotate(to, is_administrator, Some(fate)).await;
        assert!(matches!(ended, Ended::Died), "{told}");
        bench
            .works()
            .await
            .unwrap_or_else(|words| panic!("{told}: {words}"));
        let (ended, _) = bench.rotate(to, is_administrator, None).await;
        let done = ended.done();
        if done.end_of_old == EndOfOld::LeftInEntra {
            // The answer with the id of its key was lost, and nobody may read it.
            assert!(!is_administrator, "{told}");
        }
        settle(&bench, to, is_administrator, &told).await;
    }
}

/// In the end exactly one credential is left. Where the id of a key was lost, the rotation after
/// it, by an administrator, leaves one.
async fn settle(bench: &Arc<Bench>, to: Kind, is_administrator: bool, told: &str) {
    bench.sandbox.advance(Duration::from_mins(5));
    let known = bench
        .journal()
        .and_then(|journal| Some(journal.current()?.key_id.is_some()));
    if !is_administrator && known == Some(false) {
        assert_eq!(bench.registered(), (0, 1), "{told}");
        bench.rotate(to, true, None).await.0.done();
        bench.sandbox.advance(Duration::from_mins(5));
    }
    bench.check_one(to, told).await;
}

#[tokio::test]
async fn secret_to_secret_killed_anywhere_ends_with_one_that_works() {
    killed_everywhere(Kind::Secret, Kind::Secret, true).await;
}

#[tokio::test]
async fn secret_to_certificate_killed_anywhere_ends_with_one_that_works() {
    killed_everywhere(Kind::Secret, Kind::Certificate, true).await;
}

#[tokio::test]
async fn certificate_to_certificate_killed_anywhere_ends_with_one_that_works() {
    killed_everywhere(Kind::Certificate, Kind::Certificate, true).await;
}

#[tokio::test]
async fn its_own_certificate_killed_anywhere_ends_with_one_that_works() {
    killed_everywhere(Kind::Certificate, Kind::Certificate, false).await;
}

#[tokio::test]
async fn a_run_killed_anywhere_can_be_taken_back_until_the_switch() {
    for (kind, is_administrator) in [(Kind::Secret, true), (Kind::Certificate, true)] {
        let bench = slow().await;
        let lines = whole(&bench, kind, kind, is_administrator).await;
        let switch = lines.iter().position(|line| line == "switch").unwrap();
        for (number, line) in lines.iter().enumerate().take(switch + 2) {
            let told = format!("{number}: {line}");
            bench.sandbox.advance(Duration::from_mins(5));
            let before = bench.named();
            let fate = Some(Fate::DiesBefore(number));
            let (ended, _) = bench.rotate(kind, is_administrator, fate).await;
            assert!(matches!(ended, Ended::Died), "{told}");
            match bench.back(is_administrator).await {
                Ok(()) | Err(RotationError::NothingBegun) => {
                    assert!(number <= switch, "{told}");
                    assert_eq!(bench.named(), before, "{told}");
                    bench.sandbox.advance(Duration::from_mins(5));
                    bench.check_one(kind, &told).await;
                }
                Err(RotationError::NoWayBack) => {
                    assert_eq!(number, switch + 1, "{told}");
                    bench.rotate(kind, is_administrator, None).await.0.done();
                }
                Err(error) => panic!("{told}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_stops_the_run_and_loses_nothing() {
    for (kind, is_administrator) in [(Kind::Secret, true), (Kind::Certificate, false)] {
        let bench = slow().await;
        let lines = whole(&bench, kind, kind, is_administrator).await;
        let files = ["journal", "file", "switch", "record"];
        for (number, line) in lines.iter().enumerate() {
            if !files.iter().any(|word| line.contains(word)) {
                continue;
            }
            let told = format!("{number}: {line}");
            bench.sandbox.advance(Duration::from_mins(5));
            let fate = Some(Fate::Fails(number));
            let (ended, _) = bench.rotate(kind, is_administrator, fate).await;
            assert!(!ended.error().is_temporary(), "{told}");
            bench
                .works()
                .await
                .unwrap_or_else(|words| panic!("{told}: {words}"));
            bench.sandbox.advance(Duration::from_mins(5));
            bench.rotate(kind, is_administrator, None).await.0.done();
            settle(&bench, kind, is_administrator, &told).await;
        }
    }
}

#[tokio::test]
async fn trouble_of_graph_makes_nothing_twice() {
    let bench = slow().await;
    for to in [Kind::Secret, Kind::Certificate] {
        let lines = whole(&bench, to, to, true).await;
        let graph = lines
            .iter()
            .filter(|line| line.contains(" /applications"))
            .count();
        for after in 0..u32::try_from(graph).unwrap() {
            for effect in [
                Effect::AcceptThenClose,
                Effect::Throttle { retry_after_s: 2 },
                Effect::Answer {
                    status: 503,
                    headers: std::collections::BTreeMap::new(),
                    body: String::new(),
                },
                Effect::Garbage,
            ] {
                bench.sandbox.advance(Duration::from_mins(5));
                let told = format!("{to:?}, request {after}: {effect:?}");
                let fault = Fault {
                    after,
                    ..Fault::once(Step::Graph, effect)
                };
                bench.sandbox.fault(fault).unwrap();
                let (ended, _) = bench.rotate(to, true, None).await;
                bench.sandbox.clear_faults();
                bench
                    .works()
                    .await
                    .unwrap_or_else(|words| panic!("{told}: {words}"));
                if let Err(error) = ended.lived() {
                    // What is not understood stops it; the same call goes on.
                    assert!(told.contains("Garbage"), "{told}: {error}");
                    bench.rotate(to, true, None).await.0.done();
                }
                bench.sandbox.advance(Duration::from_mins(5));
                bench.check_one(to, &told).await;
            }
        }
    }
}

#[tokio::test]
async fn a_credential_that_never_acts_is_never_named_and_can_be_taken_back() {
    let bench = slow().await;
    for kind in [Kind::Secret, Kind::Certificate] {
        prepared(&bench, kind).await;
        let before = bench.named();
        bench
            .sandbox
            .patch(&json!({ "propagation_s": { "credential": 100_000 } }))
            .unwrap();
        let error = bench.rotate(kind, true, None).await.0.error();
        assert!(
            matches!(error, RotationError::NotEffective { .. }) && error.is_temporary(),
            "{error}"
        );
        assert_eq!(bench.named(), before);
        let journal = bench.journal().unwrap();
        assert!(matches!(journal.stage, Stage::Added(_)), "{journal:?}");
        bench.works().await.unwrap();
        bench.back(true).await.unwrap();
        bench
            .sandbox
            .patch(&json!({ "propagation_s": { "credential": 20 } }))
            .unwrap();
        bench.sandbox.advance(Duration::from_hours(48));
        bench.check_one(kind, "taken back").await;
        // Later it acts: the same call goes on.
        bench
            .sandbox
            .patch(&json!({ "propagation_s": { "credential": 2_000 } }))
            .unwrap();
        bench.rotate(kind, true, None).await.0.error();
        bench.sandbox.advance(Duration::from_hours(1));
        let done = bench.rotate(kind, true, None).await.0.done();
        assert!(done.is_resumed);
        bench
            .sandbox
            .patch(&json!({ "propagation_s": { "credential": 20 } }))
            .unwrap();
        bench.sandbox.advance(Duration::from_hours(1));
        bench.check_one(kind, "later").await;
    }
}

#[tokio::test]
async fn what_is_refused_leaves_nothing_behind() {
    let bench = slow().await;
    let before = bench.named();
    // A policy forbids secrets.
    bench
        .sandbox
        .patch(&json!({ "policies": { "secrets_forbidden": true } }))
        .unwrap();
    let error = bench.rotate(Kind::Secret, true, None).await.0.error();
    let trouble = error.call().and_then(sendas_tenant::CallError::trouble);
    assert_eq!(trouble, Some(sendas_tenant::trouble::Trouble::Policy));
    assert_eq!(bench.journal(), None);
    // An administrator without rights.
    for kind in [Kind::Secret, Kind::Certificate] {
        let fault = Fault {
            only: None,
            ..Fault::always(
                Step::Graph,
                Effect::Answer {
                    status: 403,
                    headers: std::collections::BTreeMap::new(),
                    body: json!({ "error": { "code": "Authorization_RequestDenied",
                        "message": "Insufficient privileges to complete the operation." } })
                    .to_string(),
                },
            )
        };
        bench.sandbox.fault(fault).unwrap();
        let error = bench.rotate(kind, true, None).await.0.error();
        assert!(error.call().unwrap().is_about_rights(), "{error}");
        bench.sandbox.clear_faults();
        assert_eq!(bench.journal(), None);
    }
    // The mailbox is closed for everybody: no new credential could be proven.
    let mailbox = bench.mailbox.clone();
    let switch = |off: bool| {
        json!({ "exchange": { "mailboxes": { &mailbox:
            { "smtp_client_authentication_disabled": off } } } })
    };
    bench.sandbox.patch(&switch(true)).unwrap();
    bench.sandbox.advance(Duration::from_hours(3));
    let error = bench.rotate(Kind::Certificate, true, None).await.0.error();
    assert!(
        matches!(error, RotationError::PresentRefused { .. }),
        "{error}"
    );
    assert_eq!(bench.journal(), None);
    bench.sandbox.patch(&switch(false)).unwrap();
    bench.sandbox.advance(Duration::from_hours(3));
    assert_eq!((bench.named(), bench.registered()), (before, (1, 0)));
    assert_eq!(bench.files().len(), 1);
    // A certificate may be made all the same.
    bench.rotate(Kind::Certificate, true, None).await.0.done();
    bench.check_one(Kind::Certificate, "after all").await;
}

#[tokio::test]
async fn a_credential_that_has_ended_is_replaced() {
    let bench = slow().await;
    for kind in [Kind::Secret, Kind::Certificate] {
        prepared(&bench, kind).await;
        bench.sandbox.advance(Duration::from_hours(24 * 1000));
        assert!(bench.works().await.is_err());
        bench.rotate(kind, true, None).await.0.done();
        bench.check_one(kind, "ended").await;
    }
}
