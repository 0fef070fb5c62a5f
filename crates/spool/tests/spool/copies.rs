//! Export, import, backup, and a body in pieces.

use std::io::Cursor;

use sendas_spool::limits::{SMALL_BODY_OCTETS_MAX, STAGED_OCTETS_MAX};
use sendas_spool::{
    Change, CheckDepth, Filter, Options, Outcome, RecipientState, Settlement, SpoolError, State,
};

use crate::support::{Home, LEASE, accept, at, body, claim, mailbox, show};

fn pattern(octets: usize) -> Vec<u8> {
    (0..octets)
        .map(|i| u8::try_from(i % 253).unwrap())
        .collect()
}

/// A spool with a deferred, a held, a claimed and a settled message; the dot of the claimed is out.
async fn filled(home: &Home) -> (sendas_spool::Spool, [sendas_spool::MessageId; 4]) {
    let spool = home.open(0);
    let deferred = accept(&spool, &["a@x.org", "b@x.org"], &pattern(300_000), 0).await;
    let first = claim(&spool, 1).await;
    let settlement = Settlement {
        outcomes: vec![
            (
                0,
                Outcome::Accepted {
                    status: None,
                    reply: "250 OK".to_owned(),
                },
            ),
            (
                1,
                Outcome::Deferred {
                    until: at(500),
                    reason: "greylisted".to_owned(),
                    status: "4.7.1".parse().ok(),
                    reply: "451 4.7.1 later".to_owned(),
                },
            ),
        ],
        ..Settlement::default()
    };
    spool.settle(&first, settlement, at(2)).await.unwrap();
    let held = accept(&spool, &["c@x.org"], b"held", 3).await;
    let hold = Change::Hold {
        reason: "operator".to_owned(),
        until: None,
    };
    spool.change(&Filter::id(held), &hold, at(4)).await.unwrap();
    let claimed = accept(&spool, &["d@x.org"], b"claimed", 5).await;
    let second = claim(&spool, 6).await;
    assert_eq!(second.id, claimed);
    spool.mark_dot(&second, vec![0], at(7)).await.unwrap();
    let settled = accept(&spool, &["e@x.org"], b"settled", 8).await;
    let third = claim(&spool, 9).await;
    let refused = Outcome::Refused {
        reason: "unknown".to_owned(),
        status: None,
        reply: "550 no".to_owned(),
    };
    let settlement = Settlement {
        outcomes: vec![(0, refused)],
        ..Settlement::default()
    };
    spool.settle(&third, settlement, at(10)).await.unwrap();
    (spool, [deferred, held, claimed, settled])
}

#[tokio::test]
async fn an_export_comes_in_again_elsewhere() {
    let (home, other) = (Home::new(), Home::new());
    let (spool, [deferred, held, claimed, settled]) = filled(&home).await;
    let (report, stream) = spool
        .export(&Filter::default(), Vec::new(), at(20))
        .await
        .unwrap();
    assert_eq!((report.messages, report.damaged), (3, vec![]));

    let target = other.open(30);
    let report = target
        .import(Cursor::new(stream.clone()), at(30))
        .await
        .unwrap();
    assert_eq!((report.messages, report.known), (3, 0));
    let there = show(&target, deferred).await;
    assert_eq!(
        (there.state, there.due, there.attempts),
        (State::Waiting, Some(at(500)), 1)
    );
    assert_eq!(there.deliveries[0].state, RecipientState::Accepted);
    assert_eq!(there.deliveries[1].reply, "451 4.7.1 later");
    assert_eq!(body(&target, deferred).await, pattern(300_000));
    assert_eq!(show(&target, held).await.state, State::Held);
    assert_eq!(show(&target, claimed).await.state, State::Suspect);
    let gone = target.read(move |view| view.message(settled)).await;
    assert!(matches!(gone, Err(SpoolError::NotFound(_))));
    let history = target
        .read(move |view| view.message(deferred))
        .await
        .unwrap();
    assert_eq!(history.attempts.len(), 1);

    // Again: all known. Where another message has the id, it gets a new one.
    let report = target
        .import(Cursor::new(stream.clone()), at(31))
        .await
        .unwrap();
    assert_eq!((report.messages, report.known), (0, 3));
    // Cut anywhere, it says so and keeps what was whole.
    for cut in [0, 10, stream.len() / 2, stream.len() - 1] {
        let piece = Cursor::new(stream[..cut].to_vec());
        let error = Home::new().open(0).import(piece, at(0)).await;
        assert!(matches!(error, Err(SpoolError::Import { .. })), "{error:?}");
    }
    let mut bad = stream.clone();
    let at_body = bad.len() - 400;
    bad[at_body] ^= 1;
    let error = Home::new().open(0).import(Cursor::new(bad), at(0)).await;
    assert!(matches!(error, Err(SpoolError::Import { .. })), "{error:?}");
}

