//! The Microsoft Graph client (v1.0): what a set-up reads and writes in the directory.
//!
//! One method per request, answers as values, errors sorted by what they mean. Nothing here waits
//! for replication or repeats a write that may have acted: that is `apply`'s part.

mod answer;
mod objects;

use std::sync::Arc;

use http::{HeaderMap, Method};
use jiff::Timestamp;
use sendas_entra::{Cloud, Secret};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use self::objects::{
    AppRole, AppRoleAssignment, Application, Domain, FederatedCredential, KeyCredential, NewSecret,
    Organization, PasswordCredential, ServicePrincipal, VerifiedDomain,
};
use crate::admin::AdminToken;
use crate::limits::PAGES_MAX;
use crate::timer::Timer;
use crate::trouble::{CallError, Service, Trouble};
use crate::wire::{Effect, Transport, Wire, escape};

/// Client id of Office 365 Exchange Online, in every tenant.
pub const EXCHANGE_APP_ID: &str = "00000002-0000-0ff1-ce00-000000000000";

/// What is read of an application.
const APPLICATION: &str =
    "$select=id,appId,displayName,createdDateTime,keyCredentials,passwordCredentials";

/// The Graph client.
#[derive(Clone)]
pub struct Graph {
    wire: Wire,
    base: String,
}

/// One page of a list.
#[derive(Deserialize)]
struct Page<T> {
    value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

impl Graph {
    /// A client with this token, which may be an administrator's or an application's own.
    pub fn connect(
        cloud: &Cloud,
        token: &AdminToken,
        transport: &Arc<dyn Transport>,
        timer: &Arc<dyn Timer>,
    ) -> Self {
        let wire = Wire {
            transport: Arc::clone(transport),
            timer: Arc::clone(timer),
            token: token.clone(),
            progress: Arc::new(crate::apply::Silent),
        };
        Self::new(wire, cloud)
    }

    pub(crate) fn new(wire: Wire, cloud: &Cloud) -> Self {
        Self {
            wire,
            base: format!("{}/v1.0", cloud.graph()),
        }
    }

    /// Tells this one when the service makes it wait.
    pub(crate) fn with_progress(&self, progress: Arc<dyn crate::apply::Progress>) -> Self {
        let mut told = self.clone();
        told.wire.progress = progress;
        told
    }

    /// The organisation the token belongs to.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn organization(&self) -> Result<Organization, CallError> {
        let list = self
            .list("/organization?$select=id,displayName,verifiedDomains")
            .await?;
        list.into_iter().next().ok_or_else(|| {
            answer::not_understood("GET /organization", "the list of organisations is empty")
        })
    }

