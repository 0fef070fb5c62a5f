use serde_json::json;

use super::*;
use crate::exchange_admin::{ExchangePrincipal, RoleAssignment};
use crate::graph::Application;
use crate::observed::{
    ApplicationFound, Granted, GroupFound, MailboxFound, PrincipalFound, Reach, ResourceFound,
    RoleFound, ScopeFound, filter_of,
};
use crate::wish::{CredentialWish, Federation, NAME};

const APPLICATION: &str = "a0000000-0000-0000-0000-000000000001";
const CLIENT: &str = "c0000000-0000-0000-0000-000000000001";
const PRINCIPAL: &str = "b0000000-0000-0000-0000-000000000001";
const GROUP: &str = "CN=sendas senders,OU=contoso";

fn wish(method: Method, mailboxes: &[&str], credential: CredentialWish) -> Wish {
    let mailboxes: Vec<String> = mailboxes.iter().map(|&text| text.into()).collect();
    Wish::new(method, &mailboxes, credential, None, NAME).unwrap()
}

fn application(more: &serde_json::Value) -> Application {
    let mut form = json!({ "id": APPLICATION, "appId": CLIENT, "displayName": "sendas" });
    for (name, value) in more.as_object().unwrap() {
        form[name] = value.clone();
    }
    serde_json::from_value(form).unwrap()
}

fn found(application: Application) -> ApplicationFound {
    ApplicationFound::Found {
        application: Box::new(application),
        ours: true,
    }
}

/// A tenant with Exchange, two mailboxes, SMTP AUTH off, and nothing of ours.
fn fresh() -> Observed {
    let mailbox = |address: &str| {
        let found = MailboxFound {
            address: Some(address.into()),
            ..MailboxFound::default()
        };
        (address.to_owned(), found)
    };
    Observed {
        tenant_id: "t0".into(),
        tenant_name: "Contoso".into(),
        domains: vec!["contoso.com".into()],
        resource: Some(ResourceFound {
            id: "exchange".into(),
            send_as_app: Some("role".into()),
        }),
        submission_off: true,
        mailboxes: [mailbox("a@contoso.com"), mailbox("b@contoso.com")].into(),
        ..Observed::default()
    }
}

fn registered(object_id: &str) -> ExchangePrincipal {
    ExchangePrincipal {
        app_id: CLIENT.into(),
        object_id: object_id.into(),
        display_name: "sendas".into(),
        names: vec![CLIENT.into(), object_id.into()],
    }
}

fn role(reach: Reach) -> RoleFound {
    RoleFound {
        assignment: RoleAssignment {
            name: "sendas SMTP".into(),
            role: SEND_ROLE.into(),
            holders: vec![PRINCIPAL.into()],
            scope: Some("sendas senders".into()),
            other_scope: None,
        },
        reach,
    }
}

fn members(list: &[&str]) -> Reach {
    Reach::Members {
        group: "sendas senders".into(),
        members: list.iter().map(|&text| text.into()).collect(),
    }
}

/// The same after a correct set-up of this kind.
fn done(method: Method) -> Observed {
    let mut observed = fresh();
    observed.application = found(application(&json!({
        "keyCredentials": [{ "keyId": "k", "customKeyIdentifier": "A".repeat(40) }],
        "passwordCredentials": [{ "keyId": "s", "displayName": "sendas 1234" }],
    })));
    observed.principal = Some(PrincipalFound {
        id: PRINCIPAL.into(),
        enabled: true,
    });
    observed.registered = vec![registered(PRINCIPAL)];
    observed.held.thumbprint = Some("A".repeat(40));
    observed.held.key_id = Some("s".into());
    observed.held.label = "sendas 1234".into();
    for mailbox in observed.mailboxes.values_mut() {
        mailbox.submission_off = Some(false);
        if method == Method::Classic {
            (mailbox.full_access, mailbox.send_as) = (true, true);
        }
    }
    match method {
        Method::Classic => observed.granted.push(granted("SMTP.SendAsApp")),
        Method::Rbac => observed
            .roles
            .push(role(members(&["a@contoso.com", "b@contoso.com"]))),
    }
    observed
}

fn granted(value: &str) -> Granted {
    Granted {
        id: "g".into(),
        value: value.into(),
        resource: "Office 365 Exchange Online".into(),
    }
}

fn both() -> [&'static str; 2] {
    ["a@contoso.com", "b@contoso.com"]
}

fn ids(plan: &Plan) -> Vec<&'static str> {
    plan.steps.iter().map(|step| step.action.id()).collect()
}