#[tokio::test]
async fn a_backup_is_a_spool() {
    let (home, other) = (Home::new(), Home::new());
    let (spool, [deferred, held, claimed, settled]) = filled(&home).await;
    let report = spool.backup(&other.options()).await.unwrap();
    assert!(
        report.segments >= 2 && report.octets > 300_000,
        "{report:?}"
    );
    // The first goes on, and the copy is as of then.
    let release = spool
        .change(&Filter::id(held), &Change::Release, at(20))
        .await;
    assert_eq!(release.unwrap(), 1);

    let copy = other.open(30);
    assert_eq!(copy.recovery().suspect, 1);
    assert_eq!(copy.recovery().missing, [] as [&str; 0]);
    let report = copy.check(CheckDepth::Bodies, at(31)).await.unwrap();
    assert_eq!((report.findings.len(), report.bodies), (0, 3), "{report:?}");
    assert_eq!(body(&copy, deferred).await, pattern(300_000));
    assert_eq!(show(&copy, held).await.state, State::Held);
    assert_eq!(show(&copy, claimed).await.state, State::Suspect);
    assert_eq!(show(&copy, settled).await.state, State::Settled);
    // Nothing is written over.
    assert!(spool.backup(&other.options()).await.is_err());
}

#[tokio::test]
async fn any_length_in_any_pieces() {
    let home = Home::new();
    let spool = home.open(0);
    let small = SMALL_BODY_OCTETS_MAX;
    for octets in [0, 1, small - 1, small, small + 1, 2 * small, 3 * small + 7] {
        let wanted = pattern(octets);
        for size in [1021, 65_536, 10_000_000] {
            let mut staging = spool.stage().unwrap();
            for piece in wanted.chunks(size) {
                staging.write(piece).await.unwrap();
            }
            assert_eq!(staging.octets(), octets as u64);
            let staged = staging.finish().await.unwrap();
            let submission = crate::support::submission(&["a@x.org"]);
            let id = spool.accept(submission, staged, at(0)).await.unwrap().id;
            assert!(body(&spool, id).await == wanted, "{octets} in {size}");
        }
    }
}

#[tokio::test]
async fn many_submitters_share_the_memory() {
    let home = Home::new();
    let spool = home.open(0);
    let wanted = pattern(200_000);
    let mut staged = Vec::new();
    let most = STAGED_OCTETS_MAX / wanted.len();
    for _ in 0..most + 20 {
        staged.push(spool.stage_whole(&wanted).await.unwrap());
    }
    assert!(home.segments().len() >= 20, "the last ones go to files");
    let last = staged.pop().unwrap();
    let submission = crate::support::submission(&["a@x.org"]);
    let id = spool.accept(submission, last, at(0)).await.unwrap().id;
    assert!(body(&spool, id).await == wanted);
    drop(staged);
    let claims = spool.claim(&mailbox(), 9, LEASE, at(1)).await.unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!(home.segments().len(), 1);
    // All the memory is free again.
    let again = spool.stage_whole(&wanted).await.unwrap();
    assert_eq!(home.segments().len(), 1);
    drop(again);
}

#[test]
fn the_folder_of_the_bodies_lies_beside_the_index() {
    let options = Options::new("/var/lib/sendas/spool.db");
    assert_eq!(
        options.bodies().to_str(),
        Some("/var/lib/sendas/spool.db.bodies")
    );
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_the_spool() {
    use std::os::unix::fs::PermissionsExt as _;
    let (home, other) = (Home::new(), Home::new());
    let (spool, _) = filled(&home).await;
    spool.backup(&other.options()).await.unwrap();
    let mut folders = vec![
        home.folder.path().to_owned(),
        other.folder.path().to_owned(),
    ];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
            seen += 1;
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(seen > 8);
}

/// A cron job of root may write before the relay does, which has a user of its own.
#[cfg(unix)]
#[tokio::test]
async fn files_belong_to_the_owner_of_the_folder() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    const SOMEBODY: u32 = 12_345;
    let home = Home::new();
    let folder = home.folder.path();
    if std::fs::metadata(folder).unwrap().uid() == 0 {
        chown(folder, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    }
    let owner = std::fs::metadata(folder).unwrap().uid();
    let spool = home.open(0);
    accept(&spool, &["a@example.com"], b"body", 1).await;
    let mut seen = 0;
    for folder in [folder.to_owned(), home.options().bodies()] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().uid(), owner, "{:?}", entry.path());
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} files");
}
