//! Application registrations.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::access::Right;
use super::error::{self, GraphError};
use super::{Call, Reply, credentials, federated, shape};
use crate::state::Tenant;
use crate::state::directory::{Application, Deleted, DeletedObject, RequiredPermission};

const KIND: &str = "Application";

/// Properties of the resource that the sandbox does not model: taken, checked by name only, and
/// shown with their usual value.
const UNMODELLED: [&str; 17] = [
    "addIns",
    "api",
    "appRoles",
    "authenticationBehaviors",
    "description",
    "groupMembershipClaims",
    "info",
    "isDeviceOnlyAuthSupported",
    "optionalClaims",
    "parentalControlSettings",
    "requestSignatureVerification",
    "samlMetadataUrl",
    "serviceManagementReference",
    "servicePrincipalLockConfiguration",
    "spa",
    "tokenEncryptionKeyId",
    "verifiedPublisher",
];

pub(super) fn dispatch(call: &Call<'_>, rest: &[&str]) -> Option<Result<Reply, GraphError>> {
    Some(match (call.method.as_str(), rest) {
        ("GET", []) => list(call),
        ("POST", []) => create(call),
        ("GET", [key]) => read(call, key),
        ("PATCH", [key]) => update(call, key),
        ("DELETE", [key]) => delete(call, key),
        ("POST", [key, "addpassword"]) => credentials::add_password(call, key),
        ("POST", [key, "removepassword"]) => credentials::remove_password(call, key),
        ("POST", [key, "addkey"]) => credentials::add_key(call, key),
        ("POST", [key, "removekey"]) => credentials::remove_key(call, key),
        (_, [key, "federatedidentitycredentials", rest @ ..]) => {
            return federated::dispatch(call, key, rest);
        }
        _ => return None,
    })
}

/// Finds an application by object id or `appId=…`, in the document Graph finds objects in.
pub(super) fn find<'t>(
    tenant: &'t Tenant,
    key: &str,
) -> Result<(Uuid, &'t Application), GraphError> {
    super::by_key(&tenant.applications, key, |application| application.app_id)
        .ok_or_else(|| not_found(key))
}

pub(super) fn not_found(key: &str) -> GraphError {
    error::NOT_FOUND.with(&[key.strip_prefix("appid=").unwrap_or(key)])
}

/// Finds an application to change, and checks that the caller may.
///
/// `own` is whether the application itself may do it without any permission.
pub(super) fn find_to_change(call: &Call<'_>, key: &str, own: bool) -> Result<Uuid, GraphError> {
    let (id, application) = find(call.view.replicated(), key)?;
    let itself = call.caller.person.is_none() && call.caller.app_id == application.app_id;
    let owned = itself && call.caller.may(&["Application.ReadWrite.OwnedBy"]);
    if !(owned || own && itself) {
        call.require(Right::WriteApplications)?;
    }
    Ok(id)
}

fn list(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::ReadApplications)?;
    let tenant = call.view.listed();
    let all = tenant.applications.iter();
    let objects = all.map(|(id, a)| shape::application(tenant, *id, a, false));
    call.list("applications", KIND, objects.collect())
}

fn read(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    call.require(Right::ReadApplications)?;
    let tenant = call.view.replicated();
    let (id, application) = find(tenant, key)?;
    let with_keys = call.query.selects("keyCredentials");
    let object = shape::application(tenant, id, application, with_keys);
    Ok(call.one("applications", object))
}

fn create(call: &Call<'_>) -> Result<Reply, GraphError> {
    call.require(Right::WriteApplications)?;
    let name = call.body.get("displayName").and_then(Value::as_str);
    if name.is_none_or(str::is_empty) {
        return Err(error::PROPERTY_MISSING.with(&["displayName", KIND]));
    }
    let (id, app_id) = (call.world.chance.guid(), call.world.chance.guid());
    call.change(|tenant, _, now| {
        let mut application = Application {
            app_id,
            display_name: String::new(),
            sign_in_audience: "AzureADMyOrg".into(),
            public_client: false,
            secrets: BTreeMap::new(),
            certificates: BTreeMap::new(),
            federated: BTreeMap::new(),
            required: BTreeMap::new(),
            redirect_uris: Vec::new(),
            web_redirect_uris: Vec::new(),
            notes: None,
            tags: Vec::new(),
            identifier_uris: Vec::new(),
            created: now,
        };
        set(call, &mut application)?;
        let object = shape::application(tenant, id, &application, false);
        tenant.applications.insert(id, application);
        Ok(Call::made("applications", object))
    })
}

