//! Apply, plan and undo against the sandbox: Microsoft's judgement, written a second time.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sendas_entra::{Cloud, HttpClient, Proxy};
use sendas_sandbox::{Effect, Fault, Options, Preset, Running, Sandbox, Step};
use sendas_tenant::{AdminTokens, CredentialWish, Method, Timer};
use serde_json::Value;

use crate::stage::{Counted, Death, Ended, Stage, wish};

/// Waiting moves the sandbox's clock.
pub(crate) struct Advance(pub(crate) Arc<Running>);

impl Timer for Advance {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn wait(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.advance(time);
        Box::pin(std::future::ready(()))
    }
}

pub(crate) async fn start(preset: Preset) -> Arc<Running> {
    let options = Options {
        tenant: preset,
        seed: Some(7),
        ..Options::default()
    };
    Arc::new(Sandbox::start(options).await.unwrap())
}

pub(crate) fn stage(sandbox: &Arc<Running>) -> Stage {
    let cloud = Cloud::from_file(sandbox.folder().join("cloud.toml")).unwrap();
    let http = HttpClient::new(cloud.tls_policy().unwrap(), Proxy::none());
    let (graph, exchange) = sandbox.admin_tokens();
    let tokens = serde_json::json!({ "graph": graph, "exchange": exchange });
    Stage {
        folder: tempfile::tempdir().unwrap(),
        tokens: AdminTokens::from_json(tokens.to_string().as_bytes()).unwrap(),
        cloud,
        transport: Arc::new(http),
        timer: Arc::new(Advance(Arc::clone(sandbox))),
        lines: std::sync::Mutex::default(),
    }
}

pub(crate) fn mailboxes(sandbox: &Running) -> Vec<String> {
    sandbox.details().mailboxes
}

pub(crate) fn state(sandbox: &Running) -> Value {
    serde_json::to_value(&*sandbox.tenant()).unwrap()
}

/// Seconds until an object that was just made is found by its id; the usual case of what was
/// reported.
const REPLICATION_S: u32 = 8;

/// Seconds until a list holds it; 30 to 60 were reported.
const LISTING_S: u32 = 30;

/// Requests that a whole set-up may take.
const REQUESTS_MAX: usize = 40;

fn with_delays(sandbox: &Running) {
    let delays = serde_json::json!({ "replication": REPLICATION_S, "listing": LISTING_S });
    sandbox
        .patch(&serde_json::json!({ "propagation_s": delays }))
        .unwrap();
}

/// The figure of the set-up: directory servers learn late, nothing else does.
#[tokio::test]
async fn a_set_up_takes_few_requests_though_servers_learn_late() {
    for method in [Method::Rbac, Method::Classic] {
        for credential in [CredentialWish::Certificate, CredentialWish::Secret] {
            let sandbox = start(Preset::Fresh).await;
            with_delays(&sandbox);
            let stage = stage(&sandbox);
            let list = mailboxes(&sandbox);
            let wish = wish(method, &[&list[0]], credential);
            let (applied, count) = stage.apply(&wish, None).await;
            let asked = stage.lines.lock().unwrap().clone();
            assert!(applied.lived().plan.is_done());
            assert!(count <= REQUESTS_MAX, "{count}: {asked:#?}");
            let (plan, lines) = stage.plan(&wish).await;
            assert!(plan.is_done(), "{plan}");
            assert!(lines.iter().all(|line| !is_write(line)), "{lines:?}");
        }
    }
}

