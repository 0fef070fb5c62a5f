//! The ranking of the causes of a bare `535 5.7.3`: one row for each kind of evidence.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use sendas_exchange::diagnosis::SUSPECTS;
use sendas_exchange::{
    Certainty, Evidence, ExchangeFacts, Method, Roles, TokenFacts, catalogue, diagnose,
};

const MAILBOX: &str = "scan@contoso.com";
const APP: &str = "11111111-2222-3333-4444-555555555555";
const OBJECT: &str = "66666666-7777-8888-9999-000000000000";

/// A token with nothing wrong in it.
const fn good_token(roles: Roles) -> TokenFacts<'static> {
    TokenFacts {
        is_for_exchange: Some(true),
        is_of_tenant: Some(true),
        is_of_principal: Some(true),
        is_in_time: Some(true),
        is_delegated: Some(false),
        roles,
        app_id: Some(APP),
        object_id: Some(OBJECT),
    }
}

/// A classic set-up where everything is right and old.
fn good_classic() -> Evidence<'static> {
    Evidence {
        mailbox: MAILBOX,
        method: Method::Classic,
        token: good_token(Roles::SendAsApp),
        exchange: ExchangeFacts {
            is_principal_registered: Some(true),
            is_object_id_right: Some(true),
            is_mailbox_there: Some(true),
            has_full_access: Some(true),
            is_in_scope: Some(false),
        },
        last_change_age: Some(Duration::from_hours(5)),
        ..Evidence::default()
    }
}

/// An RBAC set-up where everything is right and old.
fn good_rbac() -> Evidence<'static> {
    let classic = good_classic();
    Evidence {
        method: Method::Rbac,
        token: good_token(Roles::None),
        exchange: ExchangeFacts {
            has_full_access: Some(false),
            is_in_scope: Some(true),
            ..classic.exchange
        },
        ..classic
    }
}

