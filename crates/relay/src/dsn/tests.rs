//! Notices as they are read, and who reads them.

use sendas_envelope::{Class, EnvelopeId, ForwardPath, OriginalRecipient};

use super::*;

fn facts() -> Facts {
    Facts {
        id: "n1".to_owned(),
        hostname: "relay.contoso.com".to_owned(),
        from: "postmaster@contoso.com".parse().unwrap(),
        to: "it@contoso.com".parse().unwrap(),
        now: "2026-11-23T05:06:07Z".parse().unwrap(),
        arrived_at: "2026-11-18T05:06:07Z".parse().unwrap(),
        queue_id: "q1".to_owned(),
        message_id: "<m@x.y>".to_owned(),
        envelope_id: Some(EnvelopeId::new("env 1").unwrap()),
        service: "smtp.office365.com".to_owned(),
    }
}

fn fate(action: Action, to: &str, reply: &str) -> Fate {
    let mut recipient = Recipient::new(ForwardPath::parse(to).unwrap());
    recipient.original = Some(OriginalRecipient::rfc822("a+b@x.y").unwrap());
    Fate {
        recipient,
        action,
        status: Status::new(Class::Permanent, 1, 1),
        reply: reply.to_owned(),
        is_from_service: true,
        until: None,
    }
}

#[test]
fn a_failure() {
    let reply =
        "550 5.1.1 no such mailbox\u{1b}[2J and a text that goes on and on until it no longer fits";
    let fates = [fate(Action::Failed, "a@x.y", reply)];
    let original = b"Subject: s\r\nX: =_sendas_n1_0\r\n\r\nbody\r\n";
    let text = String::from_utf8(compose(&facts(), &fates, Original::Header(original))).unwrap();
    let expected = "From: Mail relay <postmaster@contoso.com>\r
To: <it@contoso.com>\r
Subject: Undelivered mail\r
Date: Mon, 23 Nov 2026 05:06:07 +0000\r
Message-ID: <n1@relay.contoso.com>\r
In-Reply-To: <m@x.y>\r
References: <m@x.y>\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status;\r
\tboundary=\"=_sendas_n1_1\"\r
\r
This is a notice about a mail message, in MIME format.\r
\r
--=_sendas_n1_1\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: 8bit\r
\r
This message could not be delivered to:\r
\r
  a@x.y\r
    Microsoft's answer: 550 5.1.1 no such mailbox?[2J and a text that goes\r
    on and on until it no longer fits\r
\r
It was handed to relay.contoso.com on Wed, 18 Nov 2026 05:06:07 +0000 and is known there as q1.\r
\r
--=_sendas_n1_1\r
Content-Type: message/delivery-status\r
\r
Original-Envelope-Id: env 1\r
Reporting-MTA: dns; relay.contoso.com\r
Arrival-Date: Wed, 18 Nov 2026 05:06:07 +0000\r
\r
Original-Recipient: rfc822;a+b@x.y\r
Final-Recipient: rfc822;a@x.y\r
Action: failed\r
Status: 5.1.1\r
Remote-MTA: dns; smtp.office365.com\r
Diagnostic-Code: smtp; 550 5.1.1 no such mailbox?[2J and a text that goes on and on until it\r
\tno longer fits\r
Last-Attempt-Date: Mon, 23 Nov 2026 05:06:07 +0000\r
\r
--=_sendas_n1_1\r
Content-Type: text/rfc822-headers\r
Content-Transfer-Encoding: 7bit\r
\r
Subject: s\r
X: =_sendas_n1_0\r
\r
--=_sendas_n1_1--\r
";
    assert_eq!(text, expected);
}

#[test]
fn the_whole_message_and_addresses_beyond_ascii() {
    let mut late = fate(Action::Delayed, "müller@bücher.example", "later");
    late.until = Some("2026-11-28T05:06:07Z".parse().unwrap());
    late.is_from_service = false;
    let original = "Subject: ä\r\n\r\nbody".as_bytes();
    let out = compose(&facts(), &[late], Original::Whole(original));
    let text = String::from_utf8(out).unwrap();
    for piece in [
        "Subject: Delayed mail\r\n",
        "Final-Recipient: utf-8;m\\x{FC}ller@b\\x{FC}cher.example\r\n",
        "Action: delayed\r\n",
        "Diagnostic-Code: x-sendas; later\r\n",
        "Will-Retry-Until: Sat, 28 Nov 2026 05:06:07 +0000\r\n",
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: ä\r\n\r\nbody\r\n",
    ] {
        assert!(text.contains(piece), "{piece}\n{text}");
    }
    assert!(
        text.split("\r\n")
            .all(|line| line.len() <= 998 && !line.contains(['\r', '\n']))
    );
}

#[test]
fn who_is_told() {
    let owner: Option<Address> = Some("it@contoso.com".parse().unwrap());
    for (sender, owner, is_rewritten, expected) in [
        ("a@contoso.com", &None, false, Some("a@contoso.com")),
        ("a@contoso.com", &owner, false, Some("it@contoso.com")),
        ("a@contoso.com", &owner, true, Some("it@contoso.com")),
        ("a@contoso.com", &None, true, None),
        ("", &owner, false, None),
        ("", &None, false, None),
    ] {
        let memo = Memo {
            owner: owner.clone(),
            is_rewritten,
            delay_told: Vec::new(),
            met: Vec::new(),
        };
        let told = addressee(&ReversePath::parse(sender).unwrap(), &memo);
        assert_eq!(
            told.as_ref().map(Address::as_str),
            expected,
            "{sender} {owner:?}"
        );
    }
}

#[test]
fn who_wants_to_be_told() {
    for (notify, expected) in [
        (None, [true, false, false]),
        (Some("NEVER"), [false; 3]),
        (Some("FAILURE"), [true, false, false]),
        (Some("SUCCESS,DELAY"), [false, true, true]),
    ] {
        let parsed = notify.map(|text| text.parse().unwrap());
        let found = [Action::Failed, Action::Delayed, Action::Relayed].map(|a| a.is_wanted(parsed));
        assert_eq!(found, expected, "{notify:?}");
    }
}
