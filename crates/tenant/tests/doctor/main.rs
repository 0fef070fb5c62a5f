//! The doctor at the sandbox: one thing broken at a time, and two; the true cause first.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod breakage;
mod proof;
mod stage;

use sendas_sandbox::Preset;
use sendas_tenant::AdminTokens;
use sendas_tenant::doctor::{Selection, Status, examine};

use breakage::{Breakage, PATCHES, SETTINGS};
use proof::PROOFS;
use stage::Stage;

/// Pairs drawn.
const PAIRS: usize = 50;

#[tokio::test]
async fn nothing_is_wrong() {
    for preset in [Preset::Classic, Preset::Rbac] {
        let stage = Stage::new(preset).await;
        for is_said in [true, false] {
            let case = stage.case(is_said);
            let examination = examine(&case, &Selection::all()).await;
            assert_eq!(examination.verdicts, [], "{preset:?}");
            let wrong: Vec<_> = examination
                .rows
                .iter()
                .filter(|row| matches!(row.status, Status::Problem | Status::Warning))
                .map(|row| (row.check.id, &row.seen))
                .collect();
            assert_eq!(wrong, [], "{preset:?}");
            let unseen: Vec<_> = examination
                .rows
                .iter()
                .filter(|row| row.status == Status::NotSeen)
                .map(|row| (row.check.id, row.seen.as_str()))
                .collect();
            assert!(unseen.len() <= 20, "{unseen:#?}");
            assert!(examination.took.as_secs() < 10);
        }
    }
}

#[tokio::test]
async fn every_breakage_of_a_classic_tenant() {
    singles(Preset::Classic).await;
}

#[tokio::test]
async fn every_breakage_of_a_tenant_with_roles() {
    singles(Preset::Rbac).await;
}

