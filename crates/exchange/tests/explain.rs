//! `explain` is total, and reads what the catalogue does not know by class and stage.

use proptest::prelude::*;
use sendas_exchange::{Persistence, Scope, catalogue, explain};
use sendas_smtp::Reply;
use sendas_smtp::client::Stage;

/// Stage, reply, id, scope, whether it is final at once.
const CASES: &[(Stage, u16, &str, &str, Scope, bool)] = &[
    (
        Stage::Greeting,
        554,
        "5.3.2 no service",
        "S-SERVICE-OTHER",
        Scope::Service,
        false,
    ),
    (
        Stage::Ehlo,
        421,
        "later",
        "S-SERVICE-OTHER",
        Scope::Service,
        false,
    ),
    (
        Stage::StartTls,
        454,
        "4.7.0 TLS not available",
        "S-SERVICE-OTHER",
        Scope::Service,
        false,
    ),
    (
        Stage::Auth,
        454,
        "4.7.0 Temporary authentication failure",
        "S-AUTH-DEFERRED",
        Scope::Service,
        false,
    ),
    (
        Stage::Auth,
        535,
        "5.7.139 Authentication unsuccessful, something new",
        "S-AUTH-OTHER",
        Scope::Mailbox,
        false,
    ),
    (
        Stage::Auth,
        550,
        "5.1.1 nobody",
        "S-AUTH-OTHER",
        Scope::Mailbox,
        false,
    ),
    (
        Stage::Mail,
        451,
        "4.7.1 later",
        "S-MAIL-DEFERRED",
        Scope::Mailbox,
        false,
    ),
    (
        Stage::Mail,
        550,
        "5.7.999 never",
        "S-MESSAGE-REFUSED",
        Scope::Message,
        true,
    ),
    (
        Stage::Rcpt,
        450,
        "4.2.1 busy",
        "S-RECIPIENT-DEFERRED",
        Scope::Recipient,
        false,
    ),
    (
        Stage::Rcpt,
        553,
        "never",
        "S-RECIPIENT-REFUSED",
        Scope::Recipient,
        true,
    ),
    (
        Stage::Rcpt,
        503,
        "5.5.2 Need mail command",
        "S-OUT-OF-STEP",
        Scope::Recipient,
        false,
    ),
    (
        Stage::Rcpt,
        354,
        "what",
        "S-OUT-OF-STEP",
        Scope::Recipient,
        false,
    ),
    (
        Stage::Body,
        554,
        "5.5.1 no valid recipients",
        "S-MESSAGE-REFUSED",
        Scope::Message,
        true,
    ),
    (
        Stage::End,
        451,
        "4.6.0 later",
        "S-MESSAGE-DEFERRED",
        Scope::Message,
        false,
    ),
    (
        Stage::End,
        421,
        "4.4.2 timeout",
        "S-SERVICE-OTHER",
        Scope::Service,
        false,
    ),
    (
        Stage::End,
        554,
        "5.6.0 never",
        "S-MESSAGE-REFUSED",
        Scope::Message,
        true,
    ),
    (
        Stage::End,
        250,
        "fine",
        "S-OUT-OF-STEP",
        Scope::Message,
        false,
    ),
    (
        Stage::Quit,
        500,
        "what",
        "S-SERVICE-OTHER",
        Scope::Service,
        false,
    ),
];

#[test]
fn an_unlisted_reply_is_read_by_class_and_stage() {
    for &(stage, code, text, id, scope, is_final) in CASES {
        let found = explain(stage, &Reply::new(code, text));
        assert_eq!((found.id, found.scope), (id, scope), "{code} {text}");
        assert_eq!(
            found.persistence.is_final_after(1),
            is_final,
            "{code} {text}"
        );
        assert!(
            !found.is_listed() && catalogue::find(id).is_none(),
            "{code} {text}"
        );
    }
}

/// Replies whose first digit misleads, and what they are.
#[test]
fn the_first_digit_does_not_decide() {
    let cases: [(Stage, &str, &str); 8] = [
        (
            Stage::End,
            "430 4.2.0 STOREDRV; mailbox logon failure",
            "needs an administrator",
        ),
        (
            Stage::Auth,
            "535 5.7.3 Authentication unsuccessful",
            "needs an administrator",
        ),
        (
            Stage::End,
            "432 4.3.2 Concurrent connections limit exceeded.",
            "temporary",
        ),
        (
            Stage::End,
            "554 5.2.0 SubmissionQuotaExceededException",
            "temporary",
        ),
        (Stage::End, "554 5.2.121 too much from one", "temporary"),
        (
            Stage::End,
            "554 5.2.2 mailbox full",
            "needs an administrator",
        ),
        (
            Stage::End,
            "554 5.2.252 SendAsDenied; a not allowed to send as b",
            "tried again, then permanent",
        ),
        (
            Stage::Mail,
            "550 5.7.233 tenant external recipient rate limit",
            "temporary",
        ),
    ];
    for (stage, text, expected) in cases {
        let (code, text) = text.split_at(3);
        let found = explain(stage, &Reply::new(code.parse().unwrap(), text.trim_start()));
        assert_eq!(found.persistence.name(), expected, "{text}");
    }
}

#[test]
fn a_refusal_that_may_be_a_whim_is_tried_a_few_times() {
    let denied = Reply::new(
        554,
        "5.2.252 SendAsDenied; a@b.c not allowed to send as d@e.f",
    );
    let persistence = explain(Stage::End, &denied).persistence;
    let Persistence::TransientThenPermanent { attempts_max, .. } = persistence else {
        panic!("{persistence}")
    };
    assert!(attempts_max > 1);
    assert!(!persistence.is_final_after(attempts_max - 1));
    assert!(persistence.is_final_after(attempts_max));
}

#[test]
fn wording_is_known_at_a_stage_where_it_was_never_seen() {
    let early = Reply::new(
        550,
        "SMTP; Client does not have permissions to send as this sender",
    );
    let found = explain(Stage::Mail, &early);
    assert_eq!(
        (found.id, found.scope),
        ("S-SEND-AS-DENIED", Scope::Message)
    );
}

proptest! {
    #[test]
    fn every_reply_has_an_explanation(
        stage in prop::sample::select(Stage::ALL.to_vec()),
        code in 200u16..600,
        status in prop::option::of((2u16..6, 0u16..999, 0u16..999)),
        text in "[ -~\\n]{0,200}",
        piece in prop::sample::select(vec!["", "SendAsDenied", "RecipLimit", "WASCL UserAction verdict", "é"]),
    ) {
        let status = status.map(|(a, b, c)| format!("{a}.{b}.{c} ")).unwrap_or_default();
        let found = explain(stage, &Reply::new(code, format!("{status}{text}{piece}")));
        prop_assert!(found.id.starts_with("S-") && !found.title.is_empty());
        if stage < Stage::Mail {
            prop_assert!(found.scope >= Scope::Mailbox);
            prop_assert!(!found.persistence.is_final_after(u32::MAX));
        }
        if code / 100 != 5 {
            prop_assert!(found.is_listed() || !found.persistence.is_final_after(1));
        }
        prop_assert!(found.scope != Scope::Recipient || stage == Stage::Rcpt);
        prop_assert_eq!(found.persistence.first_retry().is_none(), found.persistence == Persistence::Permanent);
    }
}
