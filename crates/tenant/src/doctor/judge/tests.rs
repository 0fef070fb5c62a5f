use std::time::Duration;

use sendas_exchange::{Certainty, Method, Roles};
use sendas_smtp::Reply;
use sendas_smtp::client::Stage;

use super::judge;
use crate::doctor::facts::{
    DirectoryFacts, ExchangeState, Facts, LocalObstacle, Login, Obstacle, TokenAnswer, TokenClaims,
    Way,
};

fn refused(text: &str) -> Login {
    Login::Refused(Stage::Auth, Reply::new(535, text))
}

fn bare() -> Login {
    refused("5.7.3 Authentication unsuccessful [x]")
}

fn aadsts(code: u32, may_be_too_young: bool) -> TokenAnswer {
    TokenAnswer::Refused {
        codes: vec![code],
        words: format!("AADSTS{code}: x"),
        may_be_too_young,
        is_temporary: false,
    }
}

fn claims(roles: Roles) -> TokenClaims {
    TokenClaims {
        is_for_exchange: Some(true),
        is_of_tenant: Some(true),
        is_of_principal: Some(true),
        is_in_time: Some(true),
        is_delegated: Some(false),
        roles,
    }
}

/// A principal that is refused although everything the tenant holds is right.
fn right(method: Method) -> Facts {
    let is_classic = method == Method::Classic;
    let roles = if is_classic {
        Roles::SendAsApp
    } else {
        Roles::None
    };
    Facts {
        mailbox: Some("scan@contoso.com".into()),
        client_id: Some("c".into()),
        object_id: Some("o".into()),
        entra: Way::Open,
        service: Way::Open,
        token: TokenAnswer::Issued(claims(roles)),
        login: bare(),
        directory: DirectoryFacts {
            has_application: Some(true),
            has_enterprise_application: Some(true),
            is_enabled: Some(true),
            is_public: Some(false),
            is_permission_granted: Some(is_classic),
            is_permission_requested: Some(is_classic),
            ..DirectoryFacts::default()
        },
        exchange: ExchangeState {
            is_principal_registered: Some(true),
            is_object_id_right: Some(true),
            is_mailbox_there: Some(true),
            is_off_for_organisation: Some(true),
            is_off_for_mailbox: Some(Some(false)),
            has_full_access: Some(is_classic),
            has_send_as: Some(is_classic),
            has_role: Some(!is_classic),
            is_in_scope: Some(!is_classic),
            ..ExchangeState::default()
        },
        ..Facts::default()
    }
}

