//! A run that dies at any request, then run again, ends in the same tenant.

use serde_json::Value;

use crate::double::Double;
use crate::memory::{stage, two_kinds};
use crate::stage::{Death, Ended};

/// The tenant without ids: how many of each kind, and what hangs together.
fn shape(state: &Value) -> Value {
    let mut text = state.to_string();
    let mut ids: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("00000000-0000-0000-0000-") {
        let id = text[at + found..at + found + 36].to_owned();
        if !ids.contains(&id) {
            ids.push(id);
        }
        at += found + 36;
    }
    for id in ids {
        text = text.replace(&id, "id");
    }
    let mut shape: Value = serde_json::from_str(&text).unwrap();
    for application in shape["applications"].as_object_mut().unwrap().values_mut() {
        application["createdDateTime"] = Value::Null;
        for secret in application["passwordCredentials"].as_array_mut().unwrap() {
            secret["endDateTime"] = Value::Null;
            secret["displayName"] = Value::Null;
        }
        for key in application["keyCredentials"].as_array_mut().unwrap() {
            key["customKeyIdentifier"] = Value::Null;
            key["displayName"] = Value::Null;
        }
    }
    shape
}

#[tokio::test]
async fn apply_killed_at_every_request_and_run_again_ends_the_same() {
    for wish in two_kinds() {
        let whole = Double::fresh();
        let (done, count) = stage(&whole).apply(&wish, None).await;
        done.lived();
        let expected = shape(&whole.state());
        for number in 0..count {
            for death in [Death::Before(number), Death::After(number)] {
                let double = Double::fresh();
                let before = double.state();
                let stage = stage(&double);
                let (ended, _) = stage.apply(&wish, Some(death)).await;
                assert!(matches!(ended, Ended::Died), "{death:?}");
                stage.apply(&wish, None).await.0.lived();
                assert_eq!(shape(&double.state()), expected, "{death:?}");
                assert_eq!(stage.kept().len(), 1, "{death:?}: {:?}", stage.kept());
                let (plan, _) = stage.plan(&wish).await;
                assert!(plan.is_done(), "{death:?}: {plan}");
                stage.undo(None).await.0.lived();
                assert_eq!(double.state(), before, "{death:?}");
            }
        }
    }
}

#[tokio::test]
async fn apply_killed_and_undone_leaves_the_tenant_as_it_was() {
    for wish in two_kinds() {
        let (done, count) = stage(&Double::fresh()).apply(&wish, None).await;
        done.lived();
        for number in 0..count {
            for death in [Death::Before(number), Death::After(number)] {
                let double = Double::fresh();
                let before = double.state();
                let stage = stage(&double);
                stage.apply(&wish, Some(death)).await;
                if stage.state_path().exists() {
                    stage.undo(None).await.0.lived();
                }
                assert_eq!(double.state(), before, "{death:?}");
                assert!(stage.kept().is_empty(), "{death:?}");
            }
        }
    }
}

#[tokio::test]
async fn undo_killed_at_every_request_and_run_again_leaves_the_tenant_as_it_was() {
    for wish in two_kinds() {
        let prepared = async || {
            let double = Double::fresh();
            let before = double.state();
            let stage = stage(&double);
            stage.apply(&wish, None).await.0.lived();
            (double, before, stage)
        };
        let (_, _, stage) = prepared().await;
        let (undone, count) = stage.undo(None).await;
        undone.lived();
        for number in 0..count {
            for death in [Death::Before(number), Death::After(number)] {
                let (double, before, stage) = prepared().await;
                let (ended, _) = stage.undo(Some(death)).await;
                assert!(matches!(ended, Ended::Died), "{death:?}");
                stage.undo(None).await.0.lived();
                assert_eq!(double.state(), before, "{death:?}");
                assert!(stage.kept().is_empty(), "{death:?}");
            }
        }
    }
}
