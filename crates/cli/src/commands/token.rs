//! `sendas token`: get one, and see what one says.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use sendas_entra::{Claims, Clock as _, Judgement, Severity, SystemClock, Token, TokenSource as _};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::global::Global;
use crate::identity::Identity;
use crate::machine::{self, Machine};
use crate::report::{Failure, Kind, Outcome, chain, token as report};
use crate::{configuration, output, runtime, token_text};

/// Tokens.
#[derive(Debug, Subcommand)]
#[command(
    disable_help_subcommand = true,
    before_help = "\
Examples:
  sendas token inspect
  sendas token get | sendas token inspect
  sendas token get --json --principal contoso"
)]
pub(crate) enum Command {
    /// Fetch a token with the configured credential and print it.
    Get(Get),
    /// Show what a token says, and what is wrong in it: one from standard input or a file, else
    /// a fresh one of the configured credential.
    Inspect(Inspect),
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The principal, where several are configured.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Answer in JSON: the token and when it expires.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Read the token from this file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The principal, where several are configured.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Get(get) => get.json,
            Self::Inspect(inspect) => inspect.json,
        }
    }
}

pub(crate) fn run(command: &Command, global: &Global, machine: &Machine) -> Outcome {
    match command {
        Command::Get(get) => run_get(get, global, machine),
        Command::Inspect(inspect) => run_inspect(inspect, global, machine),
    }
}

fn run_get(get: &Get, global: &Global, machine: &Machine) -> Outcome {
    let (identity, token) = fetch(get.principal.as_deref(), global, machine)?;
    if machine::stdout_is_terminal() {
        output::line("warning: whoever sees this token can send mail with it until it expires");
    }
    let expires_at = token.expires_at();
    let written = if get.json {
        output::json(&json!({
            "token": token.expose(),
            "expires_at": expires_at.to_string(),
            "principal": identity.name,
            "resource": identity.cloud.resource().as_str(),
        }))
    } else {
        output::data(&format!("{}\n", token.expose()))
    };
    written.map_err(|error| Failure::machine("the token was not written", &error))?;
    Ok(Exit::Done)
}

fn run_inspect(inspect: &Inspect, global: &Global, machine: &Machine) -> Outcome {
    let given = match &inspect.token_file {
        Some(path) => Some(token_text::read(path)?),
        None if !machine::stdin_is_terminal() => {
            Some(token_text::read(Path::new("-"))?).filter(|text| !text.is_empty())
        }
        None => None,
    };
    let (claims, judgements) = if let Some(text) = given {
        given_token(&text, inspect, global, machine)?
    } else {
        let (identity, token) = fetch(inspect.principal.as_deref(), global, machine)?;
        let claims = token.claims().map_err(|error| {
            Failure::new(
                Kind::Service,
                Exit::Failed,
                "the token that came is not readable",
            )
            .cause(chain(&error), None)
        })?;
        let judgements = claims.judge(&identity.expectation(), SystemClock::new().now().wall);
        (claims, judgements)
    };
    let wrong = report::wrong(&judgements).is_some();
    let written = if inspect.json {
        output::json(&in_json(&claims, &judgements))
    } else {
        output::data(&in_text(&claims, &judgements))
    };
    written.map_err(|error| Failure::machine("the claims were not written", &error))?;
    Ok(if wrong { Exit::Failed } else { Exit::Done })
}

/// Reads a given token; it is compared with the configured principal, if there is one.
fn given_token(
    text: &str,
    inspect: &Inspect,
    global: &Global,
    machine: &Machine,
) -> Result<(Claims, Vec<Judgement>), Box<Failure>> {
    let claims = Claims::decode(text).map_err(|error| {
        Failure::new(
            Kind::Identity,
            Exit::Failed,
            "the text was not read as a token",
        )
        .cause(chain(&error), None)
        .command("sendas token get")
    })?;
    // Without a configuration there is less to compare with, but still all to show.
    let loaded = configuration::read(global, machine).ok();
    let expectation = loaded
        .as_ref()
        .and_then(|loaded| {
            let principal = configuration::choose(loaded, inspect.principal.as_deref()).ok()?;
            Identity::new(principal, &loaded.settings.network).ok()
        })
        .map_or_else(crate::identity::anybody, |identity| identity.expectation());
    let judgements = claims.judge(&expectation, SystemClock::new().now().wall);
    Ok((claims, judgements))
}

/// Fetches a token with the configured credential.
fn fetch(
    principal: Option<&str>,
    global: &Global,
    machine: &Machine,
) -> Result<(Identity, Token), Box<Failure>> {
    let loaded = configuration::load(global, machine)?;
    let principal = configuration::choose(&loaded, principal)?;
    let identity = Identity::new(principal, &loaded.settings.network)?;
    let source = identity.token_source(&principal.credential, machine)?;
    let token = runtime::run(async { source.token().await })?.map_err(|error| {
        report::no_token(
            format!("principal `{}` got no token", principal.name),
            &error,
        )
    })?;
    Ok((identity, token))
}

