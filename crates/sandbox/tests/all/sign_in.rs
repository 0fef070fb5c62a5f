//! Signing a person in: codes with PKCE, pages, consent, device codes, refresh.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, StatusCode};
use http_body_util::Full;
use sendas_sandbox::{Preset, Running};
use serde_json::{Value, json};

use crate::entra::{claims, start};
use crate::https::{Answer, Https, form};

pub(crate) const GRAPH_TOOLS: &str = "14d82eec-204b-4c2f-b7e8-296a70dab67e";
pub(crate) const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const EXCHANGE_MODULE: &str = "fb78d390-0c51-40cd-8e17-fdbfab77341b";
pub(crate) const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";
pub(crate) const REDIRECT: &str = "http://localhost:4711";
pub(crate) const GRAPH: &str = "https://graph.microsoft.com/.default openid offline_access";
pub(crate) const EXCHANGE: &str = "https://outlook.office365.com/.default offline_access";

/// A browser that keeps one cookie and does not follow redirects.
pub(crate) struct Browser {
    pub(crate) sandbox: Running,
    pub(crate) https: Https,
    cookie: Option<String>,
}

/// What an address was given after its question mark (or hash).
pub(crate) fn query(address: &str) -> BTreeMap<String, String> {
    let (_, query) = address.split_once(['?', '#']).unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

pub(crate) fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::FOUND, "{:?}", answer.body);
    answer.headers["location"].to_str().unwrap().to_owned()
}

pub(crate) fn html(answer: &Answer) -> String {
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let allowed = policy.contains("script-src 'sha256-");
    assert_eq!(text.contains("<script"), allowed, "{text}");
    text
}

pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap().0
}

impl Browser {
    pub(crate) async fn start(tenant: Preset) -> Self {
        let (sandbox, https) = start(tenant).await;
        Self {
            sandbox,
            https,
            cookie: None,
        }
    }

    pub(crate) fn authority(&self) -> String {
        let details = self.sandbox.details();
        format!("{}/{}", details.authority, details.tenant.id)
    }

