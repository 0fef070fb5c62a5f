//! The doctor's checks of listeners and spool, with a relay that runs, and without.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

mod support;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;

use jiff::{SignedDuration, Timestamp};
use sendas_sandbox::{Options, Preset, Running, Sandbox};
use sendas_tenant::key::MadeCertificate;
use serde_json::Value;

use support::Home;

/// A machine with a relay in its configuration.
struct Machine {
    home: Home,
    /// Without TLS, with STARTTLS, with TLS at once; then the dashboard's.
    ports: [SocketAddr; 4],
    _sandbox: Running,
}

impl Machine {
    async fn new(more: &str) -> Self {
        let sandbox = Sandbox::start(Options {
            tenant: Preset::Classic,
            seed: Some(1),
            ..Options::default()
        })
        .await
        .unwrap();
        let home = Home::new();
        std::fs::create_dir(home.path().join("spool")).unwrap();
        // All are held at once, so that they differ; then they are free again.
        let held = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = held.each_ref().map(|port| port.local_addr().unwrap());
        drop(held);
        let own = std::fs::read_to_string(sandbox.folder().join("sendas.toml")).unwrap();
        let [plain, starttls, implicit, admin] = ports;
        let text = format!(
            "{own}\n[relay]\nspool = \"sqlite://{}/spool/spool.db\"\nadmin = \"{admin}\"\nlisten = [\n\
             {{ address = \"{plain}\", tls = \"none\" }},\n\
             {{ address = \"{starttls}\", tls = \"starttls\" }},\n\
             {{ address = \"{implicit}\", tls = \"implicit\" }},\n]\n{more}\n\
             [[relay.client]]\nname = \"here\"\nnetworks = [\"127.0.0.1/32\"]\nsenders = [\"{}\"]\n",
            home.path().display(),
            sandbox.details().mailboxes[0]
        );
        home.write("sendas.toml", &text);
        Self {
            home,
            ports,
            _sandbox: sandbox,
        }
    }

    /// What the checks of the relay say: status and words by id.
    async fn checks(&self) -> BTreeMap<String, (String, String)> {
        let words = ["doctor", "--config", "sendas.toml", "--json"];
        let only = ["--only", "listener,spool"];
        let done = self.home.sendas(words.iter().chain(&only)).run().await;
        let told: Value = serde_json::from_str(&done.out()).unwrap();
        let rows = told["checks"].as_array().unwrap().iter();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        rows.map(|row| {
            let said = (text(row, "status"), text(row, "seen"));
            (text(row, "id"), said)
        })
        .collect()
    }

    fn spool(&self) -> std::path::PathBuf {
        self.home.path().join("spool/spool.db")
    }
}

#[track_caller]
fn check(rows: &BTreeMap<String, (String, String)>, id: &str, status: &str, words: &str) {
    let (found, seen) = &rows[id];
    assert_eq!(found, status, "{id}: {seen}");
    assert!(seen.contains(words), "{id}: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_runs_answers_on_every_port() {
    let machine = Machine::new("").await;
    let rows = machine.checks().await;
    check(&rows, "D-LSN-01", "ok", "is free");
    check(&rows, "D-SPL-01", "ok", "");
    check(&rows, "D-SPL-04", "not seen", "no spool yet");
    check(&rows, "D-SPL-06", "ok", "MiB are free");
    check(
        &rows,
        "D-LSN-06",
        "not seen",
        "makes its certificate itself",
    );

    // The relay says that it is ready, as it would to systemd.
    let notices = machine.home.path().join("notify");
    let socket = UnixDatagram::bind(&notices).unwrap();
    let relay = machine
        .home
        .sendas(["relay", "--config", "sendas.toml"])
        .env("NOTIFY_SOCKET", &notices)
        .start();
    let ready = tokio::task::spawn_blocking(move || {
        let mut notice = [0; 256];
        loop {
            let length = socket.recv(&mut notice).unwrap();
            if notice[..length].starts_with(b"READY=1") {
                break socket;
            }
        }
    });
    let socket = ready.await.unwrap();
    let rows = machine.checks().await;
    let (status, seen) = &rows["D-LSN-01"];
    assert_eq!(status, "ok", "{seen}");
    for port in &machine.ports[..3] {
        assert!(seen.contains(&format!("{port} answers")), "{seen}");
    }
    for id in [
        "D-LSN-02", "D-LSN-03", "D-LSN-04", "D-LSN-05", "D-SPL-01", "D-SPL-03", "D-SPL-04",
    ] {
        check(&rows, id, "ok", "");
    }
    relay.stop().await;
    drop(socket);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_relay_from_starting_is_named() {
    let machine = Machine::new("certificate = \"relay.pem\"").await;
    let before = Timestamp::now() - SignedDuration::from_hours(24 * 40);
    let ended = MadeCertificate::make_for("relay", before, 30).unwrap();
    machine.home.write("relay.pem", &ended.pem);
    std::fs::write(machine.spool(), b"these are no messages").unwrap();
    // Something else has a port, and says nothing.
    let stranger = TcpListener::bind(machine.ports[1]).unwrap();
    let rows = machine.checks().await;
    check(
        &rows,
        "D-LSN-01",
        "problem",
        "is taken by something that does not greet",
    );
    check(&rows, "D-LSN-06", "problem", "it ended at");
    check(&rows, "D-SPL-04", "problem", "another file");
    drop(stranger);

    let soon = MadeCertificate::make_for("relay", Timestamp::now(), 20).unwrap();
    machine.home.write("relay.pem", &soon.pem);
    std::fs::remove_file(machine.spool()).unwrap();
    std::fs::remove_dir(machine.home.path().join("spool")).unwrap();
    let rows = machine.checks().await;
    check(&rows, "D-LSN-01", "ok", "is free");
    check(&rows, "D-LSN-06", "warning", "it ends in 19 days");
    check(&rows, "D-SPL-01", "problem", "No such file");
    machine.home.write("relay.pem", "no certificate");
    check(&machine.checks().await, "D-LSN-06", "problem", "");
}
