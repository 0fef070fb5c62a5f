//! Plain in, durable, XOAUTH2 out: the whole road to the sandbox, whose limits are off, over the
//! three connections that one mailbox may have.

use std::sync::Arc;
use std::time::Duration;

use sendas_testkit::proxy::CountingProxy;

use crate::accept::{median, spread};
use crate::generator::Load;
use crate::kernel;
use crate::stage::{Relay, Sandbox, Settings};

/// The sandbox without its limits.
pub(crate) const WITHOUT_LIMITS: &str = "[tenant.behaviour]\nlimits = \"off\"\n";

/// The relay without its pace.
pub(crate) const WITHOUT_PACE: &str =
    "mailbox_messages_per_minute = 4294967295\nmailbox_recipients_per_day = 4294967295\n";

const ROUNDS: usize = 5;

pub(crate) fn run() {
    println!(
        "deliver: in, durable, out over 3 connections, {}",
        kernel::machine()
    );
    measure(Duration::ZERO, 6_000);
    measure(Duration::from_millis(20), 1_500);
}

fn measure(round_trip: Duration, messages: u64) {
    let sandbox = Sandbox::start(WITHOUT_LIMITS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let proxy = (!round_trip.is_zero())
        .then(|| runtime.block_on(CountingProxy::start(sandbox.smtp, round_trip / 2)));
    let mut relay = Relay::start(&Settings {
        sandbox: Some(&sandbox),
        smtp_port: proxy.as_ref().map(|proxy| proxy.address().port()),
        more: WITHOUT_PACE,
        ..Settings::alone()
    });
    let load = |messages| Load {
        address: relay.address,
        sessions: 10,
        octets: 2_048,
        senders: Arc::new([sandbox.mailbox.clone()]),
        messages,
        pause: Duration::ZERO,
    };
    // The token, the connections, the first pages.
    let mut arrived = 100;
    load(arrived).run();
    sandbox.wait_for(arrived);
    let (mut rates, mut cpu, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = (relay.cpu(), kernel::cpu(sandbox.pid()), kernel::moment());
        load(messages).run();
        arrived += messages;
        sandbox.wait_for(arrived);
        let seconds = before.2.elapsed().as_secs_f64();
        let spent = |now: Duration, then: Duration| thousandth(now.saturating_sub(then), messages);
        rates.push(per_second(messages, seconds));
        cpu.push(spent(relay.cpu(), before.0));
        theirs.push(spent(kernel::cpu(sandbox.pid()), before.1));
    }
    println!(
        "  {} ms round trip: {:.0}/s{}, processor time per 1,000: relay {:.2} s, sandbox {:.2} s, {} connections",
        round_trip.as_millis(),
        median(&rates),
        spread(&rates),
        median(&cpu),
        median(&theirs),
        proxy
            .as_ref()
            .map_or_else(|| "up to 3".to_owned(), |p| p.connections().to_string()),
    );
    relay.stop();
    drop(sandbox);
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn per_second(messages: u64, seconds: f64) -> f64 {
    messages as f64 / seconds
}

/// Seconds for a thousand messages.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn thousandth(spent: Duration, messages: u64) -> f64 {
    spent.as_secs_f64() * 1e3 / messages as f64
}
