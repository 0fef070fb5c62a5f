//! The attack catalogue against the conversation: what is said, what is taken, what is not.

use std::sync::Arc;

use sendas_config::{LineEndings, ListenTls, RelayClient};

#[path = "../../tests/all/forms.rs"]
mod forms;

use super::*;
use crate::policy::Policy;
use crate::policy::test_settings::{client, principal, relay, with_login};
use forms::{FORMS, TRUE_END_INSIDE};

/// A conversation with a store that keeps everything in memory.
struct Bench {
    conversation: Conversation,
    out: String,
    kept: Vec<Vec<u8>>,
    arriving: Option<Vec<u8>>,
    is_closed: bool,
    checks: Vec<String>,
}

impl Bench {
    fn of(clients: Vec<RelayClient>, peer: &str, tls: ListenTls) -> Self {
        let policy = Policy::new(&relay(clients), &[principal(&["*@contoso.com"])]).unwrap();
        let peer = Peer {
            address: peer.parse().unwrap(),
            tls,
            is_local: false,
        };
        Self::with(policy, peer)
    }

    /// The socket for programs of this machine.
    fn local() -> Self {
        let clients = vec![client("c", &["10.0.0.1"], &["a@contoso.com"])];
        let principals = [principal(&["noreply@contoso.com", "*@contoso.com"])];
        let peer = Peer {
            address: "127.0.0.1".parse().unwrap(),
            tls: ListenTls::None,
            is_local: true,
        };
        Self::with(Policy::new(&relay(clients), &principals).unwrap(), peer)
    }

    fn with(policy: Policy, peer: Peer) -> Self {
        let conversation =
            Conversation::new(Arc::new(policy), "relay.test".into(), peer, Health::Ready);
        let mut bench = Self {
            conversation,
            out: String::new(),
            kept: Vec::new(),
            arriving: None,
            is_closed: false,
            checks: Vec::new(),
        };
        bench.run();
        bench
    }

    fn new() -> Self {
        let c = client("c", &["10.0.0.1"], &["a@contoso.com"]);
        Self::of(vec![c], "10.0.0.1", ListenTls::Starttls)
    }

    fn tolerant() -> Self {
        let mut c = client("c", &["10.0.0.1"], &["a@contoso.com"]);
        c.line_endings = LineEndings::Normalize;
        Self::of(vec![c], "10.0.0.1", ListenTls::Starttls)
    }

    fn feed(&mut self, octets: &[u8]) -> &mut Self {
        if !self.is_closed {
            self.conversation.input().extend_from_slice(octets);
            self.run();
        }
        self
    }

    fn run(&mut self) {
        loop {
            let step = self.conversation.step();
            match step {
                Step::Read => break,
                Step::Check {
                    user,
                    password,
                    client,
                } => {
                    self.checks.push(format!("{user}:{}", password.as_str()));
                    let client = client.filter(|_| *password == "sesame");
                    self.conversation.checked(&user, client);
                }
                Step::Meter { .. } => self.conversation.metered(false),
                Step::Begin(_) => self.arriving = Some(Vec::new()),
                Step::Octets(octets) => {
                    if let Some(body) = &mut self.arriving {
                        body.extend_from_slice(&octets);
                    }
                }
                Step::End => {
                    self.kept.extend(self.arriving.take());
                    self.conversation
                        .stored(&sendas_smtp::Reply::new(250, "2.0.0 Kept"));
                }
                Step::Abandon => self.arriving = None,
                Step::Handshake => self.conversation.secured(),
                Step::Close => {
                    self.is_closed = true;
                    break;
                }
            }
        }
        let output = self.conversation.output();
        self.out.push_str(&String::from_utf8_lossy(output));
        output.clear();
    }

    /// The codes of the replies since the last call; a trailing `!` when the session is over.
    fn codes(&mut self) -> String {
        let mut codes: Vec<String> = self
            .out
            .lines()
            .filter(|line| line.as_bytes().get(3) == Some(&b' '))
            .map(|line| line[..3].to_owned())
            .collect();
        self.out.clear();
        if self.is_closed {
            codes.push("!".to_owned());
        }
        codes.join(" ")
    }
}

