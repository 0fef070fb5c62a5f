//! Records a conversation, and shows it while it happens.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sendas_smtp::client::Stage;
use sendas_submit::{TlsDetails, Trace, TraceEvent};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::clock::{self, Stopwatch};
use crate::output;

/// A watcher that keeps every line with its time.
#[derive(Debug)]
pub(crate) struct Recorder {
    watch: Stopwatch,
    is_live: bool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<Line>,
    tls: Option<Tls>,
    /// When each stage began and ended.
    stages: Vec<(&'static str, Duration, Duration)>,
}

#[derive(Debug)]
struct Line {
    at: Duration,
    mark: Mark,
    stage: Option<Stage>,
    text: String,
}

/// Which way a line went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Out,
    In,
    Note,
}

/// What is shown of a handshake.
#[derive(Debug)]
struct Tls {
    version: String,
    cipher: String,
    key_exchange: Option<String>,
    certificates: Vec<Certificate>,
}

#[derive(Debug)]
struct Certificate {
    subject: String,
    issuer: String,
    names: Vec<String>,
    expires_at: String,
}

impl Mark {
    const fn text(self) -> &'static str {
        match self {
            Self::Out => "->",
            Self::In => "<-",
            Self::Note => "**",
        }
    }
}

impl Recorder {
    /// Starts the clock; `is_live` shows every line at once on standard output.
    pub(crate) fn new(is_live: bool) -> Self {
        Self {
            watch: Stopwatch::start(),
            is_live,
            kept: Mutex::default(),
        }
    }

    /// Keeps a line that nobody sent, with a stage of its own.
    pub(crate) fn note(&self, stage: &'static str, text: &str) {
        self.add(Mark::Note, None, text);
        let at = self.watch.elapsed();
        self.kept().reach(stage, at);
    }

    /// How many exchanges there were: changes from our lines to the peer's.
    pub(crate) fn round_trips(&self) -> usize {
        let kept = self.kept();
        let marks: Vec<Mark> = kept
            .lines
            .iter()
            .map(|line| line.mark)
            .filter(|mark| *mark != Mark::Note)
            .collect();
        let exchanges = marks
            .windows(2)
            .filter(|pair| pair == &[Mark::Out, Mark::In])
            .count();
        // The greeting answers TCP, and the handshake is one exchange of its own.
        exchanges
            + usize::from(marks.first() == Some(&Mark::In)) * 2
            + usize::from(kept.tls.is_some())
    }

    /// The dialogue so far as it is shown.
    pub(crate) fn dialogue_text(&self) -> String {
        self.kept().lines.iter().map(drawn).collect()
    }

    /// The time each stage took, as a table.
    pub(crate) fn stages_text(&self) -> String {
        let mut out = String::new();
        for (stage, start, end) in &self.kept().stages {
            _ = writeln!(
                out,
                "{stage:<12} {:>10}",
                clock::ms(end.saturating_sub(*start))
            );
        }
        _ = writeln!(
            out,
            "{:<12} {:>10}\n",
            "in all",
            clock::ms(self.watch.elapsed())
        );
        out
    }

    pub(crate) fn stages_json(&self) -> Value {
        let stages = &self.kept().stages;
        stages
            .iter()
            .map(|(stage, start, end)| {
                json!({ "stage": stage, "ms": clock::ms_number(end.saturating_sub(*start)) })
            })
            .collect()
    }

    pub(crate) fn dialogue_json(&self) -> Value {
        let lines = &self.kept().lines;
        lines
            .iter()
            .map(|line| {
                json!({
                    "ms": clock::ms_number(line.at),
                    "direction": match line.mark {
                        Mark::Out => "out",
                        Mark::In => "in",
                        Mark::Note => "note",
                    },
                    "stage": line.stage.map(Stage::name),
                    "text": line.text,
                })
            })
            .collect()
    }

    pub(crate) fn tls_json(&self) -> Value {
        let kept = self.kept();
        let Some(tls) = &kept.tls else {
            return Value::Null;
        };
        let certificates: Vec<Value> = tls
            .certificates
            .iter()
            .map(|certificate| {
                json!({
                    "subject": certificate.subject,
                    "issuer": certificate.issuer,
                    "names": certificate.names,
                    "expires_at": certificate.expires_at,
                })
            })
            .collect();
        json!({
            "version": tls.version,
            "cipher": tls.cipher,
            "key_exchange": tls.key_exchange,
            "certificates": certificates,
        })
    }

