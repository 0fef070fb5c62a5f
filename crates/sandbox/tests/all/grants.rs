//! Service principals and delegated grants over Microsoft Graph; what acts when.

use std::time::Duration;

use http::StatusCode;
use sendas_sandbox::{Preset, Running};
use serde_json::{Value, json};

use crate::cmdlets::Admin;
use crate::directory::{Graph, refused, text};
use crate::entra::{SCOPE, ask, token_url};
use crate::{entra, talk};

#[tokio::test]
async fn delegated_grants_are_made_changed_and_removed() {
    let graph = Graph::start(Preset::Fresh).await;
    let [_, _, client] = graph.application().await;
    let exchange = graph
        .get("servicePrincipals(appId='00000002-0000-0ff1-ce00-000000000000')")
        .await
        .json();
    let grant = json!({"clientId": client, "consentType": "AllPrincipals",
        "resourceId": exchange["id"], "scope": "Exchange.Manage"});
    let made = graph.post("oauth2PermissionGrants", grant.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let again = graph.post("oauth2PermissionGrants", grant).await;
    refused(&again, 400, "Request_BadRequest", "conflicting object");
    let list = format!("servicePrincipals/{client}/oauth2PermissionGrants");
    let found = graph.get(&list).await.json();
    assert_eq!(found["value"][0]["scope"], "Exchange.Manage");
    assert_eq!(found["value"][0]["principalId"], Value::Null);
    let own = format!("oauth2PermissionGrants/{}", text(&found["value"][0]["id"]));
    let change = json!({"scope": "Exchange.Manage SMTP.Send"});
    assert_eq!(
        graph.patch(&own, change).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        graph.get(&own).await.json()["scope"],
        "Exchange.Manage SMTP.Send"
    );
    let filtered = format!("oauth2PermissionGrants?$filter=clientId eq '{client}'");
    assert_eq!(
        graph.get(&filtered).await.json()["value"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(graph.delete(&own).await, StatusCode::NO_CONTENT);
    refused(&graph.get(&own).await, 404, "Request_ResourceNotFound", "");
    for (body, said) in [
        (json!({}), "clientId"),
        (
            json!({"clientId": client, "resourceId": client, "consentType": "Some", "scope": "x"}),
            "consentType",
        ),
        (
            json!({"clientId": client, "resourceId": client, "consentType": "Principal", "scope": "x"}),
            "principalId",
        ),
    ] {
        let answer = graph.post("oauth2PermissionGrants", body).await;
        refused(&answer, 400, "Request_BadRequest", said);
    }
    graph.sandbox.stop().await;
}

#[tokio::test]
async fn a_service_principal_is_switched_off_and_microsofts_own_are_kept() {
    let graph = Graph::start(Preset::Classic).await;
    let client = graph.sandbox.details().client.unwrap();
    let own = format!("servicePrincipals/{}", client.service_principal_id);
    let off = json!({"accountEnabled": false});
    assert_eq!(graph.patch(&own, off).await.status, StatusCode::NO_CONTENT);
    let answer = ask(&graph.sandbox, &graph.https, &[]).await.json();
    assert_eq!(answer["error_codes"], json!([7_000_112]));
    let exchange = "servicePrincipals(appId='00000002-0000-0ff1-ce00-000000000000')";
    assert_eq!(graph.delete(exchange).await, StatusCode::BAD_REQUEST);
    for (body, said) in [
        (json!({"nonsense": 1}), "nonsense"),
        (json!({"accountEnabled": "maybe"}), "accountEnabled"),
        (json!({"passwordCredentials": [{}]}), "service actions"),
    ] {
        refused(
            &graph.patch(&own, body).await,
            400,
            "Request_BadRequest",
            said,
        );
    }
    let application = format!("applications/{}", client.application_object_id);
    for (body, said) in [
        (json!({"signInAudience": "Everybody"}), "signInAudience"),
        (json!({"displayName": ""}), "displayName"),
        (
            json!({"requiredResourceAccess": [{"resourceAppId": "x"}]}),
            "requiredResourceAccess",
        ),
        (
            json!({"keyCredentials": [{"keyId": client.id, "key": null}]}),
            "Update to existing credential",
        ),
        (json!({"nonsense": 1}), "nonsense"),
    ] {
        refused(
            &graph.patch(&application, body).await,
            400,
            "Request_BadRequest",
            said,
        );
    }
    // Known properties that are not modelled are taken.
    let known = json!({"optionalClaims": {}, "api": {"requestedAccessTokenVersion": 2}});
    assert_eq!(
        graph.patch(&application, known).await.status,
        StatusCode::NO_CONTENT
    );
    // The application's own grants go with its service principal.
    assert_eq!(graph.delete(&own).await, StatusCode::NO_CONTENT);
    assert!(graph.sandbox.tenant().app_role_assignments.is_empty());
    let held = &graph.sandbox.tenant().exchange.service_principals;
    assert!(held.contains_key(&client.service_principal_id));
    graph.sandbox.stop().await;
}

async fn log_in(sandbox: &Running, https: &crate::https::Https) -> String {
    let mailbox = sandbox.details().mailboxes[0].clone();
    let token = ask(sandbox, https, &[]).await.json();
    let token = token["access_token"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    talk::auth(sandbox, &mailbox, &token).await.1
}

#[tokio::test]
async fn every_kind_of_change_acts_after_its_own_delay() {
    let admin = Admin::start(Preset::Rbac).await;
    let details = admin.sandbox.details();
    let mailbox = details.mailboxes[0].clone();
    admin
        .sandbox
        .patch(&json!({"propagation_s": {"switch": 60, "rbac": 120, "credential": 30}}))
        .unwrap();
    admin.sandbox.advance(Duration::from_mins(3));
    let answered = async || log_in(&admin.sandbox, &admin.https).await;
    assert!(answered().await.starts_with("235"));

    // The switch of the mailbox: read back at once, acts later.
    let off = json!({"Identity": mailbox, "SmtpClientAuthenticationDisabled": true});
    assert!(admin.run("Set-CASMailbox", off).await.status.is_success());
    let read = admin
        .run("Get-CASMailbox", json!({"Identity": mailbox}))
        .await;
    assert_eq!(
        Admin::objects(&read)[0]["SmtpClientAuthenticationDisabled"],
        true
    );
    assert!(answered().await.starts_with("235"));
    admin.sandbox.advance(Duration::from_secs(61));
    assert!(
        answered()
            .await
            .contains("SmtpClientAuthentication is disabled")
    );
    let on = json!({"Identity": mailbox, "SmtpClientAuthenticationDisabled": false});
    assert!(admin.run("Set-CASMailbox", on).await.status.is_success());
    admin.sandbox.advance(Duration::from_secs(61));

    // The scope: what is configured is told at once, what acts comes later.
    let member = json!({"Identity": "smtp-senders", "Member": mailbox});
    assert!(
        admin
            .run("Remove-DistributionGroupMember", member)
            .await
            .status
            .is_success()
    );
    let client = details.client.unwrap();
    let test = json!({"Identity": client.id, "Resource": mailbox});
    let row = admin.run("Test-ServicePrincipalAuthorization", test).await;
    assert_eq!(Admin::objects(&row)[0]["InScope"], "False");
    assert!(answered().await.starts_with("235"));
    admin.sandbox.advance(Duration::from_secs(121));
    assert!(answered().await.starts_with("535"));

    // A new secret is no good for a while.
    let (token, _) = admin.sandbox.admin_tokens();
    let graph = Graph {
        token,
        https: admin.https.clone(),
        sandbox: admin.sandbox,
    };
    let path = format!("applications/{}/addPassword", client.application_object_id);
    let secret = graph.post(&path, Value::Null).await.json()["secretText"].clone();
    let id = client.id.to_string();
    let parameters = [
        ("client_id", id.as_str()),
        ("client_secret", text(&secret)),
        ("scope", SCOPE),
        ("grant_type", "client_credentials"),
    ];
    let url = token_url(&graph.sandbox);
    let early = graph.https.form(&url, &parameters).await;
    assert_eq!(early.json()["error_codes"], json!([7_000_215]));
    graph.sandbox.advance(Duration::from_secs(31));
    let late = graph.https.form(&url, &parameters).await.json();
    let (_, claims) = entra::claims(text(&late["access_token"]));
    assert_eq!(claims["appid"], id);
    graph.sandbox.stop().await;
}

#[tokio::test]
async fn scopes_can_be_units_and_groups_and_filters_are_previewed() {
    let admin = Admin::start(Preset::Rbac).await;
    let details = admin.sandbox.details();
    let (first, second) = (&details.mailboxes[0], &details.mailboxes[1]);
    let unit = "00000000-0000-4000-8000-0000000000aa";
    admin
        .sandbox
        .patch(&json!({"exchange": {"administrative_units": {unit:
            {"display_name": "Branch", "members": [first]}}}}))
        .unwrap();
    let app = details.client.unwrap().id;
    let role = "Application SMTP.SendAsApp";
    let name = json!({"Identity": "smtp-sender"});
    assert!(
        admin
            .run("Remove-ManagementRoleAssignment", name)
            .await
            .status
            .is_success()
    );
    let body = json!({"Name": "u", "Role": role, "App": app, "RecipientAdministrativeUnitScope": "branch"});
    let made = admin.run("New-ManagementRoleAssignment", body).await;
    assert_eq!(
        Admin::objects(&made)[0]["RecipientAdministrativeUnitScope"],
        unit
    );
    for (mailbox, in_scope) in [(first, "True"), (second, "False")] {
        let test = json!({"Identity": app, "Resource": mailbox});
        let row = Admin::objects(&admin.run("Test-ServicePrincipalAuthorization", test).await);
        assert_eq!(
            (&row[0]["InScope"], &row[0]["ScopeType"]),
            (&json!(in_scope), &json!("AdministrativeUnit"))
        );
    }
    let dn = admin
        .run("Get-DistributionGroup", json!({"Identity": "smtp-senders"}))
        .await;
    let dn = Admin::objects(&dn)[0]["DistinguishedName"].clone();
    let filter = json!({"RecipientPreviewFilter": format!("MemberOfGroup -eq '{}'", text(&dn))});
    let preview = admin.run("Get-Recipient", filter).await.json();
    assert!(
        preview["@odata.nextLink"].is_string(),
        "three on pages of two"
    );
    let group = admin
        .run("Get-Recipient", json!({"Identity": "smtp-senders"}))
        .await;
    assert_eq!(
        Admin::objects(&group)[0]["RecipientTypeDetails"],
        "MailUniversalDistributionGroup"
    );
    let domain = admin
        .run(
            "Get-AcceptedDomain",
            json!({"Identity": details.tenant.domain}),
        )
        .await;
    assert_eq!(Admin::objects(&domain)[0]["Default"], true);

    let gone = admin
        .run(
            "Remove-DistributionGroup",
            json!({"Identity": "smtp-senders"}),
        )
        .await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    for (cmdlet, parameters, exception) in [
        (
            "Get-DistributionGroup",
            json!({"Identity": "smtp-senders"}),
            "ManagementObjectNotFoundException",
        ),
        (
            "New-DistributionGroup",
            json!({"Name": "x", "PrimarySmtpAddress": "x@elsewhere.example"}),
            "ParameterBindingException",
        ),
        (
            "New-DistributionGroup",
            json!({"Name": "x", "Type": "Room"}),
            "ParameterBindingException",
        ),
        (
            "New-DistributionGroup",
            json!({"Name": "x", "PrimarySmtpAddress": first}),
            "ADObjectAlreadyExistsException",
        ),
    ] {
        let answer = admin.run(cmdlet, parameters).await;
        assert_eq!(answer.headers["x-exceptiontype"], exception, "{cmdlet}");
    }
    let members = json!({"Name": "new", "Type": "Security", "Members": [first]});
    assert!(
        admin
            .run("New-DistributionGroup", members)
            .await
            .status
            .is_success()
    );
    for (cmdlet, member, exception) in [
        (
            "Add-DistributionGroupMember",
            first,
            "MemberAlreadyExistsException",
        ),
        (
            "Remove-DistributionGroupMember",
            second,
            "MemberNotFoundException",
        ),
    ] {
        let answer = admin
            .run(cmdlet, json!({"Identity": "new", "Member": member}))
            .await;
        assert_eq!(answer.headers["x-exceptiontype"], exception);
    }
    admin.sandbox.stop().await;
}
