//! Sessions that accept everything, and what they saw.

use super::*;

/// Runs a session that accepts everything, and notes what happened.
struct Host {
    session: Session,
    seen: Vec<String>,
}

impl Host {
    fn new(endings: LineEndings) -> Self {
        let mut session = Session::new(endings, false);
        session.reply(&Reply::new(220, "ready"));
        Self {
            session,
            seen: Vec::new(),
        }
    }

    fn feed(&mut self, octets: &[u8]) -> &mut Self {
        self.session.input().extend_from_slice(octets);
        while let Some(event) = self.session.next_event() {
            let code = match &event {
                Event::Body(_) | Event::Chunk { .. } => None,
                Event::Data => Some(354),
                Event::Quit => Some(221),
                Event::StartTls => Some(220),
                Event::Auth { initial: None, .. } => Some(334),
                Event::Auth { .. } | Event::AuthResponse(_) => Some(235),
                Event::AuthCancelled => Some(501),
                Event::Violation(_) => Some(503),
                _ => Some(250),
            };
            self.seen.push(match event {
                Event::Body(octets) => format!("body {:?}", String::from_utf8_lossy(&octets)),
                Event::Violation(violation) => format!("{violation:?}"),
                Event::Hello { name, .. } => format!("hello {name}"),
                Event::Mail(mail) => format!("mail {}", mail.reverse_path),
                Event::Rcpt(rcpt) => format!("rcpt {}", rcpt.recipient.path),
                Event::Auth { mechanism, .. } => format!("auth {mechanism}"),
                Event::AuthResponse(_) => "response".into(),
                Event::Chunk { octets, last } => format!("chunk {octets} {last}"),
                other => format!("{other:?}").to_lowercase(),
            });
            if let Some(code) = code {
                self.session.reply(&Reply::new(code, "x"));
            }
        }
        self
    }
}

fn seen(octets: &[u8]) -> Vec<String> {
    Host::new(LineEndings::Strict).feed(octets).seen.clone()
}

const OPEN: &[u8] = b"EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n";

fn opened(rest: &[u8]) -> Vec<String> {
    seen(&[OPEN, rest].concat()).split_off(3)
}

#[test]
fn a_pipelined_message_by_data() {
    assert_eq!(
        opened(b"DATA\r\n..one\r\n.\r\nQUIT\r\n"),
        ["data", "body \".one\\r\\n\"", "messageend", "quit"]
    );
}

#[test]
fn a_pipelined_message_by_chunks() {
    assert_eq!(
        opened(b"BDAT 4\r\na\r\nbBDAT 2 LAST\r\n\r\nMAIL FROM:<>\r\n"),
        [
            "chunk 4 false",
            "body \"a\\r\\nb\"",
            "chunkend",
            "chunk 2 true",
            "body \"\\r\\n\"",
            "messageend",
            "mail <>"
        ]
    );
    assert_eq!(opened(b"BDAT 0 LAST\r\n"), ["chunk 0 true", "messageend"]);
}

#[test]
fn order_is_kept() {
    assert_eq!(seen(b"MAIL FROM:<a@b.c>\r\n"), ["HelloMissing"]);
    assert_eq!(
        seen(b"RCPT TO:<a@b.c>\r\nDATA\r\n"),
        ["MailMissing", "MailMissing"]
    );
    assert_eq!(opened(b"MAIL FROM:<>\r\n"), ["NestedMail"]);
    assert_eq!(opened(b"AUTH PLAIN\r\n"), ["AuthNotNow"]);
    assert_eq!(
        opened(b"BDAT 1\r\nxDATA\r\nRCPT TO:<a@b.c>\r\n")[3..],
        ["DataAfterChunk", "DataAfterChunk"]
    );
    assert_eq!(
        seen(b"EHLO c\r\nMAIL FROM:<>\r\nDATA\r\n")[2..],
        ["RecipientMissing"]
    );
    assert_eq!(opened(b"RSET\r\nDATA\r\n"), ["reset", "MailMissing"]);
    assert_eq!(opened(b"EHLO d\r\nDATA\r\n"), ["hello d", "MailMissing"]);
}

#[test]
fn an_unwanted_chunk_is_swallowed_whole() {
    assert_eq!(
        seen(b"BDAT 11 LAST\r\nMAIL FROM\r\nNOOP\r\n"),
        ["MailMissing", "noop"]
    );
    assert_eq!(
        seen(b"BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n"),
        ["MailMissing", "noop"]
    );
}

#[test]
fn plaintext_behind_starttls_ends_the_session() {
    let mut host = Host::new(LineEndings::Strict);
    host.feed(b"EHLO c\r\nSTARTTLS\r\nEHLO evil\r\n");
    assert_eq!(host.seen, ["hello c", "PlaintextAfterStartTls"]);
    assert!(host.session.is_closed());
}

