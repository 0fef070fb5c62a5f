//! The queue commands at the shell: a spool is filled, looked at and changed.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod support;

use sendas_testkit::process::Finished;
use serde_json::Value;
use support::Home;

/// A home with a configuration whose spool nobody has made yet.
fn home() -> Home {
    let home = Home::new();
    let spool = home.path().join("spool.db");
    home.write(
        "sendas.toml",
        &format!(
            r#"
[[principal]]
name = "contoso"
tenant = "contoso.onmicrosoft.com"
client_id = "11111111-2222-3333-4444-555555555555"
credential = {{ secret = {{ env = "UNUSED" }} }}
mailboxes = ["noreply@contoso.com", "a@contoso.com", "b@contoso.com"]

[relay]
spool = "sqlite://{}"
"#,
            spool.display()
        ),
    );
    home
}

async fn sendas(home: &Home, words: &str) -> Finished {
    home.sendas(words.split(' '))
        .env("SENDAS_CONFIG", home.path().join("sendas.toml"))
        .env("TZ", "UTC")
        .run()
        .await
}

async fn submit(home: &Home, words: &str, message: &str) {
    drop(
        home.sendas(["sendmail"].into_iter().chain(words.split(' ')))
            .env("SENDAS_CONFIG", home.path().join("sendas.toml"))
            .stdin(message)
            .run()
            .await
            .success(),
    );
}

/// The members of each line of the list.
async fn listed(home: &Home, words: &str) -> Vec<Value> {
    let out = sendas(home, &format!("queue list --json{words}")).await;
    out.success()
        .out()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn texts<'a>(lines: &'a [Value], member: &str) -> Vec<&'a str> {
    lines
        .iter()
        .map(|line| line.pointer(member).and_then(Value::as_str).unwrap())
        .collect()
}

async fn fill(home: &Home) -> Vec<String> {
    for (from, to) in [
        ("a@contoso.com", "x@example.com"),
        ("a@contoso.com", "y@example.org"),
        ("b@contoso.com", "x@example.com"),
    ] {
        let message = format!("From: {from}\nSubject: to {to}\n\nbody\n");
        submit(home, &format!("-i -f {from} {to}"), &message).await;
    }
    let lines = listed(home, "").await;
    texts(&lines, "/queue_id")
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[tokio::test]
async fn a_queue_without_a_spool_is_empty_and_stays_so() {
    let home = home();
    let listed = sendas(&home, "queue list").await.success();
    assert_eq!(listed.out(), "Mail queue is empty\n");
    assert_eq!(
        sendas(&home, "mailq").await.success().out(),
        "Mail queue is empty\n"
    );
    assert!(
        sendas(&home, "queue count")
            .await
            .success()
            .out()
            .ends_with("in all\n")
    );
    let shown = sendas(&home, "queue show abc").await;
    assert_eq!(shown.status.code(), Some(1));
    assert!(!home.path().join("spool.db").exists());
}

#[tokio::test]
async fn lists_filters_and_counts() {
    let home = home();
    let ids = fill(&home).await;
    assert_eq!(ids.len(), 3);
    let table = sendas(&home, "mailq").await.success().out();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        lines[0],
        "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
    );
    assert!(
        lines[1].starts_with(&ids[0]) && lines[1].ends_with(" a@contoso.com"),
        "{table}"
    );
    assert_eq!(lines[2].trim(), "x@example.com");
    assert_eq!(lines.last(), Some(&"-- 0 Kbytes in 3 Requests."));
    let words = sendas(&home, "queue list").await.success().out();
    assert!(
        words.contains("it has not been tried yet; it is due"),
        "{words}"
    );

    for (filter, expected) in [
        (" --sender a@contoso.com", &[0, 1][..]),
        (" --sender *@contoso.com", &[0, 1, 2]),
        (" --recipient *@example.com", &[0, 2]),
        (" --mailbox b@contoso.com", &[2]),
        (" --state held", &[]),
        (" --state waiting,held", &[0, 1, 2]),
        (" --older 1h", &[]),
        (" --newer 1h", &[0, 1, 2]),
        (" --client sendmail --recipient y@*", &[1]),
        (" --reason nothing", &[]),
    ] {
        let found = listed(&home, filter).await;
        let wanted: Vec<&str> = expected
            .iter()
            .map(|&at: &usize| ids[at].as_str())
            .collect();
        assert_eq!(texts(&found, "/queue_id"), wanted, "{filter}");
    }
    let counted = sendas(&home, "queue count --by state,mailbox --json")
        .await
        .success();
    let counted: Value = serde_json::from_str(&counted.out()).unwrap();
    assert_eq!(counted["messages"], 3);
    assert_eq!(counted["counts"][0]["mailbox"], "a@contoso.com");
    assert_eq!(counted["counts"][0]["messages"], 2);
    let by_domain = sendas(&home, "queue count --by sender-domain")
        .await
        .success()
        .out();
    assert!(by_domain.contains("contoso.com"), "{by_domain}");
}

