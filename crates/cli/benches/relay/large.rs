//! The largest message that the service announces, in and out: memory does not grow with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use crate::deliver::{WITHOUT_LIMITS, WITHOUT_PACE};
use crate::generator::message;
use crate::idle::mib;
use crate::kernel;
use crate::stage::{Relay, Sandbox, Settings};

/// Octets of the message; the relay's own fields find room below what is announced.
const OCTETS: usize = 150 * 1024 * 1024 - 4096;

pub(crate) fn run() {
    println!(
        "large: a message of 150 MiB, in and out, {}",
        kernel::machine()
    );
    let sandbox = Sandbox::start(WITHOUT_LIMITS);
    let mut relay = Relay::start(&Settings {
        sandbox: Some(&sandbox),
        more: WITHOUT_PACE,
        ..Settings::alone()
    });
    // Small and middling ones first: what every message needs is there.
    for (number, octets) in [
        (1, 2_048),
        (2, 2_048),
        (3, 200 * 1024),
        (4, 2 * 1024 * 1024),
    ] {
        hand_in(&relay, &message(&sandbox.mailbox, octets));
        sandbox.wait_for(number);
    }
    for (form, number) in [("DATA", 5), ("DATA again", 6)] {
        kernel::forget_peak(relay.pid());
        let before = kernel::memory_kib(relay.pid(), "VmHWM:");
        let (cpu, begin) = (relay.cpu(), kernel::moment());
        hand_in(&relay, &message(&sandbox.mailbox, OCTETS));
        let accepted = begin.elapsed().as_secs_f64();
        sandbox.wait_for(number);
        let delivered = begin.elapsed().as_secs_f64();
        let peak = kernel::memory_kib(relay.pid(), "VmHWM:");
        println!(
            "  {form}: accepted in {accepted:.1} s, delivered after {delivered:.1} s, processor time \
             {:.2} s, memory {:.1} MiB, {:.2} MiB more at most",
            relay.cpu().saturating_sub(cpu).as_secs_f64(),
            mib(before),
            mib(peak.saturating_sub(before)),
        );
    }
    relay.stop();
}

/// By DATA, as most clients do.
fn hand_in(relay: &Relay, message: &[u8]) {
    let stream = TcpStream::connect(relay.address).expect("it listens");
    let mut replies = BufReader::new(stream.try_clone().expect("a descriptor"));
    let mut stream = &stream;
    let sender = std::str::from_utf8(&message[7..])
        .ok()
        .and_then(|rest| rest.split('>').next());
    let mail = format!("MAIL FROM:<{}>\r\n", sender.expect("our own form"));
    let mut wait = |wanted: &str| loop {
        let mut line = String::new();
        replies.read_line(&mut line).expect("it answers");
        assert!(line.starts_with(wanted), "{line}");
        if line.as_bytes().get(3) != Some(&b'-') {
            return;
        }
    };
    wait("220");
    for (line, reply) in [
        ("EHLO client.test\r\n", "250"),
        (mail.as_str(), "250"),
        ("RCPT TO:<someone@example.org>\r\n", "250"),
        ("DATA\r\n", "354"),
    ] {
        stream.write_all(line.as_bytes()).expect("it reads");
        wait(reply);
    }
    stream.write_all(message).expect("it reads");
    stream.write_all(b".\r\n").expect("it reads");
    wait("250");
}
