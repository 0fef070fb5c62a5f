//! The Exchange admin client: cmdlets over HTTP, as the v3 PowerShell module runs them.
//!
//! One request per cmdlet (`InvokeCommand`); rows come back as JSON objects, of which the readers
//! below take what a set-up looks at. The interface is undocumented but widely used.

mod answer;
mod objects;

use http::{HeaderMap, HeaderValue, Method};
use sendas_entra::Cloud;
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub use self::objects::{
    ExchangePrincipal, Group, MailboxSettings, PermissionEntry, RoleAssignment, Scope,
};
use crate::cmdlet::{Cmdlet, Parameter};
use crate::limits::PAGES_MAX;
use crate::trouble::{CallError, Trouble};
use crate::wire::{Effect, Wire, escape};

/// The mailbox that anchors an application's requests.
const ANCHOR: &str = "SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}";

/// The Exchange admin client of one tenant.
#[derive(Clone)]
pub struct ExchangeAdmin {
    wire: Wire,
    url: String,
    anchor: String,
}

impl ExchangeAdmin {
    /// `tenant_id` is the id, not a domain.
    pub(crate) fn new(wire: Wire, cloud: &Cloud, tenant_id: &str) -> Self {
        let claims = wire.token.claims();
        let user = claims.as_ref().and_then(|claims| {
            let payload = claims.payload();
            ["upn", "unique_name", "preferred_username"]
                .iter()
                .find_map(|name| payload.get(*name)?.as_str())
        });
        let anchor = match user {
            Some(user) if user.bytes().all(|octet| octet.is_ascii_graphic()) => {
                format!("UPN:{user}")
            }
            _ => format!("APP:{ANCHOR}@{tenant_id}"),
        };
        Self {
            url: format!(
                "{}/adminapi/beta/{}/InvokeCommand",
                cloud.exchange_admin(),
                escape(tenant_id)
            ),
            anchor,
            wire,
        }
    }

