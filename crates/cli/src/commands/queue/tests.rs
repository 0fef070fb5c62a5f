//! Golden layouts and reasons of every state, on a real spool in a fresh folder.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sendas_envelope::{Address, Envelope, Recipient, Status};
use sendas_relay::dsn::Original;
use sendas_spool::{
    Change, Filter, MessageId, Options, Origin, Outcome, Settlement, Spool, State, Submission,
    Summary,
};

use super::held::Held;
use super::postfix::{self, Style};
use super::why;

const LEASE: Duration = Duration::from_mins(1);

fn at(seconds: i64) -> Timestamp {
    // 2026-11-23T05:43:49Z
    Timestamp::from_second(1_795_412_629 + seconds).unwrap()
}

struct Stage {
    spool: Spool,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&Options::new(folder.path().join("spool.db")), at(0)).unwrap();
        Self { spool, folder }
    }

    async fn accept(&self, to: &[&str]) -> MessageId {
        let recipients = to
            .iter()
            .map(|to| Recipient::from(to.parse::<Address>().unwrap()))
            .collect();
        let sender: Address = "printer@contoso.com".parse().unwrap();
        let submission = Submission {
            origin: Origin {
                client: "hp-floor-2".to_owned(),
                ..Origin::default()
            },
            subject: "Scan".to_owned(),
            message_id: "<1@contoso.com>".to_owned(),
            ..Submission::new(
                Envelope::new(sender, recipients).unwrap(),
                "noreply@contoso.com".parse().unwrap(),
            )
        };
        let staged = self
            .spool
            .stage_whole(b"Subject: Scan\r\n\r\nbody\r\n")
            .await
            .unwrap();
        self.spool
            .accept(submission, staged, at(0))
            .await
            .unwrap()
            .id
    }

    async fn attempt(&self, id: MessageId, outcome: Outcome) {
        let claim = self.spool.claim_id(id, false, LEASE, at(1)).await.unwrap();
        let outcomes = claim
            .numbers
            .iter()
            .map(|&number| (number, outcome.clone()))
            .collect();
        let settlement = Settlement {
            outcomes,
            route: "smtp.office365.com:587".to_owned(),
            ..Settlement::default()
        };
        self.spool.settle(&claim, settlement, at(2)).await.unwrap();
    }

    async fn change(&self, id: MessageId, change: Change) {
        let changed = self
            .spool
            .change(&Filter::id(id), &change, at(3))
            .await
            .unwrap();
        assert_eq!(changed, 1);
    }

    async fn summary(&self, id: MessageId) -> Summary {
        self.spool
            .read(move |view| view.message(id))
            .await
            .unwrap()
            .summary
    }
}

fn deferred(reason: &str, reply: &str) -> Outcome {
    Outcome::Deferred {
        until: at(900),
        reason: reason.to_owned(),
        status: Some(Status::new(sendas_envelope::Class::Temporary, 3, 2)),
        reply: reply.to_owned(),
    }
}

/// The row with its id, which differs from run to run, written as `I` twelve times.
fn row(summary: &Summary, style: Style) -> String {
    postfix::row(summary, style, at(10), &TimeZone::UTC)
        .replace(&summary.id.to_string(), "IIIIIIIIIIII")
}

