//! Commands and steps: what is run is shown, what it says is kept, what it takes is told.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A command about to run.
pub(crate) struct Run {
    command: Command,
    shown: String,
}

impl Run {
    /// The program of that name or path.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref();
        Self {
            command: Command::new(program),
            shown: program.to_string_lossy().into_owned(),
        }
    }

    /// The cargo that runs this program, without what it told this program about itself: what the
    /// inner cargo builds must not depend on having been started from here.
    pub(crate) fn cargo<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut run = Self {
            command: Command::new(cargo),
            shown: "cargo".to_owned(),
        };
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                run.command.env_remove(&name);
            }
        }
        run.args(arguments)
    }

    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        for argument in arguments {
            self.shown.push(' ');
            self.shown.push_str(&argument.as_ref().to_string_lossy());
            self.command.arg(argument);
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes the variables that would change what the product does; those of the benches stay.
    pub(crate) fn without_settings(mut self) -> Self {
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let is_ours = text.starts_with("SENDAS_") && !text.starts_with("SENDAS_BENCH_");
            if is_ours || text.starts_with("AZURE_") {
                self.command.env_remove(&name);
            }
        }
        self
    }

    pub(crate) fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives it this file to read.
    pub(crate) fn stdin(mut self, file: &Path) -> Result<Self> {
        let open = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.command.stdin(open);
        Ok(self)
    }

    /// Runs it with its output on the terminal.
    pub(crate) fn shown(mut self) -> Result<()> {
        println!("   $ {}", self.shown);
        let status = self.command.status().with_context(|| self.cannot_start())?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.shown);
        }
        Ok(())
    }

    /// Runs it with its output on the terminal and in the file `log`, and gives that output.
    pub(crate) fn logged(mut self, log: &Path) -> (String, Result<()>) {
        println!("   $ {}", self.shown);
        let mut text = Vec::new();
        let result = self.tee(log, &mut text);
        (String::from_utf8_lossy(&text).into_owned(), result)
    }

    /// Runs it without showing anything and gives its standard output.
    pub(crate) fn text(self) -> Result<String> {
        self.answer(&[0])
    }

    /// The same for a program that may end with any of these codes.
    pub(crate) fn answer(mut self, codes: &[i32]) -> Result<String> {
        let output = self.command.output().with_context(|| self.cannot_start())?;
        let code = output.status.code();
        if !code.is_some_and(|code| codes.contains(&code)) {
            bail!(
                "`{}` ended with {}\n{}",
                self.shown,
                output.status,
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether it can be started and ends well, silently.
    pub(crate) fn succeeds(mut self) -> bool {
        let quiet = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    fn tee(&mut self, log: &Path, text: &mut Vec<u8>) -> Result<()> {
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let sink = Mutex::new((file, text));
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| self.cannot_start())?;
        let stdout = child
            .stdout
            .take()
            .context("standard output was asked for")?;
        let stderr = child
            .stderr
            .take()
            .context("standard error was asked for")?;
        let copied: [Result<()>; 2] = std::thread::scope(|scope| {
            let out = scope.spawn(|| copy(stdout, &mut std::io::stdout(), &sink));
            let err = scope.spawn(|| copy(stderr, &mut std::io::stderr(), &sink));
            [out, err].map(|copy| copy.join().expect("copying lines does not panic"))
        });
        copied.into_iter().collect::<Result<()>>()?;
        let status = child.wait()?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.shown);
        }
        Ok(())
    }

    fn cannot_start(&self) -> String {
        format!("cannot start `{}`", self.shown)
    }
}

fn copy(
    from: impl Read,
    terminal: &mut impl Write,
    sink: &Mutex<(File, &mut Vec<u8>)>,
) -> Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        terminal.write_all(&line)?;
        terminal.flush()?;
        let mut sink = sink.lock().expect("the other copy does not panic");
        sink.0.write_all(&line)?;
        sink.1.extend_from_slice(&line);
        line.clear();
    }
    Ok(())
}

/// The steps of a run: all of them happen, and the end tells which did not go well.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration, Result<()>)>,
}

impl Steps {
    /// Does one step and remembers how it went.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        println!("\n== {name}");
        let began = now();
        let result = work();
        if let Err(error) = &result {
            println!("   FAILED: {error:#}");
        }
        self.done.push((name.to_owned(), began.elapsed(), result));
    }

    /// Prints what every step took and how it went; fails if one of them did.
    pub(crate) fn summary(self) -> Result<()> {
        println!("\n== summary");
        let mut failed = Vec::new();
        for (name, took, result) in &self.done {
            let verdict = if result.is_ok() { "ok" } else { "FAILED" };
            println!("   {verdict:<7} {:>7.1} s  {name}", took.as_secs_f64());
            if result.is_err() {
                failed.push(name.as_str());
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        bail!("failed: {}", failed.join(", "))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one clock of this program")]
fn now() -> Instant {
    Instant::now()
}