    /// The domains of the tenant.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn domains(&self) -> Result<Vec<Domain>, CallError> {
        self.list("/domains?$select=id,isVerified").await
    }

    /// The application with this client id.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn application_of(&self, client_id: &str) -> Result<Option<Application>, CallError> {
        let filter = escape(&format!("appId eq '{}'", quoted(client_id)));
        let path = format!("/applications?$filter={filter}&{APPLICATION}");
        Ok(self.list(&path).await?.into_iter().next())
    }

    /// The applications of this name; names are not unique.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn applications_named(&self, name: &str) -> Result<Vec<Application>, CallError> {
        let filter = escape(&format!("displayName eq '{}'", quoted(name)));
        self.list(&format!("/applications?$filter={filter}&{APPLICATION}"))
            .await
    }

    /// The application with this object id, or `appId=` and a client id; none when it is not there
    /// or not seen yet.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn application(&self, id: &str) -> Result<Option<Application>, CallError> {
        self.maybe(&format!("{}?{APPLICATION}", addressed(id)))
            .await
    }

    /// Registers an application for this tenant only. Makes a new one each time.
    ///
    /// `permission` is the resource's client id and the role id it asks for, for the portal to
    /// show; it grants nothing.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn create_application(
        &self,
        name: &str,
        permission: Option<(&str, &str)>,
    ) -> Result<Application, CallError> {
        let mut body = json!({ "displayName": name, "signInAudience": "AzureADMyOrg" });
        if let Some((resource, role)) = permission {
            body["requiredResourceAccess"] = json!([{
                "resourceAppId": resource,
                "resourceAccess": [{ "id": role, "type": "Role" }],
            }]);
        }
        self.make(Method::POST, "/applications", &body, Effect::Once)
            .await
    }

    /// Deletes an application; it goes to the deleted items. One that is gone is no error.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn delete_application(&self, id: &str) -> Result<(), CallError> {
        self.delete(&format!("/applications/{}", escape(id))).await
    }

    /// The enterprise application of this client id.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn service_principal_of(
        &self,
        client_id: &str,
    ) -> Result<Option<ServicePrincipal>, CallError> {
        let filter = escape(&format!("appId eq '{}'", quoted(client_id)));
        let path = format!(
            "/servicePrincipals?$filter={filter}&$select=id,appId,displayName,accountEnabled,appRoles"
        );
        Ok(self.list(&path).await?.into_iter().next())
    }

    /// The enterprise application with this object id; none when it is not there or not seen yet.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn service_principal(&self, id: &str) -> Result<Option<ServicePrincipal>, CallError> {
        self.maybe(&format!("/servicePrincipals/{}", escape(id)))
            .await
    }

    /// Makes the enterprise application of a client id. There can be only one:
    /// [`Trouble::Exists`] says that it is there.
    ///
    /// # Errors
    /// [`CallError`]; [`Trouble::NotReplicated`] for a while after the application was made.
    pub async fn create_service_principal(
        &self,
        client_id: &str,
    ) -> Result<ServicePrincipal, CallError> {
        let body = json!({ "appId": client_id });
        self.make(Method::POST, "/servicePrincipals", &body, Effect::Once)
            .await
    }

    /// Deletes an enterprise application. One that is gone is no error.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn delete_service_principal(&self, id: &str) -> Result<(), CallError> {
        self.delete(&format!("/servicePrincipals/{}", escape(id)))
            .await
    }

    /// What the enterprise application was granted.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn app_role_assignments(
        &self,
        id: &str,
    ) -> Result<Vec<AppRoleAssignment>, CallError> {
        self.list(&format!(
            "/servicePrincipals/{}/appRoleAssignments",
            escape(id)
        ))
        .await
    }

    /// Grants an application permission (admin consent). [`Trouble::Exists`] says that it is
    /// granted already.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn grant(
        &self,
        principal: &str,
        resource: &str,
        role: &str,
    ) -> Result<AppRoleAssignment, CallError> {
        let path = format!(
            "/servicePrincipals/{}/appRoleAssignments",
            escape(principal)
        );
        let body = json!({ "principalId": principal, "resourceId": resource, "appRoleId": role });
        self.make(Method::POST, &path, &body, Effect::Once).await
    }

    /// Takes an application permission away. One that is gone is no error.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn revoke(&self, principal: &str, assignment: &str) -> Result<(), CallError> {
        self.delete(&format!(
            "/servicePrincipals/{}/appRoleAssignments/{}",
            escape(principal),
            escape(assignment)
        ))
        .await
    }

    /// Makes a secret. Its text comes back this once; each call makes another one.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn add_password(
        &self,
        application: &str,
        label: &str,
        end: Timestamp,
    ) -> Result<NewSecret, CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            key_id: String,
            secret_text: String,
            end_date_time: Option<Timestamp>,
        }

        let path = format!("{}/addPassword", addressed(application));
        let body = json!({ "passwordCredential": {
            "displayName": label, "endDateTime": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        } });
        let made: Answer = self.make(Method::POST, &path, &body, Effect::Once).await?;
        let text = Secret::from_bytes(made.secret_text.into_bytes())
            .map_err(|error| answer::not_understood("POST addPassword", &error.to_string()))?;
        Ok(NewSecret {
            key_id: made.key_id,
            text,
            end: made.end_date_time,
        })
    }

    /// Removes a secret. One that is gone is no error.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn remove_password(&self, application: &str, key_id: &str) -> Result<(), CallError> {
        let path = format!("{}/removePassword", addressed(application));
        let body = json!({ "keyId": key_id });
        gone(self.act(Method::POST, &path, &body).await)
    }

    /// Replaces the certificates of an application by these entries. Entries that came from Graph
    /// go back as they came.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn set_key_credentials(
        &self,
        application: &str,
        entries: &[Value],
    ) -> Result<(), CallError> {
        let path = addressed(application);
        let body = json!({ "keyCredentials": entries });
        self.act(Method::PATCH, &path, &body).await
    }

    /// Adds a certificate with the proof of a key that is registered and valid; needs no right of
    /// its own.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn add_key(
        &self,
        application: &str,
        entry: &Value,
        proof: &str,
    ) -> Result<KeyCredential, CallError> {
        let path = format!("{}/addKey", addressed(application));
        let body = json!({ "keyCredential": entry, "passwordCredential": null, "proof": proof });
        let made: Value = self.make(Method::POST, &path, &body, Effect::Once).await?;
        Ok(objects::key_credential(&made))
    }

    /// Removes a certificate with the proof of a key that stays. One that is gone is no error.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn remove_key(
        &self,
        application: &str,
        key_id: &str,
        proof: &str,
    ) -> Result<(), CallError> {
        let path = format!("{}/removeKey", addressed(application));
        let body = json!({ "keyId": key_id, "proof": proof });
        gone(self.act(Method::POST, &path, &body).await)
    }

    /// The foreign issuers the application trusts.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn federated(
        &self,
        application: &str,
    ) -> Result<Vec<FederatedCredential>, CallError> {
        self.list(&format!(
            "{}/federatedIdentityCredentials",
            addressed(application)
        ))
        .await
    }

    /// Trusts a foreign issuer; names are unique in an application.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn add_federated(
        &self,
        application: &str,
        name: &str,
        issuer: &str,
        subject: &str,
        audience: &str,
    ) -> Result<FederatedCredential, CallError> {
        let path = format!(
            "/applications/{}/federatedIdentityCredentials",
            escape(application)
        );
        let body = json!({
            "name": name, "issuer": issuer, "subject": subject, "audiences": [audience],
        });
        self.make(Method::POST, &path, &body, Effect::Once).await
    }

    /// Trusts an issuer no more. One that is gone is no error.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn remove_federated(&self, application: &str, id: &str) -> Result<(), CallError> {
        self.delete(&format!(
            "/applications/{}/federatedIdentityCredentials/{}",
            escape(application),
            escape(id)
        ))
        .await
    }

    async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, CallError> {
        let asked = format!("GET {}", plain(path));
        let mut url = format!("{}{path}", self.base);
        let mut all = Vec::new();
        for _ in 0..PAGES_MAX {
            let answer = self
                .wire
                .send(
                    Method::GET,
                    &url,
                    &HeaderMap::new(),
                    None,
                    Effect::Repeatable,
                )
                .await;
            let page: Page<T> = answer::read(&asked, answer)?;
            all.extend(page.value);
            match page.next {
                None => return Ok(all),
                // The token goes to this service only.
                Some(next) if next.starts_with(&format!("{}/", self.base)) => url = next,
                Some(_) => {
                    let reason = "the next page lies on another host";
                    return Err(answer::not_understood(&asked, reason));
                }
            }
        }
        Err(answer::not_understood(&asked, "the list has no end"))
    }

    async fn maybe<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, CallError> {
        let asked = format!("GET {}", plain(path));
        let url = format!("{}{path}", self.base);
        let answer = self
            .wire
            .send(
                Method::GET,
                &url,
                &HeaderMap::new(),
                None,
                Effect::Repeatable,
            )
            .await;
        match answer::read(&asked, answer) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.trouble() == Some(Trouble::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn make<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        effect: Effect,
    ) -> Result<T, CallError> {
        let asked = format!("{method} {path}");
        let url = format!("{}{path}", self.base);
        let answer = self
            .wire
            .send(method, &url, &HeaderMap::new(), Some(body), effect)
            .await;
        answer::read(&asked, answer)
    }

    /// A write that sets or removes, so that repeating it does no harm.
    async fn act(&self, method: Method, path: &str, body: &Value) -> Result<(), CallError> {
        let asked = format!("{method} {path}");
        let url = format!("{}{path}", self.base);
        let answer = self
            .wire
            .send(
                method,
                &url,
                &HeaderMap::new(),
                Some(body),
                Effect::Repeatable,
            )
            .await;
        answer::done(&asked, answer)
    }

    async fn delete(&self, path: &str) -> Result<(), CallError> {
        let asked = format!("DELETE {path}");
        let url = format!("{}{path}", self.base);
        let answer = self
            .wire
            .send(
                Method::DELETE,
                &url,
                &HeaderMap::new(),
                None,
                Effect::Repeatable,
            )
            .await;
        gone(answer::done(&asked, answer))
    }
}

/// What is gone need not be removed.
fn gone(result: Result<(), CallError>) -> Result<(), CallError> {
    match result {
        Err(error) if error.trouble() == Some(Trouble::NotFound) => Ok(()),
        result => result,
    }
}

/// An application by its object id, or by `appId=` and its client id.
fn addressed(application: &str) -> String {
    match application.strip_prefix("appId=") {
        Some(client_id) => format!("/applications(appId='{}')", escape(client_id)),
        None => format!("/applications/{}", escape(application)),
    }
}

/// A text inside the quotes of an `OData` literal.
fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

/// The path without its query.
fn plain(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl CallError {
    pub(crate) fn exists(&self) -> bool {
        self.trouble() == Some(Trouble::Exists)
    }
}

/// Who answers here.
const SERVICE: Service = Service::Graph;
