//! Sessions are reused, bounded, and not kept beyond their use.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use sendas_entra::{SmtpEndpoint, TokenSource as _};
use sendas_envelope::Mailbox;
use sendas_sandbox::faults::{Effect, Fault, Step};
use sendas_smtp::ClientName;
use sendas_submit::{Connector, Pool, PoolLimits, SubmitError};
use sendas_tls::{TlsPolicy, Trust};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::stage::Stage;

#[tokio::test]
async fn one_session_serves_message_after_message() {
    let stage = Stage::start().await;
    let pool = stage.pool(PoolLimits::default());
    for n in 0..5 {
        let mut lease = pool.lease(&stage.mailbox).await.unwrap();
        assert_eq!(lease.is_reused(), n > 0);
        let attempt = lease
            .session()
            .send(&stage.envelope(2), &stage.message())
            .await;
        assert!(attempt.is_accepted(), "{attempt:?}");
    }
    assert_eq!(stage.arrived(), 5);
}

#[tokio::test]
async fn no_mailbox_has_more_sessions_than_allowed() {
    let stage = Stage::start().await;
    let pool = stage.pool(PoolLimits::default());
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(pool.lease(&stage.mailbox).await.unwrap());
    }
    let fourth = tokio::time::timeout(Duration::from_millis(100), pool.lease(&stage.mailbox)).await;
    assert!(fourth.is_err(), "the fourth waits");
    leases.pop();
    assert!(pool.lease(&stage.mailbox).await.unwrap().is_reused());
}

#[tokio::test]
async fn a_session_that_the_service_closed_is_not_lent_again() {
    let stage = Stage::start().await.without_limits();
    let pool = stage.pool(PoolLimits::default());
    let close = Fault::once(Step::End, Effect::AcceptThenClose);
    stage.sandbox.fault(close).unwrap();
    let attempt = pool
        .submit(&stage.mailbox, &stage.envelope(1), &stage.message())
        .await
        .unwrap();
    assert_eq!(
        attempt.outcomes[0].kind(),
        sendas_envelope::ReceiptOutcome::Uncertain
    );
    let mut lease = pool.lease(&stage.mailbox).await.unwrap();
    assert!(!lease.is_reused());
    assert!(
        lease
            .session()
            .send(&stage.envelope(1), &stage.message())
            .await
            .is_accepted()
    );
    assert_eq!(stage.arrived(), 2, "the uncertain one had arrived");
}

#[tokio::test]
async fn a_worn_session_is_replaced() {
    let stage = Stage::start().await.without_limits();
    let pool = stage.pool(PoolLimits {
        messages_per_session: 2,
        ..PoolLimits::default()
    });
    let mut reused = Vec::new();
    for _ in 0..4 {
        let mut lease = pool.lease(&stage.mailbox).await.unwrap();
        reused.push(lease.is_reused());
        assert!(
            lease
                .session()
                .send(&stage.envelope(1), &stage.message())
                .await
                .is_accepted()
        );
    }
    assert_eq!(reused, [false, true, false, true]);
}

#[tokio::test]
async fn a_refused_token_is_not_used_again() {
    let stage = Stage::start().await;
    let pool = stage.pool(PoolLimits::default());
    let refusal = Effect::Reply {
        code: 535,
        text: "5.7.3 Authentication unsuccessful".to_owned(),
    };
    stage
        .sandbox
        .fault(Fault::once(Step::Auth, refusal))
        .unwrap();
    let error = pool.lease(&stage.mailbox).await.err().unwrap();
    assert!(matches!(error, SubmitError::Auth { .. }), "{error}");
    assert!(
        pool.lease(&stage.mailbox).await.is_ok(),
        "the next one has a fresh token"
    );
    let requests = stage.sandbox.journal(0);
    let tokens = requests.iter().filter(|e| {
        serde_json::to_string(e)
            .unwrap()
            .contains("/oauth2/v2.0/token")
    });
    assert_eq!(tokens.count(), 2);
}

#[tokio::test]
async fn a_session_left_half_way_is_not_lent_again() {
    let stage = Stage::start().await;
    let pool = stage.pool(PoolLimits::default());
    stage
        .sandbox
        .fault(Fault::once(Step::End, Effect::Stall))
        .unwrap();
    let (envelope, message) = (stage.envelope(1), stage.message());
    let sending = pool.submit(&stage.mailbox, &envelope, &message);
    tokio::select! {
        _ = sending => panic!("the service never answers"),
        () = stage.fault_struck() => {}
    }
    let lease = pool.lease(&stage.mailbox).await.unwrap();
    assert!(
        !lease.is_reused(),
        "its replies would be taken for another message's"
    );
}

#[tokio::test]
async fn a_switch_of_the_mailbox_is_not_the_tokens_fault() {
    let stage = Stage::start().await;
    let pool = stage.pool(PoolLimits::default());
    let outside = stage.sandbox.details().mailbox_outside.parse().unwrap();
    for _ in 0..3 {
        let error = pool.lease(&outside).await.err().unwrap();
        assert!(error.to_string().contains("disabled for the"), "{error}");
    }
    assert_eq!(stage.tokens.token().await.unwrap().generation().0, 1);
}

#[tokio::test]
async fn a_mailbox_without_rights_does_not_cost_the_others_their_token() {
    let stage = Stage::start().await;
    let pool = stage.pool(PoolLimits::default());
    drop(pool.lease(&stage.mailbox).await.unwrap());
    let unknown = "nobody@contoso.onmicrosoft.com".parse().unwrap();
    for _ in 0..3 {
        let error = pool.lease(&unknown).await.err().unwrap();
        assert!(error.to_string().contains("535 5.7.3"), "{error}");
    }
    assert_eq!(stage.tokens.token().await.unwrap().generation().0, 1);
}

#[tokio::test]
async fn a_thousand_mailboxes_do_not_connect_at_once() {
    let stage = Stage::start().await;
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = SmtpEndpoint {
        host: "127.0.0.1".to_owned(),
        port: silent.local_addr().unwrap().port(),
    };
    let name = ClientName::new("client.example").unwrap();
    let connector = Connector::new(&endpoint, name, TlsPolicy::new(Trust::System));
    let tokens = Arc::clone(&stage.tokens);
    let pool = Pool::new(
        connector,
        tokens,
        Arc::clone(&stage.clock),
        PoolLimits::default(),
    );
    let mut leases = JoinSet::new();
    for n in 0..1000 {
        let pool = pool.clone();
        let mailbox: Mailbox = format!("m{n}@contoso.com").parse().unwrap();
        leases.spawn(async move { pool.lease(&mailbox).await.map(drop) });
    }
    let mut open = Vec::new();
    while open.len() < 64 {
        open.push(silent.accept().await.unwrap());
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(
        silent.accept().now_or_never().is_none(),
        "the others wait for their turn"
    );
    open.pop();
    // Whoever fails gives its turn to the next.
    silent.accept().await.unwrap();
}
