//! The Graph half of a set-up, by Microsoft's own client for JavaScript.

use serde_json::{Value, json};

use crate::stage::{SCOPE, Stage, claims};

#[tokio::test]
async fn the_graph_client_for_javascript_makes_an_application_that_gets_its_role() {
    let stage = Stage::set().await;
    let (token, _) = stage.sandbox.admin_tokens();
    let ask = json!({ "graph": stage.details.graph, "token": token });
    let made = stage
        .node("graph_set_up.cjs", &ask)
        .stdout_is_secret()
        .run()
        .await
        .success();
    let made: Value = serde_json::from_str(&made.out()).unwrap();
    assert_eq!(made["twice"]["status"], 400);
    assert_eq!(made["twice"]["code"], "Request_BadRequest");
    assert_eq!(made["tenant"], stage.details.tenant.id.to_string());
    let names = made["names"].as_array().unwrap();
    assert_eq!(names.len(), 5, "each page holds one: {names:?}");
    for expected in ["Microsoft Graph", "Office 365 Exchange Online"] {
        assert!(names.contains(&json!(expected)), "{names:?}");
    }

    let ask = json!({
        "authority": stage.authority(),
        "client_id": made["client_id"],
        "scope": SCOPE,
        "secret": made["secret"],
    });
    let token = stage
        .python("msal_token.py", &ask)
        .stdout_is_secret()
        .run()
        .await
        .success();
    let token = claims(&token.out());
    assert_eq!(token["roles"], json!(["SMTP.SendAsApp"]));
    assert_eq!(token["oid"], made["object_id"]);
    stage.strike().await;
}
