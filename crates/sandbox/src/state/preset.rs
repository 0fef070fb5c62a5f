//! Tenants to start from: a fresh organisation, and the same after a correct set-up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use uuid::{Uuid, uuid};

use super::directory::{
    AppRoleAssignment, Application, DirectoryRole, Group, Permission, Policies, Secret,
    ServicePrincipal, User,
};
use super::exchange::{
    Exchange, ExchangePrincipal, Mailbox, MailboxKind, ManagementScope, RoleAssignment, Transport,
};
use super::roles::{EXCHANGE_ADMINISTRATOR, GLOBAL_ADMINISTRATOR};
use super::{Behaviour, Propagation, Tenant};
use crate::chance::Chance;
use crate::digest;

/// Client id of Office 365 Exchange Online.
pub(crate) const EXCHANGE_APP_ID: Uuid = uuid!("00000002-0000-0ff1-ce00-000000000000");
/// Azure's own management interface, as a resource: known by this id in every tenant.
const MANAGEMENT_APP_ID: Uuid = uuid!("797f4846-ba00-4fd7-ba43-dac1f8f63013");
/// Its enterprise application's object id, the same in every sandbox.
const MANAGEMENT_ID: Uuid = uuid!("797f4846-0000-4000-8000-000000000001");
/// Client id of Microsoft Graph.
pub(crate) const GRAPH_APP_ID: Uuid = uuid!("00000003-0000-0000-c000-000000000000");
/// The permission of the classic path, by name.
pub(crate) const SEND_AS_APP: &str = "SMTP.SendAsApp";
/// The Exchange role of the claims-less path.
pub(crate) const SEND_AS_APP_ROLE: &str = "Application SMTP.SendAsApp";

const DOMAIN: &str = "contoso.onmicrosoft.com";

/// What a tenant looks like at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// An organisation of today: SMTP AUTH off, no application.
    Fresh,
    /// After a correct set-up with `SMTP.SendAsApp` and mailbox permissions.
    Classic,
    /// After a correct set-up with an Exchange role and a scope.
    #[default]
    Rbac,
}

/// The ids and secrets a preset made, which the document does not show again.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) admin_user: String,
    pub(crate) admin_password: String,
    /// The code every second page of a sign-in takes.
    pub(crate) mfa_code: String,
    pub(crate) client: Option<MadeClient>,
    /// Mailboxes the client may send as (all of them in a fresh tenant).
    pub(crate) mailboxes: Vec<String>,
    /// A mailbox the client may not send as.
    pub(crate) outside: String,
}

/// The client of a set-up tenant.
#[derive(Clone)]
pub(crate) struct MadeClient {
    pub(crate) id: Uuid,
    pub(crate) secret: String,
    pub(crate) application_object_id: Uuid,
    pub(crate) service_principal_id: Uuid,
}

impl std::fmt::Debug for MadeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeClient")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Makes the tenant of `preset`.
pub(crate) fn make(preset: Preset, chance: &Chance, now: Timestamp) -> (Tenant, Made) {
    let mut tenant = fresh(chance);
    let admin_password = chance.password();
    let admin_user = format!("admin@{DOMAIN}");
    let admin_id = chance.guid();
    tenant.users.insert(
        admin_id,
        User {
            user_principal_name: admin_user.clone(),
            display_name: "Sandbox Administrator".into(),
            password_sha256: digest::sha256_hex(&admin_password),
            mfa: false,
        },
    );
    for (role, name) in [
        (GLOBAL_ADMINISTRATOR, "Global Administrator"),
        (EXCHANGE_ADMINISTRATOR, "Exchange Administrator"),
    ] {
        let members = BTreeSet::from_iter((role == GLOBAL_ADMINISTRATOR).then_some(admin_id));
        let role_held = DirectoryRole {
            id: chance.guid(),
            display_name: name.into(),
            members,
        };
        tenant.directory_roles.insert(role, role_held);
    }

    let mailboxes: Vec<String> = ["noreply", "printer", "alerts"]
        .map(|name| format!("{name}@{DOMAIN}"))
        .into();
    for address in &mailboxes {
        let name = address.split('@').next().unwrap_or_default();
        let mailbox = Mailbox::shared(chance.guid(), &format!("{} (shared)", capital(name)));
        tenant.exchange.mailboxes.insert(address.clone(), mailbox);
    }
    let outside = format!("megan@{DOMAIN}");
    let mut person = Mailbox::shared(chance.guid(), "Megan Bowen");
    person.kind = MailboxKind::User;
    tenant.exchange.mailboxes.insert(outside.clone(), person);

    let client = (preset != Preset::Fresh).then(|| {
        let client = register(&mut tenant, chance, now);
        for address in &mailboxes {
            let mailbox = tenant
                .exchange
                .mailboxes
                .get_mut(address)
                .expect("made above");
            mailbox.smtp_client_authentication_disabled = Some(false);
        }
        match preset {
            Preset::Classic => grant_classic(&mut tenant, &client, &mailboxes, chance, now),
            Preset::Fresh | Preset::Rbac => grant_rbac(&mut tenant, &client, &mailboxes, chance),
        }
        client
    });
    (
        tenant,
        Made {
            admin_user,
            admin_password,
            mfa_code: format!("{:06}", chance.next() % 1_000_000),
            client,
            mailboxes,
            outside,
        },
    )
}

