//! Spools in fresh folders, submissions, times.

use std::time::Duration;

use jiff::Timestamp;
use sendas_envelope::{Address, Envelope, Mailbox, Recipient};
use sendas_spool::{Accepted, Claim, MessageId, Options, Spool, Submission, Summary};
use tempfile::TempDir;

pub(crate) const LEASE: Duration = Duration::from_mins(1);

/// A time in the life of a test: seconds after its beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + seconds).unwrap()
}

pub(crate) fn mailbox() -> Mailbox {
    "Noreply@contoso.com".parse().unwrap()
}

pub(crate) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// A submission from `printer@contoso.com`.
pub(crate) fn submission(recipients: &[&str]) -> Submission {
    let recipients = recipients
        .iter()
        .map(|r| Recipient::from(address(r)))
        .collect();
    let envelope = Envelope::new(address("printer@contoso.com"), recipients).unwrap();
    Submission::new(envelope, mailbox())
}

/// A spool in a folder of its own.
pub(crate) struct Home {
    pub(crate) folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options::new(self.folder.path().join("spool.db"))
    }

    pub(crate) fn open(&self, seconds: i64) -> Spool {
        Spool::open(&self.options(), at(seconds)).unwrap()
    }

    /// The names of the files with bodies.
    pub(crate) fn segments(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.options().bodies())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| n.strip_suffix(".seg").is_some())
            .collect();
        names.sort();
        names
    }
}

pub(crate) async fn accept(spool: &Spool, to: &[&str], body: &[u8], seconds: i64) -> MessageId {
    let staged = spool.stage_whole(body).await.unwrap();
    let Accepted { id, duplicate } = spool
        .accept(submission(to), staged, at(seconds))
        .await
        .unwrap();
    assert!(!duplicate);
    id
}

pub(crate) async fn claim(spool: &Spool, seconds: i64) -> Claim {
    let mut claims = spool
        .claim(&mailbox(), 1, LEASE, at(seconds))
        .await
        .unwrap();
    assert_eq!(claims.len(), 1);
    claims.remove(0)
}

pub(crate) async fn show(spool: &Spool, id: MessageId) -> Summary {
    spool
        .read(move |view| view.message(id))
        .await
        .unwrap()
        .summary
}

/// The whole body, piece by piece.
pub(crate) async fn body(spool: &Spool, id: MessageId) -> Vec<u8> {
    let mut body = spool.body(id, at(0)).await.unwrap();
    let mut whole = Vec::new();
    while let Some(piece) = body.piece().await.unwrap() {
        whole.extend_from_slice(&piece);
    }
    assert_eq!(whole.len() as u64, body.octets());
    whole
}