fn update(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    let id = find_to_change(call, key, false)?;
    call.change(|tenant, _, _| {
        let application = tenant
            .applications
            .get_mut(&id)
            .ok_or_else(|| not_found(key))?;
        set(call, application)?;
        let (app_id, name) = (application.app_id, application.display_name.clone());
        // The enterprise application carries the registration's name.
        for principal in tenant.service_principals.values_mut() {
            if principal.app_id == app_id {
                principal.display_name.clone_from(&name);
            }
        }
        Ok(Reply::nothing())
    })
}

fn delete(call: &Call<'_>, key: &str) -> Result<Reply, GraphError> {
    let id = find_to_change(call, key, false)?;
    call.change(|tenant, _, at| {
        let application = tenant
            .applications
            .remove(&id)
            .ok_or_else(|| not_found(key))?;
        let principals: Vec<Uuid> = tenant
            .service_principals
            .iter()
            .filter(|(_, principal)| principal.app_id == application.app_id)
            .map(|(id, _)| *id)
            .collect();
        for principal in principals {
            super::principals::remove(tenant, principal, at);
        }
        let object = DeletedObject::Application(Box::new(application));
        tenant.deleted.insert(id, Deleted { at, object });
        Ok(Reply::nothing())
    })
}

// Sets the properties of the body.
fn set(call: &Call<'_>, application: &mut Application) -> Result<(), GraphError> {
    for (name, value) in &call.body {
        let wrong = || error::PROPERTY.with(&[name, KIND]);
        match name.as_str() {
            "displayName" => {
                let text = value
                    .as_str()
                    .filter(|t| (1..=256).contains(&t.chars().count()));
                application.display_name = text.ok_or_else(wrong)?.into();
            }
            "signInAudience" => {
                application.sign_in_audience = match value.as_str() {
                    Some(
                        audience @ ("AzureADMyOrg"
                        | "AzureADMultipleOrgs"
                        | "AzureADandPersonalMicrosoftAccount"),
                    ) => audience.into(),
                    _ => return Err(wrong()),
                };
            }
            "identifierUris" => application.identifier_uris = texts(value).ok_or_else(wrong)?,
            "tags" => application.tags = texts(value).ok_or_else(wrong)?,
            "notes" => application.notes = value.as_str().map(Into::into),
            "isFallbackPublicClient" => {
                application.public_client = value.as_bool().unwrap_or_default();
            }
            "publicClient" => {
                application.redirect_uris = redirects(value).ok_or_else(wrong)?;
            }
            "web" => application.web_redirect_uris = redirects(value).ok_or_else(wrong)?,
            "requiredResourceAccess" => {
                application.required = required(value).ok_or_else(wrong)?;
            }
            "keyCredentials" => {
                application.certificates =
                    credentials::replaced(value, application, call.now, &call.world.chance)?;
            }
            "passwordCredentials" => {
                let secrets = value.as_array().ok_or_else(wrong)?;
                if !credentials::same_secrets(secrets, application) {
                    return Err(error::SECRET_SET.said());
                }
            }
            other if UNMODELLED.contains(&other) || other.starts_with("@odata.") => {}
            // Read-only, but taken when sent back unchanged.
            "id" | "appId" | "createdDateTime" | "publisherDomain" | "deletedDateTime" => {}
            other => return Err(error::PROPERTY_UNKNOWN.with(&[other])),
        }
    }
    Ok(())
}

pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    let all = value.as_array()?.iter();
    all.map(|one| one.as_str().map(str::to_owned)).collect()
}

fn redirects(client: &Value) -> Option<Vec<String>> {
    match client {
        Value::Null => Some(Vec::new()),
        Value::Object(members) => members
            .get("redirectUris")
            .map_or_else(|| Some(Vec::new()), texts),
        _ => None,
    }
}

fn required(value: &Value) -> Option<BTreeMap<Uuid, Vec<RequiredPermission>>> {
    let permission = |access: &Value| {
        let access: &Map<String, Value> = access.as_object()?;
        let kind = access.get("type")?.as_str()?;
        matches!(kind, "Role" | "Scope").then_some(())?;
        Some(RequiredPermission {
            id: access.get("id")?.as_str()?.parse().ok()?,
            kind: kind.into(),
        })
    };
    let resources = value.as_array()?.iter();
    resources
        .map(|resource| {
            let id = resource["resourceAppId"].as_str()?.parse().ok()?;
            let access = resource["resourceAccess"].as_array()?.iter();
            Some((id, access.map(permission).collect::<Option<Vec<_>>>()?))
        })
        .collect()
}