#[tokio::test]
async fn the_table_of_mailq() {
    let stage = Stage::new();
    let fresh = stage.accept(&["a@example.com", "b@example.com"]).await;
    assert_eq!(
        row(&stage.summary(fresh).await, Style::Mailq),
        "\
IIIIIIIIIIII            23 Mon Nov 23 05:43:49 printer@contoso.com
                                               a@example.com
                                               b@example.com

"
    );

    let active = stage.accept(&["a@example.com"]).await;
    stage
        .spool
        .claim_id(active, false, LEASE, at(1))
        .await
        .unwrap();
    assert!(
        row(&stage.summary(active).await, Style::Mailq).starts_with("IIIIIIIIIIII*           23 ")
    );

    let held = stage.accept(&["a@example.com"]).await;
    let hold = Change::Hold {
        reason: "looks odd".to_owned(),
        until: None,
    };
    stage.change(held, hold).await;
    assert_eq!(
        row(&stage.summary(held).await, Style::Mailq),
        "\
IIIIIIIIIIII!           23 Mon Nov 23 05:43:49 printer@contoso.com
                                                                   (looks odd)
                                               a@example.com

"
    );

    let late = stage.accept(&["a@example.com", "b@example.com"]).await;
    stage
        .attempt(
            late,
            deferred("busy", "451 4.7.500 Server busy. Please try again later"),
        )
        .await;
    assert_eq!(
        row(&stage.summary(late).await, Style::Mailq),
        "\
IIIIIIIIIIII            23 Mon Nov 23 05:43:49 printer@contoso.com
                             (451 4.7.500 Server busy. Please try again later)
                                               a@example.com
                                               b@example.com

"
    );
    assert_eq!(postfix::foot(1, 5000), "-- 4 Kbytes in 1 Request.\n");
    assert_eq!(postfix::foot(2, 10), "-- 0 Kbytes in 2 Requests.\n");
    // Postfix cuts by column; scripts cut by word: both must find the same.
    let (head, row) = (
        postfix::HEAD,
        row(&stage.summary(active).await, Style::Mailq),
    );
    assert_eq!(head.find("--Sender"), row.find("printer@"));
    assert_eq!(row.split_whitespace().nth(6), Some("printer@contoso.com"));
}

#[tokio::test]
async fn the_lines_of_postqueue() {
    let stage = Stage::new();
    let late = stage.accept(&["a@example.com"]).await;
    stage
        .attempt(
            late,
            deferred("busy", "451 4.7.500 Server busy. Please try again later"),
        )
        .await;
    let line = postfix::json_line(&stage.summary(late).await, at(10));
    assert!(line.ends_with("}\n") && !line.trim_end().contains('\n'));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    for (member, expected) in [
        ("/queue_name", "\"deferred\""),
        ("/queue_id", &*format!("\"{late}\"")),
        ("/arrival_time", "1795412629"),
        ("/message_size", "23"),
        ("/forced_expire", "false"),
        ("/sender", "\"printer@contoso.com\""),
        ("/recipients/0/address", "\"a@example.com\""),
        (
            "/recipients/0/delay_reason",
            "\"451 4.7.500 Server busy. Please try again later\"",
        ),
        ("/state", "\"waiting\""),
        ("/mailbox", "\"noreply@contoso.com\""),
        ("/attempts", "1"),
        ("/client", "\"hp-floor-2\""),
        ("/subject", "\"Scan\""),
    ] {
        let found = value
            .pointer(member)
            .unwrap_or_else(|| panic!("no {member}"));
        assert_eq!(found.to_string(), expected, "{member}");
    }
    let fresh = stage.accept(&["a@example.com"]).await;
    let value = postfix::json_value(&stage.summary(fresh).await, at(10));
    assert_eq!(value["queue_name"], "incoming");
    assert!(value.pointer("/recipients/0/delay_reason").is_none());
}

