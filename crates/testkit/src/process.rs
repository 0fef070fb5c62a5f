//! Programs under test and foreign programs: start, feed, wait, capture, stop.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long a program may run unless the test says otherwise.
pub const RUN_S_DEFAULT: u64 = 60;

/// The variable that names the folder which keeps what programs printed, for the search for
/// canaries; `cargo xtask test` sets it.
pub const KEPT_OUTPUT: &str = "SENDAS_TEST_OUTPUT";

/// A program about to be started.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    command: Command,
    stdin: Vec<u8>,
    limit: Duration,
    stdout_is_secret: bool,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to standard output.
    pub stdout: Vec<u8>,
    /// All it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// A program that runs until it is stopped; dropping the value kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Each line as it comes, with its end; closed when the program closes its end.
    lines: UnboundedReceiver<String>,
    limit: Duration,
}

impl Program {
    /// The program at `path`, without arguments, with an empty standard input.
    pub fn new(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_owned();
        let mut command = Command::new(&path);
        command
            .kill_on_drop(true)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            path,
            command,
            stdin: Vec::new(),
            limit: Duration::from_secs(RUN_S_DEFAULT),
            stdout_is_secret: false,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of the program's environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes every variable that could change what the program does: of sendas, of the Azure
    /// SDKs, of proxies and of trust stores.
    #[must_use]
    pub fn clean_env(mut self) -> Self {
        for (name, _) in std::env::vars_os() {
            if changes_behaviour(&name) {
                self.command.env_remove(name);
            }
        }
        self
    }

    /// Runs the program in `folder`.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives the program these octets to read; the end of its input follows.
    #[must_use]
    pub fn stdin(mut self, octets: impl Into<Vec<u8>>) -> Self {
        self.stdin = octets.into();
        self
    }

    /// Sets how long the program may run.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Says that standard output is a place where a secret belongs (`token get`), so that it is not
    /// kept for the search for canaries.
    #[must_use]
    pub fn stdout_is_secret(mut self) -> Self {
        self.stdout_is_secret = true;
        self
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// When it cannot be started or runs longer than its limit; it is killed then.
    pub async fn run(mut self) -> Finished {
        self.command.stdin(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {}: {error}", self.path.display());
        });
        let mut stdin = child.stdin.take().expect("standard input was asked for");
        let octets = std::mem::take(&mut self.stdin);
        let feed = async move {
            // A program may end without reading all of its input.
            drop(stdin.write_all(&octets).await);
            drop(stdin);
        };
        let work = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = tokio::time::timeout(self.limit, work)
            .await
            .unwrap_or_else(|_| panic!("{} ran for over {:?}", self.path.display(), self.limit))
            .expect("the output of a child can be read");
        let finished = Finished {
            status: output.status,
            stdout: output.stdout,
            stderr: output.stderr,
        };
        if !self.stdout_is_secret {
            keep(&self.path, "stdout", &finished.stdout);
        }
        keep(&self.path, "stderr", &finished.stderr);
        finished
    }

    /// Starts the program and lets it run; its lines are those of its standard output, its standard
    /// error goes to the test's.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut self) -> Running {
        self.command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let mut child = self.spawn();
        let stdout = child.stdout.take().expect("standard output was asked for");
        self.running(child, stdout, "stdout")
    }

    /// Starts the program and lets it run; its lines are those of its log, the standard error. Its
    /// standard output goes to the test's.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_logged(mut self) -> Running {
        self.command.stdin(Stdio::null()).stdout(Stdio::inherit());
        let mut child = self.spawn();
        let stderr = child.stderr.take().expect("standard error was asked for");
        self.running(child, stderr, "stderr")
    }

    fn spawn(&mut self) -> Child {
        self.command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {}: {error}", self.path.display());
        })
    }

    /// Reads the lines on a task of its own, so that the program never waits for the test.
    fn running(
        &self,
        child: Child,
        stream: impl AsyncRead + Unpin + Send + 'static,
        kind: &'static str,
    ) -> Running {
        let (sender, lines) = unbounded_channel();
        let path = self.path.clone();
        let is_secret = self.stdout_is_secret && kind == "stdout";
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut all = Vec::new();
            let mut line = Vec::new();
            while stream
                .read_until(b'\n', &mut line)
                .await
                .is_ok_and(|read| read > 0)
            {
                all.extend_from_slice(&line);
                // Nobody may listen any more; the program's lines are still to be kept.
                drop(sender.send(String::from_utf8_lossy(&line).into_owned()));
                line.clear();
            }
            if !is_secret {
                keep(&path, kind, &all);
            }
        });
        Running {
            child,
            lines,
            limit: self.limit,
        }
    }
}

