//! Random walks through the verbs: after every step the spool agrees with itself.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use sendas_spool::{
    Change, CheckDepth, Claim, Filter, MessageId, Outcome, RecipientState, Settlement, Spool,
    SpoolError, State, Verdict,
};

use crate::support::{Home, LEASE, accept, at, body, mailbox};

#[derive(Clone, Debug)]
enum Step {
    Accept { octets: usize, recipients: usize },
    Claim,
    MarkDot,
    Settle(Vec<u8>),
    GiveBack,
    Hold,
    Release,
    Retry,
    Remove,
    Restore,
    Judge(bool),
    Wait(i64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3000usize, 1..4usize)
            .prop_map(|(octets, recipients)| Step::Accept { octets, recipients }),
        1 => Just(Step::Accept { octets: 300_000, recipients: 1 }),
        4 => Just(Step::Claim),
        2 => Just(Step::MarkDot),
        4 => proptest::collection::vec(0..6u8, 3).prop_map(Step::Settle),
        1 => Just(Step::GiveBack),
        2 => Just(Step::Hold),
        2 => Just(Step::Release),
        1 => Just(Step::Retry),
        2 => Just(Step::Remove),
        2 => Just(Step::Restore),
        2 => any::<bool>().prop_map(Step::Judge),
        3 => (1..200i64).prop_map(Step::Wait),
        1 => Just(Step::Reopen),
    ]
}

/// The walker: what it was promised and what it holds.
struct Walk {
    home: Home,
    spool: Spool,
    now: i64,
    bodies: BTreeMap<MessageId, Vec<u8>>,
    claims: Vec<Claim>,
}

impl Walk {
    async fn take(&mut self, step: &Step) {
        let now = at(self.now);
        match step {
            Step::Accept { octets, recipients } => {
                let wanted = vec![7; *octets];
                let to: Vec<_> = ["a@x.org", "b@x.org", "c@x.org"][..*recipients].to_vec();
                let id = accept(&self.spool, &to, &wanted, self.now).await;
                assert_eq!(
                    self.bodies.insert(id, wanted),
                    None,
                    "an id was given twice"
                );
            }
            Step::Claim => {
                let claims = self.spool.claim(&mailbox(), 2, LEASE, now).await;
                self.claims.extend(claims.unwrap());
            }
            Step::MarkDot => {
                if let Some(claim) = self.claims.last() {
                    let dot = self.spool.mark_dot(claim, claim.numbers.clone(), now).await;
                    assert!(matches!(dot, Ok(()) | Err(SpoolError::Stale(_))), "{dot:?}");
                }
            }
            Step::Settle(kinds) => {
                if let Some(claim) = self.claims.pop() {
                    let outcomes = claim
                        .numbers
                        .iter()
                        .zip(kinds)
                        .filter_map(|(&number, &kind)| Some((number, self.outcome(kind)?)))
                        .collect();
                    let settlement = Settlement {
                        outcomes,
                        ..Settlement::default()
                    };
                    self.settle(&claim, settlement).await;
                }
            }
            Step::GiveBack => {
                if let Some(claim) = self.claims.pop() {
                    let until = Some((at(self.now + 30), "token".to_owned()));
                    let settlement = Settlement::give_back(&claim, until);
                    self.settle(&claim, settlement).await;
                }
            }
            Step::Hold => {
                let hold = Change::Hold {
                    reason: "operator".to_owned(),
                    until: Some(at(self.now + 60)),
                };
                self.change(&hold).await;
            }
            Step::Release => self.change(&Change::Release).await,
            Step::Retry => self.change(&Change::Retry).await,
            Step::Remove => {
                let undo_until = at(self.now + 100);
                let remove = Change::Remove { undo_until };
                self.change(&remove).await;
            }
            Step::Restore => self.change(&Change::Restore).await,
            Step::Judge(resend) => {
                let suspects = Filter::state(State::Suspect);
                let ids = self.spool.read(move |v| v.ids(&suspects, None, 9)).await;
                for id in ids.unwrap() {
                    let verdict = if *resend {
                        Verdict::Resend
                    } else {
                        Verdict::Hold
                    };
                    self.spool.judge(id, verdict, now).await.unwrap();
                }
            }
            Step::Wait(seconds) => {
                self.now += seconds;
                let keep = Duration::from_mins(3);
                let swept = self.spool.sweep(keep, at(self.now)).await.unwrap();
                assert!(!swept.more);
            }
            Step::Reopen => {
                self.spool.close().await;
                self.spool = self.home.open(self.now);
                // What it held under its old seat has ended.
            }
        }
    }

    async fn change(&self, change: &Change) {
        let all = Filter::open();
        let count = self.spool.change(&all, change, at(self.now)).await.unwrap();
        assert!(count <= self.bodies.len() as u64);
    }

    fn outcome(&self, kind: u8) -> Option<Outcome> {
        let reply = "the service's words".to_owned();
        let status = None;
        let reason = "some".to_owned();
        Some(match kind {
            0 | 1 => Outcome::Accepted { status, reply },
            2 => Outcome::Deferred {
                until: at(self.now + 50),
                reason,
                status,
                reply,
            },
            3 => Outcome::Refused {
                reason,
                status,
                reply,
            },
            4 => Outcome::Uncertain { reply },
            _ => return None,
        })
    }

    async fn settle(&self, claim: &Claim, settlement: Settlement) {
        let settled = self.spool.settle(claim, settlement, at(self.now)).await;
        let stale = matches!(settled, Err(SpoolError::Stale(_) | SpoolError::NotFound(_)));
        assert!(settled.is_ok() || stale, "{settled:?}");
    }

    /// The spool agrees with itself, and with what was promised.
    async fn agree(&self, step: &Step) {
        let report = self.spool.check(CheckDepth::Bodies, at(self.now)).await;
        assert_eq!(report.unwrap().findings, [] as [&str; 0], "{step:?}");
        let messages = self
            .spool
            .read(|view| view.list(&Filter::default(), None, 1000))
            .await
            .unwrap();
        for message in &messages {
            let wanted = &self.bodies[&message.id];
            let open = message.deliveries.iter().any(|d| {
                matches!(
                    d.state,
                    RecipientState::Waiting | RecipientState::Held | RecipientState::Suspect
                )
            });
            match message.state {
                State::Settled | State::Removed => assert!(!open, "{step:?}: {message:?}"),
                State::Claimed => {}
                _ => assert!(open, "{step:?}: {message:?}"),
            }
            if message.state != State::Settled {
                assert!(&body(&self.spool, message.id).await == wanted, "{step:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_walk_agrees_with_itself(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let home = Home::new();
            let spool = home.open(0);
            let (bodies, claims) = (BTreeMap::new(), Vec::new());
            let mut walk = Walk { home, spool, now: 1, bodies, claims };
            for step in &steps {
                walk.take(step).await;
                walk.agree(step).await;
            }
            walk.spool.close().await;
        });
    }

    #[test]
    fn any_octets_are_imported_or_refused(
        octets in proptest::collection::vec(any::<u8>(), 0..200),
        begin in any::<bool>(),
    ) {
        let mut stream = Vec::new();
        if begin {
            stream.extend_from_slice(b"{\"sendas\":\"spool-export\",\"v\":1,\"at\":0}\n");
        }
        stream.extend_from_slice(&octets);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let home = Home::new();
            let spool = home.open(0);
            let report = spool.import(std::io::Cursor::new(stream), at(0)).await;
            assert!(matches!(report, Err(SpoolError::Import { .. })), "{report:?}");
            spool.close().await;
        });
    }
}
