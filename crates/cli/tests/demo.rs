//! The demonstration: nothing but the binary, twice at once, without home, network settings or
//! configuration.

mod support;

use serde_json::Value;

use support::Home;

#[tokio::test]
async fn it_shows_the_whole_chain_twice_in_parallel() {
    let (left, right) = (Home::new(), Home::new());
    let (left, right) = tokio::join!(left.sendas(["demo"]).run(), right.sendas(["demo"]).run());
    for finished in [left, right] {
        let finished = finished.success();
        assert_eq!(finished.err(), "");
        let out = finished.out();
        for expected in [
            "1. A sandbox stands in for Microsoft",
            "POST /applications  displayName=",
            "the one that Exchange wants",
            "New-ServicePrincipal -AppId ",
            "New-ManagementRoleAssignment -App ",
            "Set-CASMailbox -Identity noreply@contoso.onmicrosoft.com -SmtpClientAuthenticationDisabled $false",
            "nothing is wrong with this token",
            "-> AUTH XOAUTH2 <",
            "<- 235 2.7.0 Authentication successful",
            "8 round trips from connect to the final reply",
            "Subject: It works\n",
            "In all",
        ] {
            assert!(out.contains(expected), "{expected} is missing in\n{out}");
        }
    }
}

#[tokio::test]
async fn it_answers_programs() {
    let finished = Home::new().sendas(["demo", "--json"]).run().await.success();
    let answer: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["steps"].as_array().unwrap().len(), 11);
    assert_eq!(answer["steps"][9]["round_trips"], 8);
    assert_eq!(answer["claims"]["aud"], "https://outlook.office365.com");
    assert_eq!(answer["claims"].get("roles"), None);
    assert_eq!(
        answer["message"]["recipients"][0]["address"],
        "you@example.com"
    );
    assert!(
        answer["reply"]
            .as_str()
            .unwrap()
            .starts_with("250 2.0.0 OK ")
    );
    assert!(
        answer["raw"]
            .as_str()
            .unwrap()
            .contains("\nSubject: It works\n")
    );
}

#[tokio::test]
async fn it_needs_neither_home_nor_variables() {
    let finished = Home::new()
        .sendas(["demo"])
        .env("HOME", "/nonexistent")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("SENDAS_CONFIG", "/nonexistent/sendas.toml")
        .env("HTTPS_PROXY", "http://192.0.2.1:1")
        .run()
        .await;
    assert!(finished.status.success(), "{}", finished.err());
}