#[test]
fn a_fresh_tenant_needs_everything_in_order() {
    let rbac = wish(Method::Rbac, &both(), CredentialWish::Certificate);
    assert_eq!(
        ids(&Plan::new(&rbac, &fresh())),
        [
            "create-application",
            "create-principal",
            "add-certificate",
            "register",
            "enable-submission",
            "enable-submission",
            "create-group",
            "add-member",
            "add-member",
            "create-scope",
            "assign-role",
        ]
    );
    let classic = wish(Method::Classic, &["a@contoso.com"], CredentialWish::Secret);
    let mut observed = fresh();
    observed.mailboxes.remove("b@contoso.com");
    assert_eq!(
        ids(&Plan::new(&classic, &observed)),
        [
            "create-application",
            "create-principal",
            "add-secret",
            "grant-permission",
            "register",
            "enable-submission",
            "grant-full-access",
            "grant-send-as",
        ]
    );
}

#[test]
fn a_finished_tenant_needs_nothing() {
    for method in [Method::Rbac, Method::Classic] {
        for credential in [
            CredentialWish::Certificate,
            CredentialWish::Secret,
            CredentialWish::Keep,
        ] {
            let plan = Plan::new(&wish(method, &both(), credential), &done(method));
            assert!(plan.is_done() && plan.notices.is_empty(), "{plan:?}");
            assert!(plan.to_string().contains("Nothing to do"));
            assert_eq!(plan.json()["done"], true);
        }
    }
}

type Break = fn(&mut Observed);