/// A scope does not follow groups inside its group: such a mailbox is put into the group itself,
/// and the group inside is told as a member nobody named.
#[tokio::test]
async fn a_mailbox_in_a_nested_group_is_no_member() {
    let sandbox = start(Preset::Rbac).await;
    let state = state(&sandbox);
    let (group, own) = state["groups"].as_object().unwrap().iter().next().unwrap();
    let inner = "77777777-3333-4444-5555-666666666666";
    let list = mailboxes(&sandbox);
    let mail = format!("inner@{}", sandbox.tenant().domain);
    let mut nested = own.clone();
    nested["mail"] = mail.as_str().into();
    nested["display_name"] = "inner".into();
    nested["distinguished_name"] = "CN=inner,DC=COM".into();
    nested["members"] = serde_json::json!([&list[0]]);
    let patch = serde_json::json!({ "groups": {
        inner: nested, group.as_str(): { "members": [inner] },
    } });
    sandbox.patch(&patch).unwrap();
    let stage = stage(&sandbox);
    let client = sandbox.details().client.unwrap().id.to_string();
    let wish = sendas_tenant::Wish::new(
        Method::Rbac,
        &list[..1],
        CredentialWish::Keep,
        Some(sendas_entra::ClientId::parse(&client).unwrap()),
        "sendas",
    )
    .unwrap();
    let (plan, _) = stage.plan(&wish).await;
    let ids: Vec<&str> = plan.steps.iter().map(|step| step.action.id()).collect();
    assert!(ids.contains(&"add-member"), "{plan}");
    assert!(plan.notices.iter().any(|notice| notice.is_excess), "{plan}");
    stage.apply(&wish, None).await.0.lived();
    let (plan, _) = stage.plan(&wish).await;
    assert!(plan.is_done(), "{plan}");
}

#[tokio::test]
async fn apply_then_plan_is_nothing_to_do_and_undo_leaves_the_tenant_as_it_was() {
    for method in [Method::Rbac, Method::Classic] {
        for credential in [CredentialWish::Certificate, CredentialWish::Secret] {
            let sandbox = start(Preset::Fresh).await;
            let before = kept(state(&sandbox));
            let stage = stage(&sandbox);
            let list = mailboxes(&sandbox);
            let list: Vec<&str> = list.iter().map(String::as_str).collect();
            let wish = wish(method, &list[..1], credential);
            let (applied, count) = stage.apply(&wish, None).await;
            let applied = applied.lived();
            assert!(applied.plan.is_done());
            assert!(applied.plan.notices.is_empty(), "{}", applied.plan);
            assert!(count <= REQUESTS_MAX, "{count} requests");
            let (plan, lines) = stage.plan(&wish).await;
            assert!(plan.is_done(), "{plan}");
            assert!(
                lines
                    .iter()
                    .all(|line| line.contains("GET ") || line.contains(" Get-")),
                "{lines:?}"
            );
            stage.undo(None).await.0.lived();
            assert_eq!(kept(state(&sandbox)), before);
        }
    }
}

/// The tenant without its recycle bin, which undoing fills.
fn kept(mut state: Value) -> Value {
    state["deleted"] = Value::Null;
    state
}

/// What a set-up made, without ids and times.
pub(crate) fn shape(sandbox: &Running) -> Value {
    let state = state(sandbox);
    let count = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
    let names =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let applications = state["applications"].as_object().unwrap().values();
    let exchange = &state["exchange"];
    let mailboxes = exchange["mailboxes"].as_object().unwrap().iter();
    serde_json::json!({
        "applications": applications
            .map(|found| (count(&found["secrets"]), count(&found["certificates"])))
            .collect::<Vec<_>>(),
        "principals": count(&state["service_principals"]),
        "granted": count(&state["app_role_assignments"]),
        "groups": state["groups"].as_object().unwrap().values()
            .map(|group| group["members"].clone()).collect::<Vec<_>>(),
        "registered": count(&exchange["service_principals"]),
        "scopes": names(&exchange["scopes"]),
        "assignments": names(&exchange["role_assignments"]),
        "mailboxes": mailboxes
            .map(|(address, found)| serde_json::json!([
                address,
                found["smtp_client_authentication_disabled"],
                found["full_access"].as_array().unwrap().len(),
                found["send_as"].as_array().unwrap().len(),
            ]))
            .collect::<Vec<_>>(),
    })
}

