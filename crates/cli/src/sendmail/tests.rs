//! The command lines of callers, as their sources write them, and the envelope each asks for.
//!
//! Addresses without a domain get the one of the first configured mailbox, where Postfix appends
//! `myorigin`. A sender that is not given stands as `-`: Postfix takes the calling user then, and
//! so does this program unless the message has an author that a principal covers.

mod callers;

use std::ffi::OsString;

use sendas_config::{Loaded, Search};

use callers::{CALLERS, CRON};

use super::compose::{self, Packed, Parcel};
use super::input::Input;
use super::options::{self, Call, Flush, Mode};
use super::senders::Senders;
use super::sysexits::{Sysexit, Trouble};
use super::user::User;

const CONFIGURATION: &str = r#"
[[principal]]
name = "contoso"
tenant = "contoso.onmicrosoft.com"
client_id = "11111111-2222-3333-4444-555555555555"
credential = { secret = { env = "UNUSED" } }
mailboxes = ["noreply@contoso.com", "www@contoso.com", "root@contoso.com", "a@b.example", "*@app.example"]
"#;

pub(super) fn loaded() -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sendas.toml");
    std::fs::write(&path, CONFIGURATION).unwrap();
    sendas_config::load(&Search {
        option: Some(path),
        variable: None,
        usual: Vec::new(),
        variables: Vec::new(),
    })
    .unwrap_or_else(|complaints| panic!("{}", complaints.render(false)))
}

fn call(line: &[&str]) -> Call {
    options::parse(line.iter().map(OsString::from)).unwrap_or_else(|e| panic!("{line:?}: {e}"))
}

fn user() -> User {
    User {
        name: "www-data".to_owned(),
        full_name: Some("Web Server".to_owned()),
    }
}

fn pack(line: &[&str], message: &str) -> Result<Packed, Trouble> {
    let loaded = loaded();
    let senders = Senders::new(&loaded.settings)?;
    let call = options::parse(line.iter().map(OsString::from))
        .map_err(|error| Trouble::new(Sysexit::Usage, error.0))?;
    let dot_ends = !call.dots_are_text;
    compose::parcel(
        &Parcel {
            call: &call,
            user: &user(),
            senders: &senders,
            octets_max: 1 << 20,
            envelope: None,
        },
        Input::new(message.as_bytes(), dot_ends),
    )
}

/// Sender and recipients in one line, or the code of the refusal.
fn envelope(line: &[&str], message: &str) -> String {
    match pack(line, message) {
        Ok(packed) => {
            let envelope = &packed.outgoing.envelope;
            let to: Vec<&str> = envelope
                .recipients()
                .iter()
                .map(|recipient| recipient.path.as_str())
                .collect();
            format!("<{}> {}", envelope.reverse_path.as_str(), to.join(" "))
        }
        Err(trouble) => format!("{}: {}", trouble.code as u8, trouble.text),
    }
}

fn written(line: &[&str], message: &str) -> String {
    let packed = pack(line, message).unwrap_or_else(|trouble| panic!("{line:?}: {trouble}"));
    let octets = packed.outgoing.message.block(0).unwrap();
    String::from_utf8(octets.to_vec()).unwrap()
}

