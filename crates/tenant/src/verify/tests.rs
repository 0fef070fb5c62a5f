use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sendas_entra::Method;

use super::*;
use crate::apply::Silent;

/// Remembers what is told.
#[derive(Default)]
struct Ear(Mutex<Vec<(String, u64)>>);

impl Progress for Ear {
    fn tell(&self, event: &Event) {
        if let Event::Patience { what, left, .. } = event {
            let told = (what.clone(), left.as_secs());
            self.0.lock().unwrap().push(told);
        }
    }
}

/// A clock that waiting moves.
struct Hand(Mutex<Timestamp>);

impl Timer for Hand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn wait(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        *self.0.lock().unwrap() += SignedDuration::try_from(time).unwrap();
        Box::pin(std::future::ready(()))
    }
}

/// A service whose rights act from one moment and whose credential works from another.
struct Service<'a> {
    clock: &'a Hand,
    credential_from: Timestamp,
    rights_from: Timestamp,
    role: bool,
    /// A mailbox whose rights act later than those of the others.
    late: Option<(&'a str, Timestamp)>,
    tokens: AtomicUsize,
    logins: AtomicUsize,
    messages: AtomicUsize,
}

impl<'a> Service<'a> {
    fn new(clock: &'a Hand) -> Self {
        Self {
            clock,
            credential_from: at(0),
            rights_from: at(0),
            role: false,
            late: None,
            tokens: AtomicUsize::new(0),
            logins: AtomicUsize::new(0),
            messages: AtomicUsize::new(0),
        }
    }

    fn rights(&self, mailbox: &str, words: &str) -> Result<String, Refusal> {
        let from = match self.late {
            Some((late, from)) if late == mailbox => from,
            _ => self.rights_from,
        };
        if self.clock.now() >= from {
            Ok(words.to_owned())
        } else {
            Err(Refusal {
                about: About::Rights,
                words: "535 5.7.3 Authentication unsuccessful".into(),
            })
        }
    }
}

impl Prover for Service<'_> {
    fn token(&self) -> Pin<Box<dyn Future<Output = Result<Claims, Refusal>> + Send + '_>> {
        self.tokens.fetch_add(1, SeqCst);
        let young = self.clock.now() < self.credential_from;
        let exp = self.clock.now().as_second() + 3600;
        let roles = if self.role {
            r#"["SMTP.SendAsApp"]"#
        } else {
            "[]"
        };
        let payload = format!(
            r#"{{"aud":"https://outlook.office365.com","oid":"o","exp":{exp},"roles":{roles}}}"#
        );
        let text = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(payload));
        Box::pin(std::future::ready(if young {
            Err(Refusal {
                about: About::Credential {
                    may_be_too_young: true,
                },
                words: "AADSTS7000215".into(),
            })
        } else {
            Ok(Claims::decode(&text).unwrap())
        }))
    }

    fn login<'a>(
        &'a self,
        mailbox: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send + 'a>> {
        self.logins.fetch_add(1, SeqCst);
        Box::pin(std::future::ready(
            self.rights(mailbox, "235 2.7.0 Authentication successful"),
        ))
    }

    fn send<'a>(
        &'a self,
        mailbox: &'a str,
        _: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send + 'a>> {
        self.messages.fetch_add(1, SeqCst);
        Box::pin(std::future::ready(self.rights(mailbox, "250 2.0.0 OK")))
    }
}

fn at(minutes: i64) -> Timestamp {
    "2026-11-23T06:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn trial(method: Method, patience_min: u64) -> Trial {
    Trial {
        expectation: Expectation {
            resource: "https://outlook.office365.com".into(),
            tenant: None,
            client_id: None,
            method,
        },
        mailboxes: vec!["a@contoso.com".into()],
        recipient: Some("a@contoso.com".into()),
        changed: Some(at(0)),
        made: Some(at(0)),
        patience: Duration::from_secs(patience_min * 60),
    }
}

async fn results(
    trial: &Trial,
    now: i64,
    credential_from: i64,
    rights_from: i64,
    role: bool,
) -> (Vec<String>, Timestamp) {
    let clock = Hand(Mutex::new(at(now)));
    let service = Service {
        clock: &clock,
        credential_from: at(credential_from),
        rights_from: at(rights_from),
        role,
        ..Service::new(&clock)
    };
    let verification = Verification::run(trial, &service, &clock, &Silent).await;
    let json = verification.json();
    let list = json["checks"].as_array().unwrap().iter();
    let list = list
        .map(|check| {
            format!(
                "{} {}",
                check["id"].as_str().unwrap(),
                check["result"].as_str().unwrap()
            )
        })
        .collect();
    (list, clock.now())
}