async fn killed_everywhere(method: Method, credential: CredentialWish) {
    let sandbox = start(Preset::Fresh).await;
    with_delays(&sandbox);
    let before = kept(state(&sandbox));
    let list = mailboxes(&sandbox);
    let wish = wish(method, &[&list[0], &list[1]], credential);
    let whole = stage(&sandbox);
    let (applied, _) = whole.apply(&wish, None).await;
    applied.lived();
    let expected = shape(&sandbox);
    whole.undo(None).await.0.lived();
    assert_eq!(kept(state(&sandbox)), before);
    // Between two reads there is nothing to lose; the tenant in memory has all of them.
    let lines = whole.lines.lock().unwrap().clone();
    let writes: Vec<usize> = (0..lines.len())
        .filter(|&number| is_write(&lines[number]))
        .collect();
    for number in writes {
        for death in [Death::Before(number), Death::After(number)] {
            // Lists show what was deleted for a while.
            sandbox.advance(Duration::from_mins(5));
            let stage = stage(&sandbox);
            let (ended, _) = stage.apply(&wish, Some(death)).await;
            assert!(matches!(ended, Ended::Died), "{death:?}");
            stage.apply(&wish, None).await.0.lived();
            assert_eq!(shape(&sandbox), expected, "{death:?}");
            assert_eq!(stage.kept().len(), 1, "{death:?}");
            let (ended, _) = stage.undo(Some(death)).await;
            if matches!(ended, Ended::Died) && stage.state_path().exists() {
                stage.undo(None).await.0.lived();
            }
            assert_eq!(kept(state(&sandbox)), before, "{death:?}");
            assert!(stage.kept().is_empty(), "{death:?}");
        }
    }
}

#[tokio::test]
async fn rbac_killed_at_every_request_and_run_again_ends_the_same() {
    killed_everywhere(Method::Rbac, CredentialWish::Certificate).await;
}

#[tokio::test]
async fn classic_killed_at_every_request_and_run_again_ends_the_same() {
    killed_everywhere(Method::Classic, CredentialWish::Secret).await;
}

#[tokio::test]
async fn an_organisation_that_was_never_customised_is() {
    let sandbox = start(Preset::Fresh).await;
    sandbox
        .patch(&serde_json::json!({ "exchange": { "organization": { "dehydrated": true } } }))
        .unwrap();
    let stage = stage(&sandbox);
    let list = mailboxes(&sandbox);
    let wish = wish(Method::Rbac, &[&list[0]], CredentialWish::Certificate);
    let (applied, _) = stage.apply(&wish, None).await;
    let ids: Vec<&str> = applied
        .lived()
        .steps
        .iter()
        .map(|step| step.action.id())
        .collect();
    assert!(ids.contains(&"enable-customization"), "{ids:?}");
}

#[tokio::test]
async fn the_presets_are_adopted_and_need_nothing() {
    for (preset, method) in [
        (Preset::Rbac, Method::Rbac),
        (Preset::Classic, Method::Classic),
    ] {
        let sandbox = start(preset).await;
        let stage = stage(&sandbox);
        let client = sandbox.details().client.unwrap().id.to_string();
        let wish = sendas_tenant::Wish::new(
            method,
            &mailboxes(&sandbox),
            CredentialWish::Keep,
            Some(sendas_entra::ClientId::parse(&client).unwrap()),
            "sendas",
        )
        .unwrap();
        let (plan, _) = stage.plan(&wish).await;
        assert!(plan.is_done(), "{plan}");
        assert_eq!(plan.notices.len(), 1, "{plan}");
    }
}

fn is_write(line: &str) -> bool {
    !line.contains(" GET ") && !line.contains(" Get-")
}

