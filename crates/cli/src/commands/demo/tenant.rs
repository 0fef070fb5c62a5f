//! What an administrator does in an empty tenant, step by step, by the way of roles in Exchange.

use jiff::{SignedDuration, Timestamp};
use sendas_sandbox::Running;
use sendas_sandbox::canary::SECRET_MARK;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Show;
use crate::clock::{self, Stopwatch};
use crate::report::{Failure, chain};

/// What the steps made.
pub(super) struct Built {
    pub(super) tenant: String,
    pub(super) client_id: Uuid,
    pub(super) secret: String,
    pub(super) mailbox: String,
}

/// The name of the application, the group, the scope and the assignment.
const NAME: &str = "demo-sender";

/// How long the secret lives.
const SECRET_DAYS: i64 = 180;

/// Does every step and shows it.
pub(super) fn build(sandbox: &Running, show: &mut Show) -> Result<Built, Box<Failure>> {
    let tenant = sandbox.tenant();
    let mailbox = sandbox
        .details()
        .mailboxes
        .into_iter()
        .next()
        .ok_or_else(|| {
            Box::new(Failure::machine_trouble(
                "the demonstration ended early",
                "the tenant has no mailbox",
            ))
        })?;
    let ids = Ids::new();
    let now = clock::now();
    let secret = format!("{}~{SECRET_MARK}", Uuid::new_v4().simple());
    let group = format!("CN={NAME},OU={}", tenant.domain);
    let mut steps = Steps { sandbox, show };
    for (title, detail, patch) in entra(&ids, &secret, now).into_iter().chain(exchange(
        &ids,
        &mailbox,
        &group,
        &tenant.domain,
    )) {
        steps.take(title, &detail, &patch)?;
    }
    Ok(Built {
        tenant: tenant.id.to_string(),
        client_id: ids.client,
        secret,
        mailbox,
    })
}

type Change = (&'static str, String, Value);

/// The two ids that look alike, and the others.
struct Ids {
    application: Uuid,
    client: Uuid,
    service_principal: Uuid,
}

impl Ids {
    fn new() -> Self {
        Self {
            application: Uuid::new_v4(),
            client: Uuid::new_v4(),
            service_principal: Uuid::new_v4(),
        }
    }
}

/// The steps in Entra ID, as requests to Microsoft Graph.
fn entra(ids: &Ids, secret: &str, now: Timestamp) -> Vec<Change> {
    let Ids {
        application,
        client,
        service_principal,
    } = ids;
    let (key, end) = (
        Uuid::new_v4(),
        now + SignedDuration::from_hours(24 * SECRET_DAYS),
    );
    vec![
        (
            "Entra ID: register an application",
            format!(
                "POST /applications  displayName={NAME}\n\
                 client id (appId)       {client}\n\
                 object id               {application}  not the one that Exchange wants"
            ),
            json!({ "applications": { (application.to_string()): {
                "app_id": client, "display_name": NAME, "created": now,
            } } }),
        ),
        (
            "Entra ID: its service principal in this tenant",
            format!(
                "POST /servicePrincipals  appId={client}\n\
                 object id               {service_principal}  the one that Exchange wants\n\
                 no API permission: with roles in Exchange the token needs none"
            ),
            json!({ "service_principals": { (service_principal.to_string()): {
                "app_id": client, "display_name": NAME,
            } } }),
        ),
        (
            "Entra ID: a client secret",
            format!(
                "POST /applications/{application}/addPassword\n\
                 shown once, kept in memory here, good until {}",
                clock::whole_seconds(end)
            ),
            json!({ "applications": { (application.to_string()): { "secrets": { (key.to_string()): {
                "display_name": NAME, "value": secret, "starts": now, "ends": end,
            } } } } }),
        ),
    ]
}

/// The steps in Exchange Online, as its cmdlets.
fn exchange(ids: &Ids, mailbox: &str, group: &str, domain: &str) -> Vec<Change> {
    let Ids {
        client,
        service_principal,
        ..
    } = ids;
    vec![
        (
            "Exchange: make the service principal known",
            format!("New-ServicePrincipal -AppId {client} -ObjectId {service_principal}"),
            json!({ "exchange": { "service_principals": { (service_principal.to_string()): {
                "app_id": client, "display_name": NAME, "guid": Uuid::new_v4(),
            } } } }),
        ),
        (
            "Exchange: a scope with the mailboxes it may send as",
            format!(
                "New-DistributionGroup -Name {NAME} -Members {mailbox}\n\
                 New-ManagementScope -Name {NAME} -RecipientRestrictionFilter \"MemberOfGroup -eq '{group}'\""
            ),
            json!({
                "groups": { (Uuid::new_v4().to_string()): {
                    "display_name": NAME, "mail": format!("{NAME}@{domain}"),
                    "distinguished_name": group, "kind": "distribution", "members": [mailbox],
                } },
                "exchange": { "scopes": { (NAME): {
                    "guid": Uuid::new_v4(),
                    "recipient_filter": format!("MemberOfGroup -eq '{group}'"),
                } } },
            }),
        ),
        (
            "Exchange: the role, for that scope only",
            format!(
                "New-ManagementRoleAssignment -App {service_principal} \
                 -Role 'Application SMTP.SendAsApp' -CustomResourceScope {NAME}"
            ),
            json!({ "exchange": { "role_assignments": { (NAME): {
                "guid": Uuid::new_v4(), "role": "Application SMTP.SendAsApp",
                "app": service_principal, "custom_resource_scope": NAME,
            } } } }),
        ),
        (
            "Exchange: switch SMTP AUTH on, for this mailbox only",
            format!("Set-CASMailbox -Identity {mailbox} -SmtpClientAuthenticationDisabled $false"),
            json!({ "exchange": { "mailboxes": { (mailbox): {
                "smtp_client_authentication_disabled": false,
            } } } }),
        ),
    ]
}

struct Steps<'a> {
    sandbox: &'a Running,
    show: &'a mut Show,
}

impl Steps<'_> {
    fn take(&mut self, title: &str, detail: &str, patch: &Value) -> Result<(), Box<Failure>> {
        let watch = Stopwatch::start();
        self.sandbox.patch(patch).map_err(|error| {
            Box::new(Failure::machine_trouble(
                format!("the demonstration ended early: {title}"),
                chain(&error),
            ))
        })?;
        self.show.step(title, detail, watch.elapsed(), None);
        Ok(())
    }
}