impl Finished {
    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Returns itself if the program ended with code 0.
    ///
    /// # Panics
    /// With all it said, if not.
    #[must_use]
    pub fn success(self) -> Self {
        assert!(
            self.status.success(),
            "{}\n{}{}",
            self.status,
            self.out(),
            self.err()
        );
        self
    }
}

impl Running {
    /// Waits for the next line that `wanted` accepts and returns it without its end.
    ///
    /// # Panics
    /// When the program ends, or says no such line within its limit.
    pub async fn line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let mut passed = String::new();
        let search = async {
            while let Some(line) = self.lines.recv().await {
                let bare = line.trim_end_matches(['\r', '\n']);
                if wanted(bare) {
                    return Some(bare.to_owned());
                }
                passed.push_str(&line);
            }
            None
        };
        match tokio::time::timeout(self.limit, search).await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("the program ended before the line that was waited for:\n{passed}"),
            Err(late) => panic!(
                "the line did not come within {:?} ({late}):\n{passed}",
                self.limit
            ),
        }
    }

    /// The process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills the program by its id and waits for its end.
    pub async fn stop(mut self) {
        // It may have ended by itself: then there is nothing to kill.
        drop(self.child.kill().await);
        // The channel closes once everything is kept; a child of the program may hold it open.
        let kept = async { while self.lines.recv().await.is_some() {} };
        drop(tokio::time::timeout(self.limit, kept).await);
    }

    /// Waits for the program to end by itself and returns how, with the rest of its output.
    ///
    /// # Panics
    /// When it does not end within its limit.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        let work = async {
            while let Some(line) = self.lines.recv().await {
                rest.push_str(&line);
            }
            self.child.wait().await.expect("a child can be waited for")
        };
        let status = tokio::time::timeout(self.limit, work)
            .await
            .expect("it ends within the limit");
        (status, rest)
    }
}

fn changes_behaviour(name: &OsString) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    let kept = [KEPT_OUTPUT, "SENDAS_TOOLS"];
    let heads = [
        "SENDAS_",
        "AZURE_",
        "IDENTITY_",
        "IMDS_",
        "MSI_",
        "SSL_CERT_",
    ];
    let whole = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "NODE_OPTIONS",
        "PYTHONPATH",
    ];
    !kept.contains(&name.as_str())
        && (whole.contains(&name.as_str()) || heads.iter().any(|head| name.starts_with(head)))
}

/// Keeps what a program printed, if the run collects it.
fn keep(path: &Path, kind: &str, octets: &[u8]) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);

    let Some(folder) = std::env::var_os(KEPT_OUTPUT) else {
        return;
    };
    if octets.is_empty() {
        return;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = format!("{}-{number}-{name}.{kind}", std::process::id());
    std::fs::write(Path::new(&folder).join(file), octets)
        .expect("the folder for kept output takes files");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runs_feeds_and_captures() {
        let finished = Program::new("/bin/sh")
            .args(["-c", "cat; echo $WORD >&2; exit 3"])
            .env("WORD", "aside")
            .stdin("input")
            .run()
            .await;
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!(
            (finished.out().as_str(), finished.err().as_str()),
            ("input", "aside\n")
        );
    }

    #[tokio::test]
    #[should_panic(expected = "ran for over")]
    async fn a_program_that_hangs_is_killed() {
        let hanging = Program::new("/bin/sh").args(["-c", "exec sleep 100"]);
        drop(hanging.limit(Duration::from_millis(50)).run().await);
    }

    #[tokio::test]
    async fn waits_for_a_line_and_stops() {
        let mut running = Program::new("/bin/sh")
            .args(["-c", "echo a; echo ready 1; exec sleep 100"])
            .start();
        assert_eq!(
            running.line(|line| line.starts_with("ready")).await,
            "ready 1"
        );
        assert!(running.id().is_some());
        running.stop().await;
    }

    #[tokio::test]
    async fn hears_a_log_and_never_makes_the_program_wait() {
        let script = "echo ready >&2; yes log | head -n 100000 >&2; echo done >&2; exit 7";
        let mut running = Program::new("/bin/sh").args(["-c", script]).start_logged();
        assert_eq!(running.line(|line| line == "ready").await, "ready");
        assert_eq!(running.line(|line| line == "done").await, "done");
        let (status, rest) = running.ended().await;
        assert_eq!((status.code(), rest.as_str()), (Some(7), ""));
    }

    #[tokio::test]
    async fn tells_how_a_program_ended() {
        let running = Program::new("/bin/sh")
            .args(["-c", "echo rest; exit 7"])
            .start();
        let (status, rest) = running.ended().await;
        assert_eq!((status.code(), rest.as_str()), (Some(7), "rest\n"));
    }
}