/// The state, its words, what comes next and who can act, for one message in every state.
#[tokio::test]
async fn every_state_says_why() {
    let stage = Stage::new();
    let to = ["a@example.com"];
    let waiting = stage.accept(&to).await;
    let claimed = stage.accept(&to).await;
    stage
        .spool
        .claim_id(claimed, false, LEASE, at(1))
        .await
        .unwrap();
    let deferred_ = stage.accept(&to).await;
    stage
        .attempt(
            deferred_,
            deferred("busy", "451 4.7.500 Server busy. Please try again later"),
        )
        .await;
    let no_token = stage.accept(&to).await;
    stage
        .attempt(
            no_token,
            deferred("token", "no token: AADSTS7000222: the secret has expired"),
        )
        .await;
    let held = stage.accept(&to).await;
    let until = Some(at(7200));
    stage
        .change(
            held,
            Change::Hold {
                reason: "night".to_owned(),
                until,
            },
        )
        .await;
    let unsendable = stage.accept(&to).await;
    stage
        .attempt(
            unsendable,
            Outcome::Held {
                reason: "unsendable".to_owned(),
                status: None,
                reply: "the message is empty".to_owned(),
            },
        )
        .await;
    let suspect = stage.accept(&to).await;
    stage
        .attempt(
            suspect,
            Outcome::Uncertain {
                reply: "connection reset".to_owned(),
            },
        )
        .await;
    let removed = stage.accept(&to).await;
    stage
        .change(
            removed,
            Change::Remove {
                undo_until: at(603),
            },
        )
        .await;
    let settled = stage.accept(&to).await;
    stage
        .attempt(
            settled,
            Outcome::Accepted {
                status: None,
                reply: "250 2.0.0 OK".to_owned(),
            },
        )
        .await;
    for (id, state, text, next, who) in [
        (
            waiting,
            State::Waiting,
            "it has not been tried yet",
            "it is due: a running relay takes it as soon as its mailbox is free",
            "nobody needs to while a relay runs",
        ),
        (
            claimed,
            State::Claimed,
            "it is being sent now, attempt 1",
            "the service's reply decides",
            "nobody needs to",
        ),
        (
            no_token,
            State::Waiting,
            "no token: AADSTS7000222: the secret has expired",
            "the next attempt is at 2026-11-23T05:58:49Z",
            "whoever runs this machine",
        ),
        (
            held,
            State::Held,
            "held: night",
            "it goes on by itself at 2026-11-23T07:43:49Z",
            "you",
        ),
        (
            unsendable,
            State::Held,
            "it cannot be sent as it is: the message is empty",
            "nothing happens by itself",
            "you",
        ),
        (
            suspect,
            State::Suspect,
            "the connection broke after the last octet: the service may or may not have it",
            "nothing until somebody decides",
            "you",
        ),
        (
            removed,
            State::Removed,
            "it was removed by hand",
            "it is gone for good at 2026-11-23T05:53:52Z",
            "you",
        ),
        (
            settled,
            State::Settled,
            "every recipient has its outcome",
            "nothing",
            "nobody",
        ),
    ] {
        let summary = stage.summary(id).await;
        assert_eq!(summary.state, state);
        let why = why::of_message(&summary, at(10));
        assert_eq!(
            (&*why.text, &*why.next, &*why.who),
            (text, next, who),
            "{state}"
        );
    }
    let why = why::of_message(&stage.summary(deferred_).await, at(10));
    assert_eq!(why.next, "the next attempt is at 2026-11-23T05:58:49Z");
    assert_eq!(why.who, "nobody needs to: it passes by itself");
    assert!(why.id.is_some_and(|id| id.starts_with("S-")), "{why:?}");
}