#[test]
fn tls_forgets_what_was_said_before() {
    let mut host = Host::new(LineEndings::Strict);
    host.feed(b"EHLO c\r\nSTARTTLS\r\n");
    assert!(host.session.wants_handshake());
    host.session.secured();
    host.feed(b"MAIL FROM:<>\r\nEHLO c\r\nSTARTTLS\r\n");
    assert_eq!(host.seen[2..], ["HelloMissing", "hello c", "AlreadySecure"]);
}

#[test]
fn auth_in_one_step_and_two() {
    let mut host = Host::new(LineEndings::Strict);
    host.feed(b"EHLO c\r\nAUTH XOAUTH2 dGVzdA==\r\nAUTH XOAUTH2 x\r\n");
    assert_eq!(host.seen[1..], ["auth XOAUTH2", "AuthNotNow"]);
    let mut host = Host::new(LineEndings::Strict);
    host.feed(b"EHLO c\r\nAUTH LOGIN\r\ndGVzdA==\r\n");
    assert_eq!(host.seen[1..], ["auth LOGIN", "response"]);
    assert_eq!(
        seen(b"EHLO c\r\nAUTH LOGIN\r\n*\r\nNOOP\r\n")[2..],
        ["authcancelled", "noop"]
    );
}

#[test]
fn a_long_auth_line_is_taken_and_another_is_not() {
    let token = "x".repeat(6000);
    assert_eq!(
        seen(format!("EHLO c\r\nAUTH XOAUTH2 {token}\r\n").as_bytes())[1..],
        ["auth XOAUTH2"]
    );
    assert_eq!(
        seen(format!("NOOP {token}\r\nNOOP\r\n").as_bytes()),
        ["LineTooLong", "noop"]
    );
}

#[test]
fn bare_line_ends_are_fatal_where_the_end_is_in_doubt() {
    assert_eq!(
        opened(b"DATA\r\nx\n.\r\nNOOP\r\n"),
        ["data", "BareLineEndInBody { data: true }"]
    );
    assert_eq!(seen(b"NOOP\nNOOP\r\nNOOP\r\n"), ["BareLineEnd"]);
    assert_eq!(
        opened(b"BDAT 2 LAST\r\nx\nNOOP\r\n"),
        [
            "chunk 2 true",
            "body \"x\\n\"",
            "BareLineEndInBody { data: false }",
            "noop"
        ]
    );
}

#[test]
fn nothing_behind_a_chunk_of_unknown_size_is_a_command() {
    for line in [
        "BDAT 99999999999999999999",
        "BDAT -5 LAST",
        "BDAT 5 FIRST",
        "BDAT",
    ] {
        let seen = opened(format!("{line}\r\nRSET\r\nMAIL FROM:<x@y.z>\r\n").as_bytes());
        assert_eq!(seen, ["Command(Chunk)"], "{line}");
    }
}

#[test]
fn a_binary_body_may_hold_anything_but_comes_by_bdat() {
    let start = b"EHLO c\r\nMAIL FROM:<a@b.c> BODY=BINARYMIME\r\nRCPT TO:<d@e.f>\r\n";
    let by = |rest: &[u8]| seen(&[start, rest].concat()).split_off(3);
    assert_eq!(by(b"DATA\r\n"), ["DataAfterChunk"]);
    assert_eq!(
        by(b"BDAT 2 LAST\r\n\0\n"),
        ["chunk 2 true", "body \"\\0\\n\"", "messageend"]
    );
}

proptest::proptest! {
    #[test]
    fn hostile_octets_never_panic_and_any_cut_is_alike(
        words in proptest::collection::vec(proptest::sample::select(vec![
            &b"EHLO c\r\n"[..], b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<d@e.f>\r\n", b"DATA\r\n", b"BDAT 7\r\n",
            b"BDAT 3 LAST\r\n", b".\r\n", b"x\r\n", b"\n", b"\r", b"\0", b"STARTTLS\r\n", b"AUTH LOGIN\r\n", b"*\r\n",
            b"RSET\r\n", b"\xff",
        ]), 0..12),
        cut in 0usize..120,
    ) {
        let octets = words.concat();
        let cut = cut.min(octets.len());
        // A cut right behind STARTTLS makes honest what would have been an injection.
        if octets.windows(8).any(|w| w == b"STARTTLS") {
            Host::new(LineEndings::Strict).feed(&octets);
        } else {
            let (mut whole, mut parts) = (Host::new(LineEndings::Strict), Host::new(LineEndings::Strict));
            whole.feed(&octets);
            parts.feed(&octets[..cut]).feed(&octets[cut..]);
            let flat = |host: &Host| host.seen.iter().filter(|e| !e.starts_with("body")).cloned().collect::<Vec<_>>();
            proptest::prop_assert_eq!(flat(&whole), flat(&parts));
            proptest::prop_assert_eq!(whole.session.output(), parts.session.output());
        }
    }
}
