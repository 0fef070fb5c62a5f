//! Slow clients, in time that jumps from timer to timer.

use std::sync::Arc;
use std::time::Duration;

use sendas_config::ListenTls;
use sendas_entra::SystemClock;
use sendas_spool::{Options, Spool};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_util::sync::CancellationToken;

use super::{Ended, Peer, Seat, serve};
use crate::context::{Context, Counters};
use crate::listener::Seats;
use crate::policy::Policy;
use crate::policy::test_settings::{client, principal, relay};

/// Runs a session against a client; says how it ended and how long it took.
fn run<F: Future<Output = ()>>(
    seats: (u32, u32),
    behave: impl FnOnce(DuplexStream) -> F,
) -> (Ended, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let now = "2026-11-23T05:06:07Z".parse().unwrap();
    let spool = Spool::open(&Options::new(folder.path().join("spool.db")), now).unwrap();
    let mut settings = relay(vec![client("c", &["10.0.0.1"], &["a@contoso.com"])]);
    settings.message_size_octets_max = 1 << 20;
    let policy = Policy::new(&settings, &[principal(&["*"])]).unwrap();
    let (max, taken) = seats;
    let seats = Arc::new(Seats::new(max, max));
    let address = "10.0.0.1".parse().unwrap();
    let _places: Vec<_> = (0..taken).filter_map(|_| seats.take(address)).collect();
    let context = Arc::new(Context::new(
        spool,
        Arc::new(SystemClock::new()),
        "relay.test".into(),
        seats,
        Arc::new(Counters::default()),
        CancellationToken::new(),
    ));
    let seat = Seat {
        peer: Peer {
            address,
            tls: ListenTls::None,
            is_local: false,
        },
        policy: Arc::new(policy),
        tls: None,
    };
    let (near, far) = tokio::io::duplex(64 * 1024);
    sendas_testkit::clock::paused(async {
        let (ended, ()) = tokio::join!(serve(context, near, seat), behave(far));
        ended
    })
}

async fn drip(mut io: DuplexStream, first: &[u8], every: Duration) {
    let mut greeting = [0; "220 relay.test ESMTP sendas\r\n".len()];
    io.read_exact(&mut greeting).await.unwrap();
    if io.write_all(first).await.is_err() {
        return;
    }
    while io.write_all(b"x").await.is_ok() {
        tokio::time::sleep(every).await;
    }
}

const BODY: &[u8] =
    b"MAIL FROM:<a@contoso.com>\r\nRCPT TO:<x@example.org>\r\nBDAT 1000000 LAST\r\n";

#[test]
fn whoever_is_slow_is_left() {
    let second = Duration::from_secs(1);
    let (ended, passed) = run((100, 1), |mut io| async move {
        let mut all = String::new();
        io.read_to_string(&mut all).await.unwrap();
        assert!(
            all.starts_with("220 ") && all.ends_with("421 4.4.2 Too slow\r\n"),
            "{all}"
        );
    });
    assert_eq!(ended, Ended::TooSlow);
    assert!(passed >= Duration::from_mins(5) && passed < Duration::from_mins(6));

    let (ended, passed) = run((100, 1), |io| drip(io, b"", second));
    assert_eq!(ended, Ended::TooSlow);
    assert!(
        passed >= Duration::from_mins(1) && passed < Duration::from_mins(2),
        "{passed:?}"
    );

    let (ended, passed) = run((100, 1), |mut io| async move {
        let mut greeting = [0; "220 relay.test ESMTP sendas\r\n".len()];
        io.read_exact(&mut greeting).await.unwrap();
        io.write_all(b"EHLO c\r\n").await.unwrap();
        let mut hello = vec![0; 4096];
        assert!(io.read(&mut hello).await.unwrap() > 0);
        io.write_all(BODY).await.unwrap();
        while io.write_all(b"x").await.is_ok() {
            tokio::time::sleep(second).await;
        }
    });
    assert_eq!(ended, Ended::TooSlow);
    assert!(
        passed > Duration::from_secs(30) && passed < Duration::from_mins(1),
        "{passed:?}"
    );
}

#[test]
fn patience_ends_sooner_when_seats_are_scarce() {
    let (ended, passed) = run((10, 9), |mut io| async move {
        let mut all = String::new();
        io.read_to_string(&mut all).await.unwrap();
    });
    assert_eq!(ended, Ended::TooSlow);
    assert!(passed < Duration::from_secs(15), "{passed:?}");
}
