//! Single misconfigurations: the exact reply, and the cause the journal tells.

use sendas_sandbox::{Options, Preset, Running, Sandbox};
use serde_json::{Value, json};

use crate::entra::{ask, start};
use crate::https::Https;
use crate::talk::auth;

pub(crate) async fn token(sandbox: &Running, changed: &[(&str, &str)]) -> String {
    let https = Https::to(sandbox);
    let answer = ask(sandbox, &https, changed).await.json();
    answer["access_token"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

struct Names {
    mailbox: String,
    client: String,
    principal: String,
    application: String,
    group: String,
}

impl Names {
    fn of(sandbox: &Running) -> Self {
        let details = sandbox.details();
        let client = details.client.unwrap();
        Self {
            mailbox: details.mailboxes[0].clone(),
            client: client.id.to_string(),
            principal: client.service_principal_id.to_string(),
            application: client.application_object_id.to_string(),
            group: sandbox
                .tenant()
                .groups
                .keys()
                .next()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    }
}

const BARE: &str = "535 5.7.3 Authentication unsuccessful [";
const OTHER: &str = "11111111-2222-3333-4444-555555555555";

/// Name, preset, change, expected reply, part of the cause.
type Case = (
    &'static str,
    Preset,
    fn(&Names) -> Value,
    &'static str,
    &'static str,
);

const CASES: &[Case] = &[
    (
        "rbac, as set up",
        Preset::Rbac,
        |_| json!({}),
        "235 2.7.0",
        "",
    ),
    (
        "classic, as set up",
        Preset::Classic,
        |_| json!({}),
        "235 2.7.0",
        "",
    ),
    (
        "no New-ServicePrincipal",
        Preset::Rbac,
        |n| json!({"exchange":{"service_principals":{(&n.principal):null}}}),
        BARE,
        "New-ServicePrincipal was not run",
    ),
    (
        "the application's object id was registered",
        Preset::Rbac,
        |n| json!({"exchange":{"service_principals":{(&n.principal):null,(&n.application):{"app_id":n.client}}}}),
        BARE,
        "another object id",
    ),
    (
        "the same on the classic path",
        Preset::Classic,
        |n| json!({"exchange":{"service_principals":{(&n.principal):null,(&n.application):{"app_id":n.client}}}}),
        BARE,
        "another object id",
    ),
    (
        "registered under another client id",
        Preset::Rbac,
        |n| json!({"exchange":{"service_principals":{(&n.principal):{"app_id":OTHER}}}}),
        BARE,
        "another client id",
    ),
    (
        "no role assignment",
        Preset::Rbac,
        |_| json!({"exchange":{"role_assignments":{"smtp-sender":null}}}),
        BARE,
        "holds no Exchange role",
    ),
    (
        "another role",
        Preset::Rbac,
        |_| json!({"exchange":{"role_assignments":{"smtp-sender":{"role":"Application Mail.Send"}}}}),
        BARE,
        "holds no Exchange role",
    ),
    (
        "the role of another application",
        Preset::Rbac,
        |_| json!({"exchange":{"role_assignments":{"smtp-sender":{"app":OTHER}}}}),
        BARE,
        "holds no Exchange role",
    ),
    (
        "the scope is gone",
        Preset::Rbac,
        |_| json!({"exchange":{"scopes":{"smtp-senders":null}}}),
        BARE,
        "outside the scope",
    ),
    (
        "the scope's filter names another group",
        Preset::Rbac,
        |_| json!({"exchange":{"scopes":{"smtp-senders":{"recipient_filter":"MemberOfGroup -eq 'CN=other'"}}}}),
        BARE,
        "outside the scope",
    ),
    (
        "the scope's filter cannot be read",
        Preset::Rbac,
        |_| json!({"exchange":{"scopes":{"smtp-senders":{"recipient_filter":"MemberOfGroup is 'x'"}}}}),
        BARE,
        "outside the scope",
    ),
    (
        "the mailbox is not in the group",
        Preset::Rbac,
        |n| json!({"groups":{(&n.group):{"members":["alerts@contoso.onmicrosoft.com"]}}}),
        BARE,
        "outside the scope",
    ),
    (
        "the mailbox is in a group inside the group",
        Preset::Rbac,
        |n| {
            json!({"groups":{(&n.group):{"members":[OTHER]},(OTHER):{"display_name":"inner",
            "mail":"inner@contoso.onmicrosoft.com","distinguished_name":"CN=inner","members":[n.mailbox]}}})
        },
        BARE,
        "outside the scope",
    ),
    (
        "a group scope that holds the mailbox",
        Preset::Rbac,
        |n| {
            json!({"exchange":{"role_assignments":{"smtp-sender":
            {"custom_resource_scope":null,"recipient_group_scope":n.group}}}})
        },
        "235 2.7.0",
        "",
    ),
    (
        "an administrative unit without the mailbox",
        Preset::Rbac,
        |_| {
            json!({"exchange":{"administrative_units":{(OTHER):{"display_name":"u"}},
            "role_assignments":{"smtp-sender":
            {"custom_resource_scope":null,"recipient_administrative_unit_scope":OTHER}}}})
        },
        BARE,
        "outside the scope",
    ),
    (
        "no scope at all reaches everybody",
        Preset::Rbac,
        |_| json!({"exchange":{"role_assignments":{"smtp-sender":{"custom_resource_scope":null}}}}),
        "235 2.7.0",
        "",
    ),
    (
        "the mailbox does not exist",
        Preset::Rbac,
        |n| json!({"exchange":{"mailboxes":{(&n.mailbox):null}}}),
        BARE,
        "not a mailbox",
    ),
    (
        "SMTP AUTH off, organisation",
        Preset::Rbac,
        |n| json!({"exchange":{"mailboxes":{(&n.mailbox):{"smtp_client_authentication_disabled":null}}}}),
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
        "",
    ),
    (
        "SMTP AUTH off, mailbox",
        Preset::Classic,
        |n| json!({"exchange":{"mailboxes":{(&n.mailbox):{"smtp_client_authentication_disabled":true}}}}),
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
        "",
    ),
    (
        "no FullAccess",
        Preset::Classic,
        |n| json!({"exchange":{"mailboxes":{(&n.mailbox):{"full_access":[]}}}}),
        BARE,
        "no permission on the mailbox",
    ),
    (
        "FullAccess for the application's object id",
        Preset::Classic,
        |n| json!({"exchange":{"mailboxes":{(&n.mailbox):{"full_access":[n.application]}}}}),
        BARE,
        "no permission on the mailbox",
    ),
    (
        "SendAs without FullAccess where either is enough",
        Preset::Classic,
        |n| {
            json!({"behaviour":{"classic_needs":"either"},
            "exchange":{"mailboxes":{(&n.mailbox):{"full_access":[]}}}})
        },
        "235 2.7.0",
        "",
    ),
    (
        "FullAccess without SendAs where both are needed",
        Preset::Classic,
        |n| {
            json!({"behaviour":{"classic_needs":"both"},
            "exchange":{"mailboxes":{(&n.mailbox):{"send_as":[]}}}})
        },
        BARE,
        "no permission on the mailbox",
    ),
];

#[tokio::test]
async fn each_single_misconfiguration_has_its_reply_and_its_cause() {
    for (name, preset, change, expected, cause) in CASES {
        let (sandbox, _) = start(*preset).await;
        let names = Names::of(&sandbox);
        sandbox
            .patch(&change(&names))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let token = token(&sandbox, &[]).await;
        let (_, reply) = auth(&sandbox, &names.mailbox, &token).await;
        assert!(reply.starts_with(expected), "{name}: {reply}");
        let told = sandbox
            .journal(0)
            .into_iter()
            .filter_map(|entry| entry.cause)
            .next_back();
        assert!(told.unwrap_or_default().contains(cause), "{name}");
    }
}

#[tokio::test]
async fn consent_withdrawn_leaves_a_token_without_roles_and_a_bare_535() {
    let (sandbox, _) = start(Preset::Classic).await;
    let names = Names::of(&sandbox);
    let id = sandbox
        .tenant()
        .app_role_assignments
        .keys()
        .next()
        .copied()
        .unwrap();
    sandbox
        .patch(&json!({"app_role_assignments":{(id.to_string()):null}}))
        .unwrap();
    let (_, reply) = auth(&sandbox, &names.mailbox, &token(&sandbox, &[]).await).await;
    assert!(reply.starts_with(BARE), "{reply}");
}

#[tokio::test]
async fn mixing_both_paths_brings_the_mailbox_permission_back() {
    let (sandbox, _) = start(Preset::Rbac).await;
    let names = Names::of(&sandbox);
    let tenant = sandbox.tenant();
    let (resource, role) = tenant
        .service_principals
        .iter()
        .find_map(|(id, principal)| {
            let mut roles = principal.app_roles.iter();
            roles
                .find(|(_, role)| role.value == "SMTP.SendAsApp")
                .map(|(role, _)| (id, role))
        })
        .unwrap();
    let assignment =
        json!({"principal_id":names.principal,"resource_id":resource,"app_role_id":role});
    sandbox
        .patch(&json!({"app_role_assignments":{(OTHER):assignment}}))
        .unwrap();
    let token = token(&sandbox, &[]).await;
    let (_, reply) = auth(&sandbox, &names.mailbox, &token).await;
    assert!(reply.starts_with(BARE), "{reply}");
    let full =
        json!({"exchange":{"mailboxes":{(&names.mailbox):{"full_access":[names.principal]}}}});
    sandbox.patch(&full).unwrap();
    let (_, reply) = auth(&sandbox, &names.mailbox, &token).await;
    assert!(reply.starts_with("235"), "{reply}");
}

#[tokio::test]
async fn wrong_tokens_are_a_bare_535() {
    let (sandbox, _) = start(Preset::Rbac).await;
    let names = Names::of(&sandbox);
    let good = token(&sandbox, &[]).await;
    let graph = token(
        &sandbox,
        &[("scope", "https://graph.microsoft.com/.default")],
    )
    .await;
    let own = token(
        &sandbox,
        &[("scope", &format!("{}/.default", names.client))],
    )
    .await;
    let by_id = token(
        &sandbox,
        &[("scope", "00000002-0000-0ff1-ce00-000000000000/.default")],
    )
    .await;
    let other = Sandbox::start(Options::default()).await.unwrap();
    let foreign = token(&other, &[]).await;
    let (_, admin) = sandbox.admin_tokens();
    let at = good.len() - 20;
    let other_letter = if &good[at..=at] == "A" { "B" } else { "A" };
    let changed = format!("{}{other_letter}{}", &good[..at], &good[at + 1..]);
    for (name, token, cause) in [
        ("for Graph", &graph, "another resource"),
        ("for the application itself", &own, "another resource"),
        ("for the resource's id", &by_id, "another resource"),
        ("of another tenant", &foreign, "another tenant"),
        ("of a person", &admin, "a person's"),
        ("changed", &changed, "signature"),
        ("not a token", &"nonsense".to_owned(), "no JWT"),
    ] {
        let (_, reply) = auth(&sandbox, &names.mailbox, token).await;
        assert!(reply.starts_with(BARE), "{name}: {reply}");
        let told = sandbox
            .journal(0)
            .into_iter()
            .filter_map(|e| e.cause)
            .next_back()
            .unwrap();
        assert!(told.contains(cause), "{name}: {told}");
    }
    let (_, reply) = auth(&sandbox, &names.mailbox, &good).await;
    assert!(reply.starts_with("235"), "{reply}");
    sandbox.advance(std::time::Duration::from_hours(1));
    let (_, reply) = auth(&sandbox, &names.mailbox, &good).await;
    assert!(reply.starts_with(BARE), "expired: {reply}");
}

#[tokio::test]
async fn changes_act_after_their_delay_in_both_directions() {
    let (sandbox, _) = start(Preset::Classic).await;
    let names = Names::of(&sandbox);
    let access =
        |who: Value| json!({"exchange":{"mailboxes":{(&names.mailbox):{"full_access":who}}}});
    sandbox.patch(&access(json!([]))).unwrap();
    sandbox
        .patch(&json!({"propagation_s":{"permission":5400}}))
        .unwrap();
    let try_it = async || {
        let token = token(&sandbox, &[]).await;
        auth(&sandbox, &names.mailbox, &token).await.1
    };
    sandbox.patch(&access(json!([names.principal]))).unwrap();
    assert!(
        try_it().await.starts_with("535"),
        "granted, not yet effective"
    );
    sandbox.advance(std::time::Duration::from_secs(5401));
    assert!(try_it().await.starts_with("235"), "effective");
    sandbox.patch(&access(json!([]))).unwrap();
    assert!(
        try_it().await.starts_with("235"),
        "revoked, still effective"
    );
    sandbox.advance(std::time::Duration::from_secs(5401));
    assert!(try_it().await.starts_with("535"), "gone");
}
