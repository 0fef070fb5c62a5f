//! Headers before and after, and messages that are not taken.

use sendas_config::{Pattern, RewriteFrom};
use sendas_envelope::ReversePath;

use super::*;
use crate::policy::Policy;
use crate::policy::test_settings::{client, principal, relay};

fn facts(rewrite: RewriteFrom, endings: LineEndings) -> Facts {
    let mut settings = client("hp", &["10.0.0.1"], &["own@contoso.com", "two@contoso.com"]);
    settings.rewrite_from = rewrite;
    settings.line_endings = endings;
    settings
        .senders
        .push(Pattern::parse("*@devices.contoso.com").unwrap());
    let policy = Policy::new(&relay(vec![settings]), &[principal(&["*"])]).unwrap();
    let client = Arc::clone(&policy.clients()[0]);
    let given = ReversePath::parse("own@contoso.com").unwrap();
    Facts {
        id: "id1".to_owned(),
        now: "2026-11-23T05:06:07Z".parse().unwrap(),
        hostname: "relay.contoso.com".into(),
        sender: policy.sender(&client, &given).unwrap(),
        client,
        greeting: "hp_floor(2)\u{7f}".to_owned(),
        peer: "[10.0.0.1]".to_owned(),
        protocol: "ESMTP",
        is_binary: false,
    }
}

fn take(facts: &Facts, message: &[u8], cut: usize) -> Result<(String, Arrived), IntakeError> {
    let mut intake = Intake::new(facts.clone());
    let mut out = Vec::new();
    for piece in message.chunks(cut.max(1)) {
        intake.push(Bytes::copy_from_slice(piece), &mut out)?;
    }
    let arrived = intake.finish(&mut out)?;
    Ok((String::from_utf8_lossy(&out.concat()).into_owned(), arrived))
}

const TRACE: &str = "Received: from hp_floor?2?? ([10.0.0.1])\r\n\tby relay.contoso.com (sendas) with ESMTP id id1;\r\n\tMon, 23 Nov 2026 05:06:07 +0000\r\n";
const DATE: &str = "Date: Mon, 23 Nov 2026 05:06:07 +0000\r\n";
const ID: &str = "Message-ID: <id1@relay.contoso.com>\r\n";

#[test]
fn what_is_missing_is_added_and_nothing_else_is_touched() {
    let plain = facts(RewriteFrom::Never, LineEndings::Strict);
    let tolerant = facts(RewriteFrom::Never, LineEndings::Normalize);
    let full = "Date: x\r\nmessage-id:<y>\r\nFROM: Own <own@contoso.com>\r\nX:\r\n\t  odd  \r\n\r\nbody\r\n.\r\n";
    for (facts, message, expected) in [
        (&plain, full, format!("{TRACE}{full}")),
        (
            &plain,
            "Subject: s\r\n\r\nb\r\n",
            format!("{TRACE}{DATE}{ID}From: own@contoso.com\r\nSubject: s\r\n\r\nb\r\n"),
        ),
        (
            &plain,
            "\r\nb",
            format!("{TRACE}{DATE}{ID}From: own@contoso.com\r\n\r\nb\r\n"),
        ),
        (
            &plain,
            "Bcc: secret@x.y,\r\n more@x.y\r\nSubject: s\r\nbcc: z@x.y\r\n",
            format!("{TRACE}{DATE}{ID}From: own@contoso.com\r\nSubject: s\r\n\r\n"),
        ),
        (
            &plain,
            "Date:\r\nSubject: s\r\nMessage-ID: \r\n\r\nb\r\n",
            format!("{TRACE}{DATE}{ID}From: own@contoso.com\r\nSubject: s\r\n\r\nb\r\n"),
        ),
        (
            &tolerant,
            "Toner is low\r\n\r\nreally\r\n",
            format!("{TRACE}{DATE}{ID}From: own@contoso.com\r\n\r\nToner is low\r\n\r\nreally\r\n"),
        ),
    ] {
        for cut in [1, 2, 3, 7, 1000] {
            let (found, _) = take(facts, message.as_bytes(), cut).unwrap();
            assert_eq!(found, expected, "{message:?} cut at {cut}");
        }
    }
    let (_, arrived) = take(&plain, "Subject: ä\r\n b\r\n\r\n".as_bytes(), 100).unwrap();
    assert_eq!(
        arrived,
        Arrived {
            is_eight_bit: true,
            message_id: "<id1@relay.contoso.com>".to_owned(),
            subject: "ä b".to_owned(),
        }
    );
}