#[test]
fn the_first_cause() {
    type Case = (&'static str, fn(&mut Facts), Method);
    let classic = Method::Classic;
    let rbac = Method::Rbac;
    let cases: &[Case] = &[
        ("S-PROPAGATING", |_| {}, classic),
        ("S-PROPAGATING", |_| {}, rbac),
        (
            "S-MAILBOX-RIGHT",
            |f| f.exchange.has_full_access = Some(false),
            classic,
        ),
        (
            "S-TOKEN-NO-ROLE",
            |f| {
                f.token = TokenAnswer::Issued(claims(Roles::None));
                f.directory.is_permission_granted = Some(false);
            },
            classic,
        ),
        (
            "S-ENTRA-NOT-YET",
            |f| f.token = TokenAnswer::Issued(claims(Roles::None)),
            classic,
        ),
        (
            "S-PRINCIPAL-MISSING",
            |f| f.exchange.is_principal_registered = Some(false),
            rbac,
        ),
        (
            "S-PRINCIPAL-OBJECT-ID",
            |f| f.exchange.is_object_id_right = Some(false),
            rbac,
        ),
        (
            "S-ROLE-MISSING",
            |f| {
                f.exchange.has_role = Some(false);
                f.exchange.is_in_scope = Some(false);
            },
            rbac,
        ),
        (
            "S-OUT-OF-SCOPE",
            |f| f.exchange.is_in_scope = Some(false),
            rbac,
        ),
        (
            "S-TOKEN-ROLE-BESIDE-RBAC",
            |f| {
                f.token = TokenAnswer::Issued(claims(Roles::SendAsApp));
                f.directory.is_permission_granted = Some(true);
            },
            rbac,
        ),
        (
            "S-MAILBOX-MISSING",
            |f| f.exchange.is_mailbox_there = Some(false),
            rbac,
        ),
        (
            "S-SMTP-AUTH-OFF-MAILBOX",
            |f| {
                f.exchange.is_off_for_mailbox = Some(Some(true));
                f.login = refused(
                    "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
                );
            },
            classic,
        ),
        (
            "S-SMTP-AUTH-OFF-TENANT",
            |f| {
                f.exchange.is_off_for_mailbox = Some(None);
                f.login = refused(
                    "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
                );
            },
            classic,
        ),
        // The switch is on, and the service does not know it yet.
        (
            "S-PROPAGATING",
            |f| {
                f.login = refused(
                    "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
                );
            },
            classic,
        ),
        (
            "S-SECRET-WRONG",
            |f| f.token = aadsts(7_000_215, true),
            classic,
        ),
        (
            "S-ENTRA-NOT-YET",
            |f| {
                f.token = aadsts(7_000_215, true);
                f.last_change_age = Some(Duration::from_mins(1));
            },
            classic,
        ),
        (
            "S-SECRET-WRONG",
            |f| {
                f.token = aadsts(7_000_215, true);
                f.last_change_age = Some(Duration::from_mins(1));
                f.directory.is_secret_listed = Some(false);
            },
            classic,
        ),
        (
            "S-SECRET-ID",
            |f| {
                f.token = aadsts(7_000_215, true);
                f.credential.is_shaped_as_id = true;
            },
            classic,
        ),
        (
            "S-CLOCK",
            |f| {
                f.token = aadsts(700_024, false);
                f.clock_skew_s = Some(-4000);
            },
            classic,
        ),
        ("S-ENTRA-REFUSED", |f| f.token = aadsts(1, false), classic),
        (
            "S-TOKEN-AUDIENCE",
            |f| {
                let mut wrong = claims(Roles::SendAsApp);
                wrong.is_for_exchange = Some(false);
                f.token = TokenAnswer::Issued(wrong);
            },
            classic,
        ),
        (
            "S-SERVICE-UNREACHABLE",
            |f| {
                f.login = Login::Unseen;
                f.service = Way::Broken {
                    obstacle: Obstacle::Silent,
                    words: String::new(),
                };
            },
            classic,
        ),
        (
            "S-NAME-UNRESOLVED",
            |f| {
                f.login = Login::Unseen;
                f.token = TokenAnswer::Unseen;
                f.entra = Way::Broken {
                    obstacle: Obstacle::Name,
                    words: String::new(),
                };
            },
            classic,
        ),
        (
            "S-CREDENTIAL-UNREADABLE",
            |f| {
                f.local = Some(LocalObstacle::Credential("gone".into()));
                f.login = Login::Unseen;
            },
            classic,
        ),
        // A cause further up the way stands before one further down.
        (
            "S-APPLICATION-DISABLED",
            |f| {
                f.token = aadsts(7_000_112, false);
                f.login = Login::Unseen;
                f.exchange.has_full_access = Some(false);
            },
            classic,
        ),
    ];
    for (at, (expected, change, method)) in cases.iter().enumerate() {
        for said in [*method, Method::Unknown] {
            let mut facts = right(*method);
            facts.method = said;
            change(&mut facts);
            let verdicts = judge(&facts);
            let first = verdicts.first().map(|verdict| verdict.id);
            assert_eq!(
                first,
                Some(*expected),
                "case {at}, said {said:?}: {verdicts:#?}"
            );
        }
    }
}

#[test]
fn a_young_change_is_not_effective_yet() {
    for admin in [true, false] {
        let mut facts = right(Method::Classic);
        if !admin {
            facts.exchange = ExchangeState::default();
            facts.directory = DirectoryFacts::default();
        }
        facts.last_change_age = Some(Duration::from_mins(35));
        let verdicts = judge(&facts);
        assert_eq!(verdicts[0].id, "S-PROPAGATING");
        assert_eq!(verdicts[0].certainty, Certainty::Likely);
        assert_eq!(verdicts[0].remaining, Some(Duration::from_mins(85)));
        facts.last_change_age = Some(Duration::from_hours(3));
        assert_ne!(judge(&facts).first().map(|v| v.id), Some("S-PROPAGATING"));
    }
}

#[test]
fn nothing_is_wrong() {
    let mut facts = right(Method::Rbac);
    facts.login = Login::In;
    assert_eq!(judge(&facts), []);
    assert_eq!(judge(&Facts::default()), []);
}

#[test]
fn what_could_not_be_seen_is_ranked() {
    let mut facts = right(Method::Classic);
    facts.exchange = ExchangeState::default();
    facts.directory = DirectoryFacts::default();
    let verdicts = judge(&facts);
    for id in [
        "S-MAILBOX-RIGHT",
        "S-PRINCIPAL-MISSING",
        "S-PRINCIPAL-OBJECT-ID",
    ] {
        assert!(verdicts.iter().any(|v| v.id == id), "{id}");
    }
    assert!(verdicts.iter().all(|v| v.certainty == Certainty::Possible));
    assert!(verdicts.iter().all(|v| v.id != "S-OUT-OF-SCOPE"));
}