#[tokio::test]
async fn held_released_removed_and_brought_back() {
    let home = home();
    let ids = fill(&home).await;
    let first = &ids[0];
    let state = async |id: &str| {
        let found = listed(&home, &format!(" {id}")).await;
        texts(&found, "/state")[0].to_owned()
    };
    let held = sendas(&home, &format!("queue hold {first} --for 2h"))
        .await
        .success()
        .out();
    assert!(held.starts_with("held 1 message until 20"), "{held}");
    assert_eq!(state(first).await, "held");
    let table = sendas(&home, "mailq").await.success().out();
    assert!(table.contains(&format!("{first}!")), "{table}");
    assert!(table.contains("(held by hand)"), "{table}");
    let released = sendas(&home, &format!("queue release {first}"))
        .await
        .success()
        .out();
    assert_eq!(released, "released 1 message\n");
    assert_eq!(state(first).await, "waiting");

    // A dry run changes nothing.
    let dry = sendas(&home, &format!("queue remove {first} --dry-run"))
        .await
        .success();
    assert!(
        dry.err()
            .contains("would remove 1 message; nothing was done"),
        "{}",
        dry.err()
    );
    assert_eq!(state(first).await, "waiting");
    // One is removed without a question, and can be brought back.
    let removed = sendas(&home, &format!("queue remove {first}"))
        .await
        .success()
        .out();
    assert!(
        removed.starts_with("removed 1 message; `sendas queue release` brings back until"),
        "{removed}"
    );
    assert_eq!(state(first).await, "removed");
    assert!(
        !sendas(&home, "mailq")
            .await
            .success()
            .out()
            .contains(first.as_str())
    );
    drop(
        sendas(&home, &format!("queue release {first}"))
            .await
            .success(),
    );
    assert_eq!(state(first).await, "waiting");
    // A held one comes back held.
    drop(
        sendas(&home, &format!("queue hold {first}"))
            .await
            .success(),
    );
    drop(
        sendas(&home, &format!("queue remove {first}"))
            .await
            .success(),
    );
    drop(
        sendas(&home, &format!("queue release {first}"))
            .await
            .success(),
    );
    assert_eq!(state(first).await, "held");

    // Several want a yes, and nobody is there to give it.
    let asked = sendas(&home, "queue remove --sender *@contoso.com").await;
    assert_eq!(asked.status.code(), Some(2));
    assert!(
        asked.err().contains("remove 3 messages wants a yes"),
        "{}",
        asked.err()
    );
    let all = sendas(&home, "queue remove --sender *@contoso.com --yes --json")
        .await
        .success();
    let all: Value = serde_json::from_str(&all.out()).unwrap();
    assert_eq!((&all["matched"], &all["changed"]), (&3.into(), &3.into()));
    assert!(all["undo_until"].is_string());
    // Without a choice nothing happens.
    let nothing = sendas(&home, "queue retry").await;
    assert_eq!(nothing.status.code(), Some(2));
}