fn register(tenant: &mut Tenant, chance: &Chance, now: Timestamp) -> MadeClient {
    let client = MadeClient {
        id: chance.guid(),
        secret: chance.secret(),
        application_object_id: chance.guid(),
        service_principal_id: chance.guid(),
    };
    // Two years: the default validity of addPassword.
    let ends = now + SignedDuration::from_hours(2 * 365 * 24);
    let secret = Secret::of(&client.secret, "sandbox", now, ends);
    let name = "SMTP sender";
    tenant.applications.insert(
        client.application_object_id,
        Application {
            app_id: client.id,
            display_name: name.into(),
            sign_in_audience: "AzureADMyOrg".into(),
            public_client: false,
            secrets: BTreeMap::from([(chance.guid(), secret)]),
            certificates: BTreeMap::new(),
            federated: BTreeMap::new(),
            required: BTreeMap::new(),
            redirect_uris: Vec::new(),
            web_redirect_uris: Vec::new(),
            notes: None,
            tags: Vec::new(),
            identifier_uris: Vec::new(),
            created: now,
        },
    );
    tenant.service_principals.insert(
        client.service_principal_id,
        ServicePrincipal {
            app_id: client.id,
            display_name: name.into(),
            enabled: true,
            assignment_required: false,
            names: Vec::new(),
            app_roles: BTreeMap::new(),
            scopes: BTreeMap::new(),
            first_party: false,
        },
    );
    tenant.exchange.service_principals.insert(
        client.service_principal_id,
        ExchangePrincipal {
            app_id: client.id,
            display_name: name.into(),
            guid: chance.guid(),
        },
    );
    client
}

fn grant_classic(
    tenant: &mut Tenant,
    client: &MadeClient,
    mailboxes: &[String],
    chance: &Chance,
    now: Timestamp,
) {
    let (resource_id, resource) = tenant
        .service_principals
        .iter()
        .find(|(_, principal)| principal.app_id == EXCHANGE_APP_ID)
        .expect("every tenant has Exchange");
    let app_role_id = *resource
        .app_roles
        .iter()
        .find(|(_, role)| role.value == SEND_AS_APP)
        .expect("Exchange offers the permission")
        .0;
    let assignment = AppRoleAssignment {
        principal_id: client.service_principal_id,
        resource_id: *resource_id,
        app_role_id,
        created: now,
    };
    tenant
        .app_role_assignments
        .insert(chance.guid(), assignment);
    for address in mailboxes {
        let mailbox = tenant
            .exchange
            .mailboxes
            .get_mut(address)
            .expect("a mailbox of the preset");
        mailbox
            .full_access
            .insert(client.service_principal_id.to_string());
        mailbox
            .send_as
            .insert(client.service_principal_id.to_string());
    }
}