#[test]
fn one_thing_that_is_wrong_asks_for_its_own_step() {
    let cases: [(Method, Break, &[&str]); 13] = [
        (
            Method::Rbac,
            |o| o.principal = None,
            &["create-principal", "remove-registration", "register"],
        ),
        (
            Method::Rbac,
            |o| o.held.thumbprint = None,
            &["add-certificate"],
        ),
        (
            Method::Rbac,
            |o| o.held.thumbprint = Some("B".repeat(40)),
            &["add-certificate"],
        ),
        (
            Method::Rbac,
            |o| o.held.key_id = None,
            &["remove-stray-secret"],
        ),
        (Method::Rbac, |o| o.registered.clear(), &["register"]),
        (
            Method::Rbac,
            |o| o.registered = vec![registered(APPLICATION)],
            &["remove-registration", "register"],
        ),
        (
            Method::Rbac,
            |o| o.mailboxes.get_mut("a@contoso.com").unwrap().submission_off = None,
            &["enable-submission"],
        ),
        (
            Method::Rbac,
            |o| o.mailboxes.get_mut("a@contoso.com").unwrap().submission_off = Some(true),
            &["enable-submission"],
        ),
        (
            Method::Rbac,
            |o| o.roles = vec![role(members(&["a@contoso.com"]))],
            &["add-member"],
        ),
        (
            Method::Rbac,
            |o| {
                o.roles.clear();
                o.group = Some(GroupFound {
                    name: "sendas senders".into(),
                    distinguished_name: GROUP.into(),
                    members: vec!["a@contoso.com".into()],
                });
                o.scope = Some(ScopeFound {
                    name: "sendas senders".into(),
                    filter: filter_of(GROUP),
                });
            },
            &["add-member", "assign-role"],
        ),
        (
            Method::Classic,
            |o| o.granted.clear(),
            &["grant-permission"],
        ),
        (
            Method::Classic,
            |o| o.mailboxes.get_mut("b@contoso.com").unwrap().full_access = false,
            &["grant-full-access"],
        ),
        (
            Method::Classic,
            |o| o.mailboxes.get_mut("b@contoso.com").unwrap().send_as = false,
            &["grant-send-as"],
        ),
    ];
    for (number, (method, mistake, expected)) in cases.into_iter().enumerate() {
        let mut observed = done(method);
        mistake(&mut observed);
        let plan = Plan::new(
            &wish(method, &both(), CredentialWish::Certificate),
            &observed,
        );
        assert_eq!(ids(&plan), expected, "case {number}");
        assert!(plan.blocks.is_empty(), "case {number}: {:?}", plan.blocks);
    }
    // The organisation's switch counts where the mailbox has none of its own.
    let mut observed = done(Method::Rbac);
    observed.submission_off = false;
    observed
        .mailboxes
        .get_mut("a@contoso.com")
        .unwrap()
        .submission_off = None;
    let wish = wish(Method::Rbac, &both(), CredentialWish::Certificate);
    assert!(Plan::new(&wish, &observed).is_done());
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_done() {
    let cases: [(Method, Break, &str); 9] = [
        (
            Method::Rbac,
            |o| o.application = ApplicationFound::NameTaken(vec![CLIENT.into()]),
            "--client-id",
        ),
        (
            Method::Rbac,
            |o| o.application = ApplicationFound::UnknownClientId(CLIENT.into()),
            "check the id",
        ),
        (
            Method::Rbac,
            |o| o.mailboxes.get_mut("a@contoso.com").unwrap().address = None,
            "no mailbox a@contoso.com: check the address",
        ),
        (
            Method::Rbac,
            |o| {
                o.domains.clear();
                o.mailboxes.get_mut("a@contoso.com").unwrap().address = None;
            },
            "verified domains",
        ),
        (
            Method::Rbac,
            |o| o.principal.as_mut().unwrap().enabled = false,
            "disabled",
        ),
        (
            Method::Rbac,
            |o| {
                o.roles.clear();
                o.scope = Some(ScopeFound {
                    name: "sendas senders".into(),
                    filter: "Alias -like '*'".into(),
                });
            },
            "another filter",
        ),
        (
            Method::Rbac,
            |o| {
                o.roles.clear();
                o.assignment_name_taken = true;
            },
            "somebody else",
        ),
        (Method::Classic, |o| o.resource = None, "no Exchange Online"),
        (
            Method::Classic,
            |o| o.resource.as_mut().unwrap().send_as_app = None,
            "--method rbac",
        ),
    ];
    for (method, mistake, expected) in cases {
        let mut observed = done(method);
        mistake(&mut observed);
        let plan = Plan::new(
            &wish(method, &both(), CredentialWish::Certificate),
            &observed,
        );
        assert!(
            plan.blocks.iter().any(|block| block.contains(expected)),
            "{expected}: {:?}",
            plan.blocks
        );
        assert!(!plan.is_done());
    }
    let keep = wish(Method::Rbac, &both(), CredentialWish::Keep);
    assert!(Plan::new(&keep, &fresh()).blocks[0].contains("no credential to keep"));
}

#[test]
fn rights_beyond_the_wish_are_named_with_their_removal() {
    let cases: [(Method, Break, &str, &str); 9] = [
        (
            Method::Rbac,
            |o| o.granted.push(granted("Mail.Send")),
            "permission-too-broad",
            "DELETE /servicePrincipals/",
        ),
        (
            Method::Rbac,
            |o| o.granted.push(granted("full_access_as_app")),
            "permission-too-broad",
            "revoke full_access_as_app",
        ),
        (
            Method::Classic,
            |o| o.granted.push(granted("Something.Else")),
            "permission-too-broad",
            "revoke Something.Else",
        ),
        (
            Method::Rbac,
            |o| o.granted.push(granted("SMTP.SendAsApp")),
            "both-methods",
            "revoke SMTP.SendAsApp",
        ),
        (
            Method::Classic,
            |o| o.roles.push(role(Reach::Everybody)),
            "both-methods",
            "Remove-ManagementRoleAssignment",
        ),
        (
            Method::Rbac,
            |o| o.roles = vec![role(Reach::Everybody)],
            "scope-wider",
            "Remove-ManagementRoleAssignment -Identity 'sendas SMTP'",
        ),
        (
            Method::Rbac,
            |o| {
                o.roles = vec![role(members(&[
                    "a@contoso.com",
                    "b@contoso.com",
                    "boss@contoso.com",
                ]))];
            },
            "scope-wider",
            "Remove-DistributionGroupMember -Identity 'sendas senders' -Member 'boss@contoso.com'",
        ),
        (
            Method::Rbac,
            |o| o.mailboxes.get_mut("a@contoso.com").unwrap().full_access = true,
            "mailbox-right-not-needed",
            "Remove-MailboxPermission",
        ),
        (
            Method::Rbac,
            |o| {
                o.roles.clear();
                o.group = Some(GroupFound {
                    name: "sendas senders".into(),
                    distinguished_name: GROUP.into(),
                    members: vec!["boss@contoso.com".into()],
                });
            },
            "scope-wider",
            "Remove-DistributionGroupMember",
        ),
    ];
    for (method, mistake, id, removal) in cases {
        let mut observed = done(method);
        mistake(&mut observed);
        let plan = Plan::new(&wish(method, &both(), CredentialWish::Keep), &observed);
        let notice = plan.notices.iter().find(|notice| notice.id == id);
        let notice = notice.unwrap_or_else(|| panic!("{id}: {:?}", plan.notices));
        assert!(notice.is_excess);
        assert!(
            notice.removal.iter().any(|line| line.contains(removal)),
            "{id}: {:?}",
            notice.removal
        );
    }
    let mut observed = done(Method::Rbac);
    observed.application = ApplicationFound::Found {
        application: Box::new(application(&json!({}))),
        ours: false,
    };
    let plan = Plan::new(
        &wish(Method::Rbac, &both(), CredentialWish::Keep),
        &observed,
    );
    assert_eq!(plan.notices[0].id, "application-adopted");
    assert!(!plan.notices[0].is_excess);
}

#[test]
fn a_federation_is_compared_whole() {
    let federation = Federation {
        issuer: "https://issuer.example".into(),
        subject: "system:serviceaccount:mail:sender".into(),
        audience: "api://AzureADTokenExchange".into(),
    };
    let wish = wish(
        Method::Rbac,
        &both(),
        CredentialWish::Federated(federation.clone()),
    );
    let mut observed = done(Method::Rbac);
    assert_eq!(ids(&Plan::new(&wish, &observed)), ["add-federated"]);
    observed.federated.push(crate::graph::FederatedCredential {
        id: "f".into(),
        name: "x".into(),
        issuer: federation.issuer.clone(),
        subject: federation.subject.to_uppercase(),
        audiences: vec![federation.audience.clone()],
    });
    assert_eq!(ids(&Plan::new(&wish, &observed)), ["add-federated"]);
    observed.federated[0].subject = federation.subject;
    assert!(Plan::new(&wish, &observed).is_done());
}

#[test]
fn the_script_of_a_fresh_tenant() {
    let mut observed = fresh();
    observed.tenant_name = "Contoso\n); Remove-Item * #".into();
    observed.mailboxes.remove("b@contoso.com");
    let wish = wish(
        Method::Rbac,
        &["a@contoso.com"],
        CredentialWish::Certificate,
    );
    let script = Plan::new(&wish, &observed).powershell();
    let code: Vec<&str> = script
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert_eq!(
        code,
        [
            "param(",
            "    [Parameter(Mandatory = $true)][string]$ClientId,",
            "    [Parameter(Mandatory = $true)][string]$ObjectId",
            ")",
            "$ErrorActionPreference = 'Stop'",
            "New-ServicePrincipal -AppId $ClientId -ObjectId $ObjectId -DisplayName 'sendas'",
            "Set-CASMailbox -Identity 'a@contoso.com' -SmtpClientAuthenticationDisabled $false",
            "New-DistributionGroup -Name 'sendas senders' -Type 'Security'",
            "Add-DistributionGroupMember -Identity 'sendas senders' -Member 'a@contoso.com' -Confirm:$false",
            "$Group = Get-DistributionGroup -Identity 'sendas senders'",
            "$Filter = \"MemberOfGroup -eq '\" + $Group.DistinguishedName.Replace(\"'\", \"''\") + \"'\"",
            "New-ManagementScope -Name 'sendas senders' -RecipientRestrictionFilter $Filter",
            "New-ManagementRoleAssignment -Name 'sendas SMTP' -Role 'Application SMTP.SendAsApp' -App $ObjectId -CustomResourceScope 'sendas senders'",
        ]
    );
    assert!(script.starts_with("#Requires -Modules ExchangeOnlineManagement\n"));
    assert!(script.contains("App registrations"));
}

#[test]
fn the_script_holds_the_ids_that_exist() {
    let mut observed = done(Method::Classic);
    observed.registered = vec![registered(APPLICATION)];
    observed.mailboxes.get_mut("a@contoso.com").unwrap().send_as = false;
    let wish = wish(Method::Classic, &both(), CredentialWish::Certificate);
    let script = Plan::new(&wish, &observed).powershell();
    for line in [
        "    [string]$ClientId = 'c0000000-0000-0000-0000-000000000001',",
        "    [string]$ObjectId = 'b0000000-0000-0000-0000-000000000001'",
        "Remove-ServicePrincipal -Identity 'a0000000-0000-0000-0000-000000000001' -Confirm:$false",
        "Add-RecipientPermission -Identity 'a@contoso.com' -Trustee $ObjectId -AccessRights 'SendAs' -Confirm:$false",
    ] {
        assert!(script.contains(line), "{line}\n{script}");
    }
    assert!(!script.contains("portal"));
}
