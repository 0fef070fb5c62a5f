//! How long an honest client waits for its 250 while thousands of others only hold on.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::generator::Load;
use crate::kernel;
use crate::stage::{Relay, Settings};

/// Clients that write an octet now and then.
const SLOW: usize = 9_000;
/// Clients that send ten messages a second each.
const HONEST: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);
const MESSAGES: u64 = 5_000;

pub(crate) fn run() {
    println!(
        "calm: {HONEST} honest clients, ten messages of 10 KiB a second each, {}",
        kernel::machine()
    );
    let mut relay = Relay::start(&Settings::alone());
    let honest = Load {
        address: relay.address,
        sessions: HONEST,
        octets: 10_240,
        senders: Arc::new(["printer@contoso.com".to_owned()]),
        messages: MESSAGES,
        pause: PAUSE,
    };
    let alone = honest.run();
    tell("alone", &alone);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let most = usize::try_from(kernel::descriptors_max()).unwrap_or(SLOW);
    let slow = SLOW.min(most.saturating_sub(200));
    let held = runtime.block_on(hold(&relay, slow));
    tell(&format!("beside {slow} slow ones"), &honest.run());
    drop(held);
    relay.stop();
}

fn tell(how: &str, taken: &crate::generator::Taken) {
    let ms = |percent| taken.percentile(percent).as_secs_f64() * 1e3;
    println!(
        "  {how}: {:.0}/s, from the dot to 250: median {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        taken.rate(),
        ms(50),
        ms(99),
        ms(100)
    );
}

/// Opens the slow ones, each in the middle of a message, an octet every second from then on.
async fn hold(relay: &Relay, slow: usize) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for number in 0..slow {
        let socket = TcpSocket::new_v4().expect("a descriptor");
        let host = u8::try_from(2 + number / 2_000).expect("some addresses");
        let source = ([127, 0, 2, host], 0).into();
        socket.bind(source).expect("loopback is a whole network");
        let mut stream: TcpStream = socket.connect(relay.address).await.expect("it listens");
        tasks.spawn(async move {
            let mut buffer = [0; 1024];
            let text = b"MAIL FROM:<printer@contoso.com>\r\nRCPT TO:<x@example.org>\r\nDATA\r\n";
            let mut ended = false;
            for said in [b"EHLO slow.test\r\n".as_slice(), text] {
                let heard = stream.read(&mut buffer).await.is_ok_and(|n| n > 0);
                ended = !heard || stream.write_all(said).await.is_err();
            }
            // Its further replies are never read: they find room in the socket.
            while !ended {
                tokio::time::sleep(Duration::from_secs(1)).await;
                ended = stream.write_all(b"x").await.is_err();
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    tasks
}
