//! Apply, plan and undo against the tenant in memory.

use std::sync::Arc;

use sendas_entra::{ClientId, Cloud};
use sendas_tenant::{AdminTokens, CredentialWish, Method, SetupError, Wish};
use serde_json::json;

use crate::double::Double;
use crate::stage::{Ended, Stage, whole, wish};

pub(crate) fn stage(double: &Double) -> Stage {
    Stage {
        folder: tempfile::tempdir().unwrap(),
        cloud: Cloud::global(),
        tokens: AdminTokens::from_json(br#"{"graph":"graph-token","exchange":"exchange-token"}"#)
            .unwrap(),
        transport: Arc::new(double.clone()),
        timer: Arc::new(double.clone()),
        lines: std::sync::Mutex::default(),
    }
}

pub(crate) fn kinds() -> Vec<Wish> {
    let both = ["a@contoso.com", "b@contoso.com"];
    [Method::Rbac, Method::Classic]
        .into_iter()
        .flat_map(|method| {
            [CredentialWish::Certificate, CredentialWish::Secret]
                .map(|credential| wish(method, &both, credential))
        })
        .collect()
}

/// One of each method and of each credential: what may be interrupted in different ways.
pub(crate) fn two_kinds() -> [Wish; 2] {
    let both = ["a@contoso.com", "b@contoso.com"];
    [
        wish(Method::Rbac, &both, CredentialWish::Certificate),
        wish(Method::Classic, &both, CredentialWish::Secret),
    ]
}

#[tokio::test]
async fn apply_then_plan_is_nothing_to_do_and_undo_leaves_the_tenant_as_it_was() {
    for wish in kinds() {
        let double = Double::fresh();
        let before = double.state();
        let stage = stage(&double);
        let (applied, count) = stage.apply(&wish, None).await;
        let applied = applied.lived();
        assert!(applied.plan.is_done() && applied.plan.notices.is_empty());
        assert!(count <= 42, "{count} requests with lag");
        assert_eq!(stage.kept().len(), 1);
        let (plan, lines) = stage.plan(&wish).await;
        assert!(plan.is_done(), "{plan}");
        assert!(
            lines
                .iter()
                .all(|line| line.contains("GET ") || line.contains(" Get-")),
            "{lines:?}"
        );
        // Applying again changes nothing.
        let held = double.state();
        let (again, _) = stage.apply(&wish, None).await;
        assert!(again.lived().steps.is_empty());
        assert_eq!(double.state(), held);
        let (undone, _) = stage.undo(None).await;
        assert!(!undone.lived().things.is_empty());
        assert_eq!(double.state(), before);
        assert!(stage.kept().is_empty() && !stage.state_path().exists());
    }
}

#[tokio::test]
async fn more_mailboxes_are_added_to_what_is_there() {
    for method in [Method::Rbac, Method::Classic] {
        let double = Double::fresh();
        let before = double.state();
        let stage = stage(&double);
        let one = wish(method, &["a@contoso.com"], CredentialWish::Certificate);
        stage.apply(&one, None).await.0.lived();
        let two = wish(
            method,
            &["a@contoso.com", "b@contoso.com"],
            CredentialWish::Certificate,
        );
        let (applied, _) = stage.apply(&two, None).await;
        let ids: Vec<&str> = applied
            .lived()
            .steps
            .iter()
            .map(|step| step.action.id())
            .collect();
        let expected: &[&str] = match method {
            Method::Rbac => &["enable-submission", "add-member"],
            Method::Classic => &["enable-submission", "grant-full-access", "grant-send-as"],
        };
        assert_eq!(ids, expected);
        stage.undo(None).await.0.lived();
        assert_eq!(double.state(), before);
    }
}

#[tokio::test]
async fn a_foreign_application_of_the_name_is_not_taken() {
    let double = Double::fresh();
    double.change(|state| {
        state["applications"]["x"] = json!({ "id": "x", "appId": "33333333-0000-0000-0000-000000000000",
            "displayName": "sendas", "keyCredentials": [{ "keyId": "old", "customKeyIdentifier": "C".repeat(40) }],
            "passwordCredentials": [] });
    });
    let before = double.state();
    let stage = stage(&double);
    let mailboxes = ["a@contoso.com".to_owned()];
    let plain = wish(
        Method::Rbac,
        &["a@contoso.com"],
        CredentialWish::Certificate,
    );
    match stage.apply(&plain, None).await.0 {
        Ended::Lived(Err(SetupError::Blocked { blocks })) => {
            assert!(blocks[0].contains("--client-id"), "{blocks:?}");
        }
        _ => panic!("it was taken"),
    }
    assert_eq!(double.state(), before);
    // Named by its client id it is used, its certificate stays, and undo leaves it in place.
    let client_id = ClientId::parse("33333333-0000-0000-0000-000000000000").unwrap();
    let adopting = Wish::new(
        Method::Rbac,
        &mailboxes,
        CredentialWish::Certificate,
        Some(client_id),
        "sendas",
    )
    .unwrap();
    let (applied, _) = stage.apply(&adopting, None).await;
    let applied = applied.lived();
    assert_eq!(applied.plan.notices[0].id, "application-adopted");
    let keys = double.state()["applications"]["x"]["keyCredentials"].clone();
    assert_eq!(keys.as_array().unwrap().len(), 2);
    assert_eq!(keys[0]["keyId"], "old");
    stage.undo(None).await.0.lived();
    assert_eq!(double.state(), before);
}

#[tokio::test]
async fn the_wrong_registration_is_replaced_and_restored() {
    let double = Double::fresh();
    let stage = stage(&double);
    let wish = wish(
        Method::Rbac,
        &["a@contoso.com"],
        CredentialWish::Certificate,
    );
    stage.apply(&wish, None).await.0.lived();
    // Somebody registers the object id of the app registration instead, by a guide that says so.
    let known = std::fs::read_to_string(stage.state_path()).unwrap();
    let known: serde_json::Value = serde_json::from_str(&known).unwrap();
    let application = known["application"]["object_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let client = known["application"]["client_id"].clone();
    double.change(|state| {
        let others = json!({ "AppId": "other", "ObjectId": "other", "DisplayName": "other" });
        state["registered"] = json!({ (application.clone()): { "AppId": client, "ObjectId": application,
            "DisplayName": "by hand" }, "other": others });
    });
    let (plan, _) = stage.plan(&wish).await;
    let ids: Vec<&str> = plan.steps.iter().map(|step| step.action.id()).collect();
    assert_eq!(ids, ["remove-registration", "register"]);
    assert!(plan.steps[0].reason.contains("app registration"));
    stage.apply(&wish, None).await.0.lived();
    assert!(double.state()["registered"].get(&application).is_none());
    stage.undo(None).await.0.lived();
    assert_eq!(
        double.state()["registered"][&application]["DisplayName"],
        "by hand"
    );
    assert!(double.state()["registered"].get("other").is_some());
}

#[tokio::test]
async fn refusals_name_what_exists_and_what_to_do() {
    let graph =
        |code: &str, message: &str| json!({ "error": { "code": code, "message": message } });
    let exchange = |words: &str| {
        json!({ "error": { "code": "BadRequest", "message": "Error executing cmdlet",
        "details": [{ "code": "Context", "target": "", "message": format!("Ex1|A.B|{words}") }] } })
    };
    let cases = [
        (
            "POST /applications",
            403,
            graph("Authorization_RequestDenied", "Insufficient privileges"),
            "Application.ReadWrite.All",
        ),
        (
            "POST /applications/",
            400,
            graph("CredentialTypeNotAllowedAsPerAppPolicy", "not allowed"),
            "--credential certificate",
        ),
        (
            "New-ManagementScope",
            403,
            exchange(
                "The command 'New-ManagementScope' is not present in the role definition of the current user.",
            ),
            "Organization Management",
        ),
        (
            "GET /organization",
            401,
            graph("InvalidAuthenticationToken", "expired"),
            "sign in again",
        ),
    ];
    for (begins, status, body, advice) in cases {
        let double = Double::fresh();
        let before = double.state();
        let stage = stage(&double);
        let wish = wish(Method::Rbac, &["a@contoso.com"], CredentialWish::Secret);
        double.refuse(begins, status, body);
        let Ended::Lived(Err(error)) = stage.apply(&wish, None).await.0 else {
            panic!("{begins} was not refused");
        };
        let call = error.call().unwrap_or_else(|| panic!("{}", whole(&error)));
        assert!(call.advice().unwrap().contains(advice), "{}", whole(&error));
        if let SetupError::Step { done, .. } = &error {
            assert_eq!(done.is_empty(), begins == "POST /applications", "{done:?}");
            // On, or back.
            if begins == "New-ManagementScope" {
                stage.apply(&wish, None).await.0.lived();
            }
            stage.undo(None).await.0.lived();
        }
        assert_eq!(double.state(), before, "{begins}");
    }
}

#[tokio::test]
async fn answers_that_were_lost_make_nothing_twice() {
    let trouble = || json!({ "error": { "code": "ServiceUnavailable", "message": "later" } });
    for wish in kinds() {
        for begins in [
            "POST /applications",
            "POST /servicePrincipals",
            "New-ServicePrincipal",
            "New-DistributionGroup",
        ] {
            let double = Double::fresh();
            let before = double.state();
            let stage = stage(&double);
            double.refuse(begins, 503, trouble());
            stage.apply(&wish, None).await.0.lived();
            let state = double.state();
            assert_eq!(state["applications"].as_object().unwrap().len(), 1);
            assert_eq!(state["principals"].as_object().unwrap().len(), 2);
            assert_eq!(state["registered"].as_object().unwrap().len(), 1);
            stage.undo(None).await.0.lived();
            assert_eq!(double.state(), before);
        }
    }
}

#[tokio::test]
async fn another_tenant_and_another_state_are_refused() {
    let double = Double::fresh();
    let stage = stage(&double);
    let wish = wish(
        Method::Rbac,
        &["a@contoso.com"],
        CredentialWish::Certificate,
    );
    std::fs::write(
        stage.state_path(),
        r#"{"version":1,"tenant_id":"t9","method":"rbac","mailboxes":[],"marker":"x","application":null,"changed":null,"records":[]}"#,
    )
    .unwrap();
    let Ended::Lived(Err(error)) = stage.apply(&wish, None).await.0 else {
        panic!("a foreign state was taken");
    };
    assert!(matches!(error, SetupError::OtherState { .. }), "{error}");
    assert!(
        double
            .log()
            .iter()
            .all(|line| line.starts_with("GET") || line.starts_with("Get-"))
    );
    double.clear_log();
}
