use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::*;
use crate::TokenErrorKind;

/// A clock that a test sets.
#[derive(Default)]
struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Moment {
        let second = self.0.load(Ordering::SeqCst);
        Moment {
            wall: Timestamp::from_second(1_770_000_000 + second.cast_signed()).unwrap(),
            steady: Duration::from_secs(second),
        }
    }
}

/// Answers from a list, each after the test opened the gate once; then tokens of an hour.
struct Script {
    gate: Semaphore,
    asked: AtomicUsize,
    answers: Mutex<VecDeque<TokenError>>,
}

impl Fetch for Arc<Script> {
    fn fetch(
        &self,
        generation: Generation,
        asked: Moment,
    ) -> Pin<Box<dyn Future<Output = Result<Token, TokenError>> + Send>> {
        let script = Self::clone(self);
        script.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            script.gate.acquire().await.unwrap().forget();
            if let Some(error) = script.answers.lock().unwrap().pop_front() {
                return Err(error);
            }
            let after = |s| {
                asked
                    .wall
                    .saturating_add(SignedDuration::from_secs(s))
                    .unwrap()
            };
            let text = Zeroizing::new(format!("token-{}", generation.0));
            Ok(Token::new(text, after(3599), after(2999), generation))
        })
    }
}

fn source(answers: Vec<TokenError>) -> (EntraTokenSource, Arc<Script>, Arc<SetClock>) {
    let script = Arc::new(Script {
        gate: Semaphore::new(0),
        asked: AtomicUsize::new(0),
        answers: Mutex::new(answers.into()),
    });
    let clock = Arc::new(SetClock::default());
    let handed: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let source = EntraTokenSource::with_fetch(Arc::new(Arc::clone(&script)), handed, 5);
    (source, script, clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_are_one_request() {
    let (source, script, _) = source(Vec::new());
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.token().await.unwrap().generation() })
        })
        .collect();
    script.gate.add_permits(1000);
    for task in tasks {
        assert_eq!(task.await.unwrap(), Generation(1));
    }
    assert_eq!(script.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_end_the_request() {
    let (source, script, _) = source(Vec::new());
    {
        let first = source.token();
        let polled = tokio::time::timeout(Duration::ZERO, first).await;
        assert!(polled.is_err(), "it waits at the gate");
    }
    tokio::task::yield_now().await;
    assert_eq!(script.asked.load(Ordering::SeqCst), 1);
    script.gate.add_permits(10);
    assert_eq!(source.token().await.unwrap().generation(), Generation(1));
    assert_eq!(script.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn everybody_gets_the_failure_and_nobody_asks_before_the_pause_is_over() {
    let (source, script, clock) = source(vec![TokenError::NotUnderstood {
        host: "h".into(),
        reason: "r",
    }]);
    script.gate.add_permits(10);
    let (a, b) = tokio::join!(source.token(), source.token());
    assert_eq!(a.unwrap_err().kind(), TokenErrorKind::Service);
    assert_eq!(b.unwrap_err().kind(), TokenErrorKind::Service);
    for second in [0, 30, 59] {
        clock.0.store(second, Ordering::SeqCst);
        let error = source.token().await.unwrap_err();
        assert!(matches!(error, TokenError::CoolingDown { .. }), "{error}");
    }
    assert_eq!(script.asked.load(Ordering::SeqCst), 1);
    clock.0.store(76, Ordering::SeqCst);
    assert_eq!(source.token().await.unwrap().generation(), Generation(2));
}

#[tokio::test]
async fn a_renewal_runs_behind_the_callers_back() {
    let (source, script, clock) = source(Vec::new());
    script.gate.add_permits(1);
    source.token().await.unwrap();
    clock.0.store(3000, Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(source.token().await.unwrap().generation(), Generation(1));
        tokio::task::yield_now().await;
    }
    assert_eq!(script.asked.load(Ordering::SeqCst), 2);
    script.gate.add_permits(1);
    while source.token().await.unwrap().generation() == Generation(1) {
        tokio::task::yield_now().await;
    }
    assert_eq!(script.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refused_token_is_replaced() {
    let (source, script, _) = source(Vec::new());
    script.gate.add_permits(10);
    let first = source.token().await.unwrap();
    source.refused(first.generation());
    let second = source.token().await.unwrap();
    assert!(second.generation() > first.generation());
    source.refused(first.generation());
    assert_eq!(
        source.token().await.unwrap().generation(),
        second.generation()
    );
}

#[test]
fn a_request_lost_with_its_runtime_is_asked_anew() {
    let (source, script, _) = source(Vec::new());
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    let first = runtime();
    let waiting =
        first.block_on(async { tokio::time::timeout(Duration::ZERO, source.token()).await });
    assert!(waiting.is_err());
    drop(first);
    script.gate.add_permits(10);
    let token = runtime().block_on(source.token()).unwrap();
    assert_eq!(token.generation(), Generation(2));
}