/// What each claim is good for, in the order shown.
const MEANINGS: &[(&str, &str)] = &[
    ("aud", "the service it is for"),
    ("iss", "who issued it"),
    ("tid", "the tenant"),
    ("appid", "the application (client id)"),
    ("azp", "the application (client id)"),
    ("app_displayname", "the application's name"),
    (
        "oid",
        "the service principal: the ObjectId that New-ServicePrincipal needs",
    ),
    ("sub", "the subject: the service principal again"),
    ("roles", "application permissions that were consented to"),
    ("scp", "delegated permissions: only a user's token has them"),
    ("upn", "the user"),
    ("idtyp", "app, or user"),
    (
        "appidacr",
        "how it proved itself: 1 secret, 2 certificate or assertion",
    ),
    (
        "azpacr",
        "how it proved itself: 1 secret, 2 certificate or assertion",
    ),
    (
        "xms_mirid",
        "the Azure resource whose managed identity this is",
    ),
    ("ver", "the token's version"),
    ("iat", "issued at"),
    ("nbf", "good from"),
    ("exp", "good until"),
];

/// Draws the claims and what is to be said about them.
pub(crate) fn in_text(claims: &Claims, judgements: &[Judgement]) -> String {
    let mut out = String::new();
    let payload = claims.payload();
    let known = MEANINGS
        .iter()
        .filter_map(|(name, meaning)| Some((*name, payload.get(*name)?, *meaning)));
    let others = payload
        .iter()
        .filter(|(name, _)| !MEANINGS.iter().any(|(known, _)| known == name))
        .map(|(name, value)| (name.as_str(), value, ""));
    for (name, value, meaning) in known.chain(others) {
        let value = output::visible(&claim(name, value, claims)).into_owned();
        let row = format!("{:<16} {value:<48}  {meaning}", output::visible(name));
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out.push('\n');
    if judgements.is_empty() {
        out.push_str("nothing is wrong with this token\n");
    }
    for judgement in judgements {
        let found = if judgement.found.is_empty() {
            "(nothing)"
        } else {
            &judgement.found
        };
        _ = writeln!(
            out,
            "{}: {} = {}: {}\n  fix: {}",
            severity(judgement.severity),
            judgement.claim,
            output::visible(found),
            output::visible(&judgement.meaning),
            judgement.fix
        );
    }
    out
}

/// Says whether a claim is Microsoft's own business: opaque, and no part of any judgement. What
/// it holds is not shown, only its length.
fn is_opaque(name: &str) -> bool {
    matches!(name, "aio" | "rh") || (name.starts_with("xms_") && name != "xms_mirid")
}

/// How an opaque claim is shown.
fn cut(value: &Value) -> String {
    let octets = value
        .as_str()
        .map_or_else(|| value.to_string().len(), str::len);
    format!("(opaque, {octets} octets)")
}

/// The claims for programs, opaque ones cut.
pub(crate) fn claims_json(claims: &Claims) -> Value {
    let shown = claims.payload().iter().map(|(name, value)| {
        let value = if is_opaque(name) {
            Value::String(cut(value))
        } else {
            value.clone()
        };
        (name.clone(), value)
    });
    Value::Object(shown.collect())
}

/// A claim's value on one line; times are written as times, opaque ones are cut.
fn claim(name: &str, value: &Value, claims: &Claims) -> String {
    if is_opaque(name) {
        return cut(value);
    }
    let time = match name {
        "exp" => claims.expires_at(),
        "nbf" => claims.not_before(),
        "iat" => claims.issued_at(),
        _ => None,
    };
    match (time, value) {
        (Some(time), _) => time.to_string(),
        (None, Value::String(text)) => text.clone(),
        (None, Value::Array(list)) => list
            .iter()
            .map(|value| claim("", value, claims))
            .collect::<Vec<_>>()
            .join(", "),
        (None, other) => other.to_string(),
    }
}

fn in_json(claims: &Claims, judgements: &[Judgement]) -> Value {
    json!({
        "header": claims.header(),
        "claims": claims_json(claims),
        "expires_at": claims.expires_at().map(|time| time.to_string()),
        "usable": report::wrong(judgements).is_none(),
        "judgements": judgements.iter().map(judgement_json).collect::<Vec<_>>(),
    })
}

fn judgement_json(judgement: &Judgement) -> Value {
    json!({
        "severity": severity(judgement.severity),
        "finding": kebab(&format!("{:?}", judgement.finding)),
        "claim": judgement.claim,
        "found": judgement.found,
        "meaning": judgement.meaning,
        "fix": judgement.fix,
    })
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Doubtful => "doubtful",
        Severity::Wrong => "wrong",
    }
}

/// `WrongAudience` as `wrong-audience`.
fn kebab(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::kebab;

    #[test]
    fn finding_names() {
        assert_eq!(kebab("WrongAudience"), "wrong-audience");
        assert_eq!(kebab("Expired"), "expired");
    }
}