#[tokio::test]
async fn throttling_trouble_and_lost_answers_make_nothing_twice() {
    let sandbox = start(Preset::Fresh).await;
    let before = kept(state(&sandbox));
    let list = mailboxes(&sandbox);
    for wish in [
        wish(Method::Rbac, &[&list[0]], CredentialWish::Certificate),
        wish(Method::Classic, &[&list[0]], CredentialWish::Secret),
    ] {
        let whole = stage(&sandbox);
        whole.apply(&wish, None).await.0.lived();
        let expected = shape(&sandbox);
        whole.undo(None).await.0.lived();
        let lines = whole.lines.lock().unwrap().clone();
        let of = |graph: bool| {
            let lines = lines.iter();
            lines
                .filter(move |line| line.contains(" /") == graph)
                .enumerate()
                .filter(|(_, line)| is_write(line))
                .map(move |(number, _)| (graph, u32::try_from(number).unwrap()))
        };
        for (graph, after) in of(true).chain(of(false)) {
            for effect in [
                Effect::AcceptThenClose,
                Effect::Throttle { retry_after_s: 2 },
                Effect::Answer {
                    status: 503,
                    headers: std::collections::BTreeMap::new(),
                    body: String::new(),
                },
            ] {
                sandbox.advance(Duration::from_mins(5));
                let at = if graph {
                    Step::Graph
                } else {
                    Step::ExchangeAdmin
                };
                let told = format!("{at:?} {after} {effect:?}");
                let fault = Fault {
                    after,
                    ..Fault::once(at, effect)
                };
                sandbox.fault(fault).unwrap();
                let stage = stage(&sandbox);
                stage.apply(&wish, None).await.0.lived();
                assert_eq!(sandbox.clear_faults(), 0, "{told} did not strike");
                assert_eq!(shape(&sandbox), expected, "{told}");
                assert_eq!(stage.kept().len(), 1, "{told}");
                stage.undo(None).await.0.lived();
                assert_eq!(kept(state(&sandbox)), before, "{told}");
            }
        }
    }
}

#[tokio::test]
async fn an_application_rolls_its_own_key_with_a_proof() {
    use sendas_entra::{Certificate, ClientId};
    use sendas_tenant::key::{MadeCertificate, key_entry};

    let sandbox = start(Preset::Fresh).await;
    let stage = stage(&sandbox);
    let list = mailboxes(&sandbox);
    let wish = wish(Method::Rbac, &[&list[0]], CredentialWish::Certificate);
    let (applied, _) = stage.apply(&wish, None).await;
    let known = applied.lived().state.application.unwrap();
    let client_id = ClientId::parse(&known.client_id).unwrap();
    let counted = Counted::new(Arc::clone(&stage.transport), None);
    let setup = stage.setup(&counted);
    let first = stage.keys().join(&stage.kept()[0]);
    let first = Certificate::from_file(first).unwrap();
    let proof = |certificate: &Certificate| {
        certificate
            .proof_of_possession(&client_id, sandbox.now())
            .unwrap()
    };
    let made = MadeCertificate::make("next", sandbox.now()).unwrap();
    let second = Certificate::from_pem(made.pem.as_bytes()).unwrap();
    let entry = key_entry(&made.der, "next");
    let graph = setup.graph();
    // A key that is not registered proves nothing.
    let refused = graph
        .add_key(&known.object_id, &entry, &proof(&second))
        .await;
    assert!(refused.is_err());
    let added = graph
        .add_key(&known.object_id, &entry, &proof(&first))
        .await
        .unwrap();
    assert_eq!(added.thumbprint, made.thumbprint);
    let keys = graph.application(&known.object_id).await.unwrap().unwrap();
    let old = keys
        .certificates()
        .into_iter()
        .find(|key| key.thumbprint == first.thumbprint())
        .unwrap();
    for _ in 0..2 {
        graph
            .remove_key(&known.object_id, &old.key_id, &proof(&second))
            .await
            .unwrap();
    }
    let keys = graph.application(&known.object_id).await.unwrap().unwrap();
    assert_eq!(keys.certificates().len(), 1);
}

/// Somebody deletes the application behind our back.
async fn delete_application(stage: &Stage) {
    let counted = Counted::new(Arc::clone(&stage.transport), None);
    let setup = stage.setup(&counted);
    let file = sendas_tenant::StateFile::reading(stage.state_path());
    let known = file.load().unwrap().unwrap().application.unwrap();
    let graph = setup.graph();
    graph
        .delete_service_principal(&known.principal_id.unwrap())
        .await
        .unwrap();
    graph.delete_application(&known.object_id).await.unwrap();
}

