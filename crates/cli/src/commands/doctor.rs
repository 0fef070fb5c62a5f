//! `sendas doctor`: everything between this machine and a mailbox, and the one cause.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use sendas_config as config;
use sendas_entra::Proxy;
use sendas_envelope::Mailbox;
use sendas_exchange::Method;
use sendas_smtp::Reply;
use sendas_smtp::client::Stage;
use sendas_tenant::AdminTokens;
use sendas_tenant::doctor::{
    self, Case, Configuration, Examination, Host, ListenerTls, Relay, Selection, Spool, Subject,
};

use crate::commands::send::draft_address;
use crate::exit::Exit;
use crate::global::Global;
use crate::identity::{self, Identity};
use crate::machine::Machine;
use crate::report::{Failure, Outcome, chain, examination};
use crate::{configuration, output, runtime};

mod bundle;
mod carried;
mod setup;

use carried::Carried;

/// The largest file of tokens or state that is read, in octets.
const FILE_OCTETS_MAX: u64 = 1024 * 1024;

/// A clock that stands before this is wrong: this program is younger.
const MADE: &str = "2026-01-01T00:00:00Z";

#[derive(Debug, Args)]
#[command(
    before_help = "\
Examples:
  sendas doctor                                    every check, and the cause of what does not work
  sendas doctor --mailbox noreply@contoso.com --admin-tokens tokens.json
  sendas doctor --only exchange --skip D-EXO-04
  sendas doctor --explain D-EXO-08
  sendas doctor --json | jq .causes[0]",
    after_help = "\
Changes nothing, sends nothing, shows no secret; done within ten seconds.
Exit codes: 0 clean, 1 problems, 2 wrong usage, 3 warnings only."
)]
pub(crate) struct Doctor {
    /// The mailbox to log in as; left out, the first address a principal sends for.
    #[arg(long, value_name = "ADDRESS")]
    mailbox: Option<String>,
    /// The principal, instead of the one that covers the mailbox.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Do these checks only: ids or groups.
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these checks out: ids or groups.
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    skip: Vec<String>,
    /// Ask nobody over the network.
    #[arg(long)]
    offline: bool,
    /// A JSON file with an administrator's tokens, members `graph` and `exchange`; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    admin_tokens: Option<PathBuf>,
    /// The state file of the set-up, which knows when rights were last changed; left out, the one
    /// that a set-up of this application has written in its usual place.
    #[arg(long, value_name = "FILE", conflicts_with = "changed_at")]
    state: Option<PathBuf>,
    /// When rights were last changed, as 2026-11-23T05:00:00Z.
    #[arg(long, value_name = "TIME")]
    changed_at: Option<Timestamp>,
    /// A refusal seen elsewhere, to be explained with the rest: its code and words.
    #[arg(long, value_name = "REPLY", value_parser = reply)]
    reply: Option<Said>,
    /// Explain a check or a cause instead of doing any.
    #[arg(long, value_name = "ID")]
    explain: Option<String>,
    /// Write everything that was seen into this file, redacted; what goes in is listed first.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Show every check, not only what is wrong.
    #[arg(long)]
    all: bool,
    /// Answer in JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A refusal and where it was met.
#[derive(Clone, Debug)]
struct Said(Stage, Reply);

/// Reads `535 5.7.3 words`; the stage follows from what the catalogue knows.
fn reply(text: &str) -> Result<Said, String> {
    let (code, words) = text.trim().split_once([' ', '-']).unwrap_or((text, ""));
    let code: u16 = code
        .parse()
        .ok()
        .filter(|code| (400..600).contains(code))
        .ok_or("a refusal begins with a code from 400 to 599")?;
    let reply = Reply::new(code, words);
    let stages = [Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::End];
    let stage = stages
        .into_iter()
        .find(|stage| {
            sendas_exchange::explain(*stage, &reply)
                .entry
                .is_some_and(|entry| entry.stages.contains(stage))
        })
        .unwrap_or(Stage::End);
    Ok(Said(stage, reply))
}

pub(crate) fn run(doctor: &Doctor, global: &Global, machine: &Machine) -> Outcome {
    if let Some(id) = &doctor.explain {
        return explain(id, doctor.json);
    }
    let selection = Selection::new(&doctor.only, &doctor.skip).map_err(|name| unknown(&name))?;
    let selection = if doctor.offline {
        selection.offline()
    } else {
        selection
    };
    let case = case(doctor, global, machine)?;
    let mut examination = runtime::run(Box::pin(doctor::examine(&case, &selection)))?;
    Carried::new(global, doctor.state.as_deref()).put_into(&mut examination);
    let written = if doctor.json {
        output::json(&examination::json(&examination))
    } else {
        output::data(&examination::text(
            &examination,
            doctor.all,
            output::data_has_colour(),
        ))
    };
    written.map_err(|error| Failure::machine("the answer was not written", &error))?;
    if let Some(path) = &doctor.bundle {
        bundle::write(path, &case, &examination)?;
    }
    Ok(exit(&examination, doctor.offline))
}

/// Problems before warnings; a cause that is certain counts, whatever was looked at. A login that
/// was wanted and not seen is never called clean.
fn exit(examination: &Examination, is_offline: bool) -> Exit {
    let has = |status| examination.rows.iter().any(|row| row.status == status);
    if has(doctor::Status::Problem) {
        Exit::Failed
    } else if has(doctor::Status::Warning)
        || !examination.verdicts.is_empty()
        || (!is_offline && is_login_unseen(examination))
    {
        Exit::Warnings
    } else {
        Exit::Done
    }
}

fn is_login_unseen(examination: &Examination) -> bool {
    examination
        .rows
        .iter()
        .any(|row| row.check.id == doctor::LOGIN && row.status == doctor::Status::NotSeen)
}

fn explain(id: &str, json: bool) -> Outcome {
    let text = if let Some(check) = doctor::find(id) {
        if json {
            let written = output::json(&examination::check_json(check));
            written.map_err(|error| Failure::machine("the answer was not written", &error))?;
            return Ok(Exit::Done);
        }
        examination::check_text(check)
    } else {
        doctor::page::page(&id.to_uppercase()).ok_or_else(|| unknown(id))?
    };
    let written = if json {
        output::json(&serde_json::json!({ "id": id.to_uppercase(), "page": text }))
    } else {
        output::data(&text)
    };
    written.map_err(|error| Failure::machine("the answer was not written", &error))?;
    Ok(Exit::Done)
}

fn unknown(name: &str) -> Box<Failure> {
    let names: Vec<&str> = doctor::checks()
        .map(|check| check.id)
        .chain(doctor::Group::ALL.map(doctor::Group::name))
        .chain(doctor::cause::ids())
        .collect();
    let failure = Failure::usage(format!(
        "nothing was looked at: `{name}` is neither a check, a group nor a cause"
    ));
    let near = sendas_config::suggest::nearest(name, names);
    Box::new(match near {
        Some(near) => failure.cause(format!("did you mean `{near}`?"), None),
        None => failure.command("sendas doctor --json | jq .checks[].id"),
    })
}

/// Reads everything that the doctor is handed.
fn case(doctor: &Doctor, global: &Global, machine: &Machine) -> Result<Case, Box<Failure>> {
    let given = doctor
        .mailbox
        .as_deref()
        .map(|text| draft_address("--mailbox", text).map(Mailbox::new))
        .transpose()?;
    let mut found = Configuration {
        variable_client_id: machine
            .environment
            .get("AZURE_CLIENT_ID")
            .map(str::to_owned),
        ..Configuration::default()
    };
    let mut subject = None;
    let mut relay = None;
    match configuration::read(global, machine) {
        Err(complaints) => {
            found.files = complaints.files().map(Path::to_owned).collect();
            found.errors = complaints.errors().into_iter().map(told).collect();
            found.warnings = complaints.warnings().into_iter().map(told).collect();
        }
        Ok(loaded) => {
            found.files.clone_from(&loaded.files);
            found.missing.clone_from(&loaded.missing);
            found.warnings = loaded.warnings.warnings().into_iter().map(told).collect();
            let settings = &loaded.settings;
            found.principals = settings
                .principals
                .iter()
                .map(|one| one.name.clone())
                .collect();
            relay = settings
                .relay
                .as_ref()
                .map(|relay| relay_of(relay, settings));
            match choose(doctor, settings, given.as_ref()) {
                Ok(Some(principal)) => match self::subject(principal, settings, given, machine) {
                    Ok(made) => subject = Some(made),
                    Err(words) => found.errors.push(words),
                },
                Ok(None) => {}
                Err(words) => found.unchosen = Some(words),
            }
        }
    }
    let changed = match (doctor.changed_at, &subject) {
        (Some(time), _) => Some(time),
        (None, None) => None,
        (None, Some(subject)) => setup::last_change(doctor.state.as_deref(), subject, machine)?,
    };
    Ok(Case {
        host: Host {
            temporary: std::env::temp_dir(),
            has_home: machine.environment.get("HOME").is_some()
                || machine.environment.get("APPDATA").is_some(),
            not_before: MADE.parse().expect("the time of making is a time"),
        },
        configuration: found,
        subject,
        relay,
        admin: doctor.admin_tokens.as_deref().map(tokens),
        changed,
        reply: doctor
            .reply
            .clone()
            .map(|Said(stage, reply)| (stage, reply)),
    })
}

fn told(finding: config::Finding) -> String {
    match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!("{}:{line}: {}", file.display(), finding.title),
        _ => match &finding.variable {
            Some(variable) => format!("{variable}: {}", finding.title),
            None => finding.title,
        },
    }
}