    /// Runs one cmdlet and returns its rows.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn run(&self, cmdlet: &Cmdlet) -> Result<Vec<Value>, CallError> {
        let asked = cmdlet.name();
        // Get and Set do the same when they are repeated; the others report what they find.
        let repeatable = ["Get-", "Set-", "Test-", "Remove-"]
            .iter()
            .any(|verb| asked.starts_with(verb));
        let effect = if repeatable {
            Effect::Repeatable
        } else {
            Effect::Once
        };
        let body = json!({ "CmdletInput": {
            "CmdletName": asked, "Parameters": parameters(cmdlet),
        } });
        let headers = self.headers(asked);
        let mut url = self.url.clone();
        let mut rows = Vec::new();
        for _ in 0..PAGES_MAX {
            let answer = self
                .wire
                .send(Method::POST, &url, &headers, Some(&body), effect)
                .await;
            let page = answer::read(asked, answer)?;
            rows.extend(page.rows);
            let host = self.url.split("/adminapi/").next().unwrap_or_default();
            match page.next {
                None => return Ok(rows),
                // The token goes to this service only.
                Some(next) if next.starts_with(&format!("{host}/adminapi/")) => url = next,
                Some(_) => {
                    let reason = "the next page lies on another host";
                    return Err(answer::not_understood(asked, reason));
                }
            }
        }
        Err(answer::not_understood(asked, "the list has no end"))
    }

    /// Runs a cmdlet that looks for one thing; what is not found is an empty list.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn look(&self, cmdlet: &Cmdlet) -> Result<Vec<Value>, CallError> {
        match self.run(cmdlet).await {
            Err(error) if error.trouble() == Some(Trouble::NotFound) => Ok(Vec::new()),
            result => result,
        }
    }

    /// The service principals that carry this client id or one of these object ids.
    ///
    /// An identity that does not exist makes the cmdlet answer with **all** service principals, so
    /// only rows whose ids are equal count.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn principals(
        &self,
        client_id: &str,
        object_ids: &[&str],
    ) -> Result<Vec<ExchangePrincipal>, CallError> {
        let cmdlet = Cmdlet::new("Get-ServicePrincipal").with("Identity", client_id);
        let rows = self.look(&cmdlet).await?;
        Ok(objects::principals(&rows)
            .into_iter()
            .filter(|found| {
                found.app_id.eq_ignore_ascii_case(client_id)
                    || object_ids
                        .iter()
                        .any(|id| found.object_id.eq_ignore_ascii_case(id))
            })
            .collect())
    }

    /// Whether SMTP AUTH is off for the organisation.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn is_submission_off(&self) -> Result<bool, CallError> {
        let rows = self.run(&Cmdlet::new("Get-TransportConfig")).await?;
        objects::switch(&rows)
            .ok_or_else(|| answer::not_understood("Get-TransportConfig", "the switch is missing"))
    }

    /// Whether the organisation was never customised, so that it takes no scopes and assignments.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn is_dehydrated(&self) -> Result<bool, CallError> {
        let rows = self.run(&Cmdlet::new("Get-OrganizationConfig")).await?;
        Ok(objects::dehydrated(&rows))
    }

    /// The settings of a mailbox; none when no mailbox has this address.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn mailbox(&self, address: &str) -> Result<Option<MailboxSettings>, CallError> {
        let cmdlet = Cmdlet::new("Get-CASMailbox").with("Identity", address);
        let rows = self.look(&cmdlet).await?;
        Ok(objects::mailbox(&rows, address))
    }

    /// Who has which rights on a mailbox.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn mailbox_permissions(
        &self,
        mailbox: &str,
    ) -> Result<Vec<PermissionEntry>, CallError> {
        let cmdlet = Cmdlet::new("Get-MailboxPermission").with("Identity", mailbox);
        Ok(objects::permissions(&self.look(&cmdlet).await?, "User"))
    }

    /// Who may send as a mailbox.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn recipient_permissions(
        &self,
        mailbox: &str,
    ) -> Result<Vec<PermissionEntry>, CallError> {
        let cmdlet = Cmdlet::new("Get-RecipientPermission").with("Identity", mailbox);
        Ok(objects::permissions(&self.look(&cmdlet).await?, "Trustee"))
    }

    /// The group of this name, address or distinguished name.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn group(&self, identity: &str) -> Result<Option<Group>, CallError> {
        let cmdlet = Cmdlet::new("Get-DistributionGroup").with("Identity", identity);
        Ok(objects::group(&self.look(&cmdlet).await?, identity))
    }

    /// Makes a group; none when the answer does not show it.
    pub(crate) async fn new_group(
        &self,
        cmdlet: &Cmdlet,
        name: &str,
    ) -> Result<Option<Group>, CallError> {
        Ok(objects::group(&self.run(cmdlet).await?, name))
    }

    /// The direct members of a group, as addresses in lower case.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn members(&self, group: &str) -> Result<Vec<String>, CallError> {
        let cmdlet = Cmdlet::new("Get-DistributionGroupMember").with("Identity", group);
        Ok(objects::members(&self.look(&cmdlet).await?))
    }

    /// The management scope of this name.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn scope(&self, name: &str) -> Result<Option<Scope>, CallError> {
        let cmdlet = Cmdlet::new("Get-ManagementScope").with("Identity", name);
        Ok(objects::scope(&self.look(&cmdlet).await?, name))
    }

    /// Who holds a role.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn role_assignments(&self, role: &str) -> Result<Vec<RoleAssignment>, CallError> {
        let cmdlet = Cmdlet::new("Get-ManagementRoleAssignment").with("Role", role);
        Ok(objects::role_assignments(&self.look(&cmdlet).await?, role))
    }

    /// Whether a service principal reaches a mailbox through this role; none when Exchange does
    /// not say.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn is_in_scope(
        &self,
        principal: &str,
        mailbox: &str,
        role: &str,
    ) -> Result<Option<bool>, CallError> {
        let cmdlet = Cmdlet::new("Test-ServicePrincipalAuthorization")
            .with("Identity", principal)
            .with("Resource", mailbox);
        Ok(objects::in_scope(&self.look(&cmdlet).await?, role))
    }

    fn headers(&self, cmdlet: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let id = Uuid::new_v4().to_string();
        for (name, value) in [
            ("x-anchormailbox", self.anchor.as_str()),
            ("x-cmdletname", cmdlet),
            ("x-clientapplication", "sendas"),
            ("prefer", "odata.maxpagesize=1000"),
            ("client-request-id", id.as_str()),
            ("connection-id", id.as_str()),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        headers
    }
}

/// The parameters as JSON.
fn parameters(cmdlet: &Cmdlet) -> Value {
    let map: Map<String, Value> = cmdlet
        .parameters()
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Parameter::Text(text) => json!(text),
                Parameter::Switch(on) => json!(on),
                Parameter::Null | Parameter::Variable(_) => Value::Null,
            };
            ((*name).to_owned(), value)
        })
        .collect();
    Value::Object(map)
}

impl std::fmt::Debug for ExchangeAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeAdmin")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