fn grant_rbac(tenant: &mut Tenant, client: &MadeClient, mailboxes: &[String], chance: &Chance) {
    let group = "smtp-senders";
    let distinguished_name = distinguished_name(group, &tenant.domain);
    tenant.groups.insert(
        chance.guid(),
        Group {
            display_name: group.into(),
            mail: format!("{group}@{DOMAIN}"),
            distinguished_name: distinguished_name.clone(),
            kind: "distribution".into(),
            members: mailboxes.iter().cloned().collect(),
        },
    );
    tenant.exchange.scopes.insert(
        group.into(),
        ManagementScope {
            guid: chance.guid(),
            recipient_filter: format!("MemberOfGroup -eq '{distinguished_name}'"),
        },
    );
    tenant.exchange.role_assignments.insert(
        "smtp-sender".into(),
        RoleAssignment {
            guid: chance.guid(),
            role: SEND_AS_APP_ROLE.into(),
            app: client.service_principal_id,
            custom_resource_scope: Some(group.into()),
            recipient_group_scope: None,
            recipient_administrative_unit_scope: None,
        },
    );
}

/// The distinguished name Exchange gives a group.
pub(crate) fn distinguished_name(name: &str, domain: &str) -> String {
    format!(
        "CN={name},OU={domain},OU=Microsoft Exchange Hosted Organizations,DC=EURPR01A001,DC=PROD,DC=OUTLOOK,DC=COM"
    )
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

fn fresh(chance: &Chance) -> Tenant {
    let permission = |value: &str, name: &str| Permission {
        value: value.into(),
        display_name: name.into(),
    };
    // The role id of SMTP.SendAsApp has no public source: it must be looked up by its value, so
    // every sandbox makes its own.
    let exchange = ServicePrincipal {
        app_id: EXCHANGE_APP_ID,
        display_name: "Office 365 Exchange Online".into(),
        enabled: true,
        assignment_required: false,
        names: [
            "https://outlook.office365.com",
            "https://outlook.office.com",
            "https://ps.outlook.com",
        ]
        .map(Into::into)
        .into(),
        app_roles: BTreeMap::from([
            (
                chance.guid(),
                permission(
                    SEND_AS_APP,
                    "Application access for sending emails via SMTP AUTH",
                ),
            ),
            (
                uuid!("dc50a0fb-09a3-484d-be87-e023b12c6440"),
                permission("Exchange.ManageAsApp", "Manage Exchange As Application"),
            ),
            (
                uuid!("5e5addcd-3e8d-4e90-baf5-964efab2b20a"),
                permission("IMAP.AccessAsApp", "IMAP.AccessAsApp"),
            ),
            (
                uuid!("cb842b43-da6e-4506-86fe-bb12199c656d"),
                permission("POP.AccessAsApp", "POP.AccessAsApp"),
            ),
            (
                uuid!("dc890d15-9560-4a4c-9b7f-a736ec74ec40"),
                permission(
                    "full_access_as_app",
                    "Use Exchange Web Services with full access to all mailboxes",
                ),
            ),
        ]),
        scopes: BTreeMap::from([
            (
                uuid!("76faac2a-0f20-42f1-928a-50de5b9dbe52"),
                permission("SMTP.Send", "Send emails from mailboxes using SMTP AUTH"),
            ),
            (
                uuid!("ab4f2b77-0b06-4fc1-a9de-02113fc2ab7c"),
                permission("Exchange.Manage", "Manage Exchange configuration"),
            ),
        ]),
        first_party: true,
    };
    let graph = ServicePrincipal {
        app_id: GRAPH_APP_ID,
        display_name: "Microsoft Graph".into(),
        names: vec!["https://graph.microsoft.com".into()],
        app_roles: offered(GRAPH_ROLES),
        scopes: offered(GRAPH_SCOPES),
        ..exchange.clone()
    };
    // What command line tools of Azure ask a token for when they sign in.
    let management = ServicePrincipal {
        app_id: MANAGEMENT_APP_ID,
        display_name: "Windows Azure Service Management API".into(),
        names: [
            "https://management.core.windows.net",
            "https://management.azure.com",
        ]
        .map(Into::into)
        .into(),
        app_roles: BTreeMap::new(),
        scopes: BTreeMap::from([(
            uuid!("41094075-9dad-400e-a0bd-54e686782033"),
            permission(
                "user_impersonation",
                "Access Azure Resource Manager as organization users",
            ),
        )]),
        ..exchange.clone()
    };
    Tenant {
        id: chance.guid(),
        domain: DOMAIN.into(),
        domains: Vec::new(),
        display_name: "Contoso (sandbox)".into(),
        licences: 25,
        trial: false,
        applications: BTreeMap::new(),
        service_principals: BTreeMap::from([
            (chance.guid(), exchange),
            (chance.guid(), graph),
            (MANAGEMENT_ID, management),
        ]),
        app_role_assignments: BTreeMap::new(),
        permission_grants: BTreeMap::new(),
        deleted: BTreeMap::new(),
        directory_roles: BTreeMap::new(),
        users: BTreeMap::new(),
        groups: BTreeMap::new(),
        issuers: BTreeMap::new(),
        policies: Policies::default(),
        exchange: Exchange {
            transport: Transport::default(),
            ..Exchange::default()
        },
        behaviour: Behaviour::default(),
        propagation_s: Propagation::default(),
    }
}

fn offered(table: &[(Uuid, &str, &str)]) -> BTreeMap<Uuid, Permission> {
    let rows = table.iter().map(|(id, value, name)| {
        let permission = Permission {
            value: (*value).into(),
            display_name: (*name).into(),
        };
        (*id, permission)
    });
    rows.collect()
}

/// Application permissions Microsoft Graph offers here.
// One line each, as in the permissions reference.
#[rustfmt::skip]
const GRAPH_ROLES: &[(Uuid, &str, &str)] = &[
    (uuid!("b633e1c5-b582-4048-a93e-9f11b44c7e96"), "Mail.Send", "Send mail as any user"),
    (uuid!("1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9"), "Application.ReadWrite.All", "Read and write all applications"),
    (uuid!("18a4783c-866b-4cc7-a460-3d5e5662c884"), "Application.ReadWrite.OwnedBy", "Manage apps that this app creates or owns"),
    (uuid!("9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30"), "Application.Read.All", "Read all applications"),
    (uuid!("06b708a9-e830-4db3-a914-8e69da51d44f"), "AppRoleAssignment.ReadWrite.All", "Manage app permission grants and app role assignments"),
    (uuid!("7ab1d382-f21e-4acd-a863-ba3e13f7da61"), "Directory.Read.All", "Read directory data"),
    (uuid!("498476ce-e0fe-48b0-b801-37ba7e2685c6"), "Organization.Read.All", "Read organization information"),
    (uuid!("9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8"), "RoleManagement.ReadWrite.Directory", "Read and write all directory RBAC settings"),
];

/// Delegated permissions Microsoft Graph offers here.
#[rustfmt::skip]
const GRAPH_SCOPES: &[(Uuid, &str, &str)] = &[
    (uuid!("e1fe6dd8-ba31-4d61-89e7-88639da4683d"), "User.Read", "Sign in and read user profile"),
    (uuid!("bdfbf15f-ee85-4955-8675-146e8e5296b5"), "Application.ReadWrite.All", "Read and write applications"),
    (uuid!("84bccea3-f856-4a8a-967b-dbe0a3d53a64"), "AppRoleAssignment.ReadWrite.All", "Manage app permission grants and app role assignments"),
    (uuid!("c79f8feb-a9db-4090-85f9-90d820caa0eb"), "Application.Read.All", "Read applications"),
    (uuid!("41ce6ca6-6826-4807-84f1-1c82854f7ee5"), "DelegatedPermissionGrant.ReadWrite.All", "Manage all delegated permission grants"),
    (uuid!("06da0dbc-49e2-44d2-8312-53f166ab848a"), "Directory.Read.All", "Read directory data"),
    (uuid!("2f9ee017-59c1-4f1d-9472-bd5529a7b311"), "Domain.Read.All", "Read domains"),
    (uuid!("4e46008b-f24c-477d-8fff-7bb4ec7aafe0"), "Group.ReadWrite.All", "Read and write all groups"),
    (uuid!("4908d5b9-3fb2-4b1e-9336-1888b7937185"), "Organization.Read.All", "Read organization information"),
    (uuid!("d01b97e9-cbc0-49fe-810a-750afd5527a3"), "RoleManagement.ReadWrite.Directory", "Read and write directory RBAC settings"),
    (uuid!("258f6531-6087-4cc4-bb90-092c5fb3ed3f"), "SMTP.Send", "Send emails from mailboxes using SMTP AUTH"),
];

/// A tenant without mailboxes and people, for tests of the state alone.
#[cfg(test)]
pub(crate) fn empty() -> Tenant {
    fresh(&Chance::seeded(1))
}
