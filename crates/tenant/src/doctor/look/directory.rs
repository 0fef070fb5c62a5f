//! What Entra's directory holds, read with an administrator's token; GET requests only.

use http::{HeaderMap, Method};
use jiff::Timestamp;
use sendas_entra::Credential;
use serde_json::Value;

use crate::doctor::case::Subject;
use crate::doctor::seen::{Directory, Granted, Look};
use crate::graph::EXCHANGE_APP_ID;
use crate::wire::{Effect, Wire, escape, words};

/// The application permission of the classic way.
const PERMISSION: &str = "SMTP.SendAsApp";

/// An assignment without a permission: it only lets the application in.
const NO_ROLE: &str = "00000000-0000-0000-0000-000000000000";

/// Reads the application, its enterprise application, and what that was granted.
pub(in crate::doctor) async fn look(
    subject: &Subject,
    wire: &Wire,
    now: Timestamp,
) -> Look<Directory> {
    let reader = Reader {
        wire,
        base: format!("{}/v1.0", subject.cloud.graph()),
    };
    let client_id = subject
        .client_id
        .as_ref()
        .ok_or("waits for D-CFG-07: no client id is known")?;
    let filter = escape(&format!("appId eq '{}'", client_id.as_str()));
    let exchange = escape(&format!("appId eq '{EXCHANGE_APP_ID}'"));
    let (applications, principals, resources) = tokio::join!(
        reader.list(format!("/applications?$filter={filter}")),
        reader.list(format!("/servicePrincipals?$filter={filter}")),
        reader.list(format!("/servicePrincipals?$filter={exchange}")),
    );
    let (applications, principals) = (applications?, principals?);
    let resource = resources.unwrap_or_default().into_iter().next();
    let (application, principal) = (applications.first(), principals.first());
    let mut seen = Directory {
        has_exchange: Some(resource.is_some()),
        ..Directory::default()
    };
    let facts = &mut seen.facts;
    facts.has_application = Some(application.is_some());
    facts.has_enterprise_application = Some(principal.is_some());
    facts.is_enabled = principal.map(|found| found["accountEnabled"] != false);
    facts.is_public = application.map(|found| found["isFallbackPublicClient"] == true);
    facts.is_assignment_required = resource
        .as_ref()
        .map(|found| found["appRoleAssignmentRequired"] == true);
    let role = resource.as_ref().and_then(|resource| {
        rows(&resource["appRoles"])
            .find(|role| role["value"] == PERMISSION)
            .and_then(|role| role["id"].as_str())
    });
    facts.permission_id = role.map(str::to_owned);
    if let (Some(application), Some(role)) = (application, role) {
        facts.is_permission_requested = Some(
            rows(&application["requiredResourceAccess"])
                .filter(|wanted| wanted["resourceAppId"] == EXCHANGE_APP_ID)
                .flat_map(|wanted| rows(&wanted["resourceAccess"]))
                .any(|wanted| wanted["id"] == role),
        );
    }
    if let Some(application) = application {
        credential(subject, application, now, &mut seen);
    }
    let Some(id) = principal.and_then(|found| found["id"].as_str()) else {
        seen.facts.is_permission_granted = Some(false);
        return Ok(seen);
    };
    seen.object_id = Some(id.to_owned());
    let assignments = reader
        .list(format!(
            "/servicePrincipals/{}/appRoleAssignments",
            escape(id)
        ))
        .await?;
    let mut resources: Vec<Value> = resource.into_iter().collect();
    let mut is_granted = false;
    for granted in &assignments {
        let of = &granted["resourceId"];
        if !resources.iter().any(|known| known["id"] == *of)
            && let Some(id) = of.as_str()
        {
            // A resource that cannot be read leaves the id in the place of the name.
            let path = format!("/servicePrincipals/{}", escape(id));
            resources.extend(reader.one(path).await.ok());
        }
        let resource = resources.iter().find(|known| known["id"] == *of);
        let role = &granted["appRoleId"];
        let value = resource
            .and_then(|resource| rows(&resource["appRoles"]).find(|offered| offered["id"] == *role))
            .and_then(|offered| offered["value"].as_str());
        let is_exchange = resource.is_some_and(|known| known["appId"] == EXCHANGE_APP_ID);
        if is_exchange && value == Some(PERMISSION) {
            is_granted = true;
            continue;
        }
        let Some(value) = value.or_else(|| role.as_str()).filter(|id| *id != NO_ROLE) else {
            continue;
        };
        let name = granted["resourceDisplayName"]
            .as_str()
            .or_else(|| resource?["displayName"].as_str())
            .or_else(|| of.as_str());
        seen.others.push(Granted {
            value: words(value),
            resource: words(name.unwrap_or("a resource without name")),
        });
    }
    seen.facts.is_permission_granted = seen.has_exchange.filter(|has| *has).map(|_| is_granted);
    Ok(seen)
}

/// Finds the configured credential among the application's.
fn credential(subject: &Subject, application: &Value, now: Timestamp, seen: &mut Directory) {
    let end = |row: &Value| {
        row["endDateTime"]
            .as_str()
            .and_then(|t| t.parse::<Timestamp>().ok())
    };
    match &subject.credential {
        Ok(Credential::Secret(secret)) => {
            let mine: Vec<&Value> = rows(&application["passwordCredentials"])
                .filter(|row| {
                    row["hint"]
                        .as_str()
                        .is_some_and(|hint| !hint.is_empty() && secret.expose().starts_with(hint))
                })
                .collect();
            let is_in_force = |row: &&&Value| end(row).is_none_or(|end| end > now);
            seen.facts.is_secret_listed = Some(!mine.is_empty());
            seen.facts.is_secret_ended =
                Some(!mine.is_empty() && mine.iter().filter(is_in_force).count() == 0);
            seen.ends = mine.iter().filter_map(|row| end(row)).max();
        }
        Ok(Credential::Certificate(certificate)) => {
            let thumbprint = certificate.thumbprint();
            let mine = rows(&application["keyCredentials"]).find(|row| {
                row["customKeyIdentifier"].as_str().is_some_and(|id| {
                    id.eq_ignore_ascii_case(&thumbprint)
                        || hex_of_base64(id).as_deref() == Some(&thumbprint)
                })
            });
            seen.facts.is_certificate_listed =
                Some(mine.is_some_and(|row| end(row).is_none_or(|end| end > now)));
            seen.ends = mine.and_then(end);
        }
        _ => {}
    }
}

/// The documented form of a thumbprint is base64; the observed one is hexadecimal.
fn hex_of_base64(text: &str) -> Option<String> {
    use base64::Engine as _;
    use std::fmt::Write as _;
    let octets = base64::engine::general_purpose::STANDARD
        .decode(text)
        .ok()?;
    Some(octets.iter().fold(String::new(), |mut out, octet| {
        _ = write!(out, "{octet:02X}");
        out
    }))
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

struct Reader<'a> {
    wire: &'a Wire,
    base: String,
}

impl Reader<'_> {
    async fn list(&self, path: String) -> Result<Vec<Value>, String> {
        match self.one(path).await?["value"].take() {
            Value::Array(list) => Ok(list),
            _ => Err("Microsoft Graph sent something that is no list".to_owned()),
        }
    }

    async fn one(&self, path: String) -> Result<Value, String> {
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
            .await
            .map_err(|error| super::service::words(&error))?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if !answer.status.is_success() {
            let said = body["error"]["message"].as_str().unwrap_or_default();
            return Err(format!(
                "the administrator's token: Microsoft Graph answered {}: {}",
                answer.status.as_u16(),
                words(said)
            ));
        }
        Ok(body)
    }
}
