//! Microsoft Graph: applications, service principals, grants, credentials.

use http::{Method, Request, StatusCode};
use http_body_util::Full;
use sendas_sandbox::{Effect, Fault, Preset, Running, Step};
use serde_json::{Value, json};

use crate::entra::{ask, start};
use crate::https::{Answer, Https};

/// Microsoft Graph as the administrator, or as whoever has `token`.
pub(crate) struct Graph {
    pub(crate) sandbox: Running,
    pub(crate) https: Https,
    pub(crate) token: String,
}

impl Graph {
    pub(crate) async fn start(tenant: Preset) -> Self {
        let (sandbox, https) = start(tenant).await;
        let (token, _) = sandbox.admin_tokens();
        Self {
            sandbox,
            https,
            token,
        }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let url = if path.starts_with("https://") {
            path.to_owned()
        } else {
            let path = path.replace(' ', "%20").replace('\'', "%27");
            format!("{}/v1.0/{path}", self.sandbox.details().graph)
        };
        let mut request = Request::builder().method(method).uri(url);
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let body = if body.is_null() {
            Full::default()
        } else {
            Full::from(body.to_string())
        };
        self.https.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> StatusCode {
        self.call(Method::DELETE, path, Value::Null).await.status
    }

    /// Makes an application and its service principal: object id, client id, principal's id.
    pub(crate) async fn application(&self) -> [String; 3] {
        let made = self.post("applications", json!({"displayName": "a"})).await;
        assert_eq!(made.status, StatusCode::CREATED);
        let made = made.json();
        let principal = self
            .post("servicePrincipals", json!({"appId": made["appId"]}))
            .await;
        assert_eq!(principal.status, StatusCode::CREATED);
        [&made["id"], &made["appId"], &principal.json()["id"]].map(|id| text(id).to_owned())
    }

    async fn exchange(&self) -> Value {
        let path = "servicePrincipals?$filter=appId eq '00000002-0000-0ff1-ce00-000000000000'&$select=id,appRoles";
        self.get(path).await.json()["value"][0].clone()
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, code: &str, said: &str) {
    let body = answer.json();
    assert_eq!(answer.status.as_u16(), status, "{body}");
    assert_eq!(body["error"]["code"], code, "{body}");
    assert!(text(&body["error"]["message"]).contains(said), "{body}");
    for member in ["date", "request-id", "client-request-id"] {
        assert!(body["error"]["innerError"][member].is_string(), "{body}");
    }
    assert_eq!(
        answer.headers["request-id"],
        text(&body["error"]["innerError"]["request-id"])
    );
}

#[tokio::test]
async fn the_classic_grant_is_made_by_graph_alone_and_a_token_has_the_role() {
    let graph = Graph::start(Preset::Fresh).await;
    let [id, app_id, principal] = graph.application().await;
    assert_ne!(id, app_id);
    let exchange = graph.exchange().await;
    let roles = exchange["appRoles"].as_array().unwrap();
    let role = roles
        .iter()
        .find(|r| r["value"] == "SMTP.SendAsApp")
        .unwrap();
    let grant = json!({
        "principalId": principal, "resourceId": exchange["id"], "appRoleId": role["id"],
    });
    // From the side of the resource, and a second time from the principal's.
    let path = format!(
        "servicePrincipals/{}/appRoleAssignedTo",
        text(&exchange["id"])
    );
    let made = graph.post(&path, grant.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let own = format!("servicePrincipals/{principal}/appRoleAssignments");
    let again = graph.post(&own, grant.clone()).await;
    refused(&again, 400, "Request_BadRequest", "already exists");

    let listed = graph.get(&own).await.json();
    assert_eq!(listed["value"][0]["appRoleId"], role["id"]);
    assert_eq!(listed["value"][0]["principalDisplayName"], "a");
    assert_eq!(
        listed["value"][0]["resourceDisplayName"],
        "Office 365 Exchange Online"
    );
    let assignment = text(&listed["value"][0]["id"]).to_owned();
    assert!(uuid_form(&assignment).is_none());

    let password = graph
        .post(
            &format!("applications/{id}/addPassword"),
            json!({"passwordCredential":{"displayName":"p"}}),
        )
        .await;
    assert_eq!(password.status, StatusCode::OK);
    let password = password.json();
    let secret = text(&password["secretText"]);
    assert_eq!(text(&password["hint"]), &secret[..3]);
    let url = crate::entra::token_url(&graph.sandbox);
    let parameters = [
        ("client_id", app_id.as_str()),
        ("client_secret", secret),
        ("scope", crate::entra::SCOPE),
        ("grant_type", "client_credentials"),
    ];
    let token = graph.https.form(&url, &parameters).await.json();
    let (_, claims) = crate::entra::claims(text(&token["access_token"]));
    assert_eq!(claims["roles"], json!(["SMTP.SendAsApp"]));
    assert_eq!(claims["oid"], principal);

    // Read again, the text is gone.
    let read = graph
        .get(&format!("applications/{id}?$select=passwordCredentials"))
        .await;
    let read = read.json();
    assert_eq!(read["passwordCredentials"][0]["secretText"], Value::Null);
    assert_eq!(read["passwordCredentials"][0]["hint"], secret[..3]);
    assert!(!read.to_string().contains(secret));

    assert_eq!(
        graph.delete(&format!("{own}/{assignment}")).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        graph.delete(&format!("{own}/{assignment}")).await,
        StatusCode::NOT_FOUND
    );
    let token = graph.https.form(&url, &parameters).await.json();
    let (_, claims) = crate::entra::claims(text(&token["access_token"]));
    assert_eq!(claims.get("roles"), None);
    graph.sandbox.stop().await;
}

fn uuid_form(text: &str) -> Option<()> {
    (text.len() == 36 && text.matches('-').count() == 4).then_some(())
}

#[tokio::test]
async fn objects_are_addressed_by_either_id_and_deleted_ones_come_back() {
    let graph = Graph::start(Preset::Fresh).await;
    let [id, app_id, principal] = graph.application().await;
    let by_app = format!("applications(appId='{app_id}')");
    assert_eq!(graph.get(&by_app).await.json()["id"], id);
    let renamed = json!({"displayName": "renamed", "notes": "n", "tags": ["t"]});
    assert_eq!(
        graph.patch(&by_app, renamed).await.status,
        StatusCode::NO_CONTENT
    );
    let read = graph
        .get(&format!("servicePrincipals(appId='{app_id}')"))
        .await
        .json();
    assert_eq!(
        (text(&read["displayName"]), text(&read["id"])),
        ("renamed", principal.as_str())
    );
    refused(
        &graph
            .post("servicePrincipals", json!({"appId": app_id}))
            .await,
        409,
        "Request_MultipleObjectsWithSameKeyValue",
        "already in use",
    );
    // The client id is no object id.
    let wrong = graph.get(&format!("applications/{app_id}")).await;
    refused(&wrong, 404, "Request_ResourceNotFound", &app_id);

    assert_eq!(
        graph.delete(&format!("applications/{id}")).await,
        StatusCode::NO_CONTENT
    );
    for path in [
        format!("applications/{id}"),
        format!("servicePrincipals/{principal}"),
    ] {
        refused(
            &graph.get(&path).await,
            404,
            "Request_ResourceNotFound",
            "does not exist",
        );
    }
    let bin = graph
        .get("directory/deletedItems/microsoft.graph.application")
        .await
        .json();
    assert_eq!(bin["value"][0]["id"], id);
    assert!(bin["value"][0]["deletedDateTime"].is_string());
    // The principal needs its application first.
    let restore = |id: &str| format!("directory/deletedItems/{id}/restore");
    refused(
        &graph.post(&restore(&principal), Value::Null).await,
        400,
        "Request_BadRequest",
        "does not reference a valid application object",
    );
    for id in [&id, &principal] {
        assert_eq!(
            graph.post(&restore(id), Value::Null).await.status,
            StatusCode::OK
        );
    }
    assert_eq!(graph.get(&by_app).await.json()["displayName"], "renamed");

    assert_eq!(graph.delete(&by_app).await, StatusCode::NO_CONTENT);
    let purge = format!("directory/deletedItems/{id}");
    assert_eq!(graph.delete(&purge).await, StatusCode::NO_CONTENT);
    assert_eq!(graph.delete(&purge).await, StatusCode::NOT_FOUND);
    // The other one goes by itself.
    graph
        .sandbox
        .advance(std::time::Duration::from_hours(30 * 24));
    let (token, _) = graph.sandbox.admin_tokens();
    let later = Graph { token, ..graph };
    let path = format!("directory/deletedItems/{principal}");
    assert_eq!(later.get(&path).await.status, StatusCode::NOT_FOUND);
    later.sandbox.stop().await;
}

#[tokio::test]
async fn replication_takes_its_time() {
    let graph = Graph::start(Preset::Fresh).await;
    graph
        .sandbox
        .patch(&json!({"propagation_s": {"replication": 60, "listing": 90}}))
        .unwrap();
    graph.sandbox.advance(std::time::Duration::from_secs(91));
    let made = graph
        .post("applications", json!({"displayName": "late"}))
        .await
        .json();
    let (id, app_id) = (text(&made["id"]), text(&made["appId"]));
    let read = format!("applications/{id}");
    let list = format!("applications?$filter=appId eq '{app_id}'");
    refused(&graph.get(&read).await, 404, "Request_ResourceNotFound", id);
    refused(
        &graph.patch(&read, json!({"notes": "x"})).await,
        404,
        "Request_ResourceNotFound",
        "queried reference-property objects",
    );
    refused(
        &graph
            .post("servicePrincipals", json!({"appId": app_id}))
            .await,
        400,
        "Request_BadRequest",
        &format!(
            "The appId '{app_id}' of the service principal does not reference a valid application object."
        ),
    );
    graph.sandbox.advance(std::time::Duration::from_secs(61));
    assert_eq!(graph.get(&read).await.status, StatusCode::OK);
    assert_eq!(graph.get(&list).await.json()["value"], json!([]));
    let principal = graph
        .post("servicePrincipals", json!({"appId": app_id}))
        .await;
    assert_eq!(principal.status, StatusCode::CREATED);
    let exchange = graph.exchange().await;
    let grant = json!({
        "principalId": principal.json()["id"], "resourceId": exchange["id"],
        "appRoleId": exchange["appRoles"][0]["id"],
    });
    let path = format!(
        "servicePrincipals/{}/appRoleAssignedTo",
        text(&exchange["id"])
    );
    let early = graph.post(&path, grant.clone()).await;
    refused(
        &early,
        400,
        "Request_BadRequest",
        "Not a valid reference update",
    );
    graph.sandbox.advance(std::time::Duration::from_secs(61));
    assert_eq!(graph.get(&list).await.json()["value"][0]["id"], id);
    assert_eq!(graph.post(&path, grant).await.status, StatusCode::CREATED);
    graph.sandbox.stop().await;
}

#[tokio::test]
async fn lists_are_filtered_narrowed_and_paged() {
    let graph = Graph::start(Preset::Fresh).await;
    for name in ["alpha", "beta", "Alphabet"] {
        let made = graph
            .post("applications", json!({"displayName": name}))
            .await;
        assert_eq!(made.status, StatusCode::CREATED);
    }
    let path = "applications?$filter=startswith(displayName,'alpha')&$select=id,displayName&$count=true&$orderby=displayName";
    let found = graph.get(path).await.json();
    assert_eq!(
        found["@odata.context"],
        "https://graph.microsoft.com/v1.0/$metadata#applications(id,displayName)"
    );
    assert_eq!(found["@odata.count"], 2);
    assert_eq!(found["value"][0]["displayName"], "alpha");
    assert_eq!(found["value"][0].as_object().unwrap().len(), 2);
    let mut names = Vec::new();
    let mut next = Some("applications?$top=2".to_owned());
    while let Some(path) = next {
        let page = graph.get(&path).await.json();
        names.extend(
            page["value"]
                .as_array()
                .unwrap()
                .iter()
                .map(|a| a["id"].clone()),
        );
        next = page["@odata.nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(names.len(), 3);
    for (path, code) in [
        ("applications?$filter=displayName ne 'x'", "BadRequest"),
        (
            "applications?$filter=nothing eq 'x'",
            "Request_UnsupportedQuery",
        ),
        ("applications?$top=1000", "Request_UnsupportedQuery"),
        ("applications?$expand=owners", "Request_UnsupportedQuery"),
    ] {
        refused(&graph.get(path).await, 400, code, "");
    }
    graph.sandbox.stop().await;
}

#[tokio::test]
async fn tokens_scopes_and_directory_roles_are_judged() {
    let mut graph = Graph::start(Preset::Classic).await;
    let admin = std::mem::take(&mut graph.token);
    let expect = async |graph: &Graph, status: u16, code: &str, said: &str| {
        refused(&graph.get("applications").await, status, code, said);
    };
    expect(&graph, 401, "InvalidAuthenticationToken", "empty").await;
    graph.token = "x.y.z".into();
    expect(&graph, 401, "InvalidAuthenticationToken", "").await;
    let mut changed = admin.clone();
    let last = changed.pop().unwrap();
    changed.push(if last == 'A' { 'B' } else { 'A' });
    changed.insert(changed.len() - 20, 'x');
    graph.token = changed;
    expect(&graph, 401, "InvalidAuthenticationToken", "").await;
    graph.token = graph.sandbox.admin_tokens().1;
    expect(&graph, 401, "InvalidAuthenticationToken", "audience").await;

    // The application itself, without any permission of Microsoft Graph.
    let scope = [("scope", "https://graph.microsoft.com/.default")];
    let own = ask(&graph.sandbox, &graph.https, &scope).await.json();
    graph.token = text(&own["access_token"]).to_owned();
    expect(
        &graph,
        403,
        "Authorization_RequestDenied",
        "Insufficient privileges",
    )
    .await;
    refused(
        &graph.get("me").await,
        400,
        "BadRequest",
        "delegated authentication flow",
    );

    graph.token.clone_from(&admin);
    let me = graph.get("me").await.json();
    assert_eq!(me["userPrincipalName"], graph.sandbox.details().admin.user);
    let roles = graph.get("me/memberOf").await.json();
    assert_eq!(roles["value"][0]["displayName"], "Global Administrator");
    // Without the directory role the same token may read, not write.
    let role = "62e90394-69f5-4237-9190-012177145e10";
    graph
        .sandbox
        .patch(&json!({"directory_roles": {role: {"members": []}}}))
        .unwrap();
    assert_eq!(graph.get("applications").await.status, StatusCode::OK);
    let write = graph
        .post("applications", json!({"displayName": "x"}))
        .await;
    refused(&write, 403, "Authorization_RequestDenied", "");
    graph.sandbox.advance(std::time::Duration::from_hours(1));
    expect(&graph, 401, "InvalidAuthenticationToken", "expired").await;
    graph.sandbox.stop().await;
}

#[tokio::test]
async fn the_organisation_roles_and_groups_are_read() {
    let graph = Graph::start(Preset::Rbac).await;
    let details = graph.sandbox.details();
    let organization = graph.get("organization").await.json();
    assert_eq!(
        organization["value"][0]["id"],
        details.tenant.id.to_string()
    );
    let domains = graph.get("domains").await.json();
    assert_eq!(domains["value"][0]["id"], details.tenant.domain);
    let group = graph
        .get("groups?$filter=displayName eq 'smtp-senders'")
        .await
        .json();
    let id = text(&group["value"][0]["id"]);
    let members = graph.get(&format!("groups/{id}/members")).await.json();
    assert_eq!(members["value"].as_array().unwrap().len(), 3);
    let new = json!({"displayName": "x", "mailEnabled": true, "securityEnabled": false});
    refused(
        &graph.post("groups", new).await,
        400,
        "Request_BadRequest",
        "mail-enabled",
    );

    // A role that is not active has no members to add to.
    let template = "31392ffb-586c-42d1-9346-e59415a2cc4e";
    let members = format!("directoryRoles(roleTemplateId='{template}')/members/$ref");
    let principal = details.client.unwrap().service_principal_id;
    let reference = json!({"@odata.id":
        format!("https://graph.microsoft.com/v1.0/directoryObjects/{principal}")});
    refused(
        &graph.post(&members, reference.clone()).await,
        404,
        "Request_ResourceNotFound",
        template,
    );
    let body = json!({"roleTemplateId": template});
    assert_eq!(
        graph.post("directoryRoles", body).await.status,
        StatusCode::CREATED
    );
    assert_eq!(
        graph.post(&members, reference.clone()).await.status,
        StatusCode::NO_CONTENT
    );
    refused(
        &graph.post(&members, reference).await,
        400,
        "Request_BadRequest",
        "already exist",
    );
    let role = &graph.sandbox.tenant().directory_roles[&template.parse().unwrap()];
    assert!(role.members.contains(&principal));
    refused(
        &graph.get("nothing").await,
        400,
        "BadRequest",
        "segment 'nothing'",
    );
    graph.sandbox.stop().await;
}

#[tokio::test]
async fn faults_strike_in_the_words_of_graph() {
    let graph = Graph::start(Preset::Fresh).await;
    let only = Some("POST /v1.0/applications".to_owned());
    let throttle = Fault {
        only: only.clone(),
        ..Fault::once(Step::Graph, Effect::Throttle { retry_after_s: 7 })
    };
    graph.sandbox.fault(throttle).unwrap();
    assert_eq!(graph.get("applications").await.status, StatusCode::OK);
    let body = json!({"displayName": "x"});
    let answer = graph.post("applications", body.clone()).await;
    refused(&answer, 429, "TooManyRequests", "");
    assert_eq!(answer.headers["retry-after"], "7");

    // Done, but the answer is lost.
    let lost = Fault {
        only,
        ..Fault::once(Step::Graph, Effect::AcceptThenClose)
    };
    graph.sandbox.fault(lost).unwrap();
    let url = format!("{}/v1.0/applications", graph.sandbox.details().graph);
    let request = Request::post(url)
        .header("authorization", format!("Bearer {}", graph.token))
        .body(Full::from(body.to_string()))
        .unwrap();
    assert!(graph.https.try_send(request).await.is_err());
    assert_eq!(graph.sandbox.tenant().applications.len(), 1);
    graph.sandbox.stop().await;
}