/// Id, certainty and command of the first finding; a good set-up; what goes wrong in it.
type Case = (
    &'static str,
    Certainty,
    &'static str,
    fn() -> Evidence<'static>,
    fn(&mut Evidence<'_>),
);

#[test]
fn one_wrong_thing_is_named_first_with_its_remedy() {
    let cases: &[Case] = &[
        (
            "S-TOKEN-AUDIENCE",
            Certainty::Certain,
            "sendas token inspect",
            good_rbac,
            |e| e.token.is_for_exchange = Some(false),
        ),
        (
            "S-TOKEN-TENANT",
            Certainty::Certain,
            "sendas token inspect",
            good_rbac,
            |e| e.token.is_of_tenant = Some(false),
        ),
        (
            "S-TOKEN-CLIENT",
            Certainty::Certain,
            "sendas token inspect",
            good_rbac,
            |e| e.token.is_of_principal = Some(false),
        ),
        (
            "S-TOKEN-TIME",
            Certainty::Certain,
            "sendas token get",
            good_rbac,
            |e| e.token.is_in_time = Some(false),
        ),
        (
            "S-TOKEN-DELEGATED",
            Certainty::Likely,
            "sendas token inspect",
            good_classic,
            |e| e.token.is_delegated = Some(true),
        ),
        (
            "S-TOKEN-NO-ROLE",
            Certainty::Certain,
            "az ad app permission admin-consent --id 11111111-2222-3333-4444-555555555555",
            good_classic,
            |e| e.token.roles = Roles::None,
        ),
        (
            "S-TOKEN-ROLE-BESIDE-RBAC",
            Certainty::Certain,
            "Add-MailboxPermission -Identity scan@contoso.com -User 66666666-7777-8888-9999-000000000000 -AccessRights FullAccess",
            good_rbac,
            |e| e.token.roles = Roles::SendAsApp,
        ),
        (
            "S-PRINCIPAL-MISSING",
            Certainty::Certain,
            "New-ServicePrincipal -AppId 11111111-2222-3333-4444-555555555555 -ObjectId 66666666-7777-8888-9999-000000000000",
            good_rbac,
            |e| e.exchange.is_principal_registered = Some(false),
        ),
        (
            "S-PRINCIPAL-OBJECT-ID",
            Certainty::Certain,
            "Remove-ServicePrincipal -Identity 11111111-2222-3333-4444-555555555555; New-ServicePrincipal -AppId 11111111-2222-3333-4444-555555555555 -ObjectId 66666666-7777-8888-9999-000000000000",
            good_classic,
            |e| e.exchange.is_object_id_right = Some(false),
        ),
        (
            "S-MAILBOX-RIGHT",
            Certainty::Certain,
            "Add-MailboxPermission -Identity scan@contoso.com -User 66666666-7777-8888-9999-000000000000 -AccessRights FullAccess",
            good_classic,
            |e| e.exchange.has_full_access = Some(false),
        ),
        (
            "S-OUT-OF-SCOPE",
            Certainty::Certain,
            "Add-DistributionGroupMember -Identity <group> -Member scan@contoso.com",
            good_rbac,
            |e| e.exchange.is_in_scope = Some(false),
        ),
        (
            "S-MAILBOX-MISSING",
            Certainty::Certain,
            "Get-Recipient -Identity scan@contoso.com",
            good_rbac,
            |e| e.exchange.is_mailbox_there = Some(false),
        ),
        (
            "S-PROPAGATING",
            Certainty::Likely,
            "sendas probe --mailbox scan@contoso.com",
            good_rbac,
            |e| e.last_change_age = Some(Duration::from_mins(35)),
        ),
        // Half known: the principal works elsewhere, so what belongs to the mailbox remains.
        (
            "S-OUT-OF-SCOPE",
            Certainty::Likely,
            "Test-ServicePrincipalAuthorization -Identity 11111111-2222-3333-4444-555555555555 -Resource scan@contoso.com",
            good_rbac,
            |e| {
                e.works_elsewhere = true;
                e.exchange = ExchangeFacts::default();
            },
        ),
        (
            "S-MAILBOX-RIGHT",
            Certainty::Likely,
            "Get-MailboxPermission -Identity scan@contoso.com",
            good_classic,
            |e| {
                e.has_worked_before = true;
                e.exchange = ExchangeFacts::default();
            },
        ),
        (
            "S-MAILBOX-RIGHT",
            Certainty::Certain,
            "Add-MailboxPermission -Identity scan@contoso.com -User 66666666-7777-8888-9999-000000000000 -AccessRights FullAccess",
            good_rbac,
            |e| {
                e.method = Method::Unknown;
                e.token.roles = Roles::SendAsApp;
            },
        ),
        // A way that nobody named, and permissions for something else.
        (
            "S-TOKEN-NO-ROLE",
            Certainty::Likely,
            "sendas token inspect",
            good_classic,
            |e| {
                e.method = Method::Unknown;
                e.token.roles = Roles::Others;
            },
        ),
    ];
    let mut seen = BTreeSet::new();
    for (id, certainty, command, good, change) in cases {
        let mut evidence = good();
        change(&mut evidence);
        let findings = diagnose(&evidence);
        let first = findings
            .first()
            .unwrap_or_else(|| panic!("{id}: nothing was found"));
        assert_eq!(
            (first.id, first.certainty),
            (*id, *certainty),
            "{findings:#?}"
        );
        assert_eq!(first.command, *command, "{id}");
        assert!(!first.evidence.is_empty());
        seen.insert(*id);
    }
    for suspect in SUSPECTS {
        let is_shown = seen.contains(suspect.id) || suspect.id == "S-SECURITY-DEFAULTS-TOKEN";
        assert!(is_shown, "{} has no case", suspect.id);
    }
}

#[test]
fn nothing_but_hearsay_is_left_when_everything_is_right() {
    for evidence in [good_classic(), good_rbac()] {
        let ids: Vec<_> = diagnose(&evidence)
            .iter()
            .map(|finding| finding.id)
            .collect();
        assert_eq!(ids, ["S-SECURITY-DEFAULTS-TOKEN"]);
        let worked = Evidence {
            has_worked_before: true,
            ..evidence
        };
        assert!(diagnose(&worked).is_empty());
    }
}

#[test]
fn without_evidence_everything_is_possible_and_nothing_is_certain() {
    let nothing = Evidence {
        mailbox: MAILBOX,
        ..Evidence::default()
    };
    let findings = diagnose(&nothing);
    assert!(
        findings
            .iter()
            .all(|finding| finding.certainty == Certainty::Possible)
    );
    assert_eq!(findings[0].id, "S-PROPAGATING");
    assert_eq!(
        findings[1].command,
        "Get-ServicePrincipal -Identity <principal> | Format-List AppId,ObjectId"
    );
    assert!(findings.len() >= 11, "{findings:#?}");
}

#[test]
fn nobody_is_told_to_remove_a_principal_on_suspicion() {
    let evidence = Evidence {
        last_change_age: Some(Duration::from_mins(5)),
        mailbox: MAILBOX,
        token: good_token(Roles::None),
        ..Evidence::default()
    };
    let findings = diagnose(&evidence);
    assert_eq!(findings[0].id, "S-PROPAGATING");
    assert!(
        findings
            .iter()
            .all(|finding| !finding.command.contains("Remove-"))
    );
}

#[test]
fn the_names_of_causes_are_unique() {
    let mut ids: BTreeSet<_> = catalogue::entries().map(|entry| entry.id).collect();
    for suspect in SUSPECTS {
        assert!(ids.insert(suspect.id), "{} is there twice", suspect.id);
        assert!(suspect.id.starts_with("S-") && !suspect.sources.is_empty());
    }
}

fn fact() -> impl Strategy<Value = Option<bool>> {
    prop::sample::select(vec![None, Some(true), Some(false)])
}

proptest! {
    #[test]
    fn findings_are_ordered_once_each_and_quoted(
        mailbox in ".{0,40}",
        method in prop::sample::select(vec![Method::Classic, Method::Rbac, Method::Unknown]),
        roles in prop::sample::select(vec![Roles::Unknown, Roles::None, Roles::SendAsApp, Roles::Others]),
        facts in prop::collection::vec(fact(), 10),
        age in prop::option::of(0u64..20_000),
        (before, elsewhere) in any::<(bool, bool)>(),
    ) {
        let evidence = Evidence {
            mailbox: &mailbox,
            method,
            token: TokenFacts {
                is_for_exchange: facts[0],
                is_of_tenant: facts[1],
                is_of_principal: facts[2],
                is_in_time: facts[3],
                is_delegated: facts[4],
                roles,
                app_id: None,
                object_id: None,
            },
            exchange: ExchangeFacts {
                is_principal_registered: facts[5],
                is_object_id_right: facts[6],
                is_mailbox_there: facts[7],
                has_full_access: facts[8],
                is_in_scope: facts[9],
            },
            last_change_age: age.map(Duration::from_secs),
            has_worked_before: before,
            works_elsewhere: elsewhere,
        };
        let findings = diagnose(&evidence);
        prop_assert!(findings.is_sorted_by_key(|finding| finding.certainty));
        let ids: BTreeSet<_> = findings.iter().map(|finding| finding.id).collect();
        prop_assert_eq!(ids.len(), findings.len());
        if facts[..4].contains(&Some(false)) {
            prop_assert_eq!(findings[0].certainty, Certainty::Certain);
        }
    }
}