#[tokio::test]
async fn an_application_that_somebody_deleted_is_made_anew() {
    for (method, credential) in [
        (Method::Rbac, CredentialWish::Certificate),
        (Method::Classic, CredentialWish::Secret),
    ] {
        let sandbox = start(Preset::Fresh).await;
        let before = kept(state(&sandbox));
        let stage = stage(&sandbox);
        let list = mailboxes(&sandbox);
        let wish = wish(method, &[&list[0]], credential);
        stage.apply(&wish, None).await.0.lived();
        let whole = shape(&sandbox);
        delete_application(&stage).await;
        sandbox.advance(Duration::from_mins(5));
        let (plan, _) = stage.plan(&wish).await;
        assert!(plan.blocks.is_empty(), "{plan}");
        let ids: Vec<&str> = plan.steps.iter().map(|step| step.action.id()).collect();
        let removals: &[&str] = match method {
            Method::Rbac => &["remove-assignment", "remove-registration"],
            Method::Classic => &["remove-registration"],
        };
        assert_eq!(
            ids.iter()
                .filter(|id| id.starts_with("remove"))
                .copied()
                .collect::<Vec<_>>(),
            removals,
            "{plan}"
        );
        let applied = stage.apply(&wish, None).await.0.lived();
        assert!(applied.plan.is_done(), "{}", applied.plan);
        if method == Method::Rbac {
            assert_eq!(shape(&sandbox), whole);
        }
        stage.undo(None).await.0.lived();
        if method == Method::Rbac {
            assert_eq!(kept(state(&sandbox)), before);
        }
    }
}

#[tokio::test]
async fn a_group_that_somebody_deleted_is_made_anew_with_its_scope() {
    let sandbox = start(Preset::Fresh).await;
    let before = kept(state(&sandbox));
    let stage = stage(&sandbox);
    let list = mailboxes(&sandbox);
    let wish = wish(Method::Rbac, &[&list[0]], CredentialWish::Certificate);
    stage.apply(&wish, None).await.0.lived();
    delete_application(&stage).await;
    let counted = Counted::new(Arc::clone(&stage.transport), None);
    let exchange = stage
        .setup(&counted)
        .exchange_admin(&sandbox.details().tenant.id.to_string());
    let remove = sendas_tenant::cmdlet::Cmdlet::new("Remove-DistributionGroup")
        .with("Identity", "sendas senders")
        .with("Confirm", false);
    exchange.run(&remove).await.unwrap();
    sandbox.advance(Duration::from_mins(5));
    let (plan, _) = stage.plan(&wish).await;
    let ids: Vec<&str> = plan.steps.iter().map(|step| step.action.id()).collect();
    assert!(
        plan.blocks.is_empty() && ids.contains(&"remove-scope"),
        "{plan}"
    );
    stage.apply(&wish, None).await.0.lived();
    stage.undo(None).await.0.lived();
    assert_eq!(kept(state(&sandbox)), before);
}

#[tokio::test]
async fn rights_left_over_from_the_other_method_are_told() {
    let sandbox = start(Preset::Fresh).await;
    let stage = stage(&sandbox);
    let list = mailboxes(&sandbox);
    let classic = wish(Method::Classic, &[&list[0]], CredentialWish::Certificate);
    stage.apply(&classic, None).await.0.lived();
    let rbac = wish(Method::Rbac, &[&list[0]], CredentialWish::Certificate);
    let applied = stage.apply(&rbac, None).await.0.lived();
    let left: Vec<&sendas_tenant::plan::Notice> = applied
        .plan
        .notices
        .iter()
        .filter(|notice| notice.id == "mailbox-right-not-needed")
        .collect();
    assert_eq!(left.len(), 2, "{}", applied.plan);
    assert!(left[0].text.contains("FullAccess") && left[1].text.contains("SendAs"));
    assert!(left[1].removal[0].starts_with("Remove-RecipientPermission -Identity"));
}
