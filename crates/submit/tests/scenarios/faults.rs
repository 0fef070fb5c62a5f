//! Every step of the dialogue, every way it can go wrong: one named outcome each, in time.

use std::time::Duration;

use sendas_envelope::ReceiptOutcome::{self, Accepted, Deferred, Refused, Uncertain};
use sendas_sandbox::faults::{Effect, Fault, Step};
use sendas_submit::PoolLimits;
use tokio::time::Instant;

use crate::stage::{Stage, impatient};

/// How an attempt under a fault ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// No session: nothing was submitted, at this stage.
    NoSession(&'static str),
    Outcome(ReceiptOutcome),
}

fn effects() -> [(&'static str, Effect); 8] {
    let reply = |code, text: &str| Effect::Reply {
        code,
        text: text.to_owned(),
    };
    [
        (
            "4xx",
            reply(
                451,
                "4.7.0 Temporary server error. Please try again later. PRX1",
            ),
        ),
        ("5xx", reply(554, "5.6.0 no")),
        ("421", reply(421, "4.3.2 Service not available")),
        ("close", Effect::Close),
        ("reset", Effect::Reset),
        ("stall", Effect::Stall),
        ("garbage", Effect::Garbage),
        ("oversize", Effect::Oversize { octets: 1_000_000 }),
    ]
}

#[tokio::test]
async fn every_fault_at_every_step_has_one_outcome_in_time() {
    use Step::{
        Auth, Body, Connect, Data, Ehlo, End as Final, Greeting, Mail, Rcpt, Starttls, Tls,
    };
    let steps = [
        Connect, Greeting, Ehlo, Starttls, Tls, Auth, Mail, Rcpt, Data, Body, Final,
    ];
    let wrong = futures_util::future::join_all(steps.map(every_fault_at))
        .await
        .concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The cells of one step that did not end as they should.
async fn every_fault_at(step: Step) -> Vec<String> {
    let stage = Stage::start().await.without_limits();
    if step == Step::Data {
        let without = serde_json::json!({"behaviour": {"ehlo_without": ["CHUNKING"]}});
        stage.sandbox.patch(&without).unwrap();
    }
    let mut wrong = Vec::new();
    for (name, effect) in effects() {
        let began = Instant::now();
        let Some(end) = under(&stage, step, effect).await else {
            continue;
        };
        let took = began.elapsed();
        if !is_right(step, name, &end) || took > impatient().command + Duration::from_secs(8) {
            wrong.push(format!("{step:?} × {name}: {end:?} after {took:?}"));
        }
        stage.sandbox.clear_faults();
    }
    wrong
}

/// `None` where the fault makes no sense at the step.
async fn under(stage: &Stage, step: Step, effect: Effect) -> Option<End> {
    stage.sandbox.fault(Fault::once(step, effect)).ok()?;
    let pool = stage.pool(PoolLimits::default());
    Some(
        match pool
            .submit(&stage.mailbox, &stage.envelope(1), &stage.message())
            .await
        {
            Err(error) => End::NoSession(error.stage().name()),
            Ok(attempt) => End::Outcome(attempt.outcomes[0].kind()),
        },
    )
}

fn is_right(step: Step, effect: &str, end: &End) -> bool {
    match (step, effect) {
        (
            Step::Connect | Step::Greeting | Step::Ehlo | Step::Starttls | Step::Tls | Step::Auth,
            _,
        ) => {
            matches!(end, End::NoSession(_))
        }
        (_, "5xx") => *end == End::Outcome(Refused),
        // The whole message leaves in the flight of MAIL, so a connection that breaks at any
        // command behind AUTH leaves it open whether the service has it; by DATA it does not.
        (_, "4xx" | "421") | (Step::Data, _) => *end == End::Outcome(Deferred),
        _ => *end == End::Outcome(Uncertain),
    }
}

#[tokio::test]
async fn a_delay_is_no_failure() {
    let stage = Stage::start().await;
    for step in [
        Step::Greeting,
        Step::Ehlo,
        Step::Auth,
        Step::Mail,
        Step::End,
    ] {
        stage
            .sandbox
            .fault(Fault::once(step, Effect::Delay { ms: 50 }))
            .unwrap();
    }
    let pool = stage.pool(PoolLimits::default());
    let attempt = pool
        .submit(&stage.mailbox, &stage.envelope(1), &stage.message())
        .await
        .unwrap();
    assert_eq!(attempt.outcomes[0].kind(), Accepted);
}
