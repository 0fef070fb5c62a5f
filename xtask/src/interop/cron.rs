//! Debian's cron, the daemon itself: with a spool, a crontab and a `/usr/sbin/sendmail` of its own.
//!
//! It runs a job of `@reboot` at once, mails what the job said, and is ended.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::inside::Inside;
use super::mail;
use crate::run::{Run, Steps};

/// How cron of Debian calls sendmail; `crates/cli/tests/foreign/called.rs` calls it the same way.
const CALL: [&str; 6] = ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root", ""];

/// How long the job and its mail may take.
const MAIL_MAX: Duration = Duration::from_secs(30);

/// How often the sandbox is asked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) fn steps(inside: &Inside, steps: &mut Steps) {
    steps.step("cron: a job's output, mailed through sendmail", || {
        daemon(inside)
    });
}

fn daemon(inside: &Inside) -> Result<()> {
    let (before, _) = inside.newest()?;
    let package = inside.tools.join("debian/cron");
    let place = inside.folder.join("cron");
    for name in ["spool/crontabs", "sbin", "cron.d"] {
        std::fs::create_dir_all(place.join(name))?;
    }
    write(
        &place.join("spool/crontabs/root"),
        "@reboot printf 'hello\\n.\\n..\\n'\n",
        0o600,
    )?;
    write(
        &place.join("sendas.toml"),
        &mail::configuration(inside)?,
        0o600,
    )?;
    // What cron says to sendmail is kept on its way.
    write(
        &place.join("sbin/sendmail"),
        &format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" > {place}/arguments\nSENDAS_CONFIG={place}/sendas.toml\n\
             export SENDAS_CONFIG\ntee {place}/input | exec {sendas} sendmail \"$@\" 2> {place}/errors\n",
            place = place.display(),
            sendas = inside.sendas.display(),
        ),
        0o755,
    )?;
    write(&place.join("crontab"), "", 0o644)?;
    let mut made = Vec::new();
    for (from, over) in [
        (place.join("sbin"), "/usr/sbin"),
        (place.join("cron.d"), "/etc/cron.d"),
        (place.join("crontab"), "/etc/crontab"),
        (place.join("spool"), "/var/spool/cron"),
    ] {
        if make(Path::new(over), from.is_dir())? {
            made.push(over);
        }
        mount(&["--bind".as_ref(), from.as_os_str(), over.as_ref()])?;
    }
    // The mark of the last start, and the process's own file.
    mount(&[
        "-t".as_ref(),
        "tmpfs".as_ref(),
        "tmpfs".as_ref(),
        "/run".as_ref(),
    ])?;
    let mut daemon = Command::new(package.join("usr/sbin/cron"))
        .arg("-f")
        .stdin(Stdio::null())
        .spawn()
        .context("cron does not start")?;
    let mailed = wait(inside, before);
    daemon.kill()?;
    daemon.wait()?;
    made.into_iter().try_for_each(unmake)?;
    let arguments = std::fs::read_to_string(place.join("arguments")).unwrap_or_default();
    println!("   called: sendmail {}", arguments.replace('\n', " "));
    let input = std::fs::read_to_string(place.join("input")).unwrap_or_default();
    show(&input);
    show(&std::fs::read_to_string(place.join("errors")).unwrap_or_default());
    let message = mailed?;
    ensure!(
        arguments == CALL.join("\n"),
        "cron calls sendmail in another way now"
    );
    let body = input.split_once("\n\n").map_or("", |(_, body)| body);
    ensure!(
        message.ends_with(&format!("\r\n\r\n{}", body.replace('\n', "\r\n"))),
        "arrived: {message:?}"
    );
    println!("   the job's output arrived octet for octet");
    Ok(())
}

fn show(text: &str) {
    for line in text.lines() {
        println!("   | {line}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a daemon of others tells nobody when it is done"
)]
fn wait(inside: &Inside, before: usize) -> Result<String> {
    let end = std::time::Instant::now() + MAIL_MAX;
    while std::time::Instant::now() < end {
        let (count, newest) = inside.newest()?;
        if count > before {
            return Ok(newest);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    anyhow::bail!("no mail of cron arrived within {MAIL_MAX:?}")
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(mode);
    Ok(options.open(path)?.write_all(text.as_bytes())?)
}

/// Makes something to mount over, where the machine has nothing; says whether it did.
fn make(place: &Path, is_folder: bool) -> Result<bool> {
    if place.exists() {
        return Ok(false);
    }
    if is_folder {
        std::fs::create_dir(place)?;
    } else {
        std::fs::write(place, "")?;
    }
    Ok(true)
}

/// Takes back what [`make`] made: outside of this namespace it would stay.
fn unmake(place: &str) -> Result<()> {
    Run::new("umount").args([place]).shown()?;
    let place = Path::new(place);
    if place.is_dir() {
        std::fs::remove_dir(place)?;
    } else {
        std::fs::remove_file(place)?;
    }
    Ok(())
}

fn mount(arguments: &[&std::ffi::OsStr]) -> Result<()> {
    Run::new("mount").args(arguments).shown()
}