/// The principal named, the one that covers the mailbox, or the only one.
fn choose<'a>(
    doctor: &Doctor,
    settings: &'a config::Settings,
    mailbox: Option<&Mailbox>,
) -> Result<Option<&'a config::Principal>, String> {
    if let Some(name) = &doctor.principal {
        return match settings.principal(name) {
            Some(principal) => Ok(Some(principal)),
            None => Err(format!("no principal is named `{name}`")),
        };
    }
    let covered = mailbox.and_then(|mailbox| settings.coverage(mailbox.as_str()));
    if let Some(covered) = covered {
        return Ok(settings.principals.get(covered.principal));
    }
    match settings.principals.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => Err(format!(
            "there are {}, and neither --principal nor --mailbox chooses one",
            several.len()
        )),
    }
}

fn subject(
    principal: &config::Principal,
    settings: &config::Settings,
    given: Option<Mailbox>,
    machine: &Machine,
) -> Result<Subject, String> {
    let network = &settings.network;
    let words = |failure: Box<Failure>| match failure.causes.first() {
        Some(cause) => format!("{}: {}", failure.what, cause.cause),
        None => failure.what.clone(),
    };
    let identity = Identity::new(principal, network).map_err(words)?;
    let own = crate::commands::probe::first_address(principal)
        .and_then(|own| draft_address("mailboxes", &own).ok())
        .map(Mailbox::new);
    let is_covered = given.as_ref().is_none_or(|mailbox| {
        let covered = settings.coverage(mailbox.as_str());
        covered.is_some_and(|covered| {
            settings
                .principals
                .get(covered.principal)
                .is_some_and(|found| found.name == principal.name)
        })
    });
    let ehlo = Identity::ehlo(network).map_err(words)?;
    let expectation = identity.expectation();
    Ok(Subject {
        name: identity.name.clone(),
        cloud: identity.cloud.clone(),
        tls: identity.tls.clone(),
        tenant: expectation.tenant,
        client_id: expectation.client_id,
        method: match principal.method {
            Some(config::Method::Classic) => Method::Classic,
            Some(config::Method::Rbac) => Method::Rbac,
            None => Method::Unknown,
        },
        credential: identity::credential(&principal.credential, machine)
            .map_err(|error| chain(&*error)),
        credential_file: match &principal.credential {
            config::Credential::Certificate { path, .. }
            | config::Credential::Secret(config::SecretPlace::File(path))
            | config::Credential::Federated { path } => Some(path.clone()),
            _ => None,
        },
        mailbox: given.or(own),
        is_covered,
        proxy: Proxy::from_environment(&machine.environment).map_err(|error| chain(&error)),
        ehlo,
        connect_timeout: network.connect_timeout,
    })
}

