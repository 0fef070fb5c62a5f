//! The catalogue as data: each row is reached by its own samples, is named once, and says enough.

use std::collections::BTreeSet;

use sendas_exchange::{Entry, Matcher, Scope, catalogue, explain};
use sendas_smtp::Reply;
use sendas_smtp::client::Stage;

fn reply(text: &str) -> Reply {
    let (code, text) = text.split_at(3);
    let code = code.parse().expect("a sample begins with a code");
    Reply::new(code, text.trim_start())
}

fn samples() -> impl Iterator<Item = (&'static Entry, &'static str)> {
    catalogue::entries().flat_map(|entry| entry.samples.iter().map(move |sample| (entry, *sample)))
}

#[test]
fn each_sample_leads_to_its_row_at_each_of_its_stages() {
    for (entry, sample) in samples() {
        for &stage in entry.stages {
            let found = explain(stage, &reply(sample));
            assert_eq!(found.id, entry.id, "{sample} at {}", stage.name());
            assert_eq!(found.scope, entry.scope.at(stage), "{sample}");
            assert!(found.is_listed());
        }
    }
}

#[test]
fn a_reply_of_several_lines_is_known_like_one() {
    let several = Reply::new(
        535,
        "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is\n5.7.139 disabled for the Tenant. Visit\n5.7.139 https://aka.ms/smtp_auth_disabled",
    );
    assert_eq!(explain(Stage::Auth, &several).id, "S-SMTP-AUTH-OFF-TENANT");
}

#[test]
fn the_letters_case_does_not_count() {
    for (entry, sample) in samples() {
        let shouted = sample.to_ascii_uppercase();
        assert_eq!(explain(entry.stages[0], &reply(&shouted)).id, entry.id);
    }
}

#[test]
fn every_matcher_is_needed_by_a_sample() {
    for entry in catalogue::entries() {
        for matcher in entry.matchers {
            let needed = entry
                .samples
                .iter()
                .any(|sample| matcher.holds(&reply(sample)));
            assert!(needed, "{}: no sample for {matcher:?}", entry.id);
        }
    }
}

#[test]
fn no_matcher_takes_everything() {
    let empty = |matcher: &Matcher| matcher.holds(&Reply::new(599, "x"));
    for entry in catalogue::entries() {
        assert!(!entry.matchers.iter().any(empty), "{}", entry.id);
    }
}

#[test]
fn every_row_says_enough() {
    let mut ids = BTreeSet::new();
    for entry in catalogue::entries() {
        let id = entry.id;
        assert!(ids.insert(id), "{id} is there twice");
        let is_plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
        assert!(id.starts_with("S-") && id.chars().all(is_plain), "{id}");
        assert!(
            !entry.samples.is_empty() && !entry.matchers.is_empty(),
            "{id}"
        );
        assert!(!entry.stages.is_empty() && !entry.causes.is_empty(), "{id}");
        assert!(!entry.sources.is_empty(), "{id} has no mark");
        assert!(
            !entry.title.is_empty() && !entry.fix.advice.is_empty(),
            "{id}"
        );
        for text in entry
            .causes
            .iter()
            .map(|cause| cause.text)
            .chain([entry.title, entry.fix.advice])
        {
            let is_sentence_without_end = !text.ends_with('.') && !text.ends_with(' ');
            assert!(
                is_sentence_without_end && !text.contains("://"),
                "{id}: {text}"
            );
        }
        for source in entry.sources {
            assert!(
                !source.about.contains("://"),
                "{id}: a source is named, not linked"
            );
        }
    }
}

#[test]
fn what_comes_before_mail_is_never_about_a_message() {
    for (entry, sample) in samples() {
        for stage in Stage::ALL {
            let found = explain(stage, &reply(sample));
            if stage < Stage::Mail {
                assert!(found.scope >= Scope::Mailbox, "{}", entry.id);
                assert!(!found.persistence.is_final_after(u32::MAX), "{}", entry.id);
            }
            let is_for_one = found.scope == Scope::Recipient;
            assert!(!is_for_one || stage == Stage::Rcpt, "{}", entry.id);
        }
    }
}

#[test]
fn rows_are_found_by_id() {
    for entry in catalogue::entries() {
        assert_eq!(catalogue::find(entry.id).unwrap().title, entry.title);
    }
    assert!(catalogue::find("S-NOTHING").is_none());
}
