//! No type that holds a secret can be printed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use sendas_entra::{
    Audience, EntraTokenSource, Environment, Generation, IdentityName, ManagedIdentity, Principal,
    Proxy, Requester, Secret, StaticTokenSource, Token, TokenSource as _, answer,
};
use support::{SetClock, TestCloud, secret};

const CANARY: &str = "canary";

fn check(shown: &str) {
    assert!(!shown.to_lowercase().contains(CANARY), "{shown}");
}

#[tokio::test]
async fn nothing_shows_its_secret() {
    let environment: Environment = [
        ("AZURE_CLIENT_SECRET", "CANARY-SECRET-1"),
        (
            "HTTPS_PROXY",
            "http://user:CANARY-SECRET-2@proxy.example:3128",
        ),
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi"),
        ("IDENTITY_HEADER", "CANARY-SECRET-3"),
    ]
    .into_iter()
    .collect();
    check(&format!("{environment:?} {environment:#?}"));

    let text = Secret::from_environment("AZURE_CLIENT_SECRET", &environment).unwrap();
    assert!(text.expose().to_lowercase().contains(CANARY));
    check(&format!(
        "{text:?} {text:#?} {:?} {:?}",
        text.origin(),
        text.warning()
    ));

    let identity = ManagedIdentity::detect(&environment, IdentityName::System).unwrap();
    check(&format!("{identity:?} {identity:#?}"));

    let cloud = TestCloud::new("localhost", 1);
    let http = cloud.http(Proxy::from_environment(&environment).unwrap());
    check(&format!("{http:?} {http:#?}"));

    let credential = secret("CANARY-SECRET-4");
    check(&format!(
        "{credential:?} {credential:#?} {}",
        credential.kind()
    ));
    let principal = cloud.principal(credential);
    check(&format!("{principal:?} {principal:#?}"));
    let managed = Principal::managed(cloud.cloud.clone(), identity);
    check(&format!("{managed:?} {managed:#?}"));

    let clock = SetClock::new();
    let requester = Requester::new(
        principal.clone(),
        Audience::Exchange,
        http.clone(),
        Arc::clone(&clock) as Arc<dyn sendas_entra::Clock>,
    );
    check(&format!("{requester:?} {requester:#?}"));
    let source = EntraTokenSource::new(principal, http, clock, 1);
    check(&format!("{source:?} {source:#?}"));
    let error = source.token().await.unwrap_err();
    check(&format!(
        "{error} {error:?} {error:#?} {}",
        error.full_text()
    ));

    let given = StaticTokenSource::new("CANARY-SECRET-5".to_owned()).unwrap();
    let token: Token = given.token().await.unwrap();
    assert_eq!(token.expose(), "CANARY-SECRET-5");
    check(&format!("{given:?} {given:#?} {token:?} {token:#?}"));
    given.refused(Generation(7));
    given.token().await.unwrap();
    given.refused(token.generation());
    let error = given.token().await.unwrap_err();
    check(&format!("{error} {error:?}"));
    for bad in ["", "CANARY-SECRET 6", "CANARY-SECRET\r\n7"] {
        let error = StaticTokenSource::new(bad.to_owned()).unwrap_err();
        check(&format!("{error} {error:?}"));
    }

    let body = br#"{"access_token":"CANARY-SECRET-8","expires_in":60}"#;
    let now = sendas_entra::Timestamp::UNIX_EPOCH;
    let grant = answer::parse(200, body, None, now).unwrap();
    check(&format!("{grant:?} {grant:#?}"));
    let broken = br#"{"access_token":"CANARY-SECRET-9"}"#;
    let unusable = answer::parse(200, broken, None, now).unwrap_err();
    check(&format!("{unusable:?} {unusable:#?}"));
}
