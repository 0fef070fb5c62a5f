//! What one message costs the machine, `sendas send` beside msmtp in the same run: processor time
//! and peak memory. Prints figures and ratios; judges nothing.
//!
//! Both get a token at hand and send to the same sandbox over STARTTLS and XOAUTH2. GNU time reads
//! the figures from the kernel; each round runs a program many times, since its clock has
//! hundredths. `cargo xtask bench` installs what is needed.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run has failed")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sendas_entra::{
    ClientId, Cloud, Credential, EntraTokenSource, HttpClient, Principal, Proxy, SystemClock,
    Tenant, TokenSource as _,
};
use sendas_sandbox::{Options, Preset, Running, Sandbox};
use sendas_testkit::folder::Folder;
use sendas_testkit::process::Program;
use sendas_testkit::tools;
use serde_json::json;

const ROUNDS: usize = 5;
const SENDS_PER_ROUND: u32 = 40;
const SMALL_OCTETS: usize = 2 * 1024;
const LARGE_OCTETS: usize = 100 * 1024 * 1024;

/// What the kernel says about a program and those it started.
#[derive(Clone, Copy)]
struct Cost {
    cpu_ms: f64,
    peak_kib: u64,
}

/// A sandbox, a token in a file, and the settings of both programs.
struct Stage {
    sandbox: Running,
    folder: Folder,
    mailbox: String,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let stage = Stage::set().await;
    let small = stage.message("small.eml", SMALL_OCTETS);
    println!("one message of 2 KiB, {ROUNDS} rounds of {SENDS_PER_ROUND} sends, median round");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(
            stage
                .measure(&stage.sendas(), &small, SENDS_PER_ROUND)
                .await,
        );
        theirs.push(stage.measure(&stage.msmtp(), &small, SENDS_PER_ROUND).await);
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    tell("sendas send", ours);
    tell("msmtp", theirs);
    println!(
        "  ratio sendas / msmtp: processor time {:.2}, peak memory {:.2}",
        ours.cpu_ms / theirs.cpu_ms,
        kib(ours) / kib(theirs)
    );

    let large = stage.message("large.eml", LARGE_OCTETS);
    println!("one message of 100 MiB");
    let ours = stage.measure(&stage.sendas(), &large, 1).await;
    let theirs = stage.measure(&stage.msmtp(), &large, 1).await;
    tell("sendas send", ours);
    tell("msmtp", theirs);
    println!(
        "  ratio sendas / msmtp: processor time {:.2}, peak memory {:.2}",
        ours.cpu_ms / theirs.cpu_ms,
        kib(ours) / kib(theirs)
    );
    stage.sandbox.stop().await;
}