const OPEN: &[u8] = b"MAIL FROM:<a@contoso.com>\r\nRCPT TO:<x@example.org>\r\n";
const TAIL: &[u8] =
    b"MAIL FROM:<evil@contoso.com>\r\nRCPT TO:<y@example.org>\r\nDATA\r\nsmuggled\r\n.\r\n";

fn opened(mut bench: Bench) -> Bench {
    bench.feed(b"EHLO c\r\n").feed(OPEN);
    assert_eq!(bench.codes(), "220 250 250 250");
    bench
}

fn deliver(make: fn() -> Bench, body: &[u8], cut: usize) -> (Vec<Vec<u8>>, bool, String) {
    let mut bench = opened(make());
    bench.feed(b"DATA\r\n");
    assert_eq!(bench.codes(), "354");
    for piece in body.chunks(cut.max(1)) {
        bench.feed(piece);
    }
    let codes = bench.codes();
    (bench.kept, bench.is_closed, codes)
}

#[test]
fn no_form_but_crlf_dot_crlf_ends_a_message() {
    for form in FORMS {
        for start in [&b"Subject: s\r\n\r\nx"[..], b""] {
            let body = [start, form, TAIL].concat();
            for cut in [body.len(), 1, 2, 3] {
                let (kept, is_closed, codes) = deliver(Bench::new, &body, cut);
                let name = format!("{} cut at {cut}: {codes}", form.escape_ascii());
                // Either the session is over, or all of it is one message.
                match kept.as_slice() {
                    [] => assert!(is_closed && codes.starts_with("554"), "{name}"),
                    [one] => {
                        let smuggled = memchr::memmem::find(one, b"smuggled").is_some();
                        assert!(smuggled && codes == "250", "{name}");
                    }
                    _ => panic!("{name}: two messages"),
                }
                if form == TRUE_END_INSIDE {
                    continue;
                }
                let (kept, is_closed, codes) = deliver(Bench::tolerant, &body, cut);
                let whole = kept.len() == 1 && codes == "250";
                assert!(
                    whole || kept.is_empty() && is_closed,
                    "tolerant, {name}, {codes}"
                );
            }
        }
    }
}

#[test]
fn no_form_ends_a_chunk_or_an_overlong_message() {
    for form in FORMS {
        let body = [b"x".as_slice(), form, TAIL].concat();
        let mut bench = opened(Bench::new());
        bench.feed(format!("BDAT {} LAST\r\n", body.len()).as_bytes());
        bench.feed(&body).feed(b"NOOP\r\n");
        let codes = bench.codes();
        assert!(["250 250", "554 250"].contains(&codes.as_str()), "{codes}");
        assert!(bench.kept.len() <= 1);

        let long = [vec![b'x'; 1200], body].concat();
        let (kept, is_closed, codes) = deliver(Bench::new, &long, 64);
        assert!(kept.is_empty(), "{}", form.escape_ascii());
        assert!(is_closed || codes == "552", "{codes}");
    }
}

#[test]
fn a_message_without_its_end_is_not_kept() {
    for rest in [&b"x\r\n."[..], b"x\r\n.\r", b"x", b""] {
        let (kept, _, codes) = deliver(Bench::new, rest, 100);
        assert!(kept.is_empty() && codes.is_empty());
    }
}

