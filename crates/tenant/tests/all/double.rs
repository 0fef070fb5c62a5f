//! A tenant in memory: a few objects, ids that look real, and servers that learn late.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use sendas_entra::{HttpError, Request, Response};
use sendas_tenant::{Timer, Transport};
use serde_json::{Value, json};

/// Seconds until a directory object shows in reads of its kind.
const LAG_S: i64 = 20;

pub(crate) const EXCHANGE: &str = "00000002-0000-0ff1-ce00-000000000000";

/// The tenant, the clock, and every request that came.
#[derive(Clone)]
pub(crate) struct Double(Arc<Mutex<Inner>>);

struct Inner {
    now: Timestamp,
    next: u32,
    state: Value,
    born: BTreeMap<String, Timestamp>,
    log: Vec<String>,
    /// Answers given instead, to requests that begin so: once each.
    refusals: Vec<(String, u16, Value)>,
}

impl Double {
    /// SMTP AUTH off, two mailboxes, no application.
    pub(crate) fn fresh() -> Self {
        let mailbox = || json!({ "off": null, "full": [], "send": [] });
        Self(Arc::new(Mutex::new(Inner {
            now: "2026-11-23T06:00:00Z".parse().unwrap(),
            next: 0,
            born: BTreeMap::new(),
            log: Vec::new(),
            refusals: Vec::new(),
            state: json!({
                "applications": {},
                "principals": { "e0": { "id": "e0", "appId": EXCHANGE, "displayName": "Office 365 Exchange Online",
                    "appRoles": [{ "id": "role-send", "value": "SMTP.SendAsApp" }] } },
                "grants": {},
                "registered": {},
                "groups": {},
                "scopes": {},
                "assignments": {},
                "mailboxes": { "a@contoso.com": mailbox(), "b@contoso.com": mailbox() },
            }),
        })))
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.0.lock().unwrap().state);
    }

    /// Everything but what differs from run to run: ids become the order of their making.
    pub(crate) fn state(&self) -> Value {
        self.0.lock().unwrap().state.clone()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.0.lock().unwrap().log.clone()
    }

    pub(crate) fn clear_log(&self) {
        self.0.lock().unwrap().log.clear();
    }

    /// Answers the next request that begins so with this.
    pub(crate) fn refuse(&self, begins: &str, status: u16, body: Value) {
        let mut inner = self.0.lock().unwrap();
        inner.refusals.push((begins.to_owned(), status, body));
    }
}

impl Timer for Double {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().now
    }

    fn wait(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut inner = self.0.lock().unwrap();
        inner.now += jiff::SignedDuration::try_from(time).unwrap();
        Box::pin(std::future::ready(()))
    }
}