#[tokio::test]
async fn configured_and_effective_are_told_apart() {
    let effective = [
        "token effective",
        "claims effective",
        "login effective",
        "message effective",
    ];
    let (list, _) = results(&trial(Method::Rbac, 0), 1, 0, 0, false).await;
    assert_eq!(list, effective);
    let (list, _) = results(&trial(Method::Rbac, 0), 1, 0, 90, false).await;
    assert_eq!(
        list,
        ["token effective", "claims effective", "login not-yet"]
    );
    let (list, _) = results(&trial(Method::Rbac, 0), 121, 0, 500, false).await;
    assert_eq!(
        list,
        ["token effective", "claims effective", "login failed"]
    );
    // A permission that was granted just now.
    let (list, _) = results(&trial(Method::Classic, 0), 1, 0, 0, false).await;
    assert_eq!(list[1], "claims not-yet");
    let (list, _) = results(&trial(Method::Classic, 0), 121, 0, 0, false).await;
    assert_eq!(list[1], "claims failed");
    let (list, _) = results(&trial(Method::Classic, 0), 1, 0, 0, true).await;
    assert_eq!(list, effective);
}

#[tokio::test]
async fn patience_waits_for_rights_and_never_past_its_end() {
    let (list, end) = results(&trial(Method::Rbac, 120), 1, 0, 90, false).await;
    assert_eq!(list[2], "login effective");
    assert!(end >= at(90) && end < at(91), "{end}");
    let (list, end) = results(&trial(Method::Rbac, 30), 1, 0, 90, false).await;
    assert_eq!(list[2], "login not-yet");
    assert_eq!(end, at(31));
    // What fails for good is not waited for.
    let (list, end) = results(&trial(Method::Rbac, 120), 130, 0, 500, false).await;
    assert_eq!((list[2].as_str(), end), ("login failed", at(130)));
}

#[tokio::test]
async fn a_young_credential_is_given_its_time() {
    let (list, end) = results(&trial(Method::Rbac, 0), 0, 5, 0, false).await;
    assert_eq!(list[0], "token effective");
    assert!(end >= at(5));
    let (list, end) = results(&trial(Method::Rbac, 0), 0, 60, 0, false).await;
    assert_eq!((list, end), (vec!["token failed".to_owned()], at(10)));
}

#[tokio::test]
async fn what_is_proven_is_not_tried_again_and_one_message_is_sent() {
    let clock = Hand(Mutex::new(at(1)));
    let service = Service {
        late: Some(("b@contoso.com", at(90))),
        ..Service::new(&clock)
    };
    let mut trial = trial(Method::Rbac, 120);
    trial.mailboxes.push("b@contoso.com".into());
    let ear = Ear::default();
    let verification = Verification::run(&trial, &service, &clock, &ear).await;
    assert!(verification.is_effective());
    assert_eq!(verification.checks.len(), 5);
    assert_eq!(service.messages.load(SeqCst), 1);
    // One hour's token, then the next one.
    assert_eq!(service.tokens.load(SeqCst), 2);
    let told = ear.0.lock().unwrap().clone();
    assert_eq!(service.logins.load(SeqCst), 2 + told.len());
    assert_eq!(
        told[0],
        ("login b@contoso.com does not work yet".to_owned(), 120 * 60)
    );
    assert!(told.windows(2).all(|pair| pair[0].1 > pair[1].1));
}

#[tokio::test]
async fn only_a_young_credential_is_waited_for_and_that_is_told() {
    // Made here five minutes ago: it gets the rest of its ten minutes.
    for (made, patience, expected) in [
        (Some(-5), 0, 5),
        (Some(-60), 0, 0),
        (None, 0, 0),
        (None, 3, 3),
    ] {
        let clock = Hand(Mutex::new(at(0)));
        let service = Service {
            credential_from: at(600),
            ..Service::new(&clock)
        };
        let mut trial = trial(Method::Rbac, patience);
        trial.made = made.map(at);
        let ear = Ear::default();
        let verification = Verification::run(&trial, &service, &clock, &ear).await;
        assert!(verification.has_failed(), "{made:?}");
        assert_eq!(clock.now(), at(expected), "{made:?}");
        let told = ear.0.lock().unwrap();
        assert_eq!(told.is_empty(), expected == 0, "{made:?}");
        assert!(
            told.iter()
                .all(|(what, _)| what.contains("new credential yet (AADSTS7000215)"))
        );
    }
}