/// What nobody has tried yet says why its mailbox cannot send.
#[tokio::test]
async fn behind_a_gate_a_message_names_what_keeps_it_shut() {
    let stage = Stage::new();
    let untried = stage.accept(&["a@example.com"]).await;
    let patient = stage.accept(&["a@example.com"]).await;
    stage
        .attempt(patient, deferred("busy", "451 4.7.500 Server busy."))
        .await;
    let text = r#"
        [[principal]]
        name = "contoso"
        tenant = "contoso.onmicrosoft.com"
        client_id = "11111111-2222-3333-4444-555555555555"
        credential = { managed_identity = {} }
        mailboxes = ["*@contoso.com"]
    "#;
    let file = stage.folder.path().join("sendas.toml");
    std::fs::write(&file, text).unwrap();
    let search = sendas_config::Search {
        option: Some(file),
        ..sendas_config::Search::default()
    };
    let loaded = sendas_config::load(&search).unwrap();
    let no = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.";
    let note = |reason: &str, text: &str, is_reply: bool, until: Timestamp| {
        serde_json::to_vec(&serde_json::json!({
            "v": 1, "reason": reason, "status": "5.7.139", "text": text, "is_reply": is_reply,
            "since": at(0).as_millisecond(), "until": until.as_millisecond(),
        }))
        .unwrap()
    };
    for (reason, text, is_reply, who, id) in [
        (
            "S-SMTP-AUTH-OFF-TENANT",
            no,
            true,
            "an Exchange administrator",
            Some("S-SMTP-AUTH-OFF-TENANT"),
        ),
        (
            "token",
            "no token: AADSTS7000222: the secret has expired",
            false,
            "whoever runs this machine",
            None,
        ),
    ] {
        let note = note(reason, text, is_reply, at(300));
        let key = "gate/principal/contoso";
        stage.spool.put_note(key, Some(note), at(5)).await.unwrap();
        let held = Held::read(&stage.spool, &loaded.settings).await.unwrap();
        let mut summary = stage.summary(untried).await;
        held.explain(&mut summary, at(10));
        let why = why::of_message(&summary, at(10));
        assert_eq!((&*why.who, why.id), (who, id), "{why:?}");
        assert_eq!(why.next, "the next attempt is at 2026-11-23T05:48:49Z");
        assert!(why.fix.is_some(), "{why:?}");
        if !is_reply {
            assert_eq!(why.text, text);
        }
        // One that waits for a later date of its own keeps it.
        let mut summary = stage.summary(patient).await;
        let before = summary.clone();
        held.explain(&mut summary, at(10));
        assert_eq!(summary.due, before.due);
        assert_eq!(summary.deliveries, before.deliveries);
    }
}

/// A reason without a reply is explained by its name.
#[tokio::test]
async fn a_reason_alone_is_explained() {
    let stage = Stage::new();
    for (reason, id, text) in [
        ("S-SMTP-AUTH-OFF-TENANT", Some("S-SMTP-AUTH-OFF-TENANT"), ""),
        ("token", None, "Entra ID gives no token"),
        (
            "connection",
            None,
            "the service was not reached, or the connection broke",
        ),
    ] {
        let message = stage.accept(&["a@example.com"]).await;
        let claim = stage
            .spool
            .claim_id(message, false, LEASE, at(1))
            .await
            .unwrap();
        let back = Settlement::give_back(&claim, Some((at(900), reason.to_owned())));
        stage.spool.settle(&claim, back, at(2)).await.unwrap();
        let why = why::of_message(&stage.summary(message).await, at(10));
        assert_eq!(why.id, id, "{why:?}");
        assert!(why.text.contains(text) && why.fix.is_some(), "{why:?}");
        assert_eq!(why.next, "the next attempt is at 2026-11-23T05:58:49Z");
    }
}

#[tokio::test]
async fn a_damaged_message_is_shown_and_never_sent() {
    let stage = Stage::new();
    let id = stage.accept(&["a@example.com"]).await;
    stage.spool.close().await;
    // One octet of the body changes on the disk.
    let bodies = stage.folder.path().join("spool.db.bodies");
    let segment = std::fs::read_dir(&bodies)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "seg"))
        .unwrap();
    let mut octets = std::fs::read(&segment).unwrap();
    let last = octets.len() - 3;
    octets[last] ^= 1;
    std::fs::write(&segment, octets).unwrap();
    let spool = Spool::open(&Options::new(stage.folder.path().join("spool.db")), at(5)).unwrap();
    assert!(spool.body(id, at(6)).await.is_err());
    let summary = spool
        .read(move |view| view.message(id))
        .await
        .unwrap()
        .summary;
    assert_eq!(summary.state, State::Damaged);
    let why = why::of_message(&summary, at(10));
    assert!(
        why.text.starts_with("its record or body does not match"),
        "{why:?}"
    );
    assert_eq!(
        postfix::json_value(&summary, at(10))["queue_name"],
        "corrupt"
    );
    let row = row(&summary, Style::Words);
    assert!(row.contains("a@example.com"), "{row}");
}