    fn add(&self, mark: Mark, stage: Option<Stage>, text: &str) {
        let line = Line {
            at: self.watch.elapsed(),
            mark,
            stage,
            text: output::visible(text).into_owned(),
        };
        if self.is_live {
            // Who reads it may have left; the conversation goes on to its end.
            drop(output::data(&drawn(&line)));
        }
        let mut kept = self.kept();
        if let Some(stage) = stage {
            kept.reach(stage.name(), line.at);
        }
        kept.lines.push(line);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Notes that a stage was under way at a time.
    fn reach(&mut self, stage: &'static str, at: Duration) {
        if let Some((_, _, end)) = self.stages.iter_mut().find(|(known, ..)| *known == stage) {
            *end = at;
            return;
        }
        let start = self
            .stages
            .last()
            .map_or(Duration::ZERO, |(_, _, end)| *end);
        self.stages.push((stage, start, at));
    }
}

impl Trace for Recorder {
    fn observe(&self, event: TraceEvent<'_>) {
        match event {
            TraceEvent::Connecting(address) => {
                self.add(
                    Mark::Note,
                    Some(Stage::Connect),
                    &format!("connecting to {address}"),
                );
            }
            TraceEvent::Connected(address) => {
                self.add(
                    Mark::Note,
                    Some(Stage::Connect),
                    &format!("connected to {address}"),
                );
            }
            TraceEvent::Sent { stage, line } => self.add(Mark::Out, Some(stage), line),
            TraceEvent::SentBody { octets } => {
                self.add(
                    Mark::Out,
                    Some(Stage::Body),
                    &format!("<{octets} octets of the message>"),
                );
            }
            TraceEvent::Received { stage, reply } => {
                let mut lines = reply.lines().peekable();
                while let Some(line) = lines.next() {
                    let dash = if lines.peek().is_some() { '-' } else { ' ' };
                    self.add(
                        Mark::In,
                        Some(stage),
                        &format!("{}{dash}{line}", reply.code()),
                    );
                }
            }
            TraceEvent::Secured(details) => {
                let tls = Tls::of(details);
                self.add(Mark::Note, Some(Stage::Tls), &tls.in_words());
                for certificate in &tls.certificates {
                    self.add(Mark::Note, Some(Stage::Tls), &certificate.in_words());
                }
                self.kept().tls = Some(tls);
            }
            _ => {}
        }
    }
}

/// A watcher that tells every line to the log: what `-v` shows of a conversation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Log;

impl Trace for Log {
    fn observe(&self, event: TraceEvent<'_>) {
        match event {
            TraceEvent::Connecting(address) => tracing::info!("connecting to {address}"),
            TraceEvent::Connected(address) => tracing::info!("connected to {address}"),
            TraceEvent::Sent { line, .. } => tracing::info!("-> {}", output::visible(line)),
            TraceEvent::SentBody { octets } => {
                tracing::info!("-> <{octets} octets of the message>");
            }
            TraceEvent::Received { reply, .. } => tracing::info!("<- {reply}"),
            TraceEvent::Secured(details) => tracing::info!("{}", Tls::of(details).in_words()),
            _ => {}
        }
    }
}

impl Tls {
    fn of(details: &TlsDetails) -> Self {
        Self {
            version: details.version.clone(),
            cipher: details.cipher.clone(),
            key_exchange: details.key_exchange.clone(),
            certificates: details
                .certificates
                .iter()
                .map(|der| Certificate::read(der))
                .collect(),
        }
    }

    fn in_words(&self) -> String {
        let mut out = format!("{}, {}", self.version, self.cipher);
        if let Some(group) = &self.key_exchange {
            _ = write!(out, ", {group}");
        }
        out
    }
}

impl Certificate {
    fn read(der: &[u8]) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            let unreadable = || "(not readable)".to_owned();
            return Self {
                subject: unreadable(),
                issuer: unreadable(),
                names: Vec::new(),
                expires_at: unreadable(),
            };
        };
        let names = certificate
            .subject_alternative_name()
            .ok()
            .flatten()
            .map_or_else(Vec::new, |names| {
                names.value.general_names.iter().map(name).collect()
            });
        let end = certificate.validity().not_after.timestamp();
        Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names,
            expires_at: jiff::Timestamp::from_second(end)
                .map_or_else(|_| end.to_string(), |time| time.to_string()),
        }
    }

    fn in_words(&self) -> String {
        let names = if self.names.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.names.join(", "))
        };
        format!(
            "certificate {}{names}, until {}, by {}",
            self.subject, self.expires_at, self.issuer
        )
    }
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(octets) => match <[u8; 4]>::try_from(*octets) {
            Ok(four) => std::net::Ipv4Addr::from(four).to_string(),
            Err(_) => <[u8; 16]>::try_from(*octets).map_or_else(
                |_| "(no address)".to_owned(),
                |six| std::net::Ipv6Addr::from(six).to_string(),
            ),
        },
        other => other.to_string(),
    }
}

fn drawn(line: &Line) -> String {
    format!(
        "{:>10}  {} {}\n",
        clock::ms(line.at),
        line.mark.text(),
        line.text
    )
}
