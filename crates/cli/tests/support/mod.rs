//! What the tests of the command share: a home of its own for each, and tidy output.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]
#![allow(dead_code, reason = "each test binary uses its part")]

#[cfg(unix)]
pub(crate) mod relay;
pub(crate) mod transcript;

use std::path::Path;

use sendas_sandbox::Running;
use sendas_testkit::process::Program;

/// An empty home folder, in which a command finds no configuration.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    /// A new one.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Its path; commands run in it.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file that only its owner can read.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// The command with these arguments, at home here.
    pub(crate) fn sendas<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Program {
        Program::new(env!("CARGO_BIN_EXE_sendas"))
            .clean_env()
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("COLUMNS", "100")
            .env("NO_COLOR", "1")
            .folder(self.path())
            .args(arguments)
    }
}

/// Writes what differs from run to run as words in brackets.
pub(crate) fn tidy(text: &str, home: &Home, sandbox: Option<&Running>) -> String {
    let mut text = text.replace(home.path().to_str().unwrap(), "HOME");
    if let Some(sandbox) = sandbox {
        text = text.replace(sandbox.folder().to_str().unwrap(), "SANDBOX");
        let details = sandbox.details();
        text = text.replace(&details.tenant.id.to_string(), "[tenant]");
        if let Some(client) = &details.client {
            for (id, word) in [
                (client.id, "[client]"),
                (client.service_principal_id, "[principal]"),
                (client.application_object_id, "[registration]"),
            ] {
                text = text.replace(&id.to_string(), word);
            }
        }
        for (place, word) in [
            (&details.authority, "[authority]"),
            (&details.graph, "[graph]"),
            (&details.exchange_admin, "[exchange-admin]"),
            (&details.control.url, "[control]"),
        ] {
            text = text.replace(place.as_str(), word);
        }
        text = text.replace(
            &format!("localhost:{}", details.smtp.port),
            "localhost:[smtp]",
        );
        text = text.replace(
            &format!("127.0.0.1:{}", details.smtp.port),
            "127.0.0.1:[smtp]",
        );
        text = text.replace(&format!(" {}", details.smtp.port), " [smtp]");
    }
    text.lines().map(line).collect::<Vec<_>>().join("\n")
        + if text.ends_with('\n') { "\n" } else { "" }
}

/// Replaces times, and what nobody foresees, in one line.
fn line(line: &str) -> String {
    if let Some((value, origin)) = line.split_once("  # ") {
        // The column depends on the length of paths.
        return format!("{}  # {}", value.trim_end(), origin.trim_start());
    }
    if let Some((before, rest)) = line.split_once("the token expired ") {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        return format!("{}the token expired [seconds]{rest}", times(before));
    }
    let mut line = line.to_owned();
    for name in ["trace id ", "Trace ID: ", "Correlation ID: "] {
        if let Some(at) = line.find(name) {
            let start = at + name.len();
            line.replace_range(start..start + 36, "[id]");
        }
    }
    let line = days(&durations(&service(&unique(&line))));
    let line = line.as_str();
    for opaque in ["uti", "kid", "x5t"] {
        for head in [format!("{opaque:<16} "), format!("    \"{opaque}\": ")] {
            if line.starts_with(&head) {
                return format!("{head}[opaque]");
            }
        }
    }
    for time in ["exp", "iat", "nbf"] {
        let head = format!("    \"{time}\": ");
        if line.starts_with(&head) {
            return format!("{head}[time],");
        }
    }
    times(line)
}

/// Replaces a day, and how many are left until it.
fn days(line: &str) -> String {
    let mut line = line.to_owned();
    for head in ["ends ", "ended "] {
        if let Some(at) = line.find(&format!("{head}202")) {
            let start = at + head.len();
            line.replace_range(start..start + 10, "[day]");
        }
    }
    let Some(at) = line.find(" days left") else {
        return line;
    };
    let start = line[..at].rfind(' ').map_or(0, |space| space + 1);
    // Spaces behind it keep a column whose width differs.
    let rest = line[at..].replacen("days left", "days left ", 1);
    let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{}[n] {rest}", &line[..start])
}

/// Replaces what a service makes up for each connection: front ends, sessions, servers, times
/// of a conversation.
fn service(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let bare = word.trim_matches(|c: char| "[]\",".contains(c));
        let front = bare
            .strip_prefix("250-")
            .unwrap_or(bare)
            .split('.')
            .next()
            .is_some_and(|host| bare.contains(".outlook.") && host.len() > 12)
            && !bare.contains("://");
        let session = bare.len() == 16 && bare.starts_with("08DC");
        words.push(if word.starts_with("[Hostname=") {
            let end = word.rfind(".com").map_or(word.len(), |at| at + 4);
            format!("[Hostname=[server]{}", &word[end..])
        } else if front {
            let start = word.find(|c: char| c.is_ascii_uppercase()).unwrap_or(0);
            let end = word.rfind(".com").map_or(word.len(), |at| at + 4);
            format!("{}[front-end]{}", &word[..start], &word[end..])
        } else if session {
            word.replace(bare, "[session]")
        } else {
            word.to_owned()
        });
    }
    let line = words.join(" ");
    if let Some((before, after)) = line.split_once("ready at ")
        && let Some(at) = after.find(" [")
    {
        return format!("{before}ready at [date]{}", &after[at..]);
    }
    line
}

/// Replaces the left side of a Message-ID that the command made.
fn unique(line: &str) -> String {
    let Some(at) = line.find('<') else {
        return line.to_owned();
    };
    let digits = line[at + 1..]
        .bytes()
        .take_while(u8::is_ascii_hexdigit)
        .count();
    if digits == 32 {
        format!("{}<[id]{}", &line[..at], &line[at + 33..])
    } else {
        line.to_owned()
    }
}

/// Replaces durations in milliseconds, and the spaces that align them.
fn durations(line: &str) -> String {
    if let Some(at) = line.find(" ms") {
        let number = line[..at]
            .rfind(|c: char| !(c.is_ascii_digit() || c == '.'))
            .map_or(0, |n| n + 1);
        if number < at {
            let before = line[..number].trim_end();
            let gap = if before.is_empty() { "" } else { " " };
            return format!("{before}{gap}[ms]{}", durations(&line[at + 3..]));
        }
    }
    if let Some(at) = line.find("\"ms\": ") {
        let comma = if line.ends_with(',') { "," } else { "" };
        return format!("{}\"ms\": [ms]{comma}", &line[..at]);
    }
    line.to_owned()
}

/// Replaces times.
fn times(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("202") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = stamp(rest);
        out.push_str(if length.is_some() { "[time]" } else { "202" });
        rest = &rest[length.unwrap_or(3)..];
    }
    out.push_str(rest);
    out
}

/// The length of a time like `2026-11-23T04:42:56.123Z` at the start of a text.
fn stamp(text: &str) -> Option<usize> {
    let shape = "dddd-dd-ddTdd:dd:dd";
    let fits = text.len() >= shape.len()
        && text
            .bytes()
            .zip(shape.bytes())
            .all(|(found, wanted)| match wanted {
                b'd' => found.is_ascii_digit(),
                b'T' => matches!(found, b'T' | b' '),
                wanted => found == wanted,
            });
    if !fits {
        return None;
    }
    let tail = text[shape.len()..]
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b'.')
        .count();
    let zone = usize::from(text[shape.len() + tail..].starts_with('Z'));
    Some(shape.len() + tail + zone)
}