#[test]
fn nothing_is_believed_from_before_tls() {
    let mut bench = Bench::new();
    bench
        .feed(b"EHLO c\r\n")
        .feed(b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<a@contoso.com>\r\n");
    assert_eq!(bench.codes(), "220 250 554 !");
    let mut bench = Bench::new();
    bench.feed(b"EHLO c\r\n").feed(OPEN).codes();
    bench
        .feed(b"STARTTLS\r\n")
        .feed(b"RCPT TO:<x@example.org>\r\n")
        .feed(b"MAIL FROM:<a@contoso.com>\r\n");
    assert_eq!(bench.codes(), "220 503 503");
    let mut bench = Bench::new();
    bench
        .feed(b"EHLO c\r\n")
        .feed(b"STARTTLS now\r\n")
        .feed(b"STARTTLS\r\n")
        .feed(b"EHLO c\r\n")
        .feed(b"STARTTLS\r\n");
    assert_eq!(bench.codes(), "220 250 501 220 250 503");
}

#[test]
fn nothing_is_injected_through_a_command() {
    for line in [
        &b"MAIL FROM:<a@contoso.com> AUTH=x+0D+0Ay"[..],
        b"MAIL FROM:<a@contoso.com> ENVID=a+0Ab",
        b"MAIL FROM:<a@contoso.com> SIZE=1\x0b2",
        b"MAIL FROM:<a@contoso.com> SIZE=-1",
        b"MAIL FROM:<a@contoso.com> SIZE=99999999999999999999999",
        b"MAIL FROM:<a@contoso.com> BODY=9BIT",
        b"MAIL FROM:<a@contoso.com> X=1",
        b"MAIL FROM:<a@contoso.com>\0",
        b"MAIL FROM:<a@con\rtoso.com>",
        b"MAIL FROM:<a@contoso.com\nRCPT TO:<x@example.org>",
        b"MAIL FROM:<\"a\x01\"@contoso.com>",
        b"MAIL FROM:<@evil.example:a@contoso.com>",
        b"MAIL FROM:<\xff@contoso.com>",
    ] {
        let mut bench = Bench::new();
        bench.feed(b"EHLO c\r\n").codes();
        bench
            .feed(line)
            .feed(b"\r\n")
            .feed(b"RCPT TO:<x@example.org>\r\n");
        let codes = bench.codes();
        let refused = ["501 503", "555 503", "552 503", "554 !"];
        assert!(
            refused.contains(&codes.as_str()),
            "{}: {codes}",
            line.escape_ascii()
        );
    }
    for line in [&b"EHLO a\x1b[2Jb"[..], b"EHLO a b", b"EHLO", b"HELO \xff"] {
        let mut bench = Bench::new();
        bench.feed(line).feed(b"\r\n");
        assert_eq!(bench.codes(), "220 501", "{}", line.escape_ascii());
    }
}

#[test]
fn long_lines_cost_nothing() {
    let mut bench = Bench::new();
    bench.feed(b"EHLO c\r\n").codes();
    for _ in 0..1000 {
        bench.feed(&[b'x'; 4096]);
        assert!(bench.conversation.input().len() <= 8192);
    }
    bench.feed(b"\r\n").feed(b"NOOP\r\n");
    assert_eq!(bench.codes(), "500 250");
}

#[test]
fn sizes_are_counted_and_announced() {
    let mut bench = Bench::new();
    bench.feed(b"EHLO c\r\n");
    assert!(bench.out.contains("250-SIZE 1000\r\n"), "{}", bench.out);
    bench.codes();
    bench.feed(b"MAIL FROM:<a@contoso.com> SIZE=1001\r\n");
    assert_eq!(bench.codes(), "552");
    let (kept, is_closed, codes) = deliver(
        Bench::new,
        &[vec![b'x'; 1100], b"\r\n.\r\n".to_vec()].concat(),
        10,
    );
    assert!(kept.is_empty() && !is_closed && codes == "552", "{codes}");
    let flood = vec![b'x'; 33 * 1024 * 1024 + 1100];
    let (kept, is_closed, codes) = deliver(Bench::new, &flood, 60_000);
    assert!(kept.is_empty() && is_closed && codes == "552 !", "{codes}");
}

#[test]
fn chunks_cannot_be_abused() {
    for (lines, expected) in [
        (&b"BDAT -1\r\nRSET\r\n"[..], "501 !"),
        (b"BDAT 18446744073709551615 LAST\r\nRSET\r\n", "501 !"),
        (b"BDAT 18446744073709551616\r\nRSET\r\n", "501 !"),
        (b"BDAT 999999999 LAST\r\nx", "552 !"),
        (b"BDAT 0\r\nBDAT 0 LAST\r\n", "250 250"),
        (b"BDAT 2\r\nx\nBDAT 2 LAST\r\nyy", "554 503"),
        (b"BDAT 1\r\nxDATA\r\n", "250 503"),
        (
            b"BDAT 1\r\nxRCPT TO:<z@example.org>\r\nBDAT 0 LAST\r\n",
            "250 503 250",
        ),
        (b"BDAT 1\r\nxRSET\r\nBDAT 1 LAST\r\ny", "250 250 503"),
        (b"BDAT 1\r\nxQUIT\r\n", "250 221 !"),
        (b"BDAT 1200\r\n", ""),
    ] {
        let mut bench = opened(Bench::new());
        bench.feed(lines);
        assert_eq!(bench.codes(), expected, "{}", lines.escape_ascii());
    }
    let mut bench = opened(Bench::new());
    bench
        .feed(b"BDAT 1200\r\n")
        .feed(&[b'x'; 1200])
        .feed(b"BDAT 1 LAST\r\ny")
        .feed(b"RSET\r\n");
    assert_eq!(bench.codes(), "552 503 250");
    assert!(bench.kept.is_empty());
    let mut bench = Bench::new();
    bench
        .feed(b"EHLO c\r\n")
        .feed(b"MAIL FROM:<a@contoso.com> BODY=BINARYMIME\r\nRCPT TO:<x@example.org>\r\n");
    bench.feed(b"BDAT 4\r\n\0\n\r.BDAT 1 LAST\r\nz");
    assert_eq!(bench.codes(), "220 250 250 250 250 250");
    assert_eq!(bench.kept, [b"\0\n\r.z"]);
}

#[test]
fn a_client_must_wait_and_work() {
    let mut bench = Bench::new();
    bench.feed(b"EHLO c\r\nMAIL FROM:<a@contoso.com>\r\n");
    assert_eq!(bench.codes(), "220 554 !");
    let mut bench = opened(Bench::new());
    bench.feed(b"DATA\r\nSubject: s\r\n\r\n.\r\n");
    assert_eq!(bench.codes(), "554 !");
    assert!(bench.kept.is_empty());
    let mut bench = Bench::new();
    for _ in 0..200 {
        bench.feed(b"NOOP\r\n");
    }
    let codes = bench.codes();
    assert!(codes.ends_with("250 421 !") && codes.len() < 4 * 103 + 2);
    let mut bench = Bench::new();
    for _ in 0..50 {
        bench.feed(b"XYZZY\r\n");
    }
    assert!(bench.codes().ends_with("500 421 !"));
    let mut bench = Bench::new();
    bench
        .conversation
        .set_condition(Health::Ready, Patience::Stressed);
    bench.feed(b"XYZZY\r\nXYZZY\r\nXYZZY\r\n");
    assert_eq!(bench.codes(), "220 500 500 421 !");
}

#[test]
fn other_protocols_are_sent_away_without_an_echo() {
    for line in [
        "GET /secret HTTP/1.1",
        "POST / HTTP/1.1",
        "Host: relay.test",
        "CONNECT x:25",
    ] {
        let mut bench = Bench::new();
        bench
            .feed(line.as_bytes())
            .feed(b"\r\nMAIL FROM:<a@contoso.com>\r\n");
        assert!(!bench.out.contains("secret") && !bench.out.contains("HTTP"));
        assert_eq!(bench.codes(), "220 421 !", "{line}");
    }
}

#[test]
fn logins() {
    let people = || {
        let mut plain = with_login(
            client("plain", &["10.0.0.0/8"], &["a@contoso.com"]),
            "plain",
        );
        plain.plaintext_auth = true;
        vec![
            with_login(client("erp", &[], &["a@contoso.com"]), "erp"),
            plain,
        ]
    };
    // From afar, only after TLS.
    let mut bench = Bench::of(people(), "192.0.2.1", ListenTls::Starttls);
    bench.feed(b"EHLO c\r\n");
    assert!(!bench.out.contains("AUTH"), "{}", bench.out);
    bench.codes();
    bench
        .feed(b"AUTH PLAIN AGVycABzZXNhbWU=\r\n")
        .feed(b"MAIL FROM:<a@contoso.com>\r\n");
    assert_eq!(bench.codes(), "538 530");
    assert!(
        bench.checks.is_empty(),
        "the password was not even looked at"
    );
    bench.feed(b"STARTTLS\r\n").feed(b"EHLO c\r\n");
    assert!(
        bench.out.contains("250 AUTH PLAIN LOGIN\r\n"),
        "{}",
        bench.out
    );
    bench.codes();
    bench.feed(b"MAIL FROM:<a@contoso.com>\r\n");
    assert_eq!(bench.codes(), "530");
    // Every way to say it.
    for (lines, expected) in [
        (&[&b"AUTH PLAIN AGVycABzZXNhbWU="[..]][..], "235 250"),
        (&[b"AUTH PLAIN", b"AGVycABzZXNhbWU="], "334 235 250"),
        (&[b"AUTH LOGIN", b"ZXJw", b"c2VzYW1l"], "334 334 235 250"),
        (&[b"AUTH LOGIN ZXJw", b"c2VzYW1l"], "334 235 250"),
        (&[b"auth login", b"*"], "334 501 530"),
        (&[b"AUTH LOGIN", b"ZXJw", b"*"], "334 334 501 530"),
        (&[b"AUTH PLAIN !!!"], "501 530"),
        (&[b"AUTH PLAIN ="], "501 530"),
        (&[b"AUTH PLAIN b3RoZXIAZXJwAHNlc2FtZQ=="], "501 530"),
        (&[b"AUTH LOGIN ZXJw", b"d3Jvbmc="], "334 535 530"),
        (&[b"AUTH LOGIN bm9ib2R5", b"c2VzYW1l"], "334 535 530"),
        (&[b"AUTH XOAUTH2 eA=="], "504 530"),
        (&[b"AUTH CRAM-MD5"], "504 530"),
    ] {
        let mut bench = Bench::of(people(), "192.0.2.1", ListenTls::Implicit);
        bench.feed(b"EHLO c\r\n").codes();
        for line in lines {
            bench.feed(line).feed(b"\r\n");
        }
        bench.feed(b"MAIL FROM:<a@contoso.com>\r\n");
        assert_eq!(bench.codes(), expected, "{}", lines.concat().escape_ascii());
    }
    // The prompts that devices compare.
    let mut bench = Bench::of(people(), "192.0.2.1", ListenTls::Implicit);
    bench
        .feed(b"EHLO c\r\n")
        .feed(b"AUTH LOGIN\r\n")
        .feed(b"ZXJw\r\n");
    assert!(
        bench
            .out
            .ends_with("334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n"),
        "{}",
        bench.out
    );
    // Only who may log in in clear does.
    let mut bench = Bench::of(people(), "10.0.0.9", ListenTls::None);
    bench
        .feed(b"EHLO c\r\n")
        .feed(b"AUTH PLAIN AGVycABzZXNhbWU=\r\n");
    bench.feed(b"AUTH PLAIN AHBsYWluAHNlc2FtZQ==\r\n");
    assert_eq!(bench.codes(), "220 250 535 235");
    // Guessing ends the session.
    let mut bench = Bench::of(people(), "192.0.2.1", ListenTls::Implicit);
    bench.feed(b"EHLO c\r\n");
    for _ in 0..5 {
        bench.feed(b"AUTH PLAIN AGVycAB3cm9uZw==\r\n");
    }
    assert_eq!(bench.codes(), "220 250 535 535 421 !");
}

#[test]
fn no_trick_makes_it_an_open_relay() {
    let mut bench = Bench::of(
        vec![client("c", &["10.0.0.1"], &["a@contoso.com"])],
        "192.0.2.1",
        ListenTls::None,
    );
    assert_eq!(bench.codes(), "554 !", "strangers are told at once");
    for (sender, recipient, expected) in [
        ("spoof@contoso.com", "x@example.org", "550 503"),
        ("a@example.org", "x@example.org", "550 503"),
        ("a@[10.0.0.1]", "x@example.org", "550 503"),
        ("a@contoso.com", "x%example.org@contoso.com", "250 550"),
        ("a@contoso.com", "x%example.org@[10.0.0.1]", "250 550"),
        ("a@contoso.com", "\"x@example.org\"@contoso.com", "250 550"),
        ("a@contoso.com", "\"x%example.org\"", "250 501"),
        ("a@contoso.com", "@contoso.com:x@example.org", "250 501"),
        ("a@contoso.com", "example.org!x", "250 501"),
        ("a@contoso.com", "example.org!x@contoso.com", "250 550"),
        ("a@contoso.com", "", "250 501"),
        ("a@contoso.com", "Postmaster", "250 550"),
        ("a@contoso.com", "x@example.org\" ", "250 501"),
        ("", "x@example.org", "250 250"),
    ] {
        let mut bench = Bench::new();
        bench.feed(b"EHLO c\r\n").codes();
        bench.feed(format!("MAIL FROM:<{sender}>\r\n").as_bytes());
        bench.feed(format!("RCPT TO:<{recipient}>\r\n").as_bytes());
        assert_eq!(bench.codes(), expected, "{sender} {recipient}");
    }
}

#[test]
fn a_client_over_its_rate_is_put_off_at_mail() {
    let mut c = client("c", &["10.0.0.1"], &["a@contoso.com"]);
    c.messages_per_minute = Some(1);
    let mut bench = Bench::of(vec![c], "10.0.0.1", ListenTls::None);
    bench.feed(b"EHLO c\r\n").feed(OPEN);
    assert_eq!(bench.codes(), "220 250 450 503");
}

#[test]
fn a_whole_session() {
    let mut bench = opened(Bench::new());
    bench
        .feed(b"DATA\r\n")
        .feed(b"Subject: s\r\n\r\n..dot\r\n.\r\n")
        .feed(OPEN);
    bench
        .feed(b"BDAT 3\r\na\r\n")
        .feed(b"BDAT 3 LAST\r\nb\r\nQUIT\r\n");
    assert_eq!(bench.codes(), "354 250 250 250 250 250 221 !");
    assert_eq!(
        bench.kept,
        [&b"Subject: s\r\n\r\n.dot\r\n"[..], b"a\r\nb\r\n"]
    );
    for health in [Health::Draining, Health::Failed] {
        let mut bench = Bench::new();
        bench.feed(b"EHLO c\r\n").codes();
        bench.conversation.set_condition(health, Patience::Normal);
        bench.feed(OPEN);
        assert_eq!(bench.codes(), "421 !");
    }
}

proptest::proptest! {
    #[test]
    fn hostile_sessions_never_panic_and_keep_nothing_unended(
        words in proptest::collection::vec(proptest::sample::select(vec![
            &b"EHLO c\r\n"[..], b"HELO c\r\n", b"MAIL FROM:<a@contoso.com>\r\n", b"MAIL FROM:<>\r\n",
            b"RCPT TO:<x@example.org>\r\n", b"DATA\r\n", b"BDAT 3\r\n", b"BDAT 3 LAST\r\n", b"abc", b".\r\n",
            b"\r\n", b"\n", b"\r", b"\0", b"STARTTLS\r\n", b"AUTH LOGIN\r\n", b"AUTH PLAIN\r\n", b"*\r\n",
            b"ZXJw\r\n", b"RSET\r\n", b"QUIT\r\n", b"VRFY x\r\n", b"\xff", b"BDAT 2000\r\n",
        ]), 0..40),
        cut in 1usize..20,
    ) {
        let mut bench = Bench::new();
        let octets = words.concat();
        for piece in octets.chunks(cut) {
            bench.feed(piece);
        }
        proptest::prop_assert!(bench.kept.len() <= 40);
    }
}

#[test]
fn a_local_program_may_pipe_its_dialogue_and_send_without_a_sender() {
    let mut bench = Bench::local();
    bench.codes();
    bench.feed(
        b"EHLO localhost\r\nMAIL FROM:<>\r\nRCPT TO:<x@example.com>\r\nDATA\r\nSubject: s\r\n\r\nb\r\n.\r\nQUIT\r\n",
    );
    assert_eq!(bench.codes(), "250 250 250 354 250 221 !");
    assert_eq!(bench.kept.len(), 1);
}

#[test]
fn a_message_that_is_taken_forgives_the_errors_before_it() {
    let mut bench = Bench::new();
    bench.feed(b"EHLO c\r\n");
    for round in 0..30 {
        bench.codes();
        bench.feed(b"MAIL FROM:<a@contoso.com>\r\n");
        bench
            .feed(b"RCPT TO:<broken\r\n")
            .feed(b"RCPT TO:<x@example.com>\r\n");
        bench
            .feed(b"DATA\r\n")
            .feed(b"Subject: s\r\n\r\nb\r\n.\r\n");
        assert_eq!(bench.codes(), "250 501 250 354 250", "round {round}");
    }
}
