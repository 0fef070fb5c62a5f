//! Programs that send by `smtp.office365.com`, and this one with its built-in names.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::inside::Inside;
use crate::run::{Run, Steps};

const RECIPIENT: &str = "someone@example.com";

/// The doctor's exit code when it has warnings and no problem.
const WARNINGS_ONLY: i32 = 3;

/// What the doctor says of addresses and of an authority that are not Microsoft's.
const STAND_IN: [&str; 2] = ["D-DNS-05", "D-TLS-06"];

pub(super) fn steps(inside: &Inside, steps: &mut Steps) {
    steps.step("curl: smtp.office365.com:587 with the token", || {
        curl(inside)
    });
    steps.step("msmtp: smtp.office365.com:587 with the token", || {
        msmtp(inside)
    });
    steps.step("sendas send: the cloud it knows by itself", || send(inside));
    steps.step("sendas doctor: the cloud it knows by itself", || {
        doctor(inside)
    });
}

fn message(inside: &Inside, program: &str) -> Result<String> {
    Ok(format!(
        "From: {}\r\nTo: {RECIPIENT}\r\nSubject: by {program}\r\n\
         Date: Mon, 23 Nov 2026 04:05:06 +0000\r\nMessage-ID: <{program}@interop.example>\r\n\
         \r\n.\r\n..two dots\r\nblanks at the end  \r\n",
        inside.mailbox()?
    ))
}

/// What arrived is what was sent, and it is one message more than before.
fn arrived(inside: &Inside, before: usize, sent: &str) -> Result<()> {
    let (count, newest) = inside.newest()?;
    ensure!(count == before + 1, "{count} messages after {before}");
    ensure!(newest == sent, "arrived: {newest:?}\nsent: {sent:?}");
    println!("   arrived octet for octet");
    Ok(())
}

fn curl(inside: &Inside) -> Result<()> {
    let (before, _) = inside.newest()?;
    let sent = message(inside, "curl")?;
    let file = inside.private("curl.eml", &sent)?;
    let mailbox = inside.mailbox()?;
    let config = inside.private(
        "send.curl",
        &format!(
            "url = \"smtp://smtp.office365.com:587/client.example\"\nssl-reqd\n\
             login-options = \"AUTH=XOAUTH2\"\nuser = \"{mailbox}:\"\n\
             oauth2-bearer = \"{}\"\nmail-from = \"{mailbox}\"\nmail-rcpt = \"{RECIPIENT}\"\n",
            std::fs::read_to_string(inside.folder.join("token"))?
        ),
    )?;
    let run = Run::new("curl").args(["--silent", "--show-error", "--max-time", "40", "--config"]);
    run.args([config])
        .args(["--upload-file"])
        .args([file])
        .shown()?;
    arrived(inside, before, &sent)
}

fn msmtp(inside: &Inside) -> Result<()> {
    let (before, _) = inside.newest()?;
    let sent = message(inside, "msmtp")?;
    let file = inside.private("msmtp.eml", &sent)?;
    let mailbox = inside.mailbox()?;
    let config = inside.private(
        "msmtprc",
        &format!(
            "account office\nhost smtp.office365.com\nport 587\ntls on\ntls_starttls on\n\
             auth xoauth2\nuser {mailbox}\nfrom {mailbox}\npasswordeval cat {}\n",
            inside.folder.join("token").display()
        ),
    )?;
    let run = Run::new("msmtp").args(["--file"]).args([config]);
    run.args(["--account", "office", "--", RECIPIENT])
        .stdin(&file)?
        .shown()?;
    arrived(inside, before, &sent)
}

/// A configuration without a cloud file: every name is the built-in one.
pub(super) fn configuration(inside: &Inside) -> Result<String> {
    let secret = inside.private("client.secret", inside.text("/client/secret")?)?;
    Ok(format!(
        "[[principal]]\nname = \"interop\"\ntenant = \"{}\"\nclient_id = \"{}\"\n\
         credential = {{ secret = {{ file = \"{}\" }} }}\nmailboxes = [\"{}\"]\n",
        inside.text("/tenant/id")?,
        inside.text("/client/id")?,
        secret.display(),
        inside.mailbox()?,
    ))
}

fn send(inside: &Inside) -> Result<()> {
    let (before, _) = inside.newest()?;
    let sent = message(inside, "sendas")?;
    let file = inside.private("sendas.eml", &sent)?;
    let config = inside.private("sendas.toml", &configuration(inside)?)?;
    Run::new(&inside.sendas)
        .args(["send", "-f", inside.mailbox()?, RECIPIENT])
        .env("SENDAS_CONFIG", config)
        .stdin(&file)?
        .shown()?;
    arrived(inside, before, &sent)
}

/// All is well, but for what tells a stand-in from the service: its addresses and its authority.
fn doctor(inside: &Inside) -> Result<()> {
    let told = Run::new(&inside.sendas)
        .args(["doctor", "--json", "--mailbox", inside.mailbox()?])
        .env("SENDAS_CONFIG", inside.folder.join("sendas.toml"))
        .answer(&[WARNINGS_ONLY])?;
    let told: Value = serde_json::from_str(&told)?;
    let checks = told["checks"]
        .as_array()
        .context("doctor tells its checks")?;
    let with = |status: &str| -> Vec<&str> {
        let those = checks.iter().filter(|check| check["status"] == status);
        those.filter_map(|check| check["id"].as_str()).collect()
    };
    println!("   ok {}, warnings {:?}", with("ok").len(), with("warning"));
    ensure!(with("warning") == STAND_IN, "other warnings than expected");
    ensure!(
        with("problem").is_empty(),
        "problems: {:?}",
        with("problem")
    );
    Ok(())
}