#[tokio::test]
async fn short_ids_are_enough_when_they_are_unique() {
    let home = home();
    let ids = fill(&home).await;
    let common = ids[0]
        .bytes()
        .zip(ids[2].bytes())
        .take_while(|(left, right)| left == right)
        .count();
    let ambiguous = sendas(&home, &format!("queue show {}", &ids[0][..common])).await;
    assert_eq!(ambiguous.status.code(), Some(1));
    assert!(
        ambiguous.err().contains("more than one"),
        "{}",
        ambiguous.err()
    );
    let unknown = sendas(&home, "queue show zzzz").await;
    assert!(
        unknown
            .err()
            .contains("no message in the spool begins with"),
        "{}",
        unknown.err()
    );
    let long_enough = &ids[2][..11];
    let unique = ids.iter().filter(|id| id.starts_with(long_enough)).count() == 1;
    let id = if unique { long_enough } else { &ids[2] };
    let shown = sendas(&home, &format!("queue show {id}"))
        .await
        .success()
        .out();
    assert!(
        shown.contains("\nsender       <b@contoso.com>\n"),
        "{shown}"
    );
    assert!(
        shown.contains("\nhistory\n") && shown.contains("  accepted\n"),
        "{shown}"
    );
    assert!(shown.contains("  Subject: to x@example.com\n"), "{shown}");
    let body = sendas(&home, &format!("queue show {id} --body"))
        .await
        .success();
    assert!(body.out().ends_with("\r\n\r\nbody\r\n"), "{}", body.out());
    let json = sendas(&home, &format!("queue show {id} --json"))
        .await
        .success();
    let json: Value = serde_json::from_str(&json.out()).unwrap();
    assert_eq!(json["recipients"][0]["address"], "x@example.com");
    assert!(
        json["header"]
            .as_str()
            .unwrap()
            .contains("Subject: to x@example.com")
    );
}

#[tokio::test]
async fn a_bounce_tells_the_sender() {
    let home = home();
    let ids = fill(&home).await;
    let asked = sendas(&home, &format!("queue bounce {}", ids[0])).await;
    assert_eq!(asked.status.code(), Some(2), "a bounce cannot be undone");
    drop(
        sendas(&home, &format!("queue bounce {} --yes", ids[0]))
            .await
            .success(),
    );
    let settled = listed(&home, &format!(" {}", ids[0])).await;
    assert_eq!(texts(&settled, "/state"), ["settled"]);
    assert_eq!(texts(&settled, "/recipients/0/state"), ["refused"]);
    let notices = listed(&home, " --client notice").await;
    assert_eq!(texts(&notices, "/sender"), ["MAILER-DAEMON"]);
    assert_eq!(texts(&notices, "/recipients/0/address"), ["a@contoso.com"]);
    // Nobody is told about a notice, nor when nobody shall be.
    let notice = texts(&notices, "/queue_id")[0];
    drop(
        sendas(&home, &format!("queue bounce {notice} --yes"))
            .await
            .success(),
    );
    drop(
        sendas(&home, &format!("queue bounce {} --yes --silent", ids[1]))
            .await
            .success(),
    );
    let notices = listed(&home, " --client notice --state waiting,settled").await;
    assert_eq!(texts(&notices, "/state"), ["settled"]);
}

#[tokio::test]
async fn exported_messages_arrive_in_another_spool() {
    let (old, new) = (home(), home());
    let ids = fill(&old).await;
    let file = new.path().join("queue.export");
    let exported = sendas(&old, &format!("queue export --output {}", file.display())).await;
    assert!(
        exported.err().contains("exported 3 messages"),
        "{}",
        exported.err()
    );
    drop(exported.success());
    let again = sendas(&old, &format!("queue export --output {}", file.display())).await;
    assert_eq!(again.status.code(), Some(1), "an export never overwrites");
    let imported = sendas(&new, &format!("queue import {}", file.display()))
        .await
        .success();
    assert_eq!(imported.out(), "imported 3 messages\n");
    let imported = sendas(&new, &format!("queue import {}", file.display()))
        .await
        .success();
    assert_eq!(
        imported.out(),
        "imported 0 messages; 3 messages known already\n"
    );
    assert_eq!(texts(&listed(&new, "").await, "/queue_id"), ids);
}
