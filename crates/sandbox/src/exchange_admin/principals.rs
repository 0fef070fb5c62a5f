//! Service principals as Exchange holds them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::cmdlet::{Cmdlet, Invocation, Needs, Output};
use super::error::{self, CmdletError, not_found};
use super::identity;
use super::parameters::Kind;
use crate::state::Tenant;
use crate::state::exchange::ExchangePrincipal;

pub(super) const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "New-ServicePrincipal",
        needs: Needs::Organization,
        parameters: &[
            ("AppId", Kind::Text),
            ("ObjectId", Kind::Text),
            ("ServiceId", Kind::Text),
            ("DisplayName", Kind::Text),
        ],
        mandatory: &["AppId"],
        run: create,
    },
    Cmdlet {
        name: "Get-ServicePrincipal",
        needs: Needs::Organization,
        parameters: &[("Identity", Kind::Text)],
        mandatory: &[],
        run: read,
    },
    Cmdlet {
        name: "Set-ServicePrincipal",
        needs: Needs::Organization,
        parameters: &[("Identity", Kind::Text), ("DisplayName", Kind::Text)],
        mandatory: &["Identity"],
        run: update,
    },
    Cmdlet {
        name: "Remove-ServicePrincipal",
        needs: Needs::Organization,
        parameters: &[("Identity", Kind::Text)],
        mandatory: &["Identity"],
        run: remove,
    },
];

fn shown(tenant: &Tenant, object_id: Uuid, principal: &ExchangePrincipal) -> Value {
    let name = object_id.to_string();
    let dn = identity::distinguished_name(tenant, &name);
    json!({
        "Identity": name,
        "Id": name,
        "Name": name,
        "DisplayName": principal.display_name,
        "AppId": principal.app_id,
        "ObjectId": object_id,
        "ServiceId": object_id,
        "Sid": identity::security_id(&name),
        "Guid": principal.guid,
        "DistinguishedName": dn,
        "OrganizationId": tenant.domain,
        "IsValid": true,
        "ObjectState": "Unchanged",
    })
}

fn create(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let id = |name: &str, text: &str| {
        text.parse::<Uuid>()
            .map_err(|_| error::PARAMETER_VALUE.with(&[name, text, "System.Guid"]))
    };
    let app_id = id("AppId", &call.parameters.needed("AppId"))?;
    // ServiceId is the old name of ObjectId.
    let Some(object_id) = call
        .parameters
        .text("ObjectId")
        .or_else(|| call.parameters.text("ServiceId"))
    else {
        return Err(error::PARAMETER_MISSING.with(&["ObjectId"]));
    };
    let object_id = id("ObjectId", &object_id)?;
    let held = &call.tenant.exchange.service_principals;
    if held.contains_key(&object_id) {
        return Err(error::EXISTS.with(&[&object_id.to_string()]));
    }
    if held.values().any(|principal| principal.app_id == app_id) {
        return Err(error::EXISTS.with(&[&app_id.to_string()]));
    }
    // Nothing is compared with the directory: a wrong object id is taken.
    let principal = ExchangePrincipal {
        app_id,
        display_name: call.parameters.text("DisplayName").unwrap_or_default(),
        guid: call.chance.guid(),
    };
    let object = shown(call.tenant, object_id, &principal);
    call.tenant
        .exchange
        .service_principals
        .insert(object_id, principal);
    Ok(Output::one(object))
}

// An identity that finds nothing answers all of them, as the documentation warns.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the table holds cmdlets of one type"
)]
fn read(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let found = call
        .parameters
        .text("Identity")
        .and_then(|identity| identity::principal(call.tenant, &identity));
    if let Some((id, principal)) = found {
        return Ok(Output::one(shown(call.tenant, id, principal)));
    }
    let all = call.tenant.exchange.service_principals.iter();
    let objects = all.map(|(id, principal)| shown(call.tenant, *id, principal));
    Ok(Output::all(objects.collect()))
}

fn find(call: &Invocation<'_>) -> Result<Uuid, CmdletError> {
    let identity = call.parameters.needed("Identity");
    identity::principal(call.tenant, &identity)
        .map(|(id, _)| id)
        .ok_or_else(|| not_found(&identity))
}

fn update(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let id = find(call)?;
    if let (Some(name), Some(principal)) = (
        call.parameters.text("DisplayName"),
        call.tenant.exchange.service_principals.get_mut(&id),
    ) {
        principal.display_name = name;
    }
    Ok(Output::default())
}

fn remove(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let id = find(call)?;
    call.tenant.exchange.service_principals.remove(&id);
    // What it was given stays, under a security identifier that nobody has any more.
    let (held, orphan) = (id.to_string(), identity::security_id(&id.to_string()));
    for mailbox in call.tenant.exchange.mailboxes.values_mut() {
        for set in [&mut mailbox.full_access, &mut mailbox.send_as] {
            if set.remove(&held) {
                set.insert(orphan.to_lowercase());
            }
        }
    }
    Ok(Output::default())
}