fn relay_of(relay: &config::Relay, settings: &config::Settings) -> Relay {
    let senders = relay.clients.iter().flat_map(|client| &client.senders);
    Relay {
        listen: relay
            .listen
            .iter()
            .map(|listen| {
                let tls = match listen.tls {
                    config::ListenTls::None => ListenerTls::Never,
                    config::ListenTls::Starttls => ListenerTls::Starttls,
                    config::ListenTls::Implicit => ListenerTls::Implicit,
                };
                (listen.address, tls)
            })
            .collect(),
        certificate: relay.certificate.clone(),
        message_size_octets_max: relay.message_size_octets_max,
        admin: relay.admin,
        open_clients: relay
            .clients
            .iter()
            .filter(|client| client.networks.iter().any(|network| network.prefix == 0))
            .map(|client| client.name.clone())
            .collect(),
        uncovered: senders
            .filter_map(|sender| match sender {
                config::Pattern::Address(address) => Some(address.clone()),
                _ => None,
            })
            .filter(|address| settings.coverage(address).is_none())
            .collect(),
        spool: match &relay.spool {
            config::Spool::Sqlite(path) => Spool::File(path.clone()),
            config::Spool::Postgres(address) => Spool::Shared(host_and_port(address)),
        },
    }
}

/// Host and port of a database's address; what else stands in it is not looked at.
fn host_and_port(address: &str) -> Option<(String, u16)> {
    let rest = address.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let place = authority.rsplit('@').next()?.split(',').next()?;
    match place.rsplit_once(':') {
        Some((host, port)) => Some((host.to_owned(), port.parse().ok()?)),
        None if place.is_empty() => None,
        None => Some((place.to_owned(), 5432)),
    }
}