async fn singles(preset: Preset) {
    let mut stage = Stage::new(preset).await;
    let mut wrong = Vec::new();
    let mut count = 0;
    for breakage in PATCHES.iter().filter(|one| one.preset == preset) {
        // Without the method said, tenant and token have to show it.
        for is_said in [true, false] {
            stage.reset();
            stage.break_it(breakage);
            let case = stage.case(is_said);
            count += 1;
            wrong.extend(first(&stage, case, &[breakage.cause], breakage.name).await);
        }
    }
    let settings = SETTINGS.iter().chain(PROOFS);
    for setting in settings.filter(|one| one.preset == preset) {
        stage.reset();
        let mut case = stage.case(true);
        (setting.set)(&mut stage, &mut case);
        count += 1;
        wrong.extend(first(&stage, case, &[setting.cause], setting.name).await);
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn pairs() {
    let mut wrong = Vec::new();
    let mut drawn = 0;
    for preset in [Preset::Classic, Preset::Rbac] {
        let mut stage = Stage::new(preset).await;
        let list: Vec<&Breakage> = PATCHES
            .iter()
            .filter(|one| one.preset == preset && one.cause != "S-PROPAGATING")
            .collect();
        let mut seed = 0x5eed_u64;
        let mut next = |below: usize| {
            // SplitMix64, so that a failing pair comes again.
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((z ^ (z >> 31)) % below as u64).unwrap()
        };
        let wanted = drawn + PAIRS / 2;
        while drawn < wanted {
            let (one, two) = (list[next(list.len())], list[next(list.len())]);
            stage.reset();
            if one.cause == two.cause || !stage.try_break(one) || !stage.try_break(two) {
                continue;
            }
            drawn += 1;
            let case = stage.case(true);
            let name = format!("{} + {}", one.name, two.name);
            wrong.extend(first(&stage, case, &[one.cause, two.cause], &name).await);
        }
        // A change of the tenant, and one of the configuration, the network or an answer. Who is
        // silent takes seconds, and has its own test.
        let settings: Vec<_> = SETTINGS
            .iter()
            .filter(|one| one.preset == preset)
            // A clock that was moved cannot be moved back for the next pair.
            .filter(|one| {
                !["S-ENTRA-UNREACHABLE", "S-AUTH-DEFERRED", "S-CLOCK"].contains(&one.cause)
            })
            .collect();
        let wanted = drawn + PAIRS / 2;
        while drawn < wanted {
            let (one, two) = (list[next(list.len())], settings[next(settings.len())]);
            stage.reset();
            if one.cause == two.cause || !stage.try_break(one) {
                continue;
            }
            let mut case = stage.case(true);
            drawn += 1;
            (two.set)(&mut stage, &mut case);
            let name = format!("{} + {}", one.name, two.name);
            wrong.extend(first(&stage, case, &[one.cause, two.cause], &name).await);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {drawn}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn without_an_administrator_the_cause_is_ranked_and_the_blind_spot_told() {
    for preset in [Preset::Classic, Preset::Rbac] {
        let mut stage = Stage::new(preset).await;
        let mut wrong = Vec::new();
        for breakage in PATCHES.iter().filter(|one| one.preset == preset) {
            if ["S-ROLE-MISSING", "S-ASSIGNMENT-REQUIRED"].contains(&breakage.cause) {
                // Told as S-OUT-OF-SCOPE while nobody can see the assignments.
                continue;
            }
            stage.reset();
            stage.break_it(breakage);
            let mut case = stage.case(true);
            case.admin = None;
            let examination = examine(&case, &Selection::all()).await;
            let ids: Vec<_> = examination.verdicts.iter().map(|v| v.id).collect();
            if !ids.contains(&breakage.cause) || examination.unseen.len() != 2 {
                wrong.push(format!(
                    "{}: {} is not in {ids:?}",
                    breakage.name, breakage.cause
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[tokio::test]
async fn a_young_change_is_a_warning_with_the_time_that_is_left() {
    let mut stage = Stage::new(Preset::Classic).await;
    let breakage = PATCHES
        .iter()
        .find(|one| one.cause == "S-PROPAGATING")
        .unwrap();
    stage.break_it(breakage);
    let mut case = stage.case(true);
    case.changed = Some(sendas_entra::Timestamp::now() - std::time::Duration::from_mins(10));
    let examination = examine(&case, &Selection::all()).await;
    let first = &examination.verdicts[0];
    assert_eq!(first.id, "S-PROPAGATING");
    let left = first.remaining.unwrap().as_secs();
    assert!((109 * 60..=110 * 60).contains(&left), "{left}");
    let problems = examination
        .rows
        .iter()
        .filter(|row| row.status == Status::Problem)
        .count();
    assert_eq!(problems, 0);
    let login = examination
        .rows
        .iter()
        .find(|row| row.check.id == "D-EXO-02")
        .unwrap();
    assert_eq!(login.status, Status::Warning);
    assert!(
        login.seen.starts_with("not effective yet"),
        "{}",
        login.seen
    );
}

#[tokio::test]
async fn whoever_is_silent_is_named_and_the_run_ends_in_time() {
    for (name, wanted) in [
        ("authority that is silent", "D-ENTRA-03"),
        ("AUTH later than the deadline", "D-EXO-02"),
    ] {
        let mut stage = Stage::new(Preset::Classic).await;
        let mut case = stage.case(true);
        let setting = SETTINGS.iter().find(|one| one.name == name).unwrap();
        (setting.set)(&mut stage, &mut case);
        let examination = examine(&case, &Selection::all()).await;
        assert!(examination.took.as_secs() < 10, "{:?}", examination.took);
        assert_eq!(examination.verdicts[0].id, setting.cause);
        let row = examination.rows.iter().find(|row| row.check.id == wanted);
        let row = row.unwrap();
        assert!(
            matches!(row.status, Status::Problem | Status::Warning),
            "{row:?}"
        );
        assert!(row.seen.contains("still waited for"), "{}", row.seen);
    }
}

/// What works and should not be so: a grant that reaches further, both ways together.
#[tokio::test]
async fn what_works_and_reaches_too_far_is_a_warning() {
    const GRANT: &str = "77777777-2222-3333-4444-555555555555";
    let alias = r#"{"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"aliases":["other@contoso.onmicrosoft.com"]}}}}"#;
    for (preset, patch, check, words) in [
        (
            Preset::Classic,
            alias,
            "D-MBX-02",
            "the first is noreply@contoso.onmicrosoft.com",
        ),
        (
            Preset::Classic,
            r#"{"app_role_assignments":{"GRANT":{"principal_id":"PRINCIPAL","resource_id":"GRAPH","app_role_id":"MAILSEND"}}}"#,
            "D-ENTRA-21",
            "Mail.Send of Microsoft Graph: it may send as every mailbox",
        ),
        (
            Preset::Rbac,
            r#"{"app_role_assignments":{"GRANT":{"principal_id":"PRINCIPAL","resource_id":"EXCHANGE","app_role_id":"SENDASAPP"}},"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"full_access":["PRINCIPAL"]}}}}"#,
            "D-ENTRA-20",
            "beside a role",
        ),
        (
            Preset::Rbac,
            r#"{"app_role_assignments":{"GRANT":{"principal_id":"PRINCIPAL","resource_id":"EXCHANGE","app_role_id":"SENDASAPP"}},"exchange":{"mailboxes":{"noreply@contoso.onmicrosoft.com":{"full_access":["PRINCIPAL"]}}}}"#,
            "D-ENTRA-18",
            "beside a role",
        ),
    ] {
        let mut stage = Stage::new(preset).await;
        let patch = patch.replace("GRANT", GRANT);
        assert!(stage.try_patch(&patch), "{patch}");
        let mut case = stage.case(true);
        if check == "D-MBX-02" {
            breakage::subject(&mut case).mailbox =
                Some(stage::mailbox("other@contoso.onmicrosoft.com"));
        }
        let examination = examine(&case, &Selection::all()).await;
        assert_eq!(examination.verdicts, [], "{check}");
        let problems: Vec<_> = examination
            .rows
            .iter()
            .filter(|row| row.status == Status::Problem)
            .collect();
        assert!(problems.is_empty(), "{problems:?}");
        let row = examination.rows.iter().find(|row| row.check.id == check);
        let row = row.unwrap();
        assert_eq!(row.status, Status::Warning, "{row:?}");
        assert!(row.seen.contains(words), "{}", row.seen);
        assert!(row.fix.is_some());
    }
}

#[tokio::test]
async fn tokens_that_open_nothing_are_told_though_the_way_is_open() {
    let stage = Stage::new(Preset::Classic).await;
    let (graph, exchange) = stage.sandbox.admin_tokens();
    let here = stage.sandbox.details().tenant.id.to_string();
    // Claims that name another tenant, signed by nobody.
    let stranger =
        "eyJhbGciOiJub25lIn0.eyJ0aWQiOiI5OTk5OTk5OS0yMjIyLTMzMzMtNDQ0NC01NTU1NTU1NTU1NTUifQ.eA";
    for (graph, exchange, check, words) in [
        ("refused", exchange.as_str(), "D-ENTRA-23", "401"),
        (graph.as_str(), "refused", "D-EXO-06", "401"),
        (stranger, exchange.as_str(), "D-ENTRA-23", here.as_str()),
        (graph.as_str(), stranger, "D-EXO-06", here.as_str()),
    ] {
        let mut case = stage.case(true);
        let tokens = serde_json::json!({ "graph": graph, "exchange": exchange }).to_string();
        case.admin = Some(Ok(AdminTokens::from_json(tokens.as_bytes()).unwrap()));
        let examination = examine(&case, &Selection::all()).await;
        let row = examination.rows.iter().find(|row| row.check.id == check);
        let row = row.unwrap();
        assert_eq!(row.status, Status::Problem, "{check} {row:?}");
        assert!(row.seen.contains(words), "{}", row.seen);
        assert_eq!(examination.verdicts, []);
        assert!(!examination.unseen.is_empty());
    }
}

#[tokio::test]
async fn offline_nobody_is_asked() {
    let stage = Stage::new(Preset::Classic).await;
    let before = stage.sandbox.journal(0).len();
    let case = stage.case(true);
    let examination = examine(&case, &Selection::all().offline()).await;
    assert_eq!(stage.sandbox.journal(0).len(), before);
    assert_eq!(examination.verdicts, []);
    let token = examination
        .rows
        .iter()
        .find(|row| row.check.id == "D-ENTRA-03")
        .unwrap();
    assert_eq!(token.status, Status::NotSeen);
    assert!(token.seen.contains("--offline"));
}

#[tokio::test]
async fn it_changes_nothing_and_shows_no_secret() {
    let stage = Stage::new(Preset::Classic).await;
    let before = serde_json::to_value(&*stage.sandbox.tenant()).unwrap();
    let case = stage.case(true);
    let examination = examine(&case, &Selection::all()).await;
    assert_eq!(
        serde_json::to_value(&*stage.sandbox.tenant()).unwrap(),
        before
    );
    assert!(
        stage
            .sandbox
            .messages(&sendas_sandbox::Filter::default())
            .is_empty()
    );
    let shown = format!("{examination:?} {case:?}");
    let secret = &stage.sandbox.details().client.unwrap().secret;
    let (graph, exchange) = stage.sandbox.admin_tokens();
    assert!(!shown.contains(secret.as_str()));
    assert!(!shown.contains(&graph) && !shown.contains(&exchange));
    assert!(!shown.contains("eyJ"), "no token of any kind");
}

/// Examines, and says what is wrong when the first cause is none of these.
async fn first(
    stage: &Stage,
    case: sendas_tenant::doctor::Case,
    wanted: &[&str],
    name: &str,
) -> Option<String> {
    let examination = examine(&case, &Selection::all()).await;
    let found = examination.verdicts.first().map(|verdict| verdict.id);
    let truth: Vec<_> = stage
        .sandbox
        .journal(0)
        .into_iter()
        .filter_map(|entry| entry.cause)
        .collect();
    if found.is_some_and(|id| wanted.contains(&id)) {
        return None;
    }
    Some(format!(
        "{name}: {wanted:?} wanted, {:?} found; the sandbox says {:?}; unseen {:?}",
        examination
            .verdicts
            .iter()
            .map(|v| (v.id, v.certainty.name()))
            .collect::<Vec<_>>(),
        truth.last(),
        examination.unseen
    ))
}
