//! Objects of the directory as Microsoft Graph writes them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::digest;
use crate::state::Tenant;
use crate::state::directory::{
    AppRoleAssignment, Application, Certificate, DirectoryRole, FederatedCredential, Group,
    Permission, PermissionGrant, Secret, ServicePrincipal, User,
};

/// A time as the service writes it: whole seconds.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An application; its keys are shown only when a single object's are selected.
pub(super) fn application(
    tenant: &Tenant,
    id: Uuid,
    application: &Application,
    with_keys: bool,
) -> Value {
    let secrets = application.secrets.iter().map(|(id, s)| secret(*id, s));
    let certificates = application.certificates.iter();
    let required = application.required.iter().map(|(resource, permissions)| {
        let access = permissions
            .iter()
            .map(|p| json!({ "id": p.id, "type": p.kind }));
        json!({ "resourceAppId": resource, "resourceAccess": access.collect::<Vec<_>>() })
    });
    json!({
        "id": id,
        "deletedDateTime": null,
        "appId": application.app_id,
        "applicationTemplateId": null,
        "disabledByMicrosoftStatus": null,
        "createdDateTime": time(application.created),
        "displayName": application.display_name,
        "description": null,
        "groupMembershipClaims": null,
        "identifierUris": application.identifier_uris,
        "isDeviceOnlyAuthSupported": null,
        "isFallbackPublicClient": application.public_client,
        "notes": application.notes,
        "publisherDomain": tenant.domain,
        "serviceManagementReference": null,
        "signInAudience": application.sign_in_audience,
        "tags": application.tags,
        "tokenEncryptionKeyId": null,
        "uniqueName": null,
        "addIns": [],
        "api": {
            "acceptMappedClaims": null,
            "knownClientApplications": [],
            "requestedAccessTokenVersion": null,
            "oauth2PermissionScopes": [],
            "preAuthorizedApplications": [],
        },
        "appRoles": [],
        "info": {
            "logoUrl": null, "marketingUrl": null, "privacyStatementUrl": null,
            "supportUrl": null, "termsOfServiceUrl": null,
        },
        "keyCredentials": certificates
            .map(|(id, c)| certificate(*id, c, with_keys))
            .collect::<Vec<_>>(),
        "parentalControlSettings": {
            "countriesBlockedForMinors": [], "legalAgeGroupRule": "Allow",
        },
        "passwordCredentials": secrets.collect::<Vec<_>>(),
        "publicClient": { "redirectUris": application.redirect_uris },
        "requiredResourceAccess": required.collect::<Vec<_>>(),
        "spa": { "redirectUris": [] },
        "web": {
            "homePageUrl": null,
            "logoutUrl": null,
            "redirectUris": application.web_redirect_uris,
            "implicitGrantSettings": {
                "enableAccessTokenIssuance": false, "enableIdTokenIssuance": false,
            },
            "redirectUriSettings": [],
        },
    })
}

/// A certificate, with its members as recorded; the thumbprint is upper-case hexadecimal.
pub(super) fn certificate(id: Uuid, certificate: &Certificate, with_key: bool) -> Value {
    json!({
        "customKeyIdentifier": digest::sha1_hex(&certificate.octets()).to_uppercase(),
        "displayName": certificate.display_name,
        "endDateTime": time(certificate.ends),
        "key": with_key.then_some(&certificate.der),
        "keyId": id,
        "startDateTime": time(certificate.starts),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    })
}

/// A secret, without its text.
pub(super) fn secret(id: Uuid, secret: &Secret) -> Value {
    json!({
        "customKeyIdentifier": null,
        "displayName": secret.display_name,
        "endDateTime": time(secret.ends),
        "hint": secret.hint,
        "keyId": id,
        "secretText": null,
        "startDateTime": time(secret.starts),
    })
}

/// A federated credential.
pub(super) fn federated(id: Uuid, credential: &FederatedCredential) -> Value {
    json!({
        "id": id,
        "name": credential.name,
        "issuer": credential.issuer,
        "subject": credential.subject,
        "description": null,
        "audiences": credential.audiences,
    })
}

