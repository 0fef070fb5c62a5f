//! A thousand mailboxes with ten messages each through the sandbox with Exchange's limits on.
//!
//! At the service's own pace, thirty a minute, ten messages may leave at once: the machine is the
//! limit then, and the figure is that nothing is refused. The second part gives the relay a pace of
//! two a minute, so that ten messages take four minutes, and measures how close it comes to that.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use sendas_spool::{Filter, Options, Spool, State, Summary, View};

use crate::generator::Load;
use crate::kernel;
use crate::stage::{Relay, Sandbox, Settings};

const MAILBOXES: usize = 1_000;
const MESSAGES: u64 = 10;

pub(crate) fn run() {
    println!(
        "pace: {MAILBOXES} mailboxes, {MESSAGES} messages each, {}",
        kernel::machine()
    );
    measure("", Duration::ZERO);
    measure(
        "mailbox_messages_per_minute = 2\n",
        Duration::from_mins(MESSAGES / 2 - 1),
    );
}

/// `allowed` is what the pace makes of the messages behind the first ones.
fn measure(pace: &str, allowed: Duration) {
    let sandbox = Sandbox::start("");
    let senders: Vec<String> = (0..MAILBOXES)
        .map(|n| format!("m{n}@{}", sandbox.domain))
        .collect();
    sandbox.add_mailboxes(&senders);
    let mut relay = Relay::start(&Settings {
        sandbox: Some(&sandbox),
        more: pace,
        ..Settings::alone()
    });
    let messages = MAILBOXES as u64 * MESSAGES;
    let begin = kernel::moment();
    let taken = Load {
        address: relay.address,
        sessions: MAILBOXES,
        octets: 2_048,
        senders: senders.into(),
        messages,
        pause: Duration::ZERO,
    }
    .run();
    sandbox.wait_for(messages);
    let took = begin.elapsed();
    let cpu = relay.cpu().as_secs_f64();
    relay.stop();
    let again = tried_again(relay.path());
    let mut text = format!(
        "  {}: accepted in {:.1} s, all delivered after {:.1} s",
        pace.trim().split(" = ").nth(1).map_or_else(
            || "the service's own pace".to_owned(),
            |n| format!("{n} a minute")
        ),
        taken.seconds,
        took.as_secs_f64()
    );
    if !allowed.is_zero() {
        let over = took.as_secs_f64() / allowed.as_secs_f64() * 100.0 - 100.0;
        write!(
            text,
            ", {over:.1} % over the {} s that the pace allows",
            allowed.as_secs()
        )
        .expect("a text grows");
    }
    println!(
        "{text}; messages that the service did not take at once: {again}; \
         relay's processor time {:.2} s per 1,000",
        cpu * 1e3 / f64::from(u32::try_from(messages).unwrap_or(u32::MAX))
    );
}

/// Messages with more than one attempt, or without an end.
fn tried_again(folder: &Path) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let options = Options::new(folder.join("spool.db"));
    let spool = Spool::open(&options, Timestamp::now()).expect("it opens");
    let count = |view: &View| {
        let (mut again, mut after) = (0, None);
        loop {
            let page = view.list(&Filter::default(), after, usize::MAX)?;
            let Some(last) = page.last() else {
                return Ok(again);
            };
            after = Some(last.id);
            let troubled = |m: &&Summary| m.attempts != 1 || m.state != State::Settled;
            again += page.iter().filter(troubled).count();
        }
    };
    runtime.block_on(spool.read(count)).expect("it can be read")
}