    pub(crate) async fn send(&mut self, request: Request<Full<bytes::Bytes>>) -> Answer {
        let mut request = request;
        if let Some(cookie) = &self.cookie {
            request
                .headers_mut()
                .insert("cookie", cookie.parse().unwrap());
        }
        let answer = self.https.send(request).await;
        if let Some(set) = answer.headers.get("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(
                set.ends_with("Path=/; HttpOnly; Secure; SameSite=Lax"),
                "{set}"
            );
            self.cookie = Some(set.split(';').next().unwrap().to_owned());
        }
        answer
    }

    pub(crate) async fn authorize(
        &mut self,
        client: &str,
        scope: &str,
        changed: &[(&str, &str)],
    ) -> Answer {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let mut parameters = vec![
            ("client_id", client),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", scope),
            ("state", "a state"),
            ("nonce", "a nonce"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in changed {
            parameters.retain(|(n, _)| n != name);
            if !value.is_empty() {
                parameters.push((name, value));
            }
        }
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let url = format!("{}/oauth2/v2.0/authorize?{query}", self.authority());
        self.send(Request::get(url).body(Full::default()).unwrap())
            .await
    }

    /// Fills in the page at hand.
    pub(crate) async fn fill(&mut self, page: &Answer, fields: &[(&str, &str)]) -> Answer {
        let text = html(page);
        let action = between(&text, "action=\"", "\"");
        let flow = between(&text, "name=\"flow\" value=\"", "\"").to_owned();
        let url = format!("{}{action}", self.sandbox.details().authority);
        let mut all = vec![("flow", flow.as_str())];
        all.extend_from_slice(fields);
        self.send(form(&url, &all)).await
    }

    pub(crate) async fn password(&mut self, page: &Answer) -> Answer {
        let admin = self.sandbox.details().admin;
        self.fill(
            page,
            &[("loginfmt", &admin.user), ("passwd", &admin.password)],
        )
        .await
    }

    pub(crate) async fn redeem(
        &mut self,
        client: &str,
        code: &str,
        changed: &[(&str, &str)],
    ) -> Answer {
        let mut parameters = vec![
            ("client_id", client),
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("client_info", "1"),
        ];
        for (name, value) in changed {
            parameters.retain(|(n, _)| n != name);
            if !value.is_empty() {
                parameters.push((name, value));
            }
        }
        self.token(&parameters).await
    }

    pub(crate) async fn token(&self, parameters: &[(&str, &str)]) -> Answer {
        let url = format!("{}/oauth2/v2.0/token", self.authority());
        self.https.form(&url, parameters).await
    }

    /// Signs in to a first-party client as far as the code.
    pub(crate) async fn code(&mut self, client: &str, scope: &str) -> String {
        let page = self.authorize(client, scope, &[]).await;
        let mut answer = if page.status == StatusCode::FOUND {
            page
        } else {
            self.password(&page).await
        };
        if answer.status == StatusCode::OK {
            answer = self.fill(&answer, &[("answer", "accept")]).await;
        }
        let back = query(&location(&answer));
        assert_eq!(back["state"], "a state");
        back["code"].clone()
    }
}

#[track_caller]
pub(crate) fn refused(answer: &Answer, error: &str, code: u32) {
    let body = answer.json();
    assert_eq!(
        (&body["error"], &body["error_codes"]),
        (&json!(error), &json!([code])),
        "{body}"
    );
}

#[tokio::test]
async fn an_administrator_signs_in_consents_once_and_gets_both_tokens() {
    let mut browser = Browser::start(Preset::Fresh).await;
    let scope = "https://graph.microsoft.com/Application.ReadWrite.All openid offline_access";
    let page = browser.authorize(GRAPH_TOOLS, scope, &[]).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("form-action 'self' http://localhost:4711"),
        "{policy}"
    );
    let wrong = browser
        .fill(
            &page,
            &[
                ("loginfmt", "admin@contoso.onmicrosoft.com"),
                ("passwd", "x"),
            ],
        )
        .await;
    assert!(html(&wrong).contains("role=\"alert\""));
    let consent = browser.password(&wrong).await;
    let text = html(&consent);
    assert!(text.contains("Permissions requested") && text.contains("Application.ReadWrite.All"));
    assert!(text.contains("Microsoft Graph Command Line Tools"));
    let done = browser.fill(&consent, &[("answer", "accept")]).await;
    let place = location(&done);
    assert!(place.starts_with("http://localhost:4711?"), "{place}");
    let code = query(&place)["code"].clone();

    let answer = browser.redeem(GRAPH_TOOLS, &code, &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let answer = answer.json();
    assert_eq!(
        answer["scope"],
        "https://graph.microsoft.com/Application.ReadWrite.All"
    );
    assert_eq!(
        (&answer["token_type"], &answer["expires_in"]),
        (&json!("Bearer"), &json!(3599))
    );
    let (_, token) = claims(answer["access_token"].as_str().unwrap());
    assert_eq!(token["aud"], "https://graph.microsoft.com");
    assert_eq!(token["scp"], "Application.ReadWrite.All");
    assert_eq!(token["upn"], browser.sandbox.details().admin.user);
    assert_eq!(
        token["wids"],
        json!(["62e90394-69f5-4237-9190-012177145e10"])
    );
    assert_eq!(
        (&token["appidacr"], &token["amr"]),
        (&json!("0"), &json!(["pwd"]))
    );
    let (_, id) = claims(answer["id_token"].as_str().unwrap());
    assert_eq!(
        (&id["nonce"], &id["aud"], &id["ver"]),
        (&json!("a nonce"), &json!(GRAPH_TOOLS), &json!("2.0"))
    );
    let info = URL_SAFE_NO_PAD
        .decode(answer["client_info"].as_str().unwrap())
        .unwrap();
    let info: Value = serde_json::from_slice(&info).unwrap();
    assert_eq!(
        (&info["uid"], &info["utid"]),
        (&token["oid"], &token["tid"])
    );

    // The same browser, the other resource: neither page is shown again.
    let code = browser.code(EXCHANGE_MODULE, EXCHANGE).await;
    let answer = browser.redeem(EXCHANGE_MODULE, &code, &[]).await.json();
    assert_eq!(
        answer["scope"],
        "https://outlook.office365.com/Exchange.Manage"
    );
    assert_eq!(answer.get("id_token"), None);
    let again = browser
        .authorize(GRAPH_TOOLS, scope, &[("prompt", "none")])
        .await;
    assert!(query(&location(&again)).contains_key("code"));
    // Unless it is asked for.
    let again = browser
        .authorize(GRAPH_TOOLS, scope, &[("prompt", "login")])
        .await;
    assert!(html(&again).contains("name=\"passwd\""));
    let again = browser
        .authorize(GRAPH_TOOLS, scope, &[("prompt", "consent")])
        .await;
    assert!(html(&again).contains("Permissions requested"));
    browser.sandbox.stop().await;
}

#[tokio::test]
async fn a_code_is_redeemed_once_by_its_client_with_its_verifier() {
    let mut browser = Browser::start(Preset::Fresh).await;
    let code = browser.code(AZURE_CLI, GRAPH).await;
    let other = "b-verifier-of-at-least-forty-three-characters";
    for (changed, error, number) in [
        (&[("code_verifier", "")][..], "invalid_request", 900_144),
        (&[("code_verifier", other)], "invalid_grant", 501_481),
        (&[("code_verifier", "short")], "invalid_grant", 501_481),
        (
            &[("redirect_uri", "http://localhost:4712")],
            "invalid_request",
            50011,
        ),
        (&[("client_id", GRAPH_TOOLS)], "invalid_grant", 70000),
        (&[("client_secret", "x")], "invalid_client", 700_025),
        (&[("code", "1.other")], "invalid_grant", 70000),
        (&[("code", "")], "invalid_request", 900_144),
        (
            &[("scope", "https://outlook.office365.com/.default")],
            "invalid_request",
            65002,
        ),
    ] {
        // A wrong resource is seen after the code was taken.
        let fresh;
        let code = if number == 65002 {
            fresh = browser.code(AZURE_CLI, GRAPH).await;
            &fresh
        } else {
            &code
        };
        let answer = browser.redeem(AZURE_CLI, code, changed).await;
        refused(&answer, error, number);
    }
    let answer = browser.redeem(AZURE_CLI, &code, &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    refused(
        &browser.redeem(AZURE_CLI, &code, &[]).await,
        "invalid_grant",
        54005,
    );
    let late = browser.code(AZURE_CLI, GRAPH).await;
    browser.sandbox.advance(Duration::from_mins(10));
    refused(
        &browser.redeem(AZURE_CLI, &late, &[]).await,
        "invalid_grant",
        70008,
    );
    browser.sandbox.stop().await;
}

#[tokio::test]
async fn wrong_requests_go_to_a_page_until_the_redirect_address_is_known_good() {
    let mut browser = Browser::start(Preset::Fresh).await;
    let unknown = "00000000-0000-4000-8000-000000000001";
    for (changed, said) in [
        (("client_id", unknown), "AADSTS700016"),
        (("client_id", ""), "AADSTS900144"),
        (
            ("redirect_uri", "http://localhost:4711/other"),
            "AADSTS50011",
        ),
        (("redirect_uri", "https://attacker.example"), "AADSTS50011"),
        (("redirect_uri", ""), "AADSTS900144"),
    ] {
        let page = browser.authorize(GRAPH_TOOLS, GRAPH, &[changed]).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(html(&page).contains(said), "{changed:?}");
    }
    for (changed, error, said) in [
        (
            ("response_type", "token"),
            "unsupported_response_type",
            "AADSTS700054",
        ),
        (
            ("response_mode", "web_message"),
            "invalid_request",
            "AADSTS702001",
        ),
        (("code_challenge", ""), "invalid_request", "AADSTS9002325"),
        (
            ("code_challenge_method", "plain"),
            "invalid_request",
            "AADSTS9002325",
        ),
        (("prompt", "none"), "login_required", "AADSTS50058"),
        (("scope", ""), "invalid_request", "AADSTS900144"),
        (
            ("scope", "https://nowhere.example/.default"),
            "invalid_resource",
            "AADSTS500011",
        ),
        (
            ("scope", "https://graph.microsoft.com/No.Such"),
            "invalid_client",
            "AADSTS650053",
        ),
        (
            ("scope", "https://graph.microsoft.com/.default User.Read"),
            "invalid_scope",
            "AADSTS70011",
        ),
        (
            ("scope", "User.Read https://outlook.office365.com/SMTP.Send"),
            "invalid_request",
            "AADSTS28000",
        ),
        (
            ("scope", "https://outlook.office365.com/.default"),
            "invalid_request",
            "AADSTS65002",
        ),
    ] {
        let answer = browser.authorize(GRAPH_TOOLS, GRAPH, &[changed]).await;
        let back = query(&location(&answer));
        assert_eq!(back["error"], error, "{changed:?}");
        assert!(back["error_description"].starts_with(said), "{back:?}");
        assert_eq!(back["state"], "a state");
    }
    let fragment = browser
        .authorize(
            GRAPH_TOOLS,
            GRAPH,
            &[("prompt", "none"), ("response_mode", "fragment")],
        )
        .await;
    assert!(location(&fragment).starts_with("http://localhost:4711#error="));
    browser.sandbox.stop().await;
}

#[tokio::test]
async fn a_second_factor_is_a_second_page_and_people_without_a_role_cannot_consent() {
    let mut browser = Browser::start(Preset::Fresh).await;
    let details = browser.sandbox.details();
    let tenant = browser.sandbox.tenant();
    let admin = tenant.users.keys().next().unwrap();
    browser
        .sandbox
        .patch(&json!({"users": {(admin.to_string()): {"mfa": true}}}))
        .unwrap();
    let page = browser.authorize(GRAPH_TOOLS, GRAPH, &[]).await;
    let second = browser.password(&page).await;
    assert!(html(&second).contains("name=\"otc\""));
    assert!(browser.cookie.is_none());
    let wrong = browser.fill(&second, &[("otc", "000000x")]).await;
    assert!(html(&wrong).contains("role=\"alert\""));
    let consent = browser
        .fill(&wrong, &[("otc", &details.admin.mfa_code)])
        .await;
    assert!(html(&consent).contains("User.Read"));
    let declined = browser.fill(&consent, &[("answer", "cancel")]).await;
    let back = query(&location(&declined));
    assert_eq!(back["error"], "access_denied");
    assert!(back["error_description"].starts_with("AADSTS65004"));

    // A flow that is over cannot be gone on with.
    let over = browser.fill(&consent, &[("answer", "accept")]).await;
    assert!(html(&over).contains("sign-in is over"));

    browser
        .sandbox
        .patch(&json!({"policies": {"consent_refused": true}}))
        .unwrap();
    let answer = browser.authorize(GRAPH_TOOLS, GRAPH, &[]).await;
    assert_eq!(query(&location(&answer))["error"], "access_denied");
    browser
        .sandbox
        .patch(&json!({"policies": {"consent_refused": false},
            "directory_roles": {"62e90394-69f5-4237-9190-012177145e10": {"members": []}}}))
        .unwrap();
    let scope = "https://graph.microsoft.com/Application.ReadWrite.All";
    let answer = browser.authorize(GRAPH_TOOLS, scope, &[]).await;
    let back = query(&location(&answer));
    assert!(
        back["error_description"].starts_with("AADSTS90094"),
        "{back:?}"
    );
    // What a person may grant alone is granted for them alone.
    let consent = browser.authorize(GRAPH_TOOLS, "User.Read", &[]).await;
    let done = browser.fill(&consent, &[("answer", "accept")]).await;
    assert!(query(&location(&done)).contains_key("code"));
    let tenant = browser.sandbox.tenant();
    let grant = tenant.permission_grants.values().next().unwrap();
    assert_eq!(grant.principal_id, Some(*admin));
    browser.sandbox.stop().await;
}

#[tokio::test]
async fn refresh_tokens_last_until_the_password_changes() {
    let mut browser = Browser::start(Preset::Fresh).await;
    let code = browser.code(AZURE_CLI, GRAPH).await;
    let first = browser.redeem(AZURE_CLI, &code, &[]).await.json();
    let refresh = first["refresh_token"].as_str().unwrap().to_owned();
    assert!(refresh.contains("CANARY-TOKEN"));
    let with = |client: &'static str, token: &str| {
        [
            ("client_id", client.to_owned()),
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", token.to_owned()),
            (
                "scope",
                "https://graph.microsoft.com/Directory.Read.All".to_owned(),
            ),
        ]
    };
    let ask = async |browser: &Browser, client, token: &str| {
        let parameters = with(client, token);
        let parameters: Vec<(&str, &str)> =
            parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
        browser.token(&parameters).await
    };
    browser.sandbox.advance(Duration::from_hours(24));
    let answer = ask(&browser, AZURE_CLI, &refresh).await;
    assert_eq!(answer.status, StatusCode::OK);
    let token = |answer: &Value| claims(answer["access_token"].as_str().unwrap()).1;
    let (old, new) = (token(&first), token(&answer.json()));
    assert_eq!(old["sub"], new["sub"]);
    assert_ne!(old["uti"], new["uti"]);
    assert_ne!(answer.json()["refresh_token"], refresh);
    refused(
        &ask(&browser, GRAPH_TOOLS, &refresh).await,
        "invalid_grant",
        70000,
    );
    refused(
        &ask(&browser, AZURE_CLI, "1.x").await,
        "invalid_grant",
        70000,
    );
    let tenant = browser.sandbox.tenant();
    let admin = tenant.users.keys().next().unwrap().to_string();
    browser
        .sandbox
        .patch(&json!({"users": {(admin): {"password_sha256": "0"}}}))
        .unwrap();
    refused(
        &ask(&browser, AZURE_CLI, &refresh).await,
        "invalid_grant",
        50173,
    );
    browser.sandbox.advance(Duration::from_hours(90 * 24));
    refused(
        &ask(&browser, AZURE_CLI, &refresh).await,
        "invalid_grant",
        70008,
    );
    browser.sandbox.stop().await;
}
