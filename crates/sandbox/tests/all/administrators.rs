//! The admin interface of Exchange Online: who may call, pages and batches, throttling.

use http::{Request, StatusCode};
use http_body_util::Full;
use sendas_sandbox::{Effect, Fault, Preset, Step};
use serde_json::{Value, json};

use crate::cmdlets::{Admin, input, refused, uuid};
use crate::entra::ask;

#[tokio::test]
async fn pages_selections_and_batches() {
    let admin = Admin::start(Preset::Fresh).await;
    let mut url = Some(format!(
        "{}/InvokeCommand?$select=Identity,primarysmtpaddress",
        admin.place()
    ));
    let mut found = Vec::new();
    while let Some(place) = url {
        let body = input("Get-Mailbox", json!({"ResultSize": "Unlimited"}));
        let page = admin.post(&place, body).await.json();
        found.extend(page["value"].as_array().unwrap().iter().cloned());
        url = page["@odata.nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(found.len(), 4);
    assert_eq!(found[0].as_object().unwrap().len(), 2);
    let shared = admin
        .run(
            "Get-EXOMailbox",
            json!({"RecipientTypeDetails": "UserMailbox"}),
        )
        .await;
    assert_eq!(Admin::objects(&shared)[0]["DisplayName"], "Megan Bowen");
    let one = admin
        .run("Get-Mailbox", json!({"ResultSize": 1}))
        .await
        .json();
    assert!(
        one["@adminapi.warnings"][0]
            .as_str()
            .unwrap()
            .contains("first 1 items")
    );

    let call = |id: u32, name: &str| {
        json!({"id": id.to_string(), "method": "POST", "url": format!("{}/InvokeCommand", admin.place()),
            "headers": {}, "body": input(name, json!({}))})
    };
    let batch = format!("{}/$batch", admin.place());
    let requests =
        json!({"requests": [call(1, "Get-TransportConfig"), call(2, "Get-CASMailboxes")]});
    let answers = admin.post(&batch, requests).await.json();
    assert_eq!(
        answers["responses"][0]["body"]["value"][0]["Name"],
        "Transport Settings"
    );
    assert_eq!(
        (
            &answers["responses"][1]["id"],
            &answers["responses"][1]["status"]
        ),
        (&json!("2"), &json!(403))
    );
    let many: Vec<Value> = (0..11).map(|n| call(n, "Get-TransportConfig")).collect();
    let answer = admin.post(&batch, json!({"requests": many})).await;
    refused(&answer, 400, "ODataServiceException", "more than 10");

    let url = format!(
        "{}/EXOModuleFile?Version=3.9.2",
        admin.place().replace("beta", "v1.0")
    );
    let request = Request::get(url)
        .header("authorization", format!("Bearer {}", admin.token))
        .header("commandname", "*")
        .body(Full::default())
        .unwrap();
    let catalogue = admin.https.send(request).await.json();
    let names = catalogue["value"][0]["exportedCmdlets"].as_str().unwrap();
    assert!(
        names.split(',').any(|name| name == "New-ServicePrincipal"),
        "{names}"
    );
    admin.sandbox.stop().await;
}

#[tokio::test]
async fn callers_need_scope_or_role_and_the_right_administrator() {
    let mut admin = Admin::start(Preset::Classic).await;
    let body = json!({});
    let good = admin.token.clone();
    for wrong in [admin.sandbox.admin_tokens().0, "x.y.z".into()] {
        admin.token = wrong;
        let answer = admin.run("Get-TransportConfig", body.clone()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.body.is_empty());
    }

    // The application: first without Exchange.ManageAsApp, then without a directory role.
    let own = async |admin: &Admin| {
        let answer = ask(&admin.sandbox, &admin.https, &[]).await.json();
        answer["access_token"].as_str().unwrap().to_owned()
    };
    admin.token = own(&admin).await;
    let denied = "CmdletAccessDeniedException";
    let answer = admin.run("Get-TransportConfig", body.clone()).await;
    refused(
        &answer,
        403,
        denied,
        "is not present in the role definition of the current user",
    );
    let tenant = admin.sandbox.tenant();
    let exchange = tenant
        .service_principals
        .iter()
        .find(|(_, p)| p.display_name.contains("Exchange"));
    let client = admin.sandbox.details().client.unwrap();
    let assignment = json!({"principal_id": client.service_principal_id, "resource_id": exchange.unwrap().0,
        "app_role_id": "dc50a0fb-09a3-484d-be87-e023b12c6440"});
    admin
        .sandbox
        .patch(&json!({"app_role_assignments": {(uuid(5)): assignment}}))
        .unwrap();
    admin.token = own(&admin).await;
    let answer = admin.run("Get-TransportConfig", body.clone()).await;
    refused(&answer, 403, denied, &client.id.to_string());
    let recipients = "31392ffb-586c-42d1-9346-e59415a2cc4e";
    let role = json!({"display_name": "r", "members": [client.service_principal_id]});
    admin
        .sandbox
        .patch(&json!({"directory_roles": {(recipients): role}}))
        .unwrap();
    assert_eq!(
        admin.run("Get-Mailbox", body.clone()).await.status,
        StatusCode::OK
    );
    let new = json!({"AppId": uuid(1), "ObjectId": uuid(2)});
    let answer = admin.run("New-ServicePrincipal", new.clone()).await;
    refused(
        &answer,
        403,
        denied,
        "'New-ServicePrincipal' is not present",
    );
    let member = json!({"exchange": {"role_groups": {"Organization Management": [client.service_principal_id]}}});
    admin.sandbox.patch(&member).unwrap();
    assert_eq!(
        admin.run("New-ServicePrincipal", new).await.status,
        StatusCode::OK
    );

    // The administrator, of another tenant's path.
    admin.token = good;
    let url = admin.place().replace(
        &admin.sandbox.details().tenant.id.to_string(),
        "other.example",
    );
    let answer = admin
        .post(&format!("{url}/InvokeCommand"), input("Get-Mailbox", body))
        .await;
    refused(
        &answer,
        404,
        "ManagementObjectNotFoundException",
        "other.example",
    );
    let answer = admin.run("Invoke-Nothing", json!({})).await;
    refused(&answer, 403, denied, "'Invoke-Nothing'");
    admin.sandbox.stop().await;
}

#[tokio::test]
async fn throttling_says_when_to_come_back() {
    let admin = Admin::start(Preset::Fresh).await;
    let throttle = Fault {
        only: Some("Get-Mailbox".into()),
        ..Fault::once(Step::ExchangeAdmin, Effect::Throttle { retry_after_s: 12 })
    };
    admin.sandbox.fault(throttle).unwrap();
    assert_eq!(
        admin.run("Get-TransportConfig", json!({})).await.status,
        StatusCode::OK
    );
    let answer = admin.run("Get-Mailbox", json!({})).await;
    refused(
        &answer,
        429,
        "ThrottlingException",
        "You have reached the maximum number of concurrent requests per tenant",
    );
    assert_eq!(answer.headers["retry-after"], "12");
    assert_eq!(answer.headers["rate-limit-remaining"], "0");
    let reset: jiff::Timestamp = answer.headers["rate-limit-reset"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(reset > admin.sandbox.now());

    // An error that follows a write that was accepted.
    let fault = Fault::once(
        Step::ExchangeAdmin,
        Effect::AcceptThenAnswer {
            status: 500,
            headers: [(
                "x-exceptiontype".into(),
                "UnableToWriteToAadException".into(),
            )]
            .into(),
            body: "no JSON".into(),
        },
    );
    admin.sandbox.fault(fault).unwrap();
    let switch = json!({"SmtpClientAuthenticationDisabled": false});
    let answer = admin.run("Set-TransportConfig", switch).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        answer.headers["x-exceptiontype"],
        "UnableToWriteToAadException"
    );
    let transport = &admin.sandbox.tenant().exchange.transport;
    assert!(!transport.smtp_client_authentication_disabled);
    let journal = admin.sandbox.journal(0);
    let last = journal.last().unwrap();
    assert!(last.fault.is_some() && last.answered.contains("Set-TransportConfig"));
    admin.sandbox.stop().await;
}