impl Stage {
    async fn set() -> Self {
        let options = Options {
            tenant: Preset::Classic,
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        sandbox
            .patch(&json!({ "behaviour": { "limits": "off" } }))
            .unwrap();
        let folder = Folder::new();
        let mailbox = sandbox.details().mailboxes[0].clone();
        let stage = Self {
            sandbox,
            folder,
            mailbox,
        };
        private(&stage.folder.write("token", stage.token().await));
        private(&stage.folder.write("msmtprc", stage.msmtprc()));
        stage
    }

    async fn token(&self) -> String {
        let details = self.sandbox.details();
        let client = details.client.unwrap();
        let cloud = Cloud::from_file(self.sandbox.folder().join("cloud.toml")).unwrap();
        let http = HttpClient::new(cloud.tls_policy().unwrap(), Proxy::none());
        let principal = Principal::new(
            cloud,
            Tenant::parse(&details.tenant.id.to_string()).unwrap(),
            ClientId::parse(&client.id.to_string()).unwrap(),
            Credential::secret_bytes(client.secret.into_bytes()).unwrap(),
        );
        let source = EntraTokenSource::new(principal, http, Arc::new(SystemClock::new()), 1);
        source.token().await.unwrap().expose().to_owned()
    }

    fn msmtprc(&self) -> String {
        format!(
            "account sandbox\nhost localhost\nport {}\ndomain client.example\ntls on\n\
             tls_starttls on\ntls_trust_file {}\nauth xoauth2\nuser {}\npasswordeval cat {}\nfrom {}\n",
            self.sandbox.smtp().port(),
            self.sandbox.folder().join("ca.pem").display(),
            self.mailbox,
            self.folder.join("token").display(),
            self.mailbox,
        )
    }

    fn message(&self, name: &str, octets: usize) -> PathBuf {
        let mut text = format!(
            "From: <{}>\r\nTo: <someone@example.com>\r\nSubject: measured\r\n\
             Date: Mon, 23 Nov 2026 04:05:06 +0000\r\nMessage-ID: <measured@bench.example>\r\n\r\n",
            self.mailbox
        );
        let line = "sixty-two octets of text, and its line end, as often as needed\r\n";
        text.reserve(octets + line.len());
        while text.len() < octets {
            text.push_str(line);
        }
        self.folder.write(name, text)
    }

    fn sendas(&self) -> Vec<String> {
        let settings = self.sandbox.folder().join("sendas.toml");
        let token = self.folder.join("token");
        [
            env!("CARGO_BIN_EXE_sendas"),
            "send",
            "--config",
            &settings.to_string_lossy(),
            "--token-file",
            &token.to_string_lossy(),
            "-f",
            &self.mailbox,
            "someone@example.com",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn msmtp(&self) -> Vec<String> {
        let settings = self.folder.join("msmtprc");
        let msmtp = tools::program("msmtp");
        [
            msmtp.to_string_lossy().as_ref(),
            "--file",
            settings.to_string_lossy().as_ref(),
            "--account",
            "sandbox",
            "--",
            "someone@example.com",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Runs a command `times` times on a message, and gives the cost of one.
    async fn measure(&self, command: &[String], message: &Path, times: u32) -> Cost {
        let before = self.sandbox.delete_messages();
        let figures = self.folder.join("figures");
        let script = "i=0; while [ $i -lt $TIMES ]; do \"$@\" < $MESSAGE > /dev/null || exit 1; i=$((i+1)); done";
        let program = Program::new(tools::program("time"))
            .clean_env()
            .env("TIMES", times.to_string())
            .env("MESSAGE", message)
            .env("HOME", self.folder.path())
            .args(["--format", "%U %S %M", "--output"])
            .arg(&figures)
            .args(["sh", "-c", script, "sh"])
            .args(command)
            .limit(Duration::from_mins(10));
        let finished = program.run().await.success();
        drop((finished, before));
        let arrived = self.sandbox.delete_messages();
        assert_eq!(arrived, times as usize, "every message arrives");
        let text = std::fs::read_to_string(figures).unwrap();
        let figures: Vec<f64> = text
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect();
        let [user, system, peak] = figures[..] else {
            panic!("three figures: {text}")
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole KiB"
        )]
        let peak_kib = peak as u64;
        Cost {
            cpu_ms: (user + system) * 1000.0 / f64::from(times),
            peak_kib,
        }
    }
}

fn median(costs: &mut [Cost]) -> Cost {
    costs.sort_by(|a, b| a.cpu_ms.total_cmp(&b.cpu_ms));
    let peak_kib = costs
        .iter()
        .map(|cost| cost.peak_kib)
        .max()
        .unwrap_or_default();
    Cost {
        peak_kib,
        ..costs[costs.len() / 2]
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn kib(cost: Cost) -> f64 {
    cost.peak_kib as f64
}

fn tell(name: &str, cost: Cost) {
    println!(
        "  {name:<12} {:>8.2} ms processor time, {:>8.2} MiB peak",
        cost.cpu_ms,
        kib(cost) / 1024.0
    );
}

/// msmtp refuses files that others may read.
fn private(file: &Path) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}