#[test]
fn who_it_is_from() {
    use IntakeError::{Author, NotAllowed};
    let rest = "Date: d\r\nMessage-ID: <m>\r\n";
    let of = |rewrite| facts(rewrite, LineEndings::Strict);
    let table: &[(RewriteFrom, &str, Result<&str, IntakeError>)] = &[
        (RewriteFrom::Never, "From: a@x.y\r\n", Err(NotAllowed)),
        (
            RewriteFrom::Never,
            "From: own@contoso.com, a@x.y\r\n",
            Err(NotAllowed),
        ),
        (
            RewriteFrom::Never,
            "From: own@contoso.com\r\nSender: a@x.y\r\n",
            Err(NotAllowed),
        ),
        (
            RewriteFrom::Never,
            "From: own@contoso.com\r\nResent-From: a@x.y\r\n",
            Err(NotAllowed),
        ),
        (
            RewriteFrom::Never,
            "From: own@contoso.com\r\nFrom: two@contoso.com\r\n",
            Err(Author),
        ),
        (RewriteFrom::Never, "From: a b@c.d\r\n", Err(Author)),
        (RewriteFrom::Never, "From:\r\n", Err(Author)),
        (
            RewriteFrom::Never,
            "From: x@devices.contoso.com\r\n",
            Ok("From: x@devices.contoso.com\r\n"),
        ),
        (
            RewriteFrom::IfNotAllowed,
            "From: =?utf-8?q?X?= <a@x.y>\r\n",
            Ok(
                "From: own@contoso.com\r\nReply-To: =?utf-8?q?X?= <a@x.y>\r\nX-Original-From: =?utf-8?q?X?= <a@x.y>\r\n",
            ),
        ),
        (
            RewriteFrom::IfNotAllowed,
            "From: a@x.y\r\nReply-To: r@x.y\r\n",
            Ok("From: own@contoso.com\r\nX-Original-From: a@x.y\r\nReply-To: r@x.y\r\n"),
        ),
        (
            RewriteFrom::IfNotAllowed,
            "From: two@contoso.com\r\n",
            Ok("From: two@contoso.com\r\n"),
        ),
        (
            RewriteFrom::IfNotAllowed,
            "From: nobody\r\n",
            Ok("From: own@contoso.com\r\nX-Original-From: nobody\r\n"),
        ),
        (
            RewriteFrom::Always,
            "From: two@contoso.com\r\nSender: a@x.y\r\n",
            Ok(
                "From: own@contoso.com\r\nReply-To: two@contoso.com\r\nX-Original-From: two@contoso.com\r\nX-Original-Sender: a@x.y\r\n",
            ),
        ),
    ];
    for (rewrite, header, expected) in table {
        let message = format!("{header}{rest}\r\nbody\r\n");
        let found = take(&of(*rewrite), message.as_bytes(), 1000).map(|(text, _)| text);
        let expected = expected.map(|expected| {
            // What replaces stands on top, what is kept stays behind it.
            format!("{TRACE}{expected}{rest}\r\nbody\r\n")
        });
        assert_eq!(found, expected, "{header:?}");
    }
}

#[test]
fn what_is_not_taken() {
    let plain = facts(RewriteFrom::Never, LineEndings::Strict);
    let hops = "Received: x\r\n".repeat(51);
    let own = "Received: from a by relay.contoso.com (sendas) with\r\n".repeat(4);
    let endless = "X: y\r\n".repeat(60_000);
    for (message, expected) in [
        ("", IntakeError::Empty),
        ("From x\r\nSubject: s\r\n\r\n", IntakeError::NotAField(1)),
        ("Subject: s\r\nno field\r\n\r\n", IntakeError::NotAField(2)),
        (" folded\r\n\r\n", IntakeError::NotAField(1)),
        ("Subject: s\nFrom: x\r\n\r\n", IntakeError::LineEnd(1)),
        ("Subject: s\0\r\n\r\n", IntakeError::LineEnd(1)),
        (&hops, IntakeError::Loop),
        (&own, IntakeError::Loop),
        (&endless, IntakeError::HeaderTooLong),
    ] {
        for cut in [1, 4096] {
            let found = take(&plain, message.as_bytes(), cut).map(|_| ());
            assert_eq!(
                found,
                Err(expected),
                "{:?}",
                &message[..message.len().min(40)]
            );
        }
    }
}

#[test]
fn a_binary_body_gets_no_line_end() {
    let mut binary = facts(RewriteFrom::Never, LineEndings::Strict);
    binary.is_binary = true;
    let (found, _) = take(&binary, b"Date: d\r\n\r\n\0\n", 3).unwrap();
    assert!(found.ends_with("\r\n\r\n\0\n"), "{found:?}");
}

proptest::proptest! {
    #[test]
    fn a_body_comes_out_as_it_went_in(
        body in proptest::collection::vec(proptest::sample::select(b"ab.\r\n:\xff".to_vec()), 0..80),
        cut in 1usize..50,
    ) {
        let plain = facts(RewriteFrom::Never, LineEndings::Strict);
        let message = [b"Date: d\r\nFrom: own@contoso.com\r\n\r\n".as_slice(), &body].concat();
        let mut intake = Intake::new(plain);
        let mut out = Vec::new();
        for piece in message.chunks(cut) {
            intake.push(Bytes::copy_from_slice(piece), &mut out).unwrap();
        }
        intake.finish(&mut out).unwrap();
        let out = out.concat();
        let at = memmem::find(&out, b"\r\n\r\n").unwrap() + 4;
        let mut expected = body.clone();
        if !message.ends_with(b"\r\n") {
            expected.extend_from_slice(b"\r\n");
        }
        proptest::prop_assert_eq!(&out[at..], &expected[..]);
    }
}
