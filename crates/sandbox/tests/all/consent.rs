//! Consent at an address of its own, device codes, and web applications.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, StatusCode};
use http_body_util::Full;
use sendas_sandbox::Preset;
use serde_json::json;

use crate::entra::claims;
use crate::https::{Answer, form};
use crate::sign_in::{
    AZURE_CLI, Browser, EXCHANGE, GRAPH, GRAPH_TOOLS, REDIRECT, VERIFIER, between, html, location,
    query, refused,
};

struct Device {
    code: String,
    user_code: String,
    page: String,
}

async fn device(browser: &Browser, client: &str, scope: &str) -> Device {
    let url = format!("{}/oauth2/v2.0/devicecode", browser.authority());
    let answer = browser
        .https
        .form(&url, &[("client_id", client), ("scope", scope)])
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let answer = answer.json();
    assert_eq!(
        (&answer["expires_in"], &answer["interval"]),
        (&json!(900), &json!(5))
    );
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    assert!(text("message").contains(&text("user_code")));
    Device {
        code: text("device_code"),
        user_code: text("user_code"),
        page: text("verification_uri"),
    }
}

async fn poll(browser: &Browser, client: &str, device: &Device) -> Answer {
    browser
        .token(&[
            ("client_id", client),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", &device.code),
        ])
        .await
}

#[tokio::test]
async fn a_device_is_let_in_by_its_code() {
    let mut browser = Browser::start(Preset::Fresh).await;
    let one = device(&browser, GRAPH_TOOLS, GRAPH).await;
    refused(
        &poll(&browser, GRAPH_TOOLS, &one).await,
        "authorization_pending",
        70016,
    );
    refused(&poll(&browser, GRAPH_TOOLS, &one).await, "slow_down", 70017);
    browser.sandbox.advance(Duration::from_secs(6));
    refused(
        &poll(&browser, GRAPH_TOOLS, &one).await,
        "authorization_pending",
        70016,
    );
    refused(
        &poll(&browser, AZURE_CLI, &one).await,
        "bad_verification_code",
        70018,
    );

    let page = browser.https.get(&one.page).await;
    assert!(html(&page).contains("name=\"otc\""));
    let wrong = browser.send(form(&one.page, &[("otc", "WRONGCODE")])).await;
    assert!(html(&wrong).contains("role=\"alert\""));
    let code = one.user_code.to_lowercase();
    let page = browser.send(form(&one.page, &[("otc", &code)])).await;
    let consent = browser.password(&page).await;
    let confirm = browser.fill(&consent, &[("answer", "accept")]).await;
    assert!(
        html(&confirm).contains("Are you trying to sign in to Microsoft Graph Command Line Tools?")
    );
    let done = browser.fill(&confirm, &[("answer", "accept")]).await;
    assert!(html(&done).contains("id=\"end\""));
    browser.sandbox.advance(Duration::from_secs(6));
    let answer = poll(&browser, GRAPH_TOOLS, &one).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    assert!(answer.json()["refresh_token"].is_string());
    refused(
        &poll(&browser, GRAPH_TOOLS, &one).await,
        "bad_verification_code",
        70018,
    );

    let declined = device(&browser, AZURE_CLI, GRAPH).await;
    let page = browser
        .send(form(&declined.page, &[("otc", &declined.user_code)]))
        .await;
    browser.fill(&page, &[("answer", "cancel")]).await;
    refused(
        &poll(&browser, AZURE_CLI, &declined).await,
        "authorization_declined",
        70021,
    );

    let late = device(&browser, AZURE_CLI, GRAPH).await;
    browser.sandbox.advance(Duration::from_mins(15));
    refused(
        &poll(&browser, AZURE_CLI, &late).await,
        "expired_token",
        70020,
    );

    browser
        .sandbox
        .patch(&json!({"policies": {"device_code_blocked": true}}))
        .unwrap();
    let blocked = device(&browser, AZURE_CLI, GRAPH).await;
    let page = browser
        .send(form(&blocked.page, &[("otc", &blocked.user_code)]))
        .await;
    let end = browser.password(&page).await;
    assert!(html(&end).contains("AADSTS53003"));
    refused(
        &poll(&browser, AZURE_CLI, &blocked).await,
        "invalid_grant",
        53003,
    );
    browser.sandbox.stop().await;
}