/// An enterprise application.
pub(super) fn principal(tenant: &Tenant, id: Uuid, principal: &ServicePrincipal) -> Value {
    let application = tenant
        .applications
        .values()
        .find(|application| application.app_id == principal.app_id);
    let roles = principal.app_roles.iter().map(|(id, role)| {
        json!({
            "allowedMemberTypes": ["Application"],
            "description": role.display_name,
            "displayName": role.display_name,
            "id": id,
            "isEnabled": true,
            "origin": "Application",
            "value": role.value,
        })
    });
    let scopes = principal
        .scopes
        .iter()
        .map(|(id, scope)| delegated(*id, scope));
    // Microsoft's own applications live in a tenant of Microsoft's.
    let owner = if principal.first_party {
        "f8cdef31-a31e-4b4a-93e4-5f571e91255a".to_owned()
    } else {
        tenant.id.to_string()
    };
    let names = std::iter::once(principal.app_id.to_string())
        .chain(principal.names.iter().cloned())
        .chain(
            application
                .into_iter()
                .flat_map(|a| a.identifier_uris.clone()),
        );
    json!({
        "id": id,
        "deletedDateTime": null,
        "accountEnabled": principal.enabled,
        "alternativeNames": [],
        "appDisplayName": principal.display_name,
        "appDescription": null,
        "appId": principal.app_id,
        "applicationTemplateId": null,
        "appOwnerOrganizationId": owner,
        "appRoleAssignmentRequired": principal.assignment_required,
        "createdDateTime": application.map(|a| time(a.created)),
        "description": null,
        "disabledByMicrosoftStatus": null,
        "displayName": principal.display_name,
        "homepage": null,
        "loginUrl": null,
        "logoutUrl": null,
        "notes": null,
        "notificationEmailAddresses": [],
        "preferredSingleSignOnMode": null,
        "replyUrls": application.map_or_else(Vec::new, |a| a.web_redirect_uris.clone()),
        "servicePrincipalNames": names.collect::<Vec<_>>(),
        "servicePrincipalType": "Application",
        "signInAudience": application.map_or("AzureADMultipleOrgs", |a| a.sign_in_audience.as_str()),
        "tags": [],
        "tokenEncryptionKeyId": null,
        "addIns": [],
        "appRoles": roles.collect::<Vec<_>>(),
        "keyCredentials": [],
        "oauth2PermissionScopes": scopes.collect::<Vec<_>>(),
        "passwordCredentials": [],
        "resourceSpecificApplicationPermissions": [],
    })
}

fn delegated(id: Uuid, scope: &Permission) -> Value {
    json!({
        "adminConsentDescription": scope.display_name,
        "adminConsentDisplayName": scope.display_name,
        "id": id,
        "isEnabled": true,
        "type": "Admin",
        "userConsentDescription": null,
        "userConsentDisplayName": null,
        "value": scope.value,
    })
}

/// The id of a granted application permission: opaque, no GUID.
pub(super) fn assignment_id(id: Uuid, principal: Uuid) -> String {
    URL_SAFE_NO_PAD.encode([principal.into_bytes(), id.into_bytes()].concat())
}

/// The assignment an opaque id names.
pub(super) fn assignment_of(text: &str) -> Option<Uuid> {
    let octets = URL_SAFE_NO_PAD.decode(text).ok()?;
    (octets.len() == 32).then(|| Uuid::from_slice(&octets[16..]).ok())?
}

/// A granted application permission.
pub(super) fn assignment(tenant: &Tenant, id: Uuid, assignment: &AppRoleAssignment) -> Value {
    let name = |id: Uuid| {
        tenant
            .service_principals
            .get(&id)
            .map(|principal| principal.display_name.as_str())
    };
    json!({
        "id": assignment_id(id, assignment.principal_id),
        "deletedDateTime": null,
        "appRoleId": assignment.app_role_id,
        "createdDateTime": time(assignment.created),
        "principalDisplayName": name(assignment.principal_id),
        "principalId": assignment.principal_id,
        "principalType": "ServicePrincipal",
        "resourceDisplayName": name(assignment.resource_id),
        "resourceId": assignment.resource_id,
    })
}

/// A granted delegated permission.
pub(super) fn grant(id: Uuid, grant: &PermissionGrant) -> Value {
    let scopes: Vec<&str> = grant.scopes.iter().map(String::as_str).collect();
    json!({
        "clientId": grant.client_id,
        "consentType": if grant.principal_id.is_some() { "Principal" } else { "AllPrincipals" },
        "id": assignment_id(id, grant.client_id),
        "principalId": grant.principal_id,
        "resourceId": grant.resource_id,
        "scope": scopes.join(" "),
    })
}

/// A person.
pub(super) fn user(id: Uuid, user: &User) -> Value {
    json!({
        "id": id,
        "businessPhones": [],
        "displayName": user.display_name,
        "givenName": null,
        "jobTitle": null,
        "mail": null,
        "mobilePhone": null,
        "officeLocation": null,
        "preferredLanguage": null,
        "surname": null,
        "userPrincipalName": user.user_principal_name,
    })
}

/// A directory role that is active.
pub(super) fn role(template: Uuid, role: &DirectoryRole) -> Value {
    json!({
        "id": role_id(template, role),
        "deletedDateTime": null,
        "description": null,
        "displayName": role.display_name,
        "roleTemplateId": template,
    })
}

/// The object id of a directory role.
pub(super) fn role_id(template: Uuid, role: &DirectoryRole) -> Uuid {
    if role.id.is_nil() { template } else { role.id }
}

/// A group.
pub(super) fn group(id: Uuid, group: &Group) -> Value {
    let alias = group.mail.split('@').next().unwrap_or_default();
    json!({
        "id": id,
        "deletedDateTime": null,
        "description": null,
        "displayName": group.display_name,
        "groupTypes": [],
        "mail": group.mail,
        "mailEnabled": true,
        "mailNickname": alias,
        "securityEnabled": group.kind == "security",
        "visibility": null,
    })
}