#[test]
fn callers_get_the_envelope_they_ask_for() {
    assert!(CALLERS.len() >= 60, "{}", CALLERS.len());
    let mut wrong = Vec::new();
    for (caller, line, message, expected) in CALLERS {
        let call = call(line);
        let found = match &call.mode {
            Mode::Send => envelope(line, message),
            Mode::Dialogue => "dialogue".to_owned(),
            Mode::List => "list".to_owned(),
            Mode::Aliases => "aliases".to_owned(),
            Mode::Verify => "verify".to_owned(),
            Mode::Daemon => "daemon".to_owned(),
            Mode::Interval => "interval".to_owned(),
            Mode::Flush(flush) => format!("flush {flush:?}"),
            Mode::Help => "help".to_owned(),
        };
        if found != *expected || !call.remarks.is_empty() {
            wrong.push(format!(
                "{caller}: {found}, not {expected} ({:?})",
                call.remarks
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn options_glued_apart_and_grouped() {
    for (left, right) in [
        (&["-ti"][..], &["-t", "-i"][..]),
        (&["-itv"], &["-v", "-i", "-t"]),
        (&["-oi"], &["-i"]),
        (&["-o", "i"], &["-i"]),
        (&["-tfa@b.c"], &["-t", "-f", "a@b.c"]),
        (&["-ra@b.c"], &["-f", "<a@b.c>"]),
        (&["-Nnever"], &["-N", "NEVER"]),
        (&["-RHDRS"], &["-R", "hdrs"]),
        (&["-Vabc"], &["-V", "abc"]),
        (&["-o8"], &["-B8BITMIME"]),
        (
            &[
                "-OQueueDirectory=/tmp",
                "-X/tmp/log",
                "-C",
                "/tmp/cf",
                "-d0.1",
                "-h5",
                "-pxx",
                "-Am",
                "-G",
                "-U",
                "-n",
                "-L",
                "x",
                "-oQ/tmp",
                "-em",
                "-odb",
                "-oee",
            ],
            &[],
        ),
        (&["-qf"], &["-q"]),
        (&["-bm", "x"], &["x"]),
    ] {
        assert_eq!(call(left), call(right), "{left:?}");
    }
    assert_eq!(call(&["-q30m"]).mode, Mode::Interval);
    assert_eq!(call(&["-bd", "-q30m"]).mode, Mode::Daemon);
    assert_eq!(
        call(&["-qSx"]).mode,
        Mode::Flush(Flush::Sender("x".to_owned()))
    );
    let odd = call(&["-Z", "-Z", "--frobnicate=1", "x"]);
    assert_eq!(
        odd.remarks,
        ["unknown option -Z", "unknown option --frobnicate"]
    );
    assert_eq!(odd.recipients, ["x"]);
}

#[test]
fn what_is_refused_and_with_which_code() {
    for (line, message, code) in [
        (&["-f"][..], "x\n", 64),
        (&["-N", "sometimes", "x"], "x\n", 64),
        (&["-R", "half", "x"], "x\n", 64),
        (&["-B", "9BIT", "x"], "x\n", 64),
        (&["-bz", "x"], "x\n", 64),
        (&["-V", "", "x"], "x\n", 64),
        (&["a@b.c\r\nBcc: x@y.z"], "x\n", 64),
        (&["-f", "a@b.c\nX: y", "x"], "x\n", 64),
        (&["-F", "A\r\nBcc: x@y.z", "x"], "x\n", 64),
        (&[], "x\n", 64),
        (&["-t"], "Subject: nobody\n\nx\n", 65),
        (&["-t"], "To: a b c\n\nx\n", 65),
        (&["-f", "a b", "x"], "x\n", 65),
        (&["-f", "-X/tmp/x", "x"], "x\n", 0),
        (&["a b@c.d"], "x\n", 67),
        (&["<>"], "x\n", 67),
        (&["-i", "x"], "A: b\rc\n\nx\n", 65),
        (&["-i", "x"], "a\0b\n", 65),
        (&["-i", "x"], &"y".repeat((1 << 20) + 1), 65),
    ] {
        let found = match pack(line, message) {
            Ok(_) => 0,
            Err(trouble) => trouble.code as u8,
        };
        assert_eq!(found, code, "{line:?}");
    }
}

/// Message-ID and Date are unlike from run to run.
fn tidy(text: &str) -> String {
    text.replace("\r\n", "\n")
        .lines()
        .map(|line| match line.split_once(": ") {
            Some((name @ ("Date" | "Message-ID"), _)) => format!("{name}: …"),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn headers_are_completed_and_nothing_else_changes() {
    for (line, message, expected) in [
        // Nothing but the hidden recipients goes, nothing but what is missing comes.
        (
            &["-t", "-i"][..],
            "From: a@b.example\nTo: x@x.example\nBcc: h@x.example,\n i@x.example\nSubject: =?utf-8?q?=C3=A4?=\n  folded\nX-Odd:\tkept \n\n.\nbody\n",
            "From: a@b.example\nTo: x@x.example\nSubject: =?utf-8?q?=C3=A4?=\n  folded\nX-Odd:\tkept \nDate: …\nMessage-ID: …\n\n.\nbody",
        ),
        // No header at all.
        (
            &["-i", "root"],
            "just text\nmore\n",
            "From: Web Server <noreply@contoso.com>\nDate: …\nMessage-ID: …\n\njust text\nmore",
        ),
        (
            &["-i", "-F", "Backup \"Job\"", "root"],
            "",
            "From: \"Backup \\\"Job\\\"\" <noreply@contoso.com>\nDate: …\nMessage-ID: …\n",
        ),
        (
            &["-i", "-F", "Büro", "root"],
            "Subject: x\n\n",
            "Subject: x\nFrom: =?utf-8?Q?B=C3=BCro?= <noreply@contoso.com>\nDate: …\nMessage-ID: …\n",
        ),
        // A mailbox file's separator is no part of the message.
        (
            &["-i", "root"],
            "From root Mon Nov 23 05:43:49 2026\n>From x\nSubject: x\nFrom: a@b.example\n\nFrom here\n",
            "Subject: x\nFrom: a@b.example\nDate: …\nMessage-ID: …\n\nFrom here",
        ),
        // Names of this machine get its domain.
        (
            &["-i", "-t"],
            CRON,
            "From: root@contoso.com\nTo: root@contoso.com\nSubject: Cron <root@host> date\nDate: …\nMessage-ID: …\n\nout",
        ),
        // An author that the service would refuse.
        (
            &["-i", "-t"],
            "From: \"A, B\" <x@elsewhere.example>\nTo: y@x.example\nDate: d\nMessage-ID: <1@x>\n\nb\n",
            "From: \"A, B\" <noreply@contoso.com>\nReply-To: \"A, B\" <x@elsewhere.example>\nX-Original-From: \"A, B\" <x@elsewhere.example>\nTo: y@x.example\nDate: …\nMessage-ID: …\n\nb",
        ),
        // The dot ends it without -i.
        (
            &["root"],
            "From: a@b.example\n\none\n.\ntwo\n",
            "From: a@b.example\nDate: …\nMessage-ID: …\n\none",
        ),
    ] {
        let found = written(line, message);
        assert_eq!(tidy(&found), expected, "{line:?} {message:?}");
        assert!(found.ends_with("\r\n"));
    }
}

#[test]
fn options_reach_the_envelope() {
    let packed = pack(
        &[
            "-N",
            "success,delay",
            "-R",
            "full",
            "-V",
            "job 7",
            "-i",
            "x@x.example",
        ],
        "b\n",
    )
    .unwrap();
    let envelope = &packed.outgoing.envelope;
    let notify = envelope.recipients()[0].notify.unwrap();
    assert_eq!(notify.to_string(), "SUCCESS,DELAY");
    assert_eq!(envelope.ret.unwrap().to_string(), "FULL");
    assert_eq!(envelope.envelope_id.as_ref().unwrap().as_str(), "job 7");
    assert_eq!(envelope.body.keyword(), "7BIT");
    let packed = pack(&["-i", "-B7BIT", "x@x.example"], "ä\n").unwrap();
    assert_eq!(packed.outgoing.envelope.body.keyword(), "8BITMIME");
    // A mapped sender is told.
    let packed = pack(&["-f", "stranger@y.example", "x@x.example"], "b\n").unwrap();
    assert_eq!(
        packed.remarks,
        ["no principal sends for stranger@y.example; it is sent as noreply@contoso.com"]
    );
}