impl Transport for Double {
    fn call(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, HttpError>> + Send + '_>> {
        let mut inner = self.0.lock().unwrap();
        let (status, body) = inner.answer(&request);
        let body = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let answer = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body,
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

type Answer = (u16, Value);

fn graph_error(status: u16, code: &str, message: &str) -> Answer {
    (
        status,
        json!({ "error": { "code": code, "message": message } }),
    )
}

fn not_found() -> Answer {
    graph_error(404, "Request_ResourceNotFound", "Resource does not exist")
}

fn exchange_error(status: u16, exception: &str, words: &str) -> Answer {
    let message = format!("Ex000000|Microsoft.Exchange.{exception}|{words}");
    (
        status,
        json!({ "error": { "code": "BadRequest", "message": "Error executing cmdlet",
        "details": [{ "code": "Context", "target": "", "message": message }] } }),
    )
}

fn missing(what: &str) -> Answer {
    exchange_error(
        404,
        "Configuration.Tasks.ManagementObjectNotFoundException",
        &format!("The operation couldn't be performed because object '{what}' couldn't be found."),
    )
}

fn rows(rows: Vec<Value>) -> Answer {
    (200, json!({ "value": Value::Array(rows) }))
}

fn unescape(text: &str) -> String {
    form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
        .next()
        .unwrap()
        .1
        .into_owned()
}

impl Inner {
    fn answer(&mut self, request: &Request) -> Answer {
        let url = unescape(&request.url);
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        assert!(request.headers.contains_key("authorization"));
        let line = if url.contains("InvokeCommand") {
            body["CmdletInput"]["CmdletName"]
                .as_str()
                .unwrap()
                .to_owned()
        } else {
            let path = url.split("/v1.0").nth(1).unwrap();
            format!("{} {}", request.method, path.split('?').next().unwrap())
        };
        self.log.push(line.clone());
        if let Some(at) = self.refusals.iter().position(|(b, ..)| line.starts_with(b)) {
            let (_, status, body) = self.refusals.remove(at);
            return (status, body);
        }
        if url.contains("InvokeCommand") {
            let input = &body["CmdletInput"];
            return self.cmdlet(&line, &input["Parameters"]);
        }
        let path = url.split("/v1.0").nth(1).unwrap();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        self.graph(&request.method, &parts, query, &body)
    }

    fn id(&mut self) -> String {
        self.next += 1;
        format!("00000000-0000-0000-0000-{:012}", self.next)
    }

    fn make(&mut self, kind: &str, id: &str, value: Value) {
        self.state[kind][id] = value;
        self.born.insert(id.to_owned(), self.now);
    }

    fn shows(&self, id: &str) -> bool {
        self.born
            .get(id)
            .is_none_or(|born| self.now.duration_since(*born).as_secs() >= LAG_S)
    }

    fn graph(&mut self, method: &Method, parts: &[&str], query: &str, body: &Value) -> Answer {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match (method.as_str(), parts) {
            ("GET", ["organization"]) => rows(vec![
                json!({ "id": "t0", "displayName": "Contoso", "verifiedDomains": [{ "name": "contoso.com" }] }),
            ]),
            ("GET", ["domains"]) => rows(vec![json!({ "id": "contoso.com", "isVerified": true })]),
            ("GET", ["applications" | "servicePrincipals"]) => {
                let kind = if parts[0] == "applications" {
                    "applications"
                } else {
                    "principals"
                };
                let filter = query
                    .split('&')
                    .next()
                    .unwrap()
                    .trim_start_matches("$filter=");
                let (property, value) = filter.split_once(" eq ").unwrap();
                let value = value.trim_matches('\'').replace("''", "'");
                let found = self.state[kind].as_object().unwrap().iter();
                rows(
                    found
                        .filter(|(id, object)| self.shows(id) && object[property] == value.as_str())
                        .map(|(_, object)| object.clone())
                        .collect(),
                )
            }
            ("POST", ["applications"]) => {
                let (id, app_id) = (self.id(), self.id());
                let made = json!({ "id": id, "appId": app_id, "displayName": text("displayName"),
                    "createdDateTime": self.now.to_string(), "keyCredentials": [], "passwordCredentials": [],
                    "requiredResourceAccess": body["requiredResourceAccess"] });
                self.make("applications", &id, made.clone());
                (201, made)
            }
            ("POST", ["servicePrincipals"]) => {
                let app_id = text("appId");
                let of = |object: &Value| object["appId"] == app_id.as_str();
                let known = self.state["applications"].as_object().unwrap().iter();
                if !known
                    .clone()
                    .any(|(id, object)| of(object) && self.shows(id))
                {
                    return graph_error(
                        400,
                        "Request_BadRequest",
                        "The appId of the service principal does not reference a valid application object.",
                    );
                }
                if self.state["principals"]
                    .as_object()
                    .unwrap()
                    .values()
                    .any(of)
                {
                    return graph_error(
                        409,
                        "Request_MultipleObjectsWithSameKeyValue",
                        "already in use",
                    );
                }
                let id = self.id();
                let made = json!({ "id": id, "appId": app_id, "displayName": "x", "accountEnabled": true });
                self.make("principals", &id, made.clone());
                (201, made)
            }
            ("GET", ["servicePrincipals", id, "appRoleAssignments"]) => {
                let grants = self.state["grants"].as_object().unwrap().values();
                rows(
                    grants
                        .filter(|grant| grant["principalId"] == *id)
                        .cloned()
                        .collect(),
                )
            }
            ("POST", ["servicePrincipals", id, "appRoleAssignments"]) => {
                if !self.shows(id) {
                    return graph_error(400, "Request_BadRequest", "Not a valid reference update");
                }
                let mut grants = self.state["grants"].as_object().unwrap().values();
                if grants.any(|grant| {
                    grant["principalId"] == *id && grant["appRoleId"] == body["appRoleId"]
                }) {
                    return graph_error(
                        400,
                        "Request_BadRequest",
                        "Permission being assigned already exists on the object",
                    );
                }
                let (grant, mut made) = (self.id(), body.clone());
                made["id"] = json!(grant);
                self.make("grants", &grant, made.clone());
                (201, made)
            }
            ("DELETE", ["servicePrincipals", _, "appRoleAssignments", id]) => {
                self.delete("grants", id)
            }
            ("DELETE", ["servicePrincipals", id]) => self.delete("principals", id),
            ("DELETE", ["applications", id]) => self.delete("applications", id),
            ("GET", ["servicePrincipals", id]) => self.one("principals", id),
            ("GET", ["applications", id]) => self.one("applications", id),
            (_, ["applications", id, ..]) if !self.shows(id) => not_found(),
            ("PATCH", ["applications", id]) => {
                let mut entries = body["keyCredentials"].as_array().unwrap().clone();
                for entry in &mut entries {
                    if let Some(key) = entry["key"].as_str() {
                        entry["customKeyIdentifier"] = json!(thumbprint(key));
                        entry["keyId"] = json!(self.id());
                        entry["key"] = Value::Null;
                    } else {
                        assert!(
                            entry.get("key").is_none(),
                            "an old entry went back with key: null"
                        );
                    }
                }
                self.state["applications"][*id]["keyCredentials"] = json!(entries);
                (204, Value::Null)
            }
            ("POST", ["applications", id, "addPassword"]) => {
                let key_id = self.id();
                let mut made = body["passwordCredential"].clone();
                made["keyId"] = json!(key_id);
                let list = &mut self.state["applications"][*id]["passwordCredentials"];
                list.as_array_mut().unwrap().push(made.clone());
                made["secretText"] = json!(format!("text-of-{key_id}"));
                (200, made)
            }
            ("POST", ["applications", id, "removePassword"]) => {
                let list = &mut self.state["applications"][*id]["passwordCredentials"];
                let list = list.as_array_mut().unwrap();
                let before = list.len();
                list.retain(|secret| secret["keyId"] != body["keyId"]);
                if list.len() == before {
                    return graph_error(
                        400,
                        "Request_BadRequest",
                        "No credentials found to be removed.",
                    );
                }
                (204, Value::Null)
            }
            _ => panic!("no such request: {method} {parts:?}"),
        }
    }

    fn one(&self, kind: &str, id: &str) -> Answer {
        match self.state[kind].get(id) {
            Some(object) if self.shows(id) => (200, object.clone()),
            _ => not_found(),
        }
    }

    fn delete(&mut self, kind: &str, id: &str) -> Answer {
        match self.state[kind].as_object_mut().unwrap().remove(id) {
            Some(_) => (204, Value::Null),
            None => not_found(),
        }
    }

    fn cmdlet(&mut self, name: &str, parameters: &Value) -> Answer {
        let text = |name: &str| parameters[name].as_str().unwrap_or_default().to_owned();
        let identity = text("Identity");
        match name {
            "Get-TransportConfig" => {
                rows(vec![json!({ "SmtpClientAuthenticationDisabled": true })])
            }
            "Get-OrganizationConfig" => {
                rows(vec![json!({ "IsDehydrated": self.state["dehydrated"] })])
            }
            "Enable-OrganizationCustomization" => {
                self.state["dehydrated"] = json!(false);
                (200, Value::Null)
            }
            "Get-ServicePrincipal" => {
                // The trap: an identity that is not there gives all.
                let all: Vec<Value> = self.state["registered"]
                    .as_object()
                    .unwrap()
                    .values()
                    .cloned()
                    .collect();
                let hit: Vec<Value> = all
                    .iter()
                    .filter(|row| {
                        row["AppId"] == identity.as_str() || row["ObjectId"] == identity.as_str()
                    })
                    .cloned()
                    .collect();
                rows(if hit.is_empty() { all } else { hit })
            }
            "New-ServicePrincipal" => {
                let id = text("ObjectId");
                if self.state["registered"].get(&id).is_some() {
                    return exchange_error(400, "X", "The service principal already exists.");
                }
                self.state["registered"][&id] = json!({ "AppId": text("AppId"), "ObjectId": id,
                    "DisplayName": text("DisplayName"), "Name": id });
                rows(vec![])
            }
            "Remove-ServicePrincipal" => self.remove("registered", &identity),
            "Get-CASMailbox" => match self.state["mailboxes"].get(&identity) {
                None => missing(&identity),
                Some(found) => rows(vec![json!({ "PrimarySmtpAddress": identity,
                    "SmtpClientAuthenticationDisabled": found["off"] })]),
            },
            "Set-CASMailbox" => {
                self.state["mailboxes"][&identity]["off"] =
                    parameters["SmtpClientAuthenticationDisabled"].clone();
                (200, Value::Null)
            }
            "Get-MailboxPermission" => self.rights(&identity, "full", "User", "FullAccess"),
            "Get-RecipientPermission" => self.rights(&identity, "send", "Trustee", "SendAs"),
            "Add-MailboxPermission" => self.right(&identity, "full", &text("User"), true),
            "Remove-MailboxPermission" => self.right(&identity, "full", &text("User"), false),
            "Add-RecipientPermission" => self.right(&identity, "send", &text("Trustee"), true),
            "Remove-RecipientPermission" => self.right(&identity, "send", &text("Trustee"), false),
            "Get-DistributionGroup" => match self.group(&identity) {
                None => missing(&identity),
                Some(name) => rows(vec![
                    json!({ "Name": name, "DistinguishedName": format!("CN={name},OU=x") }),
                ]),
            },
            "New-DistributionGroup" => {
                self.create("groups", &text("Name"), json!({ "members": [] }))
            }
            "Remove-DistributionGroup" => self.remove("groups", &identity),
            "Get-DistributionGroupMember" => {
                let name = self.group(&identity).unwrap();
                let members = self.state["groups"][&name]["members"].as_array().unwrap();
                rows(
                    members
                        .iter()
                        .map(|member| json!({ "PrimarySmtpAddress": member }))
                        .collect(),
                )
            }
            "Add-DistributionGroupMember" => {
                let list = self.state["groups"][&identity]["members"]
                    .as_array_mut()
                    .unwrap();
                if list.contains(&parameters["Member"]) {
                    return exchange_error(
                        400,
                        "MemberAlreadyExistsException",
                        "is already a member",
                    );
                }
                list.push(parameters["Member"].clone());
                (200, Value::Null)
            }
            "Remove-DistributionGroupMember" => {
                let list = self.state["groups"][&identity]["members"]
                    .as_array_mut()
                    .unwrap();
                list.retain(|member| *member != parameters["Member"]);
                (200, Value::Null)
            }
            "Get-ManagementScope" => match self.state["scopes"].get(&identity) {
                None => missing(&identity),
                Some(found) => rows(vec![
                    json!({ "Name": identity, "RecipientFilter": found["filter"] }),
                ]),
            },
            "New-ManagementScope" => {
                let filter = json!({ "filter": text("RecipientRestrictionFilter") });
                self.create("scopes", &text("Name"), filter)
            }
            "Remove-ManagementScope" => self.remove("scopes", &identity),
            "Get-ManagementRoleAssignment" => rows(
                self.state["assignments"]
                    .as_object()
                    .unwrap()
                    .values()
                    .cloned()
                    .collect(),
            ),
            "New-ManagementRoleAssignment" => {
                assert!(
                    self.state["scopes"]
                        .get(text("CustomResourceScope"))
                        .is_some()
                );
                let row = json!({ "Name": text("Name"), "Role": text("Role"), "App": text("App"),
                    "CustomResourceScope": text("CustomResourceScope") });
                self.create("assignments", &text("Name"), row)
            }
            "Remove-ManagementRoleAssignment" => self.remove("assignments", &identity),
            _ => panic!("no such cmdlet: {name}"),
        }
    }

    fn create(&mut self, kind: &str, name: &str, value: Value) -> Answer {
        if self.state[kind].get(name).is_some() {
            return exchange_error(400, "X", &format!("The name \"{name}\" already exists."));
        }
        self.state[kind][name] = value;
        rows(vec![])
    }

    fn remove(&mut self, kind: &str, name: &str) -> Answer {
        match self.state[kind].as_object_mut().unwrap().remove(name) {
            Some(_) => (200, Value::Null),
            None => missing(name),
        }
    }

    fn group(&self, identity: &str) -> Option<String> {
        let name = identity
            .strip_prefix("CN=")
            .and_then(|rest| rest.strip_suffix(",OU=x"))
            .unwrap_or(identity);
        self.state["groups"].get(name).map(|_| name.to_owned())
    }

    fn rights(&self, mailbox: &str, kind: &str, holder: &str, right: &str) -> Answer {
        let list = self.state["mailboxes"][mailbox][kind].as_array().unwrap();
        rows(
            list.iter()
                .map(|who| json!({ (holder): who, "AccessRights": [right] }))
                .collect(),
        )
    }

    fn right(&mut self, mailbox: &str, kind: &str, who: &str, grant: bool) -> Answer {
        let list = self.state["mailboxes"][mailbox][kind]
            .as_array_mut()
            .unwrap();
        list.retain(|holder| holder != who);
        if grant {
            list.push(json!(who));
        }
        (200, Value::Null)
    }
}

fn thumbprint(base64: &str) -> String {
    use base64::Engine as _;
    let der = base64::engine::general_purpose::STANDARD
        .decode(base64)
        .unwrap();
    sendas_tenant::key::thumbprint(&der)
}