/// The administrator's side of a refusal that waiting does not mend.
#[tokio::test]
async fn a_refusal_names_who_can_mend_it() {
    let stage = Stage::new();
    for (reply, id, who) in [
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.",
            "S-SMTP-AUTH-OFF-TENANT",
            "an Exchange administrator",
        ),
        (
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
            "S-RECIPIENT-UNKNOWN",
            "the sender",
        ),
    ] {
        let message = stage.accept(&["a@example.com"]).await;
        stage.attempt(message, deferred("x", reply)).await;
        let why = why::of_message(&stage.summary(message).await, at(10));
        assert_eq!((why.id, &*why.who), (Some(id), who), "{reply}: {why:?}");
    }
}

#[tokio::test]
async fn the_notice_of_a_bounce_is_the_relays_own() {
    let stage = Stage::new();
    let id = stage.accept(&["a@example.com", "b@example.com"]).await;
    let claim = stage.spool.claim_id(id, true, LEASE, at(1)).await.unwrap();
    let status = Status::new(sendas_envelope::Class::Permanent, 0, 0);
    let postmaster: Address = "postmaster@contoso.com".parse().unwrap();
    for (desk, from) in [
        (None, "noreply@contoso.com"),
        (Some(postmaster.clone()), "postmaster@contoso.com"),
    ] {
        let desk = super::notice::Desk {
            hostname: "relay.contoso.com".to_owned(),
            postmaster: desk.map(|address| (address.clone(), address.as_str().parse().unwrap())),
        };
        let to = sendas_relay::dsn::addressee_of(&claim).unwrap();
        let own = stage.spool.next_id(at(2));
        let said = ("Given up", status);
        let header = b"Subject: Scan\r\n\r\nbody\r\n";
        let notice = desk
            .failure(&claim, to, own, Original::Header(header), said, at(2))
            .unwrap();
        let text = String::from_utf8(notice.octets).unwrap();
        for piece in [
            &format!("From: Mail relay <{from}>\r\nTo: <printer@contoso.com>\r\n"),
            "Subject: Undelivered mail\r\n",
            "Auto-Submitted: auto-replied\r\n",
            "\r\n  a@example.com\r\n    Reason: Given up\r\n",
            "\r\nReporting-MTA: dns; relay.contoso.com\r\n",
            "\r\nFinal-Recipient: rfc822;b@example.com\r\nAction: failed\r\nStatus: 5.0.0\r\n",
            "\r\nDiagnostic-Code: x-sendas; Given up\r\n",
            "\r\n\r\nSubject: Scan\r\n\r\n--",
        ] {
            assert!(text.contains(piece), "{piece}\n{text}");
        }
        let submission = notice.submission;
        assert_eq!(submission.mailbox.as_str(), from);
        assert_eq!(submission.envelope.reverse_path.as_str(), "");
        let to = &submission.envelope.recipients()[0];
        assert_eq!(to.path.as_str(), "printer@contoso.com");
    }
}

#[tokio::test]
async fn a_bounce_goes_to_nobody_else() {
    let stage = Stage::new();
    let id = stage.accept(&["a@example.com"]).await;
    let mut claim = stage.spool.claim_id(id, true, LEASE, at(1)).await.unwrap();
    for (memo, expected) in [
        ("", Some("printer@contoso.com")),
        (
            "{\"v\":1,\"owner\":\"it@contoso.com\",\"rewritten\":true}",
            Some("it@contoso.com"),
        ),
        ("{\"v\":1,\"rewritten\":true}", None),
        ("{\"v\":1,\"told\":[0]}", Some("printer@contoso.com")),
    ] {
        memo.clone_into(&mut claim.memo);
        let told = sendas_relay::dsn::addressee_of(&claim).map(|to| to.to_string());
        assert_eq!(told.as_deref(), expected, "{memo}");
    }
    claim.envelope.reverse_path = sendas_envelope::ReversePath::Null;
    assert_eq!(sendas_relay::dsn::addressee_of(&claim), None);
}