/// A registration of the tenant's own, with permissions of Exchange.
fn own_application(browser: &Browser) -> String {
    let tenant = browser.sandbox.tenant();
    let exchange = tenant
        .service_principals
        .values()
        .find(|p| p.display_name.contains("Exchange"))
        .unwrap();
    let role = exchange
        .app_roles
        .iter()
        .find(|(_, r)| r.value == "SMTP.SendAsApp")
        .unwrap()
        .0;
    let scope = exchange
        .scopes
        .iter()
        .find(|(_, r)| r.value == "Exchange.Manage")
        .unwrap()
        .0;
    let app_id = "00000000-0000-4000-8000-00000000000a";
    let required = json!([{"id": role, "type": "Role"}, {"id": scope, "type": "Scope"}]);
    let application = json!({
        "app_id": app_id, "display_name": "Own <app>",
        "required": {(exchange.app_id.to_string()): required},
        "redirect_uris": ["http://localhost"], "web_redirect_uris": ["https://own.example/back"],
        "public_client": true,
    });
    let id = "00000000-0000-4000-8000-00000000000b";
    browser
        .sandbox
        .patch(&json!({"applications": {id: application}}))
        .unwrap();
    app_id.into()
}

#[tokio::test]
async fn an_administrator_consents_for_everybody_at_an_address_of_its_own() {
    let mut browser = Browser::start(Preset::Fresh).await;
    let app = own_application(&browser);
    let url = format!(
        "{}/v2.0/adminconsent?client_id={app}&scope=https://outlook.office365.com/.default&redirect_uri=http://localhost:4711/&state=s",
        browser.authority()
    );
    let page = browser.https.get(&url).await;
    let text = html(&page);
    assert!(text.contains("Own &lt;app&gt;"), "{text}");
    let consent = browser.password(&page).await;
    let text = html(&consent);
    assert!(text.contains("SMTP.SendAsApp") && text.contains("review for your organization"));
    let done = browser.fill(&consent, &[("answer", "accept")]).await;
    let back = query(&location(&done));
    let details = browser.sandbox.details();
    assert_eq!(back["admin_consent"], "True");
    assert_eq!(back["tenant"], details.tenant.id.to_string());
    assert_eq!(back["scope"], "https://outlook.office365.com/.default");
    assert_eq!(back["state"], "s");
    let tenant = browser.sandbox.tenant();
    assert_eq!(tenant.app_role_assignments.len(), 1);
    let grant = tenant.permission_grants.values().next().unwrap();
    assert_eq!(grant.principal_id, None);

    // The grant is there for a person's sign-in, and again at the v1.0 address.
    let code = browser.code(&app, EXCHANGE).await;
    let answer = browser.redeem(&app, &code, &[]).await.json();
    let (_, token) = claims(answer["access_token"].as_str().unwrap());
    assert_eq!(
        (&token["scp"], &token["ver"]),
        (&json!("Exchange.Manage"), &json!("1.0"))
    );
    let url = format!(
        "{}/adminconsent?client_id={app}&redirect_uri=https://own.example/back",
        browser.authority()
    );
    let page = browser.https.get(&url).await;
    let consent = browser.password(&page).await;
    let declined = browser.fill(&consent, &[("answer", "cancel")]).await;
    let place = location(&declined);
    assert!(
        place.starts_with("https://own.example/back?error=access_denied"),
        "{place}"
    );
    assert_eq!(browser.sandbox.tenant().app_role_assignments.len(), 1);
    browser.sandbox.stop().await;
}

#[tokio::test]
async fn a_web_application_shows_its_credential_and_the_older_address_works() {
    let mut browser = Browser::start(Preset::Fresh).await;
    let app = own_application(&browser);
    let web = ("redirect_uri", "https://own.example/back");
    let page = browser
        .authorize(
            &app,
            EXCHANGE,
            &[web, ("code_challenge", ""), ("response_mode", "form_post")],
        )
        .await;
    let consent = browser.password(&page).await;
    let posted = browser.fill(&consent, &[("answer", "accept")]).await;
    let text = html(&posted);
    assert!(
        text.contains("action=\"https://own.example/back\""),
        "{text}"
    );
    let code = between(&text, "name=\"code\" value=\"", "\"").to_owned();
    let answer = browser
        .redeem(&app, &code, &[web, ("code_verifier", "")])
        .await;
    refused(&answer, "invalid_client", 7_000_218);

    // v1.0: a resource instead of scopes, numbers as text.
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
    let url = format!(
        "{}/oauth2/authorize?client_id={AZURE_CLI}&response_type=code&redirect_uri={REDIRECT}&resource=https://graph.microsoft.com&code_challenge={challenge}&code_challenge_method=S256",
        browser.authority()
    );
    let answer = browser
        .send(Request::get(url).body(Full::default()).unwrap())
        .await;
    let code = query(&location(&answer))["code"].clone();
    let url = format!("{}/oauth2/token", browser.authority());
    let answer = browser
        .https
        .form(
            &url,
            &[
                ("client_id", AZURE_CLI),
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", REDIRECT),
                ("code_verifier", VERIFIER),
                ("resource", "https://graph.microsoft.com"),
            ],
        )
        .await
        .json();
    assert_eq!(answer["expires_in"], "3599");
    assert_eq!(answer["resource"], "https://graph.microsoft.com");
    assert!(
        answer["scope"]
            .as_str()
            .unwrap()
            .contains("Application.ReadWrite.All")
    );
    browser.sandbox.stop().await;
}