fn tokens(path: &Path) -> Result<AdminTokens, String> {
    let octets = if path == Path::new("-") {
        let mut octets = Vec::new();
        std::io::Read::read_to_end(
            &mut std::io::Read::take(std::io::stdin(), FILE_OCTETS_MAX),
            &mut octets,
        )
        .map_err(|error| error.to_string())?;
        octets
    } else {
        read(path).map_err(|error| format!("{}: {error}", path.display()))?
    };
    AdminTokens::from_json(&octets).map_err(|error| error.to_string())
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let file = std::fs::File::open(path)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, FILE_OCTETS_MAX), &mut octets)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let Said(stage, _) = reply("535 5.7.3 Authentication unsuccessful").unwrap();
        assert_eq!(stage, Stage::Auth);
        let Said(stage, _) = reply("554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded").unwrap();
        assert_eq!(stage, Stage::End);
        for wrong in ["", "250 fine", "words"] {
            reply(wrong).unwrap_err();
        }
    }

    #[test]
    fn places_of_databases() {
        for (address, expected) in [
            ("postgres://u:p@db.example/x", Some(("db.example", 5432))),
            (
                "postgres://u:p@db.example:6432,other/x",
                Some(("db.example", 6432)),
            ),
            ("postgres:///x", None),
        ] {
            let found = host_and_port(address);
            assert_eq!(
                found.as_ref().map(|(host, port)| (host.as_str(), *port)),
                expected
            );
        }
    }
}
