//! Inside the network: names, trust, the sandbox.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::run::Run;

/// The hosts that lead to the sandbox.
const HOSTS: [&str; 5] = [
    "login.microsoftonline.com",
    "graph.microsoft.com",
    "outlook.office365.com",
    "smtp.office365.com",
    "localhost",
];

/// The machine's list of trusted authorities, as Debian keeps it.
pub(super) const TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What every step uses.
pub(super) struct Inside {
    /// Where files of this run are.
    pub(super) folder: PathBuf,
    /// The binary.
    pub(super) sendas: PathBuf,
    /// What was installed for the tests.
    pub(super) tools: PathBuf,
    /// `sandbox.json`.
    pub(super) sandbox: Value,
    /// Ends with this value.
    _process: Sandbox,
}

struct Sandbox(Child);

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Inside {
    /// Leads the names to a sandbox and makes everybody here trust it; this process must have
    /// networks and mounts of its own.
    pub(super) fn prepare(folder: &Path, target: &Path, tools: &Path) -> Result<Self> {
        Run::new("ip").args(["link", "set", "lo", "up"]).shown()?;
        let hosts = HOSTS.map(|host| format!("127.0.0.1 {host}\n")).concat();
        lay_over(&folder.join("hosts"), &hosts, "/etc/hosts")?;
        let sendas = target.join("debug/sendas");
        let place = folder.join("sandbox");
        let mut child = Command::new(&sendas)
            .args([
                "sandbox", "run", "--tenant", "classic", "--ports", "takeover",
            ])
            .arg("--dir")
            .arg(&place)
            .stdout(Stdio::piped())
            .spawn()
            .context("the sandbox does not start")?;
        let stdout = child.stdout.take().context("its output was asked for")?;
        let process = Sandbox(child);
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready)?;
        ensure!(
            !ready.is_empty(),
            "the sandbox did not say that it is ready"
        );
        let authority = std::fs::read_to_string(place.join("ca.pem"))?;
        let trusted = std::fs::read_to_string(TRUST).unwrap_or_default();
        lay_over(&folder.join("trust.crt"), &(trusted + &authority), TRUST)?;
        let details = std::fs::read_to_string(place.join("sandbox.json"))?;
        Ok(Self {
            folder: folder.to_owned(),
            sendas,
            tools: tools.to_owned(),
            sandbox: serde_json::from_str(&details)?,
            _process: process,
        })
    }

    /// A text of `sandbox.json`, by its path there.
    pub(super) fn text(&self, pointer: &str) -> Result<&str> {
        let value = self.sandbox.pointer(pointer).and_then(Value::as_str);
        value.with_context(|| format!("sandbox.json has no {pointer}"))
    }

    /// The first mailbox of the sandbox's tenant.
    pub(super) fn mailbox(&self) -> Result<&str> {
        self.text("/mailboxes/0")
    }

    /// Writes a file that only its owner can read.
    pub(super) fn private(&self, name: &str, text: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;

        let path = self.folder.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// Asks the sandbox's control interface.
    pub(super) fn control(&self, method: &str, path: &str) -> Result<String> {
        let token = format!(
            "header = \"Authorization: Bearer {}\"\n",
            self.text("/control/token")?
        );
        let config = self.private("control.curl", &token)?;
        Run::new("curl")
            .args(["--silent", "--show-error", "--fail", "--request", method])
            .args(["--config"])
            .args([&config])
            .args([format!("{}/{path}", self.text("/control/url")?)])
            .text()
    }

    /// The octets of the message that arrived last, and how many have arrived.
    pub(super) fn newest(&self) -> Result<(usize, String)> {
        let all: Value = serde_json::from_str(&self.control("GET", "messages")?)?;
        let list = all.as_array().or_else(|| all["messages"].as_array());
        let list = list.context("the control interface lists messages")?;
        let Some(id) = list.iter().filter_map(|one| one["id"].as_u64()).max() else {
            return Ok((0, String::new()));
        };
        let raw = self.control("GET", &format!("messages/{id}/raw"))?;
        Ok((list.len(), raw))
    }
}

/// Writes a file and lays it over another one, for this namespace only.
pub(super) fn lay_over(file: &Path, text: &str, place: &str) -> Result<()> {
    std::fs::write(file, text)?;
    Run::new("mount")
        .args(["--bind"])
        .args([file, Path::new(place)])
        .shown()
}
